//! Looking over what was made: are the pieces rich, do they keep changing,
//! and is every clip where its name says?
//!
//! This is on purpose a plain and slow comparison of spectral peaks which
//! shares nothing with the library.

use rustfft::{FftPlanner, num_complex::Complex};

/// The rate at which everything is looked at.
pub const RATE: u32 = 8000;
const WINDOW: usize = 1024;
const HOP: usize = 128;
/// The bins from 150 to 3500 Hz.
const BAND: std::ops::Range<usize> = 20..448;

/// The strong peaks of a spectrogram.
pub struct Peaks {
    /// Frame and bin, in order.
    peaks: Vec<(usize, usize)>,
    frames: usize,
    /// For each frame and bin, whether a peak is within one of it.
    near: Vec<bool>,
}

impl Peaks {
    /// A peak is the highest within 9 bins (70 Hz) and 6 frames (0.1 s) each
    /// way, and no more than 45 dB below the highest of all.
    pub fn of(samples: &[f64]) -> Self {
        let spectrum = spectrogram(samples);
        let loudest = spectrum.iter().flatten().fold(0.0f32, |m, x| m.max(*x));
        let floor = loudest * 10f32.powf(-45.0 / 20.0);
        let frames = spectrum.len();
        let mut peaks = Vec::new();
        for t in 0..frames {
            for f in BAND {
                let level = spectrum[t][f];
                let around = &spectrum[t.saturating_sub(6)..(t + 7).min(frames)];
                if level > floor
                    && around.iter().all(|s| s[f - 9..f + 10].iter().all(|x| *x <= level))
                {
                    peaks.push((t, f));
                }
            }
        }
        let mut near = vec![false; frames * 512];
        for &(t, f) in &peaks {
            for t in t.saturating_sub(1)..(t + 2).min(frames) {
                near[t * 512 + f - 1..t * 512 + f + 2].fill(true);
            }
        }
        Peaks { peaks, frames, near }
    }

    pub fn per_second(&self) -> f64 {
        self.peaks.len() as f64 / self.seconds()
    }

    pub fn seconds(&self) -> f64 {
        (self.frames * HOP) as f64 / f64::from(RATE)
    }

    /// The share of the peaks that come again `lag` frames later in `other`,
    /// among those which fall inside it.
    fn shared(&self, other: &Peaks, lag: isize) -> (usize, usize) {
        let inside = self.peaks.iter().filter_map(|&(t, f)| {
            let t = t.checked_add_signed(lag).filter(|t| *t < other.frames)?;
            Some(other.near[t * 512 + f])
        });
        inside.fold((0, 0), |(hits, all), hit| (hits + usize::from(hit), all + 1))
    }

    /// The largest share of peaks that the piece repeats at any one distance
    /// of two seconds or more, over at least a quarter of its length.
    pub fn self_likeness(&self) -> f64 {
        let lags = 2 * RATE as usize / HOP..self.frames * 3 / 4;
        let share = |lag: usize| {
            let (hits, all) = self.shared(self, lag as isize);
            hits as f64 / all.max(1) as f64
        };
        lags.map(share).fold(0.0, f64::max)
    }

    /// Where in `track` this is likeliest: seconds, and the share of peaks
    /// found there.
    pub fn locate(&self, track: &Peaks) -> (f64, f64) {
        let mut best = (0, 0);
        for lag in 0..track.frames.saturating_sub(self.frames / 2) {
            let (hits, _) = self.shared(track, lag as isize);
            best = best.max((hits, lag));
        }
        let seconds = (best.1 * HOP) as f64 / f64::from(RATE);
        (seconds, best.0 as f64 / self.peaks.len().max(1) as f64)
    }
}

fn spectrogram(samples: &[f64]) -> Vec<Vec<f32>> {
    let fft = FftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let angle = std::f32::consts::TAU / WINDOW as f32;
    let window: Vec<f32> = (0..WINDOW).map(|i| 0.5 - 0.5 * (angle * i as f32).cos()).collect();
    let frame = |part: &[f64]| {
        let mut buffer: Vec<_> =
            part.iter().zip(&window).map(|(x, w)| Complex::new(*x as f32 * w, 0.0)).collect();
        fft.process(&mut buffer);
        buffer[..WINDOW / 2].iter().map(|c| c.norm()).collect()
    };
    samples.windows(WINDOW).step_by(HOP).map(frame).collect()
}
