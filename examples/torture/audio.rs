//! Mutated audio files.

use crate::containers;
use crate::mutate::{Rng, mutate};
use crate::trials::{Outcome, Trials};
use earmark::config::StftConfig;
use earmark::{AudioReader, Fingerprinter};
use std::path::Path;

/// Longer files are not used: they take longer and have no other headers.
const MAX_BYTES: u64 = 350_000;
/// At most so many samples are read: 10 minutes.
const MAX_SAMPLES: usize = 4_800_000;

/// Sound files to begin with, each with its extension.
pub struct Audio {
    seed: u64,
    files: Vec<(String, Vec<u8>)>,
    fingerprinter: Fingerprinter,
}

impl Audio {
    /// Takes those in `fixtures`, and one of each container that is not there.
    pub fn new(fixtures: &Path, seed: u64) -> earmark::Result<Self> {
        let mut paths = Vec::new();
        for folder in ["library", "clips"] {
            let entries = std::fs::read_dir(fixtures.join(folder)).expect("the fixtures");
            paths.extend(entries.map(|entry| entry.expect("a fixture").path()));
        }
        paths.sort();
        paths.retain(|path| path.metadata().is_ok_and(|file| file.len() <= MAX_BYTES));
        let mut files = containers::all(fixtures);
        files.extend(paths.into_iter().map(|path| {
            let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            (extension.into(), std::fs::read(&path).expect("a fixture"))
        }));
        let fingerprinter = Fingerprinter::new(earmark::Config::default())?;
        Ok(Self { seed, files, fingerprinter })
    }
}

impl Trials for Audio {
    fn make(&self, number: u64) -> Vec<u8> {
        let mut rng = Rng::new(self.seed, number);
        // Containers that are few get as many tries as all others.
        let mut bytes = self.files[number as usize % self.files.len()].1.clone();
        let other = &self.files[rng.below(self.files.len())].1;
        mutate(&mut rng, &mut bytes, other);
        bytes
    }

    fn run(&mut self, number: u64, bytes: Vec<u8>) -> Outcome {
        let extension = &self.files[number as usize % self.files.len()].0;
        let stft = StftConfig::default();
        let Ok(mut reader) = AudioReader::from_bytes(bytes, Some(extension), &stft) else {
            return Outcome::Refused;
        };
        let mut samples = 0;
        while samples < MAX_SAMPLES {
            match reader.next_block() {
                Ok(Some(block)) => {
                    samples += block.len();
                    self.fingerprinter.push(block, stft.sample_rate);
                }
                Ok(None) => break,
                Err(_) => return Outcome::Refused,
            }
        }
        let whole = reader.report().is_complete();
        let _ = (reader.report().to_string(), self.fingerprinter.finish());
        if whole { Outcome::Whole } else { Outcome::Other }
    }
}
