//! The KD-tree: landmarks as points with continuous coordinates, searched within a tolerance.
//!
//! Where an index of hashes asks for equality of rounded coordinates, the tree asks for all landmarks
//! within a distance, so no quantisation edge loses one.
//!
//! The tree lives in memory and has no file of its own: it is built from the peaks that a store holds,
//! three million landmarks a second. Everything else is read from that store.

use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::landmark::{Landmark, LandmarkHash, pair_all};
use crate::peaks::STEPS;
use crate::search::{Match, MatchConfig};
use crate::store::{Excerpted, Found, PostingList, Store, Totals, TrackEntry, blocks_of_frames};
use crate::units::TrackId;
use kiddo::{Chebyshev, Eytzinger, KdTree, VecOfArenas};
use std::ops::Range;

/// Frequency of the anchor, frequency and time to the target: in frames and bins.
const DIMENSIONS: usize = 3;
const LEAF_POINTS: usize = 32;
type Tree = KdTree<
    f32,
    u32,
    Eytzinger,
    VecOfArenas<f32, u32, DIMENSIONS, LEAF_POINTS>,
    DIMENSIONS,
    LEAF_POINTS,
>;

/// Tracks by the coordinates of their landmarks.
///
/// ```
/// use earmark::{Config, Fingerprinter, Index, KdIndex, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// # let rate = SampleRate::new(8000)?;
/// # let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let index = Index::in_memory(Config::default())?;
/// let mut writer = index.writer()?;
/// writer.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
/// writer.commit()?;
/// let tree = KdIndex::new(index.reader())?;
///
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// assert_eq!(tree.search(&clip, &MatchConfig::default())?[0].name, "song");
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug)]
pub struct KdIndex<S> {
    store: S,
    /// Points with the block of the line in which each stands. `None` where there is no point.
    tree: Option<Tree>,
    tolerance_steps: u32,
}

/// Blocks of the line that are read at a time,
const STRETCH_BLOCKS: u32 = 1 << 10;
/// and those beyond, where targets of the last anchors may stand.
const BEYOND_BLOCKS: u32 = 3;

fn coordinates(landmark: &Landmark) -> [f32; DIMENSIONS] {
    let steps = STEPS as f32;
    [
        landmark.bin.in_bins(),
        f32::from(landmark.delta_bin.0) / steps,
        f32::from(landmark.delta_time.0) / steps,
    ]
}

impl<S: Store> KdIndex<S> {
    /// Greatest difference of a coordinate, in sixteenths of a cell, unless
    /// [set otherwise](Self::set_tolerance_steps).
    pub const DEFAULT_TOLERANCE_STEPS: u32 = 8;

    /// Builds the tree from the peaks of a store's tracks.
    ///
    /// # Errors
    /// [`Error::KdTree`] where the tree cannot be built, and those of the store.
    pub fn new(store: S) -> Result<Self> {
        let totals = store.totals()?;
        let config = &totals.config;
        let (block_frames, fan_out) = (config.block_frames(), config.landmarks.reference_fan_out);
        let mut points = Vec::new();
        let starts = (0..totals.blocks).step_by(STRETCH_BLOCKS as usize);
        for stretch in starts.map(|start| start..start.saturating_add(STRETCH_BLOCKS)) {
            let wanted =
                stretch.start..stretch.end.saturating_add(BEYOND_BLOCKS).min(totals.blocks);
            for Excerpted { excerpt, .. } in store.excerpts(&[wanted])? {
                let last = blocks_of_frames(excerpt.track_frames, config) - 1;
                for landmark in pair_all(&excerpt.peaks, &config.landmarks, fan_out) {
                    // In the block of its peak, as the store counts it.
                    let frame = landmark.time.nearest_frame();
                    let block = (frame / block_frames).min(last);
                    let block = excerpt.first_block.saturating_add(block);
                    if stretch.contains(&block) {
                        points.push((coordinates(&landmark), block));
                    }
                }
            }
        }
        let tree = if points.is_empty() {
            None
        } else {
            let tree =
                Tree::new_from_source(&points, |point, axis| point.0[axis], |_, point| point.1);
            Some(tree.map_err(|e| Error::KdTree { reason: e.to_string() })?)
        };
        Ok(Self { store, tree, tolerance_steps: Self::DEFAULT_TOLERANCE_STEPS })
    }

    /// Sets the greatest difference of a coordinate, in sixteenths of a cell: 64 at the most, for nearly
    /// everything is within that.
    pub fn set_tolerance_steps(&mut self, steps: u32) {
        self.tolerance_steps = steps.min(4 * STEPS);
    }

    /// The store that it was built from.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Number of landmarks in the tree.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tree.as_ref().map_or(0, Tree::size)
    }

    /// Whether the tree has no landmark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds the tracks that a clip comes from, best first.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`] for a query made in another way.
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        crate::search::search(self, query, config)
    }
}

impl<S: Store> Store for KdIndex<S> {
    fn totals(&self) -> Result<Totals> {
        self.store.totals()
    }

    fn postings(&self, hashes: &[LandmarkHash]) -> Result<Vec<PostingList<'_>>> {
        self.store.postings(hashes)
    }

    fn look_up<'s>(&'s self, landmarks: &[Landmark], _probe_steps: u32) -> Result<Vec<Found<'s>>> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        let tolerance = self.tolerance_steps as f32 / STEPS as f32;
        let (mut found, mut blocks) = (Vec::new(), Vec::new());
        for (landmark, at) in (0..).zip(landmarks) {
            blocks.clear();
            tree.query(&coordinates(at))
                .within::<Chebyshev<f32>>(tolerance)
                .unsorted()
                .visit(|found| blocks.push(found.item));
            if !blocks.is_empty() {
                blocks.sort_unstable();
                let list = PostingList::encode(landmark, blocks.iter().copied());
                found.push(Found { landmark, list });
            }
        }
        Ok(found)
    }

    fn excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>> {
        self.store.excerpts(wanted)
    }

    fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<TrackEntry>>> {
        self.store.tracks(ids)
    }

    fn blocks_of(&self, ids: &[TrackId]) -> Result<Vec<Range<u32>>> {
        self.store.blocks_of(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    fn scan(points: &[([f32; 3], u32)], at: &[f32; 3], tolerance: f32) -> Vec<u32> {
        let near = |p: &[f32; 3]| p.iter().zip(at).all(|(a, b)| (a - b).abs() <= tolerance);
        let mut found: Vec<u32> = points.iter().filter(|p| near(&p.0)).map(|p| p.1).collect();
        found.sort_unstable();
        found
    }

    /// Points on a coarse grid: each of them stands hundreds of times, as a looped track's do.
    #[test]
    fn finds_what_a_linear_scan_finds_among_thousands_of_equal_points() {
        let mut random = rng(12);
        for (n, grid) in [(1, 1.0), (20_000, 4.0), (20_000, 1.0), (5_000, 1000.0)] {
            let points: Vec<([f32; 3], u32)> =
                (0..n).map(|i| ([0; 3].map(|_| (random() * grid).floor() * 0.25), i)).collect();
            let tree = Tree::new_from_source(&points, |p, axis| p.0[axis], |_, p| p.1).unwrap();
            for _ in 0..20 {
                let at = [0; 3].map(|_| random() * grid * 0.25);
                let mut found = Vec::new();
                tree.query(&at)
                    .within::<Chebyshev<f32>>(0.5)
                    .unsorted()
                    .visit(|f| found.push(f.item));
                found.sort_unstable();
                assert_eq!(found, scan(&points, &at, 0.5));
            }
        }
    }
}
