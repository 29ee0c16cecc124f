//! From what is found in each window to events.
//!
//! Each place that a search finds is a line: every later time of the stream is one of the track. Lines are
//! followed, found again or not. What windows that do not overlap say of a line adds up (A. Wald,
//! "Sequential tests of statistical hypotheses", 1945), until it is certain or hopeless.

use super::MonitorConfig;
use super::event::{Event, Heard};
use super::lookup::{Clip, Found, Line, Lookup, Weight};
use super::past::Past;
use super::rivals::{Kinship, Rival, overtakes, rival, was_it};
use super::run::{HOLDS_SCORE, Playing, Run};
use crate::error::Result;
use crate::search::Span;
use crate::spectrogram::Axes;
use crate::store::Store;
use crate::units::TrackId;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// Lines that are followed at most, besides those of events.
const MOST_LINES: usize = 24;
/// Events at the same time at most.
const MOST_EVENTS: usize = 16;
/// A run is judged by so many seconds at least.
const SHORTEST_S: f64 = 1.0;
/// A track is said to be of the same audio as an event if it has this score.
const SAME_SCORE: f64 = 3.0;
/// A line stays as it is if it has this share of the strength of that which is found in its place.
const STAYS: f64 = 0.9;
/// This share of a track's peaks may be missing in a window. What is taken off the score for the rest, if all
/// of them were.
const USUAL_MISSING_RATIO: f64 = 0.12;
const MISSING_WEIGHT: f64 = 12.0;

/// Follows what is heard in one stream.
pub(super) struct Tracker {
    config: MonitorConfig,
    axes: Axes,
    runs: Vec<Run>,
    past: Past,
    /// Sum of scores that makes an event of a run.
    needed: f64,
    /// How many searches there are in an hour, as a logarithm.
    searches_per_hour: f64,
    /// Number of events so far.
    events: u64,
    /// The last that ended, and when.
    ended: VecDeque<(Line, u64)>,
    /// What is to be told of events that others took the place of.
    overtaken: Vec<Event>,
}

impl Tracker {
    pub fn new(config: MonitorConfig, axes: Axes) -> Self {
        let searches_per_hour = (3600.0 / config.step_s).log10();
        Self {
            needed: searches_per_hour - config.max_false_per_hour.log10(),
            searches_per_hour,
            past: Past::new(axes.hop_s),
            axes,
            runs: Vec::new(),
            events: 0,
            ended: VecDeque::new(),
            overtaken: Vec::new(),
            config,
        }
    }

    /// Takes a window that ends with frame `end` − 1 of the stream, and what was found in it.
    pub fn step(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
        end: u64,
        found: &[Found],
        is_last: bool,
    ) -> Result<Vec<Event>> {
        let window = Span { start_s: clip.begin_s, end_s: clip.end_s() };
        if let Some(part) = self.past.take(clip, end, is_last) {
            for run in &mut self.runs {
                if let Some(event) = &mut run.event {
                    let evidence = part.evidence(index, &run.line, self.axes.hop_s)?;
                    event.trail.extend_from(part.first, &evidence);
                }
            }
        }
        let (again, new) = self.attach(index, clip, found)?;
        self.score(index, clip, end, &again)?;
        for found in new {
            self.begin(index, clip, found)?;
        }
        self.tidy(&window);
        self.confirm(index, clip)?;
        Ok(self.tell(window.end_s))
    }

    /// Takes a stretch of the stream up to frame `end` in which there is nothing.
    pub fn pass(&mut self, end: u64) -> Vec<Event> {
        self.past.pass(end);
        self.runs.retain(|run| run.event.is_some());
        let events = self.runs.iter_mut().filter_map(|run| run.event.as_mut());
        events.for_each(|event| event.trail.extend_from(end, &[]));
        self.tell(self.axes.time_s(end as f64))
    }

    /// Ends what is open, at the end of the stream.
    pub fn finish(&mut self, now_s: f64) -> Vec<Event> {
        let mut told = self.tell(now_s);
        for run in std::mem::take(&mut self.runs) {
            told.extend(self.end(&run));
        }
        told
    }

