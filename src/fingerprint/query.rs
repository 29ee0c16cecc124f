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
    /// Of the frames that are not silent.
    moments: Vec<Moments>,
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
        self.moments.extend((!silent).then(|| Moments::new(frame.levels_db)));
    }

    /// Ends the clip, whose peaks and landmarks are these.
    pub fn finish(
        self,
        config_id: ConfigId,
        duration_s: f64,
        peaks: Vec<Peak>,
        landmarks: Vec<Landmark>,
    ) -> Query {
        let Self { levels, mut bands, mut phases, moments } = self;
        bands.shrink();
        phases.shrink();
        let (levels, clarity) = (levels.finish(), of_moments(&moments, &peaks));
        Query { config_id, duration_s, peaks, landmarks, levels, bands, phases, clarity }
    }
}
