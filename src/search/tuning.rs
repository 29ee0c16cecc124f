//! From the rung of a ladder to the ratio: which one between the rungs gives the most evidence?
//!
//! The ratio of a change of pitch shows in the frequencies, to a few hundredths of a per cent. A
//! tempo shows in times only: it is fitted to those of the peaks that clip and track share.

use super::alignment::{Alignment, LEAD, on_clip};
use super::config::SpeedRange;
use super::ladder::Rung;
use super::playback::{Change, Playback};
use crate::evidence::peaks::Evidence;
use crate::fingerprint::Query;
use crate::units::{BinSteps, STEPS, TimeSteps};
use std::ops::Range;

/// Alignments whose ratio is narrowed down.
const NARROWED: usize = 20;
/// Steps in which neighbours are tried: half a frame at the window's ends, or two thirds of a bin at
/// the highest frequencies.
const TEMPO_STEP: f64 = 0.005;
const PITCH_STEP: f64 = 0.0015;
/// A ratio is narrowed down to less than this.
const FINEST_STEP: f64 = 0.0004;
/// What is found at the track's own speed may be this far from it (in pitch: a tempo is found by the
/// stretch in which it does not matter yet).
const UNCHANGED_REACH: f64 = 0.006;

/// The most evident of a ladder's alignments, each at the ratio between the rungs that fits it best.
pub(crate) fn tune(query: &Query, rungs: Vec<Rung>, first_bin: BinSteps<f64>) -> Vec<Alignment> {
    let neighbours = Places { shifts: 4, shift: HALF_FRAME };
    let mut tried: Vec<(Evidence, Rung)> = (rungs.into_iter())
        .map(|rung| {
            let reach = rung.change.rung() / 2.0;
            let frames = window(query, &rung.alignment, query.levels().widths().window_frames);
            best_around(query, &rung, (reach, step(rung.change)), neighbours, &frames, first_bin)
        })
        .collect();
    tried.sort_by(|a, b| b.0.deviations().total_cmp(&a.0.deviations()));
    let mut kept: Vec<Rung> = Vec::new();
    for (_, rung) in tried {
        let known = |k: &Rung| same_place(query, &k.alignment, &rung.alignment);
        if kept.len() < NARROWED && !kept.iter().any(known) {
            kept.push(rung);
        }
    }
    kept.into_iter().map(|rung| narrow(query, rung, first_bin)).collect()
}

/// An alignment that was found at the track's own speed, under each change that it may have been
/// found in spite of.
pub(crate) fn retune(
    query: &Query,
    alignment: Alignment,
    range: SpeedRange,
    first_bin: BinSteps<f64>,
) -> impl Iterator<Item = Alignment> {
    let frames = window(query, &alignment, query.levels().widths().window_frames);
    Change::ALL.into_iter().map(move |change| {
        let reach = match change {
            Change::Tempo => range.reach(),
            Change::Speed | Change::Pitch => range.reach().min(UNCHANGED_REACH),
        };
        let rung = Rung { change, log_ratio: 0.0, alignment: alignment.clone() };
        let places = Places { shifts: 4, shift: HALF_FRAME };
        let ratios = (reach, step(change));
        let (_, best) = best_around(query, &rung, ratios, places, &frames, first_bin);
        narrow(query, best, first_bin)
    })
}

/// An alignment whose speed is nearly known, at the speed that fits it best.
pub(crate) fn settle(query: &Query, alignment: Alignment, first_bin: BinSteps<f64>) -> Alignment {
    let log_ratio = alignment.playback.pitch.ln();
    narrow(query, Rung { change: Change::Speed, log_ratio, alignment }, first_bin)
}

fn step(change: Change) -> f64 {
    match change {
        Change::Tempo => TEMPO_STEP,
        Change::Speed | Change::Pitch => PITCH_STEP,
    }
}

/// The frames of the clip around an alignment's pivot.
fn window(query: &Query, alignment: &Alignment, length: usize) -> Range<usize> {
    let frames = query.levels().frames();
    let pivot = (alignment.pivot.0.max(0) / i64::from(STEPS)) as usize;
    let end = (pivot + length / 2).max(length).min(frames);
    end.saturating_sub(length)..end
}

/// Places around an alignment: so many to each side, so far apart.
#[derive(Clone, Copy)]
struct Places {
    shifts: i64,
    shift: TimeSteps,
}