    /// Puts the lines of runs where they were found again, if that explains more. Gives the scores of these,
    /// for all runs, and what is of no run.
    fn attach<'f>(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
        found: &'f [Found],
    ) -> Result<(Vec<Option<f64>>, Vec<&'f Found>)> {
        let mut again: Vec<Option<f64>> = vec![None; self.runs.len()];
        let mut new = Vec::new();
        for f in found {
            let middle_s = f.span.start_s.midpoint(f.span.end_s);
            let is_one = |run: &Run| run.line.is_one_with(&f.line, middle_s);
            let Some(i) = self.runs.iter().position(is_one) else {
                new.push(f);
                continue;
            };
            // The best comes first.
            if again[i].is_none() {
                again[i] = Some(f.score);
                let run = &mut self.runs[i];
                let strength = |line: &Line| -> Result<f64> {
                    Ok(index.weigh(clip, line, &f.span)?.map_or(f64::NEG_INFINITY, |w| w.strength))
                };
                if STAYS * strength(&f.line)? > strength(&run.line)? {
                    run.line = f.line;
                }
                run.since_s = run.since_s.min(f.span.start_s);
            }
        }
        Ok((again, new))
    }

    /// Adds what a window says to each run.
    fn score(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
        end: u64,
        again: &[Option<f64>],
    ) -> Result<()> {
        let window = Span { start_s: clip.begin_s, end_s: clip.end_s() };
        for run in &mut self.runs {
            let stretch = heard_in(run, &window);
            run.now = index.weigh(clip, &run.line, &stretch)?.unwrap_or_default();
        }
        let first = end - clip.query.levels().frames() as u64;
        for (i, found) in again.iter().enumerate() {
            let now = self.runs[i].now;
            let found = found.unwrap_or(f64::NEG_INFINITY);
            let mut score = now.score.max(found) - penalty(&now);
            let rival = self.rival(index, clip, i, &window)?;
            match rival {
                Rival::None => {}
                Rival::Weaker { score: theirs, .. } => score -= theirs.max(0.0),
                Rival::Stronger { run: by, same_audio } => {
                    let (track, from) = (self.runs[i].line.track, self.start_of(by));
                    if same_audio && score >= SAME_SCORE {
                        self.add_twin(by, track);
                    }
                    // Where it is silent, there is nothing to explain.
                    let event = self.runs[i].event.as_mut().filter(|_| score >= HOLDS_SCORE);
                    if let (Some(event), Some(from)) = (event, from) {
                        event.limit = Some(event.limit.unwrap_or(from).min(from));
                    }
                    score = score.min(0.0);
                }
            }
            let run = &mut self.runs[i];
            run.add(score, window.end_s, window.length_s());
            if let Some(event) = run.event.as_mut().filter(|_| score >= HOLDS_SCORE) {
                event.inside = event.inside.max(first);
                event.limit = None;
            }
            if let (Rival::Weaker { run: by, .. } | Rival::Stronger { run: by, .. }, None) =
                (rival, &self.runs[i].event)
            {
                self.contest(index, i, by)?;
            }
        }
        Ok(())
    }

    /// What of the events explains a run.
    fn rival(
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
    fn contest(
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
    fn replace(
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

    /// Begins to follow a line, unless an event explains it.
    fn begin(
        &mut self,
        index: &Lookup<'_, impl Store + ?Sized>,
        clip: &Clip,
        found: &Found,
    ) -> Result<()> {
        let Some(now) = index.weigh(clip, &found.line, &found.span)? else { return Ok(()) };
        let mut run = Run::new(found.line, found.span.start_s, now);
        let mut score = found.score - penalty(&now);
        let mut kin = Vec::new();
        let rival = rival(index, clip, &self.runs, &run, &found.span, None, &mut kin)?;
        run.kin = kin;
        let (mut by, mut is_followed) = (None, true);
        match rival {
            Rival::None => {}
            Rival::Weaker { run, score: theirs } => {
                (by, score) = (Some(run), score - theirs.max(0.0));
            }
            Rival::Stronger { run: stronger, same_audio } => {
                if same_audio && score >= SAME_SCORE {
                    self.add_twin(stronger, found.line.track);
                }
                (by, is_followed) = (Some(stronger), false);
            }
        }
        run.add(score, clip.end_s(), clip.query.duration_s());
        let last = self.runs.len();
        self.runs.push(run);
        if let Some(by) = by {
            self.contest(index, last, by)?;
        }
        if !is_followed && self.runs[last].event.is_none() {
            self.runs.pop();
        }
        Ok(())
    }

    fn start_of(&self, run: usize) -> Option<u64> {
        self.runs[run].event.as_ref().map(|event| event.start)
    }

    fn add_twin(&mut self, run: usize, track: TrackId) {
        let of_event = self.runs[run].line.track;
        if let Some(event) = self.runs[run].event.as_mut().filter(|_| of_event != track) {
            event.add_twin(track);
        }
    }

    /// Drops lines that lead nowhere or have become one with another, and the weakest of too many.
    fn tidy(&mut self, window: &Span) {
        self.runs.retain(|run| run.event.is_some() || !run.is_hopeless(window.start_s));
        let sum = |run: &Run| (run.event.is_some(), (1e6 * run.sum()) as i64);
        self.runs.sort_by_key(|run| Reverse(sum(run)));
        let mut kept: Vec<Run> = Vec::new();
        let mut lines = 0;
        for run in std::mem::take(&mut self.runs) {
            let is_known = |k: &Run| k.line.is_one_with(&run.line, window.end_s);
            lines += usize::from(run.event.is_none());
            if run.event.is_some() || (lines <= MOST_LINES && !kept.iter().any(is_known)) {
                kept.push(run);
            }
        }
        self.runs = kept;
    }

    /// Makes events of runs that are certain, the most certain first, unless one explains another.
    fn confirm(&mut self, index: &Lookup<'_, impl Store + ?Sized>, clip: &Clip) -> Result<()> {
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

    /// A run as an event that has not begun before a frame.
    fn playing(
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
    fn make_event(
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
    fn tell(&mut self, now_s: f64) -> Vec<Event> {
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
    fn end(&self, run: &Run) -> Option<Event> {
        let event = run.event.as_ref().filter(|event| event.told_s.is_some())?;
        Some(Event::Ended(run.heard(event, &self.axes, self.searches_per_hour)))
    }
}

/// What is taken off a score for what is missing of the track. Over one window, little may be missing by
/// chance. Where two recordings share a loop, much is missing for as long as that plays.
fn penalty(weight: &Weight) -> f64 {
    MISSING_WEIGHT * (weight.missing_ratio - USUAL_MISSING_RATIO).max(0.0)
}

/// The stretch of a window in which a run is judged: from its beginning on.
fn heard_in(run: &Run, window: &Span) -> Span {
    let latest_s = window.end_s - SHORTEST_S;
    Span { start_s: window.start_s.max(run.since_s.min(latest_s)), end_s: window.end_s }
}
