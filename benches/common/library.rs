//! An hour of music, and clips of it.

use crate::common::{Clip, music, rng};
use earmark::{Config, Fingerprint, Fingerprinter, Index, Match, Query, SampleRate, TrackInfo};

const TRACKS: u64 = 120;
const TRACK_S: f32 = 30.0;
/// Every so many tracks, a clip of this length is cut.
const CLIP_EVERY: u64 = 12;
const CLIP_S: f32 = 8.0;

pub struct Library {
    pub fingerprints: Vec<Fingerprint>,
    pub clips: Vec<Clip>,
}

impl Library {
    pub fn new() -> Self {
        let rate = SampleRate::default();
        let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
        let mut library = Self { fingerprints: Vec::new(), clips: Vec::new() };
        for seed in 0..TRACKS {
            let track = music(TRACK_S, rate.hz(), seed);
            library.fingerprints.push(fingerprinter.fingerprint(&track, rate).unwrap());
            if seed % CLIP_EVERY == 0 {
                // Some odd sample, and noise 10 to 20 dB below.
                let start = 31_234 + 977 * seed as usize;
                let mut random = rng(1_000 + seed);
                let noisy = track[start..].iter().map(|x| x + 0.1 * (random() - 0.5));
                let clip: Vec<f32> = noisy.take((CLIP_S * rate.hz() as f32) as usize).collect();
                library.clips.push(Clip {
                    query: fingerprinter.query(&clip, rate).unwrap(),
                    track: name(seed),
                    start_s: rate.seconds(start as u64),
                });
            }
        }
        library
    }

    /// An index in memory.
    pub fn index(&self) -> Index {
        let index = Index::in_memory(Config::default()).unwrap();
        fill(&index, &self.fingerprints);
        index
    }

    /// Number of landmarks of all tracks.
    pub fn landmarks(&self) -> usize {
        self.fingerprints.iter().map(|f| f.landmarks().len()).sum()
    }

    /// Length of all clips in seconds.
    pub fn clips_s(&self) -> f64 {
        self.clips.iter().map(|c| c.query.duration_s()).sum()
    }

    /// Searches for each clip; returns the number of matches.
    pub fn search(&self, search: impl Fn(&Query) -> Vec<Match>) -> usize {
        self.clips.iter().map(|clip| search(&clip.query).len()).sum()
    }

    /// Asserts that each clip is found first, in its place.
    pub fn check(&self, search: impl Fn(&Query) -> Vec<Match>) {
        for clip in &self.clips {
            let found = search(&clip.query);
            assert!(clip.is_found(&found), "{}: {:?}", clip.track, found.first());
        }
    }
}

/// Adds tracks and commits.
pub fn fill(index: &Index, fingerprints: &[Fingerprint]) {
    let mut writer = index.writer().unwrap();
    for (number, fingerprint) in fingerprints.iter().enumerate() {
        writer.add(TrackInfo::named(name(number as u64)), fingerprint).unwrap();
    }
    writer.commit().unwrap();
}

fn name(number: u64) -> String {
    format!("track {number}")
}
