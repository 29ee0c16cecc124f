//! Which of the places are matches, in which order.

use super::alignment::{Alignment, LEAD, first_bin_steps, on_clip};
use super::decision::Law;
use super::matches::{Match, Span};
use super::playback::Playback;
use super::strength::Verified;
use crate::catalog::Catalog;
use crate::fingerprint::Query;
use crate::peaks::{Peak, STEPS};
use crate::spectrogram::Axes;
use std::ops::Range;

/// This share of a strength is nearly as much.
const NEARLY: f64 = 0.9;
/// Of two tracks, one explains the other where it has more than this share of the other's peaks
/// that stand in the clip. Tracks that only sound at the same time share a tenth.
const EXPLAINED: f64 = 1.0 / 3.0;

/// A place that may be a match.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'v, 'a> {
    pub place: &'v Verified<'a>,
    pub false_alarms: f64,
}

/// Judges places, the strongest of which come first: each by its own evidence, and against the
/// strongest rival, wherever that ranks. Gives those with at most `max_false_alarms`, the fewest
/// first.
pub(crate) fn judge<'v, 'a>(
    query: &Query,
    verified: &'v [Verified<'a>],
    law: &Law,
    first_bin_steps: f64,
    max_false_alarms: f64,
) -> Vec<Judged<'v, 'a>> {
    let possible =
        |v: &&Verified<'_>| law.false_alarms(v.strength, v.coherence, 0.0) <= max_false_alarms;
    let judged = verified.iter().filter(possible).map(|place| {
        let rival = rival(place, query, verified, law, first_bin_steps);
        Judged { place, false_alarms: law.false_alarms(place.strength, place.coherence, rival) }
    });
    let mut judged: Vec<Judged> = judged.filter(|j| j.false_alarms <= max_false_alarms).collect();
    // A stable sort: equals stay in the order of strength.
    judged.sort_by(|a, b| a.false_alarms.total_cmp(&b.false_alarms));
    judged
}

/// Strength of the strongest place of another track that explains the same evidence. Tracks that sound
/// at the same time explain different peaks of the clip, and do not hold each other down: they count
/// no more than chance usually would. Nor does the same audio in another track.
fn rival(
    place: &Verified<'_>,
    query: &Query,
    verified: &[Verified<'_>],
    law: &Law,
    first_bin_steps: f64,
) -> f64 {
    let mut least: f64 = 0.0;
    let other_tracks = verified.iter().filter(|r| r.alignment.track.id != place.alignment.track.id);
    for other in other_tracks {
        if other.strength <= law.usual_rival() {
            return least.max(other.strength);
        }
        if same_audio(place, other, first_bin_steps) {
            continue;
        }
        if explains(other, place, query, first_bin_steps) {
            return other.strength;
        }
        least = law.usual_rival();
    }
    least
}

/// Turns judged places into matches, `most` at most, each with its place. Left out is what a
/// stronger match explains: the same track for mostly the same part of the clip (a track that
/// repeats itself), and another track that has in common with the clip what the stronger one has,
/// too (a loop, a voice), unless all of it is the same audio.
///
/// One place is taken after the other, so that fewer or stricter matches are always the first of
/// more.
pub(crate) fn rank<'v, 'a>(
    catalog: &Catalog,
    query: &Query,
    verified: &'v [Verified<'a>],
    judged: &[Judged<'v, 'a>],
    most: usize,
) -> Vec<(Match, &'v Verified<'a>)> {
    let first_bin = first_bin_steps(catalog.config());
    let mut kept: Vec<(Match, &'v Verified<'a>)> = Vec::new();
    for &Judged { place, false_alarms } in judged {
        if kept.len() == most {
            break;
        }
        let v = fullest(place, verified);
        let mut m = Match { false_alarms, ..describe(catalog, query, v) };
        let overlaps = |k: &&(Match, &Verified<'_>)| {
            let shorter_s = k.0.query.length_s().min(m.query.length_s());
            k.0.query.overlap_s(&m.query) > 0.5 * shorter_s
        };
        let mut stronger = kept.iter().filter(overlaps);
        if stronger.clone().any(|(k, _)| k.track == m.track) {
            continue;
        }
        match stronger.clone().find(|(_, k)| same_audio(k, v, first_bin)) {
            Some((k, _)) => m.same_as = Some(k.same_as.unwrap_or(k.track)),
            None if stronger.any(|(_, k)| explains(k, v, query, first_bin)) => continue,
            None => {}
        }
        kept.push((m, v));
    }
    kept
}

