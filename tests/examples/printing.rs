//! What is printed, and what happens where it cannot be.
#![cfg(unix)]

use crate::running::*;
use earmark::{AudioReader, Config, Fingerprinter, Index, Tags, TrackInfo};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// Colours, rings, breaks the line, goes on as a C1 control, turns the direction of writing.
const EVIL: &str = "a\u{1b}[31m\u{7}b\r\nc\t\u{9b}2J\u{202e}d\u{2066}\u{7f}";

/// Runs a program with its output sent elsewhere by a shell.
fn redirected(program: &Command, redirection: &str) -> (i32, String, String) {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("\"$@\" {redirection}")).arg("sh");
    run(shell.arg(program.get_program()).args(program.get_args()))
}

fn has_controls(line: &str) -> bool {
    line.contains(|c: char| {
        c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{2066}'
    })
}

/// An index of one track with bad names all over, and the path of a clip with another.
fn evil_index() -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().unwrap();
    let clip = folder.path().join(format!("{EVIL}.flac"));
    fs::copy(fixture("library/05-arpeggio.flac"), &clip).unwrap();
    let config = Config::default();
    let mut reader = AudioReader::open(&clip, &config.stft).unwrap();
    let print = Fingerprinter::new(config.clone()).unwrap().fingerprint_audio(&mut reader).unwrap();
    let evil = || Some(EVIL.to_string());
    let tags = Tags { title: evil(), artist: evil(), album: evil(), ..Tags::default() };
    let index = Index::create(folder.path().join("index"), config).unwrap();
    let mut writer = index.writer().unwrap();
    writer.add(TrackInfo { name: EVIL.into(), tags }, &print).unwrap();
    writer.commit().unwrap();
    drop(writer);
    (folder, clip)
}

#[test]
fn where_nothing_can_be_printed_programs_say_so_and_end() {
    let folder = small_library();
    let (index, library) = (index_of(&folder), folder.path().join("library"));
    let clip = library.join("a.wav");
    let mut programs = Vec::new();
    for format in ["table", "tsv", "json"] {
        let mut program = example("match");
        program.arg(&index).arg(&clip).args(["--format", format]);
        programs.push(program);
    }
    let mut fingerprint = example("fingerprint");
    fingerprint.arg(&index).arg(&clip);
    let mut spectrogram = example("spectrogram");
    spectrogram.arg(&clip).args(["-o", "-"]);
    programs.extend([fingerprint, spectrogram]);
    for program in &programs {
        let (code, _, err) = redirected(program, "> /dev/full");
        assert!(code == 2 && !err.contains("panicked"), "{program:?}: {code} {err}");
        assert!(err.contains("error: cannot write to standard output: "), "{program:?}: {err}");
        // A reader that has gone.
        let (code, _, err) = redirected(program, "| true");
        assert_eq!((code, err.as_str()), (0, ""), "{program:?}");
    }
}

#[test]
fn messages_that_cannot_be_written_stop_nothing() {
    let folder = small_library();
    let mut program = example("fingerprint");
    program.arg(folder.path().join("index")).arg(folder.path().join("library"));
    program.arg(fixture("broken/text.mp3"));
    let (code, out, _) = redirected(&program, "2> /dev/full");
    assert!(code == 1 && out.contains("2 added"), "{code} {out}");
}

#[test]
fn outside_text_steers_no_terminal() {
    let (folder, clip) = evil_index();
    let bad = folder.path().join(format!("{EVIL}.wav"));
    fs::write(&bad, "no audio").unwrap();
    for format in ["table", "tsv", "json"] {
        let mut program = example("match");
        let program = program.arg(folder.path().join("index")).args([&clip, &bad]);
        let (code, out, err) = run(program.args(["--format", format]));
        let controls = |line: &str| has_controls(&line.replace('\t', ""));
        assert_eq!((code, err.lines().count()), (1, 1), "{err}");
        assert!(!out.lines().any(controls) && !err.lines().any(controls), "{out:?} {err:?}");
        assert!(out.contains("u{1b}") || out.contains("u001b"), "{out}");
        if format == "tsv" {
            assert!(rows(&out)[0][2].starts_with("a\\u{1b}[31m"), "{out}");
        }
        if format == "json" {
            let json: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(json[0]["query"].as_str(), clip.to_str());
            assert!(["track", "title"].iter().all(|key| json[0]["matches"][0][key] == EVIL));
        }
    }
    let mut program = example("fingerprint");
    let (_, out, err) = run(program.arg(folder.path().join(format!("{EVIL}.index"))).arg(&bad));
    assert!(!out.lines().chain(err.lines()).any(has_controls), "{out:?} {err:?}");
    assert_eq!((out.lines().count(), err.lines().count()), (1, 2), "{out:?} {err:?}");
}
