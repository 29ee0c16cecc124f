//! The example programs, run as their users run them.
#![cfg(feature = "decode")]

mod calibrating;
#[path = "../common/mod.rs"]
mod common;
mod indexes;
mod inputs;
mod interruption;
mod long_clips;
mod pipes;
mod printing;
mod running;

use running::*;
use std::fs;
use tempfile::TempDir;

#[test]
fn a_clip_is_found_at_its_time_and_an_absent_one_is_not() {
    let folder = small_library();
    let index = index_of(&folder);
    let clip = fixture("clips/01-melody_at_7.313s_quiet.wav");
    let absent = fixture("clips/absent_at_5.323s_clean.flac");
    for matcher in ["hash", "kd"] {
        let mut command = example("match");
        let command = command.arg(&index).args([&clip, &absent]);
        let (code, out, _) = run(command.args(["--format", "tsv", "--matcher", matcher]));
        let rows = rows(&out);
        assert_eq!((code, rows[0][0]), (0, clip.to_str().unwrap()));
        assert_eq!(rows[0][1..3], ["1", "library/a.wav"]);
        assert!((rows[0][3].parse::<f64>().unwrap() - 7.313).abs() < 0.1, "{out}");
        let numbers: Vec<f64> = rows[0][4..9].iter().map(|field| field.parse().unwrap()).collect();
        assert!(0.0 <= numbers[0] && numbers[0] < numbers[1] && numbers[1] <= 5.0);
        assert!(numbers[2] == 1.0 && numbers[3] >= 10.0 && numbers[4] >= 3.0);
        let empty = [absent.to_str().unwrap(), "0", "", "", "", "", "", "", "", ""];
        assert_eq!(rows.last().unwrap()[..], empty);
    }
}

#[test]
fn a_folder_serves_as_an_index_and_the_table_reads_well() {
    let folder = small_library();
    let mut command = example("match");
    let command = command.arg(folder.path().join("library"));
    let (code, out, _) = run(command.arg(fixture("clips/05-arpeggio_at_11.083s_telephone.wav")));
    assert_eq!(code, 0);
    let best = out.lines().nth(2).unwrap();
    assert!(best.contains("Broken Chords – The Synthetics") && best.contains("0:11.1"), "{out}");
    assert!(best.contains("1 in 10^"), "{out}");
}

