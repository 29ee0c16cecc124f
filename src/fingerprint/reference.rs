//! Recordings, as they are kept.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::{Landmark, pair_all};
use crate::packing::{pack_peaks, pack_words, unpack_peaks, unpack_words};
use crate::peaks::{Peak, kept::Kept};
use crate::sealed::{self, Kind};
use crate::units::ConfigId;

const KIND: Kind = Kind { name: "fingerprint", magic: b"EARMARKF", version: 4 };

/// What the index keeps of a recording: its peaks, the landmarks made from them, its
/// sub-fingerprints, and by which configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    config_id: ConfigId,
    duration_s: f64,
    peaks: Vec<Peak>,
    landmarks: Vec<Landmark>,
    sub_fingerprints: Vec<u64>,
}

impl Fingerprint {
    /// Pairs peaks into the landmarks of a reference, and puts its [sub-fingerprints](crate::bands)
    /// beside them. Without these, matching goes by peaks alone.
    ///
    /// The peaks are [rounded](Self::peaks) and put in the order of their frames.
    #[must_use]
    pub fn from_parts(
        mut peaks: Vec<Peak>,
        sub_fingerprints: Vec<u64>,
        duration_s: f64,
        config: &Config,
    ) -> Self {
        Kept::new(config).round_all(&mut peaks);
        let landmarks = pair_all(&peaks, &config.landmarks, config.landmarks.reference_fan_out);
        Self { config_id: config.id(), duration_s, peaks, landmarks, sub_fingerprints }
    }

    /// Names the configuration that it was made with.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.config_id
    }

    /// Length of the audio in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// The peaks, in the order of their frames. They are as an index keeps them: times in eighths of a
    /// frame, frequencies in quarters of a bin, contrast in steps of 4 dB, level in steps of 6 dB, phase in
    /// eighths of a turn. Those of a frame are in the order of their frequencies.
    #[must_use]
    pub fn peaks(&self) -> &[Peak] {
        &self.peaks
    }

    /// The landmarks, in the order of their anchors.
    #[must_use]
    pub fn landmarks(&self) -> &[Landmark] {
        &self.landmarks
    }

    /// The sub-fingerprints, one for every [`FRAMES`](crate::bands::FRAMES) frames.
    #[must_use]
    pub fn sub_fingerprints(&self) -> &[u64] {
        &self.sub_fingerprints
    }

    /// Serialises with version and checksum. The landmarks are left out: peaks give them back.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where its peaks are not in the order of their frames.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let sealed = KIND.seal(|content| {
            content.record(&(self.config_id, self.duration_s))?;
            content.list(&pack_peaks(&self.peaks)?);
            content.list(&pack_words(&self.sub_fingerprints));
            Ok(())
        });
        sealed.map_err(|e| self.corrupt(e))
    }

    /// The error for a fingerprint that cannot be stored.
    pub(crate) fn corrupt(&self, detail: impl ToString) -> Error {
        Error::Corrupt { what: KIND.name, detail: detail.to_string(), path: None }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Error::BadMagic`], [`Error::Version`] or [`Error::Corrupt`] for other bytes,
    /// [`Error::ConfigMismatch`] where another configuration than `config` made it.
    pub fn from_bytes(bytes: &[u8], config: &Config) -> Result<Self> {
        let (found, duration_s, peaks, words) = KIND.open(bytes, |content| {
            let (config_id, duration_s): (ConfigId, f64) = sealed::decode(content.list()?)?;
            let peaks = unpack_peaks(content.list()?)?;
            Ok((config_id, duration_s, peaks, unpack_words(content.list()?)?))
        })?;
        if found != config.id() {
            return Err(Error::ConfigMismatch { expected: config.id(), found });
        }
        Ok(Self::from_parts(peaks, words, duration_s, config))
    }
}
