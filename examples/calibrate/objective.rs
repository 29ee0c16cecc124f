//! How good a calibration is, told from places that were weighed: what is missed, and how far the
//! promise is from what is kept.

use crate::degrade::Kind;
use crate::material::{Group, Trial};
use earmark::Calibration;
use earmark::search::{Law, coherence_of, strength_of};

/// The promises that are looked at.
pub const PROMISES: [f64; 3] = [0.1, 0.01, 0.001];
/// The promise that is made by default: answers beyond it are misses.
pub const DEFAULT_PROMISE: f64 = 0.001;
/// Half the width, in decades, in which a step is smoothed.
const SMOOTH: f64 = 0.1;
/// A promise that is not kept weighs so much more than one that is kept too well.
const BROKEN: f64 = 2.0;

/// What a search says of a clip.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// False alarms of the best place of all,
    pub false_alarms: f64,
    /// and whether it is right.
    pub right: bool,
}

/// Judges a clip's places by a calibration.
pub fn judge(calibration: &Calibration, trial: &Trial) -> Verdict {
    let model = &calibration.strength;
    let clarity = f64::from(trial.traits.clarity(&calibration.quality));
    let law = Law::new(calibration.law, trial.duration_s, clarity, trial.hours, u64::MAX);
    let strength: Vec<f64> =
        trial.spots.iter().map(|spot| strength_of(model, &spot.evidence)).collect();
    let mut best = Verdict { false_alarms: f64::INFINITY, right: false };
    for (spot, &own) in trial.spots.iter().zip(&strength) {
        let rival = spot.rival.map_or(law.usual_rival(), |i| strength[i]);
        let false_alarms = law.false_alarms(own, coherence_of(model, &spot.evidence), rival);
        if false_alarms < best.false_alarms {
            best = Verdict { false_alarms, right: spot.right };
        }
    }
    best
}

/// Noises have four levels each, and count as one kind.
pub fn weight(kind: Kind) -> f64 {
    if matches!(kind, Kind::Noise(..)) { 0.25 } else { 1.0 }
}

/// How good a calibration is: less is better.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Share of the clips of indexed tracks that get no right answer.
    pub missed: f64,
    /// Mean square of the logarithms of measured false answers over promised ones.
    pub unkept: f64,
    /// Share of the clips that have a loop in common with an indexed piece that are answered.
    pub shared: f64,
}

/// The cost for some clips. Steps are smoothed, so that small changes can be told apart.
pub fn cost<'a>(
    calibration: &Calibration,
    trials: impl Iterator<Item = &'a Trial>,
    kinds: &[Kind],
) -> Cost {
    let below = |false_alarms: f64, promise: f64| {
        let decades = (promise / false_alarms.max(1e-300)).log10();
        1.0 / (1.0 + (-2.0 * decades / SMOOTH).exp())
    };
    let mut missed = Mean::default();
    // By length, for each promise.
    let mut absent: Vec<[Mean; PROMISES.len()]> = Vec::new();
    let mut shared = Mean::default();
    for trial in trials {
        let verdict = judge(calibration, trial);
        match trial.group {
            Group::Present => {
                let answered = below(verdict.false_alarms, DEFAULT_PROMISE);
                let found = if verdict.right { answered } else { 0.0 };
                missed.add(1.0 - found, weight(kinds[trial.kind]));
            }
            Group::Absent => {
                absent.resize(absent.len().max(trial.length + 1), <_>::default());
                for (mean, promise) in absent[trial.length].iter_mut().zip(PROMISES) {
                    mean.add(below(verdict.false_alarms, promise), 1.0);
                }
            }
            Group::Shared => shared.add(below(verdict.false_alarms, DEFAULT_PROMISE), 1.0),
        }
    }
    let mut unkept = Mean::default();
    for (i, promise) in PROMISES.into_iter().enumerate() {
        let mut ratio = |means: &[Mean], weight: f64| {
            let n: f64 = means.iter().map(|m| m.weight).sum();
            let sum: f64 = means.iter().map(|m| m.sum).sum();
            // As if half a clip more had been answered, and half a clip promised.
            let log = ((sum + 0.5) / (promise * n + 0.5)).ln();
            unkept.add(if log > 0.0 { BROKEN * log * log } else { log * log }, weight);
        };
        let of_all: Vec<Mean> = absent.iter().map(|means| means[i]).collect();
        ratio(&of_all, 3.0);
        of_all.iter().for_each(|mean| ratio(&[*mean], 1.0));
    }
    Cost { missed: missed.mean(), unkept: unkept.mean(), shared: shared.mean() }
}

/// A weighted mean.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += weight * value;
        self.weight += weight;
    }

    fn mean(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}
