//! Clips, as they are looked up.

use crate::calibration::Calibration;
use crate::config::{Config, StftConfig};
use crate::error::{Error, Result};
use crate::evidence::bands::BandLevels;
use crate::evidence::peaks::{LevelMap, LevelMapper};
use crate::evidence::phases::Phases;
use crate::evidence::quality::{Moments, Traits};
use crate::fingerprint::Fingerprint;
use crate::landmark::{Landmark, pair_all};
use crate::packing::check_order;
use crate::peaks::Peak;
use crate::spectrogram::{Frame, HANN_NOISE_BANDWIDTH_BINS};
use crate::units::{ConfigId, TimeSteps};
use std::ops::Range;
use std::sync::Arc;

/// A clip as the matchers want it: more peaks and more landmarks than a reference keeps.
///
/// Copies share what was made of the audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    features: Arc<Features>,
    levels: LevelMap,
}

/// What does not depend on the calibration.
#[derive(Debug, PartialEq)]
struct Features {
    config_id: ConfigId,
    duration_s: f64,
    peaks: Vec<Peak>,
    landmarks: Vec<Landmark>,
    bands: BandLevels,
    phases: Phases,
    /// `None` where there is no spectrogram.
    traits: Option<Traits>,
}

/// The spectrogram of a clip, beside the peaks of another picker: see [`Query::from_parts`]. Rows are
/// frames, and as long as the analysis band has bins
/// ([`StftConfig::bins`]); frame *n* is centred at [`Axes::time_s`](crate::spectrogram::Axes::time_s).
#[derive(Clone, Copy, Debug)]
pub struct QueryRows<'a> {
    /// Levels in dB re a full-scale sine, frame after frame.
    pub levels_db: &'a [f32],
    /// Phases at the frames' beginnings, in 1/256 of a turn, frame after frame; or none at all. See
    /// [`Frame::phases`].
    pub phases: &'a [u8],
}

impl Query {
    /// A query of peaks that another picker found, in the order of their frames. They are paired into
    /// the landmarks of a query.
    ///
    /// For peaks to be found, they must mean what those of the index do: local maxima of a spectrogram
    /// like that of `config`, at the same scale. [`rank`](Peak::rank) and [`contrast`](Peak::contrast)
    /// decide which are paired; a picker that knows neither gives all of them the same. Each peak of the
    /// track that the clip holds should be there. Others do little harm.
    ///
    /// With `rows`, the evidence is weighed by them, as for any other query. Without, the peaks are all that
    /// is known: they take the place of the spectrogram's maxima, and the other kinds of evidence are
    /// neutral. Bands and phases have a z-score of 0, nothing is missing, and
    /// [clarity](Self::clarity) is 1. What is then found has less evidence than it would have.
    /// Without phases in `rows`, those alone are neutral.
    ///
    /// ```
    /// use earmark::{Config, Fingerprinter, Index, MatchConfig, Query, SampleRate, TrackInfo};
    /// # let song: Vec<f32> = (0..240_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
    /// let (config, rate) = (Config::default(), SampleRate::new(8000)?);
    /// let mut fingerprinter = Fingerprinter::new(config.clone())?;
    /// let index = Index::in_memory(config.clone())?;
    /// let mut writer = index.writer()?;
    /// writer.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
    /// writer.commit()?;
    ///
    /// // Peaks from elsewhere; here, those that a fingerprint keeps.
    /// let clip = fingerprinter.fingerprint(&song[80_000..160_000], rate)?;
    /// let query = Query::from_parts(clip.peaks().to_vec(), None, clip.duration_s(), &config)?;
    /// let found = index.search(&query, &MatchConfig::default())?;
    /// assert!((found[0].offset_s - 10.0).abs() < 0.1);
    /// # Ok::<(), earmark::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a `config` out of range. [`Error::QueryParts`] for peaks that are not in the
    /// order of their frames or lie beyond the clip, for rows that are not whole or not as many, and for
    /// a duration that is no length. [`Error::TooLong`] beyond
    /// [`Fingerprinter::DEFAULT_MAX_QUERY_S`](super::Fingerprinter::DEFAULT_MAX_QUERY_S).
    /// [`Error::Featureless`] where no two peaks make a landmark.
    pub fn from_parts(
        peaks: Vec<Peak>,
        rows: Option<QueryRows<'_>>,
        duration_s: f64,
        config: &Config,
    ) -> Result<Self> {
        config.validate()?;
        let frames = check_parts(&peaks, rows, duration_s, config)?;
        let landmarks = pair_all(&peaks, &config.landmarks, config.landmarks.query_fan_out);
        if landmarks.is_empty() {
            return Err(Error::Featureless { duration_s });
        }
        let made = Made { config_id: config.id(), duration_s, peaks, landmarks };
        let Some(rows) = rows else {
            let calibration = calibration(made.config_id);
            let levels = LevelMap::of_peaks(&made.peaks, frames, config, calibration);
            let (bands, phases) =
                (BandLevels::with_room(&config.stft, 0), Phases::with_room(&config.stft, 0));
            return Ok(made.with(levels, bands, phases, None));
        };
        let mut clip = Clip::new(&config.stft, frames);
        let bins = config.stft.bins();
        let mut phases = rows.phases.chunks_exact(bins);
        for levels_db in rows.levels_db.chunks_exact(bins) {
            let phases = phases.next().unwrap_or_default();
            let power_db = power_db(levels_db);
            clip.push(Frame { levels_db, phases, power_db }, config.peaks.silence_db);
        }
        Ok(clip.finish(made))
    }

