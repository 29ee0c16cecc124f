//! Short-time Fourier transform: samples in, frames of log power and phase out.
//!
//! Frame *n* covers the samples from `n · hop` to `n · hop + window` and is centred at
//! [`Axes::time_s`]. Nothing is padded: audio shorter than a window has no frame. Levels are in dB
//! relative to a full-scale sine, floored at [`FLOOR_DB`].
//!
//! [`Stft`] is the streaming form and the only implementation; [`Spectrogram`] collects its frames.

use crate::arithmetic::{greater, sum};
use crate::config::StftConfig;
use crate::error::Result;
use crate::wide;
use ndarray::{Array2, ArrayView1, Axis};
use real::{Bins, RealSpectrum};
use std::f64::consts::TAU;

pub(crate) use phase::PhaseAdvance;

mod phase;
mod real;

/// The lowest level a frame can show, in dB: far below what 24-bit audio holds.
pub const FLOOR_DB: f32 = -200.0;

/// Equivalent noise bandwidth of the Hann window, in bins: what a sine's power sums to.
pub(crate) const HANN_NOISE_BANDWIDTH_BINS: f32 = 1.5;

/// 10 · log10(2), which turns a binary logarithm of power into dB.
const DB_PER_OCTAVE: f32 = 3.010_3;

/// One frame, lent by [`Stft`] while it is current.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Level of each bin of the analysis band, in dB re a full-scale sine.
    pub levels_db: &'a [f32],
    /// Phase of each bin at the frame's beginning, in 1/256 of a turn.
    pub phases: &'a [u8],
    /// Power of the whole band, in dB re a full-scale sine.
    pub power_db: f32,
}

/// Translates frame and bin numbers into seconds and Hz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axes {
    /// Time between frames in seconds.
    pub hop_s: f64,
    /// Centre of frame 0 in seconds (half a window).
    pub first_frame_s: f64,
    /// Frequency of the band's first bin in Hz.
    pub first_bin_hz: f32,
    /// Width of a bin in Hz.
    pub bin_hz: f32,
}

impl Axes {
    /// The axes of frames made with `config`.
    #[must_use]
    pub fn new(config: &StftConfig) -> Self {
        Self {
            hop_s: config.hop_s(),
            first_frame_s: config.window_s() / 2.0,
            first_bin_hz: config.first_bin() as f32 * config.bin_hz(),
            bin_hz: config.bin_hz(),
        }
    }

    /// Centre of a (fractional) frame in seconds.
    #[must_use]
    pub fn time_s(&self, frame: f64) -> f64 {
        self.first_frame_s + frame * self.hop_s
    }

    /// Frequency in Hz of a (fractional) bin, counted from the band's first.
    #[must_use]
    pub fn frequency_hz(&self, band_bin: f32) -> f32 {
        self.first_bin_hz + band_bin * self.bin_hz
    }
}

/// Streaming short-time Fourier transform: push samples, get frames.
///
/// The plan, window and buffers are made once; pushing allocates nothing.
///
/// ```
/// use earmark::{config::StftConfig, spectrogram::Stft};
/// let mut stft = Stft::new(&StftConfig::default())?;
/// let mut frames = 0;
/// for block in vec![0.0; 8000].chunks(100) {
///     stft.push(block, |_frame| frames += 1);
/// }
/// assert_eq!(frames, (8000 - 2048) / 256 + 1);
/// # Ok::<(), earmark::Error>(())
/// ```
pub struct Stft {
    hop: usize,
    first_bin: usize,
    /// Hann, scaled so that a full-scale sine has power 1.
    window: Vec<f32>,
    /// Samples not yet consumed; its capacity is fixed.
    pending: Vec<f32>,
    /// Samples to drop before the next frame (where the hop exceeds what is pending).
    start: usize,
    spectrum: RealSpectrum,
    powers: Vec<f32>,
    levels_db: Vec<f32>,
    phases: Vec<u8>,
}

