//! One search of one store: from a query to places with their evidence.

use super::alignment::{Alignment, LEAD, first_bin, on_clip};
use super::candidates::{Candidate, Scope, Votes};
use super::config::{MatchConfig, TrackFilter};
use super::decision::{Gathered, RETUNED, SIGNIFICANT, WEIGHED};
use super::findings::{self, Clip, Findings};
use super::places::{ClipPeaks, excerpts};
use super::playback::Playback;
use super::ranking::{Ranked, rank};
use super::strength::{Verified, glance, locate, sort, verify};
use super::{ladder, tuning};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::landmark::{Landmark, pair_all};
use crate::peaks::Peak;
use crate::store::{Found, Store, Totals};
use crate::units::TrackId;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

pub(super) use known::find_at;
#[cfg(feature = "library")]
pub(crate) use known::find_placed;

mod known;

/// How many places are taken how far.
#[derive(Clone, Copy)]
struct Depth {
    /// Places whose peaks are weighed at a glance: those on which most peaks agree.
    glanced: usize,
    /// Places that are refined, and judged by stretches of the clip: the strongest by their peaks at a
    /// glance.
    refined: usize,
    /// Places of which all evidence is weighed: the strongest by their peaks. Only these can be matches.
    weighed: usize,
    /// If none has so much evidence by its peaks, none is weighed.
    least_z: f64,
    /// That is all, if a match of the whole clip is found that chance gives at most this often.
    certain: f64,
}

/// Few stretches, by the clip's strongest peaks alone.
const QUICK: Depth = Depth { glanced: 64, refined: 16, weighed: 12, least_z: 8.0, certain: 1e-8 };
/// As few, by all its peaks, where they have the hashes of the track's.
const FIRST: Depth = Depth { weighed: 6, least_z: 5.0, certain: 1e-6, ..QUICK };
/// Many, by all its peaks, also where a hash is that of a neighbouring cell.
const ALL: Depth =
    Depth { glanced: 400, refined: 80, weighed: WEIGHED, least_z: f64::NEG_INFINITY, certain: 0.0 };
/// Strong peaks have a rank below this, and are paired with so many targets each.
const QUICK_RANK: u8 = 4;
const QUICK_FAN_OUT: usize = 3;
/// The quick look takes the rarest hashes, which hold so many votes.
const QUICK_VOTES: u64 = 12_000;
/// The second look takes so many,
const FIRST_VOTES: u64 = 30_000;
/// or one for so many blocks, if that is more. Among thousands of hours 30,000 find half of the clips only, and the last
/// look costs ten times as much.
const BLOCKS_PER_VOTE: u64 = 100;
/// Both look at so many stretches.
const FEW_CANDIDATES: usize = 32;
/// No hash but a landmark's own is looked up.
const OWN_CELL: u32 = 0;

/// How often chance may give a match that ends the search, after each look that may.
pub(super) fn certain_after_looks(config: &MatchConfig) -> &'static [f64] {
    if takes_second_look(config) { &[QUICK.certain, FIRST.certain] } else { &[QUICK.certain] }
}

/// Who asks for other speeds may have to ask a store twice more after all looks.
fn takes_second_look(config: &MatchConfig) -> bool {
    config.speed.is_off()
}

/// Finds the places of a store where a clip may come from, with all evidence. What it means is
/// [decided](super::decide) afterwards.
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
    find_in_part(store, query, config, |findings, alarms| is_certain(&[findings], alarms))
}

/// As [`find`], in a part of a collection. Whether a look at it is enough is for `is_enough` to say, which
/// may know what was found in other parts. It is asked after each look that may end the search, with what was
/// found and how often chance may give a match that does.
pub(super) fn find_in_part(
    store: &(impl Store + ?Sized),
    query: &Query,
    config: &MatchConfig,
    mut is_enough: impl FnMut(Findings, f64) -> Result<bool>,
) -> Result<Findings> {
    let analysis = checked(store, query, config)?;
    let strong: Vec<Peak> = query.peaks().iter().copied().filter(|p| p.rank < QUICK_RANK).collect();
    let landmarks = pair_all(&strong, &analysis.landmarks, QUICK_FAN_OUT);
    let first = store.first_look(&landmarks, OWN_CELL, named(&config.filter))?;
    let query = &query.calibrated(config.calibration_for(&first.totals)?);
    let scope = scope(&first.totals, &config.filter, &first.blocks);
    let finder = Finder { store, totals: &first.totals, scope, query, config };
    with_names(store, finder.find(&landmarks, &first.found, &mut is_enough)?)
}

/// Whether a look at all parts found a match of the whole clip, of which nothing more need be known as chance
/// gives it at most so often.
pub(super) fn is_certain(findings: &[Findings], alarms: f64) -> Result<bool> {
    let Some(gathered) = Gathered::new(findings)? else { return Ok(false) };
    let judged = gathered.judge(alarms);
    let ranked = rank(&gathered.clip, &gathered.places, &judged, RETUNED);
    Ok(ranked.iter().any(|ranked| ranked.place.is_whole(&gathered.clip)))
}

