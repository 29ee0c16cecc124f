//! What a library holds, and taking something out of it.

use super::Library;
use super::ledger::{Entry, Outcome, Quality};
use super::report::FailureKind;
use crate::error::Result;
use crate::store::{Reader, TrackEntry};
use crate::units::TrackId;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A file that a library knows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LibraryFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its size when it was read.
    pub bytes: u64,
    /// xxh3 (128 bits) of its content.
    pub hash: Option<u128>,
    /// What became of it.
    pub state: FileState,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FileState {
    /// It is a track, alone or with files of the same content.
    Track(TrackId, Quality),
    /// It failed: how, why, and after how many seconds of audio.
    Failed(FailureKind, String, f64),
    /// It was taken out.
    Removed,
}

/// What a library holds.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LibraryStats {
    /// Number of tracks.
    pub tracks: u64,
    /// Length of all tracks in seconds.
    pub duration_s: f64,
    /// Files that are tracks, or have the content of one.
    pub files: u64,
    /// Bytes of these files.
    pub files_bytes: u64,
    /// Files that failed.
    pub failed: u64,
    /// Files that were taken out.
    pub removed: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Its segments.
    pub segments: usize,
}

pub(super) fn files(library: &Library) -> Result<Vec<LibraryFile>> {
    let mut files: Vec<LibraryFile> =
        library.load_ledger()?.files.into_iter().map(|(path, entry)| file(path, entry)).collect();
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn file(path: PathBuf, entry: Entry) -> LibraryFile {
    let state = match entry.outcome {
        Outcome::Track(id, quality) => FileState::Track(id, quality),
        Outcome::Failed { reason, kind, decoded_s } => {
            FileState::Failed(FailureKind::of_number(kind), reason, decoded_s)
        }
        Outcome::Removed => FileState::Removed,
    };
    LibraryFile { path, bytes: entry.size, hash: entry.hash, state }
}

pub(super) fn tracks(reader: &Reader, text: &str) -> Result<Vec<TrackEntry>> {
    let text = text.to_lowercase();
    let holds = |track: &TrackEntry| {
        let tags = [&track.tags.title, &track.tags.artist, &track.tags.album];
        let texts = tags.into_iter().flatten().chain([&track.name]);
        text.is_empty() || texts.into_iter().any(|t| t.to_lowercase().contains(&text))
    };
    reader.tracks().filter(|track| track.as_ref().map_or(true, holds)).collect()
}

pub(super) fn remove(library: &Library, paths: &[PathBuf]) -> Result<Vec<TrackEntry>> {
    let mut writer = library.index().writer()?;
    let mut ledger = library.load_ledger()?;
    ledger.reconcile(&library.reader())?;
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let roots: Vec<PathBuf> = paths.iter().map(absolute).collect();
    let named = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let tracks: HashSet<TrackId> = ledger
        .files
        .iter()
        .filter(|(path, _)| named(path))
        .filter_map(|(_, e)| e.track())
        .collect();
    for (path, entry) in &mut ledger.files {
        // Another file with the same content goes with it: the content is not wanted.
        if named(path) || entry.track().is_some_and(|id| tracks.contains(&id)) {
            entry.outcome = Outcome::Removed;
        }
    }
    let mut tracks: Vec<TrackId> = tracks.into_iter().collect();
    tracks.sort_unstable();
    let removed = tracks.into_iter().map(|id| writer.remove(id)).collect::<Result<Vec<_>>>()?;
    writer.commit()?;
    library.save_ledger(&ledger)?;
    Ok(removed)
}

pub(super) fn stats(library: &Library) -> Result<LibraryStats> {
    let index = library.reader().stats();
    let mut stats = LibraryStats {
        tracks: index.tracks,
        duration_s: index.duration_s,
        index_bytes: index.bytes,
        segments: index.segments.len(),
        ..LibraryStats::default()
    };
    for entry in library.load_ledger()?.files.values() {
        match entry.outcome {
            Outcome::Track(..) => {
                stats.files += 1;
                stats.files_bytes += entry.size;
            }
            Outcome::Failed { .. } => stats.failed += 1,
            Outcome::Removed => stats.removed += 1,
        }
    }
    Ok(stats)
}
