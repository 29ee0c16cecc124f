//! Weights and the law, fitted to places that were weighed: one number after the other is moved up or
//! down as long as that makes the cost less.

use crate::degrade::Kind;
use crate::material::Trial;
use crate::objective::{Cost, cost};
use crate::parts::Part;
use earmark::Calibration;

/// What an unkept promise costs beside missed clips: fits are made with each, and the part that decides
/// chooses between them by the one in the middle.
const PRICES: [f64; 3] = [0.01, 0.02, 0.04];
/// What it costs if all clips that have a loop in common with an indexed piece are answered.
const SHARED_PRICE: f64 = 0.03;
/// A number is moved by so much of its scale at first, and at last.
const FIRST_STEP: f64 = 0.4;
const LAST_STEP: f64 = 0.02;
/// Rounds at most.
const ROUNDS: usize = 60;

/// A number that is fitted.
struct Knob {
    of: fn(&mut Calibration) -> &mut f64,
    scale: f64,
    least: f64,
    most: f64,
}

const WEIGHTS: [Knob; 6] = [
    Knob { of: |c| &mut c.strength.bands_weight, scale: 1.0, least: 0.0, most: 10.0 },
    Knob { of: |c| &mut c.strength.usual_phases_z, scale: 1.0, least: 0.0, most: 5.0 },
    Knob { of: |c| &mut c.strength.phases_weight, scale: 0.5, least: 0.0, most: 5.0 },
    Knob { of: |c| &mut c.strength.most_phases, scale: 2.0, least: 0.0, most: 50.0 },
    Knob { of: |c| &mut c.strength.usual_missing_ratio, scale: 0.05, least: 0.0, most: 0.5 },
    Knob { of: |c| &mut c.strength.missing_weight, scale: 8.0, least: 0.0, most: 100.0 },
];
const LAW: [Knob; 8] = [
    Knob { of: |c| &mut c.law.usual_rival, scale: 1.0, least: 0.5, most: 20.0 },
    Knob { of: |c| &mut c.law.rival_share, scale: 0.3, least: 0.0, most: 1.0 },
    Knob { of: |c| &mut c.law.chance, scale: 1.0, least: -5.0, most: 20.0 },
    Knob { of: |c| &mut c.law.chance_slope, scale: 0.4, least: 0.05, most: 5.0 },
    Knob { of: |c| &mut c.law.length_power, scale: 0.3, least: 0.0, most: 2.0 },
    Knob { of: |c| &mut c.law.related, scale: 0.5, least: -3.0, most: 10.0 },
    Knob { of: |c| &mut c.law.related_slope, scale: 0.1, least: 0.02, most: 2.0 },
    Knob { of: |c| &mut c.law.clarity_power, scale: 0.3, least: 0.0, most: 2.0 },
];

/// Fits the law, and the weights with it if these are free. What came in stands if no fit is better by
/// the part that decides.
pub fn fit(
    begun: &Calibration,
    trials: &[Trial],
    kinds: &[Kind],
    weights: bool,
    say: &impl Fn(&str),
) -> Calibration {
    let of = |part: Part| trials.iter().filter(move |trial| trial.part == part);
    let price = PRICES[PRICES.len() / 2];
    let told = |cost: Cost| {
        format!("missed {:.4}, unkept {:.3}, shared {:.3}", cost.missed, cost.unkept, cost.shared)
    };
    let mut best = begun.clone();
    let mut least = total(cost(begun, of(Part::Choose), kinds), price);
    say(&format!("  as it is: {}", told(cost(begun, of(Part::Choose), kinds))));
    let without = if weights { &WEIGHTS[..0] } else { &[] };
    for knobs in [without, if weights { &WEIGHTS[..] } else { &[] }] {
        for price_of_fit in PRICES {
            let fitted =
                descend(begun, knobs, |c| total(cost(c, of(Part::Fit), kinds), price_of_fit));
            let chosen_by = cost(&fitted, of(Part::Choose), kinds);
            let of_fit = cost(&fitted, of(Part::Fit), kinds);
            let what = if knobs.is_empty() { "the law" } else { "weights and law" };
            say(&format!(
                "  {what} at {price_of_fit}: {}; where it was fitted: {}",
                told(chosen_by),
                told(of_fit)
            ));
            if total(chosen_by, price) < least {
                (best, least) = (fitted, total(chosen_by, price));
            }
        }
        if !weights {
            break;
        }
    }
    best
}

fn total(cost: Cost, price: f64) -> f64 {
    cost.missed + price * cost.unkept + SHARED_PRICE * cost.shared
}

/// Moves the law's numbers and some others to where the cost is least.
fn descend(
    begun: &Calibration,
    others: &[Knob],
    cost: impl Fn(&Calibration) -> f64,
) -> Calibration {
    let mut best = begun.clone();
    let mut least = cost(&best);
    let mut step = FIRST_STEP;
    for _ in 0..ROUNDS {
        let before = least;
        for knob in LAW.iter().chain(others) {
            for direction in [1.0, -1.0] {
                let mut tried = best.clone();
                let number = (knob.of)(&mut tried);
                *number = (*number + direction * step * knob.scale).clamp(knob.least, knob.most);
                let found = cost(&tried);
                if found < least {
                    (best, least) = (tried, found);
                    break;
                }
            }
        }
        if before - least < 1e-5 {
            step /= 2.0;
            if step < LAST_STEP {
                break;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_cost_is_found() {
        let cost = |c: &Calibration| {
            (c.law.chance - 4.0).powi(2)
                + (c.law.related_slope - 0.5).powi(2)
                + (c.strength.bands_weight - 0.7).powi(2)
        };
        let found = descend(&Calibration::default(), &WEIGHTS, cost);
        assert!((found.law.chance - 4.0).abs() < 0.05, "{}", found.law.chance);
        assert!((found.law.related_slope - 0.5).abs() < 0.05, "{}", found.law.related_slope);
        assert!((found.strength.bands_weight - 0.7).abs() < 0.05);
        // What is not free stays.
        let found = descend(&Calibration::default(), &[], cost);
        let usual = Calibration::default().strength;
        assert_eq!(found.strength, usual);
    }
}
