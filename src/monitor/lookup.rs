//! What the monitor asks of the search. Nothing else of it touches the search.

use crate::error::Result;
use crate::evidence::PlaceEvidence;
use crate::evidence::peaks::{FrameEvidence, LevelMap};
use crate::fingerprint::Query;
use crate::peaks::{Peak, STEPS};
use crate::search::candidates::LandmarkIndex;
use crate::search::{
    Alignment, LEAD, Law, Match, MatchConfig, Playback, Span, Verified, first_bin_steps, on_clip,
    search, share_of,
};
use crate::spectrogram::Axes;
use crate::units::TrackId;
use std::ops::Range;

/// Places by votes that a law is asked for: all that it counts.
const PLACES: usize = 1000;
/// A track explains another where it has more than this share of the peaks by which that is found,
const EXPLAINED: f64 = 1.0 / 3.0;
/// and a part of it from this share on: versions of one piece have a fifth in common. Tracks that only
/// sound at the same time mostly share a tenth.
const PARTLY_EXPLAINED: f64 = 0.2;
/// Two tracks are the same audio where they share more than this of their peaks.
const SAME_AUDIO: f64 = 0.5;

/// A track that is played from some time of the stream on: every time of the stream is one of the track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    pub track: TrackId,
    /// A time of the stream, in seconds,
    pub at_s: f64,
    /// and that of the track which is heard then.
    pub reference_s: f64,
    /// Tempo and frequencies as multiples of the track's.
    pub speed: f64,
    pub pitch: f64,
}

impl Line {
    /// The time of the track that is heard at a time of the stream.
    pub fn reference_at(&self, stream_s: f64) -> f64 {
        self.reference_s + (stream_s - self.at_s) * self.speed
    }
}

/// The last seconds of the stream.
pub(crate) struct Clip {
    pub query: Query,
    /// Time of the stream at which it begins.
    pub begin_s: f64,
}

impl Clip {
    pub fn end_s(&self) -> f64 {
        self.begin_s + self.query.duration_s()
    }
}

/// A match in the stream.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub line: Line,
    /// The stretch of the stream by which it was found.
    pub span: Span,
    /// −log10 of the matches at least as strong that the search of an unknown clip gives.
    pub score: f64,
}

/// Which tracks are in a clip?
pub(crate) fn look_up(
    index: &(impl LandmarkIndex + ?Sized),
    clip: &Clip,
    config: &MatchConfig,
) -> Result<Vec<Found>> {
    let found = |m: Match| Found {
        score: m.score(),
        span: Span { start_s: clip.begin_s + m.query.start_s, end_s: clip.begin_s + m.query.end_s },
        line: Line {
            track: m.track,
            at_s: clip.begin_s,
            reference_s: m.offset_s,
            speed: m.speed,
            pitch: m.pitch,
        },
    };
    Ok(search(index, &clip.query, config)?.into_iter().map(found).collect())
}

/// What a clip says of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    /// All evidence on one scale, as a z-score.
    pub strength: f64,
    /// As [`Found::score`], if no other track is as strong.
    pub score: f64,
    /// Share of the track's peaks that are missing.
    pub missing_ratio: f64,
}

/// Weighs a line in a stretch of a clip. `None` if there is no such track, or no frame.
pub(crate) fn weigh(
    index: &(impl LandmarkIndex + ?Sized),
    clip: &Clip,
    line: &Line,
    stretch: &Span,
) -> Option<Weight> {
    let (alignment, first_bin) = alignment(index, line, clip.begin_s)?;
    let frames = frames_of(index, clip, stretch);
    if frames.is_empty() {
        return None;
    }
    let peaks = on_clip(&alignment, &frames, first_bin);
    let evidence = clip.query.levels().weigh(&peaks, LEAD, frames.clone());
    let peaks_z = evidence.deviations();
    let mut verified = Verified {
        alignment,
        frames: frames.clone(),
        judged: frames,
        evidence: PlaceEvidence { peaks_z, ..PlaceEvidence::default() },
        strength: peaks_z,
        coherence: 0.0,
    };
    let catalog = index.catalog();
    verified.add_evidence(&clip.query, &peaks, LEAD, catalog.config().stft.first_bin());
    let law = Law::new(&clip.query, catalog, PLACES);
    let (strength, coherence) = (verified.strength, verified.coherence);
    let false_alarms = law.false_alarms(strength, coherence, law.usual_rival());
    Some(Weight {
        strength,
        score: -false_alarms.max(1e-300).log10(),
        missing_ratio: verified.evidence.missing_ratio,
    })
}

