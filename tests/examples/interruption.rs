//! Runs that are interrupted, and runs that meet.
#![cfg(unix)]

use crate::running::*;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Begins to index two files and then what comes through a pipe, which is opened once the files are
/// fingerprinted.
fn begin(folder: &Path) -> (Child, File) {
    let made = Command::new("mkfifo").arg(folder.join("pipe.wav")).status().unwrap();
    assert!(made.success());
    let mut command = example("fingerprint");
    let command = command.current_dir(folder).args(["index", "library", "pipe.wav", "--jobs", "1"]);
    command.args(["--commit-every", "0"]);
    let err = File::create(folder.join("err")).unwrap();
    let child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
    let pipe = File::options().write(true).open(folder.join("pipe.wav")).unwrap();
    (child, pipe)
}

fn send(signal: &str, child: &Child) {
    let arguments = [format!("-{signal}"), child.id().to_string()];
    assert!(Command::new("kill").args(arguments).status().unwrap().success());
}

/// Music without end, until `done`.
fn play(mut pipe: File, done: &AtomicBool) {
    let wav = fs::read(fixture("library/01-melody.wav")).unwrap();
    let data = wav.windows(4).position(|bytes| bytes == b"data").unwrap();
    let (header, samples) = wav.split_at(data + 8);
    let mut header = header.to_vec();
    header[4..8].copy_from_slice(&0x7fff_ff00_u32.to_le_bytes());
    header[data + 4..].copy_from_slice(&0x7fff_0000_u32.to_le_bytes());
    let mut open = pipe.write_all(&header).is_ok();
    while open && !done.load(Ordering::Relaxed) {
        open = pipe.write_all(samples).is_ok();
    }
}

#[test]
fn what_is_done_is_saved_when_a_run_is_interrupted() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let folder = small_library();
        let (child, pipe) = begin(folder.path());
        let done = AtomicBool::new(false);
        let code = thread::scope(|scope| {
            scope.spawn(|| play(pipe, &done));
            send(signal, &child);
            let code = wait(child);
            done.store(true, Ordering::Relaxed);
            code
        });
        let err = fs::read_to_string(folder.path().join("err")).unwrap();
        assert!(code == status && err.contains("interrupted: 1 file left out; "), "{code} {err}");
        assert_eq!(names_in(&folder.path().join("index")).len(), 2);
    }
}

#[test]
fn a_second_interruption_ends_a_run_at_once() {
    let folder = small_library();
    // Nothing comes through the pipe.
    let (mut child, _pipe) = begin(folder.path());
    send("INT", &child);
    thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    send("INT", &child);
    assert_eq!(wait(child), 130);
}

#[test]
fn a_second_run_on_an_index_is_refused() {
    let folder = small_library();
    let (child, pipe) = begin(folder.path());
    let mut command = example("fingerprint");
    let other = fixture("library/11-drone.flac");
    let (code, _, err) = run(command.current_dir(folder.path()).arg("index").arg(&other));
    assert!(code == 2 && err.contains("error: index is locked: another run"), "{code} {err}");
    // The pipe ends, the run with it, and its work is there.
    drop(pipe);
    assert_eq!(wait(child), 1);
    let mut command = example("fingerprint");
    let (code, ..) = run(command.current_dir(folder.path()).arg("index").arg(&other));
    assert_eq!(code, 0);
    assert_eq!(names_in(&folder.path().join("index")).len(), 3);
}

#[test]
fn a_kill_costs_no_more_than_what_was_done_since_the_last_commit() {
    let folder = small_library();
    let (mut child, _pipe) = begin(folder.path());
    let index = folder.path().join("index");
    // It commits after each track, and then waits for the pipe.
    let begun = std::time::Instant::now();
    while names_in(&index).len() < 2 {
        assert!(begun.elapsed().as_secs() < 300);
        thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names_in(&index), ["library/a.wav", "library/b/c.flac"]);
    let mut command = example("fingerprint");
    let (code, out, err) = run(command.current_dir(folder.path()).args(["index", "library"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("0 added, 0 replaced, 2 there already; "), "{out}");
}
