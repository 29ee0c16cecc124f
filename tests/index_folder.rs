//! Indexes in folders: what was committed is there again, and what is none is told.

mod common;

use common::*;
use earmark::peaks::Peak;
use earmark::units::{BinSteps, TimeSteps};
use earmark::{
    Config, Error, Fingerprint, Fingerprinter, Index, KdIndex, Match, MatchConfig, Tags, TrackInfo,
};
use proptest::prelude::*;
use std::fs;

#[test]
fn what_was_committed_is_opened() {
    let index = index();
    let before: Vec<Vec<Match>> = clip_of_each().iter().map(|c| search(&index, c)).collect();
    assert_eq!(before.iter().map(|m| names(m)).collect::<Vec<_>>(), [["a"], ["b"], ["c"]]);
    let (_folder, path) = stored();
    let opened = Index::open(&path).unwrap();
    for (clip, before) in clip_of_each().iter().zip(&before) {
        assert_eq!(&search(&opened, clip), before);
    }
    let [memory, folder] = [&index, &opened].map(Index::reader);
    assert_eq!(folder.config(), &Config::default());
    assert_eq!(folder.duration_s(), 30.0);
    for ((a, b), print) in memory.tracks().zip(folder.tracks()).zip(&example().prints) {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a, b);
        assert_eq!(&folder.fingerprint(b.id).unwrap(), print);
    }
    let title = folder.find("b").unwrap().unwrap().tags.title;
    assert_eq!(title.as_deref(), Some("Title of b"));
    assert!(folder.find("d").unwrap().is_none());
    // A KD-tree of the folder and one of memory agree as well.
    let [a, b] = [memory, folder].map(|reader| KdIndex::new(reader).unwrap());
    for clip in &clip_of_each() {
        let [a, b] = [&a, &b].map(|kd| kd.search(clip, &MatchConfig::default()).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.len(), 1);
    }
}

#[test]
fn an_empty_index_is_opened_too() {
    let folder = tempfile::tempdir().unwrap();
    Index::create(folder.path(), Config::default()).unwrap();
    let opened = Index::open(folder.path()).unwrap();
    assert!(opened.reader().is_empty());
    assert!(search(&opened, &example().clip).is_empty());
    let empty = KdIndex::new(opened.reader()).unwrap();
    assert!(empty.is_empty());
    assert!(empty.search(&example().clip, &MatchConfig::default()).unwrap().is_empty());
    add(&opened, "b", &example().prints[1]).unwrap();
    assert_eq!(names(&search(&opened, &example().clip)), ["b"]);
}

#[test]
fn the_same_tracks_give_the_same_files() {
    let files = |path: &std::path::Path| {
        let mut files: Vec<_> = (fs::read_dir(path).unwrap())
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.file_name().unwrap().to_owned(), fs::read(path).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let [a, b] = [(); 2].map(|()| stored());
    assert!(files(&a.1) == files(&b.1));
}

#[test]
fn many_threads_open_and_search_at_the_same_time() {
    let (_folder, path) = stored();
    let expected = search(&index(), &example().clip);
    let reader = Index::open(&path).unwrap().reader();
    let open = || {
        assert_eq!(search(&Index::open(&path).unwrap(), &example().clip), expected);
        let shared = reader.search(&example().clip, &MatchConfig::default());
        assert_eq!(shared.unwrap(), expected);
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(open))));
}

