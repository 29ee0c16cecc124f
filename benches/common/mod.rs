//! What all benchmarks share: a signal, a short way to measure, and the unit of throughput.
#![allow(dead_code, reason = "each benchmark uses a part")]

use criterion::{Criterion, Throughput};
use earmark::{Match, Query};
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// A clip of a track.
pub struct Clip {
    pub query: Query,
    pub track: String,
    pub start_s: f64,
}

impl Clip {
    /// Whether it is found first, in its place.
    pub fn is_found(&self, found: &[Match]) -> bool {
        let here = |m: &Match| m.name == self.track && (m.offset_s - self.start_s).abs() < 0.05;
        found.first().is_some_and(here)
    }
}

/// Does something for each number, on all cores; gives what comes of it in the order of the numbers.
pub fn in_parallel<T: Send>(numbers: Range<u64>, make: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = (numbers.end - numbers.start).div_ceil(threads).max(1);
    let make = &make;
    thread::scope(|scope| {
        let shares = numbers.clone().step_by(share as usize).map(|start| {
            let end = numbers.end.min(start + share);
            scope.spawn(move || (start..end).map(make).collect::<Vec<T>>())
        });
        let shares: Vec<_> = shares.collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

/// Few samples and short ones: all benchmarks take less than three minutes.
pub fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_200))
        .nresamples(10_000)
        .without_plots()
}

/// Counts milliseconds of audio, so that a thousand elements a second are real time: "Kelem/s" reads
/// as a multiple of real time, "Melem/s" as thousands of it.
pub fn audio(seconds: f64) -> Throughput {
    Throughput::Elements((seconds * 1000.0).round() as u64)
}

/// A reproducible source of numbers in 0..1 (xorshift).
pub fn rng(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Something like music: decaying notes of several harmonics, over a little noise.
pub fn music(seconds: f32, rate_hz: u32, seed: u64) -> Vec<f32> {
    let mut random = rng(seed);
    let rate = rate_hz as f32;
    let mut out: Vec<f32> =
        (0..(seconds * rate) as usize).map(|_| 0.002 * (random() - 0.5)).collect();
    // No two pieces are tuned alike.
    let lowest_hz = 110.0 * (0.97 + 0.06 * random());
    for _ in 0..(seconds * 8.0) as usize {
        let start = (random() * out.len() as f32) as usize;
        let length = ((0.15 + 0.5 * random()) * rate) as usize;
        let f0 = lowest_hz * 2f32.powf((random() * 36.0).floor() / 12.0);
        for harmonic in 1..=6 {
            let amplitude = 0.1 * (0.3 + random()) / harmonic as f32;
            let hz = f0 * harmonic as f32;
            if hz < 0.45 * rate {
                let end = out.len().min(start + length);
                add_partial(&mut out[start..end], std::f32::consts::TAU * hz / rate, amplitude);
            }
        }
    }
    out
}

/// Adds a sine that decays to a tenth by the end of `out`: a point that spirals inwards, which
/// spares a sine a sample.
fn add_partial(out: &mut [f32], radians_per_sample: f32, amplitude: f32) {
    let decay = 0.1f32.powf(1.0 / out.len().max(1) as f32);
    let (sin, cos) = radians_per_sample.sin_cos();
    let (sin, cos) = (decay * sin, decay * cos);
    let (mut x, mut y) = (amplitude, 0.0);
    for sample in out {
        *sample += y;
        (x, y) = (x * cos - y * sin, x * sin + y * cos);
    }
}
