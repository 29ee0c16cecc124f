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
use crate::peaks::{Peak, STEPS};
use crate::store::{Excerpt, Excerpted, Store, Totals};
use std::ops::Range;
use std::sync::Arc;

/// Peaks are of one frequency if they are no farther apart than this.
const REACH_STEPS: u16 = 10;
/// Width of a bin of the histogram.
const BIN_STEPS: i64 = 2 * STEPS as i64;
/// Places taken of each candidate, at most: where beats repeat, several agree.
const PLACES: usize = 4;
/// Places with a smaller share of the votes of the candidate's best are not taken.
const LEAST_SHARE: f32 = 0.7;
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

/// What lies under a clip of so many frames that begins at `offset_steps` of the track in `blocks` of the
/// line; `None` where nothing does.
pub(crate) fn excerpt_under(
    store: &(impl Store + ?Sized),
    totals: &Totals,
    blocks: &Range<u32>,
    offset_steps: i64,
    frames: usize,
) -> Result<Option<Arc<Excerpt>>> {
    let block_steps = i64::from(totals.config.block_frames() * STEPS);
    let margin = MARGIN_FRAMES as i64 * i64::from(STEPS);
    let block = |steps: i64| {
        let block = i64::from(blocks.start).saturating_add(steps.div_euclid(block_steps));
        block.clamp(blocks.start.into(), blocks.end.into()) as u32
    };
    let end = offset_steps + frames as i64 * i64::from(STEPS) + margin;
    let wanted = block(offset_steps - margin)..block(end + block_steps);
    if wanted.is_empty() {
        return Ok(None);
    }
    let found = store.excerpts(&[wanted])?.into_iter();
    let mut own = found.map(|found| found.excerpt).filter(|e| e.first_block == blocks.start);
    Ok(own.next().map(Arc::new))
}

/// The peaks of a clip by their frequencies, as the track's own would stand at the track's speed.
pub(crate) struct ClipPeaks {
    /// In the order of their frequencies.
    peaks: Vec<(u16, u32)>,
    /// Where the peaks of each bin begin.
    bins: Vec<u32>,
    frames: f64,
    pub playback: Playback,
}

impl ClipPeaks {
    /// Takes the peaks of a clip of so many frames, with their coordinates at the track's speed.
    pub fn new(peaks: &[Peak], frames: usize, playback: Playback) -> Self {
        let mut peaks: Vec<(u16, u32)> = peaks.iter().map(|p| (p.bin, p.time)).collect();
        peaks.sort_unstable();
        let highest = peaks.last().map_or(0, |p| bin(p.0));
        let begins = |bin: usize| peaks.partition_point(|p| self::bin(p.0) < bin) as u32;
        let bins = (0..=highest + 1).map(begins).collect();
        Self { peaks, bins, frames: frames as f64, playback }
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
        let block_steps = i64::from(config.block_frames() * STEPS);
        // In the track's time. A posting is half a block from the middle of its block at most, so votes
        // for the cells may be of places so much before and behind.
        let block = candidate.block - i64::from(excerpt.first_block);
        let least = block * block_steps - block_steps / 2;
        let bins = (3 * block_steps / BIN_STEPS) as usize;
        scratch.collect(self, &excerpt.peaks, least, bins);
        let excerpt = excerpt.clone();
        scratch.best(PLACES).into_iter().map(move |bin| {
            let (votes, offset_steps, pivot_steps) = scratch.measure(bin);
            Alignment {
                excerpt: excerpt.clone(),
                offset_steps: least + offset_steps,
                votes,
                pivot_steps: (pivot_steps as f64 / self.playback.tempo) as i64,
                playback: self.playback,
            }
        })
    }

    fn near(&self, bin_steps: u16) -> &[(u16, u32)] {
        let low = bin_steps.saturating_sub(REACH_STEPS);
        let high = bin_steps.saturating_add(REACH_STEPS);
        let begin = |bin: usize| self.bins[bin.min(self.bins.len() - 1)] as usize;
        &self.peaks[begin(bin(low))..begin(bin(high) + 1)]
    }
}

fn bin(steps: u16) -> usize {
    usize::from(steps) / STEPS as usize
}

