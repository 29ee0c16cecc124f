//! Filters and echoes, by way of the Fourier transform.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// The rate at which clips are cut and degraded.
pub const RATE: u32 = 16_000;

/// What follows the signal, so that a filter's ringing does not come round to its beginning.
const PADDING: usize = RATE as usize / 4;

/// Keeps its plans: make one per thread.
#[derive(Default)]
pub struct Spectral {
    planner: RealFftPlanner<f32>,
}

impl Spectral {
    /// Gives every frequency (in Hz) its own gain, and no delay.
    pub fn filter(&mut self, samples: &[f32], gain: impl Fn(f32) -> f32) -> Vec<f32> {
        let size = (samples.len() + PADDING).next_power_of_two();
        let mut spectrum = self.forward(samples, size);
        let bin_hz = RATE as f32 / size as f32;
        for (k, value) in spectrum.iter_mut().enumerate() {
            *value *= gain(k as f32 * bin_hz);
        }
        self.inverse(spectrum, size, samples.len())
    }

    /// What is heard in a room with this impulse response. As long as `samples`.
    pub fn convolve(&mut self, samples: &[f32], response: &[f32]) -> Vec<f32> {
        let size = (samples.len() + response.len()).next_power_of_two();
        let mut spectrum = self.forward(samples, size);
        let response = self.forward(response, size);
        spectrum.iter_mut().zip(&response).for_each(|(x, h)| *x *= h);
        self.inverse(spectrum, size, samples.len())
    }

    fn forward(&mut self, samples: &[f32], size: usize) -> Vec<Complex<f32>> {
        let plan = self.planner.plan_fft_forward(size);
        let mut input = plan.make_input_vec();
        input[..samples.len()].copy_from_slice(samples);
        let mut spectrum = plan.make_output_vec();
        plan.process(&mut input, &mut spectrum).expect("the plan made these buffers");
        spectrum
    }

    fn inverse(&mut self, mut spectrum: Vec<Complex<f32>>, size: usize, len: usize) -> Vec<f32> {
        let plan = self.planner.plan_fft_inverse(size);
        // What a real signal has at both ends of its spectrum is real; rounding may say otherwise.
        spectrum[0].im = 0.0;
        spectrum[size / 2].im = 0.0;
        let mut output = plan.make_output_vec();
        plan.process(&mut spectrum, &mut output).expect("the spectrum fits the plan");
        output.truncate(len);
        output.iter_mut().for_each(|x| *x /= size as f32);
        output
    }
}

/// The gain of a band pass: 1 from `low` to `high` Hz, falling to 0 within a tenth beyond.
pub fn band(low: f32, high: f32) -> impl Fn(f32) -> f32 {
    let edge = |x: f32| 0.5 - 0.5 * (std::f32::consts::PI * x.clamp(0.0, 1.0)).cos();
    move |hz| edge((hz / low - 0.9) / 0.1) * edge((1.1 - hz / high) / 0.1)
}

/// Mean power.
pub fn power(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    sum / samples.len().max(1) as f64
}

/// The factor of amplitude that so many dB are.
pub fn gain(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

/// A tone, for tests.
#[cfg(test)]
pub fn tone(hz: f32, len: usize) -> Vec<f32> {
    let step = std::f32::consts::TAU * hz / RATE as f32;
    (0..len).map(|i| 0.5 * (i as f32 * step).sin()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_pass_keeps_its_band_in_place_and_nothing_else() {
        let mut spectral = Spectral::default();
        let inside = tone(1000.0, 16_000);
        let kept = spectral.filter(&inside, band(300.0, 3400.0));
        let middle = 4000..12_000;
        for (x, y) in inside[middle.clone()].iter().zip(&kept[middle.clone()]) {
            assert!((x - y).abs() < 1e-3, "{x} {y}");
        }
        for hz in [100.0, 250.0, 3900.0, 6000.0] {
            let left = spectral.filter(&tone(hz, 16_000), band(300.0, 3400.0));
            let down = 10.0 * (power(&left[middle.clone()]) / 0.125).log10();
            assert!(down < -45.0, "{hz} Hz: {down} dB");
        }
    }

    #[test]
    fn convolving_is_what_its_definition_says() {
        let samples: Vec<f32> = (0..50).map(|i| (i * i % 17) as f32 - 8.0).collect();
        let response = [0.5, 0.0, -1.0, 2.0];
        let out = Spectral::default().convolve(&samples, &response);
        assert_eq!(out.len(), samples.len());
        for (i, y) in out.iter().enumerate() {
            let sum: f32 = (response.iter().enumerate())
                .filter(|(k, _)| *k <= i)
                .map(|(k, h)| h * samples[i - k])
                .sum();
            assert!((sum - y).abs() < 1e-3, "{i}: {sum} {y}");
        }
    }
}