const HALF_FRAME: TimeSteps = TimeSteps(STEPS as i64 / 2);
const QUARTER_FRAME: TimeSteps = TimeSteps(STEPS as i64 / 4);

/// The ratio and the place that give the most evidence, among ratios up to `reach` away in steps.
fn best_around(
    query: &Query,
    rung: &Rung,
    (reach, step): (f64, f64),
    places: Places,
    frames: &Range<usize>,
    first_bin: BinSteps<f64>,
) -> (Evidence, Rung) {
    let n = (reach / step).ceil() as i32;
    let mut best = (Evidence::default(), rung.clone());
    let mut most = f64::NEG_INFINITY;
    for i in -n..=n {
        let log_ratio = rung.log_ratio + f64::from(i) * step;
        let alignment = replayed(&rung.alignment, rung.change.playback(log_ratio));
        let peaks = on_clip(&alignment, frames, first_bin);
        let shifts = (-places.shifts..=places.shifts).map(|j| places.shift * j);
        let offsets: Vec<TimeSteps> = shifts.clone().map(|shift| LEAD + shift).collect();
        let all = query.levels().weigh_all(&peaks, &offsets, frames);
        for (shift, evidence) in shifts.zip(all) {
            if evidence.deviations() > most {
                most = evidence.deviations();
                let offset = alignment.offset + shift.scaled(alignment.playback.tempo);
                let alignment = Alignment { offset, ..alignment.clone() };
                best = (evidence, Rung { log_ratio, alignment, change: rung.change });
            }
        }
    }
    best
}

/// The same alignment played otherwise: what is heard at its pivot stays where it is.
fn replayed(alignment: &Alignment, playback: Playback) -> Alignment {
    let slower = alignment.playback.tempo - playback.tempo;
    let offset = alignment.offset + alignment.pivot.scaled(slower);
    Alignment { playback, offset, ..alignment.clone() }
}

/// Narrows a ratio down, by ever longer parts of the clip.
fn narrow(query: &Query, mut rung: Rung, first_bin: BinSteps<f64>) -> Alignment {
    let places = Places { shifts: 2, shift: QUARTER_FRAME };
    let (mut step, mut length) = (step(rung.change), query.levels().widths().window_frames);
    loop {
        step /= 2.0;
        let frames = window(query, &rung.alignment, length);
        rung = best_around(query, &rung, (2.0 * step, step), places, &frames, first_bin).1;
        if frames.len() >= query.levels().frames() && step < FINEST_STEP {
            break;
        }
        length *= 2;
    }
    match rung.change {
        Change::Tempo => fit_tempo(query, &rung.alignment, first_bin),
        Change::Speed | Change::Pitch => rung.alignment,
    }
}

/// How far a peak of the clip may be from the track's to be taken for the same.
const SAME_TIME: TimeSteps = TimeSteps(24);
const SAME_BIN: BinSteps = BinSteps::BIN;
/// Half its weight has a pair of peaks that is so far apart in frequency, in contrast (quarters of a
/// dB), and so far in time from the fitted line.
const HALF_WEIGHT_BIN: BinSteps<f64> = BinSteps(8.0);
const HALF_WEIGHT_CONTRAST: f64 = 16.0;
const HALF_WEIGHT_TIME: TimeSteps<f64> = TimeSteps(6.0);
/// Fewer pairs than this, or a slope of more, are no fit.
const FEWEST_PAIRS: usize = 8;
const STEEPEST: f64 = 0.03;

/// Fits the tempo to the times of the peaks that track and clip share: a line through their
/// differences, by least squares, repeated with less weight for what is far from the line before.
fn fit_tempo(query: &Query, alignment: &Alignment, first_bin: BinSteps<f64>) -> Alignment {
    let pairs = shared_peaks(query, alignment, first_bin);
    let mut line = Line::default();
    for _ in 0..12 {
        line = line.refit(&pairs);
    }
    if pairs.len() < FEWEST_PAIRS || line.slope.is_nan() || line.slope.abs() > STEEPEST {
        return alignment.clone();
    }
    let before = alignment.playback.tempo;
    let tempo = before / (1.0 + line.slope);
    let fixed = before * line.centre + alignment.offset.0 as f64;
    let offset = TimeSteps(fixed - tempo * (line.centre + line.height)).round();
    Alignment { playback: Playback { tempo, ..alignment.playback }, offset, ..alignment.clone() }
}

