//! What references keep of a peak: coarser numbers, in as few bits as do.
//!
//! | of | step | why no finer |
//! |---|---|---|
//! | time | 1/8 of a frame | refined times scatter more than that between two recordings of one sound |
//! | frequency | 1/8 of a bin | the same |
//! | contrast | 2 dB | what peaks of a contrast are worth is known in steps of 4 dB |
//! | level | 3 dB, down to −96 dB | it is compared with a margin of several times that |
//! | phase | 1/16 of a turn | it takes 0.6 % off a sum of cosines |
//!
//! [`Fingerprint`](crate::Fingerprint)s hold peaks that are rounded so. They are therefore stored without
//! loss, and pairing what was stored gives the landmarks that were added. Clips are not rounded.

use crate::config::Config;
use crate::peaks::{Peak, STEPS};
use crate::spectrogram::PhaseAdvance;

const HALF_FRAME: u32 = STEPS / 2;
/// Times are kept in steps of this many sixteenths,
const TIME_STEP: u32 = 2;
/// and frequencies.
const BIN_STEP: u16 = 2;
/// Quarters of a dB.
const CONTRAST_STEP: u8 = 8;
/// Halves of a dB.
const LEVEL_STEP: u8 = 6;
const PHASE_STEP: u8 = 16;

const TIME_BITS: u32 = 3;
const CONTRAST_BITS: u32 = 4;
const LEVEL_BITS: u32 = 5;
const PHASE_BITS: u32 = 4;

/// How peaks are kept that one configuration gives.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    bin_bits: u32,
    rank_bits: u32,
    /// Contrast and rank, and level and phase, for what these are in a code side by side.
    contrasts: Vec<[u8; 2]>,
    levels: Vec<[u8; 2]>,
    last_bin: u16,
    last_rank: u8,
    least_contrast: u8,
    advance: PhaseAdvance,
}

impl Kept {
    /// Of references made with `config`.
    pub fn new(config: &Config) -> Self {
        let last_bin = (config.stft.bins() * STEPS as usize).saturating_sub(1);
        let last_bin = u16::try_from(last_bin).unwrap_or(u16::MAX) / BIN_STEP * BIN_STEP;
        let last_rank = config.peaks.reference_rank.saturating_sub(1);
        let (rank_bits, least_contrast) =
            (bits(last_rank.into()), (config.peaks.min_contrast_db * 4.0) as u8);
        let contrast = |code: u32| {
            let steps = code as u8 % (1 << CONTRAST_BITS) * CONTRAST_STEP;
            let contrast = (least_contrast + CONTRAST_STEP / 2).saturating_add(steps);
            [contrast, last_rank.min((code >> CONTRAST_BITS) as u8)]
        };
        let level = |code: u32| {
            let (level, phase) = (code as u8 % (1 << LEVEL_BITS), (code >> LEVEL_BITS) as u8);
            [u8::MAX - LEVEL_STEP / 2 - level * LEVEL_STEP, phase * PHASE_STEP + PHASE_STEP / 2]
        };
        Self {
            bin_bits: bits(u32::from(last_bin / BIN_STEP)),
            rank_bits,
            contrasts: (0..1 << (CONTRAST_BITS + rank_bits)).map(contrast).collect(),
            levels: (0..1 << (LEVEL_BITS + PHASE_BITS)).map(level).collect(),
            last_bin,
            last_rank,
            least_contrast,
            advance: PhaseAdvance::new(&config.stft),
        }
    }

    /// Bits of a [code](Self::code): at most 39.
    pub fn bits(&self) -> u32 {
        TIME_BITS + self.bin_bits + CONTRAST_BITS + self.rank_bits + LEVEL_BITS + PHASE_BITS
    }

    /// The peak as it is kept. Its phase is that at the time and of the frequency that are kept. Doing it
    /// again changes nothing.
    pub fn round(&self, peak: &Peak) -> Peak {
        let kept = self.peak(self.code(peak), frame(peak));
        let middle = i64::from(frame(peak)) * i64::from(STEPS);
        let turned =
            |peak: &Peak| self.advance.turned(peak.bin, (i64::from(peak.time) - middle) as i32);
        let phase = peak.phase.wrapping_sub(turned(peak)).wrapping_add(turned(&kept));
        Peak { phase: phase / PHASE_STEP * PHASE_STEP + PHASE_STEP / 2, ..kept }
    }

