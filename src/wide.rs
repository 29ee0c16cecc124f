//! Hot loops in wider vectors, where the processor has them.
//!
//! The crate is compiled for every x86-64 processor, whose vectors are of 128 bits. The loops that
//! gain from it are compiled once more, for AVX2 with 256 bits, and which of the two runs is decided
//! at run time. Both do the same arithmetic in the same order (AVX2 alone fuses no multiplication
//! with an addition), so their results are the same to the last bit. (That does not hold of the
//! FFT, which is rustfft's and chooses its instructions itself.) Other architectures have the plain one
//! only.
#![allow(unsafe_code)]

/// Does `work` in the widest vectors that there are.
///
/// Only what is inlined into `work` gains from it: it is a closure marked `#[inline(always)]`, and
/// calls functions that are.
#[inline(always)]
pub(crate) fn run<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }

        #[cfg(test)]
        if tests::PLAINLY.get() {
            return work();
        }
        // The answer is kept by the standard library: this is a load and a test.
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use crate::evidence::bands::BandLevels;
    use crate::evidence::peaks::LevelMap;
    use crate::peaks::PeakPicker;
    use crate::spectrogram::Stft;
    use crate::testing::{music, noise};
    use crate::units::TimeSteps;
    use crate::{Config, Resampler, SampleRate};
    use std::cell::Cell;

    thread_local! {
        /// Set: this thread does without wider vectors.
        pub(super) static PLAINLY: Cell<bool> = const { Cell::new(false) };
    }

    /// Asserts that `work` gives the same with and without wider vectors.
    fn same_both_ways<R: PartialEq>(what: &str, mut work: impl FnMut() -> R) {
        let wide = work();
        PLAINLY.set(true);
        let plain = work();
        PLAINLY.set(false);
        assert!(wide == plain, "{what}");
    }

    fn bits(samples: &[f32]) -> Vec<u32> {
        samples.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn resampling_is_the_same_in_wider_vectors() {
        for from_hz in [4_000, 7_999, 8_000, 11_025, 44_100, 48_000, 96_000] {
            let [from, to] = [from_hz, 8_000].map(|hz| SampleRate::new(hz).unwrap());
            let input = noise(from_hz as usize, 1);
            same_both_ways(&format!("{from_hz} Hz"), || {
                let (mut resampler, mut out) = (Resampler::new(from, to, 3_600.0), Vec::new());
                input.chunks(777).for_each(|piece| resampler.push(piece, &mut out));
                resampler.finish(&mut out);
                bits(&out)
            });
        }
    }

    #[test]
    fn agreement_of_bands_is_the_same_in_wider_vectors() {
        let config = Config::default().stft;
        let levels: Vec<f32> = noise(150 * config.bins(), 8).iter().map(|x| 20.0 * x).collect();
        let bands = BandLevels::new(&levels, &config);
        let words: Vec<u64> = (1..200u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        for offset in [0, 37, 900] {
            same_both_ways(&format!("{offset}"), || {
                bands.deviations(&words, TimeSteps(offset), (1.0, 1.0), 0..150, 0.1).to_bits()
            });
        }
    }

    #[test]
    fn levels_peaks_and_maps_are_the_same_in_wider_vectors() {
        for window_samples in [130, 512, 2_048] {
            let mut config = Config::default();
            config.stft.window_samples = window_samples;
            config.stft.hop_samples = window_samples / 8;
            config.peaks.freq_radius_bins = 1 + window_samples / 200;
            config.peaks.min_contrast_db = 0.0;
            for (kind, samples) in [("noise", noise(20_000, 2)), ("music", music(2.5, 3))] {
                same_both_ways(&format!("{kind}, {window_samples}"), || {
                    let mut stft = Stft::new(&config.stft).unwrap();
                    let mut picker = PeakPicker::new(&config.peaks, &config.stft);
                    let (mut levels, mut powers) = (Vec::new(), Vec::new());
                    let (mut phases, mut peaks) = (Vec::new(), Vec::new());
                    stft.push(&samples, |frame| {
                        levels.extend_from_slice(frame.levels_db);
                        powers.push(frame.power_db);
                        phases.extend_from_slice(frame.phases);
                        picker.push(frame, |peak| peaks.push(peak));
                    });
                    picker.finish(|peak| peaks.push(peak));
                    assert!(!peaks.is_empty());
                    let map = LevelMap::new(&levels, &config.stft, |_| false);
                    (bits(&levels), bits(&powers), phases, peaks, map)
                });
            }
        }
    }
}
