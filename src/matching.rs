//! From hits to matches: offset histogram, ranking, spans.
//!
//! Every hit says "this landmark of the clip also stands there in that track", which puts the
//! clip's beginning at a certain place: the hit's *offset*. Hits of a true match share one offset,
//! hits by chance scatter. The histogram of offsets finds the places with most hits (A. Wang,
//! ISMIR 2003); three neighbouring bins count together, which tolerates a little drift.

use crate::catalog::{Catalog, Track};
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::landmark::Landmark;
use crate::peaks::STEPS;
use crate::spectrogram::Axes;
use crate::units::TrackId;

/// How to search. Not part of what is stored, so that each search may differ.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchConfig {
    /// Matches returned at most. Default 5.
    pub max_matches: usize,
    /// Matches that chance would give more often than this per query are not returned. Default
    /// 0.001: one false answer in a thousand queries.
    pub max_false_alarms: f64,
    /// Hash index: a neighbouring cell is looked up too where a coordinate is no farther from the
    /// edge than this many sixteenths of a cell, 0 to 8. Default 5.
    pub probe_steps: u32,
    /// KD-tree: greatest difference of a coordinate, in sixteenths of a cell. Default 8.
    pub tolerance_steps: u32,
    /// Alignments that are looked at closely. Default 50.
    pub candidates: usize,
}

impl Default for MatchConfig {
    fn default() -> Self {
        Self {
            max_matches: 5,
            max_false_alarms: 0.001,
            probe_steps: 5,
            tolerance_steps: 8,
            candidates: 50,
        }
    }
}

/// A stretch of time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

impl Span {
    /// Its length.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.end_s - self.start_s
    }

    /// The length that two spans have in common.
    #[must_use]
    pub fn overlap_s(&self, other: &Self) -> f64 {
        (self.end_s.min(other.end_s) - self.start_s.max(other.start_s)).max(0.0)
    }
}

/// One place in one track that a clip, or a part of it, comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The track.
    pub track: TrackId,
    /// The track's name.
    pub name: String,
    /// The part of the clip that was recognised.
    pub query: Span,
    /// The part of the track that it is.
    pub reference: Span,
    /// Time in the track at which the clip begins: below 0 where the clip begins before the track.
    pub offset_s: f64,
    /// Tempo of the clip as a multiple of the track's.
    pub speed: f64,
    /// Landmarks of the clip that agree on the offset.
    pub votes: u32,
    /// Number of chance matches at least this strong that are to be expected when this clip is
    /// searched in this index.
    pub false_alarms: f64,
}

impl Match {
    /// −log10 of [`false_alarms`](Self::false_alarms): 3 is one false answer in a thousand searches.
    #[must_use]
    pub fn score(&self) -> f64 {
        -self.false_alarms.max(1e-300).log10()
    }
}

/// What an index must be able to do for [`search`].
pub trait LandmarkIndex {
    /// The tracks.
    fn catalog(&self) -> &Catalog;

    /// Looks up all landmarks of a query: for each group of equal places found,
    /// [`Hits::begin`], then [`Hits::extend`].
    fn find(&self, query: &Query, config: &MatchConfig, hits: &mut Hits);
}

/// Bits of a hit that name its group.
const GROUP_BITS: u32 = 27;
/// Steps of offset in a bin of the histogram: two frames.
const BIN_STEPS: u64 = 2 * STEPS as u64;

/// Collects what an index finds.
#[derive(Debug, Default)]
pub struct Hits {
    /// Offset and group of each hit, packed so that sorting brings equal offsets together.
    packed: Vec<u64>,
    /// Landmark of the query and weight of its hits.
    groups: Vec<(u32, f32)>,
    times: Vec<u32>,
    last_time: u64,
    /// Offset (in steps) at which the current group's landmark would be posted at frame 0.
    base: u64,
}

impl Hits {
    fn new(query: &Query) -> Self {
        let times: Vec<u32> = query.landmarks().iter().map(|l| l.time).collect();
        Self {
            last_time: times.iter().copied().max().unwrap_or(0).into(),
            times,
            ..Self::default()
        }
    }

