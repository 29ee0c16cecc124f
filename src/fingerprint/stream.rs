//! A stream, of which the last seconds can be had as a query at any time.

use super::query::{Clip, Made, Query};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::pair_all;
use crate::peaks::{Peak, PeakPicker};
use crate::resample::Resampler;
use crate::spectrogram::Stft;
use crate::units::{SampleRate, TimeSteps};

/// Input is resampled in pieces of this length.
const PIECE_SAMPLES: usize = 1 << 14;
/// So many frames, four seconds in the default configuration, are forgotten at once.
const FORGOTTEN_FRAMES: usize = 128;
/// Frames are counted from later on when so many are counted.
const COUNTED_FRAMES: u32 = if cfg!(test) { 1 << 9 } else { 1 << 20 };

/// Takes samples as they come, for ever, and gives the last seconds of them as a [`Query`] at any time.
/// Nothing is analysed twice, and only the last seconds are kept: about 240 kB for each.
///
/// ```
/// use earmark::fingerprint::QueryStream;
/// use earmark::{Config, SampleRate};
/// # let song: Vec<f32> = (0..240_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let mut stream = QueryStream::new(Config::default(), 10.0)?;
/// for block in song.chunks(8000) {
///     stream.push(block, SampleRate::new(8000)?);
///     if stream.available_s() >= 5.0 {
///         let query = stream.last(5.0)?;
///         assert!((query.duration_s() - 5.0).abs() < 0.04);
///     }
/// }
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// # What differs from a clip
/// A query is that which [`Fingerprinter::query`](super::Fingerprinter::query) makes of the same
/// samples (at the rate of the analysis, in whole frames), but that its beginning knows what came
/// before. In the default configuration:
/// - Peaks whose frame is one of the first 3 are compared with frames before the beginning. Those in the
///   first 19 have ranks that count peaks before the beginning; so they may be kept or not, and so may
///   landmarks with them. From frame 20 on, peaks are the same.
/// - In the [`LevelMap`](crate::evidence::peaks::LevelMap), maxima in the first 6 frames are compared
///   with levels before the beginning; so cells of the first 8 frames may differ. What chance would give
///   is averaged over all cells, and follows.
/// - [Clarity](Query::clarity) takes an average over the peaks, and follows.
///
/// All else is the same bit for bit: bands and phases, and whatever is at the end. There, the query
/// knows no more than the clip.
pub struct QueryStream {
    config: Config,
    stft: Stft,
    picker: PeakPicker,
    clip: Clip,
    /// For the input rate seen last.
    resampler: Option<Resampler>,
    resampled: Vec<f32>,
    /// Those that are settled, of frames that are not forgotten.
    peaks: Vec<Peak>,
    /// Frames that the last query may need.
    most_frames: usize,
    /// Frames of the stream that came before those counted by the picker,
    uncounted: u64,
    /// and those that it counts.
    counted: u32,
}

