//! Newtypes for the integers that could be mistaken for one another.

use crate::error::Error;
use bincode::{Decode, Encode};
use std::fmt;

pub use steps::{BinSteps, TimeSteps};

mod steps;

/// Steps of a peak's time per frame, and of its frequency per bin.
pub const STEPS: u32 = 16;

/// Names one track of an index. Assigned by the index when a track is added, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TrackId(pub u32);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A sample rate in Hz, from [`SampleRate::MIN_HZ`] to [`SampleRate::MAX_HZ`].
///
/// ```
/// use earmark::SampleRate;
/// assert_eq!(SampleRate::new(44_100)?.hz(), 44_100);
/// assert!(SampleRate::new(0).is_err());
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct SampleRate(u32);

impl SampleRate {
    /// The lowest rate accepted.
    pub const MIN_HZ: u32 = 4_000;
    /// The highest rate accepted.
    pub const MAX_HZ: u32 = 384_000;

    /// Checks the range.
    ///
    /// # Errors
    /// [`Error::SampleRate`] outside [`Self::MIN_HZ`]..=[`Self::MAX_HZ`].
    pub const fn new(hz: u32) -> Result<Self, Error> {
        if hz < Self::MIN_HZ || hz > Self::MAX_HZ {
            return Err(Error::SampleRate { hz });
        }
        Ok(Self(hz))
    }

    /// The rate in Hz.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// The time that `samples` samples last, in seconds.
    #[must_use]
    pub fn seconds(self, samples: u64) -> f64 {
        samples as f64 / f64::from(self.0)
    }
}

impl Default for SampleRate {
    /// 8,000 Hz, the rate at which the default configuration analyses.
    fn default() -> Self {
        Self(8_000)
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

impl<C> Decode<C> for SampleRate {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let hz = u32::decode(decoder)?;
        Self::new(hz).map_err(|_| bincode::error::DecodeError::Other("sample rate out of range"))
    }
}

bincode::impl_borrow_decode!(SampleRate);

/// Identifies the analysis that made a fingerprint: equal ids, comparable fingerprints.
///
/// It is the xxh3 hash of the whole [`Config`](crate::Config) and of the fingerprint version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ConfigId(pub u64);

impl fmt::Display for ConfigId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
