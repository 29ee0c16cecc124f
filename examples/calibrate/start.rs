//! Where fits begin, so that a calibration does not depend on one that was made before.

use earmark::Calibration;

/// Puts the numbers that fits go on from in place of whatever was there. What is not fitted stays as it is here:
/// with `--fit table`, all of them, which is how the crate's default was made.
///
/// The law and the weights are round: recall tells no difference between neighbouring values. `docs/recall.md`
/// has the tables that they were chosen by, and how far the promise is kept on music that they were not chosen on.
pub fn begin(calibration: &mut Calibration) {
    let dispersion = &mut calibration.dispersion;
    dispersion.per_peak = 0.02;
    dispersion.per_sub_fingerprint = 0.1;

    let quality = &mut calibration.quality;
    (quality.spread_mean, quality.spread_deviation, quality.spread_weight) = (2.268, 0.196, -0.182);
    quality.skewness_mean = 0.237;
    (quality.skewness_deviation, quality.skewness_weight) = (0.338, 0.128);
    (quality.swing_mean, quality.swing_deviation, quality.swing_weight) = (0.868, 0.709, 0.135);
    quality.contrast_mean = 2.684;
    (quality.contrast_deviation, quality.contrast_weight) = (0.247, 0.208);

    let strength = &mut calibration.strength;
    strength.bands_weight = 1.5;
    strength.usual_phases_z = 1.0;
    strength.phases_weight = 0.5;
    strength.most_phases = 2.0;
    strength.usual_missing_ratio = 0.03;
    strength.missing_weight = 8.0;
    strength.stretch_handicap = 3.0;

    let law = &mut calibration.law;
    law.usual_rival = 3.0;
    law.rival_share = 0.5;
    law.most_places = 200.0;
    law.chance = 2.8;
    law.chance_slope = 1.2;
    law.length_power = 0.4;
    law.related = 0.0;
    law.related_slope = 0.33;
    law.clarity_power = 0.6;
    law.related_hours = 7.6;
    law.hours_power = 0.5;
    law.fewest_hours = 1.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_these_numbers_whatever_was_there() {
        let mut changed = Calibration::default();
        changed.dispersion.per_peak = 0.5;
        changed.quality.swing_weight = 0.3;
        changed.strength.missing_weight = 3.0;
        changed.law.related = 0.7;
        begin(&mut changed);
        assert_eq!(changed, Calibration::default());
    }
}
