//! What one event explains is not explained by another, unless both sound.
//!
//! Two tracks that sound at the same time have few peaks in common. Two versions of one piece, or tracks that
//! are built over the same loop, have many: where one of them is played, there is evidence for the other
//! for as long. Only the one that explains more is told of.

use super::lookup::{Clip, InCommon, Line, Lookup};
use super::past::Past;
use super::run::{HOLDS_SCORE, Run};
use super::trail::Lead;
use crate::error::Result;
use crate::search::Span;
use crate::store::Store;

/// Of two lines that explain the same sound, one is stronger if the other has less than this share of its
/// strength. An event that goes on is held to be the stronger one of the two if in doubt.
const STRONGER: f64 = 0.8;
/// What has less than this share of a run's strength explains none of it.
const FEEBLE: f64 = 1.0 / 3.0;
/// Tracks that only sound at the same time have up to this share of their peaks in common,
const BY_CHANCE: f64 = 0.05;
/// or so many standard deviations more where the peaks are few.
const CHANCE_Z: f64 = 3.0;
/// Tracks that share sounds have at least this much in common.
const KINDRED: f64 = 0.12;
/// A line takes the place of an event if it has this much more evidence, in nats,
const LEAD_NATS: f64 = 40.0;
/// and this share of the event's.
const LEAD_SHARE: f64 = 0.2;

/// What explains the same sound as a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rival {
    /// Nothing.
    None,
    /// An event that is weaker now: the run with this number, and its score.
    Weaker { run: usize, score: f64 },
    /// An event that is stronger now: the run with this number, and whether it is the same audio.
    Stronger { run: usize, same_audio: bool },
}

/// What a run has in common with an event, for as long as both are followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinship {
    /// The event's number.
    pub event: u64,
    common: InCommon,
}

impl Kinship {
    /// Whether the run shares sounds with the event.
    pub fn is_kindred(&self) -> bool {
        self.common.is_kindred()
    }
}

impl InCommon {
    /// Adds what is in common in another stretch.
    pub fn add(&mut self, other: Self) {
        self.peaks += other.peaks;
        self.shared += other.shared;
    }

    /// Whether there is more in common than there is by chance.
    pub fn is_kindred(&self) -> bool {
        let deviation = (BY_CHANCE * (1.0 - BY_CHANCE) / self.peaks.max(1.0)).sqrt();
        let least = KINDRED.max(BY_CHANCE + CHANCE_Z * deviation);
        self.shared > least * self.peaks
    }
}

/// What of the events among `runs`, but the one numbered `but`, explains a run in a stretch of a clip. What
/// they have in common is added to `kin`.
pub(super) fn rival(
    index: &Lookup<'_, impl Store + ?Sized>,
    clip: &Clip,
    runs: &[Run],
    run: &Run,
    stretch: &Span,
    but: Option<usize>,
    kin: &mut Vec<Kinship>,
) -> Result<Rival> {
    kin.retain(|kin| runs.iter().any(|run| run.number() == Some(kin.event)));
    let mut rival = Rival::None;
    for (i, other) in runs.iter().enumerate() {
        let Some(event) = other.number().filter(|_| Some(i) != but) else { continue };
        let Some(theirs) = index.weigh(clip, &other.line, stretch)? else { continue };
        // What does not sound explains nothing.
        if theirs.score < HOLDS_SCORE || theirs.strength < FEEBLE * run.now.strength {
            continue;
        }
        let now = index.in_common(clip, &other.line, &run.line, stretch)?;
        let common = add(kin, event, now);
        if !common.is_kindred() && other.line.track != run.line.track {
            continue;
        }
        let share = if run.event.is_some() { 1.0 / STRONGER } else { STRONGER };
        if theirs.strength >= share * run.now.strength {
            return Ok(Rival::Stronger { run: i, same_audio: now.same_audio });
        }
        if run.event.is_none() {
            let most = if let Rival::Weaker { score, .. } = rival { score } else { 0.0 };
            if theirs.score >= most {
                rival = Rival::Weaker { run: i, score: theirs.score };
            }
        }
    }
    Ok(rival)
}

fn add(kin: &mut Vec<Kinship>, event: u64, now: InCommon) -> InCommon {
    let known = kin.iter_mut().find(|kin| kin.event == event);
    let Some(Kinship { common, .. }) = known else {
        kin.push(Kinship { event, common: now });
        return now;
    };
    common.add(now);
    *common
}

impl Lead {
    /// Whether it is more than chance gives between two that share most of their sound. It counts only as
    /// far as it is evidence for the one, not against the other: both may be silent.
    pub fn is_clear(&self) -> bool {
        let own = self.nats + self.theirs;
        self.nats.min(own) > LEAD_NATS.max(LEAD_SHARE * self.theirs)
    }
}

/// Whether a line explains more than an event from the event's beginning on: it was never the event.
pub(super) fn was_it(
    index: &Lookup<'_, impl Store + ?Sized>,
    past: &Past,
    line: &Line,
    event: &Run,
) -> Result<bool> {
    let Some(playing) = &event.event else { return Ok(false) };
    let (own, theirs) = (past.trail(index, line)?, past.trail(index, &event.line)?);
    Ok(own.lead_since(&theirs, playing.start).is_clear())
}

/// Whether a line that is certain takes the place of an event, and from which frame on. It does from the
/// event's beginning on, if the event explained no more until then.
pub(super) fn overtakes(
    index: &Lookup<'_, impl Store + ?Sized>,
    past: &Past,
    line: &Line,
    event: &Run,
) -> Result<Option<u64>> {
    let Some(playing) = &event.event else { return Ok(None) };
    let (own, theirs) = (past.trail(index, line)?, past.trail(index, &event.line)?);
    let whole = own.lead_since(&theirs, playing.start);
    if whole.is_clear() {
        return Ok(Some(playing.start));
    }
    let lead = own.longest_lead(&theirs, playing.start);
    let own_nats = |lead: &Lead| lead.nats + lead.theirs;
    let before = Lead {
        from: playing.start,
        nats: lead.nats - whole.nats,
        theirs: own_nats(&whole) - own_nats(&lead),
    };
    let from = if before.is_clear() { lead.from } else { playing.start };
    Ok(lead.is_clear().then_some(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kindred_is_what_shares_more_than_chance_gives() {
        let is_kindred =
            |peaks, shared| InCommon { peaks, shared, ..InCommon::default() }.is_kindred();
        // Versions of a piece, and tracks that sound at the same time.
        assert!(is_kindred(170.0, 55.0) && is_kindred(1500.0, 210.0));
        assert!(!is_kindred(310.0, 21.0) && !is_kindred(2000.0, 140.0));
        // Of few peaks, more may be the same by chance.
        assert!(!is_kindred(20.0, 3.0) && is_kindred(20.0, 6.0) && !is_kindred(0.0, 0.0));
    }

    #[test]
    fn a_lead_is_clear_if_the_one_has_evidence_of_its_own() {
        let is_clear = |nats, theirs| Lead { from: 0, nats, theirs }.is_clear();
        assert!(is_clear(60.0, 100.0) && !is_clear(39.0, 20.0) && !is_clear(90.0, 500.0));
        // Both are silent: there is evidence against the other, and none for the one.
        assert!(!is_clear(100.0, -90.0) && is_clear(100.0, -50.0));
    }
}
