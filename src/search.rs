//! From a query to matches, in the order of the data: candidates, places, evidence, strength, decision,
//! ranking.
//!
//! 1. [`candidates`](candidates()): landmarks vote for stretches of the collection. Where in them the
//!    clip may begin is found from the track's peaks.
//! 2. The [evidence](crate::evidence) of peaks is weighed at each place, and refined for the stronger
//!    ones. Bands, phases and missing peaks are added for the strongest. All of it becomes one strength.
//! 3. [`find`] ends here: what one store holds is [found](Findings), not decided.
//! 4. [`decide`] turns strengths into [false alarms](Match::false_alarms), of one store or of many, and
//!    drops what repeats a better match.
//!
//! A clear clip is found by its strongest peaks alone. All landmarks are looked up only where these give
//! no certain answer. Where a range of speeds is given, the clip's coordinates are changed as if it had
//! been played otherwise, and the same is done again.

mod alignment;
mod candidates;
mod config;
mod decision;
mod explain;
mod findings;
mod ladder;
mod matches;
mod places;
mod playback;
mod ranking;
mod strength;
mod tuning;

pub use candidates::{Candidate, candidates};
pub use config::{MatchConfig, SpeedRange, TrackFilter};
pub use decision::Law;
pub use explain::{Explanation, Outcome, Place, explain, weighed_places};
pub use findings::Findings;
pub use matches::{Match, Span};
pub use strength::{coherence_of, strength_of};

use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::landmark::{Landmark, pair_all};
use crate::peaks::Peak;
use crate::store::{Store, Totals};
use alignment::{Alignment, LEAD, first_bin_steps, on_clip};
use candidates::{Scope, Votes};
use findings::Clip;
use places::{ClipPeaks, excerpts};
use playback::Playback;
use ranking::{Judged, Ranked, judge, rank};
use std::cmp::Reverse;
use strength::{Verified, glance, locate, sort, verify};

/// How far a search goes.
#[derive(Clone, Copy)]
struct Depth {
    /// Votes that are counted, of the rarest hashes, at most.
    votes: u64,
    /// Stretches with most votes whose peaks are looked at.
    candidates: usize,
    /// Places whose peaks are weighed at a glance: those on which most peaks agree.
    glanced: usize,
    /// Places that are refined, and judged by stretches of the clip: the strongest by their peaks at a
    /// glance.
    refined: usize,
    /// Places of which all evidence is weighed: the strongest by their peaks. Only these can be matches.
    weighed: usize,
    /// If none has so much evidence by its peaks, none is weighed.
    least_z: f64,
}

const WEIGHED: usize = 32;
const ALL: Depth = Depth {
    votes: u64::MAX,
    candidates: usize::MAX,
    glanced: 400,
    refined: 80,
    weighed: WEIGHED,
    least_z: f64::NEG_INFINITY,
};
/// A clip is first looked up by its peaks of a rank below this, paired with so many targets each.
const QUICK_RANK: u8 = 4;
const QUICK_FAN_OUT: usize = 3;
const QUICK: Depth =
    Depth { votes: 30_000, candidates: 64, glanced: 64, refined: 16, weighed: 12, least_z: 8.0 };
/// That is all, if a match of the whole clip is found that chance gives at most this often.
const CERTAIN: f64 = 1e-8;
/// A match that chance gives at most this often is one: other speeds are not looked for.
const SIGNIFICANT: f64 = 0.001;
/// Places found at the track's own speed that are tried at others close by, unless there is a
/// match that is played as it is.
const RETUNED: usize = 8;