#[test]
fn what_is_no_index_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old"), b"EARMARKI\x05\0\0\0 and so on").unwrap();
    fs::write(at("wav"), b"RIFF\xff\xff\0\0WAVEfmt ").unwrap();
    fs::write(at("nothing"), b"").unwrap();
    fs::create_dir(at("music")).unwrap();
    fs::write(at("music").join("song.mp3"), b"audio").unwrap();
    for (name, told) in [
        ("old", "an index file of an earlier version"),
        ("wav", "this is not an earmark index"),
        ("nothing", "this is not an earmark index"),
        ("music", "cannot open "),
        ("missing", "cannot open "),
    ] {
        let error = Index::open(at(name)).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(at(name).to_str().unwrap()), "{error}");
    }
    for (name, told) in [("old", "cannot create "), ("music", "other files"), ("no/index", "no")] {
        let error = Index::create(at(name), Config::default()).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(at(name).to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read(at("music").join("song.mp3")).unwrap(), b"audio");

    let (_folder, path) = stored();
    let created = Index::create(&path, Config::default()).unwrap_err().to_string();
    assert!(created.contains("open it"), "{created}");
    let mut manifest = fs::read(path.join("manifest")).unwrap();
    manifest[8] = 99;
    fs::write(path.join("manifest"), manifest).unwrap();
    match Index::open(&path) {
        Err(error @ Error::Version { found: 99, .. }) => {
            assert!(error.to_string().contains("update earmark"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_too_long_are_refused() {
    let (_folder, path) = stored();
    let index = Index::open(&path).unwrap();
    let mut writer = index.writer().unwrap();
    let long = "é".repeat(TrackInfo::MAX_TEXT_BYTES / 2) + "x";
    for field in ["name", "title", "artist", "album"] {
        let mut info = TrackInfo::named("d");
        match field {
            "name" => info.name = long.clone(),
            "title" => info.tags.title = Some(long.clone()),
            "artist" => info.tags.artist = Some(long.clone()),
            _ => info.tags.album = Some(long.clone()),
        }
        let error = writer.add(info, &example().prints[1]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("the track's {field} is 1048577 bytes")));
    }
    // The longest that there may be is read again; the old track is kept where the new one is refused.
    let name = &long[..long.len() - 1];
    let id = writer.add(TrackInfo::named(name), &example().prints[1]).unwrap();
    let tags = Tags { title: Some(long.clone()), ..Tags::default() };
    writer.replace(TrackInfo { name: name.into(), tags }, &example().prints[0]).unwrap_err();
    writer.commit().unwrap();
    let track = Index::open(path).unwrap().reader().find(name).unwrap().unwrap();
    assert_eq!((track.id, track.tags), (id, Tags::default()));
}

/// With peaks that all stand at one time, pairing would take as many steps as the square of their number.
#[test]
fn peaks_closer_than_a_picker_makes_them_are_refused() {
    let (time, bin) = (TimeSteps(40), BinSteps(40));
    let peak = Peak { time, bin, contrast: 40, rank: 0, level: 195, phase: 0 };
    let print = |count: usize| {
        Fingerprint::from_parts(vec![peak; count], Vec::new(), 5.0, &Config::default())
    };
    let index = Index::in_memory(Config::default()).unwrap();
    add(&index, "few", &print(100)).unwrap();
    let message = add(&index, "many", &print(5_000)).unwrap_err().to_string();
    assert!(message.contains("closer than peaks can be"), "{message}");
    assert_eq!(index.reader().len(), 1);
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
    let folder = tempfile::tempdir().unwrap();
    let id = add(&Index::create(folder.path(), config).unwrap(), "noise", &print).unwrap();
    let opened = Index::open(folder.path()).unwrap().reader();
    assert_eq!(opened.fingerprint(id).unwrap(), print);
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
            let (time, bin) = (TimeSteps(time), BinSteps(bin));
            Peak { time, bin, contrast, rank, level, phase }
        };
        peaks.into_iter().map(peak).collect()
    })
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn whatever_is_added_is_read_again(
        tracks in prop::collection::vec(
            (text(), prop::option::of(text()), any_peaks(), prop::collection::vec(any::<u64>(), 0..9), any::<u64>()),
            1..5,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(folder.path(), Config::default()).unwrap();
        let mut writer = index.writer().unwrap();
        let mut added: Vec<(TrackInfo, Fingerprint)> = Vec::new();
        for (name, title, mut peaks, words, bits) in tracks {
            // A track of months has a block for each second.
            peaks.iter_mut().for_each(|peak| peak.time.0 %= 1 << 22);
            let duration_s = f64::from_bits(bits);
            let print = Fingerprint::from_parts(peaks, words, duration_s, &Config::default());
            let info = TrackInfo { name, tags: Tags { title, ..Tags::default() } };
            if writer.replace(info.clone(), &print).is_ok() {
                added.retain(|(other, _)| other.name != info.name);
                added.push((info, print));
            }
        }
        writer.commit().unwrap();
        let opened = Index::open(folder.path()).unwrap().reader();
        let tracks = opened.tracks().collect::<earmark::Result<Vec<_>>>().unwrap();
        prop_assert_eq!(tracks.len(), added.len());
        for (track, (info, print)) in tracks.iter().zip(&added) {
            prop_assert_eq!((&track.name, &track.tags), (&info.name, &info.tags));
            let read = opened.fingerprint(track.id).unwrap();
            prop_assert_eq!(read.duration_s().to_bits(), print.duration_s().to_bits());
            prop_assert_eq!(read.peaks(), print.peaks());
            prop_assert_eq!(read.sub_fingerprints(), print.sub_fingerprints());
        }
    }

    #[test]
    fn random_bytes_are_no_manifest(
        header in 0..3_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        // So that some of them get past the first checks.
        let header: &[u8] = [&b""[..], b"EARMARKM", b"EARMARKM\x05\0\0\0"][header];
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("manifest"), [header, &bytes].concat()).unwrap();
        prop_assert!(Index::open(folder.path()).is_err());
    }
}
