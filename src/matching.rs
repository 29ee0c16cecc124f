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
use crate::shortfall::shortfall;
use crate::spectrogram::Axes;
use crate::speed::{self, Playback, SpeedRange};
use crate::units::TrackId;
use crate::verification::Evidence;
use std::ops::Range;

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
    verified[..heard].iter_mut().for_each(|v| v.hear(query, first_bin));
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
        v.hear_bands(query);
        v.miss(query, &peaks, speed::LEAD, first_bin);
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

/// The strongest first.
fn sort(verified: &mut [Verified<'_>]) {
    verified.sort_by(|a, b| {
        let by_strength = b.strength.total_cmp(&a.strength);
        by_strength.then(a.alignment.track.id.cmp(&b.alignment.track.id))
    });
}

/// Half-frames to each side that are tried around an alignment.
const REFINEMENTS: i64 = 4;
/// The shortest stretch of a clip that is judged by itself: about a second.
const SHORTEST_FRAMES: usize = 32;
/// Alignments whose sub-fingerprints, phases and levels are compared: the strongest by their peaks.
const HEARD: usize = 24;
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
/// The strongest of all false alignments usually has this strength, in clips of 5 s.
const USUAL_RIVAL: f64 = 3.0;
/// Share of what the strongest rival has beyond that which is taken off. What else the index holds
/// tells how far chance goes for this clip: to the beat and in the same key, it goes far.
const RIVAL_SHARE: f64 = 0.5;
/// This share of a strength is nearly as much.
const NEARLY: f64 = 0.9;
/// False alarms in a search with 200 alignments: 10^(CHANCE − CHANCE_SLOPE · (strength + coherence)) by
/// chance, which does not make phases agree, both counting (length / 5 s)^LENGTH_POWER times, for
/// chance goes less far in longer clips. The size of the index changes nothing: it is the 200 with
/// most votes in any.
const CHANCE: f64 = 2.8;
const CHANCE_SLOPE: f64 = 1.2;
const LENGTH_POWER: f64 = 0.4;
/// And 10^(RELATED − RELATED_SLOPE · strength / clarity^CLARITY_POWER) by music of the same making,
/// tempo, keys, sounds, whole bars, in an index of so many hours: the clearer the clip, the farther
/// that goes. Measured, as the above, on 16,000 clips of tracks that were held out of a collection.
const RELATED: f64 = 0.0;
const RELATED_SLOPE: f64 = 0.33;
const CLARITY_POWER: f64 = 0.6;
const RELATED_HOURS: f64 = 7.6;
/// Of twice as much music, not all is as likely to be related to the clip.
const HOURS_POWER: f64 = 0.5;
/// Less is taken for as much.
const FEWEST_HOURS: f64 = 1.0;

/// An alignment with its evidence.
struct Verified<'a> {
    alignment: Alignment<'a>,
    /// Frames of the clip in which the evidence is found,
    frames: Range<usize>,
    /// and those by which it is judged: either these or all.
    judged: Range<usize>,
    /// How far it is above what chance gives at one place, in deviations.
    strength: f64,
    /// How far the phases alone are above what is usual, in deviations.
    coherence: f64,
}

impl Verified<'_> {
    /// Adds what the track's sub-fingerprints, phases and levels say, at the track's own speed.
    fn hear(&mut self, query: &Query, first_bin: usize) {
        self.hear_bands(query);
        let Alignment { track, offset_steps, .. } = self.alignment;
        let deviations = query.phases().deviations(&track.peaks, offset_steps, self.judged.clone());
        self.coherence = (f64::from(deviations) - USUAL_COHERENCE).max(0.0);
        self.strength += COHERENCE_WEIGHT * self.coherence.min(MOST_COHERENCE);
        self.miss(query, &track.peaks, offset_steps, first_bin);
    }

    /// Adds what the track's sub-fingerprints say.
    fn hear_bands(&mut self, query: &Query) {
        let Alignment { track, offset_steps, playback: Playback { tempo, pitch }, .. } =
            self.alignment;
        let (words, frames) = (&track.sub_fingerprints, self.judged.clone());
        let deviations = query.bands().deviations(words, offset_steps, tempo, pitch, frames);
        self.strength += AGREEMENT_WEIGHT * f64::from(deviations);
    }

    /// Takes off what peaks say that are missing in the clip, which begins at time `begin_steps` of
    /// them.
    fn miss(&mut self, query: &Query, peaks: &[Peak], begin_steps: i64, first_bin: usize) {
        let missing = shortfall(query.levels(), peaks, begin_steps, self.judged.clone(), first_bin);
        self.strength -= SHORTFALL_WEIGHT * (f64::from(missing) - USUAL_SHORTFALL).max(0.0);
    }
}

/// Refines an alignment that was found at the track's own speed, and judges it.
fn verify<'a>(query: &Query, alignment: Alignment<'a>) -> Verified<'a> {
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
fn judge<'a>(
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
    let share = verified.len() as f64 / 200.0;
    let longer = (query.duration_s() / 5.0).powf(LENGTH_POWER);
    let usual_rival = USUAL_RIVAL / longer;
    let clearer = f64::from(query.clarity()).powf(CLARITY_POWER);
    // Not by the durations, which come from outside.
    let hours = catalog.frames() as f64 * catalog.config().stft.hop_s() / 3600.0;
    let larger = (hours.max(FEWEST_HOURS) / RELATED_HOURS).powf(HOURS_POWER);
    let alarms = |strength: f64, coherence: f64| {
        let by_chance = 10f64.powf(CHANCE - CHANCE_SLOPE * (strength + coherence) * longer);
        let related = larger * 10f64.powf(RELATED - RELATED_SLOPE * strength / clearer);
        share * (by_chance + related)
    };
    for (i, v) in verified.iter().enumerate() {
        if kept.len() >= config.max_matches {
            break;
        }
        let Verified { strength, coherence, .. } = *v;
        // What it would be without a rival.
        let least = alarms(strength + RIVAL_SHARE * usual_rival, coherence);
        let possible = least <= config.max_false_alarms;
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
        m.false_alarms = alarms(strength - RIVAL_SHARE * (rival - usual_rival), coherence);
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
