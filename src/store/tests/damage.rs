//! Damaged files, and files that were made to do harm.

use super::*;
use crate::landmark::LandmarkHash;
use crate::store::segment::reseal;
use crate::store::{Reader, Store, TrackEntry};
use crate::{Fingerprint, Result};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64;

/// Two segments of short tracks, one of which was removed.
fn small(path: &Path) -> Vec<Track> {
    let options = OpenOptions::new().merging(Merging::ByHand);
    let index = options.create(path, Config::default()).unwrap();
    let mut trial = Trial { writer: index.writer().unwrap(), tracks: Vec::new() };
    for (i, (info, whole)) in
        conformance::recordings(&Config::default(), 3, 11).into_iter().enumerate()
    {
        let peaks = whole.peaks().iter().filter(|peak| peak.time.0 < 700).copied().collect();
        let words = whole.sub_fingerprints().iter().take(9).copied().collect();
        trial.add((info, Fingerprint::from_parts(peaks, words, 1.5, &Config::default())));
        if i == 1 {
            trial.writer.commit().unwrap();
        }
    }
    trial.remove(0);
    trial.writer.commit().unwrap();
    trial.tracks
}

/// All that can be asked.
#[derive(Debug, PartialEq)]
struct Answers {
    totals: (u64, u64),
    tracks: Vec<TrackEntry>,
    prints: Vec<Fingerprint>,
    found: Vec<Option<TrackEntry>>,
    lists: Vec<(u32, Vec<u32>)>,
    excerpts: Vec<crate::store::Excerpted>,
}

fn ask(reader: &Reader, tracks: &[Track]) -> Result<Answers> {
    let totals = reader.totals()?;
    let mut hashes: Vec<LandmarkHash> = (tracks.iter())
        .flat_map(|track| track.2.landmarks().iter().map(|l| l.hash(&totals.config.landmarks)))
        .collect();
    hashes.extend((0..2000).map(|i| LandmarkHash(i * 16_777 % (1 << 25))));
    Ok(Answers {
        totals: (totals.tracks, totals.frames),
        tracks: reader.tracks().collect::<Result<_>>()?,
        prints: tracks.iter().map(|track| reader.fingerprint(track.0)).collect::<Result<_>>()?,
        found: tracks.iter().map(|track| reader.find(&track.1.name)).collect::<Result<_>>()?,
        lists: (reader.postings(&hashes)?.iter())
            .map(|list| (list.of, list.blocks().collect()))
            .collect(),
        excerpts: reader.excerpts(&[0..totals.blocks.min(1 << 20), 1..2])?,
    })
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| !file.ends_with("lock"));
    files.sort();
    assert_eq!(files.len(), 3, "two segments and the manifest");
    files
}

/// Whether damage is told, by opening or by verifying; and all that is answered is what was.
fn told(path: &Path, tracks: &[Track], whole: &Answers, mapped: bool) -> bool {
    let options = OpenOptions::new().mapped(mapped);
    let Ok(index) = options.clone().open(path) else { return true };
    let reader = index.reader();
    // Each by itself, since one fails and another does not.
    for track in tracks {
        if let Ok(print) = reader.fingerprint(track.0) {
            assert_eq!(print, track.2);
        }
        if let Ok(entry) = reader.track(track.0) {
            assert_eq!(entry.unwrap().name, track.1.name);
        }
    }
    let same = ask(&reader, tracks).map(|answers| answers == *whole);
    assert!(same.as_ref().map_or(true, |same| *same), "other answers");
    // Where it is passed over, nothing is an error, and it is told.
    let reader = options.skip_damaged(true).open(path).unwrap().reader();
    reader.tracks().for_each(|track| assert!(track.is_ok()));
    reader.postings(&[LandmarkHash(5)]).unwrap();
    assert!(same.is_ok() || ask(&reader, &[]).is_ok());
    assert!(same.is_ok() || !reader.damage().is_empty());
    !reader.verify().is_empty()
}

