//! Why a clip was found, or was not: the evidence of places, whatever became of them.

use super::config::{MatchConfig, TrackFilter};
use super::decision::{Gathered, describe};
use super::find::{Finder, find, find_at};
use super::findings::Findings;
use super::matches::{Match, Span};
use super::ranking::{Judged, Ranked, rank};
use crate::error::{Error, Result};
use crate::evidence::PlaceEvidence;
use crate::fingerprint::Query;
use crate::store::Store;
use crate::units::TrackId;
use std::fmt;

/// Candidates among which a track is looked for.
const DEEPEST: usize = 20_000;

/// A place of a track where a clip may lie, with all its evidence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Place {
    /// The track.
    pub track: TrackId,
    /// The track's name.
    pub name: String,
    /// Time in the track at which the clip begins, in seconds.
    pub offset_s: f64,
    /// The part of the clip in which the evidence is found.
    pub query: Span,
    /// Tempo of the clip as a multiple of the track's.
    pub speed: f64,
    /// Frequencies of the clip as multiples of the track's.
    pub pitch: f64,
    /// Peaks of the clip that agree on the place.
    pub votes: u32,
    /// What speaks for it and against it.
    pub evidence: PlaceEvidence,
    /// All of that on one scale, as a z-score.
    pub strength: f64,
    /// The same of the strongest other track that explains the same evidence.
    pub rival: f64,
    /// −log10 of the false alarms that are expected to have as much evidence.
    pub score: f64,
}

impl Place {
    fn new(findings: &[Findings], judged: &Judged<'_>) -> Option<Self> {
        let Judged { place, false_alarms, rival } = *judged;
        let Match { track, name, offset_s, query, speed, pitch, votes, .. } =
            describe(findings, &Ranked { place, false_alarms, same_as: None })?;
        Some(Self {
            track,
            name,
            offset_s,
            query,
            speed,
            pitch,
            votes,
            evidence: place.evidence,
            strength: place.strength,
            rival,
            score: -false_alarms.max(1e-300).log10(),
        })
    }
}

/// What became of a track in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is a match.
    Match,
    /// Its score is too low for [`MatchConfig::max_false_alarms`].
    BelowThreshold,
    /// It is strong enough, but a stronger match explains what it has in common with the clip, or
    /// there are [`MatchConfig::max_matches`] already.
    Explained,
    /// Other places have more evidence by their peaks: the other evidence was not weighed.
    WeakPeaks,
    /// Other places have more votes: it is not among the [`MatchConfig::candidates`].
    FewVotes,
    /// No landmark of the clip stands in it, or hardly one.
    NoVotes,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Match => "a match",
            Self::BelowThreshold => "too little evidence for the threshold",
            Self::Explained => "a stronger match explains it",
            Self::WeakPeaks => "other places have more evidence by their peaks",
            Self::FewVotes => "other places have more votes",
            Self::NoVotes => "hardly a landmark in common",
        })
    }
}

/// Why a track is a match of a clip, or why not.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What became of it.
    pub outcome: Outcome,
    /// Its best place, if it has one. All its evidence is weighed here, even where the search did
    /// not get so far.
    pub place: Option<Place>,
    /// How many places of any track have more votes than its first, where that is why its evidence
    /// was not weighed; else 0.
    pub places_with_more_votes: usize,
    /// The score that the threshold asks for.
    pub needed_score: f64,
}

/// All places of which a search weighs all evidence, the fewest false alarms first: the raw material of its
/// matches, of which nothing is left out.
///
/// # Errors
/// As [`search`](super::search).
pub fn weighed_places(
    store: &(impl Store + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Place>> {
    let findings = [find(store, query, config)?];
    let Some(gathered) = Gathered::new(&findings)? else { return Ok(Vec::new()) };
    let judged = gathered.judge(f64::INFINITY);
    let place = |j: &Judged<'_>| Place::new(&findings, j);
    Ok(judged.iter().filter_map(place).collect())
}

/// Weighs one place: all evidence for a clip that begins at `offset_s` seconds of a track, and is played
/// as the track is. The place is refined by some hundredths of a second, and has no rival. `None` where
/// the clip would lie outside the track.
///
/// # Errors
/// As [`search`](super::search); [`Error::NoSuchTrack`].
pub fn weigh_place(
    store: &(impl Store + ?Sized),
    query: &Query,
    track: TrackId,
    offset_s: f64,
    config: &MatchConfig,
) -> Result<Option<Place>> {
    let findings = [find_at(store, query, track, offset_s, config)?];
    let Some(gathered) = Gathered::new(&findings)? else { return Ok(None) };
    let judged = gathered.judge(f64::INFINITY);
    Ok(judged.first().and_then(|judged| Place::new(&findings, judged)))
}

/// Tells why a track is a match of a clip, or why not.
///
/// ```
/// use earmark::search::{Outcome, explain};
/// use earmark::{Config, Fingerprinter, Index, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let rate = SampleRate::new(8000)?;
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let index = Index::in_memory(Config::default())?;
/// let mut writer = index.writer()?;
/// let id = writer.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
/// writer.commit()?;
///
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// let why = explain(&index.reader(), &clip, id, &MatchConfig::default())?;
/// assert_eq!(why.outcome, Outcome::Match);
/// assert!(why.place.unwrap().evidence.peaks_z > 5.0);
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// # Errors
/// As [`search`](super::search); [`Error::NoSuchTrack`].
pub fn explain(
    store: &(impl Store + ?Sized),
    query: &Query,
    track: TrackId,
    config: &MatchConfig,
) -> Result<Explanation> {
    if store.tracks(&[track])?.first().is_none_or(Option::is_none) {
        return Err(Error::NoSuchTrack { id: track });
    }
    let needed_score = -config.max_false_alarms.log10();

    // As far as the search gets.
    let findings = [find(store, query, config)?];
    if let Some(gathered) = Gathered::new(&findings)? {
        let judged = gathered.judge(f64::INFINITY);
        if let Some(best) = judged.iter().find(|j| j.place.track == track) {
            let believed = judged.partition_point(|j| j.false_alarms <= config.max_false_alarms);
            let (clip, places) = (&gathered.clip, &gathered.places);
            let ranked = rank(clip, places, &judged[..believed], config.max_matches);
            let outcome = if ranked.iter().any(|r| r.place.track == track) {
                Outcome::Match
            } else if best.false_alarms > config.max_false_alarms {
                Outcome::BelowThreshold
            } else {
                Outcome::Explained
            };
            let place = Place::new(&findings, best);
            return Ok(Explanation { outcome, place, places_with_more_votes: 0, needed_score });
        }
    }

    // And farther: this track alone, then all that has more votes.
    let alone = MatchConfig { filter: TrackFilter::Only([track].into()), ..config.clone() };
    let place = weighed_places(store, query, &alone)?.into_iter().next();
    let own = Finder::heaviest(store, query, &alone, 1)?.first().map_or(0, |c| c.weight);
    let all = Finder::heaviest(store, query, config, DEEPEST)?;
    let heavier = all.iter().filter(|c| c.weight > own).count();
    let within = place.is_some() && heavier < config.candidates;
    Ok(Explanation {
        outcome: match (&place, within) {
            (None, _) => Outcome::NoVotes,
            (Some(_), true) => Outcome::WeakPeaks,
            (Some(_), false) => Outcome::FewVotes,
        },
        place,
        places_with_more_votes: if within { 0 } else { heavier },
        needed_score,
    })
}
