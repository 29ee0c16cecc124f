//! The format as it is written down, and as it was.

use super::*;
use crate::landmark::LandmarkHash;
use crate::peaks::Peak;
use crate::store::{Damage, Store};
use crate::units::{BinSteps, TimeSteps};
use crate::{Calibration, Fingerprint, Tags};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

const EXAMPLE: &str = "## An example";
/// Bytes and hash of a segment that was merged.
const MERGED: (usize, u64) = (1_034_302, 9_221_247_845_541_506_641);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn blessed() -> bool {
    std::env::var_os("EARMARK_BLESS").is_some_and(|value| value != "0")
}

/// Peaks in a row that goes up, and words.
fn track(number: u32) -> (TrackInfo, Fingerprint) {
    let peaks = (0..4 + 20 * number).map(|i| Peak {
        time: TimeSteps(16 * (5 + 12 * i) + 2 * (i % 8)),
        bin: BinSteps((16 * (100 + 37 * i + 90 * number) % 14_000) as u16),
        contrast: 36 + 8 * (i % 7) as u8,
        rank: (i % 3) as u8,
        level: 191 - 6 * (i % 9) as u8,
        phase: (40 * i) as u8,
    });
    let words = (0..2 + 5 * number).map(|i| 0x0123_4567_89ab_cdef_u64.rotate_left(i)).collect();
    let tags = Tags { title: Some("Ä".into()), ..Tags::default() };
    let info = TrackInfo { name: format!("track {number}"), tags };
    (info, Fingerprint::from_parts(peaks.collect(), words, 1.5, &Config::default()))
}

fn hex(text: &mut String, begin: usize, bytes: &[u8]) {
    for (i, row) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{:5}  {}", begin + 16 * i, digits.join(" ")).unwrap();
    }
}

#[test]
fn the_worked_example_is_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    let (info, fingerprint) = track(0);
    writer.add(info, &fingerprint).unwrap();
    writer.commit().unwrap();
    let mut text = String::from("Its landmarks:\n\n```text\n");
    for landmark in fingerprint.landmarks() {
        let hash = landmark.hash(&Config::default().landmarks).0;
        let key = hash.wrapping_mul(0x9e37_79b1) % (1 << 23);
        writeln!(text, "block {}  hash {hash:8}  key {key:8}", landmark.time.0 / 512).unwrap();
    }
    text += "```\n\nThe manifest:\n\n```text\n";
    hex(&mut text, 0, &fs::read(path.join("manifest")).unwrap());
    text += "```\n\nThe segment:\n\n```text\n";
    let stats = index.reader().stats();
    let bytes = fs::read(&stats.segments[0].path).unwrap();
    let mut at = 0;
    for (name, length) in &stats.segments[0].sections {
        let name = if *name == "checksums" { "checksums and footer" } else { name };
        writeln!(text, "{name}").unwrap();
        hex(&mut text, at, &bytes[at..at + *length as usize]);
        at += *length as usize;
    }
    text += "```\n";
    assert_eq!(at, bytes.len());
    let path = root().join("FORMAT.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, _) = document.split_once("Its landmarks:\n").unwrap_or((&document, ""));
    assert!(before.contains(EXAMPLE));
    if blessed() {
        fs::write(&path, format!("{before}{text}")).unwrap();
    }
    let document = fs::read_to_string(&path).unwrap();
    assert!(document.ends_with(&text), "FORMAT.md shows another example");
}

/// What is the same for ever, too: how segments become one. Three of recordings, of which two are removed.
#[test]
fn segments_are_merged_to_the_same_bytes_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let options = OpenOptions::new().merging(Merging::ByHand);
    let index = options.create(&path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    let mut ids = Vec::new();
    for seed in [31, 32, 33] {
        for (info, fingerprint) in conformance::recordings(&Config::default(), 40, seed) {
            let name = format!("{seed} {}", info.name);
            ids.push(writer.add(TrackInfo { name, ..info }, &fingerprint).unwrap());
        }
        writer.commit().unwrap();
    }
    for removed in [45, 60] {
        writer.remove(ids[removed]).unwrap();
    }
    writer.compact().unwrap();
    let stats = index.reader().stats();
    assert_eq!(stats.segments.len(), 1);
    let bytes = fs::read(&stats.segments[0].path).unwrap();
    assert_eq!((bytes.len(), xxh3_64(&bytes)), MERGED);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A number that no calibration has by itself.
const CHANCE: f64 = 3.75;

fn calibration() -> Calibration {
    let mut calibration = Calibration::default();
    calibration.law.chance = CHANCE;
    calibration
}

/// Indexes of all versions of the format open for ever: two segments, one of whose tracks was removed.
#[test]
fn indexes_of_earlier_versions_open() {
    let golden = root().join("tests/golden/index-6.earmark");
    if blessed() {
        let _ = fs::remove_dir_all(&golden);
        let options = OpenOptions::new().merging(Merging::ByHand);
        let index = options.create(&golden, Config::default()).unwrap();
        let mut writer = index.writer().unwrap();
        for number in 0..5 {
            let (info, fingerprint) = track(number);
            let id = writer.add(info, &fingerprint).unwrap();
            if number == 1 {
                writer.set_calibration(Some(Arc::new(calibration()))).unwrap();
                writer.commit().unwrap();
                writer.remove(id).unwrap();
            }
        }
        writer.commit().unwrap();
        drop(writer);
        fs::remove_file(golden.join("lock")).unwrap();
    }
    // Where it can be written to.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    copy(&golden, &path);
    let index = Index::open(&path).unwrap();
    let reader = index.reader();
    assert_eq!(reader.verify(), [] as [Damage; 0]);
    assert_eq!((reader.len(), reader.generation()), (4, 2));
    // Its other numbers are those that were built in then.
    assert_eq!(reader.calibration().unwrap().law.chance, CHANCE);
    let want: Vec<Track> = [(0, 0), (2, 2), (3, 3), (4, 4)]
        .map(|(id, number)| {
            let (info, fingerprint) = track(number);
            (crate::TrackId(id), info, fingerprint)
        })
        .into();
    check(&index, &want);
    let removed = track(1).1;
    let hash = |l: &crate::landmark::Landmark| l.hash(&Config::default().landmarks);
    let hashes: Vec<LandmarkHash> = removed.landmarks().iter().map(hash).collect();
    assert!(
        reader.postings(&hashes).unwrap().len() >= hashes.len() / 2,
        "it is in its segment yet"
    );
    let mut writer = index.writer().unwrap();
    writer.compact().unwrap();
    check(&index, &want);
    assert_eq!(index.reader().stats().segments.len(), 1);
}
