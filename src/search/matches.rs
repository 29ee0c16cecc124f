//! What a search finds.

use crate::tags::Tags;
use crate::units::TrackId;
use std::fmt;

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
#[non_exhaustive]
pub struct Match {
    /// Which of the [findings](crate::search::Findings) that were decided it is of: 0 where there were
    /// no others.
    pub part: usize,
    /// The track.
    pub track: TrackId,
    /// The track's name.
    pub name: String,
    /// Its title, artist and album.
    pub tags: Tags,
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
    /// Peaks of the clip that agree on the offset.
    pub votes: u32,
    /// Number of matches at least this strong that are to be expected when a clip like this, of a
    /// recording that is not in the index, is searched in it: by chance, or because music of one
    /// making is alike.
    pub false_alarms: f64,
    /// A stronger match, of another track, whose audio is the same here: a copy, a remaster, a
    /// shared sample. What is heard cannot tell which of them it comes from.
    pub same_as: Option<TrackId>,
    /// Of which part that one is, as [`part`](Self::part): ids are of one part each.
    pub same_as_part: Option<usize>,
}

impl Match {
    /// A match of a whole track of which nothing more is known: for tests of what takes matches.
    #[must_use]
    pub fn new(track: TrackId, name: impl Into<String>) -> Self {
        Self {
            part: 0,
            track,
            name: name.into(),
            tags: Tags::default(),
            query: Span::default(),
            reference: Span::default(),
            offset_s: 0.0,
            speed: 1.0,
            pitch: 1.0,
            votes: 0,
            false_alarms: 0.0,
            same_as: None,
            same_as_part: None,
        }
    }

    /// −log10 of [`false_alarms`](Self::false_alarms): 3 is one false answer in a thousand searches.
    #[must_use]
    pub fn score(&self) -> f64 {
        -self.false_alarms.max(1e-300).log10()
    }
}

/// As in "Title – Artist, from 0:25.0 (1 in 10^10)"; with the name in place of a title that is not known.
impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tags.title.as_deref().unwrap_or(&self.name))?;
        if let (Some(_), Some(artist)) = (&self.tags.title, &self.tags.artist) {
            write!(f, " – {artist}")?;
        }
        let tenths = (10.0 * self.reference.start_s.max(0.0)).round() as u64;
        let (minutes, seconds) = (tenths / 600, tenths % 600);
        write!(f, ", from {minutes}:{:02}.{}", seconds / 10, seconds % 10)?;
        write!(f, " (1 in 10^{:.0})", self.score().floor().max(0.0))
    }
}
