//! Indexes: tracks come and go, files are written whole and read with suspicion.

mod common;

use common::*;
use earmark::{
    Config, Error, Fingerprint, Fingerprinter, HashIndex, KdIndex, Match, MatchConfig, Query, Tags,
    TrackId, TrackInfo,
};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;

/// Three pieces and a clip of the second.
struct Example {
    songs: [Vec<f32>; 3],
    prints: [Fingerprint; 3],
    clip: Query,
}

fn example() -> &'static Example {
    static EXAMPLE: OnceLock<Example> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let songs = [1, 2, 3].map(|seed| music(10.0, 100 * seed));
        let prints = songs.each_ref().map(|s| fingerprint(s));
        let clip = query(cut(&songs[1], 3.1, 7.1));
        Example { songs, prints, clip }
    })
}

fn index() -> HashIndex {
    let mut index = HashIndex::new(Config::default()).unwrap();
    for (name, print) in ["a", "b", "c"].iter().zip(&example().prints) {
        let tags = Tags { title: Some(format!("Title of {name}")), ..Tags::default() };
        index.add(TrackInfo { name: (*name).into(), tags }, print).unwrap();
    }
    index
}

fn search(index: &HashIndex, clip: &Query) -> Vec<Match> {
    index.search(clip, &MatchConfig::default()).unwrap()
}

/// A clip of each piece.
fn clips() -> [Query; 3] {
    example().songs.each_ref().map(|song| query(cut(song, 2.3, 6.3)))
}

/// An index in a file of a folder of its own.
fn saved(index: &mut HashIndex) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    index.save(&path).unwrap();
    (folder, path)
}

/// Opens an index from bytes.
fn open_bytes(path: &Path, bytes: &[u8]) -> earmark::Result<HashIndex> {
    std::fs::write(path, bytes).unwrap();
    HashIndex::open(path)
}

/// Where each of the three parts of a file ends: configuration, tracks, postings.
fn part_ends(bytes: &[u8]) -> [usize; 3] {
    let mut end = 0;
    [(); 3].map(|()| {
        let length = u64::from_le_bytes(bytes[end + 12..end + 20].try_into().unwrap());
        end += 8 + 4 + 8 + usize::try_from(length).unwrap() + 8;
        end
    })
}

#[test]
fn what_was_saved_is_opened() {
    let mut index = index();
    let before: Vec<Vec<Match>> = clips().iter().map(|c| search(&index, c)).collect();
    assert_eq!(before.iter().map(|m| names(m)).collect::<Vec<_>>(), [["a"], ["b"], ["c"]]);
    let (_folder, path) = saved(&mut index);
    let opened = HashIndex::open(&path).unwrap();
    for (clip, before) in clips().iter().zip(&before) {
        assert_eq!(&search(&opened, clip), before);
        assert_eq!(&search(&index, clip), before, "the index is the same after saving");
    }
    assert_eq!(opened.catalog().config(), &Config::default());
    assert_eq!(opened.catalog().duration_s(), 30.0);
    for (a, b) in index.catalog().tracks().iter().zip(opened.catalog().tracks()) {
        assert_eq!((a.id, &a.info, a.landmarks), (b.id, &b.info, b.landmarks));
        assert_eq!((a.duration_s, &a.peaks), (b.duration_s, &b.peaks));
    }
    assert_eq!(opened.catalog().find("b").unwrap().info.tags.title.as_deref(), Some("Title of b"));
    assert!(opened.catalog().find("d").is_none());
    // A KD-tree from the file and one from memory agree as well.
    let [kd, kd_opened] = [index, opened].map(|i| KdIndex::new(i.into_catalog()));
    for clip in &clips() {
        let [a, b] = [&kd, &kd_opened].map(|kd| kd.search(clip, &MatchConfig::default()).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.len(), 1);
    }
}

#[test]
fn an_empty_index_is_saved_and_opened_too() {
    let (_folder, path) = saved(&mut HashIndex::new(Config::default()).unwrap());
    let mut opened = HashIndex::open(&path).unwrap();
    assert!(opened.catalog().tracks().is_empty());
    assert!(search(&opened, &example().clip).is_empty());
    let empty = KdIndex::new(opened.catalog().clone());
    assert!(empty.is_empty());
    assert!(empty.search(&example().clip, &MatchConfig::default()).unwrap().is_empty());
    opened.add(TrackInfo::named("b"), &example().prints[1]).unwrap();
    assert_eq!(names(&search(&opened, &example().clip)), ["b"]);
}

