//! From a query to matches: align, verify, decide, rank.
//!
//! The offset histogram (see [`alignment`](crate::alignment)) proposes places,
//! [verification](crate::verification) weighs the evidence of peaks for each, the
//! [agreement](crate::agreement) of sub-fingerprints and the [coherence](crate::coherence) of phases
//! are added for the strongest, the [shortfall](crate::shortfall) is taken off, and the decision is made
//! in terms that mean something: how many matches as strong as this would a search give that has none
//! to find?

use crate::alignment::{Alignment, LandmarkIndex, alignments};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::peaks::{Peak, STEPS};
use crate::spectrogram::Axes;
use crate::speed::{self, Playback, SpeedRange};
use crate::units::TrackId;
use law::Law;
use std::ops::Range;
use verified::{Verified, judge, sort, verify};

mod law;
mod verified;

/// How to search. Not part of what is stored, so that each search may differ.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchConfig {
    /// Matches returned at most. Default 5.
    pub max_matches: usize,
    /// Matches that chance would give more often than this per query are not returned. Default
    /// 0.001: one false answer in a thousand queries.
    pub max_false_alarms: f64,
    /// Hash index: a neighbouring cell is looked up too where a coordinate is no farther from the
    /// edge than this many sixteenths of a cell, 0 to 8. Default 5.
    pub probe_steps: u32,
    /// KD-tree: greatest difference of a coordinate, in sixteenths of a cell. Default 8.
    pub tolerance_steps: u32,
    /// Alignments that are verified. Default 200.
    pub candidates: usize,
    /// How much faster or slower, higher or lower than the track the clip may be. Default
    /// [`SpeedRange::OFF`].
    pub speed: SpeedRange,
}

impl Default for MatchConfig {
    fn default() -> Self {
        Self {
            max_matches: 5,
            max_false_alarms: 0.001,
            probe_steps: 5,
            tolerance_steps: 8,
            candidates: 200,
            speed: SpeedRange::OFF,
        }
    }
}

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
pub struct Match {
    /// The track.
    pub track: TrackId,
    /// The track's name.
    pub name: String,
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
    /// Landmarks of the clip that agree on the offset.
    pub votes: u32,
    /// Number of matches at least this strong that are to be expected when a clip like this, of a
    /// recording that is not in the index, is searched in it: by chance, or because music of one
    /// making is alike.
    pub false_alarms: f64,
    /// A stronger match, of another track, whose audio is the same here: a copy, a remaster, a
    /// shared sample. What is heard cannot tell which of them it comes from.
    pub same_as: Option<TrackId>,
}

impl Match {
    /// −log10 of [`false_alarms`](Self::false_alarms): 3 is one false answer in a thousand searches.
    #[must_use]
    pub fn score(&self) -> f64 {
        -self.false_alarms.max(1e-300).log10()
    }
}