impl Stft {
    /// Plans the transform.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) where the configuration is out of range.
    pub fn new(config: &StftConfig) -> Result<Self> {
        crate::Config { stft: config.clone(), ..Default::default() }.validate()?;
        let n = config.window_samples;
        let hann = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / n as f64).cos();
        // The sum of a periodic Hann window is n/2, and a sine of amplitude 1 peaks at half of it.
        let window = (0..n).map(|i| (hann(i) * 4.0 / n as f64) as f32).collect();
        Ok(Self {
            hop: config.hop_samples,
            first_bin: config.first_bin(),
            window,
            pending: Vec::with_capacity(n + (8 * config.hop_samples).max(1024)),
            start: 0,
            spectrum: RealSpectrum::new(n),
            powers: vec![0.0; config.bins()],
            levels_db: vec![0.0; config.bins()],
            phases: vec![0; config.bins()],
        })
    }

    /// Takes mono samples at the analysis rate, any number at a time, and calls `on_frame` with
    /// each frame that they complete.
    pub fn push(&mut self, mut samples: &[f32], mut on_frame: impl FnMut(Frame<'_>)) {
        let n = self.window.len();
        while !samples.is_empty() {
            if self.pending.len() == self.pending.capacity() || self.start >= self.pending.len() {
                let kept = self.start.min(self.pending.len());
                self.pending.drain(..kept);
                self.start -= kept;
            }
            let room = self.pending.capacity() - self.pending.len();
            let (now, later) = samples.split_at(room.min(samples.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            while self.start + n <= self.pending.len() {
                let power_db = self.transform();
                on_frame(Frame { levels_db: &self.levels_db, phases: &self.phases, power_db });
                self.start += self.hop;
            }
        }
    }

    /// Forgets all samples, for a new signal.
    pub fn reset(&mut self) {
        self.pending.clear();
        self.start = 0;
    }

    /// Transforms the window at `start` into levels and phases; returns the band's power in dB.
    fn transform(&mut self) -> f32 {
        let samples = &self.pending[self.start..self.start + self.window.len()];
        wide::run(
            #[inline(always)]
            || {
                let Bins { re, im } = self.spectrum.of(samples, &self.window);
                let band = self.first_bin..self.first_bin + self.levels_db.len();
                let (re, im) = (&re[band.clone()], &im[band]);
                for ((power, re), im) in self.powers.iter_mut().zip(re).zip(im) {
                    *power = re * re + im * im;
                }
                for (level, &power) in self.levels_db.iter_mut().zip(&self.powers) {
                    *level = power_to_db(power);
                }
                for ((phase, &re), &im) in self.phases.iter_mut().zip(re).zip(im) {
                    *phase = phase::steps(re, im);
                }
                power_to_db(sum(&self.powers) / HANN_NOISE_BANDWIDTH_BINS)
            },
        )
    }
}

/// 10 · log10(power), floored at [`FLOOR_DB`], to within 0.0002 dB.
///
/// The mantissa's logarithm is a series in s = (m − 1)/(m + 1), |s| ≤ 0.172 (the area hyperbolic
/// tangent), so that a row of levels vectorises and no platform's `log` decides a bit.
#[inline(always)]
fn power_to_db(power: f32) -> f32 {
    let power = greater(power, 1e-20);
    // Centre the mantissa on 1: in √½ … √2.
    let shifted = power.to_bits().wrapping_sub(0x3f35_04f3);
    let exponent = (shifted as i32) >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let ln_m = 2.0 * s * (1.0 + s2 * (1.0 / 3.0 + s2 * (0.2 + s2 * (1.0 / 7.0))));
    DB_PER_OCTAVE * (exponent as f32 + ln_m * std::f32::consts::LOG2_E)
}

/// A whole signal's spectrogram.
///
/// ```
/// use earmark::{config::StftConfig, spectrogram::Spectrogram};
/// let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.7854).sin()).collect(); // 1 kHz
/// let s = Spectrogram::new(&tone, &StftConfig::default())?;
/// let frame = s.frame(10);
/// let loudest = (0..frame.len()).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
/// assert!((s.axes.frequency_hz(loudest as f32) - 1000.0).abs() < s.axes.bin_hz);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Spectrogram {
    /// Levels in dB re a full-scale sine; shape (frames, bins of the analysis band).
    pub levels_db: Array2<f32>,
    /// What the indices mean in seconds and Hz.
    pub axes: Axes,
}

impl Spectrogram {
    /// Transforms a whole signal (mono, at the analysis rate).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) where the configuration is out of range.
    pub fn new(samples: &[f32], config: &StftConfig) -> Result<Self> {
        let mut stft = Stft::new(config)?;
        let (mut frames, mut levels) = (0, Vec::new());
        stft.push(samples, |frame| {
            frames += 1;
            levels.extend_from_slice(frame.levels_db);
        });
        let shape = (frames, config.bins());
        let levels_db = Array2::from_shape_vec(shape, levels)
            .unwrap_or_else(|_| Array2::from_elem((0, config.bins()), FLOOR_DB));
        Ok(Self { levels_db, axes: Axes::new(config) })
    }

    /// One frame's levels.
    ///
    /// # Panics
    /// Where `frame` is not below the number of frames.
    #[must_use]
    pub fn frame(&self, frame: usize) -> ArrayView1<'_, f32> {
        self.levels_db.index_axis(Axis(0), frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{noise, rng};
    use proptest::prelude::*;

    /// A direct DFT of one windowed frame in f64: levels, and phases in turns.
    fn naive(samples: &[f32], config: &StftConfig) -> Vec<(f64, f64)> {
        let n = config.window_samples;
        (config.first_bin()..config.first_bin() + config.bins())
            .map(|bin| {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, &x) in samples[..n].iter().enumerate() {
                    let w = 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos();
                    let phase = std::f64::consts::TAU * (i * bin % n) as f64 / n as f64;
                    re += f64::from(x) * w * phase.cos();
                    im -= f64::from(x) * w * phase.sin();
                }
                let scale = 4.0 / n as f64;
                let level_db = 10.0 * ((re * re + im * im) * scale * scale).max(1e-20).log10();
                (level_db, im.atan2(re) / std::f64::consts::TAU)
            })
            .collect()
    }

    #[test]
    fn agrees_with_a_direct_dft() {
        let config = StftConfig { window_samples: 512, hop_samples: 100, ..Default::default() };
        let samples = noise(2000, 3);
        let s = Spectrogram::new(&samples, &config).unwrap();
        assert_eq!(s.levels_db.dim(), ((2000 - 512) / 100 + 1, config.bins()));
        let mut phases = Vec::new();
        Stft::new(&config).unwrap().push(&samples, |frame| phases.push(frame.phases.to_vec()));
        for (frame, phases) in phases.iter().enumerate() {
            let oracle = naive(&samples[frame * 100..], &config);
            for ((got, phase), (want, turns)) in s.frame(frame).iter().zip(phases).zip(oracle) {
                assert!((f64::from(*got) - want).abs() < 0.01, "frame {frame}: {got} vs {want}");
                let off = (f64::from(*phase) - 256.0 * turns).rem_euclid(256.0);
                assert!(off.min(256.0 - off) < 0.7, "frame {frame}: {phase} vs {turns} turns");
            }
        }
    }

    #[test]
    fn a_full_scale_sine_is_0_db_and_sits_in_its_bin() {
        let config = StftConfig::default();
        let bin = 256; // 1 kHz
        let tone: Vec<f32> = (0..4096)
            .map(|i| (std::f32::consts::TAU * (i * bin % 2048) as f32 / 2048.0).sin())
            .collect();
        let mut power = 0.0;
        Stft::new(&config).unwrap().push(&tone, |f| power = f.power_db);
        let s = Spectrogram::new(&tone, &config).unwrap();
        assert!(s.frame(3)[bin - config.first_bin()].abs() < 0.01);
        assert!(power.abs() < 0.01, "{power}");
    }

    #[test]
    fn decibels_agree_with_the_standard_library() {
        let mut random = rng(5);
        for _ in 0..100_000 {
            let power = 10f32.powf(random() * 36.0 - 18.0);
            let want = 10.0 * f64::from(power).log10();
            assert!((f64::from(power_to_db(power)) - want).abs() < 2e-4, "{power}");
        }
        assert!((power_to_db(0.0) - FLOOR_DB).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            chunks in prop::collection::vec(1usize..3000, 1..20), hop in 1usize..700,
        ) {
            let config = StftConfig { window_samples: 512, hop_samples: hop.min(512), ..Default::default() };
            let samples = noise(6000, 9);
            let whole = Spectrogram::new(&samples, &config).unwrap();
            let mut stft = Stft::new(&config).unwrap();
            // Dirty buffers must not matter.
            stft.push(&noise(1777, 1), |_| ());
            stft.reset();
            let mut levels = Vec::new();
            let (mut rest, mut sizes) = (&samples[..], chunks.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                stft.push(now, |f| levels.extend_from_slice(f.levels_db));
                rest = later;
            }
            prop_assert!(levels.iter().copied().eq(whole.levels_db.iter().copied()));
        }
    }
}