/// Finds where a clip comes from, best match first: [`find`], then [`decide`].
///
/// With a smaller [`max_matches`](MatchConfig::max_matches) or
/// [`max_false_alarms`](MatchConfig::max_false_alarms), the matches are the first of those with a
/// larger one.
///
/// # Errors
/// Those of [`find`].
pub fn search(
    store: &(impl Store + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Match>> {
    decide(&[find(store, query, config)?], config)
}

/// Decides what was found for one clip in one store, or in the parts of a collection. The matches are the
/// same, in the same order, as if all tracks were in one store.
///
/// # Errors
/// [`Error::Config`] for a `config` that is out of range, [`Error::ConfigMismatch`] and
/// [`Error::OtherClip`] for findings that do not belong together.
pub fn decide(findings: &[Findings], config: &MatchConfig) -> Result<Vec<Match>> {
    config.validate()?;
    let Some(gathered) = Gathered::new(findings, config)? else { return Ok(Vec::new()) };
    let Gathered { clip, places, law } = &gathered;
    let judged = judge(places, law, config.max_false_alarms);
    let ranked = rank(clip, places, &judged, config.max_matches);
    Ok(ranked.iter().filter_map(|ranked| describe(findings, ranked)).collect())
}

/// The findings of all parts, as those of one.
struct Gathered {
    clip: Clip,
    /// The strongest first.
    places: Vec<findings::Place>,
    law: Law,
}

impl Gathered {
    fn new(findings: &[Findings], config: &MatchConfig) -> Result<Option<Self>> {
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
        let model = config.calibration_for(clip.config_id)?.law;
        let clarity = f64::from(clip.clarity);
        let law = Law::new(model, clip.duration_s, clarity, hours, sum(|f| f.looked_at));
        let of_part = |(part, findings): (usize, &Findings)| {
            let part = part as u32;
            let place = move |place: &findings::Place| findings::Place { part, ..place.clone() };
            findings.places.iter().map(place).collect::<Vec<_>>()
        };
        let places: Vec<findings::Place> = findings.iter().enumerate().flat_map(of_part).collect();
        // As many as one store would have weighed.
        let plain = |p: &findings::Place| p.tempo == 1.0 && p.pitch == 1.0;
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

    fn judge(&self, max_false_alarms: f64) -> Vec<Judged<'_>> {
        judge(&self.places, &self.law, max_false_alarms)
    }
}

/// The strongest first. Equally strong ones are in the order of their tracks and times.
fn stronger(a: &findings::Place, b: &findings::Place) -> std::cmp::Ordering {
    b.strength.total_cmp(&a.strength).then_with(|| in_order(a, b))
}

fn in_order(a: &findings::Place, b: &findings::Place) -> std::cmp::Ordering {
    let place = |p: &findings::Place| (p.part, p.track, p.offset_steps);
    place(a).cmp(&place(b))
}

fn describe(findings: &[Findings], ranked: &Ranked<'_>) -> Option<Match> {
    let findings::Place { part, track, offset_steps, tempo, pitch, votes, .. } = *ranked.place;
    let part_of = findings.get(part as usize)?;
    let clip = &part_of.clip;
    let track = part_of.track(track)?;
    // Frame 0 is centred half a window after the beginning, in the clip as in the track.
    let offset_s = offset_steps as f64 / f64::from(crate::peaks::STEPS) * clip.hop_s
        - (tempo - 1.0) * clip.first_frame_s;
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
    })
}

