//! The stretches of two recordings that go together along a line.

use super::extending::thinned;
use super::{Aligner, Line, Part, Reach, STEP, Side};
use crate::peaks::Peak;
use crate::search::Span;
use crate::units::TimeSteps;

/// A stretch in which this many nats speak against it ends before them,
const DROP: f64 = 14.0;
/// and one of less evidence is none.
const LEAST: f64 = 30.0;
/// Peaks of a copy are hit with a probability of this at least.
const HIT: f64 = 0.35;
/// Where a stretch ends so close to an end of a recording, it reaches it.
const SNAP_S: f64 = 0.75;

impl Aligner {
    /// The stretches of both that go together along a line.
    pub(super) fn parts(&self, a: Side<'_>, b: Side<'_>, line: Line) -> Vec<Part> {
        let reach = Reach { time: STEP, bin: 8.0 };
        let hits = self.hits(a.peaks, b.peaks, line, reach, false);
        let back = line.reversed();
        let back_hits = self.hits(b.peaks, a.peaks, back, reach, false);
        let by_chance = |peaks: &[Peak], others: &[Peak], line: Line| {
            let peaks = &thinned(peaks);
            let shifts = [-67.0, -43.0, 37.0, 61.0].map(|frames| frames * STEP);
            let count = |shift: f64| {
                let line = Line { offset: line.offset + shift, ..line };
                self.hits(peaks, others, line, reach, false).len()
            };
            let all: usize = shifts.into_iter().map(count).sum();
            (all as f64 / (shifts.len() * peaks.len().max(1)) as f64).clamp(0.01, 0.2)
        };
        let chance = by_chance(a.peaks, b.peaks, line);
        let chance_back = by_chance(b.peaks, a.peaks, back);
        // The peaks of both, in the time of `a`.
        let mut marks: Vec<(f64, bool, bool)> = Vec::new();
        let mark = |peaks: &[Peak], hits: &[(usize, usize)]| {
            let mut marks = vec![false; peaks.len()];
            hits.iter().for_each(|hit| marks[hit.0] = true);
            marks
        };
        let end = |side: Side<'_>| side.peaks.last().map_or(0.0, |p| f64::from(p.time.0));
        let (end_a, end_b) = (end(a), end(b));
        for (p, hit) in a.peaks.iter().zip(mark(a.peaks, &hits)) {
            let t = f64::from(p.time.0);
            if (-STEP..=end_b + STEP).contains(&(line.ratio * t + line.offset)) {
                marks.push((t, hit, true));
            }
        }
        for (p, hit) in b.peaks.iter().zip(mark(b.peaks, &back_hits)) {
            let t = back.ratio * f64::from(p.time.0) + back.offset;
            if (-STEP..=end_a + STEP).contains(&t) {
                marks.push((t, hit, false));
            }
        }
        marks.sort_by(|x, y| x.0.total_cmp(&y.0));
        let worth = |hit: bool, of_a: bool| {
            let chance = if of_a { chance } else { chance_back };
            let p = HIT.max(2.0 * chance);
            // Peaks of both tell of the same sound: half of each counts.
            0.5 * if hit { (p / chance).ln() } else { ((1.0 - p) / (1.0 - chance)).ln() }
        };
        let mut parts = Vec::new();
        let (mut sum, mut top, mut begin, mut end) = (0.0, 0.0, 0, 0);
        let close = |begin: usize, end: usize, top: f64, parts: &mut Vec<Part>| {
            if top >= LEAST {
                parts.push(self.part(a, b, line, &marks[begin..=end], top));
            }
        };
        for (i, &(_, hit, of_a)) in marks.iter().enumerate() {
            if sum <= 0.0 {
                (sum, top, begin) = (0.0, 0.0, i);
            }
            sum += worth(hit, of_a);
            if sum > top {
                (top, end) = (sum, i);
            }
            if top - sum > DROP || (sum <= 0.0 && top > 0.0) {
                close(begin, end, top, &mut parts);
                (sum, top) = (0.0, 0.0);
            }
        }
        if top > 0.0 {
            close(begin, end, top, &mut parts);
        }
        parts
    }

    fn part(
        &self,
        a: Side<'_>,
        b: Side<'_>,
        line: Line,
        marks: &[(f64, bool, bool)],
        evidence: f64,
    ) -> Part {
        let share = |of_a: bool| {
            let of = marks.iter().filter(|m| m.2 == of_a);
            let hits = of.clone().filter(|m| m.1).count();
            hits as f64 / of.count().max(1) as f64
        };
        // A peak speaks for the whole of its window; half of it, not to claim too much.
        let half_s = self.first_frame_s / 2.0;
        let first = marks.first().map_or(0.0, |m| m.0);
        let last = marks.last().map_or(0.0, |m| m.0);
        let mut from_s = (self.seconds(TimeSteps(first)) - half_s).max(0.0);
        let mut to_s = (self.seconds(TimeSteps(last)) + half_s).min(a.duration_s);
        // Where either begins, so does what they have in common.
        let back = line.reversed();
        let earliest_s = self.across_s(back, 0.0).max(0.0);
        let latest_s = self.across_s(back, b.duration_s).min(a.duration_s);
        if from_s - earliest_s < SNAP_S {
            from_s = earliest_s;
        }
        if latest_s - to_s < SNAP_S {
            to_s = latest_s;
        }
        let across = |s: f64| self.across_s(line, s).clamp(0.0, b.duration_s);
        Part {
            a: Span { start_s: from_s, end_s: to_s },
            b: Span { start_s: across(from_s), end_s: across(to_s) },
            agreement: share(true).min(share(false)),
            evidence,
        }
    }
}
