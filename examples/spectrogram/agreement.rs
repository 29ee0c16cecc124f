//! Which landmarks of a clip and of a track stand at the same place.

use earmark::landmark::{Landmark, LandmarkHash};
use earmark::spectrogram::Axes;
use earmark::{Config, Fingerprint, MatchConfig, Query};
use std::collections::HashMap;

/// Landmarks agree if their times differ by no more than this many frames.
const TOLERANCE_FRAMES: f64 = 2.0;

/// A landmark of the clip and one of the track for each agreement.
pub struct Agreement {
    pub clip: Vec<Landmark>,
    pub reference: Vec<Landmark>,
}

impl Agreement {
    /// Compares a clip with a track, in which it begins at `offset_s` and runs at `speed`.
    pub fn new(
        query: &Query,
        track: &Fingerprint,
        offset_s: f64,
        speed: f64,
        config: &Config,
    ) -> Self {
        let mut by_hash: HashMap<LandmarkHash, Vec<Landmark>> = HashMap::new();
        for landmark in track.landmarks() {
            by_hash.entry(landmark.hash(&config.landmarks)).or_default().push(*landmark);
        }
        let axes = Axes::new(&config.stft);
        let time_s = |l: &Landmark| axes.time_s(l.time.in_frames());
        let (mut clip, mut reference) = (Vec::new(), Vec::new());
        let reach = MatchConfig::default().probe_steps;
        for landmark in query.landmarks() {
            let expected_s = offset_s + speed * time_s(landmark);
            let away_s = |l: &Landmark| (time_s(l) - expected_s).abs();
            let mut nearest: Option<Landmark> = None;
            landmark.probe(&config.landmarks, reach, |hash| {
                let same = by_hash.get(&hash).into_iter().flatten().chain(&nearest).copied();
                nearest = same.min_by(|a, b| away_s(a).total_cmp(&away_s(b)));
            });
            if let Some(near) = nearest.filter(|l| away_s(l) <= TOLERANCE_FRAMES * axes.hop_s) {
                clip.push(*landmark);
                reference.push(near);
            }
        }
        Self { clip, reference }
    }
}