#[test]
fn every_flipped_byte_and_every_cut_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let tracks = small(&path);
    let whole = ask(&Index::open(&path).unwrap().reader(), &tracks).unwrap();
    assert!(!told(&path, &tracks, &whole, true));
    for file in files(&path) {
        let bytes = fs::read(&file).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, damaged).unwrap();
            assert!(told(&path, &tracks, &whole, at % 2 == 0), "{}: byte {at}", file.display());
        }
        for end in 0..bytes.len() {
            fs::write(&file, &bytes[..end]).unwrap();
            assert!(told(&path, &tracks, &whole, end % 2 == 0), "{}: cut at {end}", file.display());
        }
        fs::write(&file, [&bytes[..], &[0]].concat()).unwrap();
        assert!(told(&path, &tracks, &whole, true), "{}: longer", file.display());
        fs::write(&file, &bytes).unwrap();
    }
    assert!(!told(&path, &tracks, &whole, true));
}

#[test]
fn tracks_that_are_hurt_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut trial = Trial { writer: index.writer().unwrap(), tracks: Vec::new() };
    conformance::recordings(&Config::default(), 40, 1).into_iter().for_each(|r| trial.add(r));
    trial.writer.commit().unwrap();
    let segment = &index.reader().stats().segments[0];
    let before = segment.sections.iter().take_while(|(name, _)| *name != "features");
    let features: u64 = before.map(|(_, bytes)| bytes).sum();
    let mut bytes = fs::read(&segment.path).unwrap();
    bytes[features as usize + 50_000] ^= 4;
    fs::write(&segment.path, bytes).unwrap();
    let reader = Index::open(&path).unwrap().reader();
    let [damage] = reader.verify().try_into().unwrap();
    assert_eq!(damage.path, segment.path);
    assert!(damage.detail.contains("pages of features"), "{}", damage.detail);
    assert!((1..10).contains(&damage.tracks.len()), "{}", damage.tracks.len());
    let mut hurt = 0;
    for (id, info, fingerprint) in &trial.tracks {
        let named = damage.tracks.contains(&(*id, Some(info.name.clone())));
        match reader.fingerprint(*id) {
            Ok(print) => assert!(print == *fingerprint && !named),
            Err(error) => assert!(error.to_string().contains("checksum") && named, "{error}"),
        }
        hurt += usize::from(named);
    }
    assert_eq!(hurt, damage.tracks.len());
}

#[test]
fn a_segment_that_is_missing_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let tracks = small(&path);
    let [first, second, _] = files(&path).try_into().unwrap();
    let whole = fs::read(&second).unwrap();
    // And a segment that is gone.
    fs::remove_file(&second).unwrap();
    let reader = Index::open(&path).unwrap().reader();
    assert_eq!(reader.fingerprint(tracks[0].0).unwrap(), tracks[0].2);
    let error = reader.fingerprint(tracks[1].0).unwrap_err().to_string();
    assert!(error.contains("00000001.seg") && error.contains("missing"), "{error}");
    assert!(error.contains("1 tracks"), "{error}");
    assert_eq!(reader.find(&tracks[0].1.name).map(|_| ()).unwrap_err().to_string(), error);
    assert!(reader.verify()[0].detail.contains("ids from 2 to 2"), "{:?}", reader.verify());
    let index = OpenOptions::new().skip_damaged(true).open(&path).unwrap();
    let reader = index.reader();
    assert_eq!(reader.find(&tracks[0].1.name).unwrap().unwrap().id, tracks[0].0);
    assert_eq!(reader.tracks().map(|track| track.unwrap().id).collect::<Vec<_>>(), [tracks[0].0]);
    assert_eq!(reader.damage().len(), 1);
    // It may grow, and what is missing stays missing.
    let mut trial = Trial { writer: index.writer().unwrap(), tracks: Vec::new() };
    conformance::recordings(&Config::default(), 4, 8).into_iter().for_each(|r| {
        trial.add(r);
        trial.writer.commit().unwrap();
    });
    let (id, _, print) = &trial.tracks[3];
    assert_eq!(index.reader().fingerprint(*id).unwrap(), *print);
    assert!(trial.writer.compact().is_err());
    drop(trial);
    // It is put back.
    fs::write(&second, whole).unwrap();
    assert_eq!(Index::open(&path).unwrap().reader().verify(), []);
    assert!(first.exists());
}