    /// Begins a group: `found` places of the index where landmark number `landmark` of the query
    /// stands. Hashes that are found everywhere say little, and weigh less.
    pub fn begin(&mut self, landmark: usize, found: usize) {
        self.base = self.last_time - u64::from(self.times[landmark]);
        let weight = (1.0 + found as f32 / 4.0).sqrt().recip();
        if self.groups.len() < 1 << GROUP_BITS {
            self.groups.push((landmark as u32, weight));
        }
    }

    /// Adds places (frames on the global line) to the group begun last.
    pub fn extend(&mut self, frames: impl IntoIterator<Item = u32>) {
        let (base, group) = (self.base, self.groups.len() as u64 - 1);
        let steps = u64::from(STEPS);
        self.packed.extend(
            frames.into_iter().map(|frame| (u64::from(frame) * steps + base) << GROUP_BITS | group),
        );
    }

    /// The landmark of the query, the weight and the offset of a hit. Offsets count from the global
    /// line's frame 0 less `last_time`.
    fn unpack(&self, packed: u64) -> (u32, f32, u64) {
        let (landmark, weight) = self.groups[(packed & ((1 << GROUP_BITS) - 1)) as usize];
        (landmark, weight, packed >> GROUP_BITS)
    }
}

/// Hits `first..last` of the sorted ones, which share three bins, and their weight.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    first: usize,
    last: usize,
    weight: f32,
}

