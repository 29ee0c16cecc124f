//! What references keep of a peak: coarser numbers, in as few bits as do.
//!
//! | of | step | why no finer |
//! |---|---|---|
//! | time | 1/8 of a frame | refined times scatter more than that between two recordings of one sound |
//! | frequency | 1/4 of a bin | recall among 1,000 tracks is the same with it (docs/index.md) |
//! | contrast | 4 dB | what peaks of a contrast are worth is known in these steps |
//! | level | 6 dB, down to −96 dB | it is compared with a margin of several times that |
//! | phase | 1/8 of a turn | it takes 2.6 % off a sum of cosines |
//!
//! [`Fingerprint`](crate::Fingerprint)s hold peaks that are rounded so. They are therefore stored without
//! loss, and pairing what was stored gives the landmarks that were added. Clips are not rounded.

use crate::config::Config;
use crate::peaks::{Peak, STEPS};
use crate::spectrogram::PhaseAdvance;
use crate::units::{BinSteps, TimeSteps};

const HALF_FRAME: u32 = STEPS / 2;
/// Times are kept in steps of this many sixteenths,
const TIME_STEP: u32 = 2;
/// and frequencies.
const BIN_STEP: u16 = 4;
/// Quarters of a dB.
const CONTRAST_STEP: u8 = 16;
/// Halves of a dB.
const LEVEL_STEP: u8 = 12;
const PHASE_STEP: u8 = 32;

/// Times in a frame.
pub(crate) const TIMES: u32 = STEPS / TIME_STEP;
pub(crate) const CONTRASTS: u32 = 8;
/// A power of two.
pub(crate) const LEVELS: u32 = 16;
pub(crate) const PHASE_BITS: u32 = 3;

/// How peaks are kept that one configuration gives.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    last_bin: u16,
    last_rank: u8,
    least_contrast: u8,
    advance: PhaseAdvance,
}

/// A peak in steps of what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    /// From half a frame before the middle of the frame nearest to it, below [`TIMES`].
    pub time: u32,
    pub bin: u32,
    /// From the least that a peak has, below [`CONTRASTS`].
    pub contrast: u32,
    pub rank: u32,
    /// From the highest down, below [`LEVELS`].
    pub level: u32,
    /// Below 2 to the power of [`PHASE_BITS`].
    pub phase: u32,
}

impl Kept {
    /// Of references made with `config`.
    pub fn new(config: &Config) -> Self {
        let last_bin = (config.stft.bins() * STEPS as usize).saturating_sub(1);
        Self {
            last_bin: u16::try_from(last_bin).unwrap_or(u16::MAX) / BIN_STEP * BIN_STEP,
            last_rank: config.peaks.reference_rank.saturating_sub(1),
            least_contrast: (config.peaks.min_contrast_db * 4.0) as u8,
            advance: PhaseAdvance::new(&config.stft),
        }
    }

    /// Bits of a rank.
    pub fn rank_bits(&self) -> u32 {
        u8::BITS - self.last_rank.leading_zeros()
    }

    /// The peak as it is kept. Its phase is that at the time and of the frequency that are kept. Doing it
    /// again changes nothing.
    pub fn round(&self, peak: &Peak) -> Peak {
        let frame = peak.time.nearest_frame();
        let kept = self.peak(&self.steps(peak), frame);
        let middle = TimeSteps::from_frames(frame.into());
        let turned = |peak: &Peak| self.advance.turned(peak.bin, peak.time - middle);
        let phase = peak.phase.wrapping_sub(turned(peak)).wrapping_add(turned(&kept));
        Peak { phase: phase / PHASE_STEP * PHASE_STEP + PHASE_STEP / 2, ..kept }
    }

    /// Rounds peaks and puts them in the order of the frames that they are nearest to, those of a frame in
    /// that of their frequencies.
    pub fn round_all(&self, peaks: &mut [Peak]) {
        peaks.iter_mut().for_each(|peak| *peak = self.round(peak));
        peaks.sort_by_key(order);
    }

