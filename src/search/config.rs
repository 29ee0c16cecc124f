//! How to search.

use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::store::Totals;
use crate::units::{STEPS, TrackId};
use std::sync::Arc;

/// How to search. Not part of what is stored, so that each search may differ.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchConfig {
    /// Matches returned at most. Default 5.
    pub max_matches: usize,
    /// Matches that chance would give more often than this per query are not returned. Default
    /// 0.001: one false answer in a thousand queries.
    pub max_false_alarms: f64,
    /// Where hashes are looked up: a neighbouring cell is looked up too where a coordinate is no farther from the
    /// edge than this many sixteenths of a cell, 0 to 8. Default 5.
    pub probe_steps: u32,
    /// Stretches of the collection with most votes whose peaks are looked at, 1 at least. Default 1000.
    pub candidates: usize,
    /// How much faster or slower, higher or lower than the track the clip may be. Default
    /// [`SpeedRange::OFF`].
    pub speed: SpeedRange,
    /// Which tracks are looked at. Default all.
    pub filter: TrackFilter,
    /// What was fitted for the analysis. Default `None`: that which comes with the crate, if there is
    /// one for this analysis.
    pub calibration: Option<Arc<Calibration>>,
}

/// Which tracks a search looks at. The others are as if they were not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackFilter {
    /// All.
    #[default]
    All,
    /// These only.
    Only(Arc<[TrackId]>),
    /// All but these.
    Except(Arc<[TrackId]>),
}

impl Default for MatchConfig {
    fn default() -> Self {
        Self {
            max_matches: 5,
            max_false_alarms: 0.001,
            probe_steps: 5,
            candidates: 1000,
            speed: SpeedRange::OFF,
            filter: TrackFilter::All,
            calibration: None,
        }
    }
}

impl MatchConfig {
    /// Checks the ranges; every search does.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is out of range.
    pub fn validate(&self) -> Result<()> {
        if self.candidates == 0 {
            return Err(wrong("candidates", self.candidates, "at least 1"));
        }
        if self.max_false_alarms.is_nan() || self.max_false_alarms < 0.0 {
            return Err(wrong("max_false_alarms", self.max_false_alarms, "a number, 0 at least"));
        }
        if self.probe_steps > STEPS / 2 {
            return Err(wrong("probe_steps", self.probe_steps, "0 to 8"));
        }
        Ok(())
    }

    /// The calibration by which a collection is searched: the one given here, else the one stored with the
    /// collection, else the one built in for its analysis.
    ///
    /// # Errors
    /// [`Error::NoCalibration`] where there is none of them, [`Error::CalibrationMismatch`] where it is that
    /// of another analysis, [`Error::Config`] where a number in it is out of range.
    pub fn calibration_for(&self, store: &Totals) -> Result<Arc<Calibration>> {
        let config_id = store.config.id();
        match self.calibration.as_ref().or(store.calibration.as_ref()) {
            None => Calibration::built_in(config_id).ok_or(Error::NoCalibration { config_id }),
            Some(calibration) => {
                calibration.check_for(config_id)?;
                Ok(Arc::clone(calibration))
            }
        }
    }
}

fn wrong(field: &'static str, value: impl ToString, expected: &str) -> Error {
    Error::Config { field, value: value.to_string(), expected: expected.into() }
}

/// How far a clip's speed, tempo or pitch may be from the track's.
///
/// ```
/// use earmark::{MatchConfig, SpeedRange};
/// let config = MatchConfig { speed: SpeedRange::percent(10.0)?, ..MatchConfig::default() };
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpeedRange {
    /// Natural logarithm of the greatest ratio.
    reach: f64,
}

impl SpeedRange {
    /// Clips are played as the track is, within half a per cent or so.
    pub const OFF: Self = Self { reach: 0.0 };

    /// Up to `percent` faster or higher, and as much slower or lower: 25 is a ratio of 0.8 to 1.25.
    ///
    /// # Errors
    /// [`Error::Config`] outside 0 to 50.
    pub fn percent(percent: f64) -> Result<Self> {
        if !(0.0..=50.0).contains(&percent) {
            let value = percent.to_string();
            return Err(Error::Config { field: "speed range", value, expected: "0 to 50".into() });
        }
        Ok(Self { reach: (percent / 100.0).ln_1p() })
    }

    /// Whether nothing but the track's own speed is looked for.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.reach <= 0.0
    }

    /// Natural logarithm of the greatest ratio.
    pub(crate) fn reach(&self) -> f64 {
        self.reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let usual = MatchConfig::default();
        usual.validate().unwrap();
        let mut infinite = usual.clone();
        infinite.max_false_alarms = f64::INFINITY;
        infinite.validate().unwrap();
        for (config, field) in [
            (MatchConfig { candidates: 0, ..usual.clone() }, "candidates"),
            (MatchConfig { max_false_alarms: -1.0, ..usual.clone() }, "max_false_alarms"),
            (MatchConfig { max_false_alarms: f64::NAN, ..usual.clone() }, "max_false_alarms"),
            (MatchConfig { probe_steps: 9, ..usual.clone() }, "probe_steps"),
        ] {
            match config.validate() {
                Err(Error::Config { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
