//! Damaged, mislabelled and empty files: each gives its documented error, or what is left of it
//! with a report, and does nothing to the files after it.
#![cfg(feature = "decode")]

mod common;

use common::*;
use earmark::config::StftConfig;
use earmark::{AudioReader, Config, DecodeReport, Error, Fingerprint, Fingerprinter, Result};

fn broken(name: &str) -> std::path::PathBuf {
    fixture("broken").join(name)
}

fn names_of_broken_files() -> Vec<String> {
    let entries = std::fs::read_dir(fixture("broken")).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a program that goes through many files does with each.
fn process(fingerprinter: &mut Fingerprinter, name: &str) -> Result<(Fingerprint, DecodeReport)> {
    let mut reader = AudioReader::open(broken(name), &StftConfig::default())?;
    let fingerprint = fingerprinter.fingerprint_audio(&mut reader)?;
    Ok((fingerprint, reader.report()))
}

fn processed(name: &str) -> Result<(Fingerprint, DecodeReport)> {
    process(&mut fingerprinter(), name)
}

fn error(name: &str) -> Error {
    match processed(name) {
        Err(error) => error,
        Ok((_, report)) => panic!("{name}: {report}"),
    }
}

#[test]
fn what_is_no_audio_is_told_so() {
    for (name, expected) in [
        ("empty.wav", "the file is empty"),
        ("text.mp3", "no known header was found"),
        ("garbage.ogg", "no known header was found"),
    ] {
        match error(name) {
            Error::UnknownFormat { reason } => assert_eq!(reason, expected, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    let message = error("text.mp3").to_string();
    let expected = "not an audio file that can be read here (no known header was found); known are";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn sound_files_without_content_say_what_is_missing() {
    for name in ["silence.wav", "dc.wav"] {
        match error(name) {
            Error::Silent { duration_s } => assert!((duration_s - 2.0).abs() < 1e-9, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    match error("one-sample.wav") {
        Error::TooShort { duration_s, needed_s } => {
            assert_eq!(duration_s, 1.0 / 8000.0);
            assert_eq!(needed_s, Config::default().shortest_s());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_name_does_not_decide_what_a_file_is() {
    let (fingerprint, report) = processed("mp3-named.wav").unwrap();
    assert!(report.is_complete(), "{report}");
    assert!((fingerprint.duration_s() - 4.0).abs() < 0.01);
    let reader = open(broken("mp3-named.wav"));
    assert_eq!(reader.info().codec, "MPEG Audio Layer 3");
    assert_eq!(reader.info().container, "MPEG audio");
}

#[test]
fn what_is_left_of_a_truncated_file_is_used_and_the_rest_is_reported() {
    // Name, seconds in the file as it was, seconds that are left at least and at most.
    for (name, declared_s, left_s) in [
        ("truncated.wav", 3.0, 1.69..1.71),
        ("truncated.flac", 4.0, 1.6..2.3),
        ("truncated.mp3", 4.0, 1.9..2.3),
    ] {
        let (fingerprint, report) = processed(name).unwrap();
        assert!(!report.is_complete(), "{name}: {report:?}");
        assert!(left_s.contains(&report.decoded_s), "{name}: {report}");
        let whole_s = report.decoded_s + report.missing_s;
        assert!((whole_s - declared_s).abs() < 0.01, "{name}: {report}");
        assert!((fingerprint.duration_s() - report.decoded_s).abs() < 1e-3, "{name}");
        assert!(fingerprint.landmarks().len() > 50, "{name}");
        let text = report.to_string();
        let begin = format!("{:.1} of {declared_s:.1} s decoded: ", report.decoded_s);
        assert!(text.starts_with(&begin), "{name}: {text}");
    }
    // Where frames have no boundaries that could hide the cut, it is seen for what it is.
    for name in ["truncated.wav", "truncated.flac"] {
        let (_, report) = processed(name).unwrap();
        assert!(report.truncated, "{name}: {report:?}");
        assert_eq!(report.error.as_deref(), Some("unexpected end of file"), "{name}");
    }
}

#[test]
fn a_header_that_lies_is_not_believed() {
    let (fingerprint, report) = processed("lying-header.wav").unwrap();
    assert!((fingerprint.duration_s() - 3.0).abs() < 1e-6);
    assert!(report.truncated);
    assert!((report.missing_s - 597.0).abs() < 0.01, "{report}");
    assert_eq!(report.to_string(), "3.0 of 600.0 s decoded: unexpected end of file");
    let reader = open(broken("lying-header.wav"));
    assert_eq!(reader.info().declared_duration_s, Some(600.0));
}

/// So many frames of silence in MPEG-2: 32 kbit/s at 16 kHz, mono, of layer 2 or 3.
fn mpeg(layer: u8, frames: usize) -> Vec<u8> {
    let mut frame = vec![0xff, if layer == 2 { 0xf5 } else { 0xf3 }, 0x48, 0xc0];
    frame.resize(if layer == 2 { 288 } else { 144 }, 0);
    frame.repeat(frames)
}

fn report_of(bytes: &[u8]) -> DecodeReport {
    let mut reader = AudioReader::from_bytes(bytes, None, &StftConfig::default()).unwrap();
    while reader.next_block().unwrap().is_some() {}
    reader.report()
}

#[test]
fn mpeg_audio_that_ends_within_a_frame_is_truncated() {
    for layer in [2, 3] {
        let whole = mpeg(layer, 38);
        let frame = whole.len() / 38;
        assert!(report_of(&whole).is_complete());
        // Between two frames, the end of a stream cannot be told from a cut.
        assert!(report_of(&whole[..18 * frame]).is_complete());
        for bytes in [1, 2, 3, 4, 5, 40, frame - 1] {
            let report = report_of(&whole[..18 * frame + bytes]);
            assert!(report.truncated, "layer {layer}, {bytes} bytes: {report}");
            assert_eq!(report.error.as_deref(), Some("unexpected end of file"));
        }
        // What comes behind is no frame.
        for behind in [&b"TAG"[..], &[0; 200], b"\xff", b"APETAGEX"] {
            let report = report_of(&[&whole, behind].concat());
            assert_eq!(report.truncated, behind == b"\xff", "{behind:?}: {report}");
        }
    }
}

/// Without that of LAME, which tells of the padding, a header of Xing, Info or VBRI counts frames.
#[test]
fn mpeg_audio_whose_first_frame_counts_the_others_says_what_is_missing() {
    for (name, at) in [(b"Xing", 13), (b"Info", 13), (b"VBRI", 36)] {
        let mut header = mpeg(3, 1);
        header[at..at + 4].copy_from_slice(name);
        if name == b"VBRI" {
            header[at + 4..at + 6].copy_from_slice(&[0, 1]);
            header[at + 17] = 100;
        } else {
            header[at + 7] = 1;
            header[at + 11] = 100;
        }
        let report = report_of(&[header.clone(), mpeg(3, 100)].concat());
        assert!(report.is_complete(), "{report}");
        let report = report_of(&[header, mpeg(3, 40)].concat());
        assert!((report.missing_s - 60.0 * 0.036).abs() < 1e-9, "{report}");
    }
}

/// One fingerprinter for a whole batch, with a sound file after each broken one.
#[test]
fn a_batch_goes_on() {
    let sound = fixture("library/01-melody.wav");
    let stft = StftConfig::default();
    let mut fingerprinter = fingerprinter();
    let expected = fingerprinter.fingerprint_audio(&mut open(&sound)).unwrap();
    let (mut failed, mut partial, mut complete) = (vec![], vec![], vec![]);
    let names = names_of_broken_files();
    for name in &names {
        match process(&mut fingerprinter, name) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                failed.push(name.as_str());
            }
            Ok((_, report)) if report.is_complete() => complete.push(name.as_str()),
            Ok(_) => partial.push(name.as_str()),
        }
        let mut reader = AudioReader::open(&sound, &stft).unwrap();
        let again = fingerprinter.fingerprint_audio(&mut reader).unwrap();
        assert!(again == expected, "after {name}");
    }
    let text = ["dc.wav", "empty.wav", "garbage.ogg", "one-sample.wav", "silence.wav", "text.mp3"];
    assert_eq!(failed, text);
    assert_eq!(partial, ["lying-header.wav", "truncated.flac", "truncated.mp3", "truncated.wav"]);
    assert_eq!(complete, ["mp3-named.wav"]);
}

/// The beginning of a truncated file is the beginning of the whole.
#[test]
fn what_is_left_is_not_distorted() {
    let bytes = std::fs::read(fixture("library/01-melody.wav")).unwrap();
    let whole = piece("01-melody");
    let stft = StftConfig::default();
    for share in [0.1, 0.37, 0.8] {
        let kept = &bytes[..(bytes.len() as f64 * share) as usize];
        let mut reader = AudioReader::from_bytes(kept, Some("wav"), &stft).unwrap();
        let mut samples = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            samples.extend_from_slice(block);
        }
        assert!(!reader.report().is_complete());
        assert!(samples.len() as f64 > 0.95 * share * whole.len() as f64);
        assert!(samples[..] == whole[..samples.len()], "{share}");
    }
}

/// Every fixture cut off anywhere: audio, or an error, but no panic and no endless loop.
#[test]
fn any_file_may_be_cut_off_anywhere() {
    let stft = StftConfig::default();
    for name in library() {
        let bytes = std::fs::read(fixture("library").join(&name)).unwrap();
        for part in [0, 1, 3, 7, 20, 50, 200, 600, 999] {
            let kept = &bytes[..bytes.len() * part / 1000];
            let extension = name.rsplit('.').next();
            match AudioReader::from_bytes(kept, extension, &stft) {
                Ok(mut reader) => {
                    let mut samples = 0;
                    while let Some(block) = reader.next_block().unwrap() {
                        samples += block.len();
                    }
                    assert!(samples <= 33 * RATE_HZ, "{name}: {samples}");
                }
                Err(Error::UnknownFormat { .. } | Error::Undecodable { .. }) => {}
                Err(Error::NoAudioTrack) => {}
                Err(other) => panic!("{name}, {part} thousandths: {other}"),
            }
        }
    }
}
