//! Shards are searched as one, and what is wrong with one of them is told.

use super::*;
use earmark::landmark::LandmarkHash;
use earmark::search::{Answer, Shard, Shards};
use earmark::store::{Excerpted, PostingList, Store, Totals, TrackEntry};
use earmark::{Calibration, Config, Index, TrackId};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is told of a match, whichever shard it is in.
fn told(matches: &[Match]) -> Vec<(String, i64, i64, bool)> {
    let ms = |s: f64| (s * 1000.0).round() as i64;
    let told = |m: &Match| {
        // The same audio is equally good: either may come first.
        let name = m.name.replace("copy of", "track").replace("half of", "track");
        (name, ms(m.offset_s), ms(m.speed), m.same_as.is_some())
    };
    matches.iter().map(told).collect()
}

fn named(number: usize) -> String {
    format!("shard {number}")
}

/// Indexes in folders that hold the tracks split in some way.
fn on_disk(
    folder: &std::path::Path,
    prints: &[(String, Fingerprint)],
    of: impl Fn(usize) -> usize,
    k: usize,
) -> Vec<Index> {
    let index = |part: usize| {
        let index = Index::create(folder.join(format!("{k}-{part}")), Config::default()).unwrap();
        for (_, (name, print)) in prints.iter().enumerate().filter(|(i, _)| of(*i) == part) {
            add(&index, name, print).unwrap();
        }
        index
    };
    (0..k).map(index).collect()
}

#[test]
fn any_split_over_shards_gives_the_answers_of_one_index() {
    let tracks = tracks();
    let prints: Vec<(String, Fingerprint)> =
        tracks.iter().map(|(name, samples)| (name.clone(), fingerprint(samples))).collect();
    let folder = tempfile::tempdir().unwrap();
    let whole = on_disk(folder.path(), &prints, |_| 0, 1).remove(0).reader();
    let plain = MatchConfig::default();
    let any_speed =
        MatchConfig { speed: SpeedRange::percent(4.0).unwrap(), ..MatchConfig::default() };
    let clips = clips_of(&tracks);
    let mut random = rng(12);
    let mut found = 0;
    for k in [2, 3, 4, 7, 12] {
        // Some shards may be empty.
        let of: Vec<usize> = tracks.iter().map(|_| (random() * k as f32) as usize).collect();
        let indexes = on_disk(folder.path(), &prints, |i| of[i], k);
        let shards = Shards::new(indexes.iter().enumerate().map(|(part, index)| {
            let index = index.clone();
            match part % 2 {
                0 => Shard::new(named(part), index.reader()),
                _ => Shard::opened_by(named(part), move || Ok(index.reader()))
                    .time_limit(Duration::from_secs(600)),
            }
        }));
        assert_eq!(shards.len(), k);
        for (number, query) in clips.iter().enumerate() {
            for config in [&plain, &any_speed] {
                let one = whole.search(query, config).unwrap();
                let many = shards.search(query, config).unwrap();
                assert_eq!(told(&many), told(&one), "clip {number} in {k} shards");
                for (a, b) in many.iter().zip(&one) {
                    assert!((a.score() - b.score()).abs() < 1e-6, "{number}, {k}: {a:?} {b:?}");
                }
                for m in &many {
                    // Ids say nothing without the part.
                    let entry = indexes[m.part].reader().track(m.track).unwrap().unwrap();
                    assert_eq!(entry.name, m.name);
                    assert_eq!(shards.name(m.part), Some(named(m.part).as_str()));
                    assert_eq!(m.same_as.is_some(), m.same_as_part.is_some());
                    if let (Some(part), Some(id)) = (m.same_as_part, m.same_as) {
                        let original = indexes[part].reader().track(id).unwrap().unwrap();
                        assert!(many.iter().any(|other| other.name == original.name));
                        assert_ne!(original.name, m.name);
                    }
                    found += 1;
                }
                let answer = shards.search_available(query, config).unwrap();
                assert!(!answer.is_partial());
                assert_eq!(answer.matches, many);
            }
        }
    }
    assert!(found > 50, "{found}");
}

/// How a store is broken.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Totals,
    Postings,
    Excerpts,
    Tracks,
    Panic,
    /// It answers when it is let.
    Hang,
}

