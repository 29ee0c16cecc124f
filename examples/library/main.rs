//! Keeps a library of recordings up to date with folders, and finds clips in it.
//!
//! ```text
//! cargo run --release --example library -- sync music.earmark fixtures/library
//! cargo run --release --example library -- identify music.earmark fixtures/clips
//! ```

mod bar;
mod beside;
mod commands;
#[cfg(feature = "postgres")]
mod shared;
mod slow;
mod twice;

#[path = "../common/interruption.rs"]
mod interruption;
#[path = "../common/text.rs"]
mod text;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use text::complain;

const AFTER_HELP: &str = "\
Examples:
  library sync music.earmark Music
      Take up what is new, changed or moved in the folder Music and below.
  library sync --prune music.earmark Music
      The same, and remove what is gone.
  library sync --store postgres://me@db/music Music
      Take part in filling a collection in PostgreSQL: as many machines as one likes share
      one list of files. Needs `--features postgres`; the password is best in PGPASSWORD.
  library progress --store postgres://me@db/music
      How far all of them are, and what failed.
  library identify music.earmark clip.mp3
      Find where a clip comes from.
  library list music.earmark beatles
      Tracks whose path, title, artist or album holds a text.
  library list --failed music.earmark
      Files that failed, and why.
  library duplicates --format csv music.earmark > duplicates.csv
      Recordings that are in it more than once, and which copy is the best.
  library compare camera.mp4 recorder.wav
      How two recordings go together, to a millisecond. No library is needed.

A library is a folder. A sync may be ended at any time, by Ctrl-C or a lost power cord:
the next one goes on. At its end it waits until the index is in good order (its segments
are merged), which may take some seconds. No audio file is ever changed or deleted.

Exit status: 0 if all went well; 1 if some files failed, or nothing was found; 2 if
nothing could be done; 130 after Ctrl-C (143 after the signal TERM).";

const SYNC_USAGE: &str = "\
library sync [OPTIONS] <LIBRARY> <PATH>...
       library sync [OPTIONS] --store <URL> [PATH]...";

/// Keeps a library of recordings, and finds clips in it
#[derive(Parser)]
#[command(name = "library", version, after_help = AFTER_HELP)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring a library up to date with folders and files; make it if it is not there
    #[command(override_usage = SYNC_USAGE)]
    Sync(Sync),
    /// Say how far the machines are that fill a collection in PostgreSQL, and what failed
    Progress(Progress),
    /// Find where clips come from
    Identify(Identify),
    /// List the tracks
    List(List),
    /// Take files or folders out of the library, and leave them out
    Remove(Remove),
    /// Say what is in the library
    Stats(Stats),
    /// Find recordings that are in the library more than once
    Duplicates(Duplicates),
    /// Find stretches that occur several times: jingles, advertisements, loops
    Repeats(Repeats),
    /// Say how two recordings go together: offsets, drift, cuts and insertions
    Compare(Compare),
}

/// How lists are printed
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ListFormat {
    /// For people
    Text,
    /// For other programs
    Json,
    /// For spreadsheets
    Csv,
}

/// How answers are printed
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For other programs
    Json,
}

#[derive(Args)]
struct Sync {
    /// The library's folder, but with --store
    #[arg(required_unless_present = "store")]
    library: Option<PathBuf>,
    /// Folders and files. With --store and none, it works on what is in the list
    #[arg(required_unless_present = "store", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A collection in PostgreSQL instead of a folder, which other machines may fill at the same time.
    /// What the URL leaves out comes from PGHOST, PGUSER, PGPASSWORD and so on
    #[arg(long, value_name = "URL", conflicts_with = "verify")]
    store: Option<String>,
    /// With --store: how long other machines wait for the files of one that was killed
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    lease: f64,
    /// Remove the tracks of files that are gone
    #[arg(long)]
    prune: bool,
    /// Compare contents, not sizes and times
    #[arg(long)]
    verify: bool,
    /// Try again what failed or was removed
    #[arg(long)]
    retry: bool,
    /// Threads that decode; one per core unless given
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Threads that read ahead
    #[arg(long, value_name = "N", default_value_t = 2)]
    readers: usize,
    /// Memory to be used, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 256)]
    memory: usize,
    /// Files after which what was done is committed
    #[arg(long, value_name = "N", default_value_t = 500)]
    commit: usize,
    /// Let each read wait so long, to see what a slow disk or network does
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    delay: u64,
    /// How the report is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct Progress {
    /// The collection in PostgreSQL, as postgres://user@host/database
    #[arg(long, value_name = "URL")]
    store: String,
    /// Failures that are listed at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    failures: usize,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct Identify {
    /// The library's folder
    library: PathBuf,
    /// Clips
    #[arg(required = true, value_name = "CLIP")]
    clips: Vec<PathBuf>,
    /// How much faster or slower, higher or lower the clips may be
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    speed: f64,
    /// Seconds of a clip that are listened to at most
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    listen: f64,
    /// How matches are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct List {
    /// The library's folder
    library: PathBuf,
    /// A text that path, title, artist or album hold
    #[arg(default_value = "")]
    text: String,
    /// List the files that failed instead
    #[arg(long)]
    failed: bool,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct Remove {
    /// The library's folder
    library: PathBuf,
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Args)]
struct Stats {
    /// The library's folder
    library: PathBuf,
}

#[derive(Args)]
struct Duplicates {
    /// The library's folder
    library: PathBuf,
    /// How much faster or slower copies may be
    #[arg(long, value_name = "PERCENT", default_value_t = 4.0)]
    speed: f64,
    /// Threads; one per core unless given
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// How the groups are printed
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

#[derive(Args)]
struct Repeats {
    /// The library's folder
    library: PathBuf,
    /// Shorter stretches are left out
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0)]
    least: f64,
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct Compare {
    /// An audio file
    first: PathBuf,
    /// Another
    second: PathBuf,
    /// How much faster or slower one may be than the other
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    speed: f64,
    /// Draw a picture of it into an SVG file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        Command::Sync(sync) => commands::sync(sync),
        Command::Progress(progress) => commands::progress(progress),
        Command::Identify(identify) => commands::identify(identify),
        Command::List(list) => commands::list(list),
        Command::Remove(remove) => commands::remove(remove),
        Command::Stats(stats) => commands::stats(stats),
        Command::Repeats(repeats) => twice::repeats(repeats),
        Command::Compare(compare) => beside::compare(compare),
        Command::Duplicates(duplicates) => twice::duplicates(duplicates),
    };
    done.map_or_else(
        |why| {
            complain(&format!("error: {why}"));
            ExitCode::from(2)
        },
        ExitCode::from,
    )
}
