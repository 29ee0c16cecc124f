//! How clear a clip is.
//!
//! What a strength means depends on the clip. Noise, echoes and narrow bands leave little of a
//! recording, and little agreement is all that its true match can have. A clear clip would agree
//! with its own recording far more than with any other: there, as much agreement is that of music
//! which is alike. Clarity is how strong the true match of such a clip is expected to be, told from
//! the clip alone. That the quality of a sample belongs into the decision is known from the
//! recognition of persons (J. Fierrez-Aguilar et al., "Discriminative multimodal biometric
//! authentication based on quality measures", 2005).

use crate::arithmetic::sum;
use crate::bands::SILENCE_DB;
use crate::calibration::QualityModel;
use crate::peaks::Peak;

/// A trait farther from its average, in deviations, says no more than this.
const FARTHEST: f64 = 2.0;

/// What tells clear clips from others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Traits {
    /// Logarithm of the levels' standard deviation within frames, in dB.
    pub spread: f64,
    /// Skewness of the levels within frames.
    pub skewness: f64,
    /// Logarithm of the standard deviation of the frames' mean levels, in dB.
    pub swing: f64,
    /// Logarithm of the peaks' mean contrast in dB.
    pub contrast: f64,
}

impl Traits {
    /// Those of a clip, given by its spectrogram, as rows of `bins` levels in dB, and its peaks. Frames
    /// in which `silent` holds do not count.
    ///
    /// ```
    /// use earmark::{Calibration, evidence::quality::Traits};
    /// let levels_db: Vec<f32> = (0..1000u32).map(|i| -((i * i) as f32 % 59.0)).collect();
    /// let traits = Traits::new(&levels_db, 100, |_| false, &[]);
    /// assert!((0.2..5.0).contains(&traits.clarity(&Calibration::default().quality)));
    /// ```
    #[must_use]
    pub fn new(
        levels_db: &[f32],
        bins: usize,
        silent: impl Fn(usize) -> bool,
        peaks: &[Peak],
    ) -> Self {
        let rows = levels_db.chunks_exact(bins.max(1)).enumerate();
        let loud = rows.filter(|&(frame, _)| !silent(frame));
        Self::of_moments(&loud.map(|(_, row)| Moments::new(row)).collect::<Vec<_>>(), peaks)
    }

    /// Those of a clip whose frames, but for the silent ones, have these moments.
    pub(crate) fn of_moments(moments: &[Moments], peaks: &[Peak]) -> Self {
        let frames = moments.len().max(1) as f32;
        let average = |of: fn(&Moments) -> f32| moments.iter().map(of).sum::<f32>() / frames;
        let mean = average(|m| m.mean);
        let swing = moments.iter().map(|m| (m.mean - mean).powi(2)).sum::<f32>() / frames;
        let spread = average(|m| m.second).sqrt().max(0.1);
        let contrast = peaks.iter().map(Peak::contrast_db).sum::<f32>() / peaks.len().max(1) as f32;
        let ln = |x: f32| libm::log(f64::from(x.max(0.1)));
        Self {
            spread: ln(spread),
            skewness: f64::from(average(|m| m.third) / spread.powi(3)),
            swing: ln(swing.sqrt()),
            contrast: ln(contrast),
        }
    }

    /// Strength to be expected of the clip's true match, as a multiple of what is usual for clips of
    /// its length: 0.7 to 1.4 for nine clips in ten, and always between e⁻³·² and e³·².
    #[must_use]
    pub fn clarity(&self, model: &QualityModel) -> f32 {
        let says = |value: f64, mean: f64, deviation: f64, weight: f64| {
            let deviations = (value - mean) / deviation;
            weight * deviations.clamp(-FARTHEST, FARTHEST)
        };
        let m = model;
        let says = says(self.spread, m.spread_mean, m.spread_deviation, m.spread_weight)
            + says(self.skewness, m.skewness_mean, m.skewness_deviation, m.skewness_weight)
            + says(self.swing, m.swing_mean, m.swing_deviation, m.swing_weight)
            + says(self.contrast, m.contrast_mean, m.contrast_deviation, m.contrast_weight);
        libm::exp(says) as f32
    }
}

/// Mean and central moments of a frame's levels.
#[derive(Clone, Copy)]
pub(crate) struct Moments {
    mean: f32,
    second: f32,
    third: f32,
}

