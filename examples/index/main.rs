//! Looks after an index.
//!
//! ```text
//! cargo run --release --example index -- stats library.earmark
//! ```

mod exchange;
mod stats;

#[path = "../common/calibration_file.rs"]
mod calibration_file;
#[path = "../common/text.rs"]
mod text;

use clap::{Parser, Subcommand};
use earmark::store::{Index, Reader};
use earmark::{Error, TrackId};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use text::{complain, count, printable, printed, shown};

/// Looks after an index: what is in it, and whether it is whole
#[derive(Parser)]
#[command(name = "index", version)]
struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the tracks: id, seconds, name, artist, title, tab-separated
    List { index: PathBuf },
    /// Tell how large it is, and what takes up how much
    Stats { index: PathBuf },
    /// Remove tracks, given by their names, or by their ids as #7, and merge the segments that are due then
    Remove {
        index: PathBuf,
        #[arg(required = true)]
        tracks: Vec<String>,
    },
    /// Make one segment of all, without what was removed
    Compact { index: PathBuf },
    /// Read everything, and name what is damaged; exit status 1 if anything is
    Verify { index: PathBuf },
    /// Add all tracks of other indexes whose names are not taken, and merge the segments that are due then
    Merge {
        index: PathBuf,
        #[arg(required = true)]
        others: Vec<PathBuf>,
    },
    /// Store what the program `calibrate` wrote with the index: searches go by it
    Calibrate {
        index: PathBuf,
        /// The calibration; without one, the index has none of its own any more
        file: Option<PathBuf>,
    },
    /// Write the fingerprints of all tracks into a folder, and a list of them
    Export { index: PathBuf, folder: PathBuf },
    /// Add what was exported, but for names that are taken; the index is made if it is not there
    Import { index: PathBuf, folder: PathBuf },
}

fn main() -> ExitCode {
    run(Options::parse().action).unwrap_or_else(|message| {
        complain(&format!("error: {message}"));
        ExitCode::from(2)
    })
}

fn run(action: Action) -> Result<ExitCode, String> {
    let done = match action {
        Action::List { index } => return list(&open(&index)?.reader()),
        Action::Verify { index } => return verify(&open(&index)?.reader()),
        Action::Stats { index } => stats::table(&open(&index)?.reader()).map_err(told)?,
        Action::Remove { index, tracks } => remove(&open(&index)?, &tracks)?,
        Action::Compact { index } => {
            let index = open(&index)?;
            let before = index.reader().stats();
            index.writer().and_then(|mut writer| writer.compact()).map_err(told)?;
            let after = index.reader().stats();
            format!(
                "{} became {}, {:.1} MB became {:.1} MB\n",
                count(before.segments.len(), "segment"),
                after.segments.len(),
                before.bytes as f64 * 1e-6,
                after.bytes as f64 * 1e-6
            )
        }
        Action::Merge { index, others } => merge(&open(&index)?, &others)?,
        Action::Calibrate { index, file } => calibrate(&open(&index)?, file.as_deref())?,
        Action::Export { index, folder } => {
            let exported = exchange::export(&open(&index)?.reader(), &folder)?;
            format!("{} exported to {}\n", count(exported, "track"), shown(&folder))
        }
        Action::Import { index, folder } => {
            let (added, taken) = exchange::import(&index, &folder)?;
            format!("{} imported, {taken} there already\n", count(added, "track"))
        }
    };
    let mut out = io::stdout().lock();
    printed(out.write_all(done.as_bytes()).and_then(|()| out.flush()))?;
    Ok(ExitCode::SUCCESS)
}

fn told(error: Error) -> String {
    error.to_string()
}

fn open(path: &Path) -> Result<Index, String> {
    Index::open(path).map_err(told)
}

fn list(reader: &Reader) -> Result<ExitCode, String> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for track in reader.tracks() {
        let track = track.map_err(told)?;
        let [artist, title] =
            [track.tags.artist, track.tags.title].map(|tag| printable(&tag.unwrap_or_default()));
        let (id, seconds, name) = (track.id, track.duration_s, printable(&track.name));
        let written = writeln!(out, "{id}\t{seconds:.1}\t{name}\t{artist}\t{title}");
        if written.is_err() {
            printed(written)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    printed(out.flush())?;
    Ok(ExitCode::SUCCESS)
}

fn verify(reader: &Reader) -> Result<ExitCode, String> {
    let damaged = reader.verify();
    let mut out = String::new();
    for damage in &damaged {
        out += &format!("{}: {}\n", shown(&damage.path), printable(&damage.detail));
        for (id, name) in &damage.tracks {
            let name = name.as_deref().map_or("whose name cannot be read".into(), printable);
            out += &format!("  {id} {name}\n");
        }
    }
    if damaged.is_empty() {
        out = format!("all is well: {}\n", count(reader.len() as usize, "track"));
    }
    printed(io::stdout().lock().write_all(out.as_bytes()))?;
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Removes all tracks that are named, or none.
fn remove(index: &Index, tracks: &[String]) -> Result<String, String> {
    let mut writer = index.writer().map_err(told)?;
    for given in tracks {
        let by_name = writer.find(given).map_err(told)?;
        let by_id = || given.strip_prefix('#')?.parse().ok().map(TrackId);
        let id = by_name.or_else(by_id).ok_or_else(|| format!("there is no track {given:?}"))?;
        writer.remove(id).map_err(told)?;
    }
    writer.finish_merges().map_err(told)?;
    Ok(format!("{} removed\n", count(tracks.len(), "track")))
}

fn calibrate(index: &Index, file: Option<&Path>) -> Result<String, String> {
    let calibration = file.map(calibration_file::read_calibration).transpose()?;
    let mut writer = index.writer().map_err(told)?;
    writer.set_calibration(calibration).and_then(|()| writer.commit()).map_err(told)?;
    Ok(match file {
        Some(file) => format!("searches go by {} now\n", shown(file)),
        None => "searches go by the calibration that comes with the analysis now\n".into(),
    })
}

fn merge(index: &Index, others: &[PathBuf]) -> Result<String, String> {
    let mut writer = index.writer().map_err(told)?;
    let (mut added, mut taken) = (0, 0);
    for other in others {
        let other = open(other)?.reader();
        added += writer.add_all(&other, |_| taken += 1).map_err(told)?;
        writer.commit().map_err(told)?;
    }
    writer.finish_merges().map_err(told)?;
    Ok(format!("{} added, {taken} there already\n", count(added as usize, "track")))
}
