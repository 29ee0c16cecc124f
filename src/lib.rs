//! Audio fingerprinting.
pub mod config;
pub mod error;
pub mod landmark;
pub mod peaks;
pub mod spectrogram;
pub mod units;

#[cfg(test)]
mod testing;

pub use config::Config;
pub use error::{Error, Result};
pub use units::{ConfigId, FrameIndex, SampleRate, TrackId};
