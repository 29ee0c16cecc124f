//! Mutated index files, with checksums that are stale or, as an attacker would, made anew.

use crate::mutate::{Rng, mutate};
use crate::trials::{Outcome, Trials};
use earmark::{Config, Fingerprinter, HashIndex, Match, MatchConfig, Query, SampleRate, TrackInfo};
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

/// Magic bytes, version, length; then the content and its checksum.
const HEADER_BYTES: usize = 8 + 4 + 8;

/// An index of a few tracks and a clip of one of them.
pub struct Index {
    seed: u64,
    sealed: bool,
    bytes: Vec<u8>,
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
        let mut index = HashIndex::new(Config::default())?;
        for track in 1..=3 {
            let fingerprint = fingerprinter.fingerprint(&music(track), rate)?;
            index.add(TrackInfo::named(format!("track {track}")), &fingerprint)?;
        }
        let clip = fingerprinter.query(&music(2)[8_000..32_000], rate)?;
        let answer = index.search(&clip, &MatchConfig::default())?;
        assert_eq!(answer.len(), 1, "the clip is found");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("index");
        index.save(&path)?;
        let bytes = std::fs::read(&path).expect("the index");
        Ok(Self { seed, sealed, bytes, clip, answer, folder })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("index")
    }
}

/// Makes the checksums of all envelopes that are still there anew.
fn reseal(bytes: &mut [u8]) {
    let mut rest = bytes;
    while rest.len() >= HEADER_BYTES + 8 {
        let length = u64::from_le_bytes(rest[12..20].try_into().expect("8 bytes"));
        let most = rest.len() - HEADER_BYTES - 8;
        let length = usize::try_from(length).map_or(most, |length| length.min(most));
        let (envelope, next) = rest.split_at_mut(HEADER_BYTES + length + 8);
        let (header, content) = envelope.split_at_mut(HEADER_BYTES);
        let (content, checksum) = content.split_at_mut(length);
        let mut hasher = Xxh3::new();
        hasher.update(content);
        hasher.update(header);
        checksum.copy_from_slice(&hasher.digest().to_le_bytes());
        rest = next;
    }
}

impl Trials for Index {
    fn make(&self, number: u64) -> Vec<u8> {
        let mut rng = Rng::new(self.seed, number);
        let mut bytes = self.bytes.clone();
        if rng.below(2) == 0 {
            mutate(&mut rng, &mut bytes, &self.bytes);
        } else {
            // Most of the above does not get far.
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, rng.next() as u8][rng.below(6)];
            }
        }
        if self.sealed {
            reseal(&mut bytes);
        }
        bytes
    }

    fn run(&mut self, _: u64, bytes: Vec<u8>) -> Outcome {
        std::fs::write(self.path(), bytes).expect("room for a file");
        let Ok(mut index) = HashIndex::open(self.path()) else { return Outcome::Refused };
        let found = index.search(&self.clip, &MatchConfig::default());
        let _ = index.save(self.path());
        match found {
            Ok(found) if found == self.answer => Outcome::Whole,
            Ok(_) => Outcome::Other,
            Err(_) => Outcome::Refused,
        }
    }
}
