//! What a search of one store finds: places with their evidence, and the totals that a decision needs.
//!
//! Findings hold all that [`decide`](super::decide) must know, the clip and the store no longer being
//! there. So a collection may be split over several stores, on several machines: each is searched by
//! itself, and what was found is decided once, with all totals in hand.

use crate::calibration::LawModel;
use crate::error::{Error, Result};
use crate::evidence::PlaceEvidence;
use crate::evidence::peaks::LevelMap;
use crate::fingerprint::Query;
use crate::peaks::Peak;
use crate::sealed::{self, Kind};
use crate::spectrogram::Axes;
use crate::store::{Totals, TrackEntry};
use crate::units::{BinSteps, ConfigId, TimeSteps, TrackId};
use bincode::{Decode, Encode};
use std::ops::Range;

use super::alignment::{LEAD, on_clip};
use super::matches::Span;
use super::playback::Playback;
use super::strength::Verified;

const KIND: Kind = Kind { name: "findings", magic: b"EARMARKR", version: 3 };

/// What a search of one store found, as yet undecided.
///
/// ```
/// use earmark::search::{Findings, decide, find};
/// use earmark::{Config, Fingerprinter, Index, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// # let rate = SampleRate::new(8000)?;
/// # let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// // Two halves of a collection, which may be on two machines.
/// let (one, other) = (Index::in_memory(Config::default())?, Index::in_memory(Config::default())?);
/// let mut writer = one.writer()?;
/// writer.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
/// writer.commit()?;
///
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// let config = MatchConfig::default();
/// let sent = find(&one.reader(), &clip, &config)?.to_bytes();
/// let found = [Findings::from_bytes(&sent)?, find(&other.reader(), &clip, &config)?];
/// let matches = decide(&found, &config)?;
/// assert_eq!((matches[0].name.as_str(), matches[0].part), ("song", 0));
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Findings {
    pub(crate) clip: Clip,
    /// Frames of all tracks of the store.
    pub(crate) frames: u64,
    /// Places that were looked at.
    pub(crate) looked_at: u64,
    pub(crate) places: Vec<Place>,
    /// The tracks of the places.
    pub(crate) tracks: Vec<FoundTrack>,
}

/// What a decision must know of a clip.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Clip {
    pub config_id: ConfigId,
    /// The law of the calibration that it was searched with.
    pub law: LawModel,
    pub duration_s: f64,
    pub clarity: f32,
    pub frames: u32,
    pub hop_s: f64,
    pub first_frame_s: f64,
}

impl Clip {
    pub fn new(query: &Query, totals: &Totals) -> Self {
        let axes = Axes::new(&totals.config.stft);
        Self {
            config_id: query.config_id(),
            law: query.calibration().law,
            duration_s: query.duration_s(),
            clarity: query.clarity(),
            frames: query.levels().frames() as u32,
            hop_s: axes.hop_s,
            first_frame_s: axes.first_frame_s,
        }
    }

    /// The time of some frames: a peak speaks for the whole of its window.
    pub fn span(&self, frames: &Range<u32>) -> Span {
        let start_s = f64::from(frames.start) * self.hop_s;
        let end_s = f64::from(frames.end) * self.hop_s + 2.0 * self.first_frame_s;
        Span { start_s, end_s: end_s.min(self.duration_s) }
    }
}

/// What is told of a track.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct FoundTrack {
    pub id: TrackId,
    pub name: String,
    pub tags: crate::tags::Tags,
    pub duration_s: f64,
}

impl From<TrackEntry> for FoundTrack {
    fn from(TrackEntry { id, name, tags, duration_s }: TrackEntry) -> Self {
        Self { id, name, tags, duration_s }
    }
}

/// A place with all that is decided by.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Place {
    /// Which of several findings it is of.
    pub part: u32,
    pub track: TrackId,
    /// Time in the track at which the clip begins.
    pub offset: TimeSteps,
    pub tempo: f64,
    pub pitch: f64,
    /// Frames of the clip in which the evidence is found.
    pub frames: Range<u32>,
    pub votes: u32,
    pub evidence: PlaceEvidence,
    /// All evidence on one scale, as a z-score.
    pub strength: f64,
    /// How far the phases alone are above what is usual.
    pub coherence: f64,
    /// Whether it was found at another speed only.
    pub from_ladder: bool,
    /// The track's peaks on the clip, in the order of their frames, [`LEAD`] late.
    pub peaks: Vec<PlacedPeak>,
}

