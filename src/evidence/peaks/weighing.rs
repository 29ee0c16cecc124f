//! Reading a [`LevelMap`] under a track's peaks.

use super::{CELLS, LevelMap, Moments};
use crate::calibration::{CLASSES, CODES};
use crate::peaks::{Peak, STEPS};
use crate::units::TimeSteps;
use std::ops::Range;

/// A match that comes near to the clip's ends runs to them, unless the evidence there, in nats, is
/// below this.
const AGAINST: f32 = -4.0;

/// Places that are weighed side by side.
const LANES: usize = 3;

pub(super) fn class(peak: &Peak) -> usize {
    ((usize::from(peak.contrast) / 4).saturating_sub(6) / 4).min(CLASSES - 1)
}

impl LevelMap {
    /// Weighs the evidence that a track's peaks (in the order of their frames) stand in the clip
    /// from `offset` on: the time in the track at which the clip begins. Only the clip's frames within
    /// `frames` count.
    #[must_use]
    pub fn weigh(&self, peaks: &[Peak], offset: TimeSteps, frames: Range<usize>) -> Evidence {
        let [evidence] = self.weigh_side_by_side(peaks, [offset], frames);
        evidence
    }

    /// Weighs the evidence at some places, given by their offsets, as [`weigh`](Self::weigh) does.
    #[must_use]
    pub fn weigh_all(
        &self,
        peaks: &[Peak],
        offsets: &[TimeSteps],
        frames: &Range<usize>,
    ) -> Vec<Evidence> {
        let mut evidence = Vec::with_capacity(offsets.len());
        let (together, rest) = offsets.as_chunks::<LANES>();
        for some in together {
            evidence.extend(self.weigh_side_by_side(peaks, *some, frames.clone()));
        }
        evidence.extend(rest.iter().map(|&offset| self.weigh(peaks, offset, frames.clone())));
        evidence
    }

    /// Weighs some places at once: what a peak is need be known only once, and the processor waits for
    /// several cells at a time.
    fn weigh_side_by_side<const N: usize>(
        &self,
        peaks: &[Peak],
        offsets: [TimeSteps; N],
        frames: Range<usize>,
    ) -> [Evidence; N] {
        let per_peak = self.calibration.dispersion.per_peak;
        let mut evidence = [Evidence { per_peak, ..Evidence::default() }; N];
        let frames = frames.start..frames.end.min(self.frames());
        let columns = self.cells.bins * CELLS;
        let ratios = &self.calibration.log_likelihood_ratio;
        for peak in within(peaks, &offsets, &frames) {
            let column = column(peak);
            let Some(chance) = self.chance.get(column) else { continue };
            let (ratios, moments) = (&ratios[class(peak)], &chance[class(peak)]);
            for (evidence, offset) in evidence.iter_mut().zip(&offsets) {
                let row = row(peak, *offset);
                if !frames.contains(&(row / CELLS)) {
                    continue;
                }
                let code = self.cells.codes[row * columns + column];
                evidence.peaks += 1;
                evidence.sum += ratios[usize::from(code)];
                evidence.mean += moments.mean;
                evidence.variance += moments.variance;
            }
        }
        evidence
    }

    /// The evidence of each frame of the clip by itself, for the place of [`weigh`](Self::weigh): what
    /// the track's peaks in it say beyond what chance would.
    #[must_use]
    pub fn by_frame(
        &self,
        peaks: &[Peak],
        offset: TimeSteps,
        frames: Range<usize>,
    ) -> Vec<FrameEvidence> {
        let frames = frames.start.min(self.frames())..frames.end.min(self.frames());
        let per_peak = self.calibration.dispersion.per_peak;
        let mut found = vec![FrameEvidence { per_peak, ..Default::default() }; frames.len()];
        let begin = frames.start;
        self.visit(peaks, offset, frames, |frame, llr, moments| {
            let found = &mut found[frame - begin];
            found.peaks += 1;
            found.excess += llr - moments.mean;
            found.variance += moments.variance;
        });
        found
    }

