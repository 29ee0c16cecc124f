//! Everything that was fitted, as one value for one analysis.
//!
//! A search turns evidence into a decision with numbers that were fitted to music: how likely a level
//! under a peak is, how much each kind of evidence counts, how often chance goes so far. They hold for
//! the analysis that they were fitted with, and for no other: another hop, window or density gives
//! other peaks. So a [`Calibration`] names its analysis, and a search refuses one of another.
//!
//! The program `calibrate` (examples/calibrate) makes calibrations from folders of music. It wrote
//! that of [`Config::compact`](crate::Config::compact), and the table of the default one, whose other numbers
//! are older than it (docs/calibration.md). What is chosen and not fitted, the widths in seconds and Hz within which
//! evidence is looked for, is in [`widths`].
//!
//! ```
//! use earmark::{Calibration, Config};
//! use std::sync::Arc;
//! let calibration = Calibration::default();
//! let stored = calibration.to_bytes();
//! assert_eq!(Calibration::from_bytes(&stored)?, calibration);
//! // The default analysis has one; one that was changed has none until it is made.
//! assert!(Calibration::built_in(Config::default().id()).is_some());
//! let mut config = Config::default();
//! config.stft.hop_samples = 200;
//! assert!(Calibration::built_in(config.id()).is_none());
//! # Ok::<(), earmark::Error>(())
//! ```

mod layout;
mod numbers;

pub mod widths;

pub use numbers::{Dispersion, LawModel, QualityModel, StrengthModel};

use crate::error::{Error, Result};
use crate::sealed::Kind;
use crate::units::ConfigId;
use layout::{LENGTH, Reader};
use std::sync::{Arc, LazyLock};

/// Classes of reference peaks by contrast: from 6 dB up, in steps of 4 dB.
pub const CLASSES: usize = 8;
/// Codes that a cell of a clip can hold: see [`LevelMap`](crate::evidence::peaks::LevelMap).
pub const CODES: usize = 72;

/// Log-likelihood ratio, in nats, of reading a code (column) under a peak of a contrast class (row).
pub type Table = [[f32; CODES]; CLASSES];

/// Raised whenever the layout changes, or what a number means.
const KIND: Kind = Kind { name: "calibration", magic: b"EARMARKC", version: 1 };

/// Everything that was fitted for one analysis.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Calibration {
    config_id: ConfigId,
    /// What a level under a peak is worth.
    pub log_likelihood_ratio: Table,
    /// How much more evidence spreads by chance than independent pieces of it would.
    pub dispersion: Dispersion,
    /// How strong a clip's true match is to be expected.
    pub quality: QualityModel,
    /// How much each kind of evidence counts.
    pub strength: StrengthModel,
    /// From strengths to false alarms.
    pub law: LawModel,
}

/// For the default [`Config`](crate::Config): what the program `calibrate` wrote, as `default.txt` says.
static DEFAULT: Calibration =
    Calibration::read(Reader::new(include_bytes!("calibration/default.bin")));

/// For [`Config::compact`](crate::Config::compact), as `compact.txt` says.
static COMPACT: Calibration =
    Calibration::read(Reader::new(include_bytes!("calibration/compact.bin")));

static SHARED: LazyLock<[Arc<Calibration>; 2]> =
    LazyLock::new(|| [Arc::new(DEFAULT.clone()), Arc::new(COMPACT.clone())]);

impl Default for Calibration {
    /// That of the default analysis.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl Calibration {
    /// The calibration that comes with the crate for an analysis, if there is one.
    #[must_use]
    pub fn built_in(config_id: ConfigId) -> Option<Arc<Self>> {
        SHARED.iter().find(|c| c.config_id == config_id).cloned()
    }

    /// That of the default analysis, shared.
    pub(crate) fn of_default() -> Arc<Self> {
        Arc::clone(&SHARED[0])
    }

    /// The analysis that it was made for.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.config_id
    }

    /// Takes it for another analysis, at the caller's risk: how rare false alarms are is then not
    /// known. This is the way to search with an analysis before a calibration of its own is made.
    ///
    /// ```
    /// use earmark::{Calibration, Config, MatchConfig};
    /// let mut config = Config::default();
    /// config.peaks.reference_rank = 9;
    /// let borrowed = Calibration::default().for_analysis(config.id());
    /// let matching = MatchConfig { calibration: Some(borrowed.into()), ..MatchConfig::default() };
    /// ```
    #[must_use]
    pub fn for_analysis(self, config_id: ConfigId) -> Self {
        Self { config_id, ..self }
    }

    /// Checks that it can be used with an analysis.
    pub(crate) fn check_for(&self, expected: ConfigId) -> Result<()> {
        if self.config_id != expected {
            return Err(Error::CalibrationMismatch { expected, found: self.config_id });
        }
        self.validate()
    }

    /// Checks that every number is within its range; reading and searching do.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first that is not.
    pub fn validate(&self) -> Result<()> {
        let ratio = self.log_likelihood_ratio.as_flattened().iter();
        if let Some(wrong) = ratio.copied().find(|x| !(-50.0..=50.0).contains(x)) {
            let (value, expected) = (wrong.to_string(), "-50 to 50".into());
            return Err(Error::Config { field: "log_likelihood_ratio", value, expected });
        }
        numbers::check(self.numbers())
    }

    /// All numbers but the table's: name, value, least and greatest possible value.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, f64, f64, f64)> {
        (self.dispersion.fields().into_iter())
            .chain(self.quality.fields())
            .chain(self.strength.fields())
            .chain(self.law.fields())
    }

    /// The value in a fixed layout of a few kB, with version, length and checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sealed = KIND.seal(|content| {
            content.bytes(&self.write());
            Ok(())
        });
        // Nothing above fails.
        sealed.unwrap_or_default()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Error::BadMagic`], [`Error::Version`] or [`Error::Corrupt`] for other bytes,
    /// [`Error::Config`] for numbers that are out of range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let content = KIND.open(bytes, |content| content.array::<LENGTH>())?;
        let calibration = Self::read(Reader::of_content(content));
        calibration.validate()?;
        Ok(calibration)
    }
}

#[cfg(test)]
mod tests;
