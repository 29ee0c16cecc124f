//! Audio of which no fingerprint can be made is refused, and the reason is told.

mod common;

use common::*;
use earmark::{Config, Error};

/// The reason why there is no fingerprint, which must be the same for a query.
fn refusal(samples: &[f32], rate_hz: usize) -> Error {
    let mut fingerprinter = fingerprinter();
    let reason = fingerprinter.fingerprint(samples, rate(rate_hz)).unwrap_err();
    let same = fingerprinter.query(samples, rate(rate_hz)).unwrap_err();
    assert_eq!(reason.to_string(), same.to_string());
    reason
}

#[test]
fn too_short_audio_is_refused_as_such() {
    let shortest_s = Config::default().shortest_s();
    for rate_hz in RATES_HZ {
        for samples in [vec![], vec![0.5], music_at(rate_hz, shortest_s as f32 - 0.01, 3)] {
            match refusal(&samples, rate_hz) {
                Error::TooShort { duration_s, needed_s } => {
                    let len_s = samples.len() as f64 / rate_hz as f64;
                    assert!((duration_s - len_s).abs() < 1e-3, "{duration_s} s, not {len_s}");
                    assert_eq!(needed_s, shortest_s);
                }
                other => panic!("{} samples at {rate_hz} Hz: {other}", samples.len()),
            }
        }
    }
    match fingerprinter().finish() {
        Err(Error::TooShort { duration_s, .. }) => assert_eq!(duration_s, 0.0),
        other => panic!("{other:?}"),
    }
    let message = refusal(&[0.1; 800], 8_000).to_string();
    let expected = "only 0.10 s of audio: at least 0.38 s are needed for a landmark";
    assert_eq!(message, expected);
}

#[test]
fn silence_is_refused_as_such() {
    let bit = 1.0 / 32_768.0;
    for rate_hz in RATES_HZ {
        let n = 2 * rate_hz;
        let dither: Vec<f32> = {
            let (mut a, mut b) = (rng(1), rng(2));
            (0..n).map(|_| (bit * (a() - b())).clamp(-bit, bit)).collect()
        };
        let rounded = dither.iter().map(|x| (x / bit).round() * bit).collect();
        let not_numbers = vec![f32::NAN; n];
        for (what, samples) in [
            ("zeros", vec![0.0; n]),
            ("a constant", vec![0.5; n]),
            ("the greatest constant", vec![-1.0; n]),
            ("dither", dither.clone()),
            ("rounded dither", rounded),
            ("no numbers", not_numbers),
        ] {
            match refusal(&samples, rate_hz) {
                Error::Silent { duration_s } => assert!((duration_s - 2.0).abs() < 1e-3),
                other => panic!("{what} at {rate_hz} Hz: {other}"),
            }
        }
    }
}

fn tone(tone_hz: f64, rate_hz: usize, seconds: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU * tone_hz / rate_hz as f64;
    let sample = |i: usize| (16_384.0 * (step * i as f64).sin()).round() as f32 / 32_768.0;
    (0..seconds * rate_hz).map(sample).collect()
}

#[test]
fn audio_without_features_is_refused_as_such() {
    // These go round an exact number of times in a hop, so that all frames are equal.
    for tone_hz in [1_000.0, 2_000.0, 3_000.0] {
        match refusal(&tone(tone_hz, RATE_HZ, 3), RATE_HZ) {
            Error::Featureless { duration_s } => assert_eq!(duration_s, 3.0),
            other => panic!("{tone_hz} Hz: {other}"),
        }
    }
}

#[test]
fn no_steady_tone_has_features() {
    let mut failed = Vec::new();
    for rate_hz in [RATE_HZ, 44_100] {
        for tone_hz in [300.0, 440.0, 1_234.5, 2_345.6, 3_000.0] {
            let samples = tone(tone_hz, rate_hz, 3);
            match fingerprinter().fingerprint(&samples, rate(rate_hz)) {
                Err(Error::Featureless { .. }) => {}
                Err(other) => panic!("{tone_hz} Hz at {rate_hz} Hz: {other}"),
                Ok(print) => failed.push((tone_hz, rate_hz, print.landmarks().len())),
            }
        }
    }
    assert!(failed.is_empty(), "tone, rate and number of landmarks: {failed:?}");
}