#[test]
fn the_same_tracks_give_the_same_file() {
    let [a, b] = [(); 2].map(|()| {
        let (_folder, path) = saved(&mut index());
        std::fs::read(path).unwrap()
    });
    assert!(a == b);
    // Saving what was opened gives it again.
    let (_folder, path) = saved(&mut index());
    HashIndex::open(&path).unwrap().save(&path).unwrap();
    assert!(std::fs::read(path).unwrap() == a);
}

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
        assert_eq!(names(&search(index, &clips()[2])), ["c"]);
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
            assert_eq!(names(&search(index, &clips()[clip])), [name]);
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
    let odd = Fingerprint::from_peaks(prints[0].peaks().to_vec(), 10.0, &config);
    assert!(matches!(
        index.replace(TrackInfo::named("d"), &odd),
        Err(Error::ConfigMismatch { .. })
    ));
    assert_eq!(names(&search(&index, &query(cut(&songs[1], 2.0, 6.0)))), ["d"]);
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
    let kd = KdIndex::new(index.catalog().clone());
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
    assert_eq!(names(&opened.search(&clip, &search).unwrap()), ["x"]);
    config.stft.hop_samples = 0;
    assert!(matches!(HashIndex::new(config), Err(Error::Config { .. })));
}

/// A byte may be anything else: all bits flipped, one bit flipped, or nothing.
fn damages(byte: u8) -> [u8; 3] {
    [!byte, byte ^ 1, if byte == 0 { 0x80 } else { 0 }]
}

#[test]
fn any_damage_is_noticed_or_mended() {
    let mut index = index_of(&[("song", cut(&example().songs[1], 2.0, 5.0))]);
    let clip = query(cut(&example().songs[1], 2.5, 4.5));
    let expected = search(&index, &clip);
    assert_eq!(names(&expected), ["song"]);
    let (_folder, path) = saved(&mut index);
    let bytes = std::fs::read(&path).unwrap();
    let [_, tracks_end, end] = part_ends(&bytes);
    assert_eq!(end, bytes.len());
    for at in 0..bytes.len() {
        for (i, damage) in damages(bytes[at]).into_iter().enumerate() {
            if i > 0 && at >= tracks_end && at % 5 != 0 {
                continue;
            }
            let mut damaged = bytes.clone();
            damaged[at] = damage;
            match open_bytes(&path, &damaged) {
                Ok(opened) if at >= tracks_end => {
                    assert_eq!(search(&opened, &clip), expected, "byte {at}");
                }
                Ok(_) => panic!("byte {at} of {tracks_end} went unnoticed"),
                Err(Error::BadMagic { what } | Error::Version { what, .. }) if at < tracks_end => {
                    assert!(what.starts_with("index"));
                }
                Err(Error::Corrupt { what, .. }) if at < tracks_end => {
                    assert!(what.starts_with("index"));
                }
                Err(error) => panic!("byte {at} of {tracks_end}: {error}"),
            }
        }
    }
}

