//! From a query to matches, in the order of the data: candidates, evidence, strength, decision,
//! ranking.
//!
//! 1. [`candidates`]: the offset histogram proposes places.
//! 2. The [evidence](crate::evidence) of peaks is weighed at each, and refined for the stronger ones.
//!    Bands, phases and missing peaks are added for the strongest. All of it becomes one strength.
//! 3. The decision turns strengths into [false alarms](Match::false_alarms).
//! 4. The ranking drops what repeats a better match.
//!
//! Where a range of speeds is given, the clip's coordinates are changed as if it had been played
//! otherwise, and the same is done again.

pub mod candidates;

mod alignment;
mod config;
mod decision;
mod explain;
mod ladder;
mod matches;
mod playback;
mod ranking;
mod strength;
mod tuning;

pub use config::{MatchConfig, SpeedRange};
pub use explain::{Explanation, Outcome, Place, explain, weighed_places};
pub use matches::{Match, Span};

use crate::error::{Error, Result};
use crate::fingerprint::Query;
pub(crate) use alignment::{Alignment, LEAD, first_bin_steps, on_clip};
use candidates::{LandmarkIndex, alignments};
pub(crate) use decision::Law;
pub(crate) use playback::Playback;
pub(crate) use ranking::share_of;
use ranking::{judge, rank};
pub(crate) use strength::Verified;
use strength::{glance, locate, sort, verify};

/// Places that are refined, and judged by stretches of the clip: the strongest by their peaks at a
/// glance.
const REFINED: usize = 80;
/// Places of which all evidence is weighed: the strongest by their peaks. Only these can be matches.
const WEIGHED: usize = 32;
/// A match that chance gives at most this often is one: other speeds are not looked for.
const SIGNIFICANT: f64 = 0.001;
/// Places found at the track's own speed that are tried at others close by, unless there is a
/// match that is played as it is.
const RETUNED: usize = 8;

/// Finds where a clip comes from, best match first.
///
/// With a smaller [`max_matches`](MatchConfig::max_matches) or
/// [`max_false_alarms`](MatchConfig::max_false_alarms), the matches are the first of those with a
/// larger one.
///
/// # Errors
/// [`Error::Config`] for a `config` that is out of range, [`Error::ConfigMismatch`] for a query that
/// was made with another configuration.
pub fn search(
    index: &(impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Match>> {
    let catalog = index.catalog();
    let (verified, law) = places(index, query, config)?;
    let first_bin_steps = first_bin_steps(catalog.config());
    let judged = judge(query, &verified, &law, first_bin_steps, config.max_false_alarms);
    let ranked = rank(catalog, query, &verified, &judged, config.max_matches);
    Ok(ranked.into_iter().map(|(m, _)| m).collect())
}

/// The places with all their evidence, the strongest first, and what it means.
fn places<'a>(
    index: &'a (impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<(Vec<Verified<'a>>, Law)> {
    config.validate()?;
    let catalog = index.catalog();
    let expected = catalog.config().id();
    if query.config_id() != expected {
        return Err(Error::ConfigMismatch { expected, found: query.config_id() });
    }
    let mut glanced: Vec<(f64, Alignment)> =
        (alignments(index, query.landmarks(), config, config.candidates).into_iter())
            .map(|alignment| (glance(query, &alignment), alignment))
            .collect();
    let law = Law::new(query, catalog, glanced.len());
    glanced.sort_by(|a, b| b.0.total_cmp(&a.0));
    glanced.truncate(REFINED);
    let refined = glanced.into_iter().map(|(_, alignment)| verify(query, alignment));
    let mut verified: Vec<Verified> = refined.collect();
    sort(&mut verified);
    verified.truncate(WEIGHED);
    let first_bin = catalog.config().stft.first_bin();
    for v in &mut verified {
        let Alignment { track, offset_steps, .. } = v.alignment;
        v.add_evidence(query, &track.peaks, offset_steps, first_bin);
    }
    sort(&mut verified);
    if !config.speed.is_off() {
        let tuned = tune(index, query, config, &verified, &law);
        verified.extend(tuned);
        sort(&mut verified);
    }
    Ok((verified, law))
}

/// The places of a clip at other speeds, given those at the track's own.
fn tune<'a>(
    index: &'a (impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
    verified: &[Verified<'a>],
    law: &Law,
) -> Vec<Verified<'a>> {
    let first_bin_steps = first_bin_steps(index.catalog().config());
    let first_bin = index.catalog().config().stft.first_bin();
    // The choice among so many speeds is chance's, too.
    let choices = (1.0 + ladder::assumed(config.speed) as f64).log10();
    let weigh_tuned = |alignment| {
        let frames = 0..query.levels().frames();
        let peaks = on_clip(&alignment, &frames, first_bin_steps);
        let evidence = query.levels().weigh(&peaks, LEAD, frames);
        let mut v = locate(query, alignment, &peaks, LEAD, &evidence);
        v.add_evidence(query, &peaks, LEAD, first_bin);
        Verified { strength: v.strength - choices, ..v }
    };
    let retune = |v: &Verified<'a>| {
        let tuned = tuning::retune(query, v.alignment, config.speed, first_bin_steps);
        tuned.map(weigh_tuned).collect::<Vec<_>>()
    };
    // Sub-fingerprints may agree where the peaks, at another pitch or tempo, do not.
    let whole = |v: &Verified<'_>| 2 * v.frames.len() > query.levels().frames();
    let judged = judge(query, verified, law, first_bin_steps, SIGNIFICANT);
    let ranked = rank(index.catalog(), query, verified, &judged, RETUNED);
    let found = ranked.iter().any(|(_, v)| whole(v));
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
        let rungs = ladder::ladder(index, query, config);
        let rungs = tuning::tune(query, rungs, first_bin_steps).into_iter();
        tuned.extend(rungs.map(weigh_tuned));
    }
    tuned
}
