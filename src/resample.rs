//! Streaming sample rate conversion of mono audio, exact over any length.
//!
//! A windowed sinc (Kaiser, 63 dB) is tabulated once for every phase that the ratio of the rates
//! can give, so that each output sample is one dot product. Positions are integers: an output
//! sample is as accurately placed after ten hours as at the beginning.

use crate::units::SampleRate;
use std::f64::consts::PI;

/// Stopband attenuation and, the prototype being symmetric, passband ripple that is designed for.
const ATTENUATION_DB: f64 = 63.0;
/// Phases of the table beyond which the phase is rounded.
const MAX_PHASES: u64 = 640;
/// … unless the rate is so low that more are needed for the error of −68 dB: this many per cycle
/// of the highest frequency (the error's amplitude is π over this).
const PHASES_PER_CYCLE: f64 = 8_000.0;
/// Independent sums of a dot product, of which the taps are a multiple.
const LANES: usize = 16;
/// Input samples that are taken at a time: all that is kept besides the filter's length.
const PIECE_SAMPLES: usize = 4_096;
/// Samples of a magnitude beyond this are no audio. Their squares still sum within an `f32`.
const MAX_MAGNITUDE: f32 = 1e12;

/// Converts mono audio from one rate to another, in pieces of any size.
///
/// - Output sample `n` is the input at the time `n / to`: the filter's delay is made up for.
/// - `len` input samples give exactly `ceil(len × to / from)` output samples.
/// - The output is the same to the last bit however the input is cut up.
/// - Aliases and images within the passband are below −60 dB, its ripple is below 0.1 dB. If the
///   reduced ratio has a numerator above 640 (44,099 to 8,000 Hz: 8,000), times are rounded to the
///   nearest of 640 or more table phases, which adds an error below −68 dB of the signal.
/// - Before the first and after the last sample the signal is taken to stand still, so a constant
///   stays one.
/// - Samples that are NaN, infinite, or beyond ±10¹² (all found in damaged float files) count as 0.
/// - Equal rates: a plain copy.
///
/// ```
/// use earmark::{SampleRate, resample::Resampler};
/// let mut resampler =
///     Resampler::new(SampleRate::new(44_100)?, SampleRate::new(8_000)?, 3_600.0);
/// let mut out = Vec::new();
/// for block in vec![0.5_f32; 44_100].chunks(1_000) {
///     resampler.push(block, &mut out);
/// }
/// resampler.finish(&mut out);
/// assert_eq!(out.len(), 8_000);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    /// `to / from` in lowest terms: an output sample is `input_step / output_step` input samples on.
    output_step: u64,
    input_step: u64,
    /// The filter at `phases` fractions of an input sample, each `taps` long. Empty: equal rates.
    table: Vec<f32>,
    taps: usize,
    phases: u64,
    /// Padding, then the input that is still needed.
    history: Vec<f32>,
    /// Where in `history` the taps of the next output sample begin,
    start: usize,
    /// and, in `output_step`ths of an input sample, how far beyond that its time is.
    fraction: u64,
    /// The last sample that came in; none yet: nothing did.
    last: Option<f32>,
}

impl Resampler {
    /// Plans the conversion: tabulates the filter, which takes milliseconds.
    ///
    /// `passband_hz` is the highest frequency that has to come through intact and free of aliases
    /// and images. What lies above it may be attenuated, and aliases above it are left alone, which
    /// keeps the filter short. It is held to 10 to 46 % of the lower of the two rates (and taken
    /// for 46 % if NaN), for the filter grows without bound towards 50 %.
    #[must_use]
    pub fn new(from: SampleRate, to: SampleRate, passband_hz: f32) -> Self {
        let (from_hz, to_hz) = (u64::from(from.hz()), u64::from(to.hz()));
        let divisor = gcd(from_hz, to_hz);
        let mut resampler = Self {
            from,
            to,
            output_step: to_hz / divisor,
            input_step: from_hz / divisor,
            table: Vec::new(),
            taps: 0,
            phases: 1,
            history: Vec::new(),
            start: 0,
            fraction: 0,
            last: None,
        };
        if from != to {
            resampler.plan(f64::from(passband_hz));
        }
        resampler
    }

