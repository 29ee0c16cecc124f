//! From what is found in each window to events.
//!
//! Each place that a search finds is a line: every later time of the stream is one of the track. Lines are
//! followed, found again or not. What windows that do not overlap say of a line adds up (A. Wald,
//! "Sequential tests of statistical hypotheses", 1945), until it is certain or hopeless.

mod deciding;
mod telling;

use super::MonitorConfig;
use super::event::Event;
use super::lookup::{Clip, Found, Line, Lookup, Weight};
use super::past::Past;
use super::rivals::{Rival, rival};
use super::run::{HOLDS_SCORE, Run};
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
