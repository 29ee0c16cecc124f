//! From samples to fingerprints: the stages up to the landmarks, driven as one.

use crate::bands::SubFingerprinter;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::{Landmark, pair_all};
use crate::peaks::{Peak, PeakPicker};
use crate::resample::Resampler;
use crate::spectrogram::Stft;
use crate::units::{STEPS, SampleRate};
use query::{Clip, Made};

pub use query::{Query, QueryRows};
pub use reference::Fingerprint;
pub use stream::QueryStream;

#[cfg(feature = "decode")]
mod files;
mod query;
mod reference;
mod stream;

/// Makes fingerprints and queries. Owns configuration, plans and scratch: make one per thread and
/// use it again and again.
///
/// ```
/// use earmark::{Config, Fingerprinter, SampleRate};
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let chirps: Vec<f32> = (0..80_000).map(|i| ((i % 9000) as f32).powi(2) * 2e-5).map(f32::sin).collect();
/// let whole = fingerprinter.fingerprint(&chirps, SampleRate::new(8000)?)?;
///
/// // The same in pieces, as they arrive.
/// for block in chirps.chunks(1000) {
///     fingerprinter.push(block, SampleRate::new(8000)?);
/// }
/// assert_eq!(fingerprinter.finish()?, whole);
/// # Ok::<(), earmark::Error>(())
/// ```
pub struct Fingerprinter {
    config: Config,
    stft: Stft,
    picker: PeakPicker,
    sub_fingerprinter: SubFingerprinter,
    /// For the input rate seen last.
    resampler: Option<Resampler>,
    resampled: Vec<f32>,
    peaks: Vec<Peak>,
    sub_fingerprints: Vec<u64>,
    /// Samples analysed so far.
    samples: u64,
    loudest_db: f32,
    /// What is made of the frames for queries only.
    clip: Option<Clip>,
    max_query_s: f64,
}

/// The buffer for peaks is kept for the next signal up to this size: about half an hour.
const KEPT_PEAKS: usize = 1 << 17;

/// Input is resampled in pieces of this length, so that `resampled` stays small.
const PIECE_SAMPLES: usize = 1 << 14;

impl Fingerprinter {
    /// Plans the analysis.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is out of range.
    pub fn new(config: Config) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            stft: Stft::new(&config.stft)?,
            picker: PeakPicker::new(&config.peaks, &config.stft),
            sub_fingerprinter: SubFingerprinter::new(&config.stft),
            resampler: None,
            resampled: Vec::with_capacity(PIECE_SAMPLES),
            peaks: Vec::new(),
            sub_fingerprints: Vec::new(),
            samples: 0,
            loudest_db: f32::NEG_INFINITY,
            clip: None,
            max_query_s: Self::DEFAULT_MAX_QUERY_S,
            config,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The longest clip, in seconds, that a [`Query`] is made of unless
    /// [set otherwise](Self::set_max_query_s): ten minutes.
    pub const DEFAULT_MAX_QUERY_S: f64 = 600.0;

    /// The longest clip, in seconds, that a [`Query`] is made of.
    #[must_use]
    pub fn max_query_s(&self) -> f64 {
        self.max_query_s
    }

    /// Sets the longest clip, in seconds, that a [`Query`] is made of. A query takes about 240 kB per
    /// second, and searching for it in proportion. [`f64::INFINITY`] is no limit.
    pub fn set_max_query_s(&mut self, max_query_s: f64) {
        self.max_query_s = max_query_s;
    }

    /// Takes the next mono samples of a signal, at any rate, any number at a time.
    ///
    /// The rate may change between calls; what came before is then resampled to its end.
    pub fn push(&mut self, samples: &[f32], rate: SampleRate) {
        if self.resampler.as_ref().is_none_or(|r| r.from() != rate) {
            self.flush_resampler();
            let stft = &self.config.stft;
            self.resampler = Some(Resampler::new(rate, stft.sample_rate, stft.max_hz));
        }
        for piece in samples.chunks(PIECE_SAMPLES) {
            if let Some(resampler) = &mut self.resampler {
                self.resampled.clear();
                resampler.push(piece, &mut self.resampled);
            }
            self.analyse();
        }
    }

    /// Ends the signal and gives its fingerprint; the next push begins another one.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::Silent`] or [`Error::Featureless`] where there is no landmark,
    /// [`Error::RecordingTooLong`] beyond 2^28 frames: 99 days in the default configuration.
    pub fn finish(&mut self) -> Result<Fingerprint> {
        let duration_s = self.end();
        // Times of peaks do not go farther.
        let limit_s = f64::from(u32::MAX / STEPS) * self.config.stft.hop_s();
        if duration_s > limit_s {
            return Err(Error::RecordingTooLong { limit_s });
        }
        let peaks = if self.peaks.capacity() > KEPT_PEAKS {
            // A long signal's buffer goes with it, rather than be there twice.
            let mut peaks = std::mem::take(&mut self.peaks);
            peaks.shrink_to_fit();
            peaks
        } else {
            self.peaks.clone()
        };
        let words = self.sub_fingerprints.clone();
        let fingerprint = Fingerprint::from_parts(peaks, words, duration_s, &self.config);
        self.check(duration_s, fingerprint.landmarks())?;
        Ok(fingerprint)
    }