    /// Tabulates the filter.
    fn plan(&mut self, passband_hz: f64) {
        let from_hz = f64::from(self.from.hz());
        let lower_hz = from_hz.min(f64::from(self.to.hz()));
        let passband_hz = passband_hz.min(0.46 * lower_hz).max(0.1 * lower_hz);
        // The stopband begins where the aliases (or images) of the passband do.
        let transition = (lower_hz - 2.0 * passband_hz) / from_hz;
        // Kaiser's estimates of length and shape.
        let length = (ATTENUATION_DB - 7.95) / (2.285 * 2.0 * PI * transition);
        let beta = 0.1102 * (ATTENUATION_DB - 8.7);
        self.taps = (length.ceil() as usize).next_multiple_of(LANES);

        let enough = (PHASES_PER_CYCLE * passband_hz / from_hz).ceil() as u64;
        self.phases = self.output_step.min(enough.max(MAX_PHASES));
        // A rounded phase stands for the middle of the times that are rounded to it.
        let middle = if self.phases == self.output_step { 0.0 } else { 0.5 };

        let half = (self.taps / 2) as f64;
        let cutoff = lower_hz / from_hz; // in half-cycles per input sample
        self.table.reserve_exact(self.taps * self.phases as usize);
        let mut row = vec![0.0_f64; self.taps];
        for phase in 0..self.phases {
            let fraction = (phase as f64 + middle) / self.phases as f64;
            for (tap, weight) in row.iter_mut().enumerate() {
                let time = tap as f64 - (half - 1.0) - fraction;
                *weight = sinc(cutoff * time) * kaiser(time / half, beta);
            }
            let gain: f64 = row.iter().sum();
            self.table.extend(row.iter().map(|weight| (weight / gain) as f32));
        }
        self.history.reserve_exact(self.taps + 2 * PIECE_SAMPLES);
    }

    /// The rate of the input.
    #[must_use]
    pub fn from(&self) -> SampleRate {
        self.from
    }

    /// The rate of the output.
    #[must_use]
    pub fn to(&self) -> SampleRate {
        self.to
    }

    /// Takes input in and appends to `out` what can be computed by now.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        if self.table.is_empty() {
            out.extend(input.iter().map(|&sample| sane(sample)));
            return;
        }
        let (Some(&first), Some(&last)) = (input.first(), input.last()) else { return };
        if self.last.is_none() {
            // As many as there are taps before the one at or just before the sample's time.
            self.history.resize(self.taps / 2 - 1, sane(first));
        }
        self.last = Some(sane(last));
        for piece in input.chunks(PIECE_SAMPLES) {
            self.make_room();
            self.history.extend(piece.iter().map(|&sample| sane(sample)));
            self.run(out);
        }
    }

    /// Appends what remains to `out` and is ready for another signal.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some(last) = self.last {
            // So many that the taps of each time before the end of the input are complete.
            let mut missing = self.taps / 2;
            while missing > 0 {
                let piece = missing.min(PIECE_SAMPLES);
                self.make_room();
                self.history.resize(self.history.len() + piece, last);
                self.run(out);
                missing -= piece;
            }
        }
        self.reset();
    }

    /// Forgets what was pushed and is ready for another signal.
    pub fn reset(&mut self) {
        self.history.clear();
        self.start = 0;
        self.fraction = 0;
        self.last = None;
    }

    /// Drops history that is no longer needed if another piece could not be held otherwise.
    fn make_room(&mut self) {
        if self.history.len() + PIECE_SAMPLES > self.taps + 2 * PIECE_SAMPLES {
            let start = self.start.min(self.history.len());
            self.history.copy_within(start.., 0);
            self.history.truncate(self.history.len() - start);
            self.start -= start;
        }
    }

    /// Computes every output sample whose taps are complete.
    fn run(&mut self, out: &mut Vec<f32>) {
        let whole = (self.input_step / self.output_step) as usize;
        let rest = self.input_step % self.output_step;
        let exact = self.phases == self.output_step;
        while let Some(input) = self.history.get(self.start..self.start + self.taps) {
            let phase =
                if exact { self.fraction } else { self.fraction * self.phases / self.output_step };
            let row = phase as usize * self.taps;
            out.push(dot(&self.table[row..row + self.taps], input));
            self.start += whole;
            self.fraction += rest;
            if self.fraction >= self.output_step {
                self.fraction -= self.output_step;
                self.start += 1;
            }
        }
    }
}

/// The sample, or 0 if it cannot be audio.
fn sane(sample: f32) -> f32 {
    if sample.abs() <= MAX_MAGNITUDE { sample } else { 0.0 }
}

/// The sum of products, always in the same order: `LANES` sums side by side, then those pairwise.
fn dot(taps: &[f32], input: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (taps, input) in taps.chunks_exact(LANES).zip(input.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += taps[lane] * input[lane];
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// sin(πx) / πx.
fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Kaiser's window over −1 to 1, up to a factor: 0 outside.
fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel_i0(beta * (1.0 - x * x).sqrt()) }
}