/// A store that fails in one of its calls.
struct Broken {
    store: Reader,
    fault: Fault,
    let_go: Arc<Mutex<Receiver<()>>>,
    looked_up: Arc<AtomicUsize>,
}

impl Broken {
    fn unless(&self, fault: Fault) -> earmark::Result<()> {
        match self.fault == fault {
            true => Err(Error::Read(std::io::Error::other("the cable is cut"))),
            false => Ok(()),
        }
    }
}

impl Store for Broken {
    fn totals(&self) -> earmark::Result<Totals> {
        assert!(self.fault != Fault::Panic, "a store that panics");
        if self.fault == Fault::Hang {
            let _ = self.let_go.lock().unwrap().recv();
        }
        self.unless(Fault::Totals)?;
        self.store.totals()
    }

    fn postings(&self, hashes: &[LandmarkHash]) -> earmark::Result<Vec<PostingList<'_>>> {
        self.looked_up.fetch_add(1, Relaxed);
        self.unless(Fault::Postings)?;
        self.store.postings(hashes)
    }

    fn excerpts(&self, wanted: &[Range<u32>]) -> earmark::Result<Vec<Excerpted>> {
        self.unless(Fault::Excerpts)?;
        self.store.excerpts(wanted)
    }

    fn tracks(&self, ids: &[TrackId]) -> earmark::Result<Vec<Option<TrackEntry>>> {
        self.unless(Fault::Tracks)?;
        Store::tracks(&self.store, ids)
    }

    fn blocks_of(&self, ids: &[TrackId]) -> earmark::Result<Vec<Range<u32>>> {
        self.store.blocks_of(ids)
    }
}

/// The tracks in three shards, the second of which is broken.
fn one_broken(fault: Fault) -> (Shards, Sender<()>, Arc<AtomicUsize>) {
    let looked_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked_up);
    let mut parts = split(&tracks(), 3, |i| i).into_iter();
    let (let_go, waits) = channel();
    let mut part = || parts.next().unwrap();
    let first = Shard::new("first", part());
    let store = part();
    let let_go_of = Arc::new(Mutex::new(waits));
    let limit = Duration::from_millis(if fault == Fault::Hang { 100 } else { 600_000 });
    let second = Shard::opened_by("second", move || {
        let (let_go, looked_up) = (Arc::clone(&let_go_of), Arc::clone(&count));
        Ok(Broken { store: store.clone(), fault, let_go, looked_up })
    });
    let shards = Shards::new([first, second.time_limit(limit), Shard::new("third", part())]);
    (shards, let_go, looked_up)
}

fn missing(answer: &Answer) -> (usize, &str, String) {
    let [missing] = &answer.missing[..] else { panic!("{answer:?}") };
    (missing.part, missing.name.as_str(), missing.to_string())
}

#[test]
fn a_shard_that_fails_is_named_or_marked_as_missing() {
    let tracks = tracks();
    let clips = clips_of(&tracks);
    let config = MatchConfig::default();
    for fault in [Fault::Totals, Fault::Postings, Fault::Excerpts, Fault::Tracks, Fault::Panic] {
        let (shards, ..) = one_broken(fault);
        // Of track 1, in the broken shard, and track 7, also there; then one of track 8, which is not.
        let error = shards.search(&clips[3], &config).unwrap_err();
        assert!(matches!(&error, Error::Shard { name, .. } if name == "second"), "{error}");
        let why = if fault == Fault::Panic { "panicked" } else { "the cable is cut" };
        assert!(error.to_string().contains("shard second: "), "{error}");
        assert!(error.to_string().contains(why), "{error}");

        let answer = shards.search_available(&clips[3], &config).unwrap();
        assert!(answer.is_partial() && answer.matches.is_empty(), "{answer:?}");
        let (part, name, reason) = missing(&answer);
        assert_eq!((part, name), (1, "second"));
        assert!(reason.contains(why), "{reason}");

        let answer = shards.search_available(&clips[2], &config).unwrap();
        assert_eq!((names(&answer.matches), answer.matches[0].part), (vec!["track 8"], 2));
        assert_eq!(missing(&answer).0, 1);
    }
}

