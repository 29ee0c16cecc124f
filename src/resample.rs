//! Streaming sample rate conversion of mono audio, exact over any length.
//!
//! High rates are halved as long as they stay above the one wanted, by filters half of whose weights
//! are 0 and of which the gentle slopes need few. What then remains is done by a windowed sinc
//! (Kaiser's, 66 dB), tabulated once for every phase that the ratio of the rates can give, so that
//! each output sample is one dot product. Positions are integers: an output sample is as accurately
//! placed after ten hours as at the beginning.

mod halver;
mod kaiser;
mod polyphase;

use crate::units::SampleRate;
use crate::wide;
use halver::Halver;
use polyphase::Polyphase;

/// Input samples that are taken at a time: all that is kept besides the filters' lengths.
const PIECE_SAMPLES: usize = 4_096;
/// Samples that are made up at a time, before the beginning and after the end.
const PAD_SAMPLES: usize = 256;
/// Samples of a magnitude beyond this are no audio. Their squares still sum within an `f32`.
const MAX_MAGNITUDE: f32 = 1e12;

/// Converts mono audio from one rate to another, in pieces of any size.
///
/// - Output sample `n` is the input at the time `n / to`: the filters' delay is made up for.
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
    /// One after the other,
    halvers: Vec<Halver>,
    /// then this, unless the rates are equal.
    polyphase: Option<Polyphase>,
    /// Samples that came in and went out since the beginning of the signal.
    taken: u64,
    given: u64,
    /// The last sample that came in; none yet: nothing did.
    last: Option<f32>,
}

impl Resampler {
    /// Plans the conversion: tabulates the filters, which takes milliseconds.
    ///
    /// `passband_hz` is the highest frequency that has to come through intact and free of aliases
    /// and images. What lies above it may be attenuated, and aliases above it are left alone, which
    /// keeps the filters short. It is held to 10 to 46 % of the lower of the two rates (and taken
    /// for 46 % if NaN), for the filter grows without bound towards 50 %.
    #[must_use]
    pub fn new(from: SampleRate, to: SampleRate, passband_hz: f32) -> Self {
        let (mut rate_hz, to_hz) = (f64::from(from.hz()), f64::from(to.hz()));
        let lower_hz = rate_hz.min(to_hz);
        let passband_hz = f64::from(passband_hz).min(0.46 * lower_hz).max(0.1 * lower_hz);
        let mut halvers = Vec::new();
        while rate_hz / 2.0 > to_hz {
            halvers.push(Halver::new(rate_hz, passband_hz));
            rate_hz /= 2.0;
        }
        let polyphase = (rate_hz != to_hz).then(|| {
            let step = (u64::from(from.hz()), u64::from(to.hz()) << halvers.len());
            Polyphase::new(step, rate_hz, to_hz, passband_hz)
        });
        Self { from, to, halvers, polyphase, taken: 0, given: 0, last: None }
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
        let (Some(&first), Some(&last)) = (input.first(), input.last()) else { return };
        if self.last.is_none() {
            self.begin(sane(first), out);
        }
        self.taken += input.len() as u64;
        self.last = Some(sane(last));
        for piece in input.chunks(PIECE_SAMPLES) {
            self.run(piece, out);
        }
    }

    /// Appends what remains to `out` and is ready for another signal.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some(last) = self.last {
            let (from_hz, to_hz) = (u128::from(self.from.hz()), u128::from(self.to.hz()));
            let owed = (u128::from(self.taken) * to_hz).div_ceil(from_hz) as u64;
            while self.given < owed {
                self.run(&[last; PAD_SAMPLES], out);
            }
            out.truncate(out.len() - (self.given - owed) as usize);
        }
        self.reset();
    }

    /// Forgets what was pushed and is ready for another signal.
    pub fn reset(&mut self) {
        self.polyphase.iter_mut().for_each(Polyphase::reset);
        self.taken = 0;
        self.given = 0;
        self.last = None;
    }

    /// Lets the signal have stood at `first` for ever, and begin when the last stage holds all that
    /// the first output sample needs from before it.
    fn begin(&mut self, first: f32, out: &mut Vec<f32>) {
        self.halvers.iter_mut().for_each(|halver| halver.begin(first));
        let before = self.polyphase.as_ref().map_or(0, Polyphase::before);
        let mut missing = before << self.halvers.len();
        while missing > 0 {
            let pad = missing.min(PAD_SAMPLES);
            self.run(&[first; PAD_SAMPLES][..pad], out);
            missing -= pad;
        }
    }

    /// Sends a piece, of [`PIECE_SAMPLES`] at most, through all stages.
    fn run(&mut self, input: &[f32], out: &mut Vec<f32>) {
        let before = out.len();
        wide::run(
            #[inline(always)]
            || {
                let mut piece = input;
                for halver in &mut self.halvers {
                    piece = halver.push(piece);
                }
                match &mut self.polyphase {
                    Some(polyphase) => polyphase.push(piece, out),
                    None => out.extend(piece.iter().map(|&sample| sane(sample))),
                }
            },
        );
        self.given += (out.len() - before) as u64;
    }
}

/// The sample, or 0 if it cannot be audio.
#[inline(always)]
fn sane(sample: f32) -> f32 {
    if sample.abs() <= MAX_MAGNITUDE { sample } else { 0.0 }
}

#[cfg(test)]
mod tests;
