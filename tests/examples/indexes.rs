//! The program that looks after indexes.

use super::*;
use earmark::store::{Index, conformance};
use earmark::{Config, Tags, TrackInfo};
use std::path::{Path, PathBuf};

/// An index of so many tracks, `a0` and so on.
fn made(path: &Path, letter: char, count: usize) -> Index {
    let index = Index::create(path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    let recordings = conformance::recordings(&Config::default(), count, u64::from(letter));
    for (i, (_, print)) in recordings.iter().enumerate() {
        let tags = Tags {
            title: Some(format!("T\t{i}")),
            artist: None,
            album: Some("B".into()),
            ..Tags::default()
        };
        writer.add(TrackInfo { name: format!("{letter}{i}"), tags }, print).unwrap();
        if i == 1 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
    index
}

fn ask(arguments: &[&str], paths: &[&PathBuf]) -> (i32, String, String) {
    let mut command = example("index");
    command.args(&arguments[..1]).args(paths).args(&arguments[1..]);
    run(&mut command)
}

fn names(index: &Path) -> Vec<String> {
    let reader = Index::open(index).unwrap().reader();
    reader.tracks().map(|track| track.unwrap().name).collect()
}

#[test]
fn an_index_is_looked_after() {
    let folder = TempDir::new().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let exported = folder.path().join("exported");
    made(&a, 'a', 3);
    made(&b, 'b', 2);
    let (code, out, _) = ask(&["list"], &[&a]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (0, 3));
    assert!(lines[1].starts_with("#1\t") && lines[1].ends_with("\ta1\t\tT\\t1"), "{out}");
    let (_, out, _) = ask(&["stats"], &[&a]);
    for told in ["3 tracks", "bytes per second of audio", "features", ".seg", "###"] {
        assert!(out.contains(told), "{told}: {out}");
    }

    let (code, out, _) = ask(&["merge"], &[&a, &b, &a]);
    assert_eq!((code, &out[..]), (0, "2 tracks added, 5 there already\n"));
    assert_eq!(names(&a), ["a0", "a1", "a2", "b0", "b1"]);
    let (code, out, _) = ask(&["remove", "a1", "#2"], &[&a]);
    assert_eq!((code, &out[..]), (0, "2 tracks removed\n"));
    assert_eq!(names(&a), ["a0", "b0", "b1"]);
    // All or none.
    let (code, _, err) = ask(&["remove", "b0", "nobody"], &[&a]);
    assert!(code == 2 && err.contains("there is no track \"nobody\""), "{err}");
    assert_eq!(names(&a), ["a0", "b0", "b1"]);
    let (code, out, _) = ask(&["compact"], &[&a]);
    assert!(code == 0 && out.contains("became 1"), "{out}");

    let (code, out, _) = ask(&["export"], &[&a, &exported]);
    assert!(code == 0 && out.starts_with("3 tracks exported"), "{out}");
    assert_eq!(ask(&["export"], &[&a, &exported]).0, 2, "there is something");
    let (code, out, _) = ask(&["import"], &[&c, &exported]);
    assert_eq!((code, &out[..]), (0, "3 tracks imported, 0 there already\n"));
    let [was, is] = [&a, &c].map(|index| Index::open(index).unwrap().reader());
    for (was_track, is_track) in was.tracks().zip(is.tracks()) {
        let (was_track, is_track) = (was_track.unwrap(), is_track.unwrap());
        assert_eq!((&was_track.name, &was_track.tags), (&is_track.name, &is_track.tags));
        assert_eq!(was.fingerprint(was_track.id).unwrap(), is.fingerprint(is_track.id).unwrap());
    }
}

#[test]
fn damage_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("index");
    let index = made(&path, 'a', 30);
    let (code, out, _) = ask(&["verify"], &[&path]);
    assert_eq!((code, &out[..]), (0, "all is well: 30 tracks\n"));
    let segment = &index.reader().stats().segments[0];
    let mut bytes = fs::read(&segment.path).unwrap();
    let end = bytes.len();
    bytes[end / 4] ^= 1;
    fs::write(&segment.path, bytes).unwrap();
    let (code, out, _) = ask(&["verify"], &[&path]);
    assert!(code == 1 && out.contains(".seg: ") && out.contains("\n  #"), "{out}");
    fs::remove_file(&segment.path).unwrap();
    let (code, out, _) = ask(&["verify"], &[&path]);
    assert!(code == 1 && out.contains("it is missing"), "{out}");
    let (code, _, err) = ask(&["list"], &[&folder.path().join("none")]);
    assert!(code == 2 && err.contains("cannot open"), "{err}");
}
