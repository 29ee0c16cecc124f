//! Audio fingerprinting.
pub mod config;
pub mod error;
pub mod resample;
pub mod units;

pub use config::Config;
pub use error::{Error, Result};
pub use units::{ConfigId, FrameIndex, SampleRate, TrackId};
