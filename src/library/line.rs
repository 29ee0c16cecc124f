//! How the peaks of two recordings go together: along a line in time, on which one is played at a constant
//! speed of the other.

use crate::config::Config;
use crate::peaks::{Peak, STEPS};
use crate::search::Span;

/// Steps of a peak's time or frequency as a number.
const STEP: f64 = STEPS as f64;
/// A stretch in which this many nats speak against it ends before them,
const DROP: f64 = 14.0;
/// and one of less evidence is none.
const LEAST: f64 = 30.0;
/// Peaks of a copy are hit with a probability of this at least.
const HIT: f64 = 0.35;
/// A line is fitted to so many peaks of a recording, or to half as many; and chance is measured with them.
const ENOUGH: usize = 1500;
/// Where a stretch ends so close to an end of a recording, it reaches it.
const SNAP_S: f64 = 0.75;

/// `t_b = ratio · t_a + offset`, in steps; frequencies of `a` are `ratio` times those of `b`. So `ratio` is the
/// speed of `a` as a multiple of that of `b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub ratio: f64,
    pub offset: f64,
}

impl Line {
    /// The same, from the other side.
    pub fn reversed(self) -> Self {
        Self { ratio: 1.0 / self.ratio, offset: -self.offset / self.ratio }
    }
}

/// What two recordings have in common along a line.
#[derive(Clone, Debug)]
pub(super) struct Joint {
    pub line: Line,
    pub parts: Vec<Part>,
}

/// A stretch that is in both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub a: Span,
    pub b: Span,
    /// Shares of the peaks of each that the other has.
    pub agreement: f64,
    /// Natural logarithm of the likelihood ratio, summed over the peaks.
    pub evidence: f64,
}

/// Half-widths of the window in which a peak is looked for, in steps.
#[derive(Clone, Copy)]
struct Reach {
    time: f64,
    bin: f64,
}

/// A recording as peaks.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub peaks: &'a [Peak],
    pub duration_s: f64,
}

/// Lays recordings beside each other.
pub(super) struct Aligner {
    hop_s: f64,
    first_frame_s: f64,
    first_bin: f64,
}

impl Aligner {
    pub fn new(config: &Config) -> Self {
        Self {
            hop_s: config.stft.hop_s(),
            first_frame_s: config.stft.window_s() / 2.0,
            first_bin: config.stft.first_bin() as f64 * STEP,
        }
    }

    /// Time between frames in seconds.
    pub fn hop_s(&self) -> f64 {
        self.hop_s
    }

    /// Steps from the first frame's centre to a time.
    pub fn steps(&self, time_s: f64) -> f64 {
        (time_s - self.first_frame_s) / self.hop_s * STEP
    }

    pub fn seconds(&self, steps: f64) -> f64 {
        steps / STEP * self.hop_s + self.first_frame_s
    }

    /// The time in `b`, in seconds, that goes with one in `a`.
    pub fn across_s(&self, line: Line, time_s: f64) -> f64 {
        self.seconds(line.ratio * self.steps(time_s) + line.offset)
    }

    /// The peaks of `a` as they would be, if it were played as fast as `b`.
    pub fn scaled(&self, peaks: &[Peak], ratio: f64) -> Vec<Peak> {
        let scale = |p: &Peak| {
            let time = f64::from(p.time) * ratio;
            let bin = (f64::from(p.bin) + self.first_bin) / ratio - self.first_bin;
            let fits = (0.0..f64::from(u16::MAX)).contains(&bin) && time < f64::from(u32::MAX);
            fits.then_some(Peak { time: time.round() as u32, bin: bin.round() as u16, ..*p })
        };
        peaks.iter().filter_map(scale).collect()
    }

