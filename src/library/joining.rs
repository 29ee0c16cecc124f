//! Finds where stretches of one recording are in others, through the index.

use super::line::{Aligner, Line, Side};
use crate::config::Config;
use crate::error::Result;
use crate::landmark::{Landmark, pair_all};
use crate::peaks::{Peak, STEPS};
use crate::search::{MatchConfig, SpeedRange, rarest};
use crate::store::{Reader, Store};
use crate::units::{TimeSteps, TrackId};
use std::ops::Range;

/// Length of a stretch in seconds.
pub(super) const STRETCH_S: f64 = 15.0;
/// Ratios are assumed so far apart, as logarithms.
const RUNG: f64 = 0.008;
/// The strongest peaks of a stretch are looked up, below this rank,
const RANK: u8 = 2;
/// with so many targets each. At other speeds, they end at this bin.
const FAN_OUT: usize = 2;
const HIGHEST_BIN: usize = 256;
/// Of their landmarks, the rarest that hold so many votes count, in a collection of any size.
const VOTES: u64 = 30_000;
/// Candidates that are looked at.
const MOST: usize = 64;
/// Of the weight that a stretch has where it comes from, a copy has at least this share,
const LEAST_SHARE: f64 = 0.08;
/// and this at another speed, of which a rung is half a step off.
const LEAST_RUNG_SHARE: f64 = 0.05;

/// A place where a stretch was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub track: TrackId,
    /// From the recording that was looked up to the track.
    pub line: Line,
    /// The middle of the stretch.
    pub at_s: f64,
    /// Share of the peaks of half of the stretch that the track has, 0 to 1.
    pub agreement: f64,
}

/// A recording of a library, as it is laid beside others.
pub(super) struct Recording {
    pub peaks: Vec<Peak>,
    pub duration_s: f64,
}

impl Recording {
    pub fn of(reader: &Reader, id: TrackId) -> Result<Self> {
        // Pairing them into landmarks, as a fingerprint does, would cost more than reading them.
        let (peaks, _, duration_s) = reader.features(id)?;
        Ok(Self { peaks, duration_s })
    }

    pub fn side(&self) -> Side<'_> {
        Side { peaks: &self.peaks, duration_s: self.duration_s }
    }
}

/// Looks up stretches in a store.
pub(super) struct Joiner<'s, S: ?Sized> {
    store: &'s S,
    config: Config,
    pub aligner: Aligner,
    rungs: Vec<f64>,
    search: MatchConfig,
    /// The tracks by their blocks, in the order of the line.
    line: Vec<(Range<u32>, TrackId)>,
}

impl<'s, S: Store + ?Sized> Joiner<'s, S> {
    pub fn new(store: &'s S, ids: &[TrackId], speed: SpeedRange) -> Result<Self> {
        let config = Config::clone(&store.totals()?.config);
        let mut line: Vec<(Range<u32>, TrackId)> =
            store.blocks_of(ids)?.into_iter().zip(ids.iter().copied()).collect();
        line.retain(|(blocks, _)| !blocks.is_empty());
        line.sort_unstable_by_key(|(blocks, _)| blocks.start);
        let n = (speed.reach() / RUNG - 0.5).ceil().max(0.0) as i32;
        let rungs = (-n..=n).filter(|&i| i != 0).map(|i| (f64::from(i) * RUNG).exp()).collect();
        Ok(Self {
            store,
            aligner: Aligner::new(&config),
            config,
            rungs,
            search: MatchConfig { probe_steps: 4, ..MatchConfig::default() },
            line,
        })
    }

