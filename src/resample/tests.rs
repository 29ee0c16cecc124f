use super::*;
use proptest::prelude::*;
use std::f64::consts::PI;

const RATES_HZ: [u32; 12] = [
    8_000, 11_025, 16_000, 22_050, 32_000, 44_099, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000,
];

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

fn resample(from_hz: u32, to_hz: u32, input: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(rate(from_hz), rate(to_hz), 3_600.0);
    let mut out = Vec::new();
    resampler.push(input, &mut out);
    resampler.finish(&mut out);
    out
}

fn sine(rate_hz: u32, tone_hz: f64, len: usize) -> Vec<f32> {
    let step = 2.0 * PI * tone_hz / f64::from(rate_hz);
    (0..len).map(|n| (step * n as f64 + 0.3).sin() as f32).collect()
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-9).log10()
}

/// Amplitude in dB of the part of `signal` at a frequency (Hann-weighted correlation).
fn level_db(signal: &[f32], rate_hz: u32, tone_hz: f64) -> f64 {
    let step = 2.0 * PI * tone_hz / f64::from(rate_hz);
    let (mut re, mut im, mut total) = (0.0, 0.0, 0.0);
    for (n, &sample) in signal.iter().enumerate() {
        let weight = 1.0 - (2.0 * PI * n as f64 / signal.len() as f64).cos();
        re += weight * f64::from(sample) * (step * n as f64).cos();
        im += weight * f64::from(sample) * (step * n as f64).sin();
        total += weight;
    }
    db(2.0 * re.hypot(im) / total)
}

/// The largest deviation in dB, away from the edges, from a sine of amplitude 1.
fn error_db(out: &[f32], expected: &[f32]) -> f64 {
    let edge = 400;
    let worst = out[edge..out.len() - edge]
        .iter()
        .zip(&expected[edge..])
        .map(|(a, b)| f64::from(a - b).abs())
        .fold(0.0, f64::max);
    db(worst)
}

/// The modified Bessel function I0 as an integral (the mean of e^(x cos θ)), not as a series.
fn bessel_i0(x: f64) -> f64 {
    (0..200).map(|n| (x * (PI * (f64::from(n) + 0.5) / 200.0).cos()).exp()).sum::<f64>() / 200.0
}

/// Kaiser's filter at a time from its middle, in samples, up to a factor.
fn prototype(time: f64, cutoff: f64, half: f64, attenuation_db: f64) -> f64 {
    if time.abs() >= half {
        return 0.0;
    }
    let x = PI * cutoff * time;
    let beta = 0.1102 * (attenuation_db - 8.7);
    let window = bessel_i0(beta * (1.0 - (time / half).powi(2)).sqrt());
    window * if x == 0.0 { 1.0 } else { x.sin() / x }
}

/// A signal at any time that is a whole number of samples from its beginning, negative too.
type Signal<'a> = Box<dyn Fn(i64) -> f64 + 'a>;

