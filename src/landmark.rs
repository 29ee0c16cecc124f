//! Constellation hashing: an anchor peak paired with peaks of its target zone.
//!
//! A [`Landmark`] keeps its continuous coordinates (in sixteenths of the grid), so that a query can
//! tell which of them lie near a quantisation edge and a tree can search them without one. Its
//! [`Landmark::hash`] packs the rounded coordinates into 25 bits, losslessly:
//!
//! | bits | holds | step |
//! |---|---|---|
//! | 0–4 | time from anchor to target, less the least | one frame |
//! | 5–12 | frequency from anchor to target, plus 128 | one bin |
//! | 13–24 | frequency of the anchor | one bin |
//!
//! The pairing is that of A. Wang, "An industrial-strength audio search algorithm" (ISMIR 2003),
//! with the strongest targets of the zone taken first, so that a dense query's landmarks contain
//! those of a sparse reference.

use crate::config::{LandmarkConfig, StftConfig};
use crate::peaks::{Peak, STEPS};
use crate::units::{BinSteps, TimeSteps};
use bincode::{Decode, Encode};
use std::cmp::Reverse;
use std::collections::VecDeque;

/// An anchor and one of its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Landmark {
    /// Time of the anchor.
    pub time: TimeSteps<u32>,
    /// Frequency of the anchor, from the analysis band's first bin.
    pub bin: BinSteps,
    /// Frequency of the target less that of the anchor.
    pub delta_bin: BinSteps<i16>,
    /// Time of the target less that of the anchor.
    pub delta_time: TimeSteps<u16>,
}

/// Number of bits of a [`LandmarkHash`].
pub(crate) const HASH_BITS: u32 = 25;

/// No landmark of references made with `config` has a hash of more bits: few bands of frequencies need all
/// that a hash has room for.
pub(crate) fn hash_bits(config: &StftConfig) -> u32 {
    // A peak may be refined to what would be the next bin.
    HASH_BITS.min(13 + (usize::BITS - config.bins().leading_zeros()))
}

/// The hash of a landmark; see the [module](self) for its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct LandmarkHash(pub u32);

/// Nearest grid position of a coordinate, and the step of its residual (−8 to 7).
fn quantise(steps: i32) -> (i32, i32) {
    let half = STEPS as i32 / 2;
    let cell = (steps + half).div_euclid(STEPS as i32);
    (cell, steps - cell * STEPS as i32)
}

impl Landmark {
    /// Time and frequency of the target.
    #[must_use]
    pub fn target(&self) -> (TimeSteps<u32>, BinSteps) {
        (
            TimeSteps(self.time.0.wrapping_add(self.delta_time.0.into())),
            BinSteps(self.bin.0.wrapping_add_signed(self.delta_bin.0)),
        )
    }

    /// Packs the rounded coordinates.
    #[must_use]
    pub fn hash(&self, config: &LandmarkConfig) -> LandmarkHash {
        let (bin, delta_bin, delta_time) = self.cells();
        Self::pack(config, bin.0, delta_bin.0, delta_time.0)
    }

    /// Calls `visit` with the hash of this landmark's own cell and of each neighbouring cell that it
    /// lies close to: those across an edge from which it is no farther than `reach_steps`
    /// (0 to 8 sixteenths of a cell; 0 visits the own cell alone).
    pub fn probe(
        &self,
        config: &LandmarkConfig,
        reach_steps: u32,
        mut visit: impl FnMut(LandmarkHash),
    ) {
        let (bin, delta_bin, delta_time) = self.cells();
        let other = |residual: i32| {
            let near = residual.unsigned_abs() + reach_steps >= STEPS / 2 && reach_steps > 0;
            if near { residual.signum() } else { 0 }
        };
        for b in cells(bin.0, other(bin.1)) {
            for db in cells(delta_bin.0, other(delta_bin.1)) {
                for dt in cells(delta_time.0, other(delta_time.1)) {
                    visit(Self::pack(config, b, db, dt));
                }
            }
        }
    }

    fn cells(&self) -> ((i32, i32), (i32, i32), (i32, i32)) {
        (
            quantise(self.bin.0.into()),
            quantise(self.delta_bin.0.into()),
            quantise(self.delta_time.0.into()),
        )
    }

    fn pack(config: &LandmarkConfig, bin: i32, delta_bin: i32, delta_time: i32) -> LandmarkHash {
        // A probe just outside a coordinate's range stays at its end: it finds nothing wrong there,
        // only what its own cell already holds.
        let delta_time = (delta_time - config.min_dt_frames as i32).clamp(0, 31) as u32;
        let delta_bin = (delta_bin + 128).clamp(0, 255) as u32;
        let bin = bin.clamp(0, (1 << (HASH_BITS - 13)) - 1) as u32;
        LandmarkHash(bin << 13 | delta_bin << 5 | delta_time)
    }
}