#[test]
fn json_holds_what_the_matches_hold() {
    let folder = small_library();
    let index = index_of(&folder);
    let clip = fixture("clips/05-arpeggio_at_11.083s_telephone.wav");
    let text = fixture("broken/text.mp3");
    let mut command = example("match");
    let command = command.arg(&index).args([&clip, &text]);
    let (code, out, err) = run(command.args(["--format", "json", "--top", "1"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let found = &json[0]["matches"][0];
    assert_eq!(json[0]["query"].as_str(), clip.to_str());
    assert_eq!(found["track"], "library/b/c.flac");
    assert_eq!(found["title"], "Broken Chords");
    assert_eq!(json[0]["matches"].as_array().unwrap().len(), 1);
    for span in ["query", "reference"] {
        assert!(found[span]["end_s"].as_f64() > found[span]["start_s"].as_f64());
    }
    let numbers =
        ["track_id", "offset_s", "speed", "pitch", "votes", "false_alarms", "score", "rank"];
    assert!(numbers.iter().all(|key| found[key].is_number()), "{found}");
    assert!(json[0]["error"].is_null());
    // A clip that is no audio is said to be none, and counts.
    assert!(json[1]["error"].as_str().unwrap().contains("not an audio file"));
    assert!(err.contains("text.mp3: not an audio file") && code == 1);
}

#[test]
fn copies_are_told_apart_and_what_is_left_out_is_said() {
    let folder = small_library();
    let here = folder.path();
    for copy in ["library/copy.flac", "library/other.flac"] {
        fs::copy(here.join("library/b/c.flac"), here.join(copy)).unwrap();
    }
    index_of(&folder);
    let clip = fixture("clips/05-arpeggio_at_11.083s_telephone.wav");
    let ask = |arguments: &[&str]| {
        let mut command = example("match");
        let (code, out, _) = run(command.current_dir(here).arg("index").arg(&clip).args(arguments));
        assert_eq!(code, 0);
        out
    };
    let tsv = ask(&["--format", "tsv"]);
    let rows = rows(&tsv);
    let names: Vec<&str> = rows.iter().map(|row| row[2]).collect();
    assert_eq!(rows.iter().map(|row| row[9]).collect::<Vec<_>>(), ["", names[0], names[0]]);
    let table = ask(&[]);
    for (line, name) in table.lines().skip(2).zip(&names) {
        let same = line.ends_with(&format!("same audio as {}", names[0]));
        assert!(line.contains("Broken Chords – The Synthetics"), "{table}");
        assert!(line.contains(&format!("({name})")) && same == (*name != names[0]), "{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&ask(&["--format", "json"])).unwrap();
    let found = &json[0]["matches"];
    assert!(found[0]["same_as"].is_null() && found[0]["same_as_id"].is_null());
    assert_eq!(found[2]["same_as"], names[0]);
    assert_eq!(found[2]["same_as_id"], found[0]["track_id"]);

    assert!(!table.contains("and more") && json[0]["more"] == false, "{table}");
    let table = ask(&["--top", "2"]);
    assert_eq!(table.lines().nth(4).unwrap().trim(), "…  and more: raise --top to see them");
    let json = ask(&["--top", "2", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json[0]["more"] == true && json[0]["matches"].as_array().unwrap().len() == 2);
}

#[test]
fn broken_files_are_named_and_the_others_indexed() {
    let folder = TempDir::new().unwrap();
    let index = folder.path().join("index");
    let mut command = example("fingerprint");
    let paths = [fixture("broken"), fixture("library/01-melody.wav")];
    let (code, out, err) = run(command.arg(&index).args(paths));
    assert_eq!(code, 1);
    for name in ["dc.wav", "empty.wav", "garbage.ogg", "one-sample.wav", "silence.wav", "text.mp3"]
    {
        let failed =
            |line: &str| line.starts_with("failed: ") && line.contains(&format!("{name}: "));
        assert_eq!(err.lines().filter(|line| failed(line)).count(), 1, "{name} in {err}");
    }
    assert!(err.contains("truncated.wav: 1.7 of 3.0 s decoded"), "{err}");
    assert!(err.contains("6 files failed, 4 files read in part"), "{err}");
    assert!(out.contains("6 added, 0 replaced; ") && out.contains(" 6 tracks, "), "{out}");
    assert!(names_in(&index).iter().any(|name| name.ends_with("01-melody.wav")));
}

#[test]
fn a_second_run_adds_what_is_new_or_replaces_and_the_order_is_that_of_the_input() {
    let folder = small_library();
    let index = index_of(&folder);
    for (jobs, replace) in [("1", false), ("3", true)] {
        let mut command = example("fingerprint");
        let command = command.current_dir(folder.path()).args(["index", "library", "--jobs", jobs]);
        let command = if replace { command.arg("--replace") } else { command };
        let (code, out, _) = run(command.arg("./library//a.wav"));
        let told = match replace {
            false => "0 added, 0 replaced, 2 there already; index now holds 2 tracks",
            true => "0 added, 2 replaced; index now holds 2 tracks",
        };
        assert!(code == 0 && out.contains(told), "{out}");
        assert_eq!(names_in(&index), ["library/a.wav", "library/b/c.flac"]);
    }
    fs::copy(fixture("library/02-chords.wav"), folder.path().join("library/new.wav")).unwrap();
    let mut command = example("fingerprint");
    let (_, out, _) = run(command.current_dir(folder.path()).args(["index", "library"]));
    assert!(out.starts_with("1 added, 0 replaced, 2 there already; "), "{out}");
}

#[test]
fn lists_come_from_files_and_from_standard_input() {
    let folder = small_library();
    let here = folder.path();
    fs::write(here.join("list"), "library/b\r\n\nlibrary/a.wav").unwrap();
    let mut command = example("fingerprint");
    let (code, ..) = run(command.current_dir(here).args(["index", "--files-from", "list"]));
    assert_eq!(code, 0);
    let mut command = example("match");
    let command = command.current_dir(here).args(["index", "--files-from", "-", "--format", "tsv"]);
    let (code, out, _) = run_with_input(command, "missing.wav\nlibrary/a.wav\n");
    let rows = rows(&out);
    assert_eq!((code, &rows[0][..2]), (1, &["missing.wav", "0"][..]));
    assert_eq!(rows[1][..3], ["library/a.wav", "1", "library/a.wav"]);
    // In place of paths, and as other programs separate them.
    for list in ["library/a.wav\nlibrary/b", "library/a.wav\0library/b\0"] {
        let mut command = example("match");
        let command = command.current_dir(here).args(["index", "-", "--format", "tsv"]);
        let (code, out, err) = run_with_input(command, list);
        let clips: Vec<&str> = self::rows(&out).iter().map(|row| row[0]).collect();
        assert_eq!((code, &clips[..]), (0, &["library/a.wav", "library/b/c.flac"][..]), "{err}");
        let mut command = example("fingerprint");
        let (code, out, _) = run_with_input(command.current_dir(here).args(["index", "-"]), list);
        assert!(code == 0 && out.starts_with("0 added, 0 replaced, 2 there"), "{out}");
    }
}

#[test]
fn mistakes_in_use_are_explained_and_end_with_status_2() {
    let folder = small_library();
    let here = folder.path();
    fs::create_dir(here.join("empty")).unwrap();
    fs::write(here.join("blank"), "\n").unwrap();
    let mut newer = fs::read(index_of(&folder).join("manifest")).unwrap();
    newer[8] = 99;
    fs::create_dir(here.join("newer")).unwrap();
    fs::write(here.join("newer/manifest"), newer).unwrap();
    fs::write(here.join("older"), b"EARMARKI\x05\0\0\0").unwrap();
    let cases: [(&str, &[&str], &str); 21] = [
        ("fingerprint", &["other"], "Usage: "),
        ("fingerprint", &["other", "empty"], "no audio file in this folder"),
        ("fingerprint", &["other", "--files-from", "nowhere"], "cannot read the list nowhere"),
        ("fingerprint", &["other", "--files-from", "blank"], "the list names no file"),
        ("fingerprint", &["newer", "library"], "update earmark"),
        ("fingerprint", &["library/a.wav", "library"], "not an earmark index"),
        ("fingerprint", &["library", "library/a.wav"], "the index comes first"),
        ("fingerprint", &["older", "library"], "an index is a folder now"),
        ("match", &["older", "library"], "an index is a folder now"),
        ("fingerprint", &["no/other", "library"], "there is no folder no"),
        ("match", &["library/a.wav", "library"], "give a folder of audio files"),
        ("match", &["index", "library", "--false-alarms", "-1"], "error"),
        ("match", &["index", "library", "--top", "0"], "'--top <N>': it must be at least 1"),
        ("match", &["index", "library", "--jobs", "two"], "it must be a whole number"),
        ("match", &["index", "library", "--speed", "fast"], "it must be a number"),
        ("fingerprint", &["other", "library", "--jobs", "0"], "it must be at least 1"),
        ("match", &["index", "-", "--files-from", "-"], "can be read once only"),
        ("match", &["index", "tpyo.wav"], "tpyo.wav: cannot open it: "),
        // Which is said before the index is looked at.
        ("match", &["newer", "tpyo.wav", "tpyo.mp3"], "tpyo.mp3: cannot open it: "),
        ("match", &["nowhere", "tpyo.wav"], "tpyo.wav: cannot open it: "),
        ("match", &["nowhere", "library"], "cannot open nowhere: "),
    ];
    for (name, arguments, message) in cases {
        let (code, _, err) = run(example(name).current_dir(here).args(arguments));
        assert!(code == 2 && err.contains(message), "{name} {arguments:?}: {code} {err}");
    }
    assert!(!here.join("other").exists());
}

#[test]
fn a_picture_shows_peaks_and_what_they_match() {
    let folder = small_library();
    let clip = fixture("clips/01-melody_at_7.313s_quiet.wav");
    let mut command = example("spectrogram");
    let command = command.current_dir(folder.path()).arg(clip).args(["--index", "library"]);
    let (code, out, _) = run(command.args(["-o", "-"]));
    assert_eq!(code, 0);
    assert_eq!(out.matches("<image ").count(), 2);
    assert!(out.matches("class=\"match\"").count() > 50 && out.contains("from 0:07.3 on"));
    assert!(out.starts_with("<svg") && out.ends_with("</svg>\n"));
    assert!(out.contains(">peak of a shared landmark<"), "what do the colours mean?");
}