/// Half the rate, by the whole filter, zeros included.
fn halve(signal: Signal<'_>, rate_hz: f64, passband_hz: f64) -> Signal<'_> {
    let length = (74.0 - 7.95) / (2.285 * PI * (1.0 - 4.0 * passband_hz / rate_hz));
    let half = 2.0 * (length / 4.0).ceil();
    let reach = half as i64 - 1;
    let weight = |k: i64| prototype(k as f64, 0.5, half, 74.0);
    // All odd weights together are as much as the one in the middle.
    let odd: f64 = (-reach..=reach).step_by(2).map(weight).sum();
    let weights: Vec<f64> = (-reach..=reach)
        .map(|k| 0.5 * if k % 2 != 0 { weight(k) / odd } else { f64::from(u8::from(k == 0)) })
        .collect();
    Box::new(move |n| (-reach..).zip(&weights).map(|(k, weight)| weight * signal(2 * n + k)).sum())
}

#[test]
fn matches_a_direct_sum() {
    let input: Vec<f32> =
        (0..3_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.0).collect();
    for from_hz in [4_000, 11_025, 12_000, 16_000, 32_000, 44_100, 48_000] {
        let (mut rate_hz, to) = (f64::from(from_hz), 8_000.0);
        let passband = 3_600.0_f64.min(0.46 * rate_hz);
        let mut signal: Signal<'_> =
            Box::new(|n: i64| f64::from(input[n.clamp(0, input.len() as i64 - 1) as usize]));
        while rate_hz > 2.0 * to {
            signal = halve(signal, rate_hz, passband);
            rate_hz /= 2.0;
        }
        let lower = rate_hz.min(to);
        let taps = (66.0 - 7.95) / (2.285 * 2.0 * PI * (lower - 2.0 * passband) / rate_hz);
        let half = (taps.ceil() as usize).next_multiple_of(8) as f64 / 2.0;
        let out = resample(from_hz, 8_000, &input);
        for (n, &sample) in out.iter().enumerate().step_by(7) {
            let time = n as f64 * rate_hz / to;
            let (mut sum, mut gain) = (0.0, 0.0);
            let first = time.floor() as i64 - half as i64 + 1;
            let taps = first..first + 2 * half as i64;
            for k in taps {
                let weight = prototype(k as f64 - time, lower / rate_hz, half, 66.0);
                gain += weight;
                sum += weight * signal(k);
            }
            assert!((sum / gain - f64::from(sample)).abs() < 3e-6, "{from_hz} Hz, sample {n}");
        }
    }
}

#[test]
fn tones_of_the_passband_come_through_in_place() {
    for from_hz in RATES_HZ {
        for tone_hz in [100.0, 1_000.0, 2_345.6, 3_300.0, 3_600.0] {
            let out = resample(from_hz, 8_000, &sine(from_hz, tone_hz, from_hz as usize / 2));
            let error = error_db(&out, &sine(8_000, tone_hz, out.len()));
            assert!(error < -60.0, "{tone_hz} Hz at {from_hz} Hz: {error:.1} dB");
        }
    }
}

#[test]
fn nothing_folds_into_the_passband() {
    for from_hz in RATES_HZ {
        let half = f64::from(from_hz) / 2.0;
        let tones = (0..200).map(|n| 4_400.0 + f64::from(n * n)).chain([half - 1.0]);
        for tone_hz in tones.filter(|tone_hz| (4_400.0..half).contains(tone_hz)).step_by(3) {
            let out = resample(from_hz, 8_000, &sine(from_hz, tone_hz, from_hz as usize / 4));
            let folded = (tone_hz / 8_000.0 - (tone_hz / 8_000.0).round()).abs() * 8_000.0;
            if folded <= 3_600.0 {
                let level = level_db(&out[200..out.len() - 200], 8_000, folded);
                assert!(level < -60.0, "{tone_hz} Hz at {from_hz} Hz: {level:.1} dB");
            }
        }
    }
}

#[test]
fn upsampling_leaves_no_images() {
    for (from_hz, to_hz) in [(8_000, 11_025), (8_000, 48_000), (4_000, 8_000), (7_999, 8_000)] {
        let tone_hz = 0.44 * f64::from(from_hz);
        let out = resample(from_hz, to_hz, &sine(from_hz, tone_hz, from_hz as usize));
        let error = error_db(&out, &sine(to_hz, tone_hz, out.len()));
        assert!(error < -60.0, "{from_hz} to {to_hz} Hz: {error:.1} dB");
    }
}

#[test]
fn time_does_not_drift() {
    // Two minutes at an awkward rate. The last second is where it belongs, to 0.4 µs.
    let mut resampler = Resampler::new(rate(44_099), rate(8_000), 3_600.0);
    let (mut out, mut total) = (Vec::new(), 0_usize);
    let second = vec![0.0; 44_099];
    for _ in 0..119 {
        resampler.push(&second, &mut out);
        total += out.len();
        out.clear();
    }
    resampler.push(&sine(44_099, 440.0, 44_099), &mut out);
    resampler.finish(&mut out);
    assert_eq!(total + out.len(), 120 * 8_000);
    let last = &out[out.len() - 8_000..];
    let error = error_db(last, &sine(8_000, 440.0, 8_000));
    assert!(error < -60.0, "{error:.1} dB");
}

#[test]
fn a_constant_stays_one_and_damage_is_zero() {
    for from_hz in RATES_HZ {
        for sample in resample(from_hz, 8_000, &vec![0.75; from_hz as usize / 10]) {
            assert!((sample - 0.75).abs() < 1e-6, "{from_hz} Hz: {sample}");
        }
        let damaged = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e13];
        assert!(resample(from_hz, 8_000, &damaged).iter().all(|&sample| sample == 0.0));
    }
}

#[test]
fn the_filter_is_bounded_whatever_is_asked_for() {
    for passband_hz in [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e9] {
        let mut resampler = Resampler::new(rate(383_999), rate(4_000), passband_hz);
        let table = resampler.polyphase.as_ref().map_or(0, |polyphase| polyphase.table.len());
        assert!(table < 4_000_000, "{table}");
        let mut out = Vec::new();
        resampler.push(&[1.0; 1_000], &mut out);
        resampler.finish(&mut out);
        assert_eq!(out.len(), 11);
    }
}

#[test]
fn is_reusable_and_keeps_its_memory() {
    let mut resampler = Resampler::new(rate(44_100), rate(8_000), 3_600.0);
    let input = sine(44_100, 700.0, 30_000);
    let mut outs = [Vec::new(), Vec::new()];
    let capacity = |r: &Resampler| r.polyphase.as_ref().unwrap().history.capacity();
    let before = capacity(&resampler);
    resampler.push(&[1.0; 5_000], &mut Vec::new());
    resampler.reset();
    for out in &mut outs {
        resampler.push(&input, out);
        resampler.finish(out);
    }
    assert_eq!(outs[0], outs[1]);
    assert_eq!(capacity(&resampler), before);
    resampler.finish(&mut outs[0]);
    assert_eq!(outs[0], outs[1], "nothing in, nothing out");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_gives_the_same_bits(
        from in 0..RATES_HZ.len(),
        cuts in prop::collection::vec(0_usize..6_000, 0..12),
    ) {
        let from_hz = RATES_HZ[from];
        let input = sine(from_hz, 1_234.5, cuts.iter().sum());
        let mut resampler = Resampler::new(rate(from_hz), rate(8_000), 3_600.0);
        let (mut out, mut rest) = (Vec::new(), &input[..]);
        for cut in cuts {
            let (now, later) = rest.split_at(cut);
            resampler.push(now, &mut out);
            rest = later;
        }
        resampler.finish(&mut out);
        prop_assert_eq!(out, resample(from_hz, 8_000, &input));
    }

    #[test]
    fn length_is_exact(from_hz in 4_000_u32..60_000, to_hz in 4_000_u32..20_000, len in 0_usize..5_000) {
        let out = resample(from_hz, to_hz, &vec![0.1; len]);
        prop_assert_eq!(out.len(), (len * to_hz as usize).div_ceil(from_hz as usize));
    }
}