    /// A stretch of a stored fingerprint as a query, from one time in seconds to another: its peaks, as
    /// [`from_parts`](Self::from_parts) takes them, without rows. Longer ones are searched by
    /// [`search_fingerprint`](crate::search::search_fingerprint).
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`] where another configuration made it, and those of
    /// [`from_parts`](Self::from_parts).
    pub fn from_fingerprint(
        fingerprint: &Fingerprint,
        span_s: Range<f64>,
        config: &Config,
    ) -> Result<Self> {
        config.validate()?;
        let hop_s = config.stft.hop_s();
        let frame = |seconds: f64| (seconds / hop_s).round() as u32;
        let limit_s = super::Fingerprinter::DEFAULT_MAX_QUERY_S;
        if span_s.end - span_s.start > limit_s {
            return Err(Error::TooLong { limit_s });
        }
        Self::of_frames(fingerprint, frame(span_s.start)..frame(span_s.end), config)
    }

    /// So many frames of a fingerprint as a query.
    pub(crate) fn of_frames(
        fingerprint: &Fingerprint,
        frames: Range<u32>,
        config: &Config,
    ) -> Result<Self> {
        let (expected, found) = (config.id(), fingerprint.config_id());
        if expected != found {
            return Err(Error::ConfigMismatch { expected, found });
        }
        let from = TimeSteps::of_frame(frames.start);
        let inside = |peak: &&Peak| frames.contains(&peak.time.nearest_frame());
        let shifted = |peak: &Peak| Peak { time: peak.time.since(from), ..*peak };
        let peaks = fingerprint.peaks().iter().filter(inside).map(shifted).collect();
        let hops = f64::from(frames.end.saturating_sub(frames.start).saturating_sub(1));
        let duration_s = hops * config.stft.hop_s() + config.stft.window_s();
        Self::from_parts(peaks, None, duration_s, config)
    }

    /// Names the configuration that it was made with.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.features.config_id
    }

    /// Length of the clip in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.features.duration_s
    }

    /// The peaks, in the order of their frames.
    #[must_use]
    pub fn peaks(&self) -> &[Peak] {
        &self.features.peaks
    }

    /// The landmarks, in the order of their anchors.
    #[must_use]
    pub fn landmarks(&self) -> &[Landmark] {
        &self.features.landmarks
    }

    /// How prominent each cell of the clip's spectrogram is.
    #[must_use]
    pub fn levels(&self) -> &LevelMap {
        &self.levels
    }

    /// How its sound is spread over the bands.
    #[must_use]
    pub fn bands(&self) -> &BandLevels {
        &self.features.bands
    }

    /// Its phases.
    #[must_use]
    pub fn phases(&self) -> &Phases {
        &self.features.phases
    }

    /// What tells how clear it is. `None` where its spectrogram is not known.
    #[must_use]
    pub fn traits(&self) -> Option<&Traits> {
        self.features.traits.as_ref()
    }

    /// How strong its true match would be, as a multiple of what is usual: see
    /// [`quality`](crate::evidence::quality).
    #[must_use]
    pub fn clarity(&self) -> f32 {
        self.traits().map_or(1.0, |traits| traits.clarity(&self.calibration().quality))
    }

    /// By which its evidence is weighed: until a search takes [another](Self::calibrated), that which
    /// comes with the crate for its analysis, or else that of the default analysis.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        self.levels.calibration()
    }

    /// The same clip, weighed by another calibration. Searches do so by themselves.
    #[must_use]
    pub fn calibrated(&self, calibration: Arc<Calibration>) -> Self {
        let known = self.levels.calibration();
        if Arc::ptr_eq(known, &calibration) || *known == calibration {
            return self.clone();
        }
        let levels = self.levels.calibrated(calibration);
        Self { features: Arc::clone(&self.features), levels }
    }
}

/// Refuses parts that do not fit together; gives the number of frames.
fn check_parts(
    peaks: &[Peak],
    rows: Option<QueryRows<'_>>,
    duration_s: f64,
    config: &Config,
) -> Result<usize> {
    let wrong = |detail: String| Err(Error::QueryParts { detail });
    if !duration_s.is_finite() || duration_s < 0.0 {
        return wrong(format!("a duration of {duration_s} s"));
    }
    let limit_s = super::Fingerprinter::DEFAULT_MAX_QUERY_S;
    if duration_s > limit_s {
        return Err(Error::TooLong { limit_s });
    }
    let (stft, bins) = (&config.stft, config.stft.bins());
    let hops = ((duration_s - stft.window_s()) / stft.hop_s() + 1e-6).max(-1.0).floor();
    let mut frames = (hops + 1.0) as usize;
    if let Some(QueryRows { levels_db, phases }) = rows {
        if !levels_db.len().is_multiple_of(bins) {
            return wrong(format!("{} levels are no whole rows of {bins}", levels_db.len()));
        }
        if !phases.is_empty() && phases.len() != levels_db.len() {
            return wrong(format!("{} phases to {} levels", phases.len(), levels_db.len()));
        }
        if levels_db.iter().any(|level| level.is_nan()) {
            return wrong("a level is not a number".into());
        }
        let given = levels_db.len() / bins;
        if given.abs_diff(frames) > 1 {
            return wrong(format!(
                "{given} frames of levels in {duration_s} s, which have {frames}"
            ));
        }
        frames = given;
    }
    if let Err(e) = check_order(peaks) {
        return wrong(e.to_string());
    }
    let beyond = |p: &&Peak| p.time.whole_frame() as usize >= frames;
    if let Some(peak) = peaks.iter().find(beyond) {
        return wrong(format!("a peak in frame {} of {frames}", peak.time.whole_frame()));
    }
    Ok(frames)
}

/// Power of a frame's band in dB re a full-scale sine, from its levels.
fn power_db(levels_db: &[f32]) -> f32 {
    let power = |&level_db: &f32| libm::exp10(f64::from(level_db) / 10.0);
    let power: f64 = levels_db.iter().map(power).sum();
    (10.0 * libm::log10(power / f64::from(HANN_NOISE_BANDWIDTH_BINS))) as f32
}

/// What a query keeps of its frames.
pub(super) struct Clip {
    levels: LevelMapper,
    bands: BandLevels,
    phases: Phases,
    /// Of each frame; `None` of the silent ones.
    moments: Vec<Option<Moments>>,
}

impl Clip {
    /// For frames made with `config`, of which so many are expected.
    pub fn new(config: &StftConfig, frames: usize) -> Self {
        Self {
            levels: LevelMapper::new(config, frames),
            bands: BandLevels::with_room(config, frames),
            phases: Phases::with_room(config, frames),
            moments: Vec::with_capacity(frames),
        }
    }

    pub fn push(&mut self, frame: Frame<'_>, silence_db: f32) {
        let silent = frame.power_db < silence_db;
        self.levels.push(frame.levels_db, silent);
        self.bands.push(frame.levels_db);
        self.phases.push(frame.phases);
        self.moments.push((!silent).then(|| Moments::new(frame.levels_db)));
    }

    /// Number of frames that are not forgotten.
    pub fn frames(&self) -> usize {
        self.moments.len()
    }

    /// Whether all of the last `frames` are silent.
    pub fn is_silent(&self, frames: usize) -> bool {
        self.moments.iter().rev().take(frames).all(Option::is_none)
    }

    /// Forgets the first frames, but not those that are still to be mapped.
    pub fn forget(&mut self, frames: usize) {
        self.levels.forget(frames);
        self.bands.forget(frames);
        self.phases.forget(frames);
        self.moments.drain(..frames);
    }

    /// The last frames, so many at most as are not forgotten, as a query with these peaks and
    /// landmarks.
    pub fn last(&mut self, frames: usize, made: Made) -> Query {
        let moments = &self.moments[self.moments.len() - frames..];
        let (bands, phases) = (self.bands.last(frames), self.phases.last(frames));
        let levels = self.levels.last(frames, calibration(made.config_id));
        made.with(levels, bands, phases, Some(moments))
    }

    /// Ends the clip, whose peaks and landmarks are these.
    pub fn finish(self, made: Made) -> Query {
        let Self { levels, mut bands, mut phases, moments } = self;
        bands.shrink();
        phases.shrink();
        let levels = levels.finish(calibration(made.config_id));
        made.with(levels, bands, phases, Some(&moments))
    }
}

/// What a query is weighed by until a search takes another.
fn calibration(config_id: ConfigId) -> Arc<Calibration> {
    Calibration::built_in(config_id).unwrap_or_else(Calibration::of_default)
}

/// What of a query is not made frame by frame.
pub(super) struct Made {
    pub config_id: ConfigId,
    pub duration_s: f64,
    pub peaks: Vec<Peak>,
    pub landmarks: Vec<Landmark>,
}

impl Made {
    /// The query. Without `moments` of its frames, it counts as usually clear.
    fn with(
        self,
        levels: LevelMap,
        bands: BandLevels,
        phases: Phases,
        moments: Option<&[Option<Moments>]>,
    ) -> Query {
        let Self { config_id, duration_s, peaks, landmarks } = self;
        let traits = moments.map(|moments| {
            let loud: Vec<Moments> = moments.iter().copied().flatten().collect();
            Traits::of_moments(&loud, &peaks)
        });
        let features = Features { config_id, duration_s, peaks, landmarks, bands, phases, traits };
        Query { features: Arc::new(features), levels }
    }
}

#[cfg(test)]
mod tests;