/// Finds where a clip comes from, best match first.
///
/// # Errors
/// [`Error::ConfigMismatch`] for a query that was made with another configuration.
pub fn search(
    index: &(impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Match>> {
    let catalog = index.catalog();
    let first_bin = catalog.config().stft.first_bin();
    let expected = catalog.config().id();
    if query.config_id() != expected {
        return Err(Error::ConfigMismatch { expected, found: query.config_id() });
    }
    let mut verified: Vec<Verified> =
        (alignments(index, query.landmarks(), config, config.candidates).into_iter())
            .map(|alignment| verify(query, alignment))
            .collect();
    sort(&mut verified);
    let heard = HEARD.max(config.max_matches).min(verified.len());
    for v in &mut verified[..heard] {
        let Alignment { track, offset_steps, .. } = v.alignment;
        v.hear(query, &track.peaks, offset_steps, first_bin);
    }
    sort(&mut verified);
    let ranked = rank(catalog, query, &verified, config);
    if config.speed.is_off() {
        return Ok(matches(ranked));
    }
    let tuned = tune(index, query, config, &verified, &ranked);
    verified.extend(tuned);
    sort(&mut verified);
    Ok(matches(rank(catalog, query, &verified, config)))
}

/// The alignments of a clip at other speeds, given those at the track's own and which of them are
/// matches.
fn tune<'a>(
    index: &'a (impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
    verified: &[Verified<'a>],
    ranked: &[(Match, &Verified<'a>)],
) -> Vec<Verified<'a>> {
    let first_bin_steps = speed::first_bin_steps(index.catalog().config());
    let first_bin = index.catalog().config().stft.first_bin();
    // The choice among so many speeds is chance's, too.
    let choices = (1.0 + config.speed.rungs() as f64).log10();
    let judge_tuned = |alignment| {
        let frames = 0..query.levels().frames();
        let peaks = speed::on_clip(&alignment, &frames, first_bin_steps);
        let evidence = query.levels().weigh(&peaks, speed::LEAD, frames);
        let mut v = judge(query, alignment, &peaks, speed::LEAD, &evidence);
        v.hear(query, &peaks, speed::LEAD, first_bin);
        Verified { strength: v.strength - choices, ..v }
    };
    let retune = |v: &Verified<'a>| {
        let tuned = speed::tuning::retune(query, v.alignment, config.speed, first_bin_steps);
        tuned.map(judge_tuned).collect::<Vec<_>>()
    };
    // Sub-fingerprints may agree where the peaks, at another pitch or tempo, do not.
    let whole = |v: &Verified<'_>| 2 * v.frames.len() > query.levels().frames();
    let found = ranked.iter().any(|(m, v)| m.false_alarms <= SIGNIFICANT && whole(v));
    if found {
        let tuned: Vec<Verified> = ranked.iter().flat_map(|(_, v)| retune(v)).collect();
        // A track that repeats itself may be found elsewhere in it at another tempo.
        let best = &verified[0];
        if whole(best) && tuned.iter().all(|t| t.strength <= best.strength) {
            return tuned;
        }
    }
    let mut tuned: Vec<Verified> = verified.iter().take(RETUNED).flat_map(retune).collect();
    if !found {
        let rungs = speed::ladder(index, query, config);
        tuned.extend(
            speed::tuning::tune(query, rungs, first_bin_steps).into_iter().map(judge_tuned),
        );
    }
    tuned
}

fn matches(ranked: Vec<(Match, &Verified<'_>)>) -> Vec<Match> {
    ranked.into_iter().map(|(m, _)| m).collect()
}

/// A match that chance gives at most this often is one: other speeds are not looked for.
const SIGNIFICANT: f64 = 0.001;
/// Alignments found at the track's own speed that are tried at others close by, unless there is a
/// match that is played as it is.
const RETUNED: usize = 8;

/// Alignments whose sub-fingerprints, phases and levels are compared: the strongest by their peaks.
const HEARD: usize = 24;
/// This share of a strength is nearly as much.
const NEARLY: f64 = 0.9;

/// Turns verified alignments, the best first, into matches, each with its alignment. Left out are
/// those that say again what a better one says: the same track for mostly the same part of the clip
/// (a track that repeats itself).
fn rank<'v, 'a>(
    catalog: &Catalog,
    query: &Query,
    verified: &'v [Verified<'a>],
    config: &MatchConfig,
) -> Vec<(Match, &'v Verified<'a>)> {
    let first_bin = speed::first_bin_steps(catalog.config());
    let mut kept: Vec<(Match, &'v Verified<'a>)> = Vec::new();
    let law = Law::new(query, catalog, verified.len());
    for (i, v) in verified.iter().enumerate() {
        if kept.len() >= config.max_matches {
            break;
        }
        let Verified { strength, coherence, .. } = *v;
        let possible = law.false_alarms(strength, coherence, 0.0) <= config.max_false_alarms;
        if !possible {
            continue;
        }
        let v = fullest(&verified[i..]);
        let mut m = describe(catalog, query, v);
        let overlaps = |k: &Match| {
            k.query.overlap_s(&m.query) > 0.5 * k.query.length_s().min(m.query.length_s())
        };
        if kept.iter().any(|(k, _)| k.track == m.track && overlaps(k)) {
            continue;
        }
        let is_rival =
            |r: &&Verified<'_>| r.alignment.track.id != m.track && !same_audio(v, r, first_bin);
        let rival = verified[i + 1..].iter().find(is_rival).map_or(0.0, |r| r.strength.max(0.0));
        m.false_alarms = law.false_alarms(strength, coherence, rival);
        if m.false_alarms > config.max_false_alarms {
            continue;
        }
        let same = |k: &&(Match, &Verified<'_>)| overlaps(&k.0) && same_audio(k.1, v, first_bin);
        m.same_as = kept.iter().find(same).map(|(k, _)| k.same_as.unwrap_or(k.track));
        kept.push((m, v));
    }
    kept.sort_by(|(a, _), (b, _)| a.false_alarms.total_cmp(&b.false_alarms));
    kept
}

/// The first of some alignments; or one of the same track, played otherwise, that is nearly as strong
/// and explains that part of the clip and as much again: at another tempo, the track's own fits for a
/// second or two.
fn fullest<'v, 'a>(verified: &'v [Verified<'a>]) -> &'v Verified<'a> {
    let first = &verified[0];
    let mut near = verified.iter().take_while(|v| v.strength > NEARLY * first.strength);
    let fuller = near.find(|v| {
        v.alignment.track.id == first.alignment.track.id
            && v.alignment.playback != first.alignment.playback
            && v.frames.start <= first.frames.start
            && v.frames.end >= first.frames.end
            && v.frames.len() >= 2 * first.frames.len()
    });
    fuller.unwrap_or(first)
}

fn describe(catalog: &Catalog, query: &Query, v: &Verified<'_>) -> Match {
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
    let frames = a.frames.start.max(b.frames.start)..a.frames.end.min(b.frames.end);
    let (peaks, others) =
        (peaks_within(a, &frames, first_bin), peaks_within(b, &frames, first_bin));
    let reach = i64::from(STEPS);
    let shared = peaks.iter().filter(|p| {
        let time = i64::from(p.time);
        let first = others.partition_point(|o| i64::from(o.time) < time - 2 * reach);
        let mut near = others[first..].iter().take_while(|o| i64::from(o.time) <= time + 2 * reach);
        near.any(|o| {
            (i64::from(o.time) - time).abs() <= reach && o.bin.abs_diff(p.bin) <= STEPS as u16
        })
    });
    2 * shared.count() > peaks.len().max(1)
}

/// The peaks of a verified track that fall on some frames of the clip, in the clip's coordinates.
fn peaks_within(v: &Verified<'_>, frames: &Range<usize>, first_bin: f64) -> Vec<Peak> {
    let frames = frames.start.min(frames.end)..frames.end;
    let mut peaks = speed::on_clip(&v.alignment, &frames, first_bin);
    let at = |frame: usize| frame as i64 * i64::from(STEPS) + speed::LEAD;
    peaks.retain(|p| (at(frames.start)..at(frames.end)).contains(&i64::from(p.time)));
    peaks
}
