//! Mutated files of an index, with checksums that are stale or, as an attacker would, made anew.

use crate::mutate::{Rng, mutate};
use crate::trials::{Outcome, Trials};
use earmark::store::{OpenOptions, Stats};
use earmark::{
    Calibration, Config, Fingerprinter, Index as Library, Match, MatchConfig, Query, SampleRate,
    TrackInfo,
};
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64;

/// Pages of a segment, of which each has a checksum.
const PAGE_BYTES: usize = 4096;
/// What a segment ends with; where in it stands the end of the pages.
const FOOTER_BYTES: usize = 168;
const END_AT: usize = 140;

/// An index of a few tracks and a clip of one of them.
pub struct Index {
    seed: u64,
    sealed: bool,
    /// The manifest and the segment: paths and bytes.
    files: [(PathBuf, Vec<u8>); 2],
    clip: Query,
    answer: Vec<Match>,
    folder: tempfile::TempDir,
}

/// Something like music: notes of three harmonics.
fn music(seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed, 0);
    let mut samples = vec![0.0; 48_000];
    for _ in 0..60 {
        let (start, hz) = (rng.below(samples.len()), 150.0 + rng.below(900) as f32);
        for (n, sample) in samples.iter_mut().skip(start).take(4_000).enumerate() {
            let t = n as f32 / 8_000.0;
            let tone = |k: f32| (std::f32::consts::TAU * k * hz * t).sin() / k;
            *sample += 0.1 * (-4.0 * t).exp() * (tone(1.0) + tone(2.0) + tone(3.0));
        }
    }
    samples
}

impl Index {
    pub fn new(seed: u64, sealed: bool) -> earmark::Result<Self> {
        let mut fingerprinter = Fingerprinter::new(Config::default())?;
        let rate = SampleRate::default();
        let folder = tempfile::tempdir().expect("a folder");
        let index = Library::create(folder.path().join("index"), Config::default())?;
        let mut writer = index.writer()?;
        let mut removed = None;
        for track in 1..=4 {
            let fingerprint = fingerprinter.fingerprint(&music(track), rate)?;
            removed = Some(writer.add(TrackInfo::named(format!("track {track}")), &fingerprint)?);
        }
        writer.commit()?;
        // So that the manifest has something of everything.
        removed.map(|id| writer.remove(id)).transpose()?;
        writer.set_calibration(Some(Calibration::default().into()))?;
        writer.commit()?;
        let clip = fingerprinter.query(&music(2)[8_000..32_000], rate)?;
        let answer = index.search(&clip, &MatchConfig::default())?;
        assert_eq!(answer.len(), 1, "the clip is found");
        let Stats { segments, .. } = index.reader().stats();
        let [segment] = &segments[..] else { panic!("one segment") };
        let paths = [segment.path.with_file_name("manifest"), segment.path.clone()];
        let files = paths.map(|path| {
            let bytes = std::fs::read(&path).expect("a file of the index");
            (path, bytes)
        });
        let mut again = [files[0].1.clone(), files[1].1.clone()];
        reseal_end(&mut again[0], 0);
        reseal_segment(&mut again[1]);
        assert!(again[0] == files[0].1 && again[1] == files[1].1, "checksums are where they are");
        Ok(Self { seed, sealed, files, clip, answer, folder })
    }
}

/// Which of both files a trial changes: the segment, more often than not.
fn file_of(number: u64) -> usize {
    usize::from(!number.is_multiple_of(3))
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// Makes the checksum anew that ends a manifest or a footer, from a place on.
fn reseal_end(bytes: &mut [u8], from: usize) {
    if bytes.len() >= from + 8 {
        let at = bytes.len() - 8;
        let checksum = xxh3_64(&bytes[from..at]);
        put(bytes, at, checksum);
    }
}

/// Makes the checksums of a segment's pages and of its footer anew, as far as they still have places.
fn reseal_segment(bytes: &mut [u8]) {
    let Some(footer_at) = bytes.len().checked_sub(FOOTER_BYTES) else { return };
    let end = bytes[footer_at + END_AT..].first_chunk().map(|end| u64::from_le_bytes(*end));
    let end = end.and_then(|end| usize::try_from(end).ok()).filter(|end| *end <= footer_at);
    if let Some(end) = end {
        let pages = end.div_ceil(PAGE_BYTES);
        for page in 0..pages.min((footer_at - end) / 8) {
            let place = (page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let content = page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(end);
            let checksum = xxh3_64(&bytes[content]).wrapping_add(place);
            put(bytes, end + 8 * page, checksum);
        }
    }
    reseal_end(bytes, footer_at);
}

impl Trials for Index {
    fn make(&self, number: u64) -> Vec<u8> {
        let mut rng = Rng::new(self.seed, number);
        let file = file_of(number);
        let (original, other) = (&self.files[file].1, &self.files[1 - file].1);
        let mut bytes = original.clone();
        if rng.below(2) == 0 {
            let other = if rng.below(2) == 0 { original } else { other };
            mutate(&mut rng, &mut bytes, other);
        } else {
            // Most of the above does not get far.
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, rng.next() as u8][rng.below(6)];
            }
        }
        match (self.sealed, file) {
            (false, _) => {}
            (true, 0) => reseal_end(&mut bytes, 0),
            (true, _) => reseal_segment(&mut bytes),
        }
        bytes
    }

    fn run(&mut self, number: u64, bytes: Vec<u8>) -> Outcome {
        let _ = std::fs::remove_dir_all(self.folder.path().join("index"));
        let changed = file_of(number);
        for (i, (path, original)) in self.files.iter().enumerate() {
            let folder = path.parent().expect("the index");
            std::fs::create_dir_all(folder).expect("room for a folder");
            let content = if i == changed { &bytes } else { original };
            std::fs::write(path, content).expect("room for a file");
        }
        let options = OpenOptions::new().mapped(number.is_multiple_of(2));
        let path = self.folder.path().join("index");
        let Ok(index) = options.open(path) else { return Outcome::Refused };
        let reader = index.reader();
        let found = reader.search(&self.clip, &MatchConfig::default());
        // All else that reads what is there.
        let _ = (reader.stats(), reader.verify());
        for track in reader.tracks().take(100).flatten() {
            let _ = (reader.fingerprint(track.id), reader.find(&track.name));
        }
        let _ = index.writer().and_then(|mut writer| writer.compact());
        match found {
            Ok(found) if found == self.answer => Outcome::Whole,
            Ok(_) => Outcome::Other,
            Err(_) => Outcome::Refused,
        }
    }
}
