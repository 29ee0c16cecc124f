//! Spectra of real signals.
//!
//! A complex transform of half the length takes the even samples for real and the odd ones for
//! imaginary parts; its bins `k` and `half − k` are then taken apart into the two of the real
//! signal (Press et al., "Numerical Recipes", section 12.3).

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Bins that are taken apart side by side.
const BLOCK: usize = 8;

/// The bins of one frame, from 0 to half its length.
pub struct Bins {
    pub re: Vec<f32>,
    pub im: Vec<f32>,
}

/// Transforms frames of one length. The plan and all buffers are made once.
pub struct RealSpectrum {
    fft: Arc<dyn Fft<f32>>,
    /// Half of e^(−2πik / length), for each pair of bins `k` and `half − k` from 1 on.
    twiddles: Vec<Complex32>,
    windowed: Vec<Complex32>,
    transformed: Vec<Complex32>,
    scratch: Vec<Complex32>,
    bins: Bins,
}

impl RealSpectrum {
    /// Plans for frames of `length` samples, an even number from 36 on.
    pub fn new(length: usize) -> Self {
        let half = length / 2;
        let fft = FftPlanner::new().plan_fft_forward(half);
        let twiddle = |k: usize| {
            let angle = -TAU * k as f64 / length as f64;
            Complex32::new(0.5 * angle.cos() as f32, 0.5 * angle.sin() as f32)
        };
        Self {
            twiddles: (1..half.div_ceil(2)).map(twiddle).collect(),
            windowed: vec![Complex32::ZERO; half],
            transformed: vec![Complex32::ZERO; half],
            scratch: vec![Complex32::ZERO; fft.get_outofplace_scratch_len()],
            bins: Bins { re: vec![0.0; half + 1], im: vec![0.0; half + 1] },
            fft,
        }
    }

    /// The bins of `samples` times `window`.
    #[inline(always)]
    pub fn of(&mut self, samples: &[f32], window: &[f32]) -> &Bins {
        let pairs = samples.as_chunks::<2>().0.iter().zip(window.as_chunks::<2>().0);
        for (out, (x, w)) in self.windowed.iter_mut().zip(pairs) {
            *out = Complex32::new(x[0] * w[0], x[1] * w[1]);
        }
        self.fft.process_outofplace_with_scratch(
            &mut self.windowed,
            &mut self.transformed,
            &mut self.scratch,
        );
        let (halves, half) = (&self.transformed, self.transformed.len());
        let Bins { re, im } = &mut self.bins;
        (re[0], re[half]) = (halves[0].re + halves[0].im, halves[0].re - halves[0].im);
        // Where its length is even; else this is overwritten.
        (re[half / 2], im[half / 2]) = (halves[half / 2].re, -halves[half / 2].im);
        let last = self.twiddles.len() - BLOCK;
        for first in (0..self.twiddles.len()).step_by(BLOCK) {
            // The last two blocks overlap.
            let first = first.min(last);
            let (low, high) = (first + 1, half - first - BLOCK);
            let twiddles = block(&self.twiddles, first);
            let (lows, highs) = take_apart(block(halves, low), block(halves, high), twiddles);
            re[low..][..BLOCK].copy_from_slice(&lows.0);
            im[low..][..BLOCK].copy_from_slice(&lows.1);
            re[high..][..BLOCK].copy_from_slice(&highs.0);
            im[high..][..BLOCK].copy_from_slice(&highs.1);
        }
        &self.bins
    }
}

#[inline(always)]
fn block(of: &[Complex32], first: usize) -> [Complex32; BLOCK] {
    of[first..].first_chunk().copied().unwrap_or_default()
}

/// Real and imaginary parts of a block of bins.
type Parts = ([f32; BLOCK], [f32; BLOCK]);

/// The parts of a block of the real signal's bins, and of the block of those as far from the upper end,
/// from both blocks of bins of the complex transform. These come apart first: numbers that lie side by
/// side are what the compiler makes vectors of.
#[inline(always)]
fn take_apart(
    low: [Complex32; BLOCK],
    mut high: [Complex32; BLOCK],
    twiddles: [Complex32; BLOCK],
) -> (Parts, Parts) {
    high.reverse();
    let ((low_re, low_im), (high_re, high_im)) = (apart(low), apart(high));
    let (twiddle_re, twiddle_im) = apart(twiddles);
    let (mut lows, mut highs) = (Parts::default(), Parts::default());
    for i in 0..BLOCK {
        // What the even samples give, and what the odd ones do.
        let (even_re, even_im) = (0.5 * (low_re[i] + high_re[i]), 0.5 * (low_im[i] - high_im[i]));
        let (sum, difference) = (low_im[i] + high_im[i], low_re[i] - high_re[i]);
        let odd_re = sum * twiddle_re[i] + difference * twiddle_im[i];
        let odd_im = sum * twiddle_im[i] - difference * twiddle_re[i];
        lows.0[i] = even_re + odd_re;
        lows.1[i] = even_im + odd_im;
        highs.0[i] = even_re - odd_re;
        highs.1[i] = odd_im - even_im;
    }
    highs.0.reverse();
    highs.1.reverse();
    (lows, highs)
}

#[inline(always)]
fn apart(block: [Complex32; BLOCK]) -> Parts {
    (block.map(|bin| bin.re), block.map(|bin| bin.im))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;
    use realfft::RealFftPlanner;

    #[test]
    fn is_that_of_another_implementation_to_the_bit() {
        for length in (64..300).step_by(2).chain([2_048, 4_000, 65_536]) {
            let (samples, window) = (noise(length, 1), noise(length, 2));
            let fft = RealFftPlanner::<f32>::new().plan_fft_forward(length);
            let mut windowed: Vec<f32> = samples.iter().zip(&window).map(|(x, w)| x * w).collect();
            let mut bins = fft.make_output_vec();
            fft.process(&mut windowed, &mut bins).unwrap();
            let part = |of: fn(&Complex32) -> f32| bins.iter().map(of).collect::<Vec<f32>>();
            let mut spectrum = RealSpectrum::new(length);
            let Bins { re, im } = spectrum.of(&samples, &window);
            assert_eq!(*re, part(|c| c.re), "{length}");
            assert_eq!(*im, part(|c| c.im), "{length}");
        }
    }
}