/// The histogram of one candidate.
#[derive(Default)]
pub(crate) struct Scratch {
    counts: Vec<u16>,
    /// Offset and time in the clip of each vote.
    votes: Vec<(u32, u32)>,
}

impl Scratch {
    fn collect(&mut self, clip: &ClipPeaks, peaks: &[Peak], least: i64, bins: usize) {
        self.votes.clear();
        self.counts.clear();
        self.counts.resize(bins + 2, 0);
        let end = bins as i64 * BIN_STEPS;
        for peak in peaks {
            for &(bin_steps, time) in clip.near(peak.bin) {
                let offset = i64::from(peak.time) - i64::from(time) - least;
                if bin_steps.abs_diff(peak.bin) <= REACH_STEPS && (0..end).contains(&offset) {
                    self.counts[(offset / BIN_STEPS) as usize + 1] += 1;
                    self.votes.push((offset as u32, time));
                }
            }
        }
    }

    /// The fullest bins, with their neighbours, of which no two overlap; those without a vote left out.
    fn best(&self, most: usize) -> Vec<usize> {
        let mut best: Vec<(u16, usize)> = Vec::with_capacity(most + 1);
        let mut sums: Vec<u16> = self
            .counts
            .windows(3)
            .map(|w| w[0].saturating_add(w[1]).saturating_add(w[2]))
            .collect();
        while best.len() < most {
            // Of equal ones the first.
            let Some((bin, &sum)) =
                sums.iter().enumerate().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(&a.0)))
            else {
                break;
            };
            let fullest = best.first().map_or(sum, |first: &(u16, usize)| first.0);
            if sum == 0 || f32::from(sum) < LEAST_SHARE * f32::from(fullest) {
                break;
            }
            best.push((sum, bin));
            let end = (bin + 3).min(sums.len());
            sums[bin.saturating_sub(2)..end].fill(0);
        }
        best.into_iter().map(|(_, bin)| bin).collect()
    }

    /// Number of the votes in a bin and its neighbours, their mean offset, and the mean of their times in the clip.
    fn measure(&self, bin: usize) -> (u32, i64, u64) {
        let begin = (bin as i64 - 1) * BIN_STEPS;
        let (mut votes, mut offsets, mut times) = (0, 0, 0);
        for &(offset, time) in &self.votes {
            if (begin..begin + 3 * BIN_STEPS).contains(&i64::from(offset)) {
                votes += 1;
                offsets += i64::from(offset);
                times += u64::from(time);
            }
        }
        (votes, offsets / i64::from(votes.max(1)), times / u64::from(votes.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;
    use crate::units::TrackId;

    fn peak(time: u32, bin: u16) -> Peak {
        Peak { time, bin, contrast: 40, rank: 0, level: 195, phase: 0 }
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
        peaks.sort_by_key(|p| (p.time / 16, p.bin));
        for round in 0..40 {
            let offset = 16 * 400 + number(2000.0 * 16.0) as u32;
            let inside = |p: &&Peak| (offset..offset + 160 * 16).contains(&p.time);
            let right = peaks.iter().filter(inside).step_by(3);
            let mut clip: Vec<Peak> = right
                .map(|p| peak(p.time - offset + round % 16, p.bin + number(5.0) as u16))
                .collect();
            for _ in 0..clip.len() {
                clip.push(peak(number(160.0 * 16.0) as u32, number(14_000.0) as u16));
            }
            let clip = ClipPeaks::new(&clip, 160, Playback::UNCHANGED);
            let first_block = 70;
            let excerpt = Excerpt::new(TrackId(3), first_block, 3000, peaks.clone(), 0, Vec::new());
            // Any candidate that votes of this place may be for.
            let steps = f64::from(config.block_frames() * STEPS);
            let exact = f64::from(offset) / steps + f64::from(first_block);
            let block = (exact - 2.5).ceil() as i64 + i64::from(round % 3);
            let candidate = Candidate { block, weight: 1 };
            let mut scratch = Scratch::default();
            let mut found = clip.locate(&candidate, &Arc::new(excerpt), &config, &mut scratch);
            let best = found.next().unwrap();
            let off = best.offset_steps - i64::from(offset) + i64::from(round % 16);
            assert!(off.abs() <= 32, "{off} at {exact}, {candidate:?}");
            assert!(best.votes >= 10);
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
