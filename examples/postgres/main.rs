//! Fills a collection in PostgreSQL, searches it, and measures it beside an index of the same tracks.
//!
//! ```text
//! cargo run --release -F postgres --example postgres -- import postgres://me@host/music library.earmark
//! ```

mod measure;

use clap::{Parser, Subcommand};
use earmark::postgres::Store;
use earmark::{Error, Fingerprinter, Index, MatchConfig, TrackInfo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

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
    },
    /// Find clips
    Match {
        url: String,
        #[arg(required = true)]
        clips: Vec<PathBuf>,
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
        Action::Import { url, index, batch, most } => import(&url, &index, batch, most),
        Action::Match { url, clips } => find(&url, &clips),
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

fn import(url: &str, index: &Path, size: usize, most: usize) -> Result<ExitCode, Error> {
    let reader = Index::open(index)?.reader();
    let store = Store::connect(url)?;
    store.migrate(reader.config())?;
    let (mut batch, mut added, mut seconds) = (store.batch()?, 0, 0.0);
    let mut commit = |batch| {
        let begun = Instant::now();
        let ids = store.commit(batch)?;
        seconds += begun.elapsed().as_secs_f64();
        added += ids.len();
        println!("{added} tracks, {seconds:.1} s");
        Ok::<_, Error>(())
    };
    for entry in reader.tracks().take(most) {
        let entry = entry?;
        let fingerprint = reader.fingerprint(entry.id)?;
        batch.add(TrackInfo { name: entry.name, tags: entry.tags }, &fingerprint)?;
        if batch.len() >= size {
            commit(std::mem::replace(&mut batch, store.batch()?))?;
        }
    }
    commit(batch)?;
    Ok(ExitCode::SUCCESS)
}

fn find(url: &str, clips: &[PathBuf]) -> Result<ExitCode, Error> {
    let store = Store::connect(url)?;
    let mut fingerprinter = Fingerprinter::new(store.config()?.as_ref().clone())?;
    for path in clips {
        let clip = fingerprinter.query_file(path)?.value;
        match store.search(&clip, &MatchConfig::default())?.first() {
            Some(found) => println!("{:?}: {:?} at {:.2} s", path, found.name, found.offset_s),
            None => println!("{path:?}: not there"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
