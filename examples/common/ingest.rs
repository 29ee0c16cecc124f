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

/// What became of the files.
#[derive(Default)]
pub struct Tally {
    pub added: usize,
    pub replaced: usize,
    /// Files that were read in part.
    pub partial: usize,
    pub failed: usize,
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
/// # Errors
/// Those of `after_each`, which is called with the index after each track.
pub fn ingest(
    index: &mut HashIndex,
    files: &[PathBuf],
    jobs: usize,
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
        |f, path| take(f, path),
        |path, taken| {
            let path = path.as_path();
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

fn take(fingerprinter: &mut Fingerprinter, path: &Path) -> Result<Taken, String> {
    let stft = &fingerprinter.config().stft;
    let mut reader = open_audio(path, stft).map_err(|e| reason(&e))?;
    let fingerprint = fingerprinter.fingerprint_audio(&mut reader);
    let report = reader.report();
    let fingerprint = fingerprint.map_err(|e| {
        let why = reason(&e);
        if report.is_complete() { why } else { format!("{why} ({report})") }
    })?;
    Ok(Taken { tags: reader.info().tags.clone(), fingerprint, report })
}