    /// The line on which a stretch of `a` goes together with `b`, roughly known: its ratio to half a per cent,
    /// its offset to `slack` steps.
    pub fn find(&self, a: &[Peak], b: &[Peak], rough: Line, slack: f64) -> Option<Line> {
        let exact = rough.ratio == 1.0;
        let cell = if exact { STEP } else { 2.0 * STEP };
        let cells = (2.0 * slack / cell).ceil() as usize + 2;
        let mut counts = vec![0u32; cells];
        let middle = a.get(a.len() / 2)?.time;
        let rough_bin = if exact { 8.0 } else { 12.0 };
        self.visit(a, b, rough, Reach { time: slack, bin: rough_bin }, !exact, |pa, pb, dt, _| {
            let _ = (pa, pb);
            let at = ((dt + slack) / cell) as usize;
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
        });
        let pairs: Vec<u32> = counts.windows(2).map(|two| two[0] + two[1]).collect();
        let (best, &most) = pairs.iter().enumerate().max_by_key(|(_, count)| **count)?;
        let sum: u32 = pairs.iter().sum();
        let mean = f64::from(sum - most) / (pairs.len().max(2) - 1) as f64;
        // Chance: a Poisson count, of which the greatest of some is taken.
        if f64::from(most) < mean + 5.0 * mean.sqrt() + 6.0 {
            return None;
        }
        let dt = (best as f64 + 1.0) * cell - slack;
        let mut line = Line { offset: rough.offset + dt, ..rough };
        let widths = [
            Reach { time: 3.0 * STEP, bin: rough_bin },
            Reach { time: 2.0 * STEP, bin: 8.0 },
            Reach { time: 1.5 * STEP, bin: 8.0 },
        ];
        for reach in widths {
            line = self.refine(a, b, line, reach, f64::from(middle), exact)?;
        }
        Some(line)
    }

    /// A line that goes better with the peaks that it hits.
    fn refine(
        &self,
        a: &[Peak],
        b: &[Peak],
        line: Line,
        reach: Reach,
        middle: f64,
        fixed: bool,
    ) -> Option<Line> {
        let hits = self.hits(a, b, line, reach, false);
        if hits.len() < 8 {
            return None;
        }
        // Frequencies tell the ratio of a short stretch best.
        let (mut ab, mut aa) = (0.0, 0.0);
        let mut errors: Vec<f64> = Vec::with_capacity(hits.len());
        for &(i, j) in &hits {
            let (fa, fb) = (self.frequency(&a[i]), self.frequency(&b[j]));
            ab += fa * fb;
            aa += fb * fb;
            errors.push(f64::from(b[j].time) - line.ratio * f64::from(a[i].time) - line.offset);
        }
        let ratio = if fixed { line.ratio } else { ab / aa };
        let error = median(&mut errors);
        let at_middle = line.ratio * middle + line.offset + error;
        Some(Line { ratio, offset: at_middle - ratio * middle })
    }

    fn frequency(&self, peak: &Peak) -> f64 {
        f64::from(peak.bin) + self.first_bin
    }

    /// Calls `each` with peaks of `a` and `b` that are close on a line, and how far they are apart.
    fn visit(
        &self,
        a: &[Peak],
        b: &[Peak],
        line: Line,
        reach: Reach,
        low: bool,
        mut each: impl FnMut(usize, usize, f64, f64),
    ) {
        let mut first = 0;
        for (i, pa) in a.iter().enumerate() {
            let f = self.frequency(pa) / line.ratio;
            // Where the ratio is rough, high frequencies are too.
            if low && f > 256.0 * STEP {
                continue;
            }
            let t = line.ratio * f64::from(pa.time) + line.offset;
            while b.get(first).is_some_and(|p| f64::from(p.time) < t - reach.time) {
                first += 1;
            }
            let near = b[first..].iter().take_while(|p| f64::from(p.time) <= t + reach.time);
            for (j, pb) in near.enumerate() {
                let df = self.frequency(pb) - f;
                if df.abs() <= reach.bin {
                    each(i, first + j, f64::from(pb.time) - t, df);
                }
            }
        }
    }

    /// For each peak of `a` the nearest of `b` within reach.
    fn hits(
        &self,
        a: &[Peak],
        b: &[Peak],
        line: Line,
        reach: Reach,
        low: bool,
    ) -> Vec<(usize, usize)> {
        let mut hits: Vec<(usize, usize)> = Vec::new();
        let mut best = f64::INFINITY;
        self.visit(a, b, line, reach, low, |i, j, dt, df| {
            let far = (dt / reach.time).powi(2) + (df / reach.bin).powi(2);
            match hits.last_mut() {
                Some(last) if last.0 == i => {
                    if far < best {
                        (*last, best) = ((i, j), far);
                    }
                }
                _ => {
                    hits.push((i, j));
                    best = far;
                }
            }
        });
        hits
    }

    /// Share of the peaks of `a` that `b` has along a line, 0 to 1: in the first or in the second half of `a`,
    /// whichever has more, for `b` may begin or end on the way.
    pub fn agreement(&self, a: &[Peak], b: &[Peak], line: Line) -> f64 {
        let reach = Reach { time: STEP, bin: 8.0 };
        let (first, second) = a.split_at(a.len() / 2);
        let share = |half: &[Peak]| {
            self.hits(half, b, line, reach, false).len() as f64 / half.len().max(1) as f64
        };
        share(first).max(share(second))
    }