/// The cell itself and, where `other` is not 0, the one next to it.
fn cells(cell: i32, other: i32) -> impl Iterator<Item = i32> {
    std::iter::once(cell).chain((other != 0).then_some(cell + other))
}

/// Streaming pairing: push peaks in the picker's order, get landmarks in the order of their anchors.
///
/// ```
/// use earmark::units::{BinSteps, TimeSteps};
/// use earmark::{config::LandmarkConfig, landmark::Pairer, peaks::Peak};
/// let peak = |time, bin| {
///     let (time, bin) = (TimeSteps(time), BinSteps(bin));
///     Peak { time, bin, contrast: 40, rank: 0, level: 195, phase: 0 }
/// };
/// let mut pairer = Pairer::new(&LandmarkConfig::default(), 5);
/// let mut landmarks = Vec::new();
/// for p in [peak(160, 800), peak(320, 880), peak(400, 720)] {
///     pairer.push(p, |landmark| landmarks.push(landmark));
/// }
/// pairer.finish(|landmark| landmarks.push(landmark));
/// assert_eq!(landmarks.len(), 3);
/// assert_eq!((landmarks[0].delta_time, landmarks[0].delta_bin), (TimeSteps(160), BinSteps(80)));
/// assert_eq!(landmarks[0].target(), (TimeSteps(320), BinSteps(880)));
/// ```
pub struct Pairer {
    config: LandmarkConfig,
    fan_out: usize,
    /// Peaks from the oldest anchor that is not done to the newest peak.
    peaks: VecDeque<Peak>,
    targets: Vec<Peak>,
}

impl Pairer {
    /// Pairs each anchor with up to `fan_out` targets. The configuration must be valid
    /// (see [`Config::validate`](crate::Config::validate)).
    #[must_use]
    pub fn new(config: &LandmarkConfig, fan_out: usize) -> Self {
        Self {
            config: config.clone(),
            fan_out,
            peaks: VecDeque::with_capacity(256),
            targets: Vec::with_capacity(256),
        }
    }

    /// Takes the next peak; calls `on_landmark` for each landmark of anchors whose zone is complete.
    ///
    /// Peaks come in the order of their frames; refined times may be out of order by up to a frame.
    pub fn push(&mut self, peak: Peak, mut on_landmark: impl FnMut(Landmark)) {
        while let Some(anchor) = self.peaks.front() {
            // One frame more than the zone, for times refined backwards.
            if peak.time.0 <= anchor.time.0.saturating_add((self.config.max_dt_frames + 2) * STEPS)
            {
                break;
            }
            self.pair_oldest(&mut on_landmark);
        }
        self.peaks.push_back(peak);
    }

    /// Ends the signal: pairs the remaining anchors and makes ready for a new signal.
    pub fn finish(&mut self, mut on_landmark: impl FnMut(Landmark)) {
        while !self.peaks.is_empty() {
            self.pair_oldest(&mut on_landmark);
        }
    }

    fn pair_oldest(&mut self, on_landmark: &mut impl FnMut(Landmark)) {
        let Some(anchor) = self.peaks.pop_front() else { return };
        let in_zone = |p: &Peak| {
            let dt = p.time.0.wrapping_sub(anchor.time.0);
            let df = p.bin.0.abs_diff(anchor.bin.0);
            dt >= self.config.min_dt_frames * STEPS
                && dt <= self.config.max_dt_frames * STEPS
                && u32::from(df) <= self.config.max_df_bins * STEPS
        };
        self.targets.clear();
        // Loops, for the compiler does not always inline a filter here, which costs half as much again.
        let (first, second) = self.peaks.as_slices();
        for peaks in [first, second] {
            for peak in peaks {
                if in_zone(peak) {
                    self.targets.push(*peak);
                }
            }
        }
        if self.targets.len() > self.fan_out {
            self.targets.select_nth_unstable_by_key(self.fan_out - 1, strength);
            self.targets.truncate(self.fan_out);
        }
        self.targets.sort_unstable_by_key(|p| (p.time, p.bin));
        for target in &self.targets {
            on_landmark(Landmark {
                time: anchor.time,
                bin: anchor.bin,
                delta_bin: BinSteps(target.bin.0.wrapping_sub(anchor.bin.0) as i16),
                delta_time: TimeSteps(target.time.0.wrapping_sub(anchor.time.0) as u16),
            });
        }
    }
}

