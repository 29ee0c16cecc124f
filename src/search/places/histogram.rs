//! The offset histogram of one candidate.

use super::ClipPeaks;
use crate::peaks::Peak;
use crate::units::TimeSteps;
use std::ops::Range;

/// Width of a bin of the histogram.
pub(super) const BIN_WIDTH: TimeSteps = TimeSteps::from_frames(2);
/// Places with a smaller share of the votes of the candidate's best are not taken.
pub(super) const LEAST_SHARE: f32 = 0.7;
/// Votes that are made side by side.
pub(super) const LANES: usize = 4;

fn make_longer<T: Copy + Default>(items: &mut Vec<T>, len: usize) {
    if items.len() < len {
        items.resize(len, T::default());
    }
}

/// A pair of a peak of the track and one of the clip. Here, all times are in [`TimeSteps`], as numbers that
/// the processor takes side by side.
#[derive(Clone, Copy, Default)]
struct Vote {
    /// The difference of their times, from the least that comes into question.
    offset: u32,
    /// The time in the clip.
    time: u32,
}

/// A peak of the track, and the clip's of nearly its frequency.
#[derive(Clone, Copy, Default)]
struct Near {
    start: u32,
    end: u32,
    /// Its time, from the least offset that comes into question.
    late: u32,
}

/// The histogram of one candidate.
#[derive(Default)]
pub(super) struct Scratch {
    /// An empty one before the first and behind the last.
    bins: Vec<Bin>,
    /// Votes in each bin and its two neighbours.
    sums: Vec<u32>,
    near: Vec<Near>,
    votes: Vec<Vote>,
}

/// Some votes.
#[derive(Clone, Copy, Default)]
struct Bin {
    votes: u32,
    /// Sum of their offsets,
    offsets: u64,
    /// and of their times in the clip.
    times: u64,
}

/// Some votes: how many, their mean offset from the least, and the mean of their times in the clip.
pub(super) struct Measured {
    pub votes: u32,
    pub offset: TimeSteps,
    pub time: TimeSteps,
}

impl Scratch {
    /// Takes the votes of some of a track's peaks for a clip that begins at `least` or later, in so many bins.
    pub fn collect(&mut self, clip: &ClipPeaks, peaks: &[Peak], least: TimeSteps, bins: usize) {
        let end = BIN_WIDTH * bins as i64;
        let peaks = clip.under(peaks, least..least + end);
        let end = end.0 as u32;
        // No branch depends on a peak: whether it has others near is anyone's guess. So all is written, and
        // what does not count is overwritten by what comes next.
        make_longer(&mut self.near, peaks.len());
        let near = &mut self.near[..peaks.len()];
        let (mut some, mut most) = (0, LANES);
        for peak in peaks {
            let Range { start, end } = clip.near(peak.bin);
            // Offsets below 0 are beyond the end when they have no sign.
            let late = (peak.time - least).0 as u32;
            near[some] = Near { start, end, late };
            some += usize::from(start < end);
            most += (end - start) as usize;
        }
        make_longer(&mut self.votes, most);
        let votes = &mut self.votes[..most];
        let mut len = 0;
        for &Near { start, end: last, late } in &near[..some] {
            for first in (start..last).step_by(LANES) {
                let times = clip.times.get(first as usize..);
                let times = times.and_then(<[u32]>::first_chunk::<LANES>);
                for (at, &time) in (first..).zip(times.into_iter().flatten()) {
                    let offset = late.wrapping_sub(time);
                    votes[len] = Vote { offset, time };
                    len += usize::from((at < last) & (offset < end));
                }
            }
        }
        self.bins.clear();
        self.bins.resize(bins + 2, Bin::default());
        let bins = &mut self.bins[1..];
        for &Vote { offset, time } in &votes[..len] {
            let bin = &mut bins[offset as usize / BIN_WIDTH.0 as usize];
            bin.votes += 1;
            bin.offsets += u64::from(offset);
            bin.times += u64::from(time);
        }
    }

    /// The fullest bins, with their neighbours, of which no two overlap; those without a vote left out.
    pub fn best(&mut self, most: usize) -> Vec<usize> {
        let mut best: Vec<(u32, usize)> = Vec::with_capacity(most);
        self.sums.clear();
        self.sums.extend(self.bins.windows(3).map(|w| w[0].votes + w[1].votes + w[2].votes));
        while best.len() < most {
            let sum = self.sums.iter().copied().fold(0, u32::max);
            let fullest = best.first().map_or(sum, |first| first.0);
            if sum == 0 || (sum as f32) < LEAST_SHARE * fullest as f32 {
                break;
            }
            // Of equal ones the first.
            let Some(bin) = self.sums.iter().position(|&other| other == sum) else { break };
            best.push((sum, bin));
            let end = (bin + 3).min(self.sums.len());
            self.sums[bin.saturating_sub(2)..end].fill(0);
        }
        best.into_iter().map(|(_, bin)| bin).collect()
    }

    /// The votes in a bin and its neighbours.
    pub fn measure(&self, bin: usize) -> Measured {
        let of_all = |of: fn(&Bin) -> u64| self.bins[bin..bin + 3].iter().map(of).sum::<u64>();
        let votes = of_all(|bin| bin.votes.into());
        let mean = |sum: u64| TimeSteps((sum / votes.max(1)) as i64);
        let (offset, time) = (mean(of_all(|bin| bin.offsets)), mean(of_all(|bin| bin.times)));
        Measured { votes: votes as u32, offset, time }
    }
}
