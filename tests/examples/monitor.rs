//! The example `monitor`, from a file and from standard input.

use crate::running::*;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const COLUMNS: &str = "start_s\tend_s\ttrack\treference_start_s\tspeed\tscore";

fn monitor(folder: &TempDir) -> Command {
    let mut command = example("monitor");
    command.arg(index_of(folder));
    command
}

/// Checks the contract: the header, and the one event of a clip from 7.313 s of the melody.
fn check(tsv: &str) {
    let lines: Vec<&str> = tsv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, COLUMNS), "{tsv}");
    let fields: Vec<&str> = lines[1].split('\t').collect();
    assert_eq!((fields.len(), fields[2]), (6, "library/a.wav"));
    let [start_s, end_s, reference_s, speed, score] =
        [0, 1, 3, 4, 5].map(|i| fields[i].parse::<f64>().unwrap());
    assert!(start_s < 0.6 && end_s > 4.4, "{tsv}");
    assert!((reference_s - 7.313 - start_s).abs() < 0.1, "{tsv}");
    assert!(speed == 1.0 && score >= 3.0, "{tsv}");
}

#[test]
fn a_file_and_a_stream_of_it_give_the_event_that_is_in_them() {
    let folder = small_library();
    let clip = fixture("clips/01-melody_at_7.313s_quiet.wav");
    let (code, out, err) = run(monitor(&folder).arg(&clip).args(["--format", "tsv"]));
    assert_eq!((code, err.as_str()), (0, ""));
    check(&out);
    let stdin = File::open(&clip).unwrap();
    let (code, out, err) = run(monitor(&folder).args(["-", "--format", "tsv"]).stdin(stdin));
    assert_eq!((code, err.as_str()), (0, ""));
    check(&out);
    // What was not indexed is not there.
    let absent = fixture("clips/absent_at_5.323s_clean.flac");
    let (code, out, _) = run(monitor(&folder).arg(&absent).args(["--format", "tsv"]));
    assert_eq!((code, out.trim_end()), (0, COLUMNS));
}

#[test]
fn every_format_names_the_track() {
    let folder = small_library();
    let clip = fixture("clips/01-melody_at_7.313s_quiet.wav");
    for format in ["table", "tsv", "json", "csv", "cue", "svg"] {
        let (code, out, _) = run(monitor(&folder).arg(&clip).args(["--format", format]));
        assert_eq!(code, 0, "{format}");
        let named = ["library/a.wav", ">a<", "Melody", "melody"];
        assert!(named.iter().any(|name| out.contains(name)), "{format}: {out}");
        if format == "json" {
            let json: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert!(json[0]["end_s"].as_f64().unwrap() > 4.0);
        }
    }
}

#[test]
fn what_is_no_audio_is_said_to_be_none() {
    let folder = small_library();
    let noise = folder.path().join("noise");
    fs::write(&noise, (0..3000u32).map(|i| (i * i / 7) as u8).collect::<Vec<_>>()).unwrap();
    let stdin = File::open(&noise).unwrap();
    let (code, out, err) = run(monitor(&folder).args(["-", "--format", "tsv"]).stdin(stdin));
    assert_eq!((code, out.trim_end()), (1, COLUMNS));
    assert!(err.contains("not an audio file"), "{err}");
    let (code, _, err) = run(monitor(&folder).arg(Path::new("nowhere.mp3")));
    assert_eq!(code, 2);
    assert!(err.contains("nowhere.mp3"), "{err}");
    let clip = fixture("clips/01-melody_at_7.313s_quiet.wav");
    let (code, ..) = run(monitor(&folder).arg(clip).args(["--patience", "0"]));
    assert_eq!(code, 2);
}