/// Orders peaks from strong to weak, without ties.
fn strength(p: &Peak) -> (u8, Reverse<u8>, TimeSteps<u32>, BinSteps) {
    (p.rank, Reverse(p.contrast), p.time, p.bin)
}

/// The landmarks of a whole signal's peaks, which must be in the order of their frames.
#[must_use]
pub fn pair_all(peaks: &[Peak], config: &LandmarkConfig, fan_out: usize) -> Vec<Landmark> {
    let mut pairer = Pairer::new(config, fan_out);
    let mut landmarks = Vec::with_capacity(peaks.len() * fan_out);
    for &peak in peaks {
        pairer.push(peak, |landmark| landmarks.push(landmark));
    }
    pairer.finish(|landmark| landmarks.push(landmark));
    landmarks.shrink_to_fit();
    landmarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;
    use proptest::prelude::*;

    fn random_peaks(n: usize, seed: u64) -> Vec<Peak> {
        let mut random = rng(seed);
        let mut frame = 0;
        (0..n)
            .map(|_| {
                frame += (random() * 2.5) as u32;
                Peak {
                    time: TimeSteps((frame + 1) * 16 + (random() * 16.0) as u32 - 8),
                    bin: BinSteps((random() * 14_000.0) as u16),
                    contrast: (random() * 100.0) as u8,
                    rank: (random() * 10.0) as u8,
                    level: 195,
                    phase: 0,
                }
            })
            .collect()
    }

    #[test]
    fn agrees_with_brute_force() {
        let config = LandmarkConfig::default();
        for seed in 1..20 {
            let peaks = random_peaks(400, seed);
            let mut want = Vec::new();
            for (i, a) in peaks.iter().enumerate() {
                let mut zone: Vec<&Peak> = peaks[i + 1..]
                    .iter()
                    .filter(|t| {
                        let dt = (f64::from(t.time.0) - f64::from(a.time.0)) / 16.0;
                        let df = (f64::from(t.bin.0) - f64::from(a.bin.0)) / 16.0;
                        (2.0..=32.0).contains(&dt) && df.abs() <= 127.0
                    })
                    .collect();
                zone.sort_by_key(|p| strength(p));
                zone.truncate(5);
                zone.sort_by_key(|p| (p.time, p.bin));
                want.extend(zone.iter().map(|t| Landmark {
                    time: a.time,
                    bin: a.bin,
                    delta_bin: BinSteps((i32::from(t.bin.0) - i32::from(a.bin.0)) as i16),
                    delta_time: TimeSteps((t.time.0 - a.time.0) as u16),
                }));
            }
            assert_eq!(pair_all(&peaks, &config, 5), want);
        }
    }

    #[test]
    fn hash_bits_are_as_documented() {
        let config = LandmarkConfig::default();
        let l = Landmark {
            time: TimeSteps(0),
            bin: BinSteps(300 * 16 + 7),
            delta_bin: BinSteps(-20 * 16 - 8),
            delta_time: TimeSteps(9 * 16),
        };
        assert_eq!(l.hash(&config), LandmarkHash(300 << 13 | 108 << 5 | 7));
    }

    proptest! {
        #[test]
        fn probes_reach_every_landmark_within_the_tolerance(
            bin in 100u16..14_000, df in -2000i16..2000, dt in 40u16..500,
            moved in prop::array::uniform3(-4i32..=4),
        ) {
            let config = LandmarkConfig::default();
            let landmark = |time, [bin, df, dt]: [i32; 3]| Landmark {
                time: TimeSteps(time),
                bin: BinSteps(bin as u16),
                delta_bin: BinSteps(df as i16),
                delta_time: TimeSteps(dt as u16),
            };
            let at = [i32::from(bin), i32::from(df), i32::from(dt)];
            let (a, b) = (landmark(0, at), landmark(5, [0, 1, 2].map(|i| at[i] + moved[i])));
            let (mut found, mut probes) = (false, Vec::new());
            a.probe(&config, 4, |hash| {
                found |= hash == b.hash(&config);
                probes.push(hash);
            });
            prop_assert!(found);
            prop_assert_eq!(probes[0], a.hash(&config));
            prop_assert!(probes.len() <= 8);
        }

        #[test]
        fn shifting_the_peaks_shifts_the_landmarks(seed in 0u64..1000, shift in 0u32..10_000) {
            let config = LandmarkConfig::default();
            let peaks = random_peaks(200, seed);
            let later: Vec<Peak> =
                peaks.iter().map(|p| Peak { time: TimeSteps(p.time.0 + shift), ..*p }).collect();
            let mut moved = pair_all(&later, &config, 5);
            moved.iter_mut().for_each(|l| l.time.0 -= shift);
            prop_assert_eq!(pair_all(&peaks, &config, 5), moved);
        }
    }
}