/// Says whether a look was enough.
type IsEnough<'e> = &'e mut dyn FnMut(Findings, f64) -> Result<bool>;

/// Checks that query and store go together. Gives the store's analysis.
fn checked(
    store: &(impl Store + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Arc<Config>> {
    config.validate()?;
    let analysis = store.config()?;
    let expected = analysis.id();
    if query.config_id() != expected {
        return Err(Error::ConfigMismatch { expected, found: query.config_id() });
    }
    Ok(analysis)
}

/// Adds what is known of the tracks found.
fn with_names(store: &(impl Store + ?Sized), mut findings: Findings) -> Result<Findings> {
    let mut ids: Vec<_> = findings.places.iter().map(|place| place.track).collect();
    ids.sort_unstable();
    ids.dedup();
    // A track may have been removed meanwhile.
    findings.tracks = store.tracks(&ids)?.into_iter().flatten().map(Into::into).collect();
    findings.places.retain(|place| findings.tracks.iter().any(|track| track.id == place.track));
    Ok(findings)
}

/// The tracks that a filter names.
fn named(filter: &TrackFilter) -> &[TrackId] {
    match filter {
        TrackFilter::All => &[],
        TrackFilter::Only(ids) | TrackFilter::Except(ids) => ids,
    }
}

/// The part of the line that a filter leaves, which names tracks that lie in `blocks`.
fn scope(totals: &Totals, filter: &TrackFilter, blocks: &[Range<u32>]) -> Scope {
    match filter {
        TrackFilter::All => Scope::all(totals),
        TrackFilter::Only(_) => Scope::only(totals, blocks),
        TrackFilter::Except(_) => Scope::all(totals).without(totals, blocks),
    }
}

/// One search of one store.
pub(super) struct Finder<'s, S: ?Sized> {
    store: &'s S,
    totals: &'s Totals,
    scope: Scope,
    query: &'s Query,
    config: &'s MatchConfig,
}

impl<S: Store + ?Sized> Finder<'_, S> {
    /// The candidates with most votes, within the tracks that are looked at.
    pub fn heaviest(
        store: &S,
        query: &Query,
        config: &MatchConfig,
        most: usize,
    ) -> Result<Vec<Candidate>> {
        let (landmarks, filter) = (query.landmarks(), &config.filter);
        let first = store.first_look(landmarks, config.probe_steps, named(filter))?;
        let scope = scope(&first.totals, filter, &first.blocks);
        let votes = Votes::new(landmarks, &first.found, &first.totals, u64::MAX);
        Ok(votes.heaviest(&scope, most))
    }

    /// Finds places, given what was found for the first landmarks.
    fn find(
        &self,
        first: &[Landmark],
        found: &[Found<'_>],
        is_enough: IsEnough<'_>,
    ) -> Result<Findings> {
        let (verified, looked_at, enough) = self.at_own_speed(first, found, is_enough)?;
        let mut tuned = Vec::new();
        if !self.config.speed.is_off() {
            tuned = self.tune(&verified, looked_at, enough)?;
        }
        Ok(self.findings(&verified, looked_at, tuned))
    }

    /// The places at the track's own speed, with all their evidence, the strongest first; and how many
    /// were looked at.
    fn at_own_speed(
        &self,
        first: &[Landmark],
        found: &[Found<'_>],
        is_enough: IsEnough<'_>,
    ) -> Result<(Vec<Verified>, u64, bool)> {
        let Self { store, query, config, .. } = self;
        let clip = ClipPeaks::new(query.peaks(), query.levels().frames(), Playback::UNCHANGED);
        let few = FEW_CANDIDATES.min(config.candidates);
        let candidates = self.candidates(first, found, QUICK_VOTES, few);
        let placed = self.places(&clip, &candidates)?;
        if let Some(weighed) = self.look(&placed, QUICK, is_enough)? {
            return Ok((weighed, self.usual_places(), true));
        }
        let landmarks = query.landmarks();
        if takes_second_look(config) {
            let found = store.look_up(landmarks, OWN_CELL)?;
            let votes = FIRST_VOTES.max(u64::from(self.totals.blocks) / BLOCKS_PER_VOTE);
            let candidates = self.candidates(landmarks, &found, votes, few);
            let placed = self.places(&clip, &candidates)?;
            if let Some(weighed) = self.look(&placed, FIRST, is_enough)? {
                return Ok((weighed, self.usual_places(), true));
            }
        }
        let found = store.look_up(landmarks, config.probe_steps)?;
        let candidates = self.candidates(landmarks, &found, u64::MAX, config.candidates);
        let placed = self.places(&clip, &candidates)?;
        Ok((self.weigh(&placed, ALL)?, placed.len() as u64, false))
    }

    /// Some places with all their evidence, if these, or what was found in other parts, are enough.
    fn look(
        &self,
        placed: &[Alignment],
        depth: Depth,
        is_enough: IsEnough<'_>,
    ) -> Result<Option<Vec<Verified>>> {
        let weighed = self.weigh(placed, depth)?;
        let findings = self.findings(&weighed, self.usual_places(), Vec::new());
        if !is_enough(findings, depth.certain)? {
            return Ok(None);
        }
        // What is certain is in another part: here, too, all is weighed that one store would weigh.
        let any = Depth { least_z: f64::NEG_INFINITY, ..depth };
        Ok(Some(if weighed.is_empty() { self.weigh(placed, any)? } else { weighed }))
    }

    /// The stretches on which most of some landmarks agree, given what was found for them.
    fn candidates(
        &self,
        landmarks: &[Landmark],
        found: &[Found<'_>],
        votes: u64,
        most: usize,
    ) -> Vec<Candidate> {
        Votes::new(landmarks, found, self.totals, votes).heaviest(&self.scope, most)
    }

    /// The places in some stretches, in the order of these.
    fn places(&self, clip: &ClipPeaks, candidates: &[Candidate]) -> Result<Vec<Alignment>> {
        let wanted = candidates.iter().map(|&candidate| (clip, candidate)).collect();
        let placed = excerpts(self.store, self.totals, wanted, self.reach())?.into_iter();
        Ok(placed.map(|(_, alignment)| alignment).collect())
    }

    /// Some places with all their evidence, the strongest first.
    fn weigh(&self, placed: &[Alignment], depth: Depth) -> Result<Vec<Verified>> {
        let mut placed: Vec<&Alignment> = placed.iter().collect();
        // A stable sort: equals stay in the order of their candidates.
        placed.sort_by_key(|alignment| Reverse(alignment.votes));
        placed.truncate(depth.glanced);
        let mut glanced: Vec<(f64, &Alignment)> = placed
            .into_iter()
            .map(|alignment| (glance(self.query, alignment), alignment))
            .collect();
        glanced.sort_by(|a, b| b.0.total_cmp(&a.0));
        glanced.truncate(depth.refined);
        let refined =
            glanced.into_iter().map(|(_, alignment)| verify(self.query, alignment.clone()));
        let mut verified: Vec<Verified> = refined.collect();
        sort(&mut verified);
        verified.dedup_by_key(|v| (v.alignment.excerpt.track, v.alignment.offset));
        verified.truncate(depth.weighed);
        if verified.first().is_none_or(|best| best.strength < depth.least_z) {
            return Ok(Vec::new());
        }
        let mut verified: Vec<Verified> =
            verified.into_iter().map(|v| self.with_all_evidence(v)).collect();
        sort(&mut verified);
        Ok(verified)
    }

    fn with_all_evidence(&self, mut v: Verified) -> Verified {
        let excerpt = v.alignment.excerpt.clone();
        let first_bin = self.totals.config.stft.first_bin();
        v.add_evidence(self.query, &excerpt.peaks, v.alignment.offset, first_bin);
        v
    }

    /// A place at another speed with all its evidence.
    fn weigh_tuned(&self, alignment: Alignment) -> Verified {
        let Self { totals, query, config, .. } = self;
        // The choice among so many speeds is chance's, too.
        let choices = (1.0 + ladder::assumed(config.speed) as f64).log10();
        let frames = 0..query.levels().frames();
        let peaks = on_clip(&alignment, &frames, first_bin(&totals.config));
        let evidence = query.levels().weigh(&peaks, LEAD, frames);
        let mut v = locate(query, alignment, &peaks, LEAD, &evidence);
        v.add_evidence(query, &peaks, LEAD, totals.config.stft.first_bin());
        Verified { strength: v.strength - choices, ..v }
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
        let first_bin = first_bin(&self.totals.config);
        let plain = verified.iter().map(|v| (v, false));
        let tuned = tuned.iter().map(|(v, from_ladder)| (v, *from_ladder));
        let place = |(v, from_ladder)| findings::Place::new(self.query, v, first_bin, from_ladder);
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
        let Some(gathered) = Gathered::new(findings)? else {
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

    /// The places of a clip at other speeds, given those at the track's own, and whether one of some part is
    /// certain; each with whether it was found at another speed only.
    fn tune(
        &self,
        verified: &[Verified],
        looked_at: u64,
        certain: bool,
    ) -> Result<Vec<(Verified, bool)>> {
        let Self { store, totals, scope, query, config } = self;
        let first_bin = first_bin(&totals.config);
        let retune = |v: &Verified| {
            let tuned = tuning::retune(query, v.alignment.clone(), config.speed, first_bin);
            tuned.map(|alignment| (self.weigh_tuned(alignment), false)).collect::<Vec<_>>()
        };
        // Sub-fingerprints may agree where the peaks, at another pitch or tempo, do not.
        let findings = [self.findings(verified, looked_at, Vec::new())];
        let matched = self.matched(&findings, SIGNIFICANT)?;
        let found = certain || matched.iter().any(|(_, whole)| *whole);
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
            let rungs = tuning::tune(query, rungs, first_bin).into_iter();
            tuned.extend(rungs.map(|alignment| (self.weigh_tuned(alignment), true)));
        }
        Ok(tuned)
    }
}
