//! Merges in the background.

use super::*;
use crate::store::writer::MOST_WAITING;
use std::collections::BTreeSet;
use std::path::Path;

/// Commits so many tracks at a time, all of one length. After 20, 8 and 3, a merge of all is due, which is
/// not small.
fn commit(trial: &mut Trial, counts: &[usize]) {
    let recordings = conformance::recordings(&Config::default(), 10, 5);
    let (info, fingerprint) = &recordings[3];
    for &count in counts {
        for _ in 0..count {
            let name = format!("after {:?}", trial.tracks.last().map(|last| last.0));
            trial.add((TrackInfo { name, ..info.clone() }, fingerprint.clone()));
        }
        trial.writer.commit().unwrap();
    }
}

const LARGE_IS_DUE: [usize; 3] = [20, 8, 3];

fn begin(index: &Index) -> Trial {
    Trial { writer: index.writer().unwrap(), tracks: Vec::new() }
}

fn segments(index: &Index) -> usize {
    index.reader().stats().segments.len()
}

/// There are the segments that the manifest names, and no others.
fn nothing_is_left(path: &Path) {
    let names = |paths: Vec<std::path::PathBuf>| -> BTreeSet<_> {
        paths.iter().map(|path| path.file_name().unwrap().to_owned()).collect()
    };
    let files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    let segments = Index::open(path).unwrap().reader().stats().segments;
    assert_eq!(names(files), names(segments.into_iter().map(|s| s.path).collect()));
}

#[test]
fn a_large_merge_is_not_done_by_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    for in_memory in [true, false] {
        let index = match in_memory {
            true => Index::in_memory(Config::default()).unwrap(),
            false => Index::create(folder.path().join("index"), Config::default()).unwrap(),
        };
        let mut trial = begin(&index);
        commit(&mut trial, &LARGE_IS_DUE);
        // Whether it is done by now or not, nobody has taken it up.
        assert_eq!(segments(&index), 3);
        assert!(trial.writer.plan_merge().is_none(), "it goes on already");
        check(&index, &trial.tracks);
        trial.writer.finish_merges().unwrap();
        assert_eq!(segments(&index), 1);
        check(&index, &trial.tracks);
        if !in_memory {
            nothing_is_left(&folder.path().join("index"));
        }
    }
}

#[test]
fn a_later_commit_takes_up_what_was_merged() {
    let index = Index::in_memory(Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &LARGE_IS_DUE);
    while !trial.writer.background.is_done() {
        std::thread::yield_now();
    }
    assert_eq!(segments(&index), 3);
    commit(&mut trial, &[1]);
    assert_eq!(segments(&index), 2);
    check(&index, &trial.tracks);
}

#[test]
fn with_merging_on_commit_all_merges_are_done_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let options = OpenOptions::new().merging(Merging::OnCommit);
    let index = options.create(&path, Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &LARGE_IS_DUE);
    assert_eq!(segments(&index), 1);
    check(&index, &trial.tracks);
}

#[test]
fn tracks_removed_during_a_merge_in_the_background_stay_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &LARGE_IS_DUE);
    // From each of the segments that are merged, and one that was never committed.
    for at in [30, 25, 3] {
        trial.remove(at);
    }
    trial.replace(10, conformance::recordings(&Config::default(), 1, 9).remove(0).1);
    trial.writer.commit().unwrap();
    check(&index, &trial.tracks);
    trial.remove(0);
    trial.writer.finish_merges().unwrap();
    check(&index, &trial.tracks);
    check(&Index::open(&path).unwrap(), &trial.tracks);
    drop(trial.writer);
    nothing_is_left(&path);
}

#[test]
fn a_writer_that_is_dropped_during_a_merge_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &LARGE_IS_DUE);
    drop(trial.writer);
    nothing_is_left(&path);
    check(&Index::open(&path).unwrap(), &trial.tracks);
    // The next one does it.
    index.writer().unwrap().finish_merges().unwrap();
    assert_eq!(segments(&index), 1);
    check(&index, &trial.tracks);
}

#[test]
fn a_merge_that_is_stopped_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let options = OpenOptions::new().merging(Merging::ByHand);
    let index = options.create(&path, Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &LARGE_IS_DUE);
    let task = trial.writer.plan_merge().unwrap();
    let stopped = task.run_until(&true.into()).unwrap_err().to_string();
    assert!(stopped.contains("stopped"), "{stopped}");
    nothing_is_left(&path);
    trial.writer.finish_merges().unwrap();
    assert_eq!(segments(&index), 1);
    check(&index, &trial.tracks);
}

/// Each of these writers is dropped before its merge is taken up.
#[test]
fn few_segments_are_left_whoever_stops_merges() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &[60]);
    let (mut most, mut tracks) = (0, trial.tracks);
    drop(trial.writer);
    for _ in 0..80 {
        let mut trial = Trial { writer: index.writer().unwrap(), tracks };
        commit(&mut trial, &[1]);
        most = most.max(segments(&index));
        tracks = trial.tracks;
    }
    // Those that wait, and as many before them as their sizes allow: fewer than the logarithm of all.
    assert!(most <= MOST_WAITING + 5, "{most} segments");
    assert!(most > MOST_WAITING / 2, "no merge was stopped: {most} segments");
    check(&index, &tracks);
    // More than are merged at once become one all the same.
    while segments(&index) <= 20 {
        let mut trial = Trial { writer: index.writer().unwrap(), tracks };
        commit(&mut trial, &[1]);
        tracks = trial.tracks;
    }
    index.writer().unwrap().compact().unwrap();
    assert_eq!(segments(&index), 1);
    check(&index, &tracks);
}

#[test]
fn damage_in_a_merge_in_the_background_does_not_stop_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let options = OpenOptions::new().mapped(false);
    let index = options.clone().create(&path, Config::default()).unwrap();
    let mut trial = begin(&index);
    commit(&mut trial, &LARGE_IS_DUE[..2]);
    let tracks = trial.tracks;
    drop(trial.writer);
    let damaged = &index.reader().stats().segments[0].path;
    let mut bytes = std::fs::read(damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    let index = options.open(&path).unwrap();
    let mut trial = Trial { writer: index.writer().unwrap(), tracks };
    commit(&mut trial, &LARGE_IS_DUE[2..]);
    commit(&mut trial, &[1; 3]);
    trial.writer.finish_merges().unwrap();
    assert!(segments(&index) > 1);
    assert_eq!(index.reader().len(), trial.tracks.len() as u64);
}
