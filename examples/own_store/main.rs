//! A collection in a database of one's own, rather than in an index.
//!
//! ```text
//! cargo run --release --example own_store -- music.redb fixtures/clips/01-melody_at_7.313s_quiet.wav fixtures/library/*
//! ```
//!
//! `store.rs` has all of it: the four tables, and the trait [`Store`](earmark::store::Store) for one state of
//! them. A search is then the same as in an index.

mod store;

use earmark::{Config, Fingerprinter, MatchConfig, TrackInfo, search};
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::OwnStore;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [database, clip, recordings @ ..] = &arguments[..] else {
        eprintln!("usage: own_store DATABASE CLIP [RECORDING...]");
        return ExitCode::from(2);
    };
    match run(database, clip, recordings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Adds recordings, and says where the clip comes from.
fn run(database: &Path, clip: &Path, recordings: &[PathBuf]) -> earmark::Result<()> {
    let config = Config::default();
    let mut fingerprinter = Fingerprinter::new(config.clone())?;
    let store = OwnStore::open(database, config)?;
    for path in recordings {
        let made = fingerprinter.fingerprint_file(path)?;
        let name = earmark::tags::track_name(path);
        store.add(&TrackInfo { name, tags: made.info.tags }, &made.value)?;
    }
    let query = fingerprinter.query_file(clip)?.value;
    for m in search::search(&store.snapshot()?, &query, &MatchConfig::default())? {
        println!("{m}");
    }
    Ok(())
}
