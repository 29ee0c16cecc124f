//! What speaks for and against a place: each kind of evidence compares one side of a clip with a
//! track's excerpt that lies under it.
//!
//! | evidence | of the clip | of the track | gives |
//! |---|---|---|---|
//! | [`peaks`] | [`LevelMap`](peaks::LevelMap): how prominent each cell is | peaks | z-score: do its peaks stand in the clip? |
//! | [`bands`] | [`BandLevels`](bands::BandLevels): levels of 64 bands | sub-fingerprints | z-score of their correlation |
//! | [`phases`] | [`Phases`](phases::Phases): the phase of each cell | phases of peaks | z-score of the phase coherence |
//! | [`missing`] | the same `LevelMap` | levels of peaks | missing-peak ratio: what of the track is not in the clip |
//! | [`quality`] | levels and peaks | nothing | how strong the clip's true match would be |
//!
//! A z-score is the distance from what chance gives, in its standard deviations.

use bincode::{Decode, Encode};

pub mod bands;
pub mod missing;
pub mod peaks;
pub mod phases;
pub mod quality;

/// All evidence of one place of one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub struct PlaceEvidence {
    /// z-score of the track's peaks in the clip: see [`peaks`].
    pub peaks_z: f64,
    /// z-score of the correlation of sub-fingerprints: see [`bands`].
    pub bands_z: f64,
    /// z-score of the phase coherence: see [`phases`]. `None` where the clip is played at another
    /// speed than the track: that turns all phases.
    pub phases_z: Option<f64>,
    /// Share of the track's peaks that are missing in the clip, 0 to 1: see [`missing`].
    pub missing_ratio: f64,
}