/// The modified Bessel function of the first kind and order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-12 * sum {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATES_HZ: [u32; 12] = [
        8_000, 11_025, 16_000, 22_050, 32_000, 44_099, 44_100, 48_000, 88_200, 96_000, 176_400,
        192_000,
    ];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn resample(from_hz: u32, to_hz: u32, input: &[f32]) -> Vec<f32> {
        let mut resampler = Resampler::new(rate(from_hz), rate(to_hz), 3_600.0);
        let mut out = Vec::new();
        resampler.push(input, &mut out);
        resampler.finish(&mut out);
        out
    }

    fn sine(rate_hz: u32, tone_hz: f64, len: usize) -> Vec<f32> {
        let step = 2.0 * PI * tone_hz / f64::from(rate_hz);
        (0..len).map(|n| (step * n as f64 + 0.3).sin() as f32).collect()
    }

    fn db(ratio: f64) -> f64 {
        20.0 * ratio.max(1e-9).log10()
    }

    /// Amplitude in dB of the part of `signal` at a frequency (Hann-weighted correlation).
    fn level_db(signal: &[f32], rate_hz: u32, tone_hz: f64) -> f64 {
        let step = 2.0 * PI * tone_hz / f64::from(rate_hz);
        let (mut re, mut im, mut total) = (0.0, 0.0, 0.0);
        for (n, &sample) in signal.iter().enumerate() {
            let weight = 1.0 - (2.0 * PI * n as f64 / signal.len() as f64).cos();
            re += weight * f64::from(sample) * (step * n as f64).cos();
            im += weight * f64::from(sample) * (step * n as f64).sin();
            total += weight;
        }
        db(2.0 * re.hypot(im) / total)
    }

    /// The largest deviation in dB, away from the edges, from a sine of amplitude 1.
    fn error_db(out: &[f32], expected: &[f32]) -> f64 {
        let edge = 400;
        let worst = out[edge..out.len() - edge]
            .iter()
            .zip(&expected[edge..])
            .map(|(a, b)| f64::from(a - b).abs())
            .fold(0.0, f64::max);
        db(worst)
    }

    #[test]
    fn matches_a_direct_sum() {
        let input: Vec<f32> = (0..3_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.0)
            .collect();
        for from_hz in [11_025, 44_100, 48_000, 4_000] {
            let (from, to) = (f64::from(from_hz), 8_000.0);
            let lower = from.min(to);
            let passband = 3_600.0_f64.min(0.46 * lower);
            let taps = (63.0 - 7.95) / (2.285 * 2.0 * PI * (lower - 2.0 * passband) / from);
            let half = (taps.ceil() as usize).next_multiple_of(16) as f64 / 2.0;
            let out = resample(from_hz, 8_000, &input);
            for (n, &sample) in out.iter().enumerate().step_by(7) {
                let time = n as f64 * from / to;
                let (mut sum, mut gain) = (0.0, 0.0);
                let first = time.floor() as i64 - half as i64 + 1;
                for k in first..first + 2 * half as i64 {
                    let x = k as f64 - time;
                    let weight = sinc(lower / from * x) * kaiser(x / half, 0.1102 * (63.0 - 8.7));
                    gain += weight;
                    sum += weight * f64::from(input[k.clamp(0, 2_999) as usize]);
                }
                assert!((sum / gain - f64::from(sample)).abs() < 2e-6, "{from_hz} Hz, sample {n}");
            }
        }
    }

    #[test]
    fn tones_of_the_passband_come_through_in_place() {
        for from_hz in RATES_HZ {
            for tone_hz in [100.0, 1_000.0, 2_345.6, 3_300.0, 3_600.0] {
                let out = resample(from_hz, 8_000, &sine(from_hz, tone_hz, from_hz as usize / 2));
                let error = error_db(&out, &sine(8_000, tone_hz, out.len()));
                assert!(error < -60.0, "{tone_hz} Hz at {from_hz} Hz: {error:.1} dB");
            }
        }
    }

    #[test]
    fn nothing_folds_into_the_passband() {
        for from_hz in RATES_HZ {
            let half = f64::from(from_hz) / 2.0;
            let tones = (0..200).map(|n| 4_400.0 + f64::from(n * n)).chain([half - 1.0]);
            for tone_hz in tones.filter(|tone_hz| (4_400.0..half).contains(tone_hz)).step_by(3) {
                let out = resample(from_hz, 8_000, &sine(from_hz, tone_hz, from_hz as usize / 4));
                let folded = (tone_hz / 8_000.0 - (tone_hz / 8_000.0).round()).abs() * 8_000.0;
                if folded <= 3_600.0 {
                    let level = level_db(&out[200..out.len() - 200], 8_000, folded);
                    assert!(level < -60.0, "{tone_hz} Hz at {from_hz} Hz: {level:.1} dB");
                }
            }
        }
    }

    #[test]
    fn upsampling_leaves_no_images() {
        for (from_hz, to_hz) in [(8_000, 11_025), (8_000, 48_000), (4_000, 8_000), (7_999, 8_000)] {
            let tone_hz = 0.44 * f64::from(from_hz);
            let out = resample(from_hz, to_hz, &sine(from_hz, tone_hz, from_hz as usize));
            let error = error_db(&out, &sine(to_hz, tone_hz, out.len()));
            assert!(error < -60.0, "{from_hz} to {to_hz} Hz: {error:.1} dB");
        }
    }

    #[test]
    fn time_does_not_drift() {
        // Two minutes at an awkward rate. The last second is where it belongs, to 0.4 µs.
        let mut resampler = Resampler::new(rate(44_099), rate(8_000), 3_600.0);
        let (mut out, mut total) = (Vec::new(), 0_usize);
        let second = vec![0.0; 44_099];
        for _ in 0..119 {
            resampler.push(&second, &mut out);
            total += out.len();
            out.clear();
        }
        resampler.push(&sine(44_099, 440.0, 44_099), &mut out);
        resampler.finish(&mut out);
        assert_eq!(total + out.len(), 120 * 8_000);
        let last = &out[out.len() - 8_000..];
        let error = error_db(last, &sine(8_000, 440.0, 8_000));
        assert!(error < -60.0, "{error:.1} dB");
    }

    #[test]
    fn a_constant_stays_one_and_damage_is_zero() {
        for from_hz in RATES_HZ {
            for sample in resample(from_hz, 8_000, &vec![0.75; from_hz as usize / 10]) {
                assert!((sample - 0.75).abs() < 1e-6, "{from_hz} Hz: {sample}");
            }
            let damaged = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e13];
            assert!(resample(from_hz, 8_000, &damaged).iter().all(|&sample| sample == 0.0));
        }
    }

    #[test]
    fn the_filter_is_bounded_whatever_is_asked_for() {
        for passband_hz in [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e9] {
            let mut resampler = Resampler::new(rate(383_999), rate(4_000), passband_hz);
            assert!(resampler.table.len() < 4_000_000, "{}", resampler.table.len());
            let mut out = Vec::new();
            resampler.push(&[1.0; 1_000], &mut out);
            resampler.finish(&mut out);
            assert_eq!(out.len(), 11);
        }
    }

    #[test]
    fn is_reusable_and_keeps_its_memory() {
        let mut resampler = Resampler::new(rate(44_100), rate(8_000), 3_600.0);
        let input = sine(44_100, 700.0, 30_000);
        let mut outs = [Vec::new(), Vec::new()];
        let capacity = resampler.history.capacity();
        resampler.push(&[1.0; 5_000], &mut Vec::new());
        resampler.reset();
        for out in &mut outs {
            resampler.push(&input, out);
            resampler.finish(out);
        }
        assert_eq!(outs[0], outs[1]);
        assert_eq!(resampler.history.capacity(), capacity);
        resampler.finish(&mut outs[0]);
        assert_eq!(outs[0], outs[1], "nothing in, nothing out");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_cut_gives_the_same_bits(
            from in 0..RATES_HZ.len(),
            cuts in prop::collection::vec(0_usize..6_000, 0..12),
        ) {
            let from_hz = RATES_HZ[from];
            let input = sine(from_hz, 1_234.5, cuts.iter().sum());
            let mut resampler = Resampler::new(rate(from_hz), rate(8_000), 3_600.0);
            let (mut out, mut rest) = (Vec::new(), &input[..]);
            for cut in cuts {
                let (now, later) = rest.split_at(cut);
                resampler.push(now, &mut out);
                rest = later;
            }
            resampler.finish(&mut out);
            prop_assert_eq!(out, resample(from_hz, 8_000, &input));
        }

        #[test]
        fn length_is_exact(from_hz in 4_000_u32..60_000, to_hz in 4_000_u32..20_000, len in 0_usize..5_000) {
            let out = resample(from_hz, to_hz, &vec![0.1; len]);
            prop_assert_eq!(out.len(), (len * to_hz as usize).div_ceil(from_hz as usize));
        }
    }
}
