//! What one event explains is not explained by another, unless both sound.

use super::lookup::{Clip, Lookup, Relation};
use super::run::{HOLDS_SCORE, Run};
use crate::error::Result;
use crate::search::Span;
use crate::store::Store;

/// Of two lines that explain the same sound, one is stronger if the other has less than this share of its
/// strength. An event that goes on is held to be the stronger one of the two if in doubt.
const STRONGER: f64 = 0.8;
/// What has less than this share of a run's strength explains none of it.
const FEEBLE: f64 = 1.0 / 3.0;

/// What explains a part of a run is enough if the run has less than this share of its strength, and is no
/// event yet.
const CLEARLY: f64 = 0.5;

/// What explains the same sound as a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rival {
    /// Nothing.
    None,
    /// An event that is weaker, and has this score.
    Weaker(f64),
    /// An event that is stronger: the run with this number, and whether it is the same audio.
    Stronger { run: usize, same_audio: bool },
}

/// What of the events among `runs`, but the one numbered `but`, explains a run in a stretch of a clip.
pub(super) fn rival(
    index: &Lookup<'_, impl Store + ?Sized>,
    clip: &Clip,
    runs: &[Run],
    run: &Run,
    stretch: &Span,
    but: Option<usize>,
) -> Result<Rival> {
    let mut rival = Rival::None;
    for (i, other) in runs.iter().enumerate() {
        if other.event.is_none() || Some(i) == but {
            continue;
        }
        let Some(theirs) = index.weigh(clip, &other.line, stretch)? else { continue };
        // What does not sound explains nothing.
        if theirs.score < HOLDS_SCORE || theirs.strength < FEEBLE * run.now.strength {
            continue;
        }
        let relation = index.relation(clip, &other.line, &run.line, stretch)?;
        let feeble = run.event.is_none() && run.now.strength < CLEARLY * theirs.strength;
        let is_apart = match relation {
            Relation::Apart => true,
            Relation::PartlyExplained => !feeble,
            Relation::Explained | Relation::SameAudio => false,
        };
        if is_apart && other.line.track != run.line.track {
            continue;
        }
        let share = if run.event.is_some() { 1.0 / STRONGER } else { STRONGER };
        if theirs.strength >= share * run.now.strength {
            let same_audio = relation == Relation::SameAudio;
            return Ok(Rival::Stronger { run: i, same_audio });
        }
        if run.event.is_none() {
            let most = if let Rival::Weaker(most) = rival { most } else { 0.0 };
            rival = Rival::Weaker(theirs.score.max(most));
        }
    }
    Ok(rival)
}
