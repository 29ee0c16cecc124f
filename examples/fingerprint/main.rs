//! Fingerprints audio files into an index.
//!
//! ```text
//! cargo run --release --example fingerprint -- library.earmark fixtures/library
//! ```

mod saving;

#[path = "../common/audio_files.rs"]
mod audio_files;
#[path = "../common/distinct.rs"]
mod distinct;
#[path = "../common/ingest.rs"]
mod ingest;
#[path = "../common/inputs.rs"]
mod inputs;
#[path = "../common/interruption.rs"]
mod interruption;
#[path = "../common/number.rs"]
mod number;
#[path = "../common/opening.rs"]
mod opening;
#[path = "../common/ordered.rs"]
mod ordered;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/text.rs"]
mod text;

use clap::Parser;
use earmark::{Config, Error, HashIndex, IndexLock};
use ingest::Tally;
use interruption::Interruption;
use number::at_least_one;
use saving::Saving;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use text::{complain, count, printed, shown};

const AFTER_HELP: &str = "\
Examples:
  fingerprint library.earmark Music
      Index all audio files in the folder Music and below.
  fingerprint library.earmark new-album song.mp3
      Add a folder and a file to that index.
  find / -name '*.flac' -print0 | fingerprint --jobs 4 library.earmark -
      Index the files that another program names.

A track is named by its path as given here, with bytes that are not UTF-8 as \\xFF.
A file whose name is already in the index takes the place of the old one, which is
kept if the file cannot be read now. A file that several links or paths lead to is
taken once.

The index is written beside its place and moved there when complete: first after
some seconds, then about every minute, and at the end. A run that is killed leaves
it sound. While one run writes to an index, others are refused. Ctrl-C saves what is
done and ends the run, a second Ctrl-C ends it at once.

Exit status: 0 if all files were fingerprinted (those that break off, as far as
they go), 1 if some or all failed, 2 if nothing could be done or saved, 130 after
Ctrl-C (143 after the signal TERM).";

/// Fingerprints audio files and folders into an index, which is made if it is not there
#[derive(Parser)]
#[command(name = "fingerprint", version, after_help = AFTER_HELP)]
struct Options {
    /// The index file to make or to add to
    index: PathBuf,
    /// Audio files, and folders to search for them; `-` for a list on standard input
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    paths: Vec<PathBuf>,
    /// A file that lists more of them, one a line or NUL-separated; `-` for standard input
    #[arg(long, value_name = "LIST")]
    files_from: Option<PathBuf>,
    /// Number of threads [default: one per core]
    #[arg(long, short, value_name = "N", value_parser = at_least_one)]
    jobs: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|message| {
        complain(&format!("error: {message}"));
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let _lock = lock(&options.index)?;
    let mut index = open_or_new(&options.index)?;
    let files = inputs::gather(&options.paths, options.files_from.as_deref())?;
    let jobs = ordered::jobs_or_all_cores(options.jobs);

    let interruption =
        Interruption::listen().map_err(|e| format!("cannot listen for Ctrl-C: {e}"))?;
    let mut saving = Saving::new(&options.index);
    let tally = ingest::ingest(&mut index, &files, jobs, interruption.asked(), |index| {
        saving.if_due(index)
    })?;
    let outcome = if tally.added + tally.replaced > 0 {
        saving.now(&mut index)?;
        summary(&index, &options.index, &tally)?
    } else if options.index.exists() {
        format!("nothing was added to {}", shown(&options.index))
    } else {
        format!("nothing was added, so {} was not made", shown(&options.index))
    };
    if tally.failed + tally.partial > 0 {
        let (failed, partial) = (count(tally.failed, "file"), count(tally.partial, "file"));
        complain(&format!("{failed} failed, {partial} read in part: see above"));
    }
    if tally.left > 0 {
        complain(&format!(
            "interrupted: {} left out; run this again to add the rest (what is indexed already is \
             fingerprinted again)",
            count(tally.left, "file")
        ));
    }
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{outcome}").and_then(|()| out.flush());
    printed(written).map_err(|e| format!("{e}; {outcome}"))?;
    Ok(ExitCode::from(match tally {
        Tally { left: 1.., .. } => interruption.exit_code(),
        Tally { failed: 1.., .. } => 1,
        _ => 0,
    }))
}

/// Keeps other runs from writing to the index. What they would save would be lost, or what this one
/// does. Also finds out whether the index can be saved: better known now than after hours of work.
fn lock(path: &Path) -> Result<Option<IndexLock>, String> {
    if path.is_dir() {
        return Err(format!(
            "{} is a folder: the index, a file, comes first, then what to add to it",
            shown(path)
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        return Err(format!("cannot make {}: there is no folder {}", shown(path), shown(folder)));
    }
    match IndexLock::acquire(path) {
        Ok(lock) => Ok(Some(lock)),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::Unsupported => {
            complain("warning: no locks here: let no other run write to this index meanwhile");
            Ok(None)
        }
        Err(e) => Err(e.to_string()),
    }
}

fn open_or_new(path: &Path) -> Result<HashIndex, String> {
    let index = match path.try_exists() {
        Ok(false) => HashIndex::new(Config::default()),
        _ => HashIndex::open(path),
    };
    index.map_err(|e| e.to_string())
}

fn summary(index: &HashIndex, path: &Path, tally: &Tally) -> Result<String, String> {
    let catalog = index.catalog();
    let bytes = path.metadata().map_err(|e| format!("cannot read {}: {e}", shown(path)))?.len();
    let audio_s = catalog.duration_s();
    let landmarks: u64 = catalog.tracks().iter().map(|t| u64::from(t.landmarks)).sum();
    Ok(format!(
        "{} added, {} replaced; {} now holds {}, {:.2} h of audio, {landmarks} landmarks, \
         {:.0} bytes per second of audio; {:.0} × real time",
        tally.added,
        tally.replaced,
        shown(path),
        count(catalog.tracks().len(), "track"),
        audio_s / 3600.0,
        bytes as f64 / audio_s.max(1e-9),
        tally.times_real_time,
    ))
}
