//! Indexes: tracks come and go, and what is asked of a search.

mod common;

use common::*;
use earmark::search::TrackFilter;
use earmark::{
    Calibration, Config, Error, Fingerprint, Fingerprinter, Index, KdIndex, Match, MatchConfig,
    Query, Reader, TrackId, TrackInfo,
};

#[test]
fn names_are_unique_and_ids_are_not_used_again() {
    let (_folder, path) = stored();
    for index in [index(), Index::open(&path).unwrap()] {
        let [b, c] = ["b", "c"].map(|name| id_of(&index, name).unwrap());
        match add(&index, "b", &example().prints[0]) {
            Err(Error::DuplicateTrack { name, id }) => assert_eq!((name.as_str(), id), ("b", b)),
            other => panic!("{other:?}"),
        }
        assert_eq!(index.reader().len(), 3);
        assert_eq!(remove(&index, c).unwrap(), "c");
        match remove(&index, c) {
            Err(Error::NoSuchTrack { id }) => assert_eq!(id, c),
            other => panic!("{other:?}"),
        }
    }
    let index = Index::open(&path).unwrap();
    let before = index.reader().tracks().last().unwrap().unwrap().id;
    let again = add(&index, "c", &example().prints[2]).unwrap();
    assert!(again > TrackId(before.0 + 1), "{again} after {before} and the one that was removed");
    assert_eq!(names(&search(&index, &clip_of_each()[2])), ["c"]);
}

#[test]
fn a_removed_track_is_forgotten_at_once_and_gone_after_compacting() {
    let (_folder, path) = stored();
    let index = Index::open(&path).unwrap();
    let before = index.reader().stats().bytes;
    let b = id_of(&index, "b").unwrap();
    remove(&index, b).unwrap();
    let reader = index.reader();
    assert!(reader.track(b).unwrap().is_none() && reader.find("b").unwrap().is_none());
    index.writer().unwrap().compact().unwrap();
    let after = index.reader().stats().bytes;
    assert!(after < before * 3 / 4, "{after} of {before} bytes");
    // A reader goes on with what it has.
    let opened = Index::open(&path).unwrap().reader();
    for reader in [&reader, &index.reader(), &opened] {
        let search = |clip: &Query| reader.search(clip, &MatchConfig::default()).unwrap();
        assert!(search(&example().clip).is_empty());
        for (clip, name) in [(0, "a"), (2, "c")] {
            assert_eq!(names(&search(&clip_of_each()[clip])), [name]);
        }
    }
    // The first and the last track, then all.
    for name in ["a", "c"] {
        remove(&index, id_of(&index, name).unwrap()).unwrap();
    }
    assert!(Index::open(&path).unwrap().reader().is_empty());
}

#[test]
fn nothing_is_seen_or_kept_before_it_is_committed() {
    let index = index();
    let mut writer = index.writer().unwrap();
    let a = id_of(&index, "a").unwrap();
    writer.remove(a).unwrap();
    writer.replace(TrackInfo::named("b"), &example().prints[0]).unwrap();
    assert_eq!(names(&search(&index, &example().clip)), ["b"]);
    assert!(matches!(index.writer(), Err(Error::Locked { .. })));
    drop(writer);
    assert_eq!(names(&search(&index, &example().clip)), ["b"]);
    assert_eq!(id_of(&index, "a"), Some(a));
    assert!(index.writer().is_ok());
}

#[test]
fn replacing_takes_the_new_audio() {
    let Example { songs, prints, .. } = example();
    let index = index();
    let old = id_of(&index, "b").unwrap();
    let other = music(10.0, 555);
    let new = replace(&index, "b", &fingerprint(&other)).unwrap();
    assert_ne!(new, old);
    assert_eq!(index.reader().len(), 3);
    assert!(search(&index, &example().clip).is_empty());
    assert_eq!(names(&search(&index, &query(cut(&other, 2.0, 6.0)))), ["b"]);
    // What is not there yet is added.
    replace(&index, "d", &prints[1]).unwrap();
    assert_eq!(names(&search(&index, &query(cut(&songs[1], 2.0, 6.0)))), ["d"]);
    // A fingerprint that does not fit leaves the old track alone.
    let mut config = Config::default();
    config.peaks.reference_rank = 4;
    let odd = Fingerprint::from_parts(prints[0].peaks().to_vec(), Vec::new(), 10.0, &config);
    assert!(matches!(replace(&index, "d", &odd), Err(Error::ConfigMismatch { .. })));
    assert_eq!(names(&search(&index, &query(cut(&songs[1], 2.0, 6.0)))), ["d"]);
}

/// What a search gives, but for the ids.
fn told(matches: &[Match]) -> Vec<(&str, f64, f64)> {
    matches.iter().map(|m| (m.name.as_str(), m.offset_s, m.false_alarms)).collect()
}