    /// All of a peak but the frame that it is nearest to.
    pub fn steps(&self, peak: &Peak) -> Steps {
        let contrast = peak.contrast.saturating_sub(self.least_contrast) / CONTRAST_STEP;
        Steps {
            time: (peak.time.0.saturating_add(HALF_FRAME) % STEPS) / TIME_STEP,
            bin: (peak.bin.0.min(self.last_bin) / BIN_STEP).into(),
            contrast: u32::from(contrast).min(CONTRASTS - 1),
            rank: peak.rank.min(self.last_rank).into(),
            level: u32::from((u8::MAX - peak.level) / LEVEL_STEP).min(LEVELS - 1),
            phase: (peak.phase / PHASE_STEP).into(),
        }
    }

    /// The peak of a frame that steps stand for. Frequencies and ranks that no peak has are taken for the nearest.
    #[inline(always)]
    pub fn peak(&self, steps: &Steps, frame: u32) -> Peak {
        let time = frame.wrapping_mul(STEPS).wrapping_add(steps.time % TIMES * TIME_STEP);
        let contrast = (steps.contrast as u8).wrapping_mul(CONTRAST_STEP) | (CONTRAST_STEP / 2);
        let level = (steps.level as u8).wrapping_mul(LEVEL_STEP).wrapping_add(LEVEL_STEP / 2);
        Peak {
            time: TimeSteps(time.saturating_sub(HALF_FRAME)),
            bin: BinSteps(steps.bin.min((self.last_bin / BIN_STEP).into()) as u16 * BIN_STEP),
            contrast: self.least_contrast.saturating_add(contrast),
            rank: steps.rank.min(self.last_rank.into()) as u8,
            level: u8::MAX - level,
            phase: (steps.phase as u8).wrapping_mul(PHASE_STEP) | (PHASE_STEP / 2),
        }
    }
}

/// What kept peaks are in the order of.
pub(crate) fn order(peak: &Peak) -> (u32, BinSteps, TimeSteps<u32>) {
    (peak.time.nearest_frame(), peak.bin, peak.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peaks() -> impl Strategy<Value = Peak> {
        let fields = (any::<u32>(), 0u16..14_200, any::<[u8; 4]>());
        fields.prop_map(|(time, bin, [contrast, rank, level, phase])| Peak {
            time: TimeSteps(time),
            bin: BinSteps(bin),
            contrast,
            rank,
            level,
            phase,
        })
    }

    proptest! {
        #[test]
        fn rounded_peaks_are_near_and_stay_as_they_are(peak in peaks()) {
            let config = Config::default();
            let kept = Kept::new(&config);
            let round = kept.round(&peak);
            prop_assert_eq!(kept.round(&round), round);
            prop_assert_eq!(kept.peak(&kept.steps(&round), round.time.nearest_frame()), round);
            prop_assert_eq!(round.time.nearest_frame(), peak.time.nearest_frame());
            let (late, high) = (round.time.abs_diff(peak.time), round.bin.abs_diff(peak.bin));
            prop_assert!(late < TimeSteps(16) && high < BinSteps(90));
            if peak.time < TimeSteps(u32::MAX - 16) && peak.bin < BinSteps(883 * 16) {
                prop_assert!(late <= TimeSteps(1) && high <= BinSteps(3));
            }
            if (24..=24 + 127).contains(&peak.contrast) {
                prop_assert!(round.contrast.abs_diff(peak.contrast) <= 8);
            }
            prop_assert_eq!(round.rank, peak.rank.min(6));
            if peak.level >= 255 - 191 {
                prop_assert!(round.level.abs_diff(peak.level) <= 6);
            }
            if (round.time, round.bin) == (peak.time, peak.bin) {
                prop_assert!(round.phase.abs_diff(peak.phase) <= 16);
            }
        }
    }
}
