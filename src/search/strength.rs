//! Places with all that speaks for and against them.

use super::alignment::Alignment;
use super::playback::Playback;
use crate::bands::FRAMES;
use crate::calibration::widths::Widths;
use crate::calibration::{Calibration, StrengthModel};
use crate::evidence::PlaceEvidence;
use crate::evidence::missing::shortfall;
use crate::evidence::peaks::Evidence;
use crate::fingerprint::Query;
use crate::peaks::Peak;
use crate::units::TimeSteps;
use std::ops::Range;

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
    /// Adds the evidence beside that of the peaks. The clip begins at the time `begin` of `peaks`,
    /// the track's, at the clip's speed; `first_bin` is the analysis band's first.
    pub fn add_evidence(
        &mut self,
        query: &Query,
        peaks: &[Peak],
        begin: TimeSteps,
        first_bin: usize,
    ) {
        let Alignment { ref excerpt, offset, playback, .. } = self.alignment;
        // The excerpt's sub-fingerprints are counted from its own first.
        let first = i64::from(excerpt.first_sub_fingerprint) * FRAMES as i64;
        let frames = || self.judged.clone();
        let Playback { tempo, pitch } = playback;
        let words = &excerpt.sub_fingerprints;
        let Calibration { dispersion, strength: model, .. } = query.calibration();
        let (offset, per_word) =
            (offset - TimeSteps::from_frames(first), dispersion.per_sub_fingerprint);
        let bands_z = query.bands().deviations(words, offset, (tempo, pitch), frames(), per_word);
        // Stretching does not keep phases.
        let phases_z = (playback == Playback::UNCHANGED)
            .then(|| query.phases().deviations(peaks, begin, frames()).into());
        let missing = shortfall(query.levels(), peaks, begin, frames(), first_bin);
        self.evidence = PlaceEvidence {
            peaks_z: self.evidence.peaks_z,
            bands_z: bands_z.into(),
            phases_z,
            missing_ratio: missing.into(),
        };
        self.coherence = coherence_of(model, &self.evidence);
        self.strength = strength_of(model, &self.evidence);
    }
}

/// How far the phases alone are above what is usual.
#[must_use]
pub fn coherence_of(model: &StrengthModel, evidence: &PlaceEvidence) -> f64 {
    (evidence.phases_z.unwrap_or(0.0) - model.usual_phases_z).max(0.0)
}

/// All evidence of a place on one scale: how far it is above what chance gives at one place, as a
/// z-score.
#[must_use]
pub fn strength_of(model: &StrengthModel, evidence: &PlaceEvidence) -> f64 {
    let missing = (evidence.missing_ratio - model.usual_missing_ratio).max(0.0);
    evidence.peaks_z
        + (model.bands_weight * evidence.bands_z
            + model.phases_weight * coherence_of(model, evidence).min(model.most_phases)
            - model.missing_weight * missing)
}

/// The evidence of an alignment's peaks at a glance, as a z-score: at the place itself and one to each
/// side.
pub fn glance(query: &Query, alignment: &Alignment) -> f64 {
    let levels = query.levels();
    let at = |places: i64| alignment.offset + levels.widths().glance * places;
    let whole = 0..levels.frames();
    let evidence = levels.weigh_all(&alignment.excerpt.peaks, &[at(-1), at(0), at(1)], &whole);
    evidence.iter().map(Evidence::deviations).fold(f64::NEG_INFINITY, f64::max)
}

/// Refines an alignment that was found at the track's own speed.
pub fn verify(query: &Query, alignment: Alignment) -> Verified {
    let excerpt = alignment.excerpt.clone();
    let (levels, peaks) = (query.levels(), &excerpt.peaks[..]);
    let &Widths { refinements, refinement, .. } = levels.widths();
    let offsets: Vec<TimeSteps> =
        (-refinements..=refinements).map(|places| alignment.offset + refinement * places).collect();
    let evidence = levels.weigh_all(peaks, &offsets, &(0..levels.frames()));
    let refined = offsets.into_iter().zip(evidence);
    type Weighed = (TimeSteps, Evidence);
    let stronger = |a: &Weighed, b: &Weighed| a.1.deviations().total_cmp(&b.1.deviations());
    let (offset, evidence) = refined.max_by(stronger).unwrap_or_default();
    locate(query, Alignment { offset, ..alignment }, peaks, offset, &evidence)
}

/// Finds the part of the clip by which an alignment is judged. This is the whole clip, or the stretch
/// where the evidence is found if that is stronger even though there are many stretches to choose
/// from. `evidence` is that of the whole clip, which begins at the time `begin` of `peaks`.
pub fn locate(
    query: &Query,
    alignment: Alignment,
    peaks: &[Peak],
    begin: TimeSteps,
    evidence: &Evidence,
) -> Verified {
    let levels = query.levels();
    let whole = 0..levels.frames();
    let (mut peaks_z, mut judged) = (evidence.deviations(), whole.clone());
    let frames = levels.extent(peaks, begin).unwrap_or(whole.clone());
    if frames.len() >= levels.widths().shortest_frames {
        let share = frames.len() as f64 / whole.len() as f64;
        let choices = 1.0 - 2.0 * share.log10();
        let part = levels.weigh(peaks, begin, frames.clone()).deviations();
        let part = part - choices - query.calibration().strength.stretch_handicap;
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
    let at = |track_frame: u32| {
        let time = TimeSteps::from_frames(track_frame.into()) - alignment.offset;
        time.in_frames() / alignment.playback.tempo
    };
    let end = at(alignment.excerpt.track_frames);
    let share = (end.min(frames) - at(0).max(0.0)).max(1.0) / frames;
    let handicap = query.calibration().strength.stretch_handicap;
    if share > 0.9 { 0.0 } else { 1.0 - 2.0 * share.log10() + handicap }
}

/// The strongest first. Equally strong ones are in the order of their tracks and times.
pub fn sort(verified: &mut [Verified]) {
    verified.sort_by(|a, b| {
        let place = |v: &Verified| (v.alignment.excerpt.track, v.alignment.offset);
        b.strength.total_cmp(&a.strength).then_with(|| place(a).cmp(&place(b)))
    });
}