impl QueryStream {
    /// Plans the analysis. `most_s` is the length, in seconds, of the longest query that will be
    /// asked for.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is out of range: `most_s` is at least that of one
    /// landmark ([`Config::shortest_s`]), and [`Fingerprinter::DEFAULT_MAX_QUERY_S`] at most.
    ///
    /// [`Fingerprinter::DEFAULT_MAX_QUERY_S`]: super::Fingerprinter::DEFAULT_MAX_QUERY_S
    pub fn new(config: Config, most_s: f64) -> Result<Self> {
        config.validate()?;
        let (least_s, limit_s) = (config.shortest_s(), super::Fingerprinter::DEFAULT_MAX_QUERY_S);
        if !(least_s..=limit_s).contains(&most_s) {
            return Err(Error::Config {
                field: "the stream's longest query",
                value: format!("{most_s} s"),
                expected: format!("{least_s:.2} to {limit_s:.0} s"),
            });
        }
        let most_frames = frames_within(most_s, &config);
        Ok(Self {
            stft: Stft::new(&config.stft)?,
            picker: PeakPicker::new(&config.peaks, &config.stft),
            clip: Clip::new(&config.stft, most_frames + 2 * FORGOTTEN_FRAMES),
            resampler: None,
            resampled: Vec::with_capacity(PIECE_SAMPLES),
            peaks: Vec::new(),
            most_frames,
            uncounted: 0,
            counted: 0,
            config,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the next mono samples, at any rate, any number at a time.
    ///
    /// The rate may change between calls; what came before is then resampled to its end.
    pub fn push(&mut self, samples: &[f32], rate: SampleRate) {
        if self.resampler.as_ref().is_none_or(|r| r.from() != rate) {
            if let Some(resampler) = &mut self.resampler {
                self.resampled.clear();
                resampler.finish(&mut self.resampled);
                self.analyse();
            }
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

    /// Analyses what is in `resampled`.
    fn analyse(&mut self) {
        let silence_db = self.config.peaks.silence_db;
        let Self { stft, picker, clip, peaks, counted, .. } = self;
        stft.push(&self.resampled, |frame| {
            clip.push(frame, silence_db);
            picker.push(frame, |peak| peaks.push(peak));
            *counted += 1;
        });
        // A piece is few frames, so that no more than as many again wait to be forgotten.
        if self.clip.frames() >= self.most_frames + 2 * FORGOTTEN_FRAMES {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let frames = self.clip.frames() - self.most_frames - FORGOTTEN_FRAMES;
        self.clip.forget(frames);
        let begin = TimeSteps::of_frame(self.counted - self.clip.frames() as u32);
        // Refined times may be out of order by a frame, which does no harm here.
        let gone = self.peaks.partition_point(|p| p.time < begin);
        self.peaks.drain(..gone);
        let needed = self.clip.frames() as u32 + self.config.peaks.rank_radius_frames as u32 + 64;
        if self.counted > COUNTED_FRAMES.max(2 * needed) {
            let later = self.counted - needed;
            self.picker.count_from(later);
            let begin = TimeSteps::of_frame(later);
            self.peaks.iter_mut().for_each(|peak| peak.time = peak.time.since(begin));
            self.counted -= later;
            self.uncounted += u64::from(later);
        }
    }

    /// Number of frames analysed since the beginning of the stream.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.uncounted + u64::from(self.counted)
    }

    /// Time in the stream at which the last frame ends, in seconds: there, queries end. The samples
    /// after it, less than a hop and what the resampler holds back, are not analysed yet. 0 before the
    /// first frame.
    #[must_use]
    pub fn end_s(&self) -> f64 {
        let stft = &self.config.stft;
        let before = self.frames().checked_sub(1);
        before.map_or(0.0, |hops| hops as f64 * stft.hop_s() + stft.window_s())
    }

    /// Length of the longest query that can be had now, in seconds.
    #[must_use]
    pub fn available_s(&self) -> f64 {
        self.length_s(self.clip.frames().min(self.most_frames))
    }

    /// The last `seconds`, or what there is of them, as a query. It ends at [`end_s`](Self::end_s). Its
    /// length is that of its whole frames, up to a hop less than asked for.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::Silent`] or [`Error::Featureless`] where there is no landmark. The
    /// stream goes on.
    pub fn last(&mut self, seconds: f64) -> Result<Query> {
        let frames = frames_within(seconds, &self.config);
        let frames = frames.min(self.most_frames).min(self.clip.frames());
        let (peaks, duration_s) = (self.last_peaks(frames), self.length_s(frames));
        let fan_out = self.config.landmarks.query_fan_out;
        let landmarks = pair_all(&peaks, &self.config.landmarks, fan_out);
        let needed_s = self.config.shortest_s();
        if !landmarks.is_empty() {
            let made = Made { config_id: self.config.id(), duration_s, peaks, landmarks };
            Ok(self.clip.last(frames, made))
        } else if duration_s < needed_s {
            Err(Error::TooShort { duration_s, needed_s })
        } else if self.clip.is_silent(frames) {
            Err(Error::Silent { duration_s })
        } else {
            Err(Error::Featureless { duration_s })
        }
    }

    /// The peaks of the last frames, if the stream ended here, in the order of their frames.
    fn last_peaks(&self, frames: usize) -> Vec<Peak> {
        let begin = TimeSteps::of_frame(self.counted - frames as u32);
        let mut peaks = self.peaks.clone();
        // The last of them still wait for what may outrank them.
        self.picker.clone().finish(|peak| peaks.push(peak));
        peaks.retain_mut(|peak| {
            let inside = peak.time >= begin;
            peak.time = peak.time.since(begin);
            inside
        });
        peaks
    }

    /// Forgets all of the stream, for a new one.
    pub fn reset(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        self.stft.reset();
        self.picker.reset();
        self.clip = Clip::new(&self.config.stft, self.most_frames + 2 * FORGOTTEN_FRAMES);
        self.peaks.clear();
        (self.uncounted, self.counted) = (0, 0);
    }

    /// Length of so many frames in seconds.
    fn length_s(&self, frames: usize) -> f64 {
        let stft = &self.config.stft;
        let hops = frames.checked_sub(1);
        hops.map_or(0.0, |hops| hops as f64 * stft.hop_s() + stft.window_s())
    }
}

/// Number of whole frames in so many seconds.
fn frames_within(seconds: f64, config: &Config) -> usize {
    let stft = &config.stft;
    let samples = (seconds * f64::from(stft.sample_rate.hz())).round() as usize;
    samples.checked_sub(stft.window_samples).map_or(0, |later| later / stft.hop_samples + 1)
}

#[cfg(test)]
mod tests;
