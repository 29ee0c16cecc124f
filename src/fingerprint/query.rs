//! Clips, as they are looked up.

use crate::calibration::Calibration;
use crate::config::StftConfig;
use crate::evidence::bands::BandLevels;
use crate::evidence::peaks::{LevelMap, LevelMapper};
use crate::evidence::phases::Phases;
use crate::evidence::quality::{Moments, Traits};
use crate::landmark::Landmark;
use crate::peaks::Peak;
use crate::spectrogram::Frame;
use crate::units::ConfigId;
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
    traits: Traits,
}

impl Query {
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

    /// What tells how clear it is.
    #[must_use]
    pub fn traits(&self) -> &Traits {
        &self.features.traits
    }

    /// How strong its true match would be, as a multiple of what is usual: see
    /// [`quality`](crate::evidence::quality).
    #[must_use]
    pub fn clarity(&self) -> f32 {
        self.features.traits.clarity(&self.calibration().quality)
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
        let calibration = Calibration::built_in(config_id).unwrap_or_else(Calibration::of_default);
        let traits = Traits::of_moments(&moments, &peaks);
        let features = Features { config_id, duration_s, peaks, landmarks, bands, phases, traits };
        Query { features: Arc::new(features), levels: levels.finish(calibration) }
    }
}