impl Moments {
    pub fn new(levels_db: &[f32]) -> Self {
        let levels: Vec<f32> = levels_db.iter().map(|level| level.max(SILENCE_DB)).collect();
        let n = levels.len() as f32;
        let mean = sum(&levels) / n;
        let squares: Vec<f32> = levels.iter().map(|level| (level - mean).powi(2)).collect();
        let cubes: Vec<f32> =
            levels.iter().zip(&squares).map(|(level, square)| (level - mean) * square).collect();
        Self { mean, second: sum(&squares) / n, third: sum(&cubes) / n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;
    use crate::config::Config;
    use crate::fingerprint::Fingerprinter;
    use crate::testing::{music, noise};
    use crate::units::SampleRate;

    const BINS: usize = 50;

    fn levels(frames: usize, seed: u64) -> Vec<f32> {
        noise(frames * BINS, seed).iter().map(|x| 20.0 * x.abs().sqrt() - 70.0).collect()
    }

    fn clarity(
        levels_db: &[f32],
        bins: usize,
        silent: impl Fn(usize) -> bool,
        peaks: &[Peak],
    ) -> f32 {
        Traits::new(levels_db, bins, silent, peaks).clarity(&Calibration::default().quality)
    }

    fn peak(contrast_db: u8) -> Peak {
        Peak { contrast: 4 * contrast_db, level: 195, ..Peak::default() }
    }

    /// The definition, written down as it reads.
    fn defined(levels_db: &[f32], peaks: &[Peak]) -> f64 {
        let levels: Vec<f64> = levels_db.iter().map(|&x| f64::from(x.max(-110.0))).collect();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let rows: Vec<&[f64]> = levels.chunks_exact(BINS).collect();
        let means: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
        let moment = |power: i32| {
            let of_row = |(row, mean): (&&[f64], &f64)| {
                row.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / BINS as f64
            };
            mean(&rows.iter().zip(&means).map(of_row).collect::<Vec<_>>())
        };
        let swings: Vec<f64> = means.iter().map(|x| (x - mean(&means)).powi(2)).collect();
        let contrasts: Vec<f64> = peaks.iter().map(|p| f64::from(p.contrast_db())).collect();
        let model = Calibration::default().quality;
        let z =
            |value: f64, mean: f64, deviation: f64| ((value - mean) / deviation).clamp(-2.0, 2.0);
        let QualityModel { spread_mean, skewness_mean, swing_mean, contrast_mean, .. } = model;
        let spread = z(moment(2).sqrt().ln(), spread_mean, model.spread_deviation);
        let skewness = z(moment(3) / moment(2).powf(1.5), skewness_mean, model.skewness_deviation);
        let swing = z(mean(&swings).sqrt().ln(), swing_mean, model.swing_deviation);
        let contrast = z(mean(&contrasts).ln(), contrast_mean, model.contrast_deviation);
        (model.spread_weight * spread
            + model.skewness_weight * skewness
            + model.swing_weight * swing
            + model.contrast_weight * contrast)
            .exp()
    }

    #[test]
    fn clarity_agrees_with_its_definition() {
        let mut seen = Vec::new();
        for seed in 0..20 {
            // Louder and softer by turns, of more or less spread, some of it below the floor.
            let scale = 0.4 + seed as f32 / 15.0;
            let levels: Vec<f32> = (levels(60, seed).iter().enumerate())
                .map(|(i, x)| scale * x - (i / BINS % (1 + seed as usize % 4)) as f32)
                .collect();
            let peaks = [peak(8 + seed as u8), peak(20)];
            let clarity = clarity(&levels, BINS, |_| false, &peaks);
            let defined = defined(&levels, &peaks);
            assert!((f64::from(clarity) / defined - 1.0).abs() < 1e-3, "{clarity} {defined}");
            seen.push(clarity);
        }
        let highest = seen.iter().copied().fold(0.0, f32::max);
        assert!(seen.iter().any(|&least| 1.3 * least < highest), "{seen:?}");
    }

    #[test]
    fn silent_frames_and_gain_do_not_count() {
        let peaks = [peak(15)];
        let loud = levels(40, 3);
        let expected = clarity(&loud, BINS, |_| false, &peaks);
        let with_pause = [&loud[..20 * BINS], &[-200.0; 7 * BINS], &loud[20 * BINS..]].concat();
        assert_eq!(clarity(&with_pause, BINS, |f| (20..27).contains(&f), &peaks), expected);
        let soft: Vec<f32> = loud.iter().map(|x| x - 12.0).collect();
        assert!((clarity(&soft, BINS, |_| false, &peaks) / expected - 1.0).abs() < 1e-4);
    }

    #[test]
    fn whatever_there_is_clarity_keeps_within_its_range() {
        for levels in [vec![], vec![-200.0; 30 * BINS], levels(1, 4), levels(30, 5)] {
            for peaks in [&[][..], &[peak(0)], &[peak(60), peak(1)]] {
                for silent in [true, false] {
                    let clarity = clarity(&levels, BINS, |_| silent, peaks);
                    assert!((0.27..3.7).contains(&clarity), "{clarity}");
                }
            }
        }
        assert!(clarity(&[1.0, 2.0], 0, |_| false, &[]).is_finite());
    }

    #[test]
    fn noise_makes_a_clip_less_clear() {
        let rate = SampleRate::new(8000).unwrap();
        let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
        for seed in 0..4 {
            let song = music(5.0, seed);
            let noise = noise(song.len(), seed + 50);
            let power = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>();
            let same = (power(&song) / power(&noise)).sqrt();
            let mut at_snr = |snr_db: f32| {
                let gain = same * 10f32.powf(-snr_db / 20.0);
                let clip: Vec<f32> = song.iter().zip(&noise).map(|(x, n)| x + gain * n).collect();
                fingerprinter.query(&clip, rate).unwrap().clarity()
            };
            let clarities = [20.0, 10.0, 0.0, -5.0].map(&mut at_snr);
            assert!(clarities.windows(2).all(|w| w[1] < 0.95 * w[0]), "{clarities:?}");
        }
    }
}
