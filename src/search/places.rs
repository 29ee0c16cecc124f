//! From a stretch of the line to places in tracks: where in the two blocks of a candidate does the clip
//! begin?
//!
//! The track's peaks there are compared with the clip's one by one. Each pair of nearly one frequency
//! votes for the difference of its times, in an offset histogram of the candidate's own, whose bins are
//! two frames wide. A single peak survives noise and echo more often than a landmark, which is two, and
//! where but two seconds come into question, chance votes are few.

use super::alignment::Alignment;
use super::candidates::Candidate;
use super::playback::Playback;
use crate::config::Config;
use crate::error::Result;
use crate::peaks::Peak;
use crate::store::{Excerpt, Excerpted, Store, Totals};
use crate::units::{BinSteps, TimeSteps};
use histogram::{BIN_WIDTH, LANES, Measured, Scratch};
use std::ops::Range;
use std::sync::Arc;

mod histogram;

/// Peaks are of one frequency if they are no farther apart than this.
const REACH: BinSteps = BinSteps(10);
/// Places taken of each candidate, at most: where beats repeat, several agree.
const PLACES: usize = 4;
/// Frames on either side of the clip whose peaks are wanted as well.
const MARGIN_FRAMES: f64 = 16.0;

/// Fetches what lies under some candidates, and finds the places: each with the number of its candidate.
/// `reach` is by how much the tempo may differ.
pub(crate) fn excerpts(
    store: &(impl Store + ?Sized),
    totals: &Totals,
    candidates: Vec<(&ClipPeaks, Candidate)>,
    reach: f64,
) -> Result<Vec<(usize, Alignment)>> {
    let config = &totals.config;
    let blocks = |(clip, candidate): &(&ClipPeaks, Candidate)| {
        let blocks = clip.blocks(candidate, config, reach);
        blocks.start..blocks.end.min(totals.blocks)
    };
    let wanted: Vec<Range<u32>> = candidates.iter().map(blocks).collect();
    let mut placed = Vec::with_capacity(PLACES * wanted.len());
    let mut scratch = Scratch::default();
    for Excerpted { wanted, excerpt } in store.excerpts(&wanted)? {
        let Some((clip, candidate)) = candidates.get(wanted as usize) else { continue };
        let places = clip.locate(candidate, &Arc::new(excerpt), config, &mut scratch);
        placed.extend(places.map(|alignment| (wanted as usize, alignment)));
    }
    Ok(placed)
}

/// What lies under a clip of so many frames that begins at `offset` of the track in `blocks` of the
/// line; `None` where nothing does.
pub(crate) fn excerpt_under(
    store: &(impl Store + ?Sized),
    totals: &Totals,
    blocks: &Range<u32>,
    offset: TimeSteps,
    frames: usize,
) -> Result<Option<Arc<Excerpt>>> {
    let block_length = block_length(&totals.config);
    let margin = TimeSteps::from_frames(MARGIN_FRAMES as i64);
    let block = |time: TimeSteps| {
        let block = i64::from(blocks.start).saturating_add(time.0.div_euclid(block_length.0));
        block.clamp(blocks.start.into(), blocks.end.into()) as u32
    };
    let end = offset + TimeSteps::from_frames(frames as i64) + margin;
    let wanted = block(offset - margin)..block(end + block_length);
    if wanted.is_empty() {
        return Ok(None);
    }
    let found = store.excerpts(&[wanted])?.into_iter();
    let mut own = found.map(|found| found.excerpt).filter(|e| e.first_block == blocks.start);
    Ok(own.next().map(Arc::new))
}

fn block_length(config: &Config) -> TimeSteps {
    TimeSteps::from_frames(config.block_frames().into())
}

/// The peaks of a clip by their frequencies, as the track's own would stand at the track's speed.
pub(crate) struct ClipPeaks {
    /// Their times, in [`TimeSteps`], in the order of their frequencies, and [`LANES`] more that are no peaks'.
    times: Vec<u32>,
    /// For each frequency, how many of the peaks are below what is near to it: see
    /// [`near`](Self::near).
    below: Vec<u32>,
    /// The time of the last of them.
    last: TimeSteps,
    frames: f64,
    pub playback: Playback,
}

impl ClipPeaks {
    /// Takes the peaks of a clip of so many frames, with their coordinates at the track's speed.
    pub fn new(peaks: &[Peak], frames: usize, playback: Playback) -> Self {
        let mut peaks: Vec<(u16, u32)> = peaks.iter().map(|p| (p.bin.0, p.time.0)).collect();
        peaks.sort_unstable();
        // As many are below each frequency as there are places for it in the order.
        let mut below = Vec::new();
        for (at, &(bin, _)) in peaks.iter().enumerate() {
            let end = usize::from(bin) + usize::from(REACH.0) + 1;
            if below.len() < end {
                below.resize(end, at as u32);
            }
        }
        below.push(peaks.len() as u32);
        let mut times: Vec<u32> = peaks.into_iter().map(|(_, time)| time).collect();
        let last = TimeSteps(times.iter().copied().max().unwrap_or_default().into());
        times.extend([0; LANES]);
        Self { times, below, last, frames: frames as f64, playback }
    }

