//! Audio fingerprinting.
pub mod alignment;
pub mod catalog;
pub mod config;
#[cfg(feature = "decode")]
pub mod decode;
pub mod error;
pub mod fingerprint;
pub mod index;
pub mod kdtree;
pub mod landmark;
pub mod matching;
pub mod peaks;
pub mod resample;
pub mod spectrogram;
pub mod tags;
pub mod units;
pub mod verification;

mod sealed;
mod segment;
mod storage;

#[cfg(test)]
mod testing;

pub use catalog::{Catalog, Track, TrackInfo};
pub use config::Config;
#[cfg(feature = "decode")]
pub use decode::{AudioInfo, AudioReader, DecodeReport};
pub use error::{Error, Result};
pub use fingerprint::{Fingerprint, Fingerprinter, Query};
pub use index::HashIndex;
pub use kdtree::KdIndex;
pub use matching::{Match, MatchConfig, Span};
pub use resample::Resampler;
pub use tags::Tags;
pub use units::{ConfigId, FrameIndex, SampleRate, TrackId};