/// Finds the places of a store where a clip may come from, with all evidence. What it means is
/// [decided](decide) afterwards.
///
/// # Errors
/// [`Error::Config`] for a `config` that is out of range, [`Error::ConfigMismatch`] for a query that
/// was made with another configuration, [`Error::NoCalibration`] or [`Error::CalibrationMismatch`]
/// where nothing was fitted for it, and those of the store.
pub fn find(
    store: &(impl Store + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Findings> {
    config.validate()?;
    let totals = store.totals()?;
    let expected = totals.config.id();
    if query.config_id() != expected {
        return Err(Error::ConfigMismatch { expected, found: query.config_id() });
    }
    let scope = scope(store, &totals, &config.filter)?;
    let query = &query.calibrated(config.calibration_for(expected)?);
    let finder = Finder { store, totals: &totals, scope, query, config };
    let mut findings = finder.find()?;
    let mut ids: Vec<_> = findings.places.iter().map(|place| place.track).collect();
    ids.sort_unstable();
    ids.dedup();
    // A track may have been removed meanwhile.
    findings.tracks = store.tracks(&ids)?.into_iter().flatten().map(Into::into).collect();
    findings.places.retain(|place| findings.tracks.iter().any(|track| track.id == place.track));
    Ok(findings)
}

/// The part of the line that a filter leaves.
fn scope(store: &(impl Store + ?Sized), totals: &Totals, filter: &TrackFilter) -> Result<Scope> {
    Ok(match filter {
        TrackFilter::All => Scope::all(totals),
        TrackFilter::Only(ids) => Scope::only(totals, &store.blocks_of(ids)?),
        TrackFilter::Except(ids) => Scope::all(totals).without(totals, &store.blocks_of(ids)?),
    })
}

/// One search of one store.
struct Finder<'s, S: ?Sized> {
    store: &'s S,
    totals: &'s Totals,
    scope: Scope,
    query: &'s Query,
    config: &'s MatchConfig,
}

impl<S: Store + ?Sized> Finder<'_, S> {
    /// The candidates with most votes, within the tracks that are looked at.
    fn heaviest(
        store: &S,
        query: &Query,
        config: &MatchConfig,
        most: usize,
    ) -> Result<Vec<Candidate>> {
        let totals = store.totals()?;
        let scope = scope(store, &totals, &config.filter)?;
        let found = store.look_up(query.landmarks(), config.probe_steps)?;
        let votes = Votes::new(query.landmarks(), &found, &totals, u64::MAX);
        Ok(votes.heaviest(&scope, most))
    }

    fn find(&self) -> Result<Findings> {
        let clip =
            ClipPeaks::new(self.query.peaks(), self.query.levels().frames(), Playback::UNCHANGED);
        let strong: Vec<Peak> =
            self.query.peaks().iter().copied().filter(|p| p.rank < QUICK_RANK).collect();
        let landmarks = pair_all(&strong, &self.totals.config.landmarks, QUICK_FAN_OUT);
        let most = self.config.candidates;
        let quick = Depth { candidates: QUICK.candidates.min(most), ..QUICK };
        let mut weighed = self.weigh(&clip, &landmarks, quick)?.0;
        let mut looked_at = self.usual_places();
        if !self.has_whole_match(&weighed)? {
            let all = Depth { candidates: most, ..ALL };
            (weighed, looked_at) = self.weigh(&clip, self.query.landmarks(), all)?;
        }
        let mut tuned = Vec::new();
        if !self.config.speed.is_off() {
            tuned = self.tune(&weighed, looked_at)?;
        }
        Ok(self.findings(&weighed, looked_at, tuned))
    }

    /// The places at the track's own speed, with all their evidence, the strongest first; and how many
    /// were looked at.
    fn weigh(
        &self,
        clip: &ClipPeaks,
        landmarks: &[Landmark],
        depth: Depth,
    ) -> Result<(Vec<Verified>, u64)> {
        let Self { store, totals, query, .. } = self;
        let found = store.look_up(landmarks, self.config.probe_steps)?;
        let votes = Votes::new(landmarks, &found, totals, depth.votes);
        let candidates = votes.heaviest(&self.scope, depth.candidates);
        let wanted = candidates.iter().map(|&candidate| (clip, candidate)).collect();
        let mut placed = excerpts(*store, totals, wanted, self.reach())?;
        let looked_at = placed.len() as u64;
        // A stable sort: equals stay in the order of their candidates.
        placed.sort_by_key(|(_, alignment)| Reverse(alignment.votes));
        placed.truncate(depth.glanced);
        let mut glanced: Vec<(f64, Alignment)> = placed
            .into_iter()
            .map(|(_, alignment)| (glance(query, &alignment), alignment))
            .collect();
        glanced.sort_by(|a, b| b.0.total_cmp(&a.0));
        glanced.truncate(depth.refined);
        let refined = glanced.into_iter().map(|(_, alignment)| verify(query, alignment));
        let mut verified: Vec<Verified> = refined.collect();
        sort(&mut verified);
        verified.dedup_by_key(|v| (v.alignment.excerpt.track, v.alignment.offset_steps));
        verified.truncate(depth.weighed);
        if verified.first().is_none_or(|best| best.strength < depth.least_z) {
            return Ok((verified, looked_at));
        }
        let first_bin = totals.config.stft.first_bin();
        for v in &mut verified {
            let excerpt = v.alignment.excerpt.clone();
            v.add_evidence(query, &excerpt.peaks, v.alignment.offset_steps, first_bin);
        }
        sort(&mut verified);
        Ok((verified, looked_at))
    }

    /// Places with which the law was fitted: what is found at a glance is judged as if so many had been
    /// looked at.
    fn usual_places(&self) -> u64 {
        self.query.calibration().law.most_places as u64
    }

    /// How much the tempo of a clip that is found at the track's own speed may differ from it.
    fn reach(&self) -> f64 {
        self.config.speed.reach().exp_m1()
    }

    fn findings(
        &self,
        verified: &[Verified],
        looked_at: u64,
        tuned: Vec<(Verified, bool)>,
    ) -> Findings {
        let first_bin_steps = first_bin_steps(&self.totals.config);
        let plain = verified.iter().map(|v| (v, false));
        let tuned = tuned.iter().map(|(v, from_ladder)| (v, *from_ladder));
        let place =
            |(v, from_ladder)| findings::Place::new(self.query, v, first_bin_steps, from_ladder);
        Findings {
            clip: Clip::new(self.query, self.totals),
            frames: self.totals.frames,
            looked_at,
            places: plain.chain(tuned).map(place).collect(),
            tracks: Vec::new(),
        }
    }

    /// The places that match most of the clip, among those that have all evidence.
    fn matched(&self, findings: &[Findings; 1], alarms: f64) -> Result<Vec<(usize, bool)>> {
        let Some(gathered) = Gathered::new(findings, self.config)? else {
            return Ok(Vec::new());
        };
        let judged = gathered.judge(alarms);
        let ranked = rank(&gathered.clip, &gathered.places, &judged, RETUNED);
        let number = |ranked: &Ranked<'_>| {
            let at = findings[0].places.iter().position(|place| place == ranked.place)?;
            Some((at, ranked.place.is_whole(&gathered.clip)))
        };
        Ok(ranked.iter().filter_map(number).collect())
    }

    /// Whether there is a match of which nothing more need be known.
    fn has_whole_match(&self, verified: &[Verified]) -> Result<bool> {
        let findings = [self.findings(verified, self.usual_places(), Vec::new())];
        Ok(self.matched(&findings, CERTAIN)?.iter().any(|(_, whole)| *whole))
    }

    /// The places of a clip at other speeds, given those at the track's own; each with whether it was found
    /// at another speed only.
    fn tune(&self, verified: &[Verified], looked_at: u64) -> Result<Vec<(Verified, bool)>> {
        let Self { store, totals, scope, query, config } = self;
        let first_bin_steps = first_bin_steps(&totals.config);
        let first_bin = totals.config.stft.first_bin();
        // The choice among so many speeds is chance's, too.
        let choices = (1.0 + ladder::assumed(config.speed) as f64).log10();
        let weigh_tuned = |alignment: Alignment| {
            let frames = 0..query.levels().frames();
            let peaks = on_clip(&alignment, &frames, first_bin_steps);
            let evidence = query.levels().weigh(&peaks, LEAD, frames);
            let mut v = locate(query, alignment, &peaks, LEAD, &evidence);
            v.add_evidence(query, &peaks, LEAD, first_bin);
            Verified { strength: v.strength - choices, ..v }
        };
        let retune = |v: &Verified| {
            let tuned = tuning::retune(query, v.alignment.clone(), config.speed, first_bin_steps);
            tuned.map(|alignment| (weigh_tuned(alignment), false)).collect::<Vec<_>>()
        };
        // Sub-fingerprints may agree where the peaks, at another pitch or tempo, do not.
        let findings = [self.findings(verified, looked_at, Vec::new())];
        let matched = self.matched(&findings, SIGNIFICANT)?;
        let found = matched.iter().any(|(_, whole)| *whole);
        if let (true, Some(best)) = (found, verified.first()) {
            let tuned: Vec<_> = matched.iter().flat_map(|(i, _)| retune(&verified[*i])).collect();
            // A track that repeats itself may be found elsewhere in it at another tempo.
            if findings[0].places[0].is_whole(&findings[0].clip)
                && tuned.iter().all(|(t, _)| t.strength <= best.strength)
            {
                return Ok(tuned);
            }
        }
        let mut tuned: Vec<_> = verified.iter().take(RETUNED).flat_map(retune).collect();
        if !found {
            let rungs = ladder::ladder(*store, totals, scope, query, config)?;
            let rungs = tuning::tune(query, rungs, first_bin_steps).into_iter();
            tuned.extend(rungs.map(|alignment| (weigh_tuned(alignment), true)));
        }
        Ok(tuned)
    }
}
