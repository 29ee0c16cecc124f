//! Recordings that are in a library more than once.

use super::Library;
use super::grouping::groups;
use super::joining::Joiner;
use super::ledger::{Outcome, Quality};
use super::pipeline::lock;
use crate::error::Result;
use crate::search::{Span, SpeedRange};
use crate::store::TrackEntry;
use crate::units::TrackId;
use collection::Collection;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

mod best;
mod collection;
mod stars;

/// What counts as a duplicate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicateOptions {
    /// How much faster or slower a copy may be. Default 4 %.
    pub speed: SpeedRange,
    /// Two recordings are the same if this share of each is in the other, 0 to 1. Default 0.6.
    pub share_same: f64,
    /// One is inside another if this share of it is in that, 0 to 1. Default 0.75.
    pub share_inside: f64,
    /// They have so many seconds in common at least. Default 5.
    pub least_s: f64,
    /// And this share of the peaks there, 0 to 1. Default 0.35.
    pub least_agreement: f64,
    /// Groups of a greater [E-value](DuplicatePair::false_alarms) are left out. Default 10⁻⁵.
    pub max_false_alarms: f64,
    /// Threads; 0 for one per core. Default 0.
    pub workers: usize,
}

impl Default for DuplicateOptions {
    fn default() -> Self {
        Self {
            speed: SpeedRange::percent(4.0).unwrap_or(SpeedRange::OFF),
            share_same: 0.6,
            share_inside: 0.75,
            least_s: 5.0,
            least_agreement: 0.35,
            max_false_alarms: 1e-5,
            workers: 0,
        }
    }
}

impl DuplicateOptions {
    fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

/// Recordings that are the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicateGroup {
    /// The copies, the best first.
    pub copies: Vec<DuplicateCopy>,
    /// Why the first is the best.
    pub why: String,
    /// How each of the others goes together with the best.
    pub pairs: Vec<DuplicatePair>,
}

/// One of several recordings that are the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicateCopy {
    /// The track.
    pub track: TrackEntry,
    /// Its files: several, if their contents are the same.
    pub files: Vec<PathBuf>,
    /// Bytes of a file.
    pub bytes: u64,
    /// What the file is.
    pub quality: Quality,
}

/// What two recordings have in common.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicatePair {
    /// The best copy,
    pub best: TrackId,
    /// and another.
    pub other: TrackId,
    /// What of the best is in the other,
    pub span_best: Span,
    /// and where.
    pub span_other: Span,
    /// Speed of the other as a multiple of the best's.
    pub speed: f64,
    /// Share of the peaks of both that agree, 0 to 1.
    pub agreement: f64,
    /// How many matches at least as strong chance is expected to give, when a clip of this is searched in
    /// the library.
    pub false_alarms: f64,
}

pub(super) fn duplicates(
    library: &Library,
    options: &DuplicateOptions,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Vec<DuplicateGroup>> {
    let reader = library.reader();
    let tracks = reader.tracks().collect::<Result<Vec<_>>>()?;
    let number = tracks.iter().enumerate().map(|(i, track)| (track.id, i)).collect();
    let collection = Collection { reader: &reader, tracks, number };
    let ids: Vec<TrackId> = collection.tracks.iter().map(|track| track.id).collect();
    let joiner = Joiner::new(&reader, &ids, options.speed)?;
    let edges = collection.join(&joiner, options, progress)?;
    let mut files: HashMap<TrackId, (Vec<PathBuf>, u64, Quality)> = HashMap::new();
    let mut known: Vec<_> = library.load_ledger()?.files.into_iter().collect();
    known.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (path, entry) in known {
        if let Outcome::Track(id, quality) = entry.outcome {
            files.entry(id).or_insert_with(|| (Vec::new(), entry.size, quality)).0.push(path);
        }
    }
    let mut all = Vec::new();
    let mut grouped = groups(&edges, options.share_same);
    let in_groups: HashSet<usize> = grouped.iter().flatten().copied().collect();
    // Files of the same content are one track.
    for (i, track) in collection.tracks.iter().enumerate() {
        let several = files.get(&track.id).is_some_and(|(paths, ..)| paths.len() > 1);
        if several && !in_groups.contains(&i) {
            grouped.push(vec![i]);
        }
    }
    let made: Mutex<Vec<Result<Vec<DuplicateGroup>>>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let one = |members: &[usize]| {
        let copy = |&i: &usize| {
            let track = collection.tracks[i].clone();
            let (files, bytes, quality) = files.get(&track.id).cloned().unwrap_or_default();
            DuplicateCopy { track, files, bytes, quality }
        };
        let mut copies: Vec<DuplicateCopy> = members.iter().map(copy).collect();
        best::sort(&mut copies);
        collection.stars(&joiner, &edges, copies, options)
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads() {
            scope.spawn(|| {
                while let Some(members) = grouped.get(next.fetch_add(1, Relaxed)) {
                    let groups = one(members);
                    lock(&made).push(groups);
                }
            });
        }
    });
    for groups in std::mem::take(&mut *lock(&made)) {
        all.extend(groups?);
    }
    // In the order of their tracks, whichever thread was first.
    all.sort_by_key(|group| {
        let mut ids: Vec<TrackId> = group.copies.iter().map(|copy| copy.track.id).collect();
        ids.sort_unstable();
        ids
    });
    Ok(all)
}