/// A peak of a track as the clip would show it.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub(crate) struct PlacedPeak {
    pub time: TimeSteps<u32>,
    pub bin: BinSteps,
    /// Whether the clip has it.
    pub stands: bool,
}

impl PlacedPeak {
    /// Peaks that are laid on a clip, [`LEAD`] late.
    pub fn all(clip: &LevelMap, laid: &[Peak]) -> Vec<Self> {
        let mut standing = clip.standing(laid, LEAD, 0..clip.frames()).into_iter().peekable();
        let placed = laid.iter().map(|p| Self {
            time: p.time,
            bin: p.bin,
            stands: standing.next_if_eq(p).is_some(),
        });
        placed.collect()
    }
}

impl Place {
    pub fn new(query: &Query, v: &Verified, first_bin: BinSteps<f64>, from_ladder: bool) -> Self {
        let frames = query.levels().frames();
        let laid = on_clip(&v.alignment, &(0..frames), first_bin);
        let peaks = PlacedPeak::all(query.levels(), &laid);
        let Playback { tempo, pitch } = v.alignment.playback;
        Self {
            part: 0,
            track: v.alignment.excerpt.track,
            offset: v.alignment.offset,
            tempo,
            pitch,
            frames: v.frames.start as u32..v.frames.end as u32,
            votes: v.alignment.votes,
            evidence: v.evidence,
            strength: v.strength,
            coherence: v.coherence,
            from_ladder,
            peaks,
        }
    }

    pub fn is_same_track(&self, other: &Self) -> bool {
        (self.part, self.track) == (other.part, other.track)
    }

    pub fn is_played_as(&self, other: &Self) -> bool {
        (self.tempo, self.pitch) == (other.tempo, other.pitch)
    }

    /// Whether most of the clip is explained.
    pub fn is_whole(&self, clip: &Clip) -> bool {
        2 * self.frames.len() > clip.frames as usize
    }

    /// The peaks that fall on some frames of the clip.
    pub fn peaks_within(&self, frames: &Range<u32>) -> impl Iterator<Item = &PlacedPeak> + Clone {
        let at = |frame: u32| TimeSteps::from_frames(frame.into()) + LEAD;
        let times = at(frames.start)..at(frames.end);
        self.peaks.iter().filter(move |p| times.contains(&p.time.into()))
    }
}

impl Findings {
    /// Serialises with version and checksum, to be sent to where the decision is made.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers and texts can always be encoded.
        KIND.seal(|content| content.record(self)).unwrap_or_default()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Error::BadMagic`], [`Error::Version`] or [`Error::Corrupt`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let findings: Self = KIND.open(bytes, |content| sealed::decode(content.list()?))?;
        findings.check().map_err(|detail| Error::Corrupt {
            what: KIND.name,
            detail: detail.into(),
            path: None,
        })?;
        Ok(findings)
    }

    fn check(&self) -> Result<(), &'static str> {
        let Clip { duration_s, clarity, hop_s, first_frame_s, .. } = self.clip;
        let lengths = [duration_s, f64::from(clarity), hop_s, first_frame_s];
        if !lengths.iter().all(|length| length.is_finite() && *length > 0.0) {
            return Err("a clip that cannot be");
        }
        if self.clip.law.validate().is_err() {
            return Err("a law that cannot be");
        }
        for place in &self.places {
            let numbers = [place.tempo, place.pitch, place.strength, place.coherence];
            let sound = numbers.iter().all(|number| number.is_finite())
                && place.tempo > 0.0
                && place.frames.start <= place.frames.end
                && place.frames.end <= self.clip.frames
                && self.track(place.track).is_some();
            if !sound {
                return Err("a place that cannot be");
            }
        }
        Ok(())
    }

    pub(crate) fn track(&self, id: TrackId) -> Option<&FoundTrack> {
        self.tracks.iter().find(|track| track.id == id)
    }
}
