//! What the monitor asks of the search. Nothing else of it touches the search.

use crate::calibration::Calibration;
use crate::config::Config;
use crate::error::Result;
use crate::evidence::PlaceEvidence;
use crate::evidence::peaks::{FrameEvidence, LevelMap};
use crate::fingerprint::Query;
use crate::search::{
    Alignment, LEAD, Law, Match, MatchConfig, PlacedPeak, Playback, Span, Verified, excerpt_under,
    first_bin, on_clip, search, share_of,
};
use crate::spectrogram::Axes;
use crate::store::{Store, Totals, TrackEntry};
use crate::units::{TimeSteps, TrackId};
use std::ops::Range;
use std::sync::Arc;

/// Places that a law is asked for: all that it counts.
const PLACES: u64 = 1000;
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

/// One state of the collection, and how the stream is looked up in it.
pub(crate) struct Lookup<'s, S: ?Sized> {
    store: &'s S,
    totals: Totals,
    calibration: Arc<Calibration>,
    axes: Axes,
}

impl<'s, S: Store + ?Sized> Lookup<'s, S> {
    pub fn new(store: &'s S, config: &MatchConfig) -> Result<Self> {
        let totals = store.totals()?;
        let calibration = config.calibration_for(&totals)?;
        let axes = Axes::new(&totals.config.stft);
        Ok(Self { store, totals, calibration, axes })
    }

    /// The clip, weighed by the calibration of the collection.
    pub fn calibrated(&self, clip: Clip) -> Clip {
        Clip { query: clip.query.calibrated(Arc::clone(&self.calibration)), ..clip }
    }

    /// The analysis.
    pub fn config(&self) -> &Config {
        &self.totals.config
    }

    /// Which tracks are in a clip?
    pub fn look_up(&self, clip: &Clip, config: &MatchConfig) -> Result<Vec<Found>> {
        let at_s = clip.begin_s;
        let found = |m: Match| Found {
            score: m.score(),
            span: Span { start_s: at_s + m.query.start_s, end_s: at_s + m.query.end_s },
            line: Line {
                track: m.track,
                at_s,
                reference_s: m.offset_s,
                speed: m.speed,
                pitch: m.pitch,
            },
        };
        Ok(search(self.store, &clip.query, config)?.into_iter().map(found).collect())
    }

    /// Weighs a line in a stretch of a clip. `None` if there is no such track, or no frame.
    pub fn weigh(&self, clip: &Clip, line: &Line, stretch: &Span) -> Result<Option<Weight>> {
        let levels = clip.query.levels();
        let Some(alignment) = self.alignment(line, clip.begin_s, levels.frames())? else {
            return Ok(None);
        };
        let frames = self.frames_of(clip, stretch);
        if frames.is_empty() {
            return Ok(None);
        }
        let stft = &self.totals.config.stft;
        let peaks = on_clip(&alignment, &frames, first_bin(&self.totals.config));
        let peaks_z = levels.weigh(&peaks, LEAD, frames.clone()).deviations();
        let mut verified = Verified {
            alignment,
            frames: frames.clone(),
            judged: frames,
            evidence: PlaceEvidence { peaks_z, ..PlaceEvidence::default() },
            strength: peaks_z,
            coherence: 0.0,
        };
        verified.add_evidence(&clip.query, &peaks, LEAD, stft.first_bin());
        let hours = self.totals.frames as f64 * stft.hop_s() / 3600.0;
        let clarity = f64::from(clip.query.clarity());
        let model = clip.query.calibration().law;
        let law = Law::new(model, clip.query.duration_s(), clarity, hours, PLACES);
        let (strength, coherence) = (verified.strength, verified.coherence);
        let false_alarms = law.false_alarms(strength, coherence, law.usual_rival());
        Ok(Some(Weight {
            strength,
            score: -false_alarms.max(1e-300).log10(),
            missing_ratio: verified.evidence.missing_ratio,
        }))
    }

