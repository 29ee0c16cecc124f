//! Whether two places of a track sound the same.

use crate::spectral::{RATE, Spectral};

/// Two places hold the same audio if their waveforms correlate by this much at some lag.
const CORRELATION: f64 = 0.9;

/// Whether a track holds the same audio at two places, `len` samples of it, at a lag of up to `most_lag`
/// samples: a loop, a chorus that was recorded once.
pub fn same_audio(
    track: &[f32],
    places: [i64; 2],
    len: usize,
    most_lag: usize,
    spectral: &mut Spectral,
) -> bool {
    let [own, other] = places;
    let own = cut(track, own, len);
    let other = cut(track, other - most_lag as i64, len + 2 * most_lag);
    correlation(&own, &other, spectral) >= CORRELATION
}

/// So many samples from a place on, silence where the track has none.
fn cut(track: &[f32], start: i64, len: usize) -> Vec<f32> {
    let sample = |i: i64| usize::try_from(i).ok().and_then(|i| track.get(i)).copied();
    (0..len as i64).map(|i| sample(start + i).unwrap_or(0.0)).collect()
}

/// The greatest normalised cross-correlation of a stretch with those of its length in a longer one.
fn correlation(stretch: &[f32], longer: &[f32], spectral: &mut Spectral) -> f64 {
    let reversed: Vec<f32> = stretch.iter().rev().copied().collect();
    // Its value at i is the product of the stretch with what ends at i.
    let products = spectral.convolve(longer, &reversed);
    let energy = |x: f32| f64::from(x) * f64::from(x);
    let of_stretch: f64 = stretch.iter().copied().map(energy).sum();
    let n = stretch.len();
    let mut within: f64 = longer[..n].iter().copied().map(energy).sum();
    let mut greatest: f64 = 0.0;
    for end in n..=longer.len() {
        let scale = (of_stretch * within).sqrt().max(1e-9);
        greatest = greatest.max(f64::from(products[end - 1]) / scale);
        if let Some(&next) = longer.get(end) {
            within = (within + energy(next) - energy(longer[end - n])).max(0.0);
        }
    }
    greatest
}

/// A time in samples.
pub fn samples(seconds: f64) -> i64 {
    (seconds * f64::from(RATE)).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_correlation_is_that_of_its_definition() {
        let mut rng = Rng::new(5);
        let mut noise = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<f32>>();
        let (stretch, mut longer) = (noise(40), noise(60));
        longer[13..53].iter_mut().zip(&stretch).for_each(|(x, y)| *x += y);
        let naive = (0..=20)
            .map(|lag| {
                let there = &longer[lag..lag + 40];
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                };
                dot(&stretch, there) / (dot(&stretch, &stretch) * dot(there, there)).sqrt()
            })
            .fold(0.0, f64::max);
        let found = correlation(&stretch, &longer, &mut Spectral::default());
        assert!((found - naive).abs() < 1e-5, "{found} {naive}");
    }

    #[test]
    fn a_loop_is_the_same_audio_and_another_bar_is_not() {
        let mut rng = Rng::new(6);
        let bar: Vec<f32> = (0..4000).map(|_| rng.normal() as f32).collect();
        let other: Vec<f32> = (0..4000).map(|_| rng.normal() as f32).collect();
        let track = [&bar[..], &other, &bar].concat();
        let same = |places| same_audio(&track, places, 4000, 300, &mut Spectral::default());
        assert!(same([0, 8000]) && same([0, 7800]) && same([8000, 0]));
        assert!(!same([0, 4000]) && !same([0, 7600]));
    }
}
