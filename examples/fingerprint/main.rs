//! Fingerprints audio files into an index.
//!
//! ```text
//! cargo run --release --example fingerprint -- library.earmark fixtures/library
//! ```

#[path = "../common/analysis.rs"]
mod analysis;
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

use analysis::Analysis;
use clap::Parser;
use earmark::{Error, Index, Reader};
use ingest::{Ingestion, Tally};
use interruption::Interruption;
use number::at_least_one;
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use text::{complain, count, printed, shown};

const AFTER_HELP: &str = "\
Examples:
  fingerprint library.earmark Music
      Index all audio files in the folder Music and below. Run it again to add what is
      new there, or to go on where a run was ended.
  fingerprint library.earmark new-album song.mp3
      Add a folder and a file to that index.
  find / -name '*.flac' -print0 | fingerprint --jobs 4 library.earmark -
      Index the files that another program names.

A track is named by its path as given here, with bytes that are not UTF-8 as \\xFF.
A file whose name is already in the index is passed over. With --replace it takes the
place of the old one, which is kept if the file cannot be read now. A file that several
links or paths lead to is taken once.

The index is a folder. What is done is committed to it every half minute and at the
end: that much a kill or a loss of power costs, and the index stays sound. It can be
searched meanwhile. While one run writes to an index, others are refused. Ctrl-C
commits what is done and ends the run, a second Ctrl-C ends it at once. A run that ends
by itself waits until the segments that are due are merged, which may take some seconds.

Exit status: 0 if all files were fingerprinted (those that break off, as far as
they go), 1 if some or all failed, 2 if nothing could be done or written, 130 after
Ctrl-C (143 after the signal TERM).";

/// Fingerprints audio files and folders into an index, which is made if it is not there
#[derive(Parser)]
#[command(name = "fingerprint", version, after_help = AFTER_HELP)]
struct Options {
    /// The index to make or to add to, a folder
    index: PathBuf,
    /// Audio files, and folders to search for them; `-` for a list on standard input
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    paths: Vec<PathBuf>,
    /// A file that lists more of them, one a line or NUL-separated; `-` for standard input
    #[arg(long, value_name = "LIST")]
    files_from: Option<PathBuf>,
    /// How audio is analysed, if the index is made
    #[arg(long, value_enum, default_value_t = Analysis::Default)]
    analysis: Analysis,
    /// Fingerprint files again whose names are in the index, and replace their tracks
    #[arg(long)]
    replace: bool,
    /// Commit what is done after so many seconds, and after so many again; 0 is after each track
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    commit_every: u64,
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
    let files = inputs::gather(&options.paths, options.files_from.as_deref())?;
    let index = open_or_create(&options.index, options.analysis)?;
    // This also finds out whether it can be written to: better known now than after hours of work.
    let mut writer = index.writer().map_err(|e| e.to_string())?;
    let jobs = ordered::jobs_or_all_cores(options.jobs);

    let interruption =
        Interruption::listen().map_err(|e| format!("cannot listen for Ctrl-C: {e}"))?;
    let config = index.reader().config().clone();
    let how =
        Ingestion { config: &config, jobs, replace: options.replace, stop: interruption.asked() };
    let pause = Duration::from_secs(options.commit_every);
    let mut committed = Instant::now();
    let tally = ingest::ingest(&mut writer, &files, &how, |writer| {
        if committed.elapsed() >= pause {
            writer.commit().map_err(|e| e.to_string())?;
            committed = Instant::now();
        }
        Ok(())
    })?;
    writer.commit().map_err(|e| e.to_string())?;
    if tally.left == 0 {
        writer.finish_merges().map_err(|e| e.to_string())?;
    }
    let outcome = summary(&index.reader(), &options.index, &tally);
    if tally.failed + tally.partial > 0 {
        let (failed, partial) = (count(tally.failed, "file"), count(tally.partial, "file"));
        complain(&format!("{failed} failed, {partial} read in part: see above"));
    }
    if tally.left > 0 {
        complain(&format!(
            "interrupted: {} left out; run this again to add the rest",
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

fn open_or_create(path: &Path, analysis: Analysis) -> Result<Index, String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        return Err(format!("cannot make {}: there is no folder {}", shown(path), shown(folder)));
    }
    let index = match Index::open(path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Index::create(path, analysis.config())
        }
        opened => opened,
    };
    index.map_err(|e| match e {
        Error::Io { action: "create", source, .. } if source.kind() == ErrorKind::AlreadyExists => {
            format!("{}: {source} (the index comes first, then what to add to it)", shown(path))
        }
        other => other.to_string(),
    })
}

fn summary(reader: &Reader, path: &Path, tally: &Tally) -> String {
    let Tally { added, replaced, known, times_real_time, .. } = tally;
    let stats = reader.stats();
    let there = if *known > 0 { format!(", {known} there already") } else { String::new() };
    format!(
        "{added} added, {replaced} replaced{there}; {} now holds {}, {:.2} h of audio, \
         {:.0} bytes per second of audio; {times_real_time:.0} × real time",
        shown(path),
        count(stats.tracks as usize, "track"),
        stats.duration_s / 3600.0,
        stats.bytes as f64 / stats.duration_s.max(1e-9),
    )
}