    /// The evidence of each frame of a part of the stream, which begins at `begin_s`, for a line.
    pub fn by_frame(
        &self,
        levels: &LevelMap,
        begin_s: f64,
        line: &Line,
    ) -> Result<Vec<FrameEvidence>> {
        let frames = 0..levels.frames();
        let Some(alignment) = self.alignment(line, begin_s, frames.end)? else {
            return Ok(vec![FrameEvidence::default(); frames.len()]);
        };
        let peaks = on_clip(&alignment, &frames, first_bin(&self.totals.config));
        Ok(levels.by_frame(&peaks, LEAD, frames))
    }

    /// What `one` has of the peaks by which `other` is found in a stretch of a clip.
    pub fn in_common(
        &self,
        clip: &Clip,
        one: &Line,
        other: &Line,
        stretch: &Span,
    ) -> Result<InCommon> {
        let frames = self.frames_of(clip, stretch);
        self.in_common_on(clip.query.levels(), clip.begin_s, one, other, &frames)
    }

    /// The same on some frames of a part of the stream, which begins at `begin_s`.
    pub fn in_common_on(
        &self,
        levels: &LevelMap,
        begin_s: f64,
        one: &Line,
        other: &Line,
        frames: &Range<usize>,
    ) -> Result<InCommon> {
        let one = self.placed(levels, begin_s, one, frames)?;
        let other = self.placed(levels, begin_s, other, frames)?;
        let heard = || other.iter().filter(|peak| peak.stands);
        let peaks = heard().count() as f64;
        Ok(InCommon {
            peaks,
            shared: peaks * share_of(heard(), one.iter()),
            same_audio: share_of(other.iter(), one.iter()) > SAME_AUDIO,
        })
    }

    /// The peaks of a line on some frames of a part of the stream.
    fn placed(
        &self,
        levels: &LevelMap,
        begin_s: f64,
        line: &Line,
        frames: &Range<usize>,
    ) -> Result<Vec<PlacedPeak>> {
        let Some(alignment) = self.alignment(line, begin_s, levels.frames())? else {
            return Ok(Vec::new());
        };
        let mut peaks = on_clip(&alignment, frames, first_bin(&self.totals.config));
        let at = |frame: usize| TimeSteps::from_frames(frame as i64) + LEAD;
        peaks.retain(|p| (at(frames.start)..at(frames.end)).contains(&p.time.into()));
        Ok(PlacedPeak::all(levels, &peaks))
    }

    /// What is known of a track.
    pub fn track(&self, track: TrackId) -> Result<Option<TrackEntry>> {
        Ok(self.store.tracks(&[track])?.into_iter().next().flatten())
    }

    /// A line as an alignment of what begins at a time of the stream, and has so many frames.
    fn alignment(&self, line: &Line, begin_s: f64, frames: usize) -> Result<Option<Alignment>> {
        let axes = &self.axes;
        // Frame 0 is centred half a window after the beginning, in the clip as in the track.
        let offset_s = line.reference_at(begin_s) + (line.speed - 1.0) * axes.first_frame_s;
        let offset = TimeSteps::from_seconds(offset_s, axes.hop_s).round();
        let blocks = self.store.blocks_of(&[line.track])?.into_iter().next().unwrap_or_default();
        let in_track = (frames as f64 * line.speed).ceil() as usize;
        let excerpt = excerpt_under(self.store, &self.totals, &blocks, offset, in_track)?;
        Ok(excerpt.map(|excerpt| Alignment {
            excerpt,
            offset,
            votes: 0,
            pivot: TimeSteps(0),
            playback: Playback { tempo: line.speed, pitch: line.pitch },
        }))
    }

    /// The frames of a clip that lie in a stretch of the stream.
    fn frames_of(&self, clip: &Clip, stretch: &Span) -> Range<usize> {
        let axes = &self.axes;
        let frame = |stream_s: f64| {
            ((stream_s - clip.begin_s - axes.first_frame_s) / axes.hop_s).ceil().max(0.0) as usize
        };
        let end = frame(stretch.end_s + axes.hop_s).min(clip.query.levels().frames());
        frame(stretch.start_s).min(end)..end
    }
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

/// What two lines have in common in a stretch of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct InCommon {
    /// Peaks by which the one is found,
    pub peaks: f64,
    /// and how many of them the other has, too.
    pub shared: f64,
    /// Whether the other has most peaks of the one, found or not: both are the same audio.
    pub same_audio: bool,
}
