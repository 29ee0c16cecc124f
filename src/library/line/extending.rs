//! From a line that is known in one place to all that two recordings have in common along it.

use super::{Aligner, Joint, Line, Reach, STEP, Side, median};
use crate::peaks::Peak;

/// A line is fitted to so many peaks of a recording, or to half as many; and chance is measured with them.
const ENOUGH: usize = 1500;

impl Aligner {
    /// All that two recordings have in common along a line that is known in one place, `at_s` in `a`. The line
    /// is made better on the way from there.
    pub fn extend(&self, a: Side<'_>, b: Side<'_>, line: Line, at_s: f64) -> Joint {
        let within = |line: Line, from_s: f64, to_s: f64| {
            let (from, to) = (self.steps(from_s).0, self.steps(to_s).0);
            let cut = |p: &[Peak], from: f64, to: f64| {
                let first = p.partition_point(|p| f64::from(p.time.0) < from);
                let end = p.partition_point(|p| f64::from(p.time.0) < to);
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
        let ta = |i: usize| f64::from(a[i].time.0);
        let mean = hits.iter().map(|&(i, _)| ta(i)).sum::<f64>() / n;
        let mut errors: Vec<(f64, f64)> = (hits.iter())
            .map(|&(i, j)| {
                (ta(i) - mean, f64::from(b[j].time.0) - line.ratio * ta(i) - line.offset)
            })
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
}

/// Some of the peaks, spread over all of them.
pub(super) fn thinned(peaks: &[Peak]) -> Vec<Peak> {
    peaks.iter().step_by(peaks.len().div_ceil(ENOUGH).max(1)).copied().collect()
}
