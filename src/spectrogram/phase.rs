//! Phases of bins.

use crate::config::StftConfig;
use crate::units::{BinSteps, STEPS, TimeSteps};

/// Takes the phase of a bin of a frame to a partial's, at a time close by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PhaseAdvance {
    /// The analysis band's first.
    first_bin: BinSteps<i64>,
    hop: i64,
    window: i64,
}

impl PhaseAdvance {
    pub fn new(config: &StftConfig) -> Self {
        Self {
            first_bin: BinSteps(config.first_bin() as i64 * i64::from(STEPS)),
            hop: config.hop_samples as i64,
            window: config.window_samples as i64,
        }
    }

    /// The phase of a partial at the frequency `bin` from the band's first, `late` after the middle of a
    /// frame, from what [`Frame::phases`](super::Frame) of this frame says of the bin `cell`, in which the
    /// partial is heard.
    pub fn of(&self, phase: u8, cell: usize, bin: BinSteps, late: TimeSteps) -> u8 {
        // Half a frame is half as many turns of a bin as its number.
        let first_bin = self.first_bin.0 as usize / STEPS as usize;
        let to_middle = ((first_bin + cell) % 2 * 128) as u8;
        phase.wrapping_add(to_middle).wrapping_add(self.turned(bin, late))
    }

    /// By how much a partial at the frequency `bin` turns in the time `late`.
    pub fn turned(&self, bin: BinSteps, late: TimeSteps) -> u8 {
        // A bin is a turn in a window, and there are 256 pairs of steps.
        let turned = (self.first_bin.0 + i64::from(bin.0)) * late.0 * self.hop;
        (turned + self.window / 2).div_euclid(self.window) as u8
    }
}

/// Steps of a turn.
const TURN: f32 = 256.0;
/// Added to a number, it leaves the nearest integer in the lowest bits.
const TO_INTEGER: f32 = 12_582_912.0; // 1.5 · 2²³

/// The angle of a complex number in 1/256 of a turn, to within 0.66 of one: without a branch, without
/// the platform's arc tangent, for which a parabola stands (S. Rajan et al., "Efficient
/// approximations for the arctangent function", 2006), and without a conversion that saturates.
#[inline(always)]
pub fn steps(re: f32, im: f32) -> u8 {
    let (across, along) = (im.abs(), re.abs());
    let (less, more) = if across > along { (along, across) } else { (across, along) };
    // Zero has any phase.
    let t = less / (more + f32::MIN_POSITIVE);
    let octant = t * (TURN / 8.0 + 11.123 * (1.0 - t));
    let quadrant = if across > along { TURN / 4.0 - octant } else { octant };
    let half = if re < 0.0 { TURN / 2.0 - quadrant } else { quadrant };
    let turn = if im < 0.0 { TURN - half } else { half };
    (turn + TO_INTEGER).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::Stft;
    use std::f64::consts::TAU;

    #[test]
    fn a_tone_between_frames_and_bins_has_the_phase_that_it_advances_to() {
        let config = StftConfig::default();
        let advance = PhaseAdvance::new(&config);
        for steps in [0, 37, 4_005, 12_345] {
            let bin = config.first_bin() as f64 + f64::from(steps) / 16.0;
            let turns = |sample: f64| bin * sample / config.window_samples as f64 + 0.3;
            let tone: Vec<f32> =
                (0..4096).map(|i| (TAU * turns(f64::from(i))).cos() as f32).collect();
            let mut frame = 0;
            Stft::new(&config).unwrap().push(&tone, |found| {
                let middle = 1024.0 + 256.0 * f64::from(frame);
                for late in -8..=8 {
                    let cell = steps as usize / 16;
                    let (bin, time) = (BinSteps(steps), TimeSteps(late.into()));
                    let phase = advance.of(found.phases[cell], cell, bin, time);
                    let want = 256.0 * turns(middle + 16.0 * f64::from(late));
                    let off = (f64::from(phase) - want).rem_euclid(256.0);
                    assert!(off.min(256.0 - off) < 1.5, "{steps} {late}: {off}");
                }
                frame += 1;
            });
        }
    }

    #[test]
    fn steps_are_those_of_the_arc_tangent() {
        for i in 0..4096 {
            let angle = TAU * f64::from(i) / 4096.0;
            for size in [1e-15, 0.3, 4e7] {
                let found = steps((size * angle.cos()) as f32, (size * angle.sin()) as f32);
                let off = (f64::from(found) - f64::from(i) / 16.0).rem_euclid(256.0);
                assert!(off.min(256.0 - off) <= 0.66, "{i} {size}: {found}");
            }
        }
        assert_eq!(steps(0.0, 0.0), 0);
    }
}
