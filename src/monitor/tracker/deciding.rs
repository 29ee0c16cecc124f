//! Which lines become events, where they share their sound with others.

use super::{MOST_EVENTS, Tracker, heard_in};
use crate::error::Result;
use crate::monitor::lookup::{Clip, Lookup};
use crate::monitor::rivals::{Kinship, Rival, overtakes, rival, was_it};
use crate::monitor::run::{HOLDS_SCORE, Playing};
use crate::search::Span;
use crate::store::Store;

impl Tracker {
    /// What of the events explains a run.
    pub(super) fn rival(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
        i: usize,
        stretch: &Span,
    ) -> Result<Rival> {
        let mut kin = std::mem::take(&mut self.runs[i].kin);
        let found = rival(index, clip, &self.runs, &self.runs[i], stretch, Some(i), &mut kin);
        self.runs[i].kin = kin;
        found
    }

    /// Puts a line in the place of an event if it explains more than that from its beginning on.
    pub(super) fn contest(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        i: usize,
        by: usize,
    ) -> Result<()> {
        if self.runs[i].now.strength <= self.runs[by].now.strength {
            return Ok(());
        }
        let was_it = was_it(index, &self.past, &self.runs[i].line, &self.runs[by])?;
        if let Some(from) = self.start_of(by).filter(|_| was_it) {
            self.replace(index, i, by, from)?;
        }
        Ok(())
    }

    /// Ends an event where another line took its place, and makes an event of that.
    pub(super) fn replace(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        i: usize,
        by: usize,
        from: u64,
    ) -> Result<()> {
        let Some(mut event) = self.runs[by].event.take() else { return Ok(()) };
        let start = event.start;
        event.limit = Some(from);
        event.settle(Playing::look_back(&self.axes));
        let (best, end, same_as) = (self.runs[by].best, event.end, event.same_as.clone());
        self.ended.truncate(MOST_EVENTS - 1);
        self.ended.push_front((self.runs[by].line, end));
        self.runs[by].event = Some(event);
        let told = self.end(&self.runs[by]);
        self.overtaken.extend(told);
        self.runs[by].event = None;
        self.runs[by].forget();
        self.make_event(index, i, from)?;
        if start == from {
            let track = self.runs[by].line.track;
            self.runs[i].best = self.runs[i].best.max(best);
            if let Some(event) = &mut self.runs[i].event {
                // Where both are faint, the other one has told where it began.
                event.start = event.start.min(start);
            }
            // The other version may be the same track at another place.
            for twin in same_as.into_iter().chain([track]) {
                self.add_twin(i, twin);
            }
        }
        Ok(())
    }

    /// Makes events of runs that are certain, the most certain first, unless one explains another.
    pub(super) fn confirm(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
    ) -> Result<()> {
        for i in 0..self.runs.len() {
            let run = &self.runs[i];
            let open = self.runs.iter().filter(|run| run.event.is_some()).count();
            // What is silent now begins no event.
            let is_certain = run.sum() >= self.needed && run.now.score >= HOLDS_SCORE;
            if run.event.is_some() || !is_certain || open == MOST_EVENTS {
                continue;
            }
            let stretch = heard_in(run, &Span { start_s: clip.begin_s, end_s: clip.end_s() });
            let mut rival = self.rival(index, clip, i, &stretch)?;
            if rival == Rival::None
                && let Some(run) = self.kindred_event(index, i)?
            {
                // It is faint just now, or over.
                rival = Rival::Weaker { run, score: 0.0 };
            }
            match rival {
                Rival::None => {
                    let best = self.best_of_kin(index, clip, i)?;
                    self.make_event(index, best, 0)?;
                    let sum = self.runs[i].best;
                    self.runs[best].best = self.runs[best].best.max(sum);
                }
                Rival::Weaker { run: by, .. } => {
                    let (line, event) = (&self.runs[i].line, &self.runs[by]);
                    if let Some(from) = overtakes(index, &self.past, line, event)? {
                        self.replace(index, i, by, from)?;
                    }
                }
                Rival::Stronger { run: by, same_audio } => {
                    let track = self.runs[i].line.track;
                    if same_audio {
                        self.add_twin(by, track);
                    }
                }
            }
        }
        Ok(())
    }

    /// The event with which a run shares sounds, now or where the run seems to have begun.
    fn kindred_event(
        &self,
        index: &Lookup<'_, impl Store + ?Sized>,
        i: usize,
    ) -> Result<Option<usize>> {
        let run = &self.runs[i];
        let start = self.playing(index, run, 0)?.start;
        for (j, other) in self.runs.iter().enumerate() {
            let Some(event) = &other.event else { continue };
            let is_kindred = |kin: &Kinship| kin.event == event.number && kin.is_kindred();
            if run.kin.iter().any(is_kindred) {
                return Ok(Some(j));
            }
            let overlap = (event.start.max(start), event.end);
            let common = self.past.in_common(index, &other.line, &run.line, overlap)?;
            if common.is_kindred() {
                return Ok(Some(j));
            }
        }
        Ok(None)
    }

    /// Of a run and all that share its sound and are no events, the one that explains most since either was
    /// found.
    fn best_of_kin(
        &self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
        i: usize,
    ) -> Result<usize> {
        let run = &self.runs[i];
        let stretch = heard_in(run, &Span { start_s: clip.begin_s, end_s: clip.end_s() });
        let (mut best, mut trail) = (i, None);
        for (j, other) in self.runs.iter().enumerate() {
            let sounds = other.sum() > 0.0;
            if j == i || other.event.is_some() || !sounds {
                continue;
            }
            if !index.in_common(clip, &other.line, &run.line, &stretch)?.is_kindred() {
                continue;
            }
            let theirs = self.past.trail(index, &other.line)?;
            let own = match trail.take() {
                Some(own) => own,
                None => self.past.trail(index, &run.line)?,
            };
            let since_s = self.runs[best].since_s.min(other.since_s);
            let since = (since_s / self.axes.hop_s) as u64;
            if theirs.lead_since(&own, since).is_clear() {
                (best, trail) = (j, Some(theirs));
            } else {
                trail = Some(own);
            }
        }
        Ok(best)
    }
}
