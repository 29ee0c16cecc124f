//! The first stage of a search: where do many landmarks of the clip agree?
//!
//! Every hit says "this landmark of the clip also stands there in that track", which puts the
//! clip's beginning at a certain place: the hit's *offset*. Hits of a true match share one offset,
//! hits by chance scatter. The histogram of offsets finds the places with most hits (A. Wang,
//! ISMIR 2003); three neighbouring bins count together, which tolerates a little drift.

use super::alignment::Alignment;
use super::config::MatchConfig;
use super::playback::Playback;
use crate::catalog::Catalog;
use crate::landmark::Landmark;
use crate::peaks::STEPS;
use std::collections::HashSet;

/// What an index must be able to do for [`search`](crate::search::search).
pub trait LandmarkIndex {
    /// The tracks.
    fn catalog(&self) -> &Catalog;

    /// Looks up landmarks of a query: for each group of equal places found, [`Hits::begin`], then
    /// [`Hits::extend`].
    fn find(&self, landmarks: &[Landmark], config: &MatchConfig, hits: &mut Hits);
}

/// Bits of a hit that name its group.
const GROUP_BITS: u32 = 27;
/// Hits are kept up to this number, 128 MB: only long clips that repeat themselves have more.
pub(crate) const MAX_HITS: usize = 1 << 24;
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

    /// Adds places (frames on the global line) to the group begun last. Beyond 16 million places in
    /// all, nothing is added.
    pub fn extend(&mut self, frames: impl IntoIterator<Item = u32>) {
        let (base, group) = (self.base, self.groups.len().saturating_sub(1) as u64);
        let offset = |frame: u32| u64::from(frame) * u64::from(STEPS) + base;
        let frames = frames.into_iter().take(MAX_HITS - self.packed.len());
        self.packed.extend(frames.map(|frame| offset(frame) << GROUP_BITS | group));
    }

    fn landmark(&self, packed: u64) -> (u32, f32) {
        self.groups[(packed & ((1 << GROUP_BITS) - 1)) as usize]
    }
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
    let align_group = |group: &Group| {
        let end = bins.get(group.last + 1).map_or(hits.packed.len(), |b| b.first_hit);
        align(index.catalog(), &hits, &hits.packed[bins[group.first].first_hit..end])
    };
    heaviest(&bins, most, align_group)
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

/// Three neighbouring bins, or as many of them as there are.
#[derive(Clone, Copy)]
struct Group {
    weight: f32,
    middle: usize,
    first: usize,
    last: usize,
}

/// What `align` makes of the heaviest groups that do not touch. Groups of
/// which it makes nothing, those of removed tracks, take no place from others.
fn heaviest<T>(bins: &[Bin], most: usize, mut align: impl FnMut(&Group) -> Option<T>) -> Vec<T> {
    let mut groups: Vec<Group> = (0..bins.len())
        .map(|middle| {
            let number = bins[middle].number;
            let before = middle > 0 && bins[middle - 1].number + 1 == number;
            let after = bins.get(middle + 1).is_some_and(|b| b.number == number + 1);
            let (first, last) = (middle - usize::from(before), middle + usize::from(after));
            let weight = bins[first..=last].iter().map(|b| b.weight).sum();
            Group { weight, middle, first, last }
        })
        .collect();
    let heavier =
        |a: &Group, b: &Group| b.weight.total_cmp(&a.weight).then(a.middle.cmp(&b.middle));
    let mut taken = HashSet::new();
    let mut found = Vec::new();
    let mut rest = &mut groups[..];
    // The neighbours of each group chosen go, so that more than `most` are sorted at a time.
    let at_once = most.saturating_mul(5).max(1);
    while found.len() < most && !rest.is_empty() {
        let (now, later) = if at_once < rest.len() {
            rest.select_nth_unstable_by(at_once, heavier);
            rest.split_at_mut(at_once)
        } else {
            (rest, &mut [][..])
        };
        now.sort_unstable_by(heavier);
        for group in now {
            let number = bins[group.middle].number;
            let free = (number.saturating_sub(2)..=number + 2).all(|n| !taken.contains(&n));
            if found.len() < most && free {
                taken.insert(number);
                found.extend(align(group));
            }
        }
        rest = later;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    fn bin(number: u64, weight: f32) -> Bin {
        Bin { number, first_hit: 0, weight }
    }

    /// The definition, written down as it reads: the heaviest group, then the heaviest of those left
    /// that are not within two bins of one chosen.
    fn naive(bins: &[Bin], most: usize, present: impl Fn(usize) -> bool) -> Vec<u64> {
        let weight = |i: usize| -> f32 {
            let near = |b: &&Bin| b.number.abs_diff(bins[i].number) <= 1;
            bins.iter().filter(near).map(|b| b.weight).sum()
        };
        let mut order: Vec<usize> = (0..bins.len()).collect();
        order.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
        let (mut chosen, mut found): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
        for i in order {
            let number = bins[i].number;
            if found.len() < most && chosen.iter().all(|c| c.abs_diff(number) > 2) {
                chosen.push(number);
                found.extend(present(i).then_some(number));
            }
        }
        found
    }

    #[test]
    fn hits_are_kept_up_to_a_limit() {
        let landmark = Landmark { time: 0, bin: 0, delta_bin: 0, delta_time: 0 };
        let mut hits = Hits::new(&[landmark]);
        hits.begin(0, 1);
        hits.extend(0..1000);
        hits.extend(0..u32::MAX);
        assert_eq!(hits.packed.len(), MAX_HITS);
    }

    #[test]
    fn the_heaviest_groups_agree_with_their_definition() {
        let mut random = rng(17);
        for (n, spread) in [(1, 1.0), (40, 2.0), (3000, 1.5), (3000, 9.0)] {
            let mut number = 0;
            let bins: Vec<Bin> = (0..n)
                .map(|_| {
                    number += 1 + (random() * spread) as u64;
                    // Sums of such weights are exact, in any order.
                    bin(number, (random() * 9.0).floor() + 1.0)
                })
                .collect();
            for most in [1, 7, 200] {
                // Tracks that were removed: all bins of some numbers.
                for gone in [u64::MAX, 2, 3] {
                    let present = |number: u64| !number.is_multiple_of(gone);
                    let numbers = naive(&bins, most, |i| present(bins[i].number));
                    let found = heaviest(&bins, most, |group| {
                        Some(bins[group.middle].number).filter(|number| present(*number))
                    });
                    assert_eq!(found, numbers, "{n} {spread} {most} {gone}");
                }
            }
        }
    }
}
