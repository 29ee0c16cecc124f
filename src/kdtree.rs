//! The KD-tree index: landmarks as points with continuous coordinates, searched within a tolerance.
//!
//! Where the hash index asks for equality of rounded coordinates, the tree asks for all landmarks
//! within a distance, so no quantisation edge loses one.
//!
//! It lives in memory and has no file of its own: it is built from the peaks that the file of a hash
//! index holds, three million landmarks a second on each core.

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::landmark::Landmark;
use crate::peaks::STEPS;
use crate::search::candidates::{Hits, LandmarkIndex};
use crate::search::{Match, MatchConfig};
use kiddo::{Chebyshev, Eytzinger, KdTree, VecOfArenas};

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
/// use earmark::{Config, Fingerprinter, HashIndex, KdIndex, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// # let rate = SampleRate::new(8000)?;
/// # let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let mut index = HashIndex::new(Config::default())?;
/// index.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
/// let index = KdIndex::new(index.into_catalog())?;
///
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// assert_eq!(index.search(&clip, &MatchConfig::default())?[0].name, "song");
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug)]
pub struct KdIndex {
    catalog: Catalog,
    /// Points with the frame of the global line at which each stands. `None` where there is no point.
    tree: Option<Tree>,
}

fn coordinates(landmark: &Landmark) -> [f32; DIMENSIONS] {
    let steps = STEPS as f32;
    [
        f32::from(landmark.bin) / steps,
        f32::from(landmark.delta_bin) / steps,
        f32::from(landmark.delta_time) / steps,
    ]
}

impl KdIndex {
    /// Builds the tree from the peaks of a catalog's tracks (on all cores with the feature
    /// `parallel`).
    ///
    /// # Errors
    /// [`Error::KdTree`] where the tree cannot be built.
    pub fn new(catalog: Catalog) -> Result<Self> {
        let config = catalog.config();
        let points = catalog.flat_map(|track| {
            let landmarks = track.pair(config);
            landmarks.iter().map(|l| (coordinates(l), track.posting(l))).collect()
        });
        let tree = if points.is_empty() {
            None
        } else {
            let tree =
                Tree::new_from_source(&points, |point, axis| point.0[axis], |_, point| point.1);
            Some(tree.map_err(|e| Error::KdTree { reason: e.to_string() })?)
        };
        Ok(Self { catalog, tree })
    }

    /// The tracks.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
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

impl LandmarkIndex for KdIndex {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn find(&self, landmarks: &[Landmark], config: &MatchConfig, hits: &mut Hits) {
        let Some(tree) = &self.tree else { return };
        let tolerance = config.tolerance_steps as f32 / STEPS as f32;
        let mut frames = Vec::new();
        for (i, landmark) in landmarks.iter().enumerate() {
            frames.clear();
            tree.query(&coordinates(landmark))
                .within::<Chebyshev<f32>>(tolerance)
                .unsorted()
                .visit(|found| frames.push(found.item));
            if !frames.is_empty() {
                hits.begin(i, frames.len());
                hits.extend(frames.iter().copied());
            }
        }
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
