//! Which files are taken, and by which names.
#![cfg(unix)]

use crate::running::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

fn names(index: &Path) -> Vec<String> {
    let mut names = names_in(index);
    names.sort();
    names
}

#[test]
fn names_that_are_not_utf8_are_kept_apart() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let files: [(&[u8], &str); 5] = [
        (b"caf\xe8.wav", "01-melody.wav"),
        (b"caf\xe9.wav", "02-chords.wav"),
        // What the others could be mistaken for.
        (b"caf\\xE9.wav", "06-sweeps.wav"),
        (b"caf\\\xe9.wav", "05-arpeggio.flac"),
        ("caf\u{fffd}.wav".as_bytes(), "11-drone.flac"),
    ];
    fs::create_dir(here.join("music")).unwrap();
    for (name, source) in files {
        let name = here.join("music").join(OsStr::from_bytes(name));
        fs::copy(fixture("library").join(source), name).unwrap();
    }
    for outcome in ["5 added, 0 replaced;", "0 added, 0 replaced, 5 there already;"] {
        let mut command = example("fingerprint");
        let (code, out, err) = run(command.current_dir(here).args(["index", "music"]));
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with(outcome), "{out}");
    }
    let expected = [
        "./music/caf\\\\\\xE9.wav",
        "./music/caf\\xE8.wav",
        "./music/caf\\xE9.wav",
        "music/caf\\xE9.wav",
        "music/caf\u{fffd}.wav",
    ];
    assert_eq!(names(&here.join("index")), expected);
    // Absolute paths, too.
    let mut command = example("fingerprint");
    run(command.arg(here.join("other")).arg(here.join("music")));
    let name = format!("/{}/music/caf\\xE8.wav", here.to_str().unwrap());
    assert!(names(&here.join("other")).contains(&name));
    // The same in what is printed of clips.
    let mut command = example("match");
    let (_, out, _) =
        run(command.current_dir(here).args(["index", "music", "--format", "tsv", "--top", "1"]));
    let clips: Vec<&str> = rows(&out).iter().map(|row| row[0]).collect();
    assert!(clips.contains(&"music/caf\\xE8.wav") && clips.contains(&"music/caf\\xE9.wav"));
}

#[test]
fn a_file_is_indexed_once_whatever_leads_to_it() {
    let folder = small_library();
    let here = folder.path();
    index_of(&folder);
    symlink("b/c.flac", here.join("library/0-link.flac")).unwrap();
    symlink("b", here.join("library/a-folder")).unwrap();
    fs::hard_link(here.join("library/a.wav"), here.join("library/0-hard.wav")).unwrap();
    let mut command = example("fingerprint");
    let arguments = ["index", "library", "./library//a.wav", "library/0-hard.wav"];
    let (code, out, err) = run(command.current_dir(here).args(arguments));
    // The names that the index has are kept.
    assert!(code == 0 && out.starts_with("0 added, 0 replaced, 2 there already; "), "{code} {out}");
    assert_eq!(names(&here.join("index")), ["library/a.wav", "library/b/c.flac"]);
    let left_out = |path: &str, taken: &str| {
        err.contains(&format!("note: {path} is left out: it is the same file as {taken}\n"))
    };
    for path in ["library/0-hard.wav", "./library//a.wav"] {
        assert!(left_out(path, "library/a.wav"), "{path} in {err}");
    }
    for path in ["library/0-link.flac", "library/a-folder/c.flac"] {
        assert!(left_out(path, "library/b/c.flac"), "{path} in {err}");
    }
    // In a new index, files rather than links.
    let mut command = example("fingerprint");
    let (_, _, err) = run(command.current_dir(here).args(["new", "library", "library"]));
    assert_eq!(names(&here.join("new")), ["library/0-hard.wav", "library/a-folder/c.flac"]);
    assert!(err.contains("note: library/0-hard.wav is named more than once"), "{err}");
}