    /// All that two recordings have in common along a line that is known in one place, `at_s` in `a`. The line
    /// is made better on the way from there.
    pub fn extend(&self, a: Side<'_>, b: Side<'_>, line: Line, at_s: f64) -> Joint {
        let within = |line: Line, from_s: f64, to_s: f64| {
            let (from, to) = (self.steps(from_s), self.steps(to_s));
            let cut = |p: &[Peak], from: f64, to: f64| {
                let first = p.partition_point(|p| f64::from(p.time) < from);
                let end = p.partition_point(|p| f64::from(p.time) < to);
                first..end.max(first)
            };
            let slack = 8.0 * STEP;
            let ra = cut(a.peaks, from, to);
            let at = |t: f64| line.ratio * t + line.offset;
            let rb = cut(b.peaks, at(from) - slack, at(to) + slack);
            (&a.peaks[ra], &b.peaks[rb])
        };
        let mut line = line;
        let mut reach_s = 20.0;
        let longest_s = a.duration_s.max(at_s) + 1.0;
        loop {
            let (pa, pb) = within(line, at_s - reach_s, at_s + reach_s);
            let pa = &thinned(pa);
            for time in [2.0, 1.25, 1.0] {
                let reach = Reach { time: time * STEP, bin: 8.0 };
                if let Some(better) = self.fit(pa, pb, line, reach, reach_s) {
                    line = better;
                }
            }
            if reach_s > longest_s {
                break;
            }
            reach_s *= 2.0;
        }
        let parts = self.parts(a, b, line);
        Joint { line, parts }
    }

    /// Least squares through the times of the peaks that a line hits.
    fn fit(&self, a: &[Peak], b: &[Peak], line: Line, reach: Reach, reach_s: f64) -> Option<Line> {
        let hits = self.hits(a, b, line, reach, false);
        if hits.len() < 12 {
            return None;
        }
        let n = hits.len() as f64;
        let ta = |i: usize| f64::from(a[i].time);
        let mean = hits.iter().map(|&(i, _)| ta(i)).sum::<f64>() / n;
        let mut errors: Vec<(f64, f64)> = (hits.iter())
            .map(|&(i, j)| (ta(i) - mean, f64::from(b[j].time) - line.ratio * ta(i) - line.offset))
            .collect();
        let mut all: Vec<f64> = errors.iter().map(|e| e.1).collect();
        let middle = median(&mut all);
        // What is hit by chance is spread evenly, the rest close together.
        errors.retain(|e| (e.1 - middle).abs() <= reach.time / 2.0);
        let n = errors.len() as f64;
        if n < 8.0 {
            return None;
        }
        let (sx, sy) = errors.iter().fold((0.0, 0.0), |s, e| (s.0 + e.0, s.1 + e.1));
        let (mx, my) = (sx / n, sy / n);
        let (mut sxx, mut sxy) = (0.0, 0.0);
        for e in &errors {
            sxx += (e.0 - mx).powi(2);
            sxy += (e.0 - mx) * (e.1 - my);
        }
        // A short stretch says little of the ratio: it must be worth a frame at its ends.
        let span = reach_s / self.hop_s * STEP;
        let slope = if sxx > n * (span / 20.0).powi(2) { sxy / sxx } else { 0.0 };
        let slope = slope.clamp(-0.003, 0.003);
        let ratio = line.ratio + slope;
        let at = mean + mx;
        let offset = line.ratio * at + line.offset + my - ratio * at;
        Some(Line { ratio, offset })
    }

    /// The stretches of both that go together along a line.
    fn parts(&self, a: Side<'_>, b: Side<'_>, line: Line) -> Vec<Part> {
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
        let end = |side: Side<'_>| side.peaks.last().map_or(0.0, |p| f64::from(p.time));
        let (end_a, end_b) = (end(a), end(b));
        for (p, hit) in a.peaks.iter().zip(mark(a.peaks, &hits)) {
            let t = f64::from(p.time);
            if (-STEP..=end_b + STEP).contains(&(line.ratio * t + line.offset)) {
                marks.push((t, hit, true));
            }
        }
        for (p, hit) in b.peaks.iter().zip(mark(b.peaks, &back_hits)) {
            let t = back.ratio * f64::from(p.time) + back.offset;
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
        let mut from_s = (self.seconds(first) - half_s).max(0.0);
        let mut to_s = (self.seconds(last) + half_s).min(a.duration_s);
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

/// Some of the peaks, spread over all of them.
fn thinned(peaks: &[Peak]) -> Vec<Peak> {
    peaks.iter().step_by(peaks.len().div_ceil(ENOUGH).max(1)).copied().collect()
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
