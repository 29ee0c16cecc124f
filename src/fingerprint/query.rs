//! Clips, as they are looked up.

use crate::config::StftConfig;
use crate::evidence::bands::BandLevels;
use crate::evidence::peaks::{LevelMap, LevelMapper};
use crate::evidence::phases::Phases;
use crate::evidence::quality::{Moments, of_moments};
use crate::landmark::Landmark;
use crate::peaks::Peak;
use crate::spectrogram::Frame;
use crate::units::ConfigId;

/// A clip as the matchers want it: more peaks and more landmarks than a reference keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    config_id: ConfigId,
    duration_s: f64,
    peaks: Vec<Peak>,
    landmarks: Vec<Landmark>,
    levels: LevelMap,
    bands: BandLevels,
    phases: Phases,
    clarity: f32,
}

impl Query {
    /// Names the configuration that it was made with.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.config_id
    }

    /// Length of the clip in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// The peaks, in the order of their frames.
    #[must_use]
    pub fn peaks(&self) -> &[Peak] {
        &self.peaks
    }

    /// The landmarks, in the order of their anchors.
    #[must_use]
    pub fn landmarks(&self) -> &[Landmark] {
        &self.landmarks
    }

    /// How prominent each cell of the clip's spectrogram is.
    #[must_use]
    pub fn levels(&self) -> &LevelMap {
        &self.levels
    }

    /// How its sound is spread over the bands.
    #[must_use]
    pub fn bands(&self) -> &BandLevels {
        &self.bands
    }

    /// Its phases.
    #[must_use]
    pub fn phases(&self) -> &Phases {
        &self.phases
    }

    /// How strong its true match would be, as a multiple of what is usual: see
    /// [`clarity`](crate::evidence::quality::clarity).
    #[must_use]
    pub fn clarity(&self) -> f32 {
        self.clarity
    }
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
            levels: LevelMapper::new(config.bins(), frames),
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
        made.with(self.levels.last(frames), bands, phases, moments)
    }

    /// Ends the clip, whose peaks and landmarks are these.
    pub fn finish(self, made: Made) -> Query {
        let Self { levels, mut bands, mut phases, moments } = self;
        bands.shrink();
        phases.shrink();
        made.with(levels.finish(), bands, phases, &moments)
    }
}

/// What of a query is not made frame by frame.
pub(super) struct Made {
    pub config_id: ConfigId,
    pub duration_s: f64,
    pub peaks: Vec<Peak>,
    pub landmarks: Vec<Landmark>,
}

impl Made {
    fn with(
        self,
        levels: LevelMap,
        bands: BandLevels,
        phases: Phases,
        moments: &[Option<Moments>],
    ) -> Query {
        let Self { config_id, duration_s, peaks, landmarks } = self;
        let moments: Vec<Moments> = moments.iter().copied().flatten().collect();
        let clarity = of_moments(&moments, &peaks);
        Query { config_id, duration_s, peaks, landmarks, levels, bands, phases, clarity }
    }
}