    /// The stretch of frames of the clip in which an alignment's evidence is found: where the sum of
    /// log-likelihood ratios grows most. `None` where it grows nowhere.
    #[must_use]
    pub fn extent(&self, peaks: &[Peak], offset: TimeSteps) -> Option<Range<usize>> {
        let (mut best, mut best_sum) = (None, 0.0);
        let (mut begin, mut sum) = (0, 0.0);
        self.visit(peaks, offset, 0..self.frames(), |frame, llr, _| {
            if sum <= 0.0 {
                (begin, sum) = (frame, 0.0);
            }
            sum += llr;
            if sum > best_sum {
                (best, best_sum) = (Some(begin..frame + 1), sum);
            }
        });
        let mut best = best?;
        // Where few peaks stand near the clip's ends, the match runs on to them, unless what stands
        // there speaks against it.
        let undisputed = |gap: Range<usize>| {
            gap.len() <= self.widths().ends_frames && self.weigh(peaks, offset, gap).sum > AGAINST
        };
        if undisputed(0..best.start) {
            best.start = 0;
        }
        if undisputed(best.end..self.frames()) {
            best.end = self.frames();
        }
        Some(best)
    }

    /// The peaks that stand in the clip: those that speak for the place. As for
    /// [`weigh`](Self::weigh).
    #[must_use]
    pub fn standing(&self, peaks: &[Peak], offset: TimeSteps, frames: Range<usize>) -> Vec<Peak> {
        let mut standing = Vec::new();
        let ratios = &self.calibration.log_likelihood_ratio;
        self.codes_under(peaks, offset, frames, |peak, _, _, code| {
            if ratios[class(peak)][code] > 0.0 {
                standing.push(*peak);
            }
        });
        standing
    }

    /// Calls `each` with frame, log-likelihood ratio and chance of the code under each peak.
    fn visit(
        &self,
        peaks: &[Peak],
        offset: TimeSteps,
        frames: Range<usize>,
        mut each: impl FnMut(usize, f32, &Moments),
    ) {
        let ratios = &self.calibration.log_likelihood_ratio;
        self.codes_under(peaks, offset, frames, |peak, frame, column, code| {
            let class = class(peak);
            each(frame, ratios[class][code], &self.chance[column][class]);
        });
    }

    /// Counts what is read under the peaks: for each class of contrast, how many of them read each
    /// code. As for [`weigh`](Self::weigh). A [`Table`](crate::calibration::Table) is made from it.
    pub fn count_codes(
        &self,
        peaks: &[Peak],
        offset: TimeSteps,
        counts: &mut [[u32; CODES]; CLASSES],
    ) {
        self.codes_under(peaks, offset, 0..self.frames(), |peak, _, _, code| {
            counts[class(peak)][code] += 1;
        });
    }

    /// Calls `each` with the frame, column and code of the cell under each peak.
    pub(crate) fn codes_under(
        &self,
        peaks: &[Peak],
        offset: TimeSteps,
        frames: Range<usize>,
        mut each: impl FnMut(&Peak, usize, usize, usize),
    ) {
        let frames = frames.start..frames.end.min(self.frames());
        let columns = self.cells.bins * CELLS;
        for peak in within(peaks, &[offset], &frames) {
            let (row, column) = (row(peak, offset), column(peak));
            let frame = row / CELLS;
            if !frames.contains(&frame) || column >= columns {
                continue;
            }
            each(peak, frame, column, usize::from(self.cells.codes[row * columns + column]));
        }
    }
}

/// Steps of a cell, in time or frequency.
const CELL_STEPS: i64 = STEPS as i64 / CELLS as i64;

/// The peaks that may stand in some frames of a clip, at some places of it.
fn within<'p>(
    peaks: &'p [Peak],
    offsets: &[TimeSteps],
    frames: &Range<usize>,
) -> impl Iterator<Item = &'p Peak> {
    let least = offsets.iter().min().copied().unwrap_or_default();
    let most = offsets.iter().max().copied().unwrap_or_default();
    // Refined times may stand before their neighbour's by a frame.
    let begin = least.0.saturating_add(TimeSteps::from_frames(frames.start as i64 - 1).0);
    let end = most.0.saturating_add(TimeSteps::from_frames(frames.end as i64 + 1).0);
    let first = peaks.partition_point(|p| i64::from(p.time.0) < begin);
    peaks[first..].iter().take_while(move |p| i64::from(p.time.0) < end)
}

/// The row of cells in which a peak stands. Those before the clip's beginning are beyond its end.
#[inline(always)]
fn row(peak: &Peak, offset: TimeSteps) -> usize {
    ((peak.time - offset).0 + CELL_STEPS / 2).div_euclid(CELL_STEPS) as usize
}

#[inline(always)]
fn column(peak: &Peak) -> usize {
    (i64::from(peak.bin.0) + CELL_STEPS / 2) as usize / CELL_STEPS as usize
}

