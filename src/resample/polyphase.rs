//! Any ratio of rates, by a filter that is tabulated at fractions of an input sample.

use super::{PIECE_SAMPLES, kaiser, sane};

/// Stopband attenuation and passband ripple that are designed for.
const ATTENUATION_DB: f64 = 66.0;
/// Phases of the table beyond which the phase is rounded.
const MAX_PHASES: u64 = 640;
/// … unless the rate is so low that more are needed for the error of −68 dB: this many per cycle
/// of the highest frequency (the error's amplitude is π over this).
const PHASES_PER_CYCLE: f64 = 8_000.0;
/// Independent sums of a dot product, of which the taps are a multiple.
const LANES: usize = 8;
/// Outputs of which the sums are kept at a time.
const BATCH: usize = 64;

#[derive(Clone, Debug)]
pub struct Polyphase {
    /// An output sample is `input_step / output_step` input samples on; in lowest terms.
    output_step: u64,
    input_step: u64,
    /// The filter at `phases` fractions of an input sample, each `taps` long, in lanes.
    pub(super) table: Vec<[f32; LANES]>,
    taps: usize,
    phases: u64,
    /// Input that is still needed.
    pub(super) history: Vec<f32>,
    /// Where in `history` the taps of the next output sample begin,
    start: usize,
    /// and, in `output_step`ths of an input sample, how far beyond that its time is.
    fraction: u64,
}

impl Polyphase {
    /// Tabulates the filter from the rate `from_hz` to the rate `to_hz`, the ratio of which is that
    /// of the two integers of `step`.
    pub fn new(step: (u64, u64), from_hz: f64, to_hz: f64, passband_hz: f64) -> Self {
        let divisor = gcd(step.0, step.1);
        let (input_step, output_step) = (step.0 / divisor, step.1 / divisor);
        let lower_hz = from_hz.min(to_hz);
        // The stopband begins where the aliases (or images) of the passband do.
        let length = kaiser::length(ATTENUATION_DB, (lower_hz - 2.0 * passband_hz) / from_hz);
        let taps = (length.ceil() as usize).next_multiple_of(LANES);

        let enough = (PHASES_PER_CYCLE * passband_hz / from_hz).ceil() as u64;
        let phases = output_step.min(enough.max(MAX_PHASES));
        // A rounded phase stands for the middle of the times that are rounded to it.
        let middle = if phases == output_step { 0.0 } else { 0.5 };

        let half = (taps / 2) as f64;
        let cutoff = lower_hz / from_hz;
        let mut table = vec![[0.0; LANES]; taps / LANES * phases as usize];
        let mut row = vec![0.0_f64; taps];
        for phase in 0..=phases / 2 {
            let fraction = (phase as f64 + middle) / phases as f64;
            for (tap, weight) in row.iter_mut().enumerate() {
                let time = tap as f64 - (half - 1.0) - fraction;
                *weight = kaiser::windowed_sinc(ATTENUATION_DB, time, cutoff, half);
            }
            let gain: f64 = row.iter().sum();
            let mut place = |phase: u64, tap: usize, weight: f64| {
                let lanes = &mut table[phase as usize * (taps / LANES) + tap / LANES];
                lanes[tap % LANES] = (weight / gain) as f32;
            };
            // What is as far from the next input sample as this from the one before is its mirror
            // image.
            let mirrored = if middle > 0.0 { phases - 1 - phase } else { phases - phase };
            for (tap, &weight) in row.iter().enumerate() {
                place(phase, tap, weight);
                if mirrored < phases {
                    place(mirrored, taps - 1 - tap, weight);
                }
            }
        }
        let history = Vec::with_capacity(taps + PIECE_SAMPLES);
        Self { output_step, input_step, table, taps, phases, history, start: 0, fraction: 0 }
    }

    /// The number of input samples that must come before that at the time of the first output.
    pub fn before(&self) -> usize {
        self.taps / 2 - 1
    }

    pub fn reset(&mut self) {
        self.history.clear();
        self.start = 0;
        self.fraction = 0;
    }

    /// Takes the next samples, [`PIECE_SAMPLES`] at most; appends to `out` what they complete.
    #[inline(always)]
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.history.extend(input.iter().map(|&sample| sane(sample)));
        let Some(room) = self.history.len().checked_sub(self.start + self.taps) else { return };
        // So many outputs begin at most `room` input samples from `start` on.
        let count =
            ((room as u64 + 1) * self.output_step - self.fraction).div_ceil(self.input_step);
        let before = out.len();
        out.resize(before + count as usize, 0.0);
        let out = &mut out[before..];
        // With a length that the compiler knows, the sums cost half: 44.1, 48 and 16 kHz, and what is
        // halved to them.
        match self.taps / LANES {
            7 => self.fill::<7>(out),
            8 => self.fill::<8>(out),
            11 => self.fill::<11>(out),
            _ => self.fill::<0>(out),
        }
        let done = self.start.min(self.history.len());
        self.history.drain(..done);
        self.start -= done;
    }
}

impl Polyphase {
    /// Computes the next output samples by rows of `ROW_LANES` vectors of taps; 0: of any number.
    #[inline(always)]
    fn fill<const ROW_LANES: usize>(&mut self, out: &mut [f32]) {
        let row_lanes = if ROW_LANES > 0 { ROW_LANES } else { self.taps / LANES };
        let whole = (self.input_step / self.output_step) as usize;
        let rest = self.input_step % self.output_step;
        let (phases, output_step) = (self.phases, self.output_step);
        let (table, history) = (&self.table[..], &self.history[..]);
        let (mut start, mut fraction) = (self.start, self.fraction);
        // In two loops, as the compiler makes no vectors of the lanes where it sees them added up.
        let mut sums = [[0.0; LANES]; BATCH];
        for outs in out.chunks_mut(BATCH) {
            for sums in &mut sums[..outs.len()] {
                let exact = phases == output_step;
                let phase = if exact { fraction } else { fraction * phases / output_step };
                let row = &table[phase as usize * row_lanes..][..row_lanes];
                *sums = lane_sums(row, &history[start..][..row_lanes * LANES]);
                start += whole;
                fraction += rest;
                if fraction >= output_step {
                    fraction -= output_step;
                    start += 1;
                }
            }
            for (out, sums) in outs.iter_mut().zip(&sums) {
                *out = total(*sums);
            }
        }
        (self.start, self.fraction) = (start, fraction);
    }
}

/// Sums of products, each of every `LANES`th.
#[inline(always)]
fn lane_sums(taps: &[[f32; LANES]], input: &[f32]) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    for (taps, input) in taps.iter().zip(input.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += taps[lane] * input[lane];
        }
    }
    sums
}

/// Their sum, added up pairwise.
#[inline(always)]
fn total(mut sums: [f32; LANES]) -> f32 {
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