#[test]
fn any_truncation_is_noticed_or_mended() {
    let mut index = index_of(&[("song", cut(&example().songs[1], 2.0, 5.0))]);
    let clip = query(cut(&example().songs[1], 2.5, 4.5));
    let expected = search(&index, &clip);
    let (_folder, path) = saved(&mut index);
    let bytes = std::fs::read(&path).unwrap();
    let [_, tracks_end, _] = part_ends(&bytes);
    for end in 0..bytes.len() {
        match open_bytes(&path, &bytes[..end]) {
            Ok(opened) if end >= tracks_end => {
                if end % 7 == 0 {
                    assert_eq!(search(&opened, &clip), expected, "cut at {end}");
                }
            }
            Err(Error::BadMagic { .. } | Error::Corrupt { .. }) if end < tracks_end => {}
            other => panic!("cut at {end} of {tracks_end}: {:?}", other.map(|_| ())),
        }
    }
    // Mended is mended: saved again, the file is whole.
    open_bytes(&path, &bytes[..tracks_end]).unwrap().save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn other_files_and_newer_versions_are_told_apart() {
    let (_folder, path) = saved(&mut index());
    let bytes = std::fs::read(&path).unwrap();
    let message = |bytes: &[u8]| open_bytes(&path, bytes).unwrap_err().to_string();
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        changed
    };
    assert_eq!(
        message(&with(8, 2)),
        "index format version 2, but this build reads version 1: update earmark"
    );
    assert_eq!(
        message(&with(8, 0)),
        "index format version 0, but this build reads version 1: make it again with this version"
    );
    let strange = "this is not an earmark index (its first bytes differ)";
    assert_eq!(message(b""), strange);
    assert_eq!(message(b"RIFF\xff\xff\0\0WAVEfmt "), strange);
    assert_eq!(message(&example().prints[0].to_bytes().unwrap()), strange);
    let corrupt = message(&with(40, !bytes[40]));
    assert!(corrupt.starts_with("the index is damaged (its checksum differs)"), "{corrupt}");
    // The same for fingerprints.
    let message =
        |bytes: &[u8]| Fingerprint::from_bytes(bytes, &Config::default()).unwrap_err().to_string();
    let mut print = example().prints[0].to_bytes().unwrap();
    assert_eq!(message(&bytes), "this is not an earmark fingerprint (its first bytes differ)");
    print[8] = 9;
    assert_eq!(
        message(&print),
        "fingerprint format version 9, but this build reads version 1: update earmark"
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing");
    let message = HashIndex::open(&path).unwrap_err().to_string();
    assert!(message.starts_with("cannot read ") && message.contains("nothing"), "{message}");
    let path = folder.path().join("no folder").join("index");
    let mut index = index();
    let message = index.save(&path).unwrap_err().to_string();
    assert!(message.starts_with("cannot write beside ") && message.contains("no folder"));
    assert_eq!(names(&search(&index, &example().clip)), ["b"], "the index outlives a failed save");
}

#[test]
fn saving_replaces_the_file_as_a_whole_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    std::fs::write(&path, "something else").unwrap();
    let mut index = index();
    for _ in 0..3 {
        index.save(&path).unwrap();
        let entries: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(entries, ["index"]);
        assert_eq!(names(&search(&HashIndex::open(&path).unwrap(), &example().clip)), ["b"]);
    }
    // Where it cannot be replaced, what was there stays, and nothing is left beside it.
    let occupied = folder.path().join("occupied");
    std::fs::create_dir(&occupied).unwrap();
    std::fs::write(occupied.join("file"), "kept").unwrap();
    let message = index.save(&occupied).unwrap_err().to_string();
    assert!(message.starts_with("cannot replace "), "{message}");
    assert_eq!(std::fs::read(occupied.join("file")).unwrap(), b"kept");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn fingerprints_notice_any_damage() {
    let print = fingerprint(cut(&example().songs[0], 1.0, 4.0));
    let bytes = print.to_bytes().unwrap();
    let config = Config::default();
    assert_eq!(Fingerprint::from_bytes(&bytes, &config).unwrap(), print);
    for at in 0..bytes.len() {
        for damage in damages(bytes[at]) {
            let mut damaged = bytes.clone();
            damaged[at] = damage;
            assert!(Fingerprint::from_bytes(&damaged, &config).is_err(), "byte {at}");
        }
        assert!(Fingerprint::from_bytes(&bytes[..at], &config).is_err(), "cut at {at}");
    }
}

#[test]
fn extreme_search_settings_do_no_harm() {
    let index = index();
    let kd = KdIndex::new(index.catalog().clone());
    let usual = MatchConfig::default();
    let search = |config: &MatchConfig| {
        [&index.search(&example().clip, config), &kd.search(&example().clip, config)]
            .map(|m| m.as_ref().unwrap().len())
    };
    assert_eq!(search(&usual), [1, 1]);
    assert_eq!(search(&MatchConfig { candidates: 0, ..usual.clone() }), [0, 0]);
    assert_eq!(search(&MatchConfig { max_false_alarms: 0.0, ..usual.clone() }), [0, 0]);
    assert_eq!(search(&MatchConfig { max_false_alarms: f64::NAN, ..usual.clone() }), [0, 0]);
    assert_eq!(search(&MatchConfig { max_matches: 1, ..usual.clone() }), [1, 1]);
    let exact = MatchConfig { probe_steps: 0, tolerance_steps: 0, ..usual.clone() };
    assert_eq!(search(&exact), [1, 1], "a clip cut at a hop or nearly so");
    let wide = MatchConfig { probe_steps: u32::MAX / 2, tolerance_steps: 64, ..usual.clone() };
    assert_eq!(search(&wide), [1, 1]);
    let all = MatchConfig { max_matches: usize::MAX, max_false_alarms: f64::MAX, ..usual };
    assert!(search(&all)[0] >= 1);
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
        let odd = Fingerprint::from_peaks(peaks, duration_s, &Config::default());
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

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn random_bytes_are_no_index(
        header in 0..3_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        // So that some of them get past the first checks.
        let header: &[u8] = [&b""[..], b"EARMARKI", b"EARMARKI\x01\0\0\0"][header];
        let folder = tempfile::tempdir().unwrap();
        let opened = open_bytes(&folder.path().join("index"), &[header, &bytes].concat());
        prop_assert!(opened.is_err());
    }

    #[test]
    fn random_bytes_are_no_fingerprint(
        header in 0..3_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let header: &[u8] = [&b""[..], b"EARMARKF", b"EARMARKF\x01\0\0\0"][header];
        let bytes = [header, &bytes].concat();
        prop_assert!(Fingerprint::from_bytes(&bytes, &Config::default()).is_err());
    }

    /// Bytes with a right checksum, as no accident makes them: anything may come, but no panic.
    #[test]
    fn sealed_nonsense_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        real in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let (small, clip) = small();
        let content = |part: &[u8]| {
            let mut content = if real { part.to_vec() } else { bytes.clone() };
            for (at, byte) in &changes {
                if !content.is_empty() {
                    let at = at.index(content.len());
                    content[at] = *byte;
                }
            }
            content
        };
        let [config_end, tracks_end, end] = part_ends(small);
        let (config, tracks) = (&small[..config_end], &small[config_end + 20..tracks_end - 8]);
        let postings = &small[tracks_end + 20..end - 8];
        let sealed_tracks = seal(b"EARMARKT", &content(tracks));
        let sealed_postings = seal(b"EARMARKP", &content(postings));
        let whole_tracks = &small[config_end..tracks_end];
        for file in [
            seal(b"EARMARKI", &content(&config[20..config_end - 8])),
            [config, &sealed_tracks, &sealed_postings].concat(),
            [config, whole_tracks, &sealed_postings].concat(),
            [config, &sealed_tracks, &small[tracks_end..]].concat(),
        ] {
            if let Ok(mut index) = open_bytes(&path, &file) {
                if index.catalog().config() == &Config::default() {
                    search(&index, clip);
                    let kd = KdIndex::new(index.catalog().clone());
                    kd.search(clip, &MatchConfig::default()).unwrap();
                }
                index.save(&path).unwrap();
            }
        }
        let _ = Fingerprint::from_bytes(&seal(b"EARMARKF", &content(tracks)), &Config::default());
    }
}

/// The file of a small index, and a clip of what is in it.
fn small() -> &'static (Vec<u8>, Query) {
    static SMALL: OnceLock<(Vec<u8>, Query)> = OnceLock::new();
    SMALL.get_or_init(|| {
        let song = &example().songs[1];
        let (_folder, path) = saved(&mut index_of(&[("song", cut(song, 2.0, 4.0))]));
        (std::fs::read(path).unwrap(), query(cut(song, 2.5, 4.0)))
    })
}

/// Puts content between header and checksum, as the library does.
fn seal(magic: &[u8; 8], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let header = [&magic[..], &1u32.to_le_bytes(), &length].concat();
    let checksum = xxhash_rust::xxh3::xxh3_64(&[content, &header].concat());
    [&header, content, &checksum.to_le_bytes()].concat()
}