    /// Where a stretch of a recording, from `start_s` on, is in the tracks of the store: at its own speed, or
    /// at others as well. Tracks that `skip` names are passed over.
    pub fn find(
        &self,
        peaks: &[Peak],
        start_s: f64,
        at_others: bool,
        skip: &dyn Fn(TrackId) -> bool,
    ) -> Result<Vec<Found>> {
        let from = self.aligner.steps(start_s).0.max(0.0);
        let to = self.aligner.steps(start_s + STRETCH_S).0.max(0.0);
        let first = peaks.partition_point(|p| f64::from(p.time.0) < from);
        let end = peaks.partition_point(|p| f64::from(p.time.0) < to);
        let from = TimeSteps(from as u32);
        let shifted = |p: &Peak| Peak { time: p.time.since(from), ..*p };
        let stretch: Vec<Peak> = peaks[first..end.max(first)].iter().map(shifted).collect();
        if stretch.len() < 16 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let strong: Vec<Peak> = stretch.iter().copied().filter(|p| p.rank < RANK).collect();
        let landmarks = pair_all(&strong, &self.config.landmarks, FAN_OUT);
        // Where it comes from, if that is in the store, it is the heaviest.
        let heaviest = self.look_up(&stretch, &landmarks, 1.0, 0.0, skip, &mut found)?;
        let weight = LEAST_RUNG_SHARE * heaviest / landmarks.len().max(1) as f64;
        for &ratio in self.rungs.iter().filter(|_| at_others) {
            let scaled = self.aligner.scaled(&strong, ratio);
            let low = |p: &&Peak| p.bin.whole_bin() < HIGHEST_BIN;
            let low: Vec<Peak> = scaled.iter().filter(low).copied().collect();
            let landmarks = pair_all(&low, &self.config.landmarks, FAN_OUT);
            let least = weight * landmarks.len() as f64;
            let taken: Vec<TrackId> = found.iter().map(|found| found.0).collect();
            let skip = |id| taken.contains(&id) || skip(id);
            self.look_up(&stretch, &landmarks, ratio, least, &skip, &mut found)?;
        }
        let at_s = start_s + STRETCH_S / 2.0;
        Ok(found
            .into_iter()
            .map(|(track, line, agreement): (TrackId, Line, f64)| {
                // From the stretch's own time to the recording's.
                let offset = line.offset - line.ratio * f64::from(from.0);
                Found { track, line: Line { offset, ..line }, at_s, agreement }
            })
            .collect())
    }

    fn look_up(
        &self,
        stretch: &[Peak],
        landmarks: &[Landmark],
        ratio: f64,
        least: f64,
        skip: &dyn Fn(TrackId) -> bool,
        found: &mut Vec<(TrackId, Line, f64)>,
    ) -> Result<f64> {
        if landmarks.len() < 16 {
            return Ok(0.0);
        }
        let block_steps = f64::from(self.config.block_frames() * STEPS);
        let length = f64::from(stretch.last().map_or(0, |p| p.time.0)) * ratio / block_steps;
        let all = rarest(self.store, landmarks, &self.search, VOTES, MOST)?;
        let heaviest = f64::from(all.first().map_or(0, |c| c.weight));
        let least = least.max(LEAST_SHARE * heaviest);
        for candidate in all {
            if f64::from(candidate.weight) < least {
                break;
            }
            let from = candidate.block - 1;
            let to = candidate.block + length.ceil() as i64 + 3;
            let wanted = from.clamp(0, u32::MAX.into()) as u32..to.clamp(0, u32::MAX.into()) as u32;
            // A track that has the stretch by its end only is found by another stretch.
            let middle = candidate.block + (length / 2.0) as i64;
            let at = self.line.partition_point(|(blocks, _)| i64::from(blocks.end) <= middle);
            let Some((blocks, id)) = self.line.get(at) else { continue };
            if i64::from(blocks.start) > middle || skip(*id) {
                continue;
            }
            let wanted = wanted.start.max(blocks.start)..wanted.end.min(blocks.end);
            for excerpted in self.store.excerpts(std::slice::from_ref(&wanted))? {
                let excerpt = excerpted.excerpt;
                let rough = candidate.block as f64 + 1.0 - f64::from(excerpt.first_block);
                let rough = Line { ratio, offset: rough * block_steps };
                let slack = TimeSteps(1.25 * block_steps);
                let line = self.aligner.find(stretch, &excerpt.peaks, rough, slack);
                if let Some(line) = line {
                    let agreement = self.aligner.agreement(stretch, &excerpt.peaks, line);
                    found.push((excerpt.track, line, agreement));
                }
            }
        }
        Ok(heaviest)
    }
}
