//! Half the sample rate, by a half-band filter.
//!
//! Its slope lies symmetrically about a quarter of the rate, so all weights at an even distance from
//! the middle are 0 and those at an odd one need the input's odd samples alone. Even and odd samples
//! are kept apart, and a block of outputs is computed side by side.

use super::{PIECE_SAMPLES, kaiser, sane};

/// What Kaiser's estimates are given. The filters of the first stages are too short for them, and
/// what those of several stages let through adds up: to −60 dB at most.
const ATTENUATION_DB: f64 = 74.0;
/// Outputs are computed so many at a time; fewer wait for more input.
const BLOCK: usize = 32;

#[derive(Clone, Debug)]
pub struct Halver {
    /// Of the samples at the distances 1, 3, 5, … to either side. The middle one's is ½.
    weights: Vec<f32>,
    /// Input at even times from the next output's on,
    even: Vec<f32>,
    /// and at odd times from the first that the next output needs: as many earlier as there are
    /// weights.
    odd: Vec<f32>,
    /// So much of `even` is in use. The buffers keep their lengths.
    pairs: usize,
    /// The last input, if it was at an even time.
    unpaired: Option<f32>,
    out: Vec<f32>,
}

impl Halver {
    /// Plans a filter for input at `rate_hz` that keeps what is up to `passband_hz`, and keeps it free
    /// of aliases.
    pub fn new(rate_hz: f64, passband_hz: f64) -> Self {
        let length = kaiser::length(ATTENUATION_DB, (0.5 * rate_hz - 2.0 * passband_hz) / rate_hz);
        // To either side; the window ends where the weight after the last is.
        let count = (length / 4.0).ceil().max(1.0) as usize;
        let half = 2.0 * count as f64;
        let weight =
            |n: usize| kaiser::windowed_sinc(ATTENUATION_DB, (2 * n + 1) as f64, 0.5, half);
        let weights: Vec<f64> = (0..count).map(weight).collect();
        let gain = 4.0 * weights.iter().sum::<f64>();
        let longest = PIECE_SAMPLES / 2 + 1 + count + BLOCK;
        Self {
            weights: weights.iter().map(|weight| (weight / gain) as f32).collect(),
            even: vec![0.0; longest],
            odd: vec![0.0; longest + count],
            pairs: 0,
            unpaired: None,
            out: vec![0.0; longest.next_multiple_of(BLOCK)],
        }
    }

    /// Begins a signal that has stood at `first` until now.
    pub fn begin(&mut self, first: f32) {
        self.odd[..self.weights.len()].fill(first);
        self.pairs = 0;
        self.unpaired = None;
    }

    /// Takes the next samples, [`PIECE_SAMPLES`] at most; lends the output that they complete.
    #[inline(always)]
    pub fn push(&mut self, mut input: &[f32]) -> &[f32] {
        let count = self.weights.len();
        if let (Some(even), Some((&odd, rest))) = (self.unpaired, input.split_first()) {
            self.even[self.pairs] = even;
            self.odd[self.pairs + count] = sane(odd);
            self.pairs += 1;
            self.unpaired = None;
            input = rest;
        }
        let (pairs, rest) = input.as_chunks::<2>();
        let evens = &mut self.even[self.pairs..][..pairs.len()];
        let odds = &mut self.odd[self.pairs + count..][..pairs.len()];
        for ((even, odd), pair) in evens.iter_mut().zip(odds).zip(pairs) {
            (*even, *odd) = (sane(pair[0]), sane(pair[1]));
        }
        self.pairs += pairs.len();
        self.unpaired = rest.first().map(|&sample| sane(sample)).or(self.unpaired);

        // An output needs `count` odd samples from its own pair's on.
        let blocks = (self.pairs + 1).saturating_sub(count) / BLOCK;
        let evens = self.even.as_chunks::<BLOCK>().0;
        let outs = self.out.as_chunks_mut::<BLOCK>().0[..blocks].iter_mut();
        for (block, (out, even)) in outs.zip(evens).enumerate() {
            let odd = &self.odd[block * BLOCK..][..2 * count - 1 + BLOCK];
            let mut sums = [0.0; BLOCK];
            for lane in 0..BLOCK {
                sums[lane] = 0.5 * even[lane];
            }
            for (i, weight) in self.weights.iter().enumerate() {
                let before = odd[count - 1 - i..].first_chunk::<BLOCK>();
                let after = odd[count + i..].first_chunk::<BLOCK>();
                let (Some(before), Some(after)) = (before, after) else { break };
                for lane in 0..BLOCK {
                    sums[lane] += weight * (before[lane] + after[lane]);
                }
            }
            *out = sums;
        }
        let done = blocks * BLOCK;
        self.even.copy_within(done..self.pairs, 0);
        self.odd.copy_within(done..self.pairs + count, 0);
        self.pairs -= done;
        &self.out[..done]
    }
}