    /// Rounds peaks and puts them in the order of the frames that they are nearest to.
    pub fn round_all(&self, peaks: &mut [Peak]) {
        peaks.iter_mut().for_each(|peak| *peak = self.round(peak));
        peaks.sort_by_key(frame);
    }

    /// All of a peak but its [`frame`].
    pub fn code(&self, peak: &Peak) -> u64 {
        let level = ((u8::MAX - peak.level) / LEVEL_STEP).min((1 << LEVEL_BITS) - 1);
        let contrast = peak.contrast.saturating_sub(self.least_contrast) / CONTRAST_STEP;
        let time = (peak.time.saturating_add(HALF_FRAME) % STEPS) / TIME_STEP;
        let fields = [
            (u64::from(peak.phase / PHASE_STEP), PHASE_BITS),
            (level.into(), LEVEL_BITS),
            (peak.rank.min(self.last_rank).into(), self.rank_bits),
            (contrast.min((1 << CONTRAST_BITS) - 1).into(), CONTRAST_BITS),
            ((peak.bin.min(self.last_bin) / BIN_STEP).into(), self.bin_bits),
            (time.into(), TIME_BITS),
        ];
        fields.iter().fold(0, |code, (field, bits)| code << bits | field)
    }

    /// The peak of a frame that a code stands for. Bits above those of a code do not count.
    #[inline(always)]
    pub fn peak(&self, mut code: u64, frame: u32) -> Peak {
        let mut take = |bits: u32| {
            let field = code & ((1 << bits) - 1);
            code >>= bits;
            field
        };
        let time = take(TIME_BITS) as u32 * TIME_STEP;
        let bin = take(self.bin_bits) as u16 * BIN_STEP;
        let [contrast, rank] = self.contrasts[take(CONTRAST_BITS + self.rank_bits) as usize];
        let [level, phase] = self.levels[take(LEVEL_BITS + PHASE_BITS) as usize];
        let time = (frame.wrapping_mul(STEPS).wrapping_add(time)).saturating_sub(HALF_FRAME);
        Peak { time, bin: bin.min(self.last_bin), contrast, rank, level, phase }
    }
}

/// The frame that a peak is nearest to.
#[inline]
pub(crate) fn frame(peak: &Peak) -> u32 {
    peak.time.saturating_add(HALF_FRAME) / STEPS
}

/// Number of bits that `number` takes up.
fn bits(number: u32) -> u32 {
    u32::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peaks() -> impl Strategy<Value = Peak> {
        let fields = (any::<u32>(), 0u16..14_200, any::<[u8; 4]>());
        fields.prop_map(|(time, bin, [contrast, rank, level, phase])| Peak {
            time,
            bin,
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
            prop_assert!(kept.code(&peak) < 1 << kept.bits());
            prop_assert_eq!(frame(&round), frame(&peak));
            prop_assert!(round.time.abs_diff(peak.time) < 16 && round.bin.abs_diff(peak.bin) < 90);
            if peak.time < u32::MAX - 16 && peak.bin < 883 * 16 {
                prop_assert!(round.time.abs_diff(peak.time) <= 1 && round.bin.abs_diff(peak.bin) <= 1);
            }
            if (24..=24 + 127).contains(&peak.contrast) {
                prop_assert!(round.contrast.abs_diff(peak.contrast) <= 4);
            }
            prop_assert_eq!(round.rank, peak.rank.min(6));
            if peak.level >= 255 - 191 {
                prop_assert!(round.level.abs_diff(peak.level) <= 3);
            }
            if (round.time, round.bin) == (peak.time, peak.bin) {
                prop_assert!(round.phase.abs_diff(peak.phase) <= 8);
            }
        }
    }

    #[test]
    fn a_peak_takes_32_bits() {
        assert_eq!(Kept::new(&Config::default()).bits(), 32);
    }
}
