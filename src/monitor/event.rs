//! What a monitor tells.

use crate::units::TrackId;
use std::time::SystemTime;

/// Something that a [`Monitor`](super::Monitor) tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A track is heard. Its beginning is as it is known by now.
    Started(Heard),
    /// It is still heard, if that is [asked for](super::MonitorConfig::update_s).
    Updated(Heard),
    /// It is heard no more.
    Ended(Heard),
    /// Searches take longer than the stream: `load` seconds for each of its seconds, though
    /// steps have grown to a whole window. Told once until it is over.
    Behind {
        /// Seconds that a second of the stream takes.
        load: f64,
    },
}

/// A track that is heard in a stream. Times are in seconds, since the beginning of the stream or of the
/// track.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Heard {
    /// Numbers the events of a stream. [`Event::Ended`] has that of [`Event::Started`].
    pub number: u64,
    /// The track.
    pub track: TrackId,
    /// The track's name.
    pub name: String,
    /// When it begins to be heard.
    pub start_s: f64,
    /// Until when it is heard; for now, if it goes on.
    pub end_s: f64,
    /// The time in the track that is heard at `start_s`,
    pub reference_start_s: f64,
    /// and at `end_s`.
    pub reference_end_s: f64,
    /// Tempo as a multiple of the track's.
    pub speed: f64,
    /// Frequencies as multiples of the track's.
    pub pitch: f64,
    /// −log10 of the events with at least as much evidence that are expected in an hour of unknown
    /// sound: 3 is one in a thousand hours.
    pub score: f64,
    /// Whether the event turned out to be none: something else explains what was heard, from its beginning
    /// on. Only [`Event::Ended`] can say so.
    pub withdrawn: bool,
    /// Other tracks that have the same audio there. What is heard cannot tell which of them it is.
    pub same_as: Vec<TrackId>,
    /// The time of day at `start_s`, if the monitor [knows](super::Monitor::set_clock) it,
    pub started_at: Option<SystemTime>,
    /// and at `end_s`.
    pub ended_at: Option<SystemTime>,
}

impl Heard {
    /// How long it is heard, in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.end_s - self.start_s
    }

    /// Events with at least as much evidence that are expected in an hour of sound of which nothing is in
    /// the index.
    #[must_use]
    pub fn false_per_hour(&self) -> f64 {
        10f64.powf(-self.score)
    }
}
