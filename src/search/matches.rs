//! What a search finds.

use crate::units::TrackId;

/// A stretch of time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

impl Span {
    /// Its length.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.end_s - self.start_s
    }

    /// The length that two spans have in common.
    #[must_use]
    pub fn overlap_s(&self, other: &Self) -> f64 {
        (self.end_s.min(other.end_s) - self.start_s.max(other.start_s)).max(0.0)
    }
}

/// One place in one track that a clip, or a part of it, comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The track.
    pub track: TrackId,
    /// The track's name.
    pub name: String,
    /// The part of the clip that was recognised.
    pub query: Span,
    /// The part of the track that it is.
    pub reference: Span,
    /// Time in the track at which the clip begins: below 0 where the clip begins before the track.
    pub offset_s: f64,
    /// Tempo of the clip as a multiple of the track's.
    pub speed: f64,
    /// Frequencies of the clip as multiples of the track's.
    pub pitch: f64,
    /// Landmarks of the clip that agree on the offset.
    pub votes: u32,
    /// Number of matches at least this strong that are to be expected when a clip like this, of a
    /// recording that is not in the index, is searched in it: by chance, or because music of one
    /// making is alike.
    pub false_alarms: f64,
    /// A stronger match, of another track, whose audio is the same here: a copy, a remaster, a
    /// shared sample. What is heard cannot tell which of them it comes from.
    pub same_as: Option<TrackId>,
}

impl Match {
    /// −log10 of [`false_alarms`](Self::false_alarms): 3 is one false answer in a thousand searches.
    #[must_use]
    pub fn score(&self) -> f64 {
        -self.false_alarms.max(1e-300).log10()
    }
}