    /// The blocks of the line that a candidate may cover, with room for a tempo that differs by `reach`.
    fn blocks(&self, candidate: &Candidate, config: &Config, reach: f64) -> Range<u32> {
        let block_frames = f64::from(config.block_frames());
        let frames = self.frames * self.playback.tempo * (1.0 + reach) + MARGIN_FRAMES;
        let before = self.frames * self.playback.tempo * reach + MARGIN_FRAMES;
        let first = candidate.block as f64 - 0.5 - before / block_frames;
        let end = (candidate.block as f64 + 2.5 + frames / block_frames).ceil();
        first.max(0.0) as u32..end.max(0.0) as u32
    }

    /// The best places of a candidate in one of the tracks that lie there.
    fn locate<'a>(
        &'a self,
        candidate: &Candidate,
        excerpt: &Arc<Excerpt>,
        config: &Config,
        scratch: &'a mut Scratch,
    ) -> impl Iterator<Item = Alignment> + 'a {
        let block_length = block_length(config);
        // In the track's time. A posting is half a block from the middle of its block at most, so votes
        // for the cells may be of places so much before and behind.
        let block = candidate.block - i64::from(excerpt.first_block);
        let least = block_length * block - TimeSteps(block_length.0 / 2);
        let bins = (3 * block_length.0 / BIN_WIDTH.0) as usize;
        scratch.collect(self, &excerpt.peaks, least, bins);
        let excerpt = excerpt.clone();
        scratch.best(PLACES).into_iter().map(move |bin| {
            let Measured { votes, offset, time } = scratch.measure(bin);
            Alignment {
                excerpt: excerpt.clone(),
                offset: least + offset,
                votes,
                pivot: TimeSteps((time.0 as f64 / self.playback.tempo) as i64),
                playback: self.playback,
            }
        })
    }

    /// Those of a track's peaks that may be the clip's, if that begins at one of these times.
    fn under<'p>(&self, peaks: &'p [Peak], begins: Range<TimeSteps>) -> &'p [Peak] {
        // Refined times may stand before their neighbour's by a frame.
        let begin = begins.start - TimeSteps::FRAME;
        let first = peaks.partition_point(|p| TimeSteps::from(p.time) < begin);
        let end = begins.end + self.last + TimeSteps::FRAME;
        let len = peaks[first..].partition_point(|p| TimeSteps::from(p.time) < end);
        &peaks[first..first + len]
    }

    /// Which of the peaks are of nearly the frequency `bin`.
    #[inline(always)]
    fn near(&self, bin: BinSteps) -> Range<u32> {
        let last = self.below.len() - 1;
        let below = |at: usize| self.below[at.min(last)];
        let bin = usize::from(bin.0);
        below(bin)..below(bin + 2 * usize::from(REACH.0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::histogram::LEAST_SHARE;
    use super::*;
    use crate::testing::rng;
    use crate::units::TrackId;

    fn peak(time: u32, bin: u16) -> Peak {
        Peak { time: TimeSteps(time), bin: BinSteps(bin), contrast: 40, ..Peak::default() }
    }

    /// A track of random peaks, and a clip that has every third of them and as many others.
    #[test]
    fn the_place_is_found_among_as_many_wrong_peaks_as_right_ones() {
        let config = Config::default();
        let mut random = rng(5);
        let mut number = |below: f32| random() * below;
        let mut peaks: Vec<Peak> = (0..4000)
            .map(|_| peak(number(3000.0 * 16.0) as u32, number(14_000.0) as u16))
            .collect();
        peaks.sort_by_key(|p| (p.time.whole_frame(), p.bin));
        for round in 0..40 {
            let offset = 16 * 400 + number(2000.0 * 16.0) as u32;
            let inside = |p: &&Peak| (offset..offset + 160 * 16).contains(&p.time.0);
            let right = peaks.iter().filter(inside).step_by(3);
            let mut clip: Vec<Peak> = right
                .map(|p| peak(p.time.0 - offset + round % 16, p.bin.0 + number(5.0) as u16))
                .collect();
            for _ in 0..clip.len() {
                clip.push(peak(number(160.0 * 16.0) as u32, number(14_000.0) as u16));
            }
            let clip = ClipPeaks::new(&clip, 160, Playback::UNCHANGED);
            let first_block = 70;
            let excerpt = Excerpt::new(TrackId(3), first_block, 3000, peaks.clone(), 0, Vec::new());
            // Any candidate that votes of this place may be for.
            let exact = f64::from(offset) / block_length(&config).0 as f64 + f64::from(first_block);
            let block = (exact - 2.5).ceil() as i64 + i64::from(round % 3);
            let candidate = Candidate { block, weight: 1 };
            let mut scratch = Scratch::default();
            let mut found = clip.locate(&candidate, &Arc::new(excerpt), &config, &mut scratch);
            let best = found.next().unwrap();
            let off = best.offset.0 - i64::from(offset) + i64::from(round % 16);
            assert!(off.abs() <= 32, "{off} at {exact}, {candidate:?}");
            assert!(best.votes >= 10);
        }
    }

    /// The definition, written down as it reads: votes, offset and pivot of each place.
    fn naive(clip: &[Peak], track: &[Peak], least: i64, bins: i64) -> Vec<(u32, i64, i64)> {
        let pairs = clip.iter().flat_map(|c| track.iter().map(move |t| (c, t)));
        let votes: Vec<(i64, i64)> = pairs
            .filter(|(c, t)| c.bin.abs_diff(t.bin) <= REACH)
            .map(|(c, t)| (i64::from(t.time.0) - i64::from(c.time.0), i64::from(c.time.0)))
            .filter(|(offset, _)| (0..bins * BIN_WIDTH.0).contains(&(offset - least)))
            .collect();
        let of_bin = |bin: i64| {
            let around = bin - 1..=bin + 1;
            let inside = move |v: &&(i64, i64)| around.contains(&((v.0 - least) / BIN_WIDTH.0));
            votes.iter().filter(inside).copied().collect::<Vec<_>>()
        };
        let mut taken: Vec<i64> = Vec::new();
        while taken.len() < PLACES {
            let free = (0..bins).filter(|bin| taken.iter().all(|other| bin.abs_diff(*other) > 2));
            // The last of equal ones is taken.
            let Some(best) = free.rev().max_by_key(|bin| of_bin(*bin).len()) else { break };
            let fullest = of_bin(*taken.first().unwrap_or(&best)).len() as f32;
            let votes = of_bin(best).len();
            if votes == 0 || (votes as f32) < LEAST_SHARE * fullest {
                break;
            }
            taken.push(best);
        }
        let place = |bin: &i64| {
            let votes = of_bin(*bin);
            let n = votes.len() as i64;
            let offsets: i64 = votes.iter().map(|v| v.0 - least).sum();
            (n as u32, least + offsets / n, votes.iter().map(|v| v.1).sum::<i64>() / n)
        };
        taken.iter().map(place).collect()
    }

    /// Also where many peaks are of one frequency.
    #[test]
    fn places_agree_with_their_definition() {
        let config = Config::default();
        let block_steps = i64::from(config.block_frames()) * 16;
        let mut random = rng(17);
        let mut scratch = Scratch::default();
        for round in 0..60 {
            let highest = [14_000.0, 300.0, 30.0][round % 3];
            let mut peaks = |n: usize, frames: f32| {
                let mut peaks: Vec<Peak> = (0..n)
                    .map(|_| peak((random() * frames * 16.0) as u32, (random() * highest) as u16))
                    .collect();
                peaks.sort_by_key(|p| p.time.nearest_frame());
                peaks
            };
            let (track, clip) = (peaks(40 * round, 900.0), peaks(11 * round, 160.0));
            let candidate = Candidate { block: round as i64 % 30 - 3, weight: 1 };
            let excerpt = Excerpt::new(TrackId(0), 0, 900, track.clone(), 0, Vec::new());
            let clip_peaks = ClipPeaks::new(&clip, 160, Playback::UNCHANGED);
            let found = clip_peaks.locate(&candidate, &Arc::new(excerpt), &config, &mut scratch);
            let found: Vec<_> = found.map(|a| (a.votes, a.offset.0, a.pivot.0)).collect();
            let least = candidate.block * block_steps - block_steps / 2;
            assert_eq!(found, naive(&clip, &track, least, 3 * block_steps / 32), "{round}");
        }
    }

    #[test]
    fn an_excerpt_without_peaks_has_no_place() {
        let config = Config::default();
        let excerpt = Arc::new(Excerpt::new(TrackId(0), 0, 100, Vec::new(), 0, Vec::new()));
        let candidate = Candidate { block: 0, weight: 1 };
        for peaks in [vec![], vec![peak(10, 20)], vec![peak(u32::MAX, u16::MAX)]] {
            let clip = ClipPeaks::new(&peaks, 100, Playback::UNCHANGED);
            let mut scratch = Scratch::default();
            assert_eq!(clip.locate(&candidate, &excerpt, &config, &mut scratch).count(), 0);
        }
    }
}
