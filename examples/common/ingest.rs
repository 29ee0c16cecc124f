//! Fingerprinting many files into an index.

use crate::distinct::Distinct;
use crate::opening::open_audio;
use crate::ordered::in_order;
use crate::progress::Progress;
use crate::text::{reason, shown};
use earmark::tags::track_name;
use earmark::{Config, DecodeReport, Fingerprint, Fingerprinter, Tags, TrackInfo, Writer};
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of the files.
#[derive(Default)]
pub struct Tally {
    pub added: usize,
    pub replaced: usize,
    /// Files that were not read, for the index holds tracks of their names.
    pub known: usize,
    /// Files that were read in part.
    pub partial: usize,
    pub failed: usize,
    /// Files that were left when it was asked to stop.
    pub left: usize,
    /// Seconds of audio that were fingerprinted, per second that it took.
    pub times_real_time: f64,
}

struct Taken {
    tags: Tags,
    fingerprint: Fingerprint,
    report: DecodeReport,
}

/// How files are added.
pub struct Ingestion<'a> {
    /// The analysis of the index.
    pub config: &'a Config,
    pub jobs: usize,
    /// Whether tracks whose names the index holds are fingerprinted again and replaced.
    pub replace: bool,
    /// Once it is set, the files that are under way are left, and no other is begun.
    pub stop: &'a AtomicBool,
}

/// Fingerprints files and adds them to an index, the largest first, so that no thread is left alone
/// with a long one at the end. Says on standard error which files failed, wholly or in part, and why, and
/// which are left out as other names of the same. What is added is to be committed.
///
/// # Errors
/// Those of `after_each`, which is called with the writer after each track.
pub fn ingest(
    writer: &mut Writer,
    files: &[PathBuf],
    how: &Ingestion<'_>,
    mut after_each: impl FnMut(&mut Writer) -> Result<(), String>,
) -> Result<Tally, String> {
    let &Ingestion { config, jobs, replace, stop } = how;
    // What is damaged is told where it matters: when a track is added.
    let is_known = |writer: &Writer, name: &str| matches!(writer.find(name), Ok(Some(_)));
    let distinct = Distinct::new(files, |name| is_known(writer, name));
    let mut files = distinct.files.clone();
    let all = files.len();
    files.retain(|file| replace || !is_known(writer, &track_name(file)));
    let mut progress = Progress::new(files.len());
    distinct.tell(&progress);
    files.sort_by_cached_key(|f| Reverse(f.metadata().map_or(0, |metadata| metadata.len())));
    let mut tally = Tally::default();
    tally.known += all - files.len();
    let start = || Fingerprinter::new(config.clone()).expect("the index has checked it");
    in_order(
        &files,
        jobs,
        start,
        |f, path| take(f, path, stop),
        |path, taken| {
            let path = path.as_path();
            let Some(taken) = taken.transpose() else {
                tally.left += 1;
                return Ok(());
            };
            let taken = taken.and_then(|taken| {
                let name = track_name(path);
                let known = is_known(writer, &name);
                let info = TrackInfo { name, tags: taken.tags };
                writer.replace(info, &taken.fingerprint).map_err(|e| reason(&e))?;
                Ok((known, taken.report, taken.fingerprint.duration_s()))
            });
            match taken {
                Ok((known, report, duration_s)) => {
                    *(if known { &mut tally.replaced } else { &mut tally.added }) += 1;
                    if !report.is_complete() {
                        tally.partial += 1;
                        progress.say(&format!("warning: {}: {report}", shown(path)));
                    }
                    progress.file_done(duration_s);
                    after_each(writer)
                }
                Err(why) => {
                    tally.failed += 1;
                    progress.say(&format!("failed: {}: {why}", shown(path)));
                    progress.file_done(0.0);
                    Ok(())
                }
            }
        },
    )?;
    tally.times_real_time = progress.times_real_time();
    Ok(tally)
}

/// Fingerprints a file; gives nothing once it is to stop.
fn take(
    fingerprinter: &mut Fingerprinter,
    path: &Path,
    stop: &AtomicBool,
) -> Result<Option<Taken>, String> {
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let stft = fingerprinter.config().stft.clone();
    let mut reader = open_audio(path, &stft).map_err(|e| reason(&e))?;
    fingerprinter.reset();
    let read = loop {
        match reader.next_block() {
            Ok(Some(_)) if stop.load(Ordering::Relaxed) => return Ok(None),
            Ok(Some(block)) => fingerprinter.push(block, stft.sample_rate),
            Ok(None) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    let fingerprint = read.and_then(|()| fingerprinter.finish());
    let report = reader.report();
    let fingerprint = fingerprint.map_err(|e| {
        let why = reason(&e);
        if report.is_complete() { why } else { format!("{why} ({report})") }
    })?;
    Ok(Some(Taken { tags: reader.info().tags.clone(), fingerprint, report }))
}