/// The evidence for one alignment, and what chance would give in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Number of the reference's peaks that fall on the clip.
    pub peaks: u32,
    /// Sum of their log-likelihood ratios in nats.
    pub sum: f32,
    mean: f32,
    variance: f32,
    /// What each further peak adds to the variance, as a share of it.
    per_peak: f64,
}

impl Evidence {
    /// The evidence in standard deviations above what chance gives.
    #[must_use]
    pub fn deviations(&self) -> f64 {
        if self.variance <= 0.0 {
            return 0.0;
        }
        let spread = 1.0 + self.per_peak * f64::from(self.peaks);
        f64::from(self.sum - self.mean) / (f64::from(self.variance) * spread).sqrt()
    }
}

/// The evidence of one frame: see [`LevelMap::by_frame`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FrameEvidence {
    /// Number of the track's peaks that fall on the frame.
    pub peaks: u32,
    /// Sum of their log-likelihood ratios in nats, less what chance gives on average.
    pub excess: f32,
    /// Variance of what chance gives, if the peaks were independent.
    pub variance: f32,
    /// How much each further peak adds to that.
    per_peak: f64,
}

impl FrameEvidence {
    /// The evidence of several frames in standard deviations above what chance gives.
    #[must_use]
    pub fn deviations(frames: &[Self]) -> f64 {
        let sum = |of: fn(&Self) -> f32| frames.iter().map(|f| f64::from(of(f))).sum::<f64>();
        let peaks: f64 = frames.iter().map(|f| f64::from(f.peaks)).sum();
        let per_peak = frames.first().map_or(0.0, |f| f.per_peak);
        let variance = sum(|f| f.variance) * (1.0 + per_peak * peaks);
        if variance <= 0.0 { 0.0 } else { sum(|f| f.excess) / variance.sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StftConfig;
    use crate::testing::{noise, rng};
    use crate::units::BinSteps;

    /// The definition, written down as it reads: a sum over all peaks that fall on the frames.
    fn naive(map: &LevelMap, peaks: &[Peak], offset: TimeSteps, frames: &Range<usize>) -> Evidence {
        let per_peak = map.calibration.dispersion.per_peak;
        let mut evidence = Evidence { per_peak, ..Evidence::default() };
        for peak in peaks {
            let half_cells = |steps: i64| (steps as f64 / 8.0 + 0.5).floor();
            let row = half_cells((peak.time - offset).0);
            let column = half_cells(i64::from(peak.bin.0)) as usize;
            let end = frames.end.min(map.frames()) as f64;
            if row < 2.0 * frames.start as f64 || row >= 2.0 * end || column >= 2 * map.cells.bins {
                continue;
            }
            let code = map.cells.codes[row as usize * 2 * map.cells.bins + column];
            let moments = &map.chance[column][class(peak)];
            evidence.peaks += 1;
            evidence.sum += map.calibration.log_likelihood_ratio[class(peak)][usize::from(code)];
            evidence.mean += moments.mean;
            evidence.variance += moments.variance;
        }
        evidence
    }

    #[test]
    fn evidence_agrees_with_its_definition_at_one_place_and_at_many() {
        let config = StftConfig::default();
        let levels: Vec<f32> =
            noise(150 * config.bins(), 3).iter().map(|x| 40.0 * x - 60.0).collect();
        let map = LevelMap::new(&levels, &config, |frame| frame > 140);
        let mut random = rng(6);
        let mut peaks: Vec<Peak> = (0..900)
            .map(|_| Peak {
                time: TimeSteps((random() * 400.0 * 16.0) as u32),
                bin: BinSteps((random() * 14_600.0) as u16),
                contrast: (random() * 256.0) as u8,
                ..Peak::default()
            })
            .collect();
        peaks.sort_by_key(|p| p.time.nearest_frame());
        for frames in [0..150, 0..usize::MAX, 20..90, 0..1, 149..150, 30..30] {
            for n in 0..8 {
                let mut offset = |_| TimeSteps((random() * 8_000.0) as i64 - 1_500);
                let offsets: Vec<TimeSteps> = (0..n).map(&mut offset).collect();
                let found = map.weigh_all(&peaks, &offsets, &frames);
                assert_eq!(found.len(), n);
                for (found, offset) in found.iter().zip(offsets) {
                    assert_eq!(*found, naive(&map, &peaks, offset, &frames));
                    assert_eq!(*found, map.weigh(&peaks, offset, frames.clone()));
                }
            }
        }
    }
}
