//! Why a clip was found, or was not: the evidence of places, whatever became of them.

use super::alignment::{Alignment, first_bin_steps};
use super::candidates::{LandmarkIndex, alignments};
use super::config::MatchConfig;
use super::matches::Span;
use super::ranking::{Judged, describe, judge, rank};
use super::strength::verify;
use super::{calibrated, places};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::evidence::PlaceEvidence;
use crate::fingerprint::Query;
use crate::units::TrackId;
use std::fmt;

/// Places by votes among which a track is looked for.
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
    /// Landmarks of the clip that agree on the place.
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
    fn new(catalog: &Catalog, query: &Query, judged: &Judged<'_, '_>) -> Self {
        let v = judged.place;
        let m = describe(catalog, query, v);
        Self {
            track: m.track,
            name: m.name,
            offset_s: m.offset_s,
            query: m.query,
            speed: m.speed,
            pitch: m.pitch,
            votes: m.votes,
            evidence: v.evidence,
            strength: v.strength,
            rival: judged.rival,
            score: -judged.false_alarms.max(1e-300).log10(),
        }
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
    index: &(impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Place>> {
    let catalog = index.catalog();
    let query = &calibrated(catalog, query, config)?;
    let (verified, law) = places(index, query, config)?;
    let first_bin_steps = first_bin_steps(catalog.config());
    let judged = judge(query, &verified, &law, first_bin_steps, f64::INFINITY);
    Ok(judged.iter().map(|j| Place::new(catalog, query, j)).collect())
}

/// Tells why a track is a match of a clip, or why not.
///
/// ```
/// use earmark::search::{Outcome, explain};
/// use earmark::{Config, Fingerprinter, HashIndex, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let rate = SampleRate::new(8000)?;
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let mut index = HashIndex::new(Config::default())?;
/// let id = index.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
///
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// let why = explain(&index, &clip, id, &MatchConfig::default())?;
/// assert_eq!(why.outcome, Outcome::Match);
/// assert!(why.place.unwrap().evidence.peaks_z > 5.0);
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// # Errors
/// As [`search`](super::search); [`Error::NoSuchTrack`].
pub fn explain(
    index: &(impl LandmarkIndex + ?Sized),
    query: &Query,
    track: TrackId,
    config: &MatchConfig,
) -> Result<Explanation> {
    let catalog = index.catalog();
    catalog.get(track).ok_or(Error::NoSuchTrack { id: track })?;
    let query = &calibrated(catalog, query, config)?;
    let needed_score = -config.max_false_alarms.log10();

    // As far as the search gets.
    let (verified, law) = places(index, query, config)?;
    let first_bin_steps = first_bin_steps(catalog.config());
    let judged = judge(query, &verified, &law, first_bin_steps, f64::INFINITY);
    if let Some(best) = judged.iter().find(|j| j.place.alignment.track.id == track) {
        let believed = judged.partition_point(|j| j.false_alarms <= config.max_false_alarms);
        let ranked = rank(catalog, query, &verified, &judged[..believed], config.max_matches);
        let outcome = if ranked.iter().any(|(m, _)| m.track == track) {
            Outcome::Match
        } else if best.false_alarms > config.max_false_alarms {
            Outcome::BelowThreshold
        } else {
            Outcome::Explained
        };
        let place = Some(Place::new(catalog, query, best));
        return Ok(Explanation { outcome, place, places_with_more_votes: 0, needed_score });
    }

    // And farther.
    let deepest = DEEPEST.max(config.candidates);
    let candidates = alignments(index, query.landmarks(), config, deepest);
    let of_track = |a: &Alignment<'_>| a.track.id == track;
    let Some(first) = candidates.iter().position(of_track) else {
        let outcome = Outcome::NoVotes;
        let places_with_more_votes = candidates.len();
        return Ok(Explanation { outcome, place: None, places_with_more_votes, needed_score });
    };
    let first_bin = catalog.config().stft.first_bin();
    let verified = candidates.iter().copied().filter(of_track).map(|a| verify(query, a));
    let mut best = verified.max_by(|a, b| a.strength.total_cmp(&b.strength));
    if let Some(v) = &mut best {
        let Alignment { track, offset_steps, .. } = v.alignment;
        v.add_evidence(query, &track.peaks, offset_steps, first_bin);
    }
    let judged = best.iter().map(|place| {
        let rival = law.usual_rival();
        let false_alarms = law.false_alarms(place.strength, place.coherence, rival);
        Judged { place, false_alarms, rival }
    });
    let place = judged.map(|j| Place::new(catalog, query, &j)).next();
    let within = first < config.candidates;
    Ok(Explanation {
        outcome: if within { Outcome::WeakPeaks } else { Outcome::FewVotes },
        place,
        places_with_more_votes: if within { 0 } else { first },
        needed_score,
    })
}