#[test]
fn one_at_a_time_or_all_at_once_finds_the_same() {
    let songs: Vec<Vec<f32>> = (0..12).map(|i| music(8.0, 10 * i + 1)).collect();
    let prints: Vec<Fingerprint> = songs.iter().map(|song| fingerprint(song)).collect();
    let index = Index::in_memory(Config::default()).unwrap();
    for (i, print) in prints.iter().enumerate() {
        add(&index, &i.to_string(), print).unwrap();
        if i % 3 == 2 {
            // Holes in the middle.
            remove(&index, id_of(&index, &(i - 1).to_string()).unwrap()).unwrap();
        }
    }
    let kept = prints.iter().enumerate().filter(|(i, _)| i % 3 != 1);
    let at_once = index_of_prints(kept.map(|(i, print)| (i.to_string(), print)));
    for (i, song) in songs.iter().enumerate() {
        let clip = query(cut(song, 1.5, 6.5));
        let [found, again] = [&index, &at_once].map(|index| search(index, &clip));
        assert_eq!(told(&found), told(&again));
        if i % 3 == 1 {
            assert!(!names(&found).contains(&i.to_string().as_str()));
        } else {
            assert_eq!(found[0].name, i.to_string());
        }
    }
}

#[test]
fn other_configurations_are_refused() {
    let mut config = Config::default();
    config.landmarks.query_fan_out += 1;
    let mut other = Fingerprinter::new(config.clone()).unwrap();
    let song = &example().songs[1];
    let print = other.fingerprint(song, rate(RATE_HZ)).unwrap();
    let clip = other.query(song, rate(RATE_HZ)).unwrap();
    let index = index();
    let kd = KdIndex::new(index.reader()).unwrap();
    let search = MatchConfig::default();
    for error in [
        add(&index, "x", &print).unwrap_err(),
        replace(&index, "b", &print).unwrap_err(),
        index.search(&clip, &search).unwrap_err(),
        kd.search(&clip, &search).unwrap_err(),
        index.reader().search_fingerprint(&print, &search).unwrap_err(),
        Fingerprint::from_bytes(&print.to_bytes().unwrap(), &Config::default()).unwrap_err(),
    ] {
        match error {
            Error::ConfigMismatch { expected, found } => {
                assert_eq!((expected, found), (Config::default().id(), config.id()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(index.reader().len(), 3);
    // The configuration is stored: what is opened works with what was made for it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    add(&Index::create(&path, config.clone()).unwrap(), "x", &print).unwrap();
    let opened = Index::open(path).unwrap();
    assert_eq!(opened.reader().config(), &config);
    let borrowed = Calibration::default().for_analysis(config.id());
    let search = MatchConfig { calibration: Some(borrowed.into()), ..search };
    assert_eq!(names(&opened.search(&clip, &search).unwrap()), ["x"]);
    config.stft.hop_samples = 0;
    assert!(matches!(Index::in_memory(config), Err(Error::Config { .. })));
}

#[test]
fn extreme_search_settings_do_no_harm() {
    let index = index().reader();
    let mut kd = KdIndex::new(index.clone()).unwrap();
    let usual = MatchConfig::default();
    let search_both = |kd: &KdIndex<Reader>, config: &MatchConfig| {
        [&index.search(&example().clip, config), &kd.search(&example().clip, config)]
            .map(|m| m.as_ref().unwrap().len())
    };
    let search = |config: &MatchConfig| search_both(&kd, config);
    assert_eq!(search(&usual), [1, 1]);
    assert_eq!(search(&MatchConfig { max_false_alarms: 0.0, ..usual.clone() }), [0, 0]);
    for (nonsense, named) in [
        (MatchConfig { candidates: 0, ..usual.clone() }, "candidates"),
        (MatchConfig { max_false_alarms: f64::NAN, ..usual.clone() }, "max_false_alarms"),
        (MatchConfig { probe_steps: u32::MAX / 2, ..usual.clone() }, "probe_steps"),
    ] {
        match kd.search(&example().clip, &nonsense) {
            Err(Error::Config { field, .. }) => assert_eq!(field, named),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(search(&MatchConfig { max_matches: 1, ..usual.clone() }), [1, 1]);
    let all = MatchConfig { max_matches: usize::MAX, max_false_alarms: f64::MAX, ..usual.clone() };
    assert!(search(&all)[0] >= 1);
    for (probe_steps, tolerance_steps) in [(0, 0), (8, 64), (8, u32::MAX)] {
        kd.set_tolerance_steps(tolerance_steps);
        let config = MatchConfig { probe_steps, ..usual.clone() };
        assert_eq!(search_both(&kd, &config), [1, 1], "{tolerance_steps}");
    }
}

#[test]
fn no_matches_wanted_means_none() {
    let none = MatchConfig { max_matches: 0, ..MatchConfig::default() };
    assert!(index().search(&example().clip, &none).unwrap().is_empty());
}

#[test]
fn every_candidate_may_be_verified() {
    let all = MatchConfig { candidates: usize::MAX, ..MatchConfig::default() };
    assert_eq!(names(&index().search(&example().clip, &all).unwrap()), ["b"]);
}

#[test]
fn a_duration_that_makes_no_sense_does_no_harm() {
    for duration_s in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
        let peaks = example().prints[1].peaks().to_vec();
        let odd = Fingerprint::from_parts(peaks, Vec::new(), duration_s, &Config::default());
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(folder.path(), Config::default()).unwrap();
        add(&index, "whole", &example().prints[0]).unwrap();
        let id = add(&index, "odd", &odd).unwrap();
        for index in [&index, &Index::open(folder.path()).unwrap()] {
            assert_eq!(names(&search(index, &example().clip)), ["odd"]);
            assert_eq!(index.reader().duration_s(), 10.0);
        }
        remove(&index, id).unwrap();
        index.writer().unwrap().compact().unwrap();
        assert_eq!(Index::open(folder.path()).unwrap().reader().duration_s(), 10.0);
    }
}

#[test]
fn ids_and_names_find_the_same_track() {
    let reader = index().reader();
    for (track, name) in reader.tracks().zip(["a", "b", "c"]) {
        let track = track.unwrap();
        assert_eq!(track.name, name);
        assert_eq!(reader.track(track.id).unwrap().as_ref(), Some(&track));
        assert_eq!(reader.find(name).unwrap().as_ref(), Some(&track));
    }
    assert!(reader.track(TrackId(99)).unwrap().is_none());
}

#[test]
fn a_stored_fingerprint_finds_where_it_is_heard() {
    let song = music(30.0, 41);
    let (part, other) = (cut(&song, 12.0, 24.0), music(20.0, 43));
    let index = index_of(&[("song", &song), ("part", part), ("other", &other)]);
    let reader = index.reader();
    let id = id_of(&index, "part").unwrap();
    let stored = reader.fingerprint(id).unwrap();
    let others = MatchConfig { filter: TrackFilter::Except([id].into()), ..MatchConfig::default() };
    let found = reader.search_fingerprint(&stored, &others).unwrap();
    assert_eq!(names(&found), ["song"]);
    assert!((found[0].offset_s - 12.0).abs() < 0.05, "{found:?}");
    let itself = reader.search_fingerprint(&stored, &MatchConfig::default()).unwrap();
    // It is as good a match of itself as of the song: either may come first.
    let mut both = names(&itself);
    both.sort_unstable();
    assert_eq!(both, ["part", "song"]);
    assert!(itself[1].same_as.is_some(), "{itself:?}");

    // A stretch of it.
    let query = Query::from_fingerprint(&stored, 4.0..10.0, reader.config()).unwrap();
    assert!((query.duration_s() - 6.0).abs() < 0.3);
    let found = reader.search(&query, &others).unwrap();
    assert_eq!(names(&found), ["song"]);
    assert!((found[0].offset_s - 16.0).abs() < 0.05, "{found:?}");

    let silent = Fingerprint::from_parts(Vec::new(), Vec::new(), 5.0, &Config::default());
    let error = reader.search_fingerprint(&silent, &MatchConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Featureless { .. }), "{error}");
    let error = Query::from_fingerprint(&stored, 0.0..601.0, reader.config()).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    for nonsense in [f64::NAN..f64::NAN, 5.0..4.0, 0.0..-1.0, 1e12..1e12 + 5.0] {
        Query::from_fingerprint(&stored, nonsense, reader.config()).unwrap_err();
    }
}

/// Twelve minutes and more are searched in stretches.
#[test]
fn a_long_fingerprint_finds_all_that_it_is_made_of() {
    let songs = [1, 2, 3].map(|seed| music(20.0, 900 + seed));
    let index = index_of(&[("1", &songs[0]), ("2", &songs[1]), ("3", &songs[2])]);
    let mut mix = vec![0.0; 1_300 * RATE_HZ];
    // Within a stretch, across the end of one, and near the end of all.
    let starts = [100_usize, 643, 1_270];
    for (song, start) in songs.iter().zip(starts) {
        mix[start * RATE_HZ..][..song.len()].copy_from_slice(song);
    }
    let found = index.reader().search_fingerprint(&fingerprint(&mix), &MatchConfig::default());
    let mut found = found.unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(names(&found), ["1", "2", "3"]);
    for (m, start) in found.iter().zip(starts) {
        let start_s = start as f64;
        assert!((m.offset_s + start_s).abs() < 0.05, "{m:?}");
        assert!((m.query.start_s - start_s).abs() < 1.0, "{m:?}");
        assert!((m.query.end_s - start_s - 20.0).abs() < 1.0, "{m:?}");
    }
}
