//! Indexes: tracks come and go, and what is asked of a search.

mod common;

use common::*;
use earmark::peaks::Peak;
use earmark::{
    Calibration, Config, Error, Fingerprint, Fingerprinter, HashIndex, KdIndex, MatchConfig, Query,
    TrackId, TrackInfo,
};

#[test]
fn names_are_unique_and_ids_are_not_used_again() {
    let mut index = index();
    let b = index.catalog().find("b").unwrap().id;
    match index.add(TrackInfo::named("b"), &example().prints[0]) {
        Err(Error::DuplicateTrack { name, id }) => assert_eq!((name.as_str(), id), ("b", b)),
        other => panic!("{other:?}"),
    }
    assert_eq!(index.catalog().tracks().len(), 3);
    let c = index.catalog().find("c").unwrap().id;
    assert_eq!(index.remove(c).unwrap().name, "c");
    match index.remove(c) {
        Err(Error::NoSuchTrack { id }) => assert_eq!(id, c),
        other => panic!("{other:?}"),
    }
    let (_folder, path) = saved(&mut index);
    let mut opened = HashIndex::open(path).unwrap();
    for index in [&mut index, &mut opened] {
        let again = index.add(TrackInfo::named("c"), &example().prints[2]).unwrap();
        assert!(again > c, "{again} after {c}");
        assert_eq!(names(&search(index, &clip_of_each()[2])), ["c"]);
    }
}

#[test]
fn a_removed_track_is_forgotten_at_once_and_gone_after_saving() {
    let mut index = index();
    let (_folder, path) = saved(&mut index);
    let before = std::fs::metadata(&path).unwrap().len();
    let b = index.catalog().find("b").unwrap().id;
    index.remove(b).unwrap();
    assert!(search(&index, &example().clip).is_empty());
    assert!(index.catalog().get(b).is_none() && index.catalog().find("b").is_none());
    index.save(&path).unwrap();
    let after = std::fs::metadata(&path).unwrap().len();
    assert!(after < before * 3 / 4, "{after} of {before} bytes");
    let opened = HashIndex::open(&path).unwrap();
    for index in [&index, &opened] {
        assert!(search(index, &example().clip).is_empty());
        for (clip, name) in [(0, "a"), (2, "c")] {
            assert_eq!(names(&search(index, &clip_of_each()[clip])), [name]);
        }
    }
    // The first and the last track, then all.
    for name in ["a", "c"] {
        let id = index.catalog().find(name).unwrap().id;
        index.remove(id).unwrap();
        index.save(&path).unwrap();
    }
    assert!(HashIndex::open(&path).unwrap().catalog().tracks().is_empty());
}

#[test]
fn replacing_takes_the_new_audio() {
    let Example { songs, prints, .. } = example();
    let mut index = index();
    let old = index.catalog().find("b").unwrap().id;
    let other = music(10.0, 555);
    let new = index.replace(TrackInfo::named("b"), &fingerprint(&other)).unwrap();
    assert_ne!(new, old);
    assert_eq!(index.catalog().tracks().len(), 3);
    assert!(search(&index, &example().clip).is_empty());
    assert_eq!(names(&search(&index, &query(cut(&other, 2.0, 6.0)))), ["b"]);
    // What is not there yet is added.
    index.replace(TrackInfo::named("d"), &prints[1]).unwrap();
    assert_eq!(names(&search(&index, &query(cut(&songs[1], 2.0, 6.0)))), ["d"]);
    // A fingerprint that does not fit leaves the old track alone.
    let mut config = Config::default();
    config.peaks.reference_rank = 4;
    let odd = Fingerprint::from_parts(prints[0].peaks().to_vec(), Vec::new(), 10.0, &config);
    assert!(matches!(
        index.replace(TrackInfo::named("d"), &odd),
        Err(Error::ConfigMismatch { .. })
    ));
    assert_eq!(names(&search(&index, &query(cut(&songs[1], 2.0, 6.0)))), ["d"]);
}

/// A track as long as the global line allows, 99 days, with peaks at its beginning alone.
fn endless(seed: u32) -> Fingerprint {
    let Example { prints, .. } = example();
    let mut peaks = prints[seed as usize % 3].peaks()[..20].to_vec();
    peaks.push(Peak { time: u32::MAX - seed, ..peaks[0] });
    Fingerprint::from_parts(peaks, Vec::new(), 8.6e6, &Config::default())
}

/// The global line with room for less than one more of these, and an example song in the middle.
fn nearly_full() -> HashIndex {
    let mut index = HashIndex::new(Config::default()).unwrap();
    for i in 0..15 {
        index.add(TrackInfo::named(format!("long {i}")), &endless(i)).unwrap();
        if i == 6 {
            index.add(TrackInfo::named("b"), &example().prints[1]).unwrap();
        }
    }
    index
}

#[test]
fn replacing_in_a_full_index_keeps_the_old_track() {
    let mut index = nearly_full();
    let (_folder, path) = saved(&mut index);
    let before = (std::fs::read(&path).unwrap(), search(&index, &example().clip));
    assert_eq!(names(&before.1), ["b"]);
    for error in [
        index.replace(TrackInfo::named("b"), &endless(99)).unwrap_err(),
        index.add(TrackInfo::named("new"), &endless(99)).unwrap_err(),
    ] {
        assert!(matches!(error, Error::IndexFull), "{error}");
    }
    assert_eq!(search(&index, &example().clip), before.1);
    index.save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == before.0);
}

