//! What tells clear clips from others: a regression of the true match's strength on the clip's traits.

use crate::material::{Group, Trial};
use crate::parts::Part;
use earmark::Calibration;
use earmark::calibration::QualityModel;
use earmark::search::strength_of;

const TRAITS: usize = 4;
/// Weaker ones are taken for so strong.
const LEAST_STRENGTH: f64 = 1.0;
/// A trait farther from its average, in deviations, says no more than this.
const FARTHEST: f64 = 2.0;
/// What is added to the diagonal, as a share of the clips.
const RIDGE: f64 = 0.01;

/// Fits the model to the clips that are fitted to.
pub fn fit(calibration: &Calibration, trials: &[Trial]) -> QualityModel {
    let present: Vec<&Trial> =
        (trials.iter()).filter(|t| t.group == Group::Present && t.part == Part::Fit).collect();
    let values: Vec<[f64; TRAITS]> = present.iter().map(|t| traits(t)).collect();
    let moments: [(f64, f64); TRAITS] =
        std::array::from_fn(|i| moments(&values.iter().map(|v| v[i]).collect::<Vec<_>>()));
    let scaled: Vec<[f64; TRAITS]> = (values.iter())
        .map(|value| {
            std::array::from_fn(|i| {
                let (mean, deviation) = moments[i];
                ((value[i] - mean) / deviation).clamp(-FARTHEST, FARTHEST)
            })
        })
        .collect();
    let weights = regression(&scaled, &strengths(calibration, &present));
    let mut model = calibration.quality;
    [model.spread_mean, model.skewness_mean, model.swing_mean, model.contrast_mean] =
        moments.map(|(mean, _)| mean);
    [
        model.spread_deviation,
        model.skewness_deviation,
        model.swing_deviation,
        model.contrast_deviation,
    ] = moments.map(|(_, deviation)| deviation);
    [model.spread_weight, model.skewness_weight, model.swing_weight, model.contrast_weight] =
        weights.map(|weight| weight.clamp(-0.4, 0.4));
    model
}

fn traits(trial: &Trial) -> [f64; TRAITS] {
    let t = &trial.traits;
    [t.spread, t.skewness, t.swing, t.contrast]
}

/// Logarithms of the true matches' strengths, beside what is usual for clips of their length.
fn strengths(calibration: &Calibration, trials: &[&Trial]) -> Vec<f64> {
    let strength = |trial: &&Trial| {
        let right = trial.spots.iter().filter(|spot| spot.right);
        let strengths = right.map(|spot| strength_of(&calibration.strength, &spot.evidence));
        strengths.fold(LEAST_STRENGTH, f64::max).ln()
    };
    let mut strengths: Vec<f64> = trials.iter().map(strength).collect();
    let lengths = trials.iter().map(|t| t.length + 1).max().unwrap_or(0);
    for length in 0..lengths {
        let of_length: Vec<usize> =
            (0..trials.len()).filter(|&i| trials[i].length == length).collect();
        let sum: f64 = of_length.iter().map(|&i| strengths[i]).sum();
        let mean = sum / of_length.len().max(1) as f64;
        of_length.iter().for_each(|&i| strengths[i] -= mean);
    }
    strengths
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt().max(0.001))
}

/// Weights of a linear regression by least squares, without a constant.
fn regression(rows: &[[f64; TRAITS]], values: &[f64]) -> [f64; TRAITS] {
    let mut matrix = [[0.0; TRAITS + 1]; TRAITS];
    for (row, value) in rows.iter().zip(values) {
        for i in 0..TRAITS {
            (0..TRAITS).for_each(|j| matrix[i][j] += row[i] * row[j]);
            matrix[i][TRAITS] += row[i] * value;
        }
    }
    (0..TRAITS).for_each(|i| matrix[i][i] += RIDGE * rows.len() as f64 + 1e-9);
    // Gauss and Jordan; a matrix of this kind needs no pivots.
    for i in 0..TRAITS {
        let pivot = matrix[i];
        for (j, row) in matrix.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let factor = row[i] / pivot[i];
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
            debug_assert!(j != i);
        }
    }
    std::array::from_fn(|i| matrix[i][TRAITS] / matrix[i][i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn weights_are_found_again() {
        let mut rng = Rng::new(3);
        let rows: Vec<[f64; TRAITS]> =
            (0..5_000).map(|_| std::array::from_fn(|_| rng.normal())).collect();
        let expected = [-0.2, 0.1, 0.15, 0.2];
        let values: Vec<f64> = (rows.iter())
            .map(|row| {
                row.iter().zip(expected).map(|(x, w)| x * w).sum::<f64>() + 0.1 * rng.normal()
            })
            .collect();
        let found = regression(&rows, &values);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01), "{found:?}");
    }
}
