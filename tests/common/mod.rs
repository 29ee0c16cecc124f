//! What several integration tests need: synthetic signals, the fixtures and indexes of them.
#![allow(dead_code, reason = "each test uses a part")]

use earmark::{
    Config, Fingerprint, Fingerprinter, Index, Match, Query, SampleRate, TrackId, TrackInfo,
};

mod example;
#[cfg(feature = "decode")]
mod fixtures;
mod heap;
#[cfg(feature = "postgres")]
pub mod server;
#[allow(unused_imports, reason = "each test uses a part")]
pub use example::*;
#[cfg(feature = "decode")]
#[allow(unused_imports, reason = "each test uses a part")]
pub use fixtures::*;
#[allow(unused_imports, reason = "each test uses a part")]
pub use heap::*;

/// The rate of the analysis in the default configuration.
pub const RATE_HZ: usize = 8000;
/// Rates that are resampled by whole, simple, awkward and upward ratios, and one that is not.
pub const RATES_HZ: [usize; 6] = [RATE_HZ, 44_100, 48_000, 96_000, 11_025, 6_000];

/// A reproducible source of numbers in 0..1 (xorshift).
pub fn rng(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// White noise of the given amplitude.
pub fn noise(samples: usize, amplitude: f32, seed: u64) -> Vec<f32> {
    let mut random = rng(seed);
    (0..samples).map(|_| amplitude * (2.0 * random() - 1.0)).collect()
}

/// Something like music at any rate: notes of a few harmonics that start at random moments, with a
/// little noise. The notes depend on the seed alone, not on the rate.
pub fn music_at(rate_hz: usize, seconds: f32, seed: u64) -> Vec<f32> {
    music_played(rate_hz, seconds, seed, 1.0, 1.0)
}

/// The same notes in another tempo, or higher or lower: synthesised so, not made from the other.
pub fn music_played(rate_hz: usize, seconds: f32, seed: u64, tempo: f32, pitch: f32) -> Vec<f32> {
    let rate = rate_hz as f32 / tempo;
    let mut out = noise((seconds * rate) as usize, 0.002, seed + 1);
    let mut random = rng(seed);
    for _ in 0..(seconds * 10.0) as usize {
        let start = (random() * seconds * rate) as usize;
        let length = ((0.15 + 0.5 * random()) * rate) as usize;
        let f0 = 110.0 * (random() * 36.0 / 12.0).exp2();
        for harmonic in 1..=6 {
            let f = f0 * harmonic as f32;
            let amplitude = 0.1 * (0.3 + random()) / harmonic as f32;
            if f > 3500.0 || f * pitch > 3900.0 {
                continue;
            }
            for (i, x) in out.iter_mut().skip(start).take(length).enumerate() {
                let t = i as f32 / rate;
                let envelope = (t / 0.01).min(1.0) * (-3.0 * t).exp();
                *x += amplitude * envelope * (std::f32::consts::TAU * f * pitch / tempo * t).sin();
            }
        }
    }
    out
}

/// Music at the rate of the analysis.
pub fn music(seconds: f32, seed: u64) -> Vec<f32> {
    music_at(RATE_HZ, seconds, seed)
}

/// A mono WAV of 16 bits, at the rate of the analysis.
pub fn wav(samples: &[f32]) -> Vec<u8> {
    let bytes = 2 * samples.len() as u32;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + bytes).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(8000u32.to_le_bytes());
    out.extend(16000u32.to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend(bytes.to_le_bytes());
    for x in samples {
        out.extend(((x * 32000.0) as i16).to_le_bytes());
    }
    out
}

/// The samples of a signal from one time to another, in seconds.
pub fn cut(samples: &[f32], from_s: f64, to_s: f64) -> &[f32] {
    let at = |s: f64| (s * RATE_HZ as f64).round() as usize;
    &samples[at(from_s)..at(to_s).min(samples.len())]
}

pub fn rate(hz: usize) -> SampleRate {
    SampleRate::new(u32::try_from(hz).unwrap()).unwrap()
}

pub fn fingerprinter() -> Fingerprinter {
    Fingerprinter::new(Config::default()).unwrap()
}

/// The fingerprint of a signal at the rate of the analysis.
pub fn fingerprint(samples: &[f32]) -> Fingerprint {
    fingerprinter().fingerprint(samples, rate(RATE_HZ)).unwrap()
}

/// A signal at the rate of the analysis as a query.
pub fn query(samples: &[f32]) -> Query {
    fingerprinter().query(samples, rate(RATE_HZ)).unwrap()
}

/// Clips of ten tracks or so: clear ones, two tracks at once, one in noise, and one that is of none.
pub fn clips_of(tracks: &[(String, Vec<f32>)]) -> Vec<Query> {
    let mixed: Vec<f32> = (cut(&tracks[1].1, 4.0, 10.0).iter().zip(cut(&tracks[7].1, 2.0, 8.0)))
        .map(|(a, b)| a + 0.9 * b)
        .collect();
    let noisy: Vec<f32> = cut(&tracks[2].1, 3.0, 8.0)
        .iter()
        .zip(noise(5 * RATE_HZ, 0.2, 4))
        .map(|(x, n)| x + n)
        .collect();
    let plain =
        [(3, 5.0), (5, 12.0), (8, 1.0)].map(|(i, at)| query(cut(&tracks[i].1, at, at + 5.0)));
    let others = [&mixed[..], &noisy, &music(5.0, 500)].map(query);
    plain.into_iter().chain(others).collect()
}

/// An index in memory of fingerprints, by name.
pub fn index_of_prints<'a>(
    tracks: impl IntoIterator<Item = (impl Into<String>, &'a Fingerprint)>,
) -> Index {
    let index = Index::in_memory(Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    for (name, print) in tracks {
        writer.add(TrackInfo::named(name), print).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    index
}

/// An index in memory of signals at the rate of the analysis, by name.
pub fn index_of(tracks: &[(&str, &[f32])]) -> Index {
    let prints: Vec<Fingerprint> = tracks.iter().map(|(_, samples)| fingerprint(samples)).collect();
    index_of_prints(tracks.iter().map(|(name, _)| *name).zip(&prints))
}

/// Adds a track and commits.
pub fn add(index: &Index, name: &str, print: &Fingerprint) -> earmark::Result<TrackId> {
    let mut writer = index.writer()?;
    let id = writer.add(TrackInfo::named(name), print)?;
    writer.commit().map(|()| id)
}

/// Replaces a track and commits.
pub fn replace(index: &Index, name: &str, print: &Fingerprint) -> earmark::Result<TrackId> {
    let mut writer = index.writer()?;
    let id = writer.replace(TrackInfo::named(name), print)?;
    writer.commit().map(|()| id)
}

/// Removes a track and commits.
pub fn remove(index: &Index, id: TrackId) -> earmark::Result<String> {
    let mut writer = index.writer()?;
    let track = writer.remove(id)?;
    writer.commit().map(|()| track.name)
}

/// The id of the track with a name.
pub fn id_of(index: &Index, name: &str) -> Option<TrackId> {
    index.reader().find(name).unwrap().map(|track| track.id)
}

/// Names of matches, best first.
pub fn names(matches: &[Match]) -> Vec<&str> {
    matches.iter().map(|m| m.name.as_str()).collect()
}

/// So many cases of a property; the ones that fail are printed, not stored.
pub fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
