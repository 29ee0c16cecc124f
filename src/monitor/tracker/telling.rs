//! Events: where they begin and end, and what is told of them.

use super::{MOST_EVENTS, Tracker};
use crate::error::Result;
use crate::monitor::event::{Event, Heard};
use crate::monitor::lookup::{Line, Lookup};
use crate::monitor::run::{Playing, Run};
use crate::store::Store;

impl Tracker {
    /// A run as an event that has not begun before a frame.
    pub(super) fn playing(
        &self,
        index: &Lookup<'_, impl Store + ?Sized>,
        run: &Run,
        from: u64,
    ) -> Result<Playing> {
        let window = (self.config.window_s / self.axes.hop_s) as u64;
        let mut trail = self.past.trail(index, &run.line)?;
        trail.forget_before(from);
        // What ended does not begin again before its end.
        let now_s = self.past.certain() as f64 * self.axes.hop_s;
        let same = |(line, _): &&(Line, u64)| line.is_one_with(&run.line, now_s);
        if let Some((_, end)) = self.ended.iter().find(same) {
            trail.forget_before(*end);
        }
        Ok(Playing::new(self.events, trail, self.past.certain().saturating_sub(window)))
    }

    /// Makes an event of a run, which has not begun before a frame.
    pub(super) fn make_event(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        i: usize,
        from: u64,
    ) -> Result<()> {
        let event = self.playing(index, &self.runs[i], from)?;
        self.events += 1;
        let run = &mut self.runs[i];
        run.since_s = event.start as f64 * self.axes.hop_s;
        run.event = Some(event);
        Ok(())
    }

    /// Moves the ends of events, and tells what is to be told.
    pub(super) fn tell(&mut self, now_s: f64) -> Vec<Event> {
        let mut told = std::mem::take(&mut self.overtaken);
        let patience = (self.config.patience_s / self.axes.hop_s) as u64;
        let look_back = Playing::look_back(&self.axes);
        for mut run in std::mem::take(&mut self.runs) {
            let Some(mut event) = run.event.take() else {
                self.runs.push(run);
                continue;
            };
            event.settle(look_back);
            let heard = run.heard(&event, &self.axes, self.searches_per_hour);
            let is_over = self.past.certain().saturating_sub(event.end) > patience;
            let is_due = |since_s| self.config.update_s.is_some_and(|s| now_s - since_s >= s);
            let is_wanted = self.is_wanted(&heard);
            match event.told_s {
                None if is_wanted => {
                    event.told_s = Some(now_s);
                    told.push(Event::Started(heard));
                }
                Some(since_s) if !is_over && is_due(since_s) => {
                    event.told_s = Some(now_s);
                    told.push(Event::Updated(heard));
                }
                _ => {}
            }
            let end = event.end;
            run.event = Some(event);
            if is_over {
                self.ended.truncate(MOST_EVENTS - 1);
                self.ended.push_front((run.line, end));
                told.extend(self.end(&run));
            } else {
                self.runs.push(run);
            }
        }
        told
    }

    fn is_wanted(&self, heard: &Heard) -> bool {
        heard.length_s() >= self.config.least_s
            && !heard.withdrawn
            && !self.config.ignored.contains(&heard.track)
    }

    /// What is told of the end of an event, if it was told of at all.
    pub(super) fn end(&self, run: &Run) -> Option<Event> {
        let event = run.event.as_ref().filter(|event| event.told_s.is_some())?;
        Some(Event::Ended(run.heard(event, &self.axes, self.searches_per_hour)))
    }
}
