//! What each stage made of the fixtures when it was last looked over.
//!
//! After a change that is meant, make the files in `tests/golden/` again, and look at the
//! difference:
//!
//! ```text
//! EARMARK_BLESS=1 cargo test --test golden
//! ```
//!
//! The transform rounds differently from one processor to another, and so does the system's `sin`,
//! of which the resampler's filter is made. What comes after either is therefore compared with a
//! margin; with `EARMARK_GOLDEN_EXACT=1` it must be the same to the bit, as it is on the machine
//! that made the files. What is made of the golden peaks must be the same everywhere.
#![cfg(feature = "decode")]

mod common;

use common::*;
use earmark::landmark::Landmark;
use earmark::spectrogram::Spectrogram;
use earmark::{Config, Fingerprint, Index, SampleRate, TrackInfo};
use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The pieces that are stored without loss in all formats that can do so.
const LOSSLESS: [&str; 8] = [
    "01-melody.wav",
    "02-chords.wav",
    "04-bass.aiff",
    "05-arpeggio.flac",
    "06-sweeps.wav",
    "07-speech.m4a",
    "09-plucked.caf",
    "11-drone.flac",
];

/// Shares that must agree, in ten thousand.
const ENOUGH: usize = 9_990;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn asked_for(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value != "0")
}

fn exact() -> bool {
    asked_for("EARMARK_GOLDEN_EXACT")
}

/// Writes a golden file if that is asked for; reads it.
fn bless(name: &str, now: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if asked_for("EARMARK_BLESS") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|e| {
        panic!("{}: {e}; EARMARK_BLESS=1 cargo test --test golden makes it", path.display())
    })
}

/// As [`bless`], for tables of a line for each thing, its name first.
fn bless_table(name: &str, now: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8(bless(name, now.as_bytes())).unwrap();
    text.lines().map(|line| line.split('\t').map(String::from).collect()).collect()
}

fn hash_of_samples(samples: &[f32]) -> u64 {
    let mut hash = Xxh3::new();
    samples.iter().for_each(|sample| hash.update(&sample.to_bits().to_le_bytes()));
    hash.digest()
}

/// Decoded and resampled audio. Where nothing is resampled, every bit is the file's.
#[test]
fn samples() {
    const PROBES: usize = 24;
    let mut now = String::new();
    for name in LOSSLESS {
        let reader = open(fixture("library").join(name));
        let rate_hz = reader.info().sample_rate.hz();
        let samples = piece(name);
        let hash = hash_of_samples(samples);
        write!(now, "{name}\t{rate_hz}\t{}\t{hash:016x}", samples.len()).unwrap();
        for probe in samples.iter().step_by(samples.len() / PROBES) {
            write!(now, "\t{probe:.7}").unwrap();
        }
        now.push('\n');
    }
    for (line, now) in bless_table("samples.tsv", &now).iter().zip(now.lines()) {
        let now: Vec<&str> = now.split('\t').collect();
        let name = now[0];
        assert_eq!(line[..3], now[..3], "name, rate and length");
        if exact() || now[1] == SampleRate::default().hz().to_string() {
            assert_eq!(line[3], now[3], "{name}: hash of the samples");
        }
        assert_eq!(line.len(), now.len());
        for (a, b) in line.iter().zip(&now).skip(4) {
            let (a, b): (f32, f32) = (a.parse().unwrap(), b.parse().unwrap());
            assert!((a - b).abs() < 1e-5, "{name}: {b}, not {a}");
        }
    }
}

/// A few cells of each spectrogram, in dB.
#[test]
fn levels() {
    const FRAMES: usize = 50;
    const BINS: usize = 97;
    let mut now = String::new();
    for name in LOSSLESS {
        let spectrogram = Spectrogram::new(piece(name), &Config::default().stft).unwrap();
        let (frames, bins) = spectrogram.levels_db.dim();
        write!(now, "{name}\t{frames}\t{bins}").unwrap();
        for frame in (0..frames).step_by(FRAMES) {
            for bin in (frame % BINS..bins).step_by(BINS) {
                write!(now, "\t{:.2}", spectrogram.frame(frame)[bin]).unwrap();
            }
        }
        now.push('\n');
    }
    for (line, now) in bless_table("levels.tsv", &now).iter().zip(now.lines()) {
        let now: Vec<&str> = now.split('\t').collect();
        assert_eq!(line[..3], now[..3], "name, frames and bins");
        assert_eq!(line.len(), now.len());
        for (a, b) in line.iter().zip(&now).skip(3) {
            let (a, b): (f32, f32) = (a.parse().unwrap(), b.parse().unwrap());
            // Close to the rounding noise of single precision, levels mean little.
            let margin = if exact() {
                0.0
            } else if a < -110.0 {
                3.0
            } else {
                0.1
            };
            assert!((a - b).abs() <= margin, "{}: {b} dB, not {a}", now[0]);
        }
    }
}

