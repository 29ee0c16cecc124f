//! Places with all that speaks for and against them.

use super::alignment::Alignment;
use super::playback::Playback;
use crate::bands::FRAMES;
use crate::evidence::PlaceEvidence;
use crate::evidence::missing::shortfall;
use crate::evidence::peaks::Evidence;
use crate::fingerprint::Query;
use crate::peaks::{Peak, STEPS};
use std::ops::Range;

/// Half-frames to each side that are tried around an alignment.
const REFINEMENTS: i64 = 4;
/// The shortest stretch of a clip that is judged by itself: about a second.
const SHORTEST_FRAMES: usize = 32;
/// What a z-score of the bands counts beside one of the peaks.
const BANDS_WEIGHT: f64 = 1.5;
/// A z-score of the phases up to this is often chance's, and does not count.
const USUAL_PHASES_Z: f64 = 1.0;
/// What the rest of it counts beside a z-score of the peaks, up to a limit: more may be because a
/// sound, a loop, a whole voice is shared with another track.
const PHASES_WEIGHT: f64 = 0.5;
const MOST_PHASES: f64 = 2.0;
/// This share of a track's peaks may be missing for no reason. What is taken off for the rest, if
/// all of them were.
const USUAL_MISSING_RATIO: f64 = 0.03;
const MISSING_WEIGHT: f64 = 8.0;
/// What a stretch must have beyond the whole clip, besides the choice among stretches: the beats and
/// notes that it was chosen by come in groups. In deviations.
const STRETCH_HANDICAP: f64 = 3.0;

/// An alignment with its evidence.
#[derive(Clone)]
pub struct Verified {
    pub alignment: Alignment,
    /// Frames of the clip in which the evidence is found,
    pub frames: Range<usize>,
    /// and those by which it is judged: either these or all.
    pub judged: Range<usize>,
    pub evidence: PlaceEvidence,
    /// All evidence on one scale: how far it is above what chance gives at one place, as a z-score.
    /// Before [`add_evidence`](Verified::add_evidence), that of the peaks alone.
    pub strength: f64,
    /// How far the phases alone are above what is usual.
    pub coherence: f64,
}

impl Verified {
    /// Adds the evidence beside that of the peaks. The clip begins at time `begin_steps` of `peaks`,
    /// the track's, at the clip's speed; `first_bin` is the analysis band's first.
    pub fn add_evidence(
        &mut self,
        query: &Query,
        peaks: &[Peak],
        begin_steps: i64,
        first_bin: usize,
    ) {
        let Alignment { ref excerpt, offset_steps, playback, .. } = self.alignment;
        // The excerpt's sub-fingerprints are counted from its own first.
        let first = i64::from(excerpt.first_sub_fingerprint) * (FRAMES * STEPS as usize) as i64;
        let frames = || self.judged.clone();
        let Playback { tempo, pitch } = playback;
        let words = &excerpt.sub_fingerprints;
        let bands_z = query.bands().deviations(words, offset_steps - first, tempo, pitch, frames());
        // Stretching does not keep phases.
        let phases_z = (playback == Playback::UNCHANGED)
            .then(|| query.phases().deviations(peaks, begin_steps, frames()).into());
        let missing = shortfall(query.levels(), peaks, begin_steps, frames(), first_bin);
        self.evidence = PlaceEvidence {
            peaks_z: self.evidence.peaks_z,
            bands_z: bands_z.into(),
            phases_z,
            missing_ratio: missing.into(),
        };
        self.coherence = (phases_z.unwrap_or(0.0) - USUAL_PHASES_Z).max(0.0);
        self.strength += BANDS_WEIGHT * self.evidence.bands_z
            + PHASES_WEIGHT * self.coherence.min(MOST_PHASES)
            - MISSING_WEIGHT * (self.evidence.missing_ratio - USUAL_MISSING_RATIO).max(0.0);
    }
}

/// The evidence of an alignment's peaks at a glance, as a z-score: at the place itself and a frame to
/// each side.
pub fn glance(query: &Query, alignment: &Alignment) -> f64 {
    let (levels, peaks) = (query.levels(), &alignment.excerpt.peaks[..]);
    let at = |frames: i64| {
        let offset = alignment.offset_steps + frames * i64::from(STEPS);
        levels.weigh(peaks, offset, 0..levels.frames()).deviations()
    };
    (-1..=1).map(at).fold(f64::NEG_INFINITY, f64::max)
}

/// Refines an alignment that was found at the track's own speed.
pub fn verify(query: &Query, alignment: Alignment) -> Verified {
    let excerpt = alignment.excerpt.clone();
    let (levels, peaks) = (query.levels(), &excerpt.peaks[..]);
    let refined = (-REFINEMENTS..=REFINEMENTS).map(|half_frames| {
        let offset = alignment.offset_steps + half_frames * i64::from(STEPS) / 2;
        (offset, levels.weigh(peaks, offset, 0..levels.frames()))
    });
    let stronger =
        |a: &(i64, Evidence), b: &(i64, Evidence)| a.1.deviations().total_cmp(&b.1.deviations());
    let (offset_steps, evidence) = refined.max_by(stronger).unwrap_or_default();
    locate(query, Alignment { offset_steps, ..alignment }, peaks, offset_steps, &evidence)
}

/// Finds the part of the clip by which an alignment is judged. This is the whole clip, or the stretch
/// where the evidence is found if that is stronger even though there are many stretches to choose
/// from. `evidence` is that of the whole clip, which begins at time `begin_steps` of `peaks`.
pub fn locate(
    query: &Query,
    alignment: Alignment,
    peaks: &[Peak],
    begin_steps: i64,
    evidence: &Evidence,
) -> Verified {
    let levels = query.levels();
    let whole = 0..levels.frames();
    let (mut peaks_z, mut judged) = (evidence.deviations(), whole.clone());
    let frames = levels.extent(peaks, begin_steps).unwrap_or(whole.clone());
    if frames.len() >= SHORTEST_FRAMES {
        let share = frames.len() as f64 / whole.len() as f64;
        let choices = 1.0 - 2.0 * share.log10();
        let part = levels.weigh(peaks, begin_steps, frames.clone()).deviations();
        let part = part - choices - STRETCH_HANDICAP;
        if part > peaks_z {
            (peaks_z, judged) = (part, frames.clone());
        }
    }
    peaks_z -= overlap_choices(query, &alignment);
    let evidence = PlaceEvidence { peaks_z, ..PlaceEvidence::default() };
    Verified { alignment, frames, judged, evidence, strength: peaks_z, coherence: 0.0 }
}

/// What the evidence must have beyond that of a clip that lies on the track as a whole, in deviations:
/// the less of it does, the more easily chance fits what is left.
fn overlap_choices(query: &Query, alignment: &Alignment) -> f64 {
    let frames = query.levels().frames() as f64;
    let frame = |time: i64| {
        (time - alignment.offset_steps) as f64 / f64::from(STEPS) / alignment.playback.tempo
    };
    let end = i64::from(alignment.excerpt.track_frames) * i64::from(STEPS);
    let share = (frame(end).min(frames) - frame(0).max(0.0)).max(1.0) / frames;
    if share > 0.9 { 0.0 } else { 1.0 - 2.0 * share.log10() + STRETCH_HANDICAP }
}

/// The strongest first. Equally strong ones are in the order of their tracks and times.
pub fn sort(verified: &mut [Verified]) {
    verified.sort_by(|a, b| {
        let place = |v: &Verified| (v.alignment.excerpt.track, v.alignment.offset_steps);
        b.strength.total_cmp(&a.strength).then_with(|| place(a).cmp(&place(b)))
    });
}