/// The evidence of each frame of a part of the stream, which begins at `begin_s`, for a line.
pub(crate) fn by_frame(
    index: &(impl LandmarkIndex + ?Sized),
    levels: &LevelMap,
    begin_s: f64,
    line: &Line,
) -> Vec<FrameEvidence> {
    let frames = 0..levels.frames();
    let Some((alignment, first_bin)) = alignment(index, line, begin_s) else {
        return vec![FrameEvidence::default(); frames.len()];
    };
    levels.by_frame(&on_clip(&alignment, &frames, first_bin), LEAD, frames)
}

/// What one line has to do with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Both can sound at the same time.
    Apart,
    /// The one has a part of what is heard of the other.
    PartlyExplained,
    /// The one has what is heard of the other.
    Explained,
    /// Both are the same audio there.
    SameAudio,
}

/// What `stronger` has to do with what is heard of `weaker` in a stretch of a clip.
pub(crate) fn relation(
    index: &(impl LandmarkIndex + ?Sized),
    clip: &Clip,
    stronger: &Line,
    weaker: &Line,
    stretch: &Span,
) -> Relation {
    let frames = frames_of(index, clip, stretch);
    let peaks = |line: &Line| -> Vec<Peak> {
        let Some((alignment, first_bin)) = alignment(index, line, clip.begin_s) else {
            return Vec::new();
        };
        let mut peaks = on_clip(&alignment, &frames, first_bin);
        let at = |frame: usize| frame as i64 * i64::from(STEPS) + LEAD;
        peaks.retain(|p| (at(frames.start)..at(frames.end)).contains(&i64::from(p.time)));
        peaks
    };
    let (stronger, weaker) = (peaks(stronger), peaks(weaker));
    let heard = clip.query.levels().standing(&weaker, LEAD, frames.clone());
    let share = share_of(&heard, &stronger);
    if share_of(&weaker, &stronger) > SAME_AUDIO {
        Relation::SameAudio
    } else if share > EXPLAINED {
        Relation::Explained
    } else if share > PARTLY_EXPLAINED {
        Relation::PartlyExplained
    } else {
        Relation::Apart
    }
}

/// Name and length of a track.
pub(crate) fn track(
    index: &(impl LandmarkIndex + ?Sized),
    track: TrackId,
) -> Option<(String, f64)> {
    let track = index.catalog().get(track)?;
    Some((track.info.name.clone(), track.duration_s))
}

/// A line as an alignment of what begins at a time of the stream, and the first bin in steps.
fn alignment<'a>(
    index: &'a (impl LandmarkIndex + ?Sized),
    line: &Line,
    begin_s: f64,
) -> Option<(Alignment<'a>, f64)> {
    let catalog = index.catalog();
    let axes = Axes::new(&catalog.config().stft);
    // Frame 0 is centred half a window after the beginning, in the clip as in the track.
    let offset_s = line.reference_at(begin_s) + (line.speed - 1.0) * axes.first_frame_s;
    let alignment = Alignment {
        track: catalog.get(line.track)?,
        offset_steps: (offset_s / axes.hop_s * f64::from(STEPS)).round() as i64,
        votes: 0,
        weight: 0.0,
        pivot_steps: 0,
        playback: Playback { tempo: line.speed, pitch: line.pitch },
    };
    Some((alignment, first_bin_steps(catalog.config())))
}

/// The frames of a clip that lie in a stretch of the stream.
fn frames_of(index: &(impl LandmarkIndex + ?Sized), clip: &Clip, stretch: &Span) -> Range<usize> {
    let axes = Axes::new(&index.catalog().config().stft);
    let frame = |stream_s: f64| {
        ((stream_s - clip.begin_s - axes.first_frame_s) / axes.hop_s).ceil().max(0.0) as usize
    };
    let end = frame(stretch.end_s + axes.hop_s).min(clip.query.levels().frames());
    frame(stretch.start_s).min(end)..end
}
