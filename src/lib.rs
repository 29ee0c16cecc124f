//! Audio fingerprinting.
pub mod config;
#[cfg(feature = "decode")]
pub mod decode;
pub mod error;
pub mod resample;
pub mod tags;
pub mod units;

pub use config::Config;
#[cfg(feature = "decode")]
pub use decode::{AudioInfo, AudioReader, DecodeReport};
pub use error::{Error, Result};
pub use resample::Resampler;
pub use tags::Tags;
pub use units::{ConfigId, FrameIndex, SampleRate, TrackId};
