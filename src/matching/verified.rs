//! Alignments with all that speaks for and against them.

use crate::alignment::Alignment;
use crate::fingerprint::Query;
use crate::peaks::{Peak, STEPS};
use crate::shortfall::shortfall;
use crate::speed::Playback;
use crate::verification::Evidence;
use std::ops::Range;

/// Half-frames to each side that are tried around an alignment.
const REFINEMENTS: i64 = 4;
/// The shortest stretch of a clip that is judged by itself: about a second.
const SHORTEST_FRAMES: usize = 32;
/// What a deviation of the sub-fingerprints counts beside one of the peaks.
const AGREEMENT_WEIGHT: f64 = 1.5;
/// So many deviations of the phases are often chance's, and do not count.
const USUAL_COHERENCE: f64 = 1.0;
/// What one of those beyond counts beside one of the peaks, up to so many of them: more may be because
/// a sound, a loop, a whole voice is shared with another track.
const COHERENCE_WEIGHT: f64 = 0.5;
const MOST_COHERENCE: f64 = 2.0;
/// This share of a track's peaks may be missing for no reason; what is taken off for the rest, were
/// all of them.
const USUAL_SHORTFALL: f64 = 0.03;
const SHORTFALL_WEIGHT: f64 = 8.0;
/// What a stretch must have beyond the whole clip, besides the choice among stretches: the beats and
/// notes that it was chosen by come in groups. In deviations.
const STRETCH_HANDICAP: f64 = 3.0;

/// An alignment with its evidence.
pub struct Verified<'a> {
    pub alignment: Alignment<'a>,
    /// Frames of the clip in which the evidence is found,
    pub frames: Range<usize>,
    /// and those by which it is judged: either these or all.
    pub judged: Range<usize>,
    /// How far it is above what chance gives at one place, in deviations.
    pub strength: f64,
    /// How far the phases alone are above what is usual, in deviations.
    pub coherence: f64,
}

impl Verified<'_> {
    /// Adds what the track's sub-fingerprints, phases and levels say. The clip begins at time
    /// `begin_steps` of `peaks`, the track's; `first_bin` is the analysis band's first.
    pub fn hear(&mut self, query: &Query, peaks: &[Peak], begin_steps: i64, first_bin: usize) {
        let Alignment { track, offset_steps, playback, .. } = self.alignment;
        let (words, frames) = (&track.sub_fingerprints, || self.judged.clone());
        let Playback { tempo, pitch } = playback;
        let agreement = query.bands().deviations(words, offset_steps, tempo, pitch, frames());
        // Stretching does not keep phases.
        if playback == Playback::UNCHANGED {
            let deviations = query.phases().deviations(peaks, begin_steps, frames());
            self.coherence = (f64::from(deviations) - USUAL_COHERENCE).max(0.0);
        }
        let missing = shortfall(query.levels(), peaks, begin_steps, frames(), first_bin);
        self.strength += AGREEMENT_WEIGHT * f64::from(agreement)
            + COHERENCE_WEIGHT * self.coherence.min(MOST_COHERENCE)
            - SHORTFALL_WEIGHT * (f64::from(missing) - USUAL_SHORTFALL).max(0.0);
    }
}

/// Refines an alignment that was found at the track's own speed, and judges it.
pub fn verify<'a>(query: &Query, alignment: Alignment<'a>) -> Verified<'a> {
    let (levels, peaks) = (query.levels(), &alignment.track.peaks[..]);
    let refined = (-REFINEMENTS..=REFINEMENTS).map(|half_frames| {
        let offset = alignment.offset_steps + half_frames * i64::from(STEPS) / 2;
        (offset, levels.weigh(peaks, offset, 0..levels.frames()))
    });
    let stronger =
        |a: &(i64, Evidence), b: &(i64, Evidence)| a.1.deviations().total_cmp(&b.1.deviations());
    let (offset_steps, evidence) = refined.max_by(stronger).unwrap_or_default();
    judge(query, Alignment { offset_steps, ..alignment }, peaks, offset_steps, &evidence)
}

/// Judges an alignment by its evidence: that of the whole clip, or that of the stretch where it is
/// found if this is stronger even though there are many stretches to choose from. The clip begins
/// at time `begin_steps` of `peaks`.
pub fn judge<'a>(
    query: &Query,
    alignment: Alignment<'a>,
    peaks: &[Peak],
    begin_steps: i64,
    evidence: &Evidence,
) -> Verified<'a> {
    let levels = query.levels();
    let whole = 0..levels.frames();
    let (mut strength, mut judged) = (evidence.deviations(), whole.clone());
    let frames = levels.extent(peaks, begin_steps).unwrap_or(whole.clone());
    if frames.len() >= SHORTEST_FRAMES {
        let share = frames.len() as f64 / whole.len() as f64;
        let choices = 1.0 - 2.0 * share.log10();
        let part = levels.weigh(peaks, begin_steps, frames.clone()).deviations();
        let part = part - choices - STRETCH_HANDICAP;
        if part > strength {
            (strength, judged) = (part, frames.clone());
        }
    }
    strength -= overlap_choices(query, &alignment);
    Verified { alignment, frames, judged, strength, coherence: 0.0 }
}

/// What the evidence must have beyond that of a clip that lies on the track as a whole, in deviations:
/// the less of it does, the more easily chance fits what is left.
fn overlap_choices(query: &Query, alignment: &Alignment<'_>) -> f64 {
    let frames = query.levels().frames() as f64;
    let frame = |time: i64| {
        (time - alignment.offset_steps) as f64 / f64::from(STEPS) / alignment.playback.tempo
    };
    let end = i64::from(alignment.track.frames) * i64::from(STEPS);
    let share = (frame(end).min(frames) - frame(0).max(0.0)).max(1.0) / frames;
    if share > 0.9 { 0.0 } else { 1.0 - 2.0 * share.log10() + STRETCH_HANDICAP }
}

/// The strongest first.
pub fn sort(verified: &mut [Verified<'_>]) {
    verified.sort_by(|a, b| {
        let by_strength = b.strength.total_cmp(&a.strength);
        by_strength.then(a.alignment.track.id.cmp(&b.alignment.track.id))
    });
}
