//! How far evidence spreads by chance: so that chance goes equally far in clips of every length.

use crate::material::{Group, Trial};
use crate::parts::Part;
use earmark::Calibration;
use earmark::calibration::Dispersion;
use earmark::config::StftConfig;

/// What is tried: none, and so many from a thousandth on, each larger by a tenth.
const TRIED: i32 = 80;

/// Pieces of evidence in each second of a clip.
#[derive(Clone, Copy, Debug)]
pub struct Density {
    pub peaks_per_s: f64,
    pub sub_fingerprints_per_s: f64,
}

impl Density {
    pub fn new(peaks_per_s: f64, config: &StftConfig) -> Self {
        let word_s = config.hop_s() * earmark::bands::FRAMES as f64;
        Self { peaks_per_s, sub_fingerprints_per_s: 1.0 / word_s }
    }
}

/// Fits the dispersion to what was found for clips of tracks that are not indexed, and changes all
/// that was found as if it had been weighed so.
pub fn fit(
    calibration: &mut Calibration,
    trials: &mut [Trial],
    density: Density,
    lengths_s: &[f64],
) {
    let absent = |t: &&Trial| t.group == Group::Absent && t.part == Part::Fit;
    let (mut of_peaks, mut of_bands) = (Vec::new(), Vec::new());
    for (length, seconds) in lengths_s.iter().enumerate() {
        let of_length = || trials.iter().filter(absent).filter(|t| t.length == length);
        let strongest =
            of_length().map(|t| t.spots.iter().fold(0.0, |z: f64, s| z.max(s.evidence.peaks_z)));
        of_peaks.push((seconds * density.peaks_per_s, median(strongest.collect())));
        let bands: Vec<f64> =
            of_length().flat_map(|t| &t.spots).map(|s| s.evidence.bands_z.powi(2)).collect();
        let mean = bands.iter().sum::<f64>() / bands.len().max(1) as f64;
        of_bands.push((seconds * density.sub_fingerprints_per_s, mean.sqrt()));
    }
    let before = calibration.dispersion;
    let mut after = before;
    after.per_peak = even(&of_peaks, before.per_peak);
    after.per_sub_fingerprint = even(&of_bands, before.per_sub_fingerprint);
    for trial in trials.iter_mut() {
        let (peaks, bands) = factors(before, after, density, trial.duration_s);
        for spot in &mut trial.spots {
            spot.evidence.peaks_z *= peaks;
            spot.evidence.bands_z *= bands;
        }
    }
    calibration.strength.stretch_handicap *= factors(before, after, density, 5.0).0;
    calibration.dispersion = after;
}

/// By how much z-scores change.
fn factors(before: Dispersion, after: Dispersion, density: Density, seconds: f64) -> (f64, f64) {
    let factor = |before: f64, after: f64, n: f64| ((1.0 + before * n) / (1.0 + after * n)).sqrt();
    (
        factor(before.per_peak, after.per_peak, seconds * density.peaks_per_s),
        factor(
            before.per_sub_fingerprint,
            after.per_sub_fingerprint,
            seconds * density.sub_fingerprints_per_s,
        ),
    )
}

/// The dispersion with which scores are most alike, given how many pieces of evidence each is of, and
/// how large it is with another dispersion.
fn even(scores: &[(f64, f64)], before: f64) -> f64 {
    let unevenness = |tried: &f64| {
        let logs: Vec<f64> = (scores.iter())
            .map(|(n, z)| (z.max(1e-3) * ((1.0 + before * n) / (1.0 + tried * n)).sqrt()).ln())
            .collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>()
    };
    let tried = (0..TRIED).map(|i| 0.001 * 1.1f64.powi(i));
    let best = tried.chain([0.0]).min_by(|a, b| unevenness(a).total_cmp(&unevenness(b)));
    best.unwrap_or(before)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_made_alike() {
        // As sums of so many pieces spread whose variance grows by 0.03 with each.
        let scores = [60.0, 150.0, 300.0].map(|n: f64| (n, 2.0 * (1.0 + 0.03 * n).sqrt()));
        let found = even(&scores, 0.0);
        assert!((0.027..0.033).contains(&found), "{found}");
        // What is alike already stays.
        let scores = [60.0, 150.0, 300.0].map(|n| (n, 2.0));
        assert!((even(&scores, 0.02) - 0.02).abs() < 0.002);
    }
}
