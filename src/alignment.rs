//! The first stage of a search: where do many landmarks of the clip agree?
//!
//! Every hit says "this landmark of the clip also stands there in that track", which puts the
//! clip's beginning at a certain place: the hit's *offset*. Hits of a true match share one offset,
//! hits by chance scatter. The histogram of offsets finds the places with most hits (A. Wang,
//! ISMIR 2003); three neighbouring bins count together, which tolerates a little drift.

use crate::catalog::{Catalog, Track};
use crate::landmark::Landmark;
use crate::matching::MatchConfig;
use crate::peaks::STEPS;
use crate::speed::Playback;

/// What an index must be able to do for [`search`](crate::matching::search).
pub trait LandmarkIndex {
    /// The tracks.
    fn catalog(&self) -> &Catalog;

    /// Looks up landmarks of a query: for each group of equal places found, [`Hits::begin`], then
    /// [`Hits::extend`].
    fn find(&self, landmarks: &[Landmark], config: &MatchConfig, hits: &mut Hits);
}

/// Bits of a hit that name its group.
const GROUP_BITS: u32 = 27;
/// Steps of offset in a bin of the histogram: two frames.
const BIN_STEPS: u64 = 2 * STEPS as u64;

/// Collects what an index finds.
#[derive(Debug)]
pub struct Hits {
    /// Offset and group of each hit, packed so that sorting brings equal offsets together.
    packed: Vec<u64>,
    /// Landmark of the query and weight of its hits.
    groups: Vec<(u32, f32)>,
    /// Time of each landmark of the query,
    times: Vec<u32>,
    /// and the last of them. Offsets count from as long before the global line's beginning.
    last_time: u64,
    /// Offset at which the current group's landmark would be posted at frame 0.
    base: u64,
}

impl Hits {
    fn new(landmarks: &[Landmark]) -> Self {
        let times: Vec<u32> = landmarks.iter().map(|l| l.time).collect();
        let last_time = times.iter().copied().max().unwrap_or(0).into();
        Self { packed: Vec::new(), groups: Vec::new(), times, last_time, base: 0 }
    }

    /// Begins a group: `found` places of the index where landmark number `landmark` of the query
    /// stands. Hashes that are found everywhere say little, and weigh less.
    ///
    /// # Panics
    /// Where the query has no such landmark.
    pub fn begin(&mut self, landmark: usize, found: usize) {
        self.base = self.last_time - u64::from(self.times[landmark]);
        let weight = (1.0 + found as f32 / 4.0).sqrt().recip();
        // A clip of many hours may have more; the last group then takes what is left.
        if self.groups.len() < 1 << GROUP_BITS {
            self.groups.push((landmark as u32, weight));
        }
    }

    /// Adds places (frames on the global line) to the group begun last.
    pub fn extend(&mut self, frames: impl IntoIterator<Item = u32>) {
        let (base, group) = (self.base, self.groups.len().saturating_sub(1) as u64);
        let offset = |frame: u32| u64::from(frame) * u64::from(STEPS) + base;
        self.packed.extend(frames.into_iter().map(|frame| offset(frame) << GROUP_BITS | group));
    }

    fn landmark(&self, packed: u64) -> (u32, f32) {
        self.groups[(packed & ((1 << GROUP_BITS) - 1)) as usize]
    }
}

/// A place where the clip may lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alignment<'a> {
    pub track: &'a Track,
    /// Time in the track at which the clip begins, in 1/[`STEPS`] of a frame.
    pub offset_steps: i64,
    /// Landmarks of the clip that agree on it,
    pub votes: u32,
    /// and the weight of their hits.
    pub weight: f32,
    /// Time of the middle one in the clip, in 1/[`STEPS`] of a frame.
    pub pivot_steps: i64,
    /// How the clip is played there.
    pub playback: Playback,
}

/// A bin of the histogram that is not empty.
#[derive(Clone, Copy)]
struct Bin {
    number: u64,
    first_hit: usize,
    weight: f32,
}

/// The places on which most weight of hits agrees, `most` at the most, no two within four frames.
pub(crate) fn alignments<'a>(
    index: &'a (impl LandmarkIndex + ?Sized),
    landmarks: &[Landmark],
    config: &MatchConfig,
    most: usize,
) -> Vec<Alignment<'a>> {
    let mut hits = Hits::new(landmarks);
    index.find(landmarks, config, &mut hits);
    hits.packed.sort_unstable();
    let bins = histogram(&hits);
    heaviest(&bins, most)
        .into_iter()
        .filter_map(|(first, last)| {
            let end = bins.get(last + 1).map_or(hits.packed.len(), |b| b.first_hit);
            align(index.catalog(), &hits, &hits.packed[bins[first].first_hit..end])
        })
        .collect()
}

fn histogram(hits: &Hits) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    for (i, &packed) in hits.packed.iter().enumerate() {
        let (_, weight) = hits.landmark(packed);
        let number = (packed >> GROUP_BITS) / BIN_STEPS;
        match bins.last_mut() {
            Some(bin) if bin.number == number => bin.weight += weight,
            _ => bins.push(Bin { number, first_hit: i, weight }),
        }
    }
    bins
}

/// First and last bin of the heaviest groups of three neighbours that do not touch.
fn heaviest(bins: &[Bin], most: usize) -> Vec<(usize, usize)> {
    let mut groups: Vec<(f32, usize, usize, usize)> = (0..bins.len())
        .map(|i| {
            let number = bins[i].number;
            let before = i > 0 && bins[i - 1].number + 1 == number;
            let after = bins.get(i + 1).is_some_and(|b| b.number == number + 1);
            let (first, last) = (i - usize::from(before), i + usize::from(after));
            (bins[first..=last].iter().map(|b| b.weight).sum(), i, first, last)
        })
        .collect();
    let heavier = |a: &(f32, usize, usize, usize), b: &(f32, usize, usize, usize)| {
        b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
    };
    // The neighbours of each group chosen go, so keep more than will be needed.
    let enough = most.saturating_mul(5);
    if enough < groups.len() {
        groups.select_nth_unstable_by(enough, heavier);
        groups.truncate(enough);
    }
    groups.sort_unstable_by(heavier);
    let mut taken = std::collections::HashSet::new();
    let mut found = Vec::new();
    for (_, i, first, last) in groups {
        let number = bins[i].number;
        let free = (number.saturating_sub(2)..=number + 2).all(|n| !taken.contains(&n));
        if found.len() < most && free {
            taken.insert(number);
            found.push((first, last));
        }
    }
    found
}

/// Measures a group of hits that agree.
fn align<'a>(catalog: &'a Catalog, hits: &Hits, packed: &[u64]) -> Option<Alignment<'a>> {
    let mut landmarks: Vec<u32> = packed.iter().map(|&p| hits.landmark(p).0).collect();
    landmarks.sort_unstable();
    landmarks.dedup();
    // They are sorted by offset.
    let offset = (packed[packed.len() / 2] >> GROUP_BITS) as i64 - hits.last_time as i64;
    // Where the middle landmark is posted tells which track it is.
    let middle = landmarks[landmarks.len() / 2] as usize;
    let steps = i64::from(STEPS);
    let frame = (offset + i64::from(hits.times[middle])).div_euclid(steps);
    let track = catalog.locate(u32::try_from(frame).ok()?)?;
    Some(Alignment {
        track,
        offset_steps: offset - i64::from(track.first_frame.0) * steps,
        votes: landmarks.len() as u32,
        weight: packed.iter().map(|&p| hits.landmark(p).1).sum(),
        pivot_steps: hits.times[middle].into(),
        playback: Playback::UNCHANGED,
    })
}