/// The files of an index.
type Files = Vec<(String, Vec<u8>)>;

fn read_all(path: &Path) -> Files {
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_string();
    files(path).iter().map(|file| (name(file), fs::read(file).unwrap())).collect()
}

fn open_with(files: &Files, skip_damaged: bool) -> Result<Index> {
    let fetch = |name: &str| {
        let file = files.iter().find(|file| file.0 == name);
        Ok(file.ok_or(std::io::ErrorKind::NotFound)?.1.clone())
    };
    OpenOptions::new().skip_damaged(skip_damaged).open_with(&files[2].1, fetch)
}

#[test]
fn an_index_is_read_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let tracks = small(&path);
    let mut files = read_all(&path);
    let index = open_with(&files, false).unwrap();
    check(&index, &tracks);
    index.writer().unwrap().compact().unwrap();
    check(&index, &tracks);
    files[1].0 = "elsewhere".into();
    let error =
        open_with(&files, false).unwrap().reader().track(tracks[1].0).unwrap_err().to_string();
    assert!(error.contains("00000001.seg") && error.contains("missing"), "{error}");
}

/// Asks everything, and merges; answers do not matter.
fn use_all(files: &Files, tracks: &[Track]) {
    for skip in [false, true] {
        let Ok(index) = open_with(files, skip) else { return };
        let reader = index.reader();
        let _ = ask(&reader, tracks);
        let _ = reader.excerpts(std::slice::from_ref(&(0..u32::MAX)));
        for track in tracks {
            let _ =
                (reader.fingerprint(track.0), reader.find(&track.1.name), reader.track(track.0));
            let _ = (reader.blocks_of(&[track.0]), Store::tracks(&reader, &[track.0]));
        }
        let _ = (reader.stats(), reader.verify(), reader.list_lengths());
        let mut writer = index.writer().unwrap();
        let _ = writer.remove(tracks[0].0);
        let (info, fingerprint) = conformance::recordings(&Config::default(), 1, 5).remove(0);
        let _ = writer.add(info, &fingerprint);
        let _ = writer.compact();
    }
}

fn reseal_manifest(bytes: &mut [u8]) {
    let end = bytes.len() - 8;
    let checksum = xxh3_64(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}

/// A small index that was made once.
fn sealed() -> &'static (Files, Vec<Track>) {
    static SEALED: OnceLock<(Files, Vec<Track>)> = OnceLock::new();
    SEALED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let tracks = small(&path);
        (read_all(&path), tracks)
    })
}

#[test]
fn a_segment_that_is_named_twice_is_told() {
    let (mut files, _) = sealed().clone();
    let lengths = [0, 1].map(|at| (files[at].1.len() as u64).to_le_bytes());
    let manifest = &mut files[2].1;
    let [first, second] =
        lengths.map(|length| manifest.windows(8).position(|bytes| bytes == length).unwrap() - 8);
    manifest.copy_within(first..first + 8, second);
    reseal_manifest(manifest);
    let error = open_with(&files, true).unwrap_err().to_string();
    assert!(error.contains("segments cannot be so"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Content that has the right checksums, whatever it says. `fuzz/fuzz_targets/index.rs` does the same.
    #[test]
    fn hostile_files_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..8),
        which in 0usize..3,
        near_end: bool,
    ) {
        let (mut files, tracks) = sealed().clone();
        let bytes = &mut files[which].1;
        let length = bytes.len();
        // The footer is where the most harm can be done.
        let from = if near_end && which < 2 { length - 180 } else { 0 };
        for (at, value, how) in changes {
            let at = from + at.index(length - from);
            match how {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                _ => bytes[at..(at + 4).min(length)].fill(0xff),
            }
        }
        if which < 2 { reseal(bytes) } else { reseal_manifest(bytes) }
        use_all(&files, &tracks);
    }
}
