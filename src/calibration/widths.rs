//! Durations and widths within which evidence is looked for: chosen in seconds and Hz, and turned into
//! frames and bins here, for whatever analysis.

use crate::bands::FRAMES;
use crate::config::StftConfig;
use crate::units::{BinSteps, STEPS, TimeSteps};

/// Half-sizes, in seconds and Hz, of the nested neighbourhoods in which a cell of a spectrogram may be
/// the one maximum.
const NEIGHBOURHOODS: [(f64, f64); NESTED] = [
    (0.032, 3.9),
    (0.032, 7.8),
    (0.064, 11.7),
    (0.064, 19.5),
    (0.096, 31.2),
    (0.096, 46.9),
    (0.128, 70.3),
    (0.192, 97.7),
];
const NESTED: usize = 8;
/// How near to the clip's ends a match runs to them.
const ENDS_S: f64 = 0.35;
/// Places to each side that are tried at a glance,
const GLANCE_S: f64 = 0.032;
/// and around a place that is refined: so far, in such steps.
const REFINED_S: f64 = 0.064;
const REFINEMENT_S: f64 = 0.016;
/// The shortest stretch of a clip that is judged by itself.
const SHORTEST_S: f64 = 1.02;
/// Stretch of the clip by which the rungs beside a rung are tried. Over more, half a rung of tempo
/// adds up to too much.
const WINDOW_S: f64 = 9.99;
/// Moments of a picture of bands that are farther apart have nothing to do with each other that would
/// count.
const LONGEST_LAG_S: f64 = 8.2;
/// Less than this of sub-fingerprints says nothing.
const FEWEST_S: f64 = 0.5;
/// Peaks are of one frequency if they are no farther apart.
const ONE_FREQUENCY_HZ: f64 = 7.8;
/// Pairs of peaks whose phases are compared are at least so far apart: what is nearer may be of one
/// note, and any two steady tones go together for a while;
const NEAREST_S: f64 = 0.32;
/// and at most so far: two clocks that differ by 50 millionths turn 1 kHz by a seventh meanwhile.
const FARTHEST_S: f64 = 3.0;
/// Stretches of which the gain is told apart.
const STRETCH_S: f64 = 2.01;

/// The widths in the frames and bins of one analysis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Widths {
    pub(crate) neighbourhoods: [(usize, usize); NESTED],
    pub(crate) ends_frames: usize,
    pub(crate) glance: TimeSteps,
    pub(crate) refinements: i64,
    pub(crate) refinement: TimeSteps,
    pub(crate) shortest_frames: usize,
    pub(crate) window_frames: usize,
    pub(crate) longest_lag: usize,
    pub(crate) fewest_sub_fingerprints: usize,
    pub(crate) one_frequency: BinSteps,
    pub(crate) nearest_frames: u32,
    pub(crate) farthest_frames: u32,
    pub(crate) stretch_frames: usize,
}

impl Widths {
    /// Those of an analysis: at least one frame or bin each.
    #[must_use]
    pub fn new(config: &StftConfig) -> Self {
        let (hop_s, bin_hz) = (config.hop_s(), f64::from(config.bin_hz()));
        // Rates and lengths have limits, and so has what comes of them.
        let whole = |x: f64| x.round().clamp(1.0, 1e6) as usize;
        let frames = |s: f64| whole(s / hop_s);
        let steps = |s: f64| TimeSteps(whole(s / hop_s * f64::from(STEPS)) as i64);
        let rows = |s: f64| whole(s / hop_s / FRAMES as f64);
        let steps_of_bin = whole(ONE_FREQUENCY_HZ / bin_hz) * STEPS as usize;
        Self {
            neighbourhoods: NEIGHBOURHOODS.map(|(s, hz)| (frames(s), whole(hz / bin_hz))),
            ends_frames: frames(ENDS_S),
            glance: steps(GLANCE_S),
            refinements: whole(REFINED_S / REFINEMENT_S) as i64,
            refinement: steps(REFINEMENT_S),
            shortest_frames: frames(SHORTEST_S),
            window_frames: frames(WINDOW_S),
            longest_lag: rows(LONGEST_LAG_S),
            fewest_sub_fingerprints: rows(FEWEST_S),
            one_frequency: BinSteps(u16::try_from(steps_of_bin).unwrap_or(u16::MAX)),
            nearest_frames: frames(NEAREST_S) as u32,
            farthest_frames: frames(FARTHEST_S) as u32,
            stretch_frames: frames(STRETCH_S),
        }
    }

    /// Frames to each side that decide what a frame's cells are.
    pub(crate) fn reach_frames(&self) -> usize {
        self.neighbourhoods[NESTED - 1].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the default calibration was made with them.
    #[test]
    fn widths_of_the_default_analysis() {
        let widths = Widths::new(&StftConfig::default());
        let neighbourhoods = [(1, 1), (1, 2), (2, 3), (2, 5), (3, 8), (3, 12), (4, 18), (6, 25)];
        let expected = Widths {
            neighbourhoods,
            ends_frames: 11,
            glance: TimeSteps(16),
            refinements: 4,
            refinement: TimeSteps(8),
            shortest_frames: 32,
            window_frames: 312,
            longest_lag: 64,
            fewest_sub_fingerprints: 4,
            one_frequency: BinSteps(32),
            nearest_frames: 10,
            farthest_frames: 94,
            stretch_frames: 63,
        };
        assert_eq!(widths, expected);
    }

    #[test]
    fn widths_are_the_same_in_seconds_and_hz_for_other_analyses() {
        for (window_samples, hop_samples) in [(2048, 512), (1024, 128), (4096, 1)] {
            let config = StftConfig { window_samples, hop_samples, ..StftConfig::default() };
            let widths = Widths::new(&config);
            let frame_s = config.hop_s();
            assert!((widths.stretch_frames as f64 * frame_s - STRETCH_S).abs() <= frame_s);
            assert!((f64::from(widths.farthest_frames) * frame_s - FARTHEST_S).abs() <= frame_s);
            let (frames, bins) = widths.neighbourhoods[7];
            assert!((frames as f64 * frame_s - NEIGHBOURHOODS[7].0).abs() <= frame_s);
            let bin_hz = f64::from(config.bin_hz());
            assert!((bins as f64 * bin_hz - NEIGHBOURHOODS[7].1).abs() <= bin_hz);
            let nested = |w: &[(usize, usize)]| w[0].0 <= w[1].0 && w[0].1 <= w[1].1;
            assert!(widths.neighbourhoods.windows(2).all(nested));
        }
    }
}