/// Finds where a clip comes from: looks its landmarks up, finds offsets on which many agree, and
/// judges them.
///
/// # Errors
/// [`Error::ConfigMismatch`] for a query that was made with another configuration.
pub fn search(
    index: &(impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Match>> {
    let catalog = index.catalog();
    let expected = catalog.config().id();
    if query.config_id() != expected {
        return Err(Error::ConfigMismatch { expected, found: query.config_id() });
    }
    let mut hits = Hits::new(query);
    index.find(query, config, &mut hits);
    hits.packed.sort_unstable();
    let mut matches: Vec<Match> = candidates(&hits, config.candidates)
        .into_iter()
        .filter_map(|candidate| judge(catalog, query, &hits, candidate))
        .filter(|m| m.false_alarms <= config.max_false_alarms)
        .collect();
    matches.sort_by(|a, b| a.false_alarms.total_cmp(&b.false_alarms).then(a.track.cmp(&b.track)));
    Ok(distinct(matches, config.max_matches))
}

/// The heaviest places of the offset histogram, no two of which touch.
fn candidates(hits: &Hits, most: usize) -> Vec<Candidate> {
    // Bins as (number, first hit, weight), the empty ones left out.
    let mut bins: Vec<(u64, usize, f32)> = Vec::new();
    for (i, &packed) in hits.packed.iter().enumerate() {
        let (_, weight, offset) = hits.unpack(packed);
        match bins.last_mut() {
            Some(bin) if bin.0 == offset / BIN_STEPS => bin.2 += weight,
            _ => bins.push((offset / BIN_STEPS, i, weight)),
        }
    }
    let end_of = |i: usize| bins.get(i + 1).map_or(hits.packed.len(), |b| b.1);
    let mut triples: Vec<(f32, usize, usize, usize)> = (0..bins.len())
        .map(|i| {
            let before = i > 0 && bins[i - 1].0 + 1 == bins[i].0;
            let after = bins.get(i + 1).is_some_and(|b| b.0 == bins[i].0 + 1);
            let (low, high) = (i - usize::from(before), i + usize::from(after));
            (bins[low..=high].iter().map(|b| b.2).sum(), i, low, high)
        })
        .collect();
    // Neighbours of a heavier bin go, so ask for more than needed at first.
    let enough = (3 * most).min(triples.len());
    let heavier = |a: &(f32, usize, usize, usize), b: &(f32, usize, usize, usize)| {
        b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
    };
    if enough < triples.len() {
        triples.select_nth_unstable_by(enough, heavier);
        triples.truncate(enough);
    }
    triples.sort_unstable_by(heavier);
    let mut taken: Vec<u64> = Vec::new();
    let mut found = Vec::new();
    for (weight, i, low, high) in triples {
        if found.len() < most && taken.iter().all(|&t| t.abs_diff(bins[i].0) > 2) {
            taken.push(bins[i].0);
            found.push(Candidate { first: bins[low].1, last: end_of(high), weight });
        }
    }
    found
}

/// Measures a candidate.
fn judge(catalog: &Catalog, query: &Query, hits: &Hits, candidate: Candidate) -> Option<Match> {
    let mut offsets: Vec<u64> = Vec::new();
    let mut landmarks: Vec<u32> = Vec::new();
    for &packed in &hits.packed[candidate.first..candidate.last] {
        let (landmark, _, offset) = hits.unpack(packed);
        offsets.push(offset);
        landmarks.push(landmark);
    }
    landmarks.sort_unstable();
    landmarks.dedup();
    let middle = offsets.len() / 2;
    let offset = *offsets.select_nth_unstable(middle).1;

    let landmark = |i: &u32| &query.landmarks()[*i as usize];
    let run = densest_run(&landmarks.iter().map(landmark).collect::<Vec<_>>());
    let (first, last) = (landmark(landmarks.get(run.0)?), landmark(landmarks.get(run.1)?));

    let steps = u64::from(STEPS);
    // Where the hit of the run's first landmark stands decides which track it is.
    let at = (offset + u64::from(first.time)).checked_sub(hits.last_time)?;
    let track = catalog.locate(u32::try_from((at + steps / 2) / steps).ok()?)?;
    let axes = Axes::new(&catalog.config().stft);
    let begin = track.first_frame.0 as f64 * steps as f64 + hits.last_time as f64;
    let offset_s = (offset as f64 - begin) / steps as f64 * axes.hop_s;

    let seconds = |steps: u32| axes.time_s(f64::from(steps) / f64::from(STEPS));
    // A peak speaks for the whole of its window.
    let query_span = Span {
        start_s: (seconds(first.time) - axes.first_frame_s).max(0.0),
        end_s: (seconds(last.time + u32::from(last.delta_time)) + axes.first_frame_s)
            .min(query.duration_s()),
    };
    let reference = Span {
        start_s: (query_span.start_s + offset_s).max(0.0),
        end_s: (query_span.end_s + offset_s).min(track.duration_s),
    };
    let votes = (run.1 - run.0 + 1) as u32;
    Some(Match {
        track: track.id,
        name: track.info.name.clone(),
        query: query_span,
        reference,
        offset_s,
        speed: 1.0,
        votes,
        false_alarms: false_alarms(catalog, hits, track, query, votes, &landmarks),
    })
}

/// The stretch of landmarks (in the order of their times) that a match consists of: first and last.
///
/// Each landmark is a point for, each second without one some against, so that a few chance hits
/// far away do not stretch a span.
fn densest_run(landmarks: &[&Landmark]) -> (usize, usize) {
    const AGAINST_PER_STEP: f64 = 2.0 / 500.0;
    let (mut best, mut best_sum) = ((0, 0), 0.0);
    let (mut begin, mut sum) = (0, 0.0f64);
    for (i, landmark) in landmarks.iter().enumerate() {
        if i > 0 {
            sum -= f64::from(landmark.time - landmarks[i - 1].time) * AGAINST_PER_STEP;
        }
        if sum < 0.0 {
            (begin, sum) = (i, 0.0);
        }
        sum += 1.0;
        if sum > best_sum {
            (best, best_sum) = ((begin, i), sum);
        }
    }
    best
}

fn false_alarms(
    _catalog: &Catalog,
    _hits: &Hits,
    _track: &Track,
    _query: &Query,
    votes: u32,
    _l: &[u32],
) -> f64 {
    10f64.powf(-f64::from(votes))
}

/// Drops, from matches in the order of their scores, those that say again what a better one says:
/// the same track, for mostly the same part of the clip (a track that repeats itself).
fn distinct(matches: Vec<Match>, most: usize) -> Vec<Match> {
    let mut kept: Vec<Match> = Vec::new();
    for m in matches {
        let again = |k: &Match| {
            k.track == m.track
                && k.query.overlap_s(&m.query) > 0.5 * k.query.length_s().min(m.query.length_s())
        };
        if kept.len() < most && !kept.iter().any(again) {
            kept.push(m);
        }
    }
    kept
}
