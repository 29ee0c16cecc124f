//! How good a calibration is, told from places that were weighed: what is missed, and how far the
//! promise is from what is kept.

use crate::degrade::Kind;
use crate::material::{Group, Rival, Trial};
use earmark::Calibration;
use earmark::search::{Law, coherence_of, strength_of};
use std::collections::BTreeMap;

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
        let rival = match spot.rival {
            Rival::Place(i) => strength[i],
            Rival::Usual => law.usual_rival(),
            Rival::None => 0.0,
        };
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
    /// Mean square of the logarithms of measured false answers over promised ones, for the maker whose
    /// music is answered falsely most often.
    pub unkept: f64,
    /// Share of the clips that have a loop in common with an indexed piece that are answered.
    pub shared: f64,
}

/// The cost for some clips. Steps are smoothed, so that small changes can be told apart.
///
/// The promise is to hold for the worst of the makers, not for the mean of all: whoever indexes one maker's
/// music and asks for more of it has nothing of that mean. (S. Sagawa et al., "Distributionally robust neural
/// networks for group shifts", 2020.)
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
    let mut absent: BTreeMap<&str, [Mean; PROMISES.len()]> = BTreeMap::new();
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
                let means = absent.entry(&trial.maker).or_default();
                for (mean, promise) in means.iter_mut().zip(PROMISES) {
                    mean.add(below(verdict.false_alarms, promise), 1.0);
                }
            }
            Group::Shared => shared.add(below(verdict.false_alarms, DEFAULT_PROMISE), 1.0),
        }
    }
    let mut unkept = Mean::default();
    for (i, promise) in PROMISES.into_iter().enumerate() {
        let ratios = absent.values().map(|means| ratio(means[i].sum, means[i].weight, promise));
        let Some(worst) = ratios.max_by(f64::total_cmp) else { continue };
        let log = worst.ln();
        unkept.add(if log > 0.0 { BROKEN * log * log } else { log * log }, 1.0);
    }
    Cost { missed: missed.mean(), unkept: unkept.mean(), shared: shared.mean() }
}

/// So many false answers over promised ones, as if one more clip had been answered, and one more promised: of
/// a few clips, nothing is known.
pub fn ratio(answered: f64, clips: f64, promise: f64) -> f64 {
    (answered + 1.0) / (promise * clips + 1.0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::material::Spot;
    use crate::parts::Part;
    use earmark::evidence::PlaceEvidence;

    fn absent(maker: &str, strength: f64) -> Trial {
        let mut evidence = PlaceEvidence::default();
        evidence.peaks_z = strength;
        Trial {
            group: Group::Absent,
            part: Part::Fit,
            kind: 0,
            length: 0,
            duration_s: 5.0,
            traits: Default::default(),
            hours: 9.0,
            maker: maker.into(),
            names: Default::default(),
            spots: vec![Spot { evidence, right: false, rival: Rival::Usual, score: 0.0 }],
        }
    }

    #[test]
    fn the_worst_maker_decides() {
        let unkept =
            |trials: &[Trial]| cost(&Calibration::default(), trials.iter(), &[Kind::Clean]).unkept;
        // Of 999 clips none is answered: one more of either makes it 1/100.9, 1/10.99 and 1/1.999.
        let quiet: Vec<Trial> = (0..999).map(|_| absent("a", -50.0)).collect();
        let of_quiet = [100.9f64, 10.99, 1.999].map(|x| x.ln().powi(2)).iter().sum::<f64>() / 3.0;
        assert!((unkept(&quiet) - of_quiet).abs() < 1e-6, "{}", unkept(&quiet));
        // Of another maker's nine, all are: 10 / 1.9, 10 / 1.09 and 10 / 1.009, which counts double.
        let loud: Vec<Trial> = (0..9).map(|_| absent("b", 90.0)).collect();
        let of_loud: f64 = [1.9f64, 1.09, 1.009].map(|x| (10.0 / x).ln().powi(2)).iter().sum();
        let both: Vec<Trial> = quiet.into_iter().chain(loud).collect();
        assert!((unkept(&both) - 2.0 * of_loud / 3.0).abs() < 1e-6, "{}", unkept(&both));
    }

    #[test]
    fn a_place_without_a_rival_gains_by_that() {
        let [usual, none] = [Rival::Usual, Rival::None].map(|rival| {
            let mut trial = absent("a", 5.0);
            trial.spots[0].rival = rival;
            judge(&Calibration::default(), &trial).false_alarms
        });
        assert!(none < usual, "{none} {usual}");
    }
}