/// A peak of the track and one of the clip that may be the same. Times are in [`TimeSteps`], as are those
/// of [`Line`].
struct Pair {
    /// Time at which the track's should stand in the clip.
    time: f64,
    /// How much later the clip's does.
    later: f64,
    /// The less they differ otherwise, the nearer to 1.
    likeness: f64,
}

fn shared_peaks(query: &Query, alignment: &Alignment, first_bin: BinSteps<f64>) -> Vec<Pair> {
    let levels = query.levels();
    let whole = 0..levels.frames();
    let peaks = on_clip(alignment, &whole, first_bin);
    let frames = levels.extent(&peaks, LEAD).unwrap_or(whole);
    let at = |frame: usize| TimeSteps::from_frames(frame as i64);
    let span = at(frames.start)..at(frames.end);
    let mut pairs = Vec::new();
    for peak in &peaks {
        let time = peak.time - LEAD;
        if !span.contains(&time) {
            continue;
        }
        // Refined times may be out of order by a frame.
        let reach = SAME_TIME + TimeSteps::FRAME;
        let first = query.peaks().partition_point(|p| TimeSteps::from(p.time) < time - reach);
        let near = query.peaks()[first..].iter();
        for other in near.take_while(|p| TimeSteps::from(p.time) < time + reach) {
            let (later, apart) = (other.time - time, other.bin.abs_diff(peak.bin));
            if later.abs() <= SAME_TIME && apart <= SAME_BIN {
                let contrast = f64::from(other.contrast.abs_diff(peak.contrast));
                let likeness = weight(f64::from(apart.0) / HALF_WEIGHT_BIN.0)
                    * weight(contrast / HALF_WEIGHT_CONTRAST);
                pairs.push(Pair { time: time.0 as f64, later: later.0 as f64, likeness });
            }
        }
    }
    pairs
}

/// Weight of a deviation given as a multiple of that which has half the weight.
fn weight(deviation: f64) -> f64 {
    1.0 / (1.0 + deviation * deviation)
}

/// height + slope · (x − centre)
#[derive(Clone, Copy, Default)]
struct Line {
    centre: f64,
    height: f64,
    slope: f64,
}

impl Line {
    fn refit(&self, pairs: &[Pair]) -> Self {
        let [mut w, mut x, mut y, mut xx, mut xy] = [0.0; 5];
        for &Pair { time: px, later: py, likeness } in pairs {
            let far = py - self.height - self.slope * (px - self.centre);
            let weight = likeness * weight(far / HALF_WEIGHT_TIME.0);
            w += weight;
            x += weight * px;
            y += weight * py;
            xx += weight * px * px;
            xy += weight * px * py;
        }
        let (centre, height) = (x / w, y / w);
        Self { centre, height, slope: (xy - x * height) / (xx - x * centre) }
    }
}

/// Whether two alignments put the middle of the clip at the same place.
fn same_place(query: &Query, a: &Alignment, b: &Alignment) -> bool {
    let middle = query.levels().frames() as f64 / 2.0 * f64::from(STEPS);
    let at = |a: &Alignment| middle * a.playback.tempo + a.offset.0 as f64;
    a.excerpt.track == b.excerpt.track && (at(a) - at(b)).abs() <= 4.0 * f64::from(STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    #[test]
    fn a_line_is_found_among_points_that_are_not_on_it() {
        let mut random = rng(9);
        let points: Vec<Pair> = (0..200)
            .map(|i| {
                let (time, noise) = (f64::from(i) * 12.0, f64::from(random()) - 0.5);
                // A third of the points are anywhere.
                let at_random = i % 3 == 0;
                let later =
                    if at_random { 48.0 * noise } else { 5.0 + 0.002 * (time - 1200.0) + noise };
                Pair { time, later, likeness: 1.0 }
            })
            .collect();
        let line = (0..8).fold(Line::default(), |line, _| line.refit(&points));
        assert!((line.slope - 0.002).abs() < 2e-4, "{}", line.slope);
        let at = |x: f64| line.height + line.slope * (x - line.centre);
        assert!((at(1200.0) - 5.0).abs() < 0.3, "{}", at(1200.0));
    }
}
