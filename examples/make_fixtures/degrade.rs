//! What happens to music between the loudspeaker and the listener.
//!
//! Everything here works on one channel.

use std::f64::consts::PI;

use crate::synth::Rng;

/// Half the length of the resampling and telephone filters, in zero crossings.
const CROSSINGS: f64 = 24.0;

/// Reads `seconds` from `start` on, at another rate. The start need not fall
/// on a sample: it is met exactly, by interpolation with a windowed sinc.
pub fn cut(samples: &[f64], from: u32, to: u32, start: f64, seconds: f64) -> Vec<f64> {
    let (from, to) = (f64::from(from), f64::from(to));
    let cutoff = (to / from).min(1.0) * 0.96;
    let reach = CROSSINGS / cutoff;
    let taken = |i: usize| {
        let centre = (start + i as f64 / to) * from;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = (centre + reach).floor().min(samples.len() as f64 - 1.0) as usize;
        let near = samples.iter().enumerate().take(last + 1).skip(first);
        near.map(|(k, x)| x * kernel(k as f64 - centre, cutoff, reach)).sum()
    };
    (0..(seconds * to).round() as usize).map(taken).collect()
}

/// A low-pass impulse response `x` samples from its middle; `cutoff` is a
/// fraction of half the sample rate.
fn kernel(x: f64, cutoff: f64, reach: f64) -> f64 {
    let window = 0.5 + 0.5 * (PI * x / reach).cos();
    let angle = PI * x * cutoff;
    let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
    cutoff * sinc * window
}

fn rms(samples: &[f64]) -> f64 {
    (samples.iter().map(|x| x * x).sum::<f64>() / samples.len() as f64).sqrt()
}

pub fn decibels(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

/// Adds something so far below (or above) the samples in power.
fn add_at(samples: &mut [f64], other: &[f64], snr_db: f64) {
    let gain = rms(samples) / rms(other).max(1e-12) / decibels(snr_db);
    samples.iter_mut().zip(other).for_each(|(x, y)| *x += gain * y);
}

pub fn white_noise(samples: &mut [f64], snr_db: f64, seed: u64) {
    let mut rng = Rng::new(seed);
    let noise: Vec<f64> = samples.iter().map(|_| rng.noise()).collect();
    add_at(samples, &noise, snr_db);
}

/// Noise of equal power in every octave: white noise held for 1, 2, 4, …
/// samples and summed, after Voss and McCartney.
pub fn pink_noise(samples: &mut [f64], snr_db: f64, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut rows = [0.0; 12];
    let noise: Vec<f64> = (1..=samples.len())
        .map(|i| {
            rows[(i.trailing_zeros() as usize).min(11)] = rng.noise();
            rows.iter().sum::<f64>() + rng.noise()
        })
        .collect();
    add_at(samples, &noise, snr_db);
}

/// Another piece played at the same time, so far below.
pub fn overlay(samples: &mut [f64], other: &[f64], below_db: f64) {
    add_at(samples, other, below_db);
}

/// The band of a telephone line, 300 to 3400 Hz.
pub fn telephone(samples: &[f64], rate: u32) -> Vec<f64> {
    let nyquist = f64::from(rate) / 2.0;
    let (low, high) = (300.0 / nyquist, (3400.0 / nyquist).min(1.0));
    let half = (f64::from(rate) * 0.012) as i32;
    let reach = f64::from(half);
    let taps: Vec<f64> = (-half..=half)
        .map(|x| kernel(f64::from(x), high, reach) - kernel(f64::from(x), low, reach))
        .collect();
    let out = convolve(samples, &taps);
    out[half as usize..half as usize + samples.len()].to_vec()
}

/// Turned up until it clips hard.
pub fn overdrive(samples: &mut [f64], gain_db: f64) {
    let peak = samples.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let gain = decibels(gain_db) / peak;
    samples.iter_mut().for_each(|x| *x = (*x * gain).clamp(-1.0, 1.0));
}

/// A small room: the sound itself, a few early reflections, and a tail of
/// noise which falls by 60 dB in 0.35 s.
pub fn room(samples: &[f64], rate: u32, seed: u64) -> Vec<f64> {
    let fs = f64::from(rate);
    let mut rng = Rng::new(seed);
    let mut response: Vec<f64> = (0..(0.35 * fs) as usize)
        .map(|i| {
            let t = i as f64 / fs;
            let built = (t / 0.012).min(1.0);
            rng.noise() * built * (-6.9 * t / 0.35).exp() * 1.2 / fs.sqrt() * 4.0
        })
        .collect();
    response[0] = 1.0;
    for (ms, gain) in [(3.1, 0.5), (5.7, -0.42), (9.3, 0.36), (14.2, 0.3), (19.9, -0.22)] {
        response[(ms * fs / 1000.0) as usize] += gain;
    }
    let mut out = convolve(samples, &response);
    out.truncate(samples.len());
    out
}

fn convolve(samples: &[f64], taps: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; samples.len() + taps.len()];
    for (i, x) in samples.iter().enumerate() {
        out[i..].iter_mut().zip(taps).for_each(|(y, tap)| *y += x * tap);
    }
    out
}