    /// Ends the signal and gives it as a query; the next push begins another signal.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    fn finish_query(&mut self) -> Result<Query> {
        let duration_s = self.end();
        let clip = self.clip.take().unwrap_or_else(|| Clip::new(&self.config.stft, 0));
        let fan_out = self.config.landmarks.query_fan_out;
        let landmarks = pair_all(&self.peaks, &self.config.landmarks, fan_out);
        self.check(duration_s, &landmarks)?;
        let (config_id, peaks) = (self.config.id(), self.peaks.clone());
        Ok(clip.finish(Made { config_id, duration_s, peaks, landmarks }))
    }

    /// The fingerprint of a whole mono signal.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn fingerprint(&mut self, samples: &[f32], rate: SampleRate) -> Result<Fingerprint> {
        self.reset();
        self.push(samples, rate);
        self.finish()
    }

    /// A whole mono signal as a query.
    ///
    /// # Errors
    /// [`Error::TooLong`] beyond [`max_query_s`](Self::max_query_s), and those of
    /// [`finish`](Self::finish).
    pub fn query(&mut self, samples: &[f32], rate: SampleRate) -> Result<Query> {
        self.reset();
        let duration_s = rate.seconds(samples.len() as u64);
        self.check_length(duration_s)?;
        let frames = duration_s / self.config.stft.hop_s() + 1.0;
        self.clip = Some(Clip::new(&self.config.stft, frames as usize));
        self.push(samples, rate);
        self.finish_query()
    }

    /// Refuses clips beyond the greatest length, and lets go of what was taken of them.
    fn check_length(&mut self, duration_s: f64) -> Result<()> {
        let limit_s = self.max_query_s;
        if duration_s <= limit_s {
            return Ok(());
        }
        self.reset();
        Err(Error::TooLong { limit_s })
    }

    /// Forgets what was pushed.
    pub fn reset(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        self.stft.reset();
        self.picker.reset();
        self.sub_fingerprinter.reset();
        self.clip = None;
        self.begin();
    }

    fn begin(&mut self) {
        self.peaks.clear();
        self.sub_fingerprints.clear();
        self.samples = 0;
        self.loudest_db = f32::NEG_INFINITY;
    }

    /// Analyses what is in `resampled`.
    fn analyse(&mut self) {
        if self.samples == 0 {
            self.begin();
        }
        self.samples += self.resampled.len() as u64;
        let rank = self.rank();
        let Self { stft, picker, sub_fingerprinter, resampled, peaks, loudest_db, clip, .. } = self;
        let words = &mut self.sub_fingerprints;
        let silence_db = self.config.peaks.silence_db;
        stft.push(resampled, |frame| {
            if let Some(clip) = clip {
                clip.push(frame, silence_db);
            } else {
                sub_fingerprinter.push(frame.levels_db, |word| words.push(word));
            }
            *loudest_db = loudest_db.max(frame.power_db);
            picker.push(frame, |peak| peaks.extend((peak.rank < rank).then_some(peak)));
        });
    }

    /// Peaks from this rank on are not kept.
    fn rank(&self) -> u8 {
        let peaks = &self.config.peaks;
        if self.clip.is_some() { peaks.query_rank } else { peaks.reference_rank }
    }

    fn flush_resampler(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            self.resampled.clear();
            resampler.finish(&mut self.resampled);
            self.analyse();
        }
    }

    /// Runs all stages to their ends; returns the signal's duration in seconds.
    fn end(&mut self) -> f64 {
        self.flush_resampler();
        let rank = self.rank();
        let Self { picker, peaks, sub_fingerprinter, sub_fingerprints, .. } = self;
        picker.finish(|peak| peaks.extend((peak.rank < rank).then_some(peak)));
        sub_fingerprinter.finish(|word| sub_fingerprints.push(word));
        self.stft.reset();
        let samples = std::mem::take(&mut self.samples);
        self.config.stft.sample_rate.seconds(samples)
    }

    /// Says why there are no landmarks, if there are none.
    fn check(&self, duration_s: f64, landmarks: &[Landmark]) -> Result<()> {
        if !landmarks.is_empty() {
            return Ok(());
        }
        let needed_s = self.config.shortest_s();
        Err(if duration_s < needed_s {
            Error::TooShort { duration_s, needed_s }
        } else if self.loudest_db < self.config.peaks.silence_db {
            Error::Silent { duration_s }
        } else {
            Error::Featureless { duration_s }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::music;

    #[test]
    fn a_recording_whose_peaks_have_no_times_is_refused() {
        let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
        for (days, fits) in [(99, true), (100, false)] {
            fingerprinter.push(&music(3.0, 1), SampleRate::default());
            // As if so much had come before.
            fingerprinter.samples += days * 24 * 3600 * 8000;
            match fingerprinter.finish() {
                Ok(_) => assert!(fits, "{days} days"),
                Err(Error::RecordingTooLong { .. }) => assert!(!fits, "{days} days"),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