fn file_name(piece: &str) -> String {
    format!("{}.fingerprint", piece.split('.').next().unwrap())
}

/// The fingerprints that are stored, and those of now.
fn golden_fingerprints() -> &'static [(&'static str, Fingerprint, Fingerprint)] {
    // Tests run side by side, but only one may write.
    static ONCE: OnceLock<Vec<(&str, Fingerprint, Fingerprint)>> = OnceLock::new();
    let both = |name| {
        let now = fingerprint(piece(name));
        let bytes = bless(&file_name(name), &now.to_bytes().unwrap());
        let then = Fingerprint::from_bytes(&bytes, &Config::default()).unwrap_or_else(|e| {
            panic!("{name}: {e}; EARMARK_BLESS=1 cargo test --test golden makes the files again")
        });
        (name, then, now)
    };
    ONCE.get_or_init(|| LOSSLESS.into_iter().map(both).collect())
}

/// Those of `now` that stand in `then`.
fn shared<T: Eq + std::hash::Hash>(then: &[T], now: &[T]) -> usize {
    let then: HashSet<&T> = then.iter().collect();
    now.iter().filter(|x| then.contains(x)).count()
}

#[test]
fn peaks_and_landmarks() {
    let mut totals = [(0, 0); 2];
    for (name, then, now) in golden_fingerprints() {
        if exact() {
            assert!(now == then, "{name}");
        }
        assert!((now.duration_s() - then.duration_s()).abs() < 1e-9);
        let of_peaks = shared(then.peaks(), now.peaks());
        let of_landmarks = shared(then.landmarks(), now.landmarks());
        let all_peaks = then.peaks().len().max(now.peaks().len());
        let all_landmarks = then.landmarks().len().max(now.landmarks().len());
        // One peak that changes its rank changes several landmarks near it.
        let counts = format!(
            "{name}: {of_peaks} of {all_peaks} peaks, {of_landmarks} of {all_landmarks} landmarks"
        );
        println!("{counts}");
        assert!(of_peaks * 100 >= all_peaks * 99, "{counts}");
        assert!(of_landmarks * 100 >= all_landmarks * 99, "{counts}");
        for (total, counts) in
            totals.iter_mut().zip([(of_peaks, all_peaks), (of_landmarks, all_landmarks)])
        {
            *total = (total.0 + counts.0, total.1 + counts.1);
        }
    }
    for (shared, all) in totals {
        assert!(shared * 10_000 >= all * ENOUGH, "{shared} of {all}");
    }
}

/// Landmarks and their hashes, of the golden peaks: integers only, so the same everywhere.
#[test]
fn hashes() {
    let config = Config::default().landmarks;
    let mut now = String::new();
    for (name, fingerprint, _) in golden_fingerprints() {
        let landmarks = fingerprint.landmarks();
        let mut words = Xxh3::new();
        for Landmark { time, bin, delta_bin, delta_time } in landmarks {
            words.update(&time.0.to_le_bytes());
            words.update(&bin.0.to_le_bytes());
            words.update(&delta_bin.0.to_le_bytes());
            words.update(&delta_time.0.to_le_bytes());
        }
        let mut hashes = Xxh3::new();
        landmarks.iter().for_each(|l| hashes.update(&l.hash(&config).0.to_le_bytes()));
        let (words, hashes) = (words.digest(), hashes.digest());
        let peaks = fingerprint.peaks().len();
        writeln!(now, "{name}\t{peaks}\t{}\t{words:016x}\t{hashes:016x}", landmarks.len()).unwrap();
    }
    let bytes = bless("hashes.tsv", now.as_bytes());
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        now,
        "peaks, landmarks, their hash, their hashes"
    );
}

/// The files of an index of the golden fingerprints.
#[test]
fn index_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    for (name, fingerprint, _) in golden_fingerprints() {
        writer.add(TrackInfo::named(*name), fingerprint).unwrap();
    }
    writer.commit().unwrap();
    let mut now = String::new();
    for name in ["manifest", "00000000.seg"] {
        let bytes = std::fs::read(path.join(name)).unwrap();
        writeln!(now, "{name}\t{}\t{:016x}", bytes.len(), xxh3_64(&bytes)).unwrap();
    }
    let then = bless("index.tsv", now.as_bytes());
    assert_eq!(String::from_utf8(then).unwrap(), now, "lengths and hashes of the files");
}

/// Stored indexes and fingerprints are refused once this changes.
#[test]
fn config_id() {
    let now = format!("{}\n", Config::default().id());
    let then = String::from_utf8(bless("config-id.txt", now.as_bytes())).unwrap();
    assert_eq!(then, now, "the id of the default configuration");
}