#[test]
fn a_shard_that_hangs_is_given_up_and_then_left_alone() {
    let clip = &clips_of(&tracks())[2];
    let config = MatchConfig::default();
    let (shards, let_go, _) = one_broken(Fault::Hang);
    for _ in 0..4 {
        let answer = shards.search_available(clip, &config).unwrap();
        assert_eq!(names(&answer.matches), ["track 8"]);
        let (part, _, reason) = missing(&answer);
        assert_eq!(part, 1);
        assert!(reason.contains("0.1 s have passed"), "{reason}");
    }
    let answer = shards.search_available(clip, &config).unwrap();
    assert!(missing(&answer).2.contains("4 searches of it"), "{answer:?}");
    let error = shards.search(clip, &config).unwrap_err();
    assert!(error.to_string().starts_with("shard second: no answer"), "{error}");
    // Once they have ended, it is searched again.
    drop(let_go);
    let mut answer = shards.search_available(clip, &config).unwrap();
    for _ in 0..1000 {
        if !answer.is_partial() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        answer = shards.search_available(clip, &config).unwrap();
    }
    assert!(!answer.is_partial(), "{answer:?}");
}

#[test]
fn a_certain_match_in_one_shard_is_enough_for_all() {
    let clips = clips_of(&tracks());
    let config = MatchConfig::default();
    let (shards, _, looked_up) = one_broken(Fault::None);
    for (clip, times, name) in [(2, 1, Some("track 8")), (5, 3, None)] {
        looked_up.store(0, Relaxed);
        let found = shards.search(&clips[clip], &config).unwrap();
        assert_eq!(found.first().map(|m| m.name.as_str()), name);
        assert_eq!(looked_up.load(Relaxed), times, "clip {clip}");
    }
}

#[test]
fn what_no_shard_can_answer_is_an_error() {
    let clip = &clips_of(&tracks())[2];
    let none = Shards::new([]);
    assert!(none.is_empty() && none.search(clip, &MatchConfig::default()).unwrap().is_empty());
    assert!(!none.search_available(clip, &MatchConfig::default()).unwrap().is_partial());

    let other = Index::in_memory(Config::compact()).unwrap().reader();
    let alone = Shards::new([Shard::new("compact", other.clone())]);
    let error = alone.search_available(clip, &MatchConfig::default()).unwrap_err();
    assert!(error.to_string().starts_with("shard compact: made with another"), "{error}");
    let mixed = Shards::new([Shard::new("compact", other), Shard::new("usual", index().reader())]);
    let answer = mixed.search_available(clip, &MatchConfig::default()).unwrap();
    assert_eq!(missing(&answer).0, 0);

    // One that is searched by another calibration cannot be compared.
    let calibrated = Index::in_memory(Config::default()).unwrap();
    let mut calibration = Calibration::default();
    calibration.law.chance += 0.1;
    let mut writer = calibrated.writer().unwrap();
    writer.set_calibration(Some(Arc::new(calibration))).unwrap();
    writer.commit().unwrap();
    let stores = [("usual", index().reader()), ("other", calibrated.reader())];
    let shards = Shards::new(stores.map(|(name, reader)| Shard::new(name, reader)));
    let error = shards.search(clip, &MatchConfig::default()).unwrap_err();
    let Error::Shard { name, source } = error else { panic!("{error}") };
    assert!(name == "other" && matches!(*source, Error::OtherClip), "{name}: {source}");
    let one = MatchConfig { calibration: Some(Arc::default()), ..MatchConfig::default() };
    assert!(!shards.search_available(clip, &one).unwrap().is_partial());

    // An id is of one shard, so that a list of ids says nothing of several.
    let filter = TrackFilter::Only([TrackId(0)].into());
    let filtered = MatchConfig { filter, ..MatchConfig::default() };
    let wrong = MatchConfig { candidates: 0, ..MatchConfig::default() };
    for (config, field) in [(filtered, "filter"), (wrong, "candidates")] {
        for error in [
            mixed.search(clip, &config).unwrap_err(),
            mixed.search_available(clip, &config).unwrap_err(),
        ] {
            assert!(matches!(&error, Error::Config { field: named, .. } if *named == field));
        }
    }
}
