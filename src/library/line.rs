//! How the peaks of two recordings go together: along a line in time, on which one is played at a constant
//! speed of the other.

use crate::config::Config;
use crate::peaks::{Peak, STEPS};
use crate::search::Span;
use crate::units::{BinSteps, TimeSteps};

/// Steps of a peak's time or frequency as a number.
const STEP: f64 = STEPS as f64;

mod extending;
mod parts;

/// `t_b = ratio · t_a + offset`, in [`TimeSteps`]; frequencies of `a` are `ratio` times those of `b`. So `ratio` is the
/// speed of `a` as a multiple of that of `b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub ratio: f64,
    pub offset: f64,
}

impl Line {
    /// The time in `b` that goes with one in `a`.
    pub fn at(self, time: TimeSteps<f64>) -> TimeSteps<f64> {
        TimeSteps(self.ratio * time.0 + self.offset)
    }

    /// How far two lines are apart at a time in `a`.
    pub fn apart(self, other: Self, time: TimeSteps<f64>) -> TimeSteps<f64> {
        TimeSteps((self.at(time).0 - other.at(time).0).abs())
    }

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

/// Half-widths of the window in which a peak is looked for, in [`TimeSteps`] and [`BinSteps`].
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

    /// A time as peaks have it.
    pub fn steps(&self, time_s: f64) -> TimeSteps<f64> {
        TimeSteps::from_seconds(time_s - self.first_frame_s, self.hop_s)
    }

    /// A time as peaks have it, in seconds.
    pub fn seconds(&self, time: TimeSteps<f64>) -> f64 {
        time.0 / STEP * self.hop_s + self.first_frame_s
    }

    /// The time in `b`, in seconds, that goes with one in `a`.
    pub fn across_s(&self, line: Line, time_s: f64) -> f64 {
        self.seconds(line.at(self.steps(time_s)))
    }

    /// The peaks of `a` as they would be, if it were played as fast as `b`.
    pub fn scaled(&self, peaks: &[Peak], ratio: f64) -> Vec<Peak> {
        let scale = |p: &Peak| {
            let time = f64::from(p.time.0) * ratio;
            let bin = (f64::from(p.bin.0) + self.first_bin) / ratio - self.first_bin;
            let fits = (0.0..f64::from(u16::MAX)).contains(&bin) && time < f64::from(u32::MAX);
            let (time, bin) = (TimeSteps(time.round() as u32), BinSteps(bin.round() as u16));
            fits.then_some(Peak { time, bin, ..*p })
        };
        peaks.iter().filter_map(scale).collect()
    }

    /// The line on which a stretch of `a` goes together with `b`, roughly known: its ratio to half a per cent,
    /// its offset to `slack`.
    pub fn find(&self, a: &[Peak], b: &[Peak], rough: Line, slack: TimeSteps<f64>) -> Option<Line> {
        let slack = slack.0;
        let exact = rough.ratio == 1.0;
        let cell = if exact { STEP } else { 2.0 * STEP };
        let cells = (2.0 * slack / cell).ceil() as usize + 2;
        let mut counts = vec![0u32; cells];
        let middle = a.get(a.len() / 2)?.time.0;
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
            errors.push(f64::from(b[j].time.0) - line.ratio * f64::from(a[i].time.0) - line.offset);
        }
        let ratio = if fixed { line.ratio } else { ab / aa };
        let error = median(&mut errors);
        let at_middle = line.ratio * middle + line.offset + error;
        Some(Line { ratio, offset: at_middle - ratio * middle })
    }

    fn frequency(&self, peak: &Peak) -> f64 {
        f64::from(peak.bin.0) + self.first_bin
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
            let t = line.ratio * f64::from(pa.time.0) + line.offset;
            while b.get(first).is_some_and(|p| f64::from(p.time.0) < t - reach.time) {
                first += 1;
            }
            let near = b[first..].iter().take_while(|p| f64::from(p.time.0) <= t + reach.time);
            for (j, pb) in near.enumerate() {
                let df = self.frequency(pb) - f;
                if df.abs() <= reach.bin {
                    each(i, first + j, f64::from(pb.time.0) - t, df);
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
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
