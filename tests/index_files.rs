//! Index files: written whole and read with suspicion.

mod common;

use common::*;
use earmark::peaks::Peak;
use earmark::{
    Config, Error, Fingerprint, Fingerprinter, HashIndex, KdIndex, Match, MatchConfig, Query, Tags,
    TrackInfo,
};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;

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
    let before: Vec<Vec<Match>> = clip_of_each().iter().map(|c| search(&index, c)).collect();
    assert_eq!(before.iter().map(|m| names(m)).collect::<Vec<_>>(), [["a"], ["b"], ["c"]]);
    let (_folder, path) = saved(&mut index);
    let opened = HashIndex::open(&path).unwrap();
    for (clip, before) in clip_of_each().iter().zip(&before) {
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
    let [kd, kd_opened] = [index, opened].map(|i| KdIndex::new(i).unwrap());
    for clip in &clip_of_each() {
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
    let empty = KdIndex::new(opened.clone()).unwrap();
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
                Err(
                    Error::BadMagic { what, path: Some(named) }
                    | Error::Version { what, path: Some(named), .. }
                    | Error::Corrupt { what, path: Some(named), .. },
                ) if at < tracks_end => {
                    assert!(what.starts_with("index") && named == path);
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

/// Tracks and postings are read at the same time: what is wrong with one is never taken for the other.
#[test]
fn damage_to_tracks_and_postings_together_is_damage_to_the_tracks() {
    let (small, clip) = small();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let [config_end, tracks_end, end] = part_ends(small);
    let places = |from: usize, to: usize| {
        [from, from + 8, from + 12, from + 19, from + 20, (from + to) / 2, to - 9, to - 1]
    };
    let flip = |at: &[usize]| {
        let mut damaged = small.clone();
        at.iter().for_each(|&at| damaged[at] ^= 1);
        open_bytes(&path, &damaged)
    };
    for in_tracks in places(config_end, tracks_end) {
        let alone = flip(&[in_tracks]).unwrap_err().to_string();
        assert!(alone.contains("index"), "{alone}");
        assert!(in_tracks < config_end + 8 || alone.contains("(tracks)"), "{alone}");
        for in_postings in places(tracks_end, end) {
            let both = flip(&[in_tracks, in_postings]).unwrap_err().to_string();
            assert_eq!(both, alone, "bytes {in_tracks} and {in_postings}");
        }
    }
    for in_postings in places(tracks_end, end) {
        assert_eq!(names(&search(&flip(&[in_postings]).unwrap(), clip)), ["song"]);
    }
    // A length that leads to other postings leads to other tracks as well.
    for change in [-9, -1, 1, 9] {
        let mut damaged = small.clone();
        let length = (tracks_end - config_end - 28) as i64 + change;
        damaged[config_end + 12..config_end + 20].copy_from_slice(&length.to_le_bytes());
        assert!(open_bytes(&path, &damaged).is_err());
    }
}

#[test]
fn many_open_a_file_at_the_same_time_from_any_thread() {
    let (_folder, path) = saved(&mut index());
    let bytes = std::fs::read(&path).unwrap();
    let open = |i: usize| {
        let copy = path.with_extension(i.to_string());
        HashIndex::open(&path).unwrap().save(&copy).unwrap();
        assert!(std::fs::read(copy).unwrap() == bytes);
    };
    std::thread::scope(|scope| (0..8).for_each(|i| drop(scope.spawn(move || open(i)))));
    // Where there is no other thread than the one that opens.
    #[cfg(feature = "parallel")]
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| open(8));
}

#[test]
fn other_files_and_newer_versions_are_told_apart() {
    let (_folder, path) = saved(&mut index());
    let bytes = std::fs::read(&path).unwrap();
    let message = |bytes: &[u8]| {
        let message = open_bytes(&path, bytes).unwrap_err().to_string();
        let named = format!("{}: ", path.display());
        message.strip_prefix(&named).expect("the path comes first").to_string()
    };
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        changed
    };
    assert_eq!(
        message(&with(8, 6)),
        "index format version 6, but this build reads version 5: update earmark"
    );
    assert_eq!(
        message(&with(8, 1)),
        "index format version 1, but this build reads version 5: make it again with this version"
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
        "fingerprint format version 9, but this build reads version 4: update earmark"
    );
}

#[test]
fn what_is_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = HashIndex::open(folder.path()).unwrap_err().to_string();
    let expected =
        format!("cannot read {}: it is a folder: give the index file", folder.path().display());
    assert_eq!(message, expected);
    // Nobody writes to this pipe.
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let message = HashIndex::open(&pipe).unwrap_err().to_string();
        assert!(message.contains("pipe: it is not a regular file"), "{message}");
    }
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
fn texts_too_long_to_be_read_again_are_refused() {
    let mut index = index();
    let long = "é".repeat(TrackInfo::MAX_TEXT_BYTES / 2) + "x";
    for field in ["name", "title", "artist", "album"] {
        let mut info = TrackInfo::named("d");
        match field {
            "name" => info.name = long.clone(),
            "title" => info.tags.title = Some(long.clone()),
            "artist" => info.tags.artist = Some(long.clone()),
            _ => info.tags.album = Some(long.clone()),
        }
        let error = index.add(info, &example().prints[1]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("the track's {field} is 1048577 bytes")));
    }
    // The longest that there may be is read again; the old track is kept where the new one is refused.
    let info = TrackInfo::named(&long[..long.len() - 1]);
    index.add(info.clone(), &example().prints[1]).unwrap();
    let tags = Tags { title: Some(long), ..Tags::default() };
    index.replace(TrackInfo { tags, ..info.clone() }, &example().prints[0]).unwrap_err();
    let (_folder, path) = saved(&mut index);
    assert_eq!(HashIndex::open(path).unwrap().catalog().find(&info.name).unwrap().info, info);
}

