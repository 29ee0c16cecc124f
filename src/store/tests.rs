//! The index as a whole.

use crate::store::conformance::{self, Track};
use crate::store::{Index, Merging, OpenOptions, Writer};
use crate::testing::rng;
use crate::{Config, Error, TrackInfo};

mod damage;
mod format;
pub(crate) mod kills;
mod merges;
mod writers;

/// What is done to an index, and what should be in it.
struct Trial {
    writer: Writer,
    tracks: Vec<Track>,
}

impl Trial {
    fn add(&mut self, (info, fingerprint): (TrackInfo, crate::Fingerprint)) {
        let id = self.writer.add(info.clone(), &fingerprint).unwrap();
        assert!(self.tracks.last().is_none_or(|last| last.0 < id));
        self.tracks.push((id, info, fingerprint));
    }

    fn remove(&mut self, at: usize) {
        let (id, info, _) = self.tracks.remove(at);
        assert_eq!(self.writer.remove(id).unwrap().name, info.name);
        assert!(matches!(self.writer.remove(id), Err(Error::NoSuchTrack { .. })));
    }

    fn replace(&mut self, at: usize, fingerprint: crate::Fingerprint) {
        let (old, info, _) = self.tracks.remove(at);
        let taken = self.writer.add(info.clone(), &fingerprint);
        assert!(matches!(taken, Err(Error::DuplicateTrack { id, .. }) if id == old));
        let id = self.writer.replace(info.clone(), &fingerprint).unwrap();
        self.tracks.push((id, info, fingerprint));
    }

    fn any(&self, random: f32) -> usize {
        (random * self.tracks.len() as f32) as usize
    }
}

fn check(index: &Index, tracks: &[Track]) {
    let reader = index.reader();
    conformance::check(&reader, tracks).unwrap();
    let names: Vec<String> = reader.tracks().map(|track| track.unwrap().name).collect();
    let want: Vec<String> = tracks.iter().map(|track| track.1.name.clone()).collect();
    assert_eq!(names, want);
    for (id, info, fingerprint) in tracks {
        assert_eq!(reader.find(&info.name).unwrap().unwrap().id, *id);
        assert_eq!(&reader.fingerprint(*id).unwrap(), fingerprint);
    }
    assert_eq!(reader.find("nobody").unwrap(), None);
    let duration_s: f64 = tracks.iter().map(|track| track.2.duration_s()).sum();
    assert!((reader.duration_s() - duration_s).abs() < 1e-6);
}

/// Adds, removes, replaces, commits and merges at random, and compares with what should be there.
fn grow(index: &Index, reopen: impl Fn() -> Option<Index>, seed: u64) {
    let mut random = rng(seed);
    let mut recordings = conformance::recordings(&Config::default(), 150, seed).into_iter();
    let mut trial = Trial { writer: index.writer().unwrap(), tracks: Vec::new() };
    let mut committed = Vec::new();
    for step in 0..200 {
        match (random() * 20.0) as u32 {
            0..=8 => recordings.next().into_iter().for_each(|recording| trial.add(recording)),
            9..=11 if !trial.tracks.is_empty() => trial.remove(trial.any(random())),
            12 if !trial.tracks.is_empty() => {
                let Some((_, fingerprint)) = recordings.next() else { continue };
                trial.replace(trial.any(random()), fingerprint);
            }
            13..=16 => {
                trial.writer.commit().unwrap();
                committed = trial.tracks.clone();
            }
            17 => {
                match step % 3 {
                    0 => trial.writer.compact().unwrap(),
                    _ => trial.writer.finish_merges().unwrap(),
                }
                committed = trial.tracks.clone();
            }
            18 => {
                // A merge goes on while tracks are removed.
                let Some(task) = trial.writer.plan_merge() else { continue };
                if !trial.tracks.is_empty() {
                    trial.remove(trial.any(random()));
                }
                trial.writer.apply_merge(task.run().unwrap()).unwrap();
            }
            _ => check(index, &committed),
        }
        if step % 50 == 49 {
            check(index, &committed);
            if let Some(again) = reopen() {
                check(&again, &committed);
            }
        }
    }
    // What was not committed is gone, and its ids are free.
    drop(trial);
    check(index, &committed);
    let mut writer = index.writer().unwrap();
    for (id, ..) in &committed {
        writer.remove(*id).unwrap();
    }
    writer.commit().unwrap();
    check(index, &[]);
    writer.compact().unwrap();
    check(index, &[]);
}

#[test]
fn an_index_in_memory_is_what_was_done_to_it() {
    for seed in 1..4 {
        grow(&Index::in_memory(Config::default()).unwrap(), || None, seed);
    }
}

#[test]
fn an_index_in_a_folder_is_what_was_done_to_it() {
    let cases = [
        (4, true, Merging::InBackground),
        (5, false, Merging::OnCommit),
        (6, true, Merging::ByHand),
        (7, false, Merging::InBackground),
    ];
    for (seed, mapped, merging) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let options = OpenOptions::new().mapped(mapped).merging(merging).memory_bytes(0);
        let index = options.clone().create(&path, Config::default()).unwrap();
        grow(&index, || Some(options.clone().open(&path).unwrap()), seed);
    }
}
