//! A track that may be heard, or is.

use super::event::Heard;
use super::lookup::{Line, Weight};
use super::past::LOOK_BACK_S;
use super::rivals::Kinship;
use super::trail::Trail;
use crate::spectrogram::Axes;
use crate::units::TrackId;
use std::collections::VecDeque;

/// Two lines are one if they are no farther apart than this, in seconds,
const ONE_LINE_S: f64 = 0.25;
/// and their speeds than this.
const ONE_SPEED: f64 = 0.02;
/// A window in which a line's score is at least this holds it.
pub(super) const HOLDS_SCORE: f64 = 1.0;
/// An event that something else explains, and that is not longer without it, was none.
const WITHDRAWN_S: f64 = 1.0;
/// Tracks of the same audio that are remembered for an event.
const MOST_TWINS: usize = 8;

impl Line {
    /// Whether another line is the same at some time of the stream.
    pub fn is_one_with(&self, other: &Self, stream_s: f64) -> bool {
        let apart_s = self.reference_at(stream_s) - other.reference_at(stream_s);
        self.track == other.track
            && apart_s.abs() <= ONE_LINE_S
            && (self.speed - other.speed).abs() <= ONE_SPEED
            && (self.pitch - other.pitch).abs() <= ONE_SPEED
    }
}

/// A line with the evidence that adds up along it.
pub(super) struct Run {
    pub line: Line,
    /// The time of the stream from which on it is judged, in seconds.
    pub since_s: f64,
    /// What the last window says of it.
    pub now: Weight,
    /// The ends of the last windows, in seconds, each with the sum of scores up to there: of windows that
    /// end where the next begins.
    sums: VecDeque<(f64, f64)>,
    /// The greatest of all sums.
    pub best: f64,
    /// What it has in common with events.
    pub kin: Vec<Kinship>,
    /// What is known once it is an event.
    pub event: Option<Playing>,
}

impl Run {
    pub fn new(line: Line, since_s: f64, now: Weight) -> Self {
        Self { line, since_s, now, sums: VecDeque::new(), best: 0.0, kin: Vec::new(), event: None }
    }

    /// The number of the event that it is.
    pub fn number(&self) -> Option<u64> {
        self.event.as_ref().map(|event| event.number)
    }

    /// Adds what a window says, which ends at `end_s` and is `window_s` long. Evidence that windows
    /// have in common counts once.
    pub fn add(&mut self, score: f64, end_s: f64, window_s: f64) {
        let disjoint = |sum: &&(f64, f64)| sum.0 <= end_s - window_s + 0.05;
        let before = self.sums.iter().rev().find(disjoint).map_or(0.0, |sum| sum.1.max(0.0));
        let sum = before + score;
        self.best = self.best.max(sum);
        self.sums.push_back((end_s, sum));
        while self.sums.front().is_some_and(|sum| sum.0 < end_s - 3.0 * window_s) {
            self.sums.pop_front();
        }
    }

    /// The sum up to the last window.
    pub fn sum(&self) -> f64 {
        self.sums.back().map_or(0.0, |sum| sum.1)
    }

    /// Begins anew: what spoke for it is explained by something else.
    pub fn forget(&mut self) {
        self.sums.clear();
    }

    /// Whether none of the windows that end after `since_s` speaks for it.
    pub fn is_hopeless(&self, since_s: f64) -> bool {
        self.sums.iter().all(|&(end_s, sum)| end_s <= since_s || sum <= 0.0)
    }

    /// The event, as it is known by now, where so many searches in an hour are this many as a logarithm.
    pub fn heard(&self, event: &Playing, axes: &Axes, searches_per_hour: f64) -> Heard {
        // Peaks at a border speak for the whole of their windows.
        let start_s = event.start as f64 * axes.hop_s;
        let end_s = event.end.saturating_sub(1) as f64 * axes.hop_s + 2.0 * axes.first_frame_s;
        let line = &self.line;
        Heard {
            number: event.number,
            track: line.track,
            name: String::new(),
            start_s,
            end_s,
            reference_start_s: line.reference_at(start_s),
            reference_end_s: line.reference_at(end_s),
            speed: line.speed,
            pitch: line.pitch,
            score: self.best - searches_per_hour,
            same_as: event.same_as.clone(),
            withdrawn: event.limit.is_some() && end_s - start_s < WITHDRAWN_S,
            started_at: None,
            ended_at: None,
        }
    }
}

/// A run that is an event. Times are numbers of frames.
pub(super) struct Playing {
    pub number: u64,
    pub trail: Trail,
    pub start: u64,
    /// The frame after its last, as far as is known.
    pub end: u64,
    /// A frame in the last window that held it.
    pub inside: u64,
    /// It ends there at the latest, for something else explains what follows.
    pub limit: Option<u64>,
    pub same_as: Vec<TrackId>,
    /// When it was told last, in seconds. `None` if it was not told yet.
    pub told_s: Option<f64>,
}

impl Playing {
    /// The event that evidence tells of, the last window of which begins at `since`.
    pub fn new(number: u64, trail: Trail, since: u64) -> Self {
        let inside = trail.middle_since(since);
        let start = trail.start_of_run(inside);
        let mut playing = Self {
            number,
            start,
            end: start + 1,
            inside,
            limit: None,
            same_as: Vec::new(),
            told_s: None,
            trail,
        };
        playing.settle(u64::MAX);
        playing
    }

    /// Finds its end anew, and forgets frames that are so long before what holds it.
    pub fn settle(&mut self, look_back: u64) {
        self.end = self.trail.end_of_run(self.inside).max(self.end.min(self.inside));
        if let Some(limit) = self.limit {
            self.end = self.end.min(limit);
        }
        self.end = self.end.max(self.start + 1);
        self.trail.forget_before(self.inside.saturating_sub(look_back));
    }

    /// Frames that are looked back at for its end.
    pub fn look_back(axes: &Axes) -> u64 {
        (LOOK_BACK_S / axes.hop_s) as u64
    }

    /// Says that another track has the same audio.
    pub fn add_twin(&mut self, track: TrackId) {
        if !self.same_as.contains(&track) && self.same_as.len() < MOST_TWINS {
            self.same_as.push(track);
        }
    }
}