/// With peaks that all stand at one time, pairing would take as many steps as the square of their number.
#[test]
fn peaks_closer_than_a_picker_makes_them_are_refused() {
    let (small, _) = small();
    let [config_end, tracks_end, _] = part_ends(small);
    let content = &small[config_end + 20..tracks_end - 8];
    // Next id, head, peaks, sub-fingerprints: each after its length.
    let end_of =
        |at: usize| at + 8 + u64::from_le_bytes(content[at..at + 8].try_into().unwrap()) as usize;
    let (head_end, peaks_end) = (end_of(end_of(0)), end_of(end_of(end_of(0))));
    let tracks = |count: usize| {
        let peaks = [32, 40, 40, 40, 0, 195, 0].repeat(count);
        let length = (peaks.len() as u64).to_le_bytes();
        let content = [&content[..head_end], &length, &peaks, &content[peaks_end..]].concat();
        [&small[..config_end], &seal(b"EARMARKT", &content)].concat()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    open_bytes(&path, &tracks(100)).unwrap();
    let message = open_bytes(&path, &tracks(400_000)).unwrap_err().to_string();
    assert!(message.contains("closer than peaks can be"), "{message}");
}

#[test]
fn the_densest_peaks_are_stored() {
    let mut config = Config::default();
    config.peaks.time_radius_frames = 1;
    config.peaks.freq_radius_bins = 1;
    config.peaks.min_contrast_db = 0.0;
    config.peaks.range_db = 140.0;
    (config.peaks.reference_rank, config.peaks.query_rank) = (255, 255);
    config.peaks.rank_radius_frames = 1;
    let noise: Vec<f32> = (0..80_000_u32)
        .map(|i| {
            (i.wrapping_mul(0x9e37_79b9).rotate_left(i % 32) >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect();
    let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
    let print = fingerprinter.fingerprint(&noise, rate(RATE_HZ)).unwrap();
    let frames = noise.len() / config.stft.hop_samples;
    assert!(print.peaks().len() > 20 * frames, "{} peaks", print.peaks().len());
    let mut index = HashIndex::new(config).unwrap();
    index.add(TrackInfo::named("noise"), &print).unwrap();
    let (_folder, path) = saved(&mut index);
    assert_eq!(HashIndex::open(path).unwrap().catalog().tracks()[0].peaks, print.peaks());
}

fn text() -> impl Strategy<Value = String> {
    (any::<String>(), 0..3_usize, 0..2_usize).prop_map(|(text, long, more)| {
        let repeated = TrackInfo::MAX_TEXT_BYTES / text.len().max(1) + more;
        if long == 0 { text.repeat(repeated) } else { text }
    })
}

/// Peaks as nobody picks them, most of them in order.
fn any_peaks() -> impl Strategy<Value = Vec<Peak>> {
    let step = prop_oneof![8 => 0..200_u32, 1 => any::<u32>(), 1 => Just(u32::MAX - 20)];
    let peak = (step, any::<u16>(), any::<[u8; 4]>());
    prop::collection::vec(peak, 0..40).prop_map(|peaks| {
        let mut time = 0_u32;
        let peak = |(step, bin, [contrast, rank, level, phase]): (u32, u16, [u8; 4])| {
            time = time.wrapping_add(step);
            Peak { time, bin, contrast, rank, level, phase }
        };
        peaks.into_iter().map(peak).collect()
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn whatever_is_added_is_read_again(
        tracks in prop::collection::vec(
            (text(), prop::option::of(text()), any_peaks(), prop::collection::vec(any::<u64>(), 0..9), any::<u64>()),
            1..5,
        ),
    ) {
        let mut index = HashIndex::new(Config::default()).unwrap();
        for (name, title, peaks, words, bits) in tracks {
            let print =
                Fingerprint::from_parts(peaks, words, f64::from_bits(bits), &Config::default());
            let tags = Tags { title, ..Tags::default() };
            let _ = index.replace(TrackInfo { name, tags }, &print);
        }
        let (_folder, path) = saved(&mut index);
        let opened = HashIndex::open(&path).unwrap();
        let tracks = [&index, &opened].map(|index| index.catalog().tracks());
        prop_assert_eq!(tracks[0].len(), tracks[1].len());
        for (a, b) in tracks[0].iter().zip(tracks[1]) {
            prop_assert_eq!((a.id, &a.info, a.landmarks), (b.id, &b.info, b.landmarks));
            prop_assert_eq!(a.duration_s.to_bits(), b.duration_s.to_bits());
            prop_assert_eq!(&a.peaks, &b.peaks);
            prop_assert_eq!(&a.sub_fingerprints, &b.sub_fingerprints);
        }
    }

    #[test]
    fn random_bytes_are_no_index(
        header in 0..3_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        // So that some of them get past the first checks.
        let header: &[u8] = [&b""[..], b"EARMARKI", b"EARMARKI\x04\0\0\0"][header];
        let folder = tempfile::tempdir().unwrap();
        let opened = open_bytes(&folder.path().join("index"), &[header, &bytes].concat());
        prop_assert!(opened.is_err());
    }

    #[test]
    fn random_bytes_are_no_fingerprint(
        header in 0..3_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let header: &[u8] = [&b""[..], b"EARMARKF", b"EARMARKF\x04\0\0\0"][header];
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
                    let kd = KdIndex::new(index.clone()).unwrap();
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
    let version = &small().0[8..12];
    let header = [&magic[..], version, &length].concat();
    let checksum = xxhash_rust::xxh3::xxh3_64(&[content, &header].concat());
    [&header, content, &checksum.to_le_bytes()].concat()
}