/// What is removed makes room for as much again, however often.
#[test]
fn replacing_does_not_use_up_the_index() {
    let Example { songs, prints, .. } = example();
    let mut index = nearly_full();
    let mut last = index.catalog().find("long 14").unwrap().id;
    for i in 0..40 {
        let name = format!("long {}", i * 7 % 15);
        let id = index.replace(TrackInfo::named(name), &endless(100 + i)).unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
    }
    for (name, print) in [("a", 0), ("c", 2)] {
        index.add(TrackInfo::named(name), &prints[print]).unwrap();
    }
    // The other tracks have moved, and are the same.
    let (_folder, path) = saved(&mut index);
    let rebuilt = HashIndex::from_catalog(index.catalog().clone());
    let mut opened = HashIndex::open(path).unwrap();
    for (song, name) in songs.iter().zip(["a", "b", "c"]) {
        let clip = query(cut(song, 2.0, 6.0));
        for index in [&index, &rebuilt, &opened] {
            assert_eq!(names(&search(index, &clip)), [name]);
            assert_eq!(search(index, &clip), search(&rebuilt, &clip));
        }
    }
    assert!(matches!(opened.add(TrackInfo::named("one more"), &endless(7)), Err(Error::IndexFull)));
    // Removed is removed, too: most of the line is free once this is saved.
    for i in 0..15 {
        let id = opened.catalog().find(&format!("long {i}")).unwrap().id;
        opened.remove(id).unwrap();
    }
    let (_folder, path) = saved(&mut opened);
    let mut opened = HashIndex::open(path).unwrap();
    assert_eq!(names(&search(&opened, &example().clip)), ["b"]);
    for i in 0..15 {
        let id = opened.add(TrackInfo::named(format!("long {i}")), &endless(i)).unwrap();
        assert!(id > last);
    }
}

#[test]
fn one_at_a_time_or_all_at_once_finds_the_same() {
    let songs: Vec<Vec<f32>> = (0..12).map(|i| music(8.0, 10 * i + 1)).collect();
    let mut index = HashIndex::new(Config::default()).unwrap();
    for (i, song) in songs.iter().enumerate() {
        index.add(TrackInfo::named(i.to_string()), &fingerprint(song)).unwrap();
        if i % 3 == 2 {
            // Holes in the middle.
            let id = index.catalog().find(&(i - 1).to_string()).unwrap().id;
            index.remove(id).unwrap();
        }
    }
    let rebuilt = HashIndex::from_catalog(index.catalog().clone());
    let clips: Vec<Query> = songs.iter().map(|song| query(cut(song, 1.5, 6.5))).collect();
    for (i, clip) in clips.iter().enumerate() {
        let matches = [search(&index, clip), search(&rebuilt, clip)];
        for matches in &matches {
            if i % 3 == 1 {
                assert!(!names(matches).contains(&i.to_string().as_str()));
            } else {
                assert_eq!(matches[0].name, i.to_string());
            }
        }
    }
    // Once the removed tracks' postings are gone, nothing tells the two apart.
    let _saved = saved(&mut index);
    for clip in &clips {
        assert_eq!(search(&index, clip), search(&rebuilt, clip));
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
    let mut index = index();
    let kd = KdIndex::new(index.clone()).unwrap();
    let search = MatchConfig::default();
    for error in [
        index.add(TrackInfo::named("x"), &print).unwrap_err(),
        index.replace(TrackInfo::named("b"), &print).unwrap_err(),
        index.search(&clip, &search).unwrap_err(),
        kd.search(&clip, &search).unwrap_err(),
        Fingerprint::from_bytes(&print.to_bytes().unwrap(), &Config::default()).unwrap_err(),
    ] {
        match error {
            Error::ConfigMismatch { expected, found } => {
                assert_eq!((expected, found), (Config::default().id(), config.id()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(index.catalog().tracks().len(), 3);
    // The configuration is stored: what is opened works with what was made for it.
    let mut index = HashIndex::new(config.clone()).unwrap();
    index.add(TrackInfo::named("x"), &print).unwrap();
    let (_folder, path) = saved(&mut index);
    let opened = HashIndex::open(path).unwrap();
    assert_eq!(opened.catalog().config(), &config);
    let borrowed = Calibration::default().for_analysis(config.id());
    let search = MatchConfig { calibration: Some(borrowed.into()), ..search };
    assert_eq!(names(&opened.search(&clip, &search).unwrap()), ["x"]);
    config.stft.hop_samples = 0;
    assert!(matches!(HashIndex::new(config), Err(Error::Config { .. })));
}

#[test]
fn extreme_search_settings_do_no_harm() {
    let index = index();
    let mut kd = KdIndex::new(index.clone()).unwrap();
    let usual = MatchConfig::default();
    let search_both = |kd: &KdIndex<HashIndex>, config: &MatchConfig| {
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
        let mut index = HashIndex::new(Config::default()).unwrap();
        index.add(TrackInfo::named("odd"), &odd).unwrap();
        assert_eq!(names(&search(&index, &example().clip)), ["odd"]);
    }
}

#[test]
fn ids_and_names_find_the_same_track() {
    let index = index();
    for track in index.catalog().tracks() {
        assert_eq!(index.catalog().get(track.id).unwrap().info, track.info);
        assert_eq!(index.catalog().find(&track.info.name).unwrap().id, track.id);
    }
    assert!(index.catalog().get(TrackId(99)).is_none());
}
