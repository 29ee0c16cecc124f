//! Clips of many minutes, which are searched piece by piece.
#![cfg(target_os = "linux")]

use crate::running::*;
use earmark::AudioReader;
use earmark::config::StftConfig;
use std::process::Command;
use tempfile::TempDir;

const RATE_HZ: u32 = 8000;

fn decode(name: &str) -> Vec<f32> {
    let mut reader =
        AudioReader::open(fixture("library").join(name), &StftConfig::default()).unwrap();
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        samples.extend_from_slice(block);
    }
    samples
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(RATE_HZ)
}

/// An index of some recordings; a clip of 20 minutes of these; and what begins and ends when in it.
fn long_clip() -> (TempDir, Vec<(&'static str, f64, f64)>) {
    let folder = TempDir::new().unwrap();
    let names = ["01-melody.wav", "02-chords.wav", "05-arpeggio.flac", "06-sweeps.wav"];
    let mut command = example("fingerprint");
    command.arg(folder.path().join("index")).current_dir(fixture("library")).args(names);
    assert_eq!(run(&mut command).0, 0);
    let music = names.map(decode);
    let (mut clip, mut plays) = (Vec::new(), Vec::new());
    while seconds(clip.len()) < 1200.0 {
        // Then silence, longer than a piece.
        if plays.len() == 3 {
            clip.resize(clip.len() + 300 * RATE_HZ as usize, 0.0);
        }
        let i = plays.len() % names.len();
        let start = clip.len();
        clip.extend_from_slice(&music[i]);
        plays.push((names[i], seconds(start), seconds(clip.len())));
    }
    write_wav(&folder.path().join("clip.wav"), &clip);
    (folder, plays)
}

#[test]
fn a_long_clip_is_searched_in_little_memory() {
    let (folder, plays) = long_clip();
    let ask = |arguments: &str| {
        let mut shell = Command::new("sh");
        let command = format!("ulimit -v 300000; \"$0\" index clip.wav --jobs 1 {arguments}");
        let program = example("match").get_program().to_os_string();
        run(shell.current_dir(&folder).arg("-c").arg(command).arg(program))
    };
    let (code, out, err) = ask("--format tsv --top 1000");
    assert_eq!((code, err.as_str()), (0, ""));
    let rows = rows(&out);
    for (name, start_s, end_s) in &plays {
        let number = |field: &str| field.parse::<f64>().unwrap();
        let is_play = |row: &&Vec<&str>| {
            row[2] == *name && (number(row[3]) + start_s).abs() < 0.1 && row[6] == "1.0000"
        };
        // Once, from beginning to end, though pieces meet within it.
        let found: Vec<&Vec<&str>> = rows.iter().filter(is_play).collect();
        assert_eq!(found.len(), 1, "{name} at {start_s}: {found:?}");
        let (from_s, to_s) = (number(found[0][4]), number(found[0][5]));
        assert!((from_s - start_s).abs() < 1.0 && (to_s - end_s).abs() < 1.0, "{found:?}");
    }
    let scores: Vec<f64> = rows.iter().map(|row| row[8].parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[scores.len() - 1] >= 3.0);

    let (_, out, err) = ask("");
    assert!(out.contains("\n   …  and more: raise --top"), "{out}");
    assert!(out.contains("the program `monitor` tells what plays when"), "{out}");
    assert!(err.contains("for a timeline: monitor index clip.wav"), "{err}");
    let duration = format!("clip.wav ({:.1} s)\n", plays[plays.len() - 1].2);
    assert!(out.contains(&duration), "{out}");
}

#[test]
fn a_long_silence_is_an_error_and_not_by_pieces() {
    let folder = small_library();
    index_of(&folder);
    let minutes = 7;
    write_wav(&folder.path().join("still.wav"), &vec![0.0; minutes * 60 * RATE_HZ as usize]);
    let mut command = example("match");
    let (code, _, err) = run(command.current_dir(&folder).args(["index", "still.wav"]));
    assert!(code == 1 && err.contains("warning: still.wav: 420.00 s of silence"), "{err}");
}
