//! What was found, in one store or in many, becomes matches.

use super::config::MatchConfig;
use super::findings::{Clip, Findings, Place};
use super::law::Law;
use super::matches::{Match, Span};
use super::ranking::{Judged, Ranked, judge, rank};
use crate::error::{Error, Result};
use std::cmp::Ordering;

/// Places of which a search weighs all evidence: the strongest by their peaks. Only these can be matches.
pub(super) const WEIGHED: usize = 32;
/// A match that chance gives at most this often is one: other speeds are not looked for.
pub(super) const SIGNIFICANT: f64 = 0.001;
/// Places found at the track's own speed that are tried at others close by, unless there is a
/// match that is played as it is.
pub(super) const RETUNED: usize = 8;

/// Decides what was found for one clip in one store, or in the parts of a collection. The matches are the
/// same, in the same order, as if all tracks were in one store. Findings carry the law of the calibration that
/// they were searched with; one in `config` is not looked at any more.
///
/// # Errors
/// [`Error::Config`] for a `config` that is out of range, [`Error::ConfigMismatch`] and
/// [`Error::OtherClip`] for findings that do not belong together.
pub fn decide(findings: &[Findings], config: &MatchConfig) -> Result<Vec<Match>> {
    config.validate()?;
    let Some(gathered) = Gathered::new(findings)? else { return Ok(Vec::new()) };
    let Gathered { clip, places, law } = &gathered;
    let judged = judge(places, law, config.max_false_alarms);
    let ranked = rank(clip, places, &judged, config.max_matches);
    Ok(ranked.iter().filter_map(|ranked| describe(findings, ranked)).collect())
}

/// The findings of all parts, as those of one.
pub(super) struct Gathered {
    pub clip: Clip,
    /// The strongest first.
    pub places: Vec<Place>,
    law: Law,
}

impl Gathered {
    pub fn new(findings: &[Findings]) -> Result<Option<Self>> {
        let Some(first) = findings.first() else { return Ok(None) };
        let clip = first.clip.clone();
        if let Some(other) = findings.iter().find(|f| f.clip != clip) {
            let (expected, found) = (clip.config_id, other.clip.config_id);
            return Err(match expected == found {
                true => Error::OtherClip,
                false => Error::ConfigMismatch { expected, found },
            });
        }
        let sum = |of: fn(&Findings) -> u64| findings.iter().map(of).fold(0, u64::saturating_add);
        // Not by the durations, which come from outside.
        let hours = sum(|f| f.frames) as f64 * clip.hop_s / 3600.0;
        let clarity = f64::from(clip.clarity);
        let law = Law::new(clip.law, clip.duration_s, clarity, hours, sum(|f| f.looked_at));
        let of_part = |(part, findings): (usize, &Findings)| {
            let part = part as u32;
            let place = move |place: &Place| Place { part, ..place.clone() };
            findings.places.iter().map(place).collect::<Vec<_>>()
        };
        let places: Vec<Place> = findings.iter().enumerate().flat_map(of_part).collect();
        // As many as one store would have weighed.
        let plain = |p: &Place| p.tempo == 1.0 && p.pitch == 1.0;
        let (mut kept, tuned): (Vec<_>, Vec<_>) = places.into_iter().partition(plain);
        kept.sort_by(|a, b| {
            b.evidence.peaks_z.total_cmp(&a.evidence.peaks_z).then_with(|| in_order(a, b))
        });
        kept.truncate(WEIGHED);
        kept.sort_by(stronger);
        // One store would not have tried other speeds.
        let judged = judge(&kept, &law, SIGNIFICANT);
        let found = rank(&clip, &kept, &judged, RETUNED).iter().any(|r| r.place.is_whole(&clip));
        kept.extend(tuned.into_iter().filter(|place| !(found && place.from_ladder)));
        kept.sort_by(stronger);
        Ok(Some(Self { clip, places: kept, law }))
    }

    pub fn judge(&self, max_false_alarms: f64) -> Vec<Judged<'_>> {
        judge(&self.places, &self.law, max_false_alarms)
    }
}

/// The strongest first. Equally strong ones are in the order of their tracks and times.
fn stronger(a: &Place, b: &Place) -> Ordering {
    b.strength.total_cmp(&a.strength).then_with(|| in_order(a, b))
}

fn in_order(a: &Place, b: &Place) -> Ordering {
    let place = |p: &Place| (p.part, p.track, p.offset);
    place(a).cmp(&place(b))
}

pub(super) fn describe(findings: &[Findings], ranked: &Ranked<'_>) -> Option<Match> {
    let Place { part, track, offset, tempo, pitch, votes, .. } = *ranked.place;
    let part_of = findings.get(part as usize)?;
    let clip = &part_of.clip;
    let track = part_of.track(track)?;
    // Frame 0 is centred half a window after the beginning, in the clip as in the track.
    let offset_s = offset.seconds(clip.hop_s) - (tempo - 1.0) * clip.first_frame_s;
    let query = clip.span(&ranked.place.frames);
    Some(Match {
        part: part as usize,
        track: track.id,
        name: track.name.clone(),
        tags: track.tags.clone(),
        query,
        reference: Span {
            start_s: (query.start_s * tempo + offset_s).min(track.duration_s).max(0.0),
            end_s: (query.end_s * tempo + offset_s).min(track.duration_s).max(0.0),
        },
        offset_s,
        speed: tempo,
        pitch,
        votes,
        false_alarms: ranked.false_alarms,
        same_as: ranked.same_as.map(|place| place.track),
        same_as_part: ranked.same_as.map(|place| place.part as usize),
    })
}
