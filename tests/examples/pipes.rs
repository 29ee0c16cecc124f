//! Pipes, sockets and devices where files are expected.
#![cfg(unix)]

use crate::running::*;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn only_files_are_taken_from_folders() {
    let folder = small_library();
    let here = folder.path();
    make_pipe(&here.join("library/pipe.wav"));
    let _socket = UnixListener::bind(here.join("library/b/socket.mp3")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", here.join("library/zero.flac")).unwrap();
    let told = |err: &str| {
        ["pipe.wav is left out: it is a named pipe", "b/socket.mp3 is left out: it is a socket"]
            .into_iter()
            .chain(["zero.flac is left out: it is a device"])
            .all(|note| err.contains(&format!("note: library/{note}\n")))
    };
    let mut command = example("fingerprint");
    let (code, out, err) = run(command.current_dir(here).args(["index", "library"]));
    assert!(code == 0 && told(&err), "{code} {err}");
    assert!(out.starts_with("2 added, "), "{out}");
    let mut command = example("match");
    let (code, out, err) =
        run(command.current_dir(here).args(["index", "library", "--format", "tsv"]));
    assert!(code == 0 && told(&err), "{code} {err}");
    assert_eq!(rows(&out).iter().filter(|row| row[1] == "1").count(), 2);
}

#[test]
fn a_pipe_without_a_writer_is_given_up() {
    let folder = small_library();
    let here = folder.path();
    index_of(&folder);
    make_pipe(&here.join("pipe"));
    let cases: [(&str, &[&str], i32, &str); 5] = [
        (
            "fingerprint",
            &["index", "pipe", "library"],
            1,
            "failed: pipe: cannot open it: it is a named pipe, ",
        ),
        (
            "match",
            &["index", "pipe", "library"],
            1,
            "warning: pipe: cannot open it: it is a named pipe, ",
        ),
        (
            "match",
            &["index", "--files-from", "pipe"],
            2,
            "cannot read the list pipe: it is a named pipe, ",
        ),
        ("match", &["pipe", "library"], 2, "cannot open pipe: "),
        ("fingerprint", &["pipe", "library"], 2, "cannot open pipe"),
    ];
    std::thread::scope(|scope| {
        for (name, arguments, status, message) in cases {
            scope.spawn(move || {
                let (code, _, err) = run(example(name).current_dir(here).args(arguments));
                assert!(code == status && err.contains(message), "{name} {arguments:?}: {err}");
            });
        }
    });
    let (code, _, err) =
        run(example("match").current_dir(here).args(["index", "/dev/zero", "library"]));
    assert!(code == 1 && err.contains("/dev/zero: cannot open it: it is a device"), "{err}");
}

#[test]
fn audio_and_lists_come_through_pipes() {
    let folder = small_library();
    let here = folder.path();
    index_of(&folder);
    make_pipe(&here.join("pipe"));
    let clip = fixture("clips/01-melody_at_7.313s_quiet.wav");
    for (content, arguments) in [
        (fs::read(&clip).unwrap(), ["pipe", "--format", "tsv"].as_slice()),
        (clip.to_str().unwrap().into(), &["--files-from", "pipe", "--format", "tsv"]),
    ] {
        let (code, out, _) = std::thread::scope(|scope| {
            scope.spawn(|| fs::write(here.join("pipe"), content));
            run(example("match").current_dir(here).arg("index").args(arguments))
        });
        assert!(code == 0 && rows(&out)[0][2] == "library/a.wav", "{code} {out}");
    }
}
