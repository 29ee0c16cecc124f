//! Fills a collection in PostgreSQL, searches it, and measures it beside an index of the same tracks.
//!
//! ```text
//! cargo run --release -F postgres --example postgres -- import postgres://me@host/music library.earmark
//! ```

mod measure;
mod servers;

use clap::{Parser, Subcommand};
use earmark::postgres::{CompactOptions, Store};
use earmark::{Error, Index, TrackInfo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Keeps a collection in PostgreSQL
#[derive(Parser)]
#[command(name = "postgres", version)]
struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Add all tracks of an index; the tables are made if they are not there
    Import {
        /// As postgres://user:password@host:port/database; PGPASSWORD and others are read, too
        url: String,
        index: PathBuf,
        /// Tracks of a batch
        #[arg(long, default_value_t = 1000)]
        batch: usize,
        /// Tracks that are added, at most
        #[arg(long, default_value_t = usize::MAX)]
        most: usize,
        /// Also add them to a new index of that name, to compare the time
        #[arg(long)]
        beside: Option<PathBuf>,
    },
    /// Merge batches, and delete what merges left
    Compact {
        url: String,
        /// Make one batch of all
        #[arg(long)]
        all: bool,
        /// Delete at once what was merged, though there may be snapshots that have it
        #[arg(long)]
        now: bool,
    },
    /// Tell how large it is, and what takes up how much
    Stats { url: String },
    /// Read everything, and name what is damaged; exit status 1 if anything is
    Verify { url: String },
    /// Find clips
    Match {
        url: String,
        #[arg(required = true)]
        clips: Vec<PathBuf>,
        /// Another server, which has other tracks of the same collection; may be given several times
        #[arg(long, value_name = "URL")]
        also: Vec<String>,
        /// Answer from the servers that can be reached, and name the others
        #[arg(long)]
        partial: bool,
    },
    /// Search clips here and in an index of the same tracks: the same answers, and how long they take
    Measure {
        url: String,
        index: PathBuf,
        /// A file that names a clip in each line
        list: PathBuf,
        /// Threads that search at the same time
        #[arg(long, default_value_t = 1)]
        clients: usize,
    },
}

fn main() -> ExitCode {
    let done = match Options::parse().action {
        Action::Import { url, index, batch, most, beside } => {
            import(&url, &index, batch, most, beside)
        }
        Action::Compact { url, all, now } => compact(&url, all, now),
        Action::Stats { url } => stats(&url),
        Action::Verify { url } => verify(&url),
        Action::Match { url, clips, also, partial } => {
            let urls = std::iter::once(url).chain(also).collect();
            servers::find(urls, &clips, partial)
        }
        Action::Measure { url, index, list, clients } => {
            measure::measure(&url, &index, &list, clients)
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn import(
    url: &str,
    index: &Path,
    size: usize,
    most: usize,
    beside: Option<PathBuf>,
) -> Result<ExitCode, Error> {
    let reader = Index::open(index)?.reader();
    let store = Store::connect(url)?;
    store.migrate(reader.config())?;
    let beside = beside.map(|path| Index::create(path, reader.config().clone())).transpose()?;
    let mut writer = beside.as_ref().map(Index::writer).transpose()?;
    let (mut here_s, mut there_s) = (0.0, 0.0);
    let mut tracks = reader.tracks().take(most);
    let mut added = 0;
    loop {
        let mut some = Vec::with_capacity(size);
        for entry in tracks.by_ref().take(size) {
            let entry = entry?;
            let fingerprint = reader.fingerprint(entry.id)?;
            some.push((TrackInfo { name: entry.name, tags: entry.tags }, fingerprint));
        }
        if some.is_empty() {
            break;
        }
        let begun = Instant::now();
        store.add(some.iter().map(|(info, fingerprint)| (info.clone(), fingerprint)))?;
        there_s += begun.elapsed().as_secs_f64();
        if let Some(writer) = &mut writer {
            let begun = Instant::now();
            for (info, fingerprint) in &some {
                writer.add(info.clone(), fingerprint)?;
            }
            writer.commit()?;
            here_s += begun.elapsed().as_secs_f64();
        }
        added += some.len();
        println!("{added} tracks, PostgreSQL {there_s:.1} s, index {here_s:.1} s");
    }
    Ok(ExitCode::SUCCESS)
}

fn compact(url: &str, all: bool, now: bool) -> Result<ExitCode, Error> {
    let mut options = CompactOptions::default();
    options.all = all;
    if now {
        options = options.grace(Duration::ZERO);
    }
    let begun = Instant::now();
    let done = Store::connect(url)?.compact_with(&options)?;
    println!(
        "{} batches became {}; deleted {} old ones and {} removed tracks; {:.1} s",
        done.merged,
        done.made,
        done.deleted,
        done.tracks,
        begun.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn stats(url: &str) -> Result<ExitCode, Error> {
    let stats = Store::connect(url)?.stats()?;
    println!("{} tracks, {:.1} hours", stats.tracks, stats.duration_s / 3600.0);
    println!("{} postings of {} hashes", stats.postings, stats.hashes);
    println!("{} batches, and {} that do not count", stats.batches.len(), stats.others);
    println!("{:>10.1} MB", stats.bytes as f64 / 1e6);
    for (table, bytes) in &stats.tables {
        println!("{:>10.1} MB of {table}", *bytes as f64 / 1e6);
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(url: &str) -> Result<ExitCode, Error> {
    let damage = Store::connect(url)?.verify()?;
    for damage in &damage {
        println!("{damage:?}");
    }
    Ok(if damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
