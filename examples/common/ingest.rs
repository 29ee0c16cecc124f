//! Fingerprinting many files into an index.

use crate::audio_files::track_name;
use crate::distinct::Distinct;
use crate::opening::open_audio;
use crate::ordered::in_order;
use crate::progress::Progress;
use crate::text::{reason, shown};
use earmark::{DecodeReport, Fingerprint, Fingerprinter, HashIndex, Tags, TrackInfo};
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of the files.
#[derive(Default)]
pub struct Tally {
    pub added: usize,
    pub replaced: usize,
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

/// Fingerprints files and adds them to the index, the largest first, so that no thread is left alone
/// with a long one at the end; those whose names it holds are replaced. Says on standard error which
/// files failed, wholly or in part, and why, and which are left out as other names of the same.
///
/// Once `stop` is set, it leaves the files that are under way, and begins no other.
///
/// # Errors
/// Those of `after_each`, which is called with the index after each track.
pub fn ingest(
    index: &mut HashIndex,
    files: &[PathBuf],
    jobs: usize,
    stop: &AtomicBool,
    mut after_each: impl FnMut(&mut HashIndex) -> Result<(), String>,
) -> Result<Tally, String> {
    let config = index.catalog().config().clone();
    let distinct = Distinct::new(files, index.catalog());
    let mut progress = Progress::new(distinct.files.len());
    distinct.tell(&progress);
    let mut files = distinct.files;
    files.sort_by_cached_key(|f| Reverse(f.metadata().map_or(0, |metadata| metadata.len())));
    let mut tally = Tally::default();
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
                let known = index.catalog().find(&name).is_some();
                let info = TrackInfo { name, tags: taken.tags };
                index.replace(info, &taken.fingerprint).map_err(|e| reason(&e))?;
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
                    after_each(index)
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