/// A place; or one of the same track, played otherwise, that is nearly as strong and explains that
/// part of the clip and as much again: at another tempo, the track's own fits for a second or two.
fn fullest<'v, 'a>(place: &'v Verified<'a>, verified: &'v [Verified<'a>]) -> &'v Verified<'a> {
    let fuller = verified.iter().find(|v| {
        v.alignment.track.id == place.alignment.track.id
            && v.alignment.playback != place.alignment.playback
            && v.strength > NEARLY * place.strength
            && v.strength <= place.strength
            && v.frames.start <= place.frames.start
            && v.frames.end >= place.frames.end
            && v.frames.len() >= 2 * place.frames.len()
    });
    fuller.unwrap_or(place)
}

pub(crate) fn describe(catalog: &Catalog, query: &Query, v: &Verified<'_>) -> Match {
    let axes = Axes::new(&catalog.config().stft);
    let Alignment { track, offset_steps, votes, playback: Playback { tempo, pitch }, .. } =
        v.alignment;
    // Frame 0 is centred half a window after the beginning, in the clip as in the track.
    let offset_s =
        offset_steps as f64 / f64::from(STEPS) * axes.hop_s - (tempo - 1.0) * axes.first_frame_s;
    // A peak speaks for the whole of its window.
    let start_s = axes.time_s(v.frames.start as f64) - axes.first_frame_s;
    let end_s = axes.time_s(v.frames.end as f64) + axes.first_frame_s;
    let query_span = Span { start_s, end_s: end_s.min(query.duration_s()) };
    Match {
        track: track.id,
        name: track.info.name.clone(),
        query: query_span,
        reference: Span {
            start_s: (query_span.start_s * tempo + offset_s).min(track.duration_s).max(0.0),
            end_s: (query_span.end_s * tempo + offset_s).min(track.duration_s).max(0.0),
        },
        offset_s,
        speed: tempo,
        pitch,
        votes,
        false_alarms: f64::INFINITY,
        same_as: None,
    }
}

/// Whether most peaks of one track stand in the other, too, where both were found.
fn same_audio(a: &Verified<'_>, b: &Verified<'_>, first_bin: f64) -> bool {
    let frames = common_frames(a, b);
    share_of(&peaks_within(a, &frames, first_bin), &peaks_within(b, &frames, first_bin)) > 0.5
}

/// Whether a stronger place explains what a weaker one has in common with the clip.
fn explains(stronger: &Verified<'_>, weaker: &Verified<'_>, query: &Query, first_bin: f64) -> bool {
    let frames = common_frames(stronger, weaker);
    let peaks = on_clip(&weaker.alignment, &frames, first_bin);
    let found = query.levels().standing(&peaks, LEAD, frames.clone());
    share_of(&found, &peaks_within(stronger, &frames, first_bin)) > EXPLAINED
}

fn common_frames(a: &Verified<'_>, b: &Verified<'_>) -> Range<usize> {
    let start = a.frames.start.max(b.frames.start);
    start..a.frames.end.min(b.frames.end).max(start)
}

/// Share of some peaks that have one of `others` within a frame and a bin. Both are in the order of
/// their frames.
pub(crate) fn share_of(peaks: &[Peak], others: &[Peak]) -> f64 {
    let reach = i64::from(STEPS);
    let shared = peaks.iter().filter(|p| {
        let time = i64::from(p.time);
        let first = others.partition_point(|o| i64::from(o.time) < time - 2 * reach);
        let mut near = others[first..].iter().take_while(|o| i64::from(o.time) <= time + 2 * reach);
        near.any(|o| {
            (i64::from(o.time) - time).abs() <= reach && o.bin.abs_diff(p.bin) <= STEPS as u16
        })
    });
    shared.count() as f64 / peaks.len().max(1) as f64
}

/// The peaks of a place that fall on some frames of the clip, in the clip's coordinates.
fn peaks_within(v: &Verified<'_>, frames: &Range<usize>, first_bin: f64) -> Vec<Peak> {
    let mut peaks = on_clip(&v.alignment, frames, first_bin);
    let at = |frame: usize| frame as i64 * i64::from(STEPS) + LEAD;
    peaks.retain(|p| (at(frames.start)..at(frames.end)).contains(&i64::from(p.time)));
    peaks
}
