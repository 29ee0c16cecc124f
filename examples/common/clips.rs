//! Clips: cut from a track at a place that is loud enough, and degraded.

use crate::degrade::{Cut, degrade};
use crate::opening::open_audio;
use crate::plan::{Clip, Design, Source};
use crate::rng::Rng;
use crate::spectral::{RATE, Spectral, power};
use crate::text::reason;
use earmark::SampleRate;
use earmark::config::StftConfig;
use std::path::Path;

/// Clips come from so much of the beginning of a track, to bound what is in memory.
const LONGEST_S: usize = 1800;
/// Clips have at least this power (−50 dB), …
const AUDIBLE: f64 = 1e-5;
/// … and this share of their track's (−15 dB).
const LOUD_ENOUGH: f64 = 0.03;
/// So many places are tried.
const ATTEMPTS: usize = 30;

/// Makes the clips of a plan.
pub struct Maker<'a> {
    pub design: &'a Design,
    /// Stretches of held-out tracks, as long as the longest clip, to be mixed with clips.
    pub others: Vec<(String, Vec<f32>)>,
}

impl Maker<'_> {
    /// Decodes a track, if clips are to be cut from it.
    pub fn decode(&self, source: &Source) -> Result<Vec<f32>, String> {
        if source.clips.is_empty() { Ok(Vec::new()) } else { decode(&source.path) }
    }

    /// Makes one clip of a track: its samples, and where in the track it begins, in seconds. `None`
    /// where the track is too short or too soft.
    pub fn make(
        &self,
        track: &[f32],
        source: &Source,
        clip: &Clip,
        spectral: &mut Spectral,
    ) -> Result<Option<(Vec<f32>, f64)>, String> {
        let mut rng = Rng::new(clip.seed);
        let len = samples(self.design.lengths_s[clip.length]);
        let Some(start) = place(track, power(track), len, &mut rng) else { return Ok(None) };
        let other = self.other(source, &mut rng);
        let kind = self.design.kinds[clip.kind];
        let samples = degrade(kind, Cut { samples: track, start, len }, other, &mut rng, spectral)?;
        Ok(Some((samples, start as f64 / f64::from(RATE))))
    }

    /// A stretch of another track that is not in the index.
    fn other(&self, source: &Source, rng: &mut Rng) -> &[f32] {
        if self.others.is_empty() {
            return &[];
        }
        let first = rng.below(self.others.len());
        let mut turned = self.others[first..].iter().chain(&self.others[..first]);
        let other = turned.find(|(name, _)| *name != source.name);
        other.map_or(&self.others[first].1, |(_, samples)| samples)
    }
}

/// A place for a clip that is loud enough.
fn place(track: &[f32], loudness: f64, len: usize, rng: &mut Rng) -> Option<usize> {
    let room = track.len().checked_sub(len)?;
    let loud =
        |start: &usize| power(&track[*start..start + len]) > AUDIBLE.max(LOUD_ENOUGH * loudness);
    (0..ATTEMPTS).map(|_| rng.below(room + 1)).find(loud)
}

/// A loud stretch of a track, if there is one of this length.
pub fn stretch(path: &Path, length_s: f64, rng: &mut Rng) -> Result<Option<Vec<f32>>, String> {
    Ok(loud_stretch(&decode(path)?, length_s, rng))
}

/// A loud stretch of samples, if there is one of this length.
pub fn loud_stretch(track: &[f32], length_s: f64, rng: &mut Rng) -> Option<Vec<f32>> {
    let len = samples(length_s);
    let start = place(track, power(track), len, rng);
    start.map(|start| track[start..start + len].to_vec())
}

/// The samples of a file, as far as clips are cut from it.
pub fn decode(path: &Path) -> Result<Vec<f32>, String> {
    let mut reader = open_audio(path, &analysis()).map_err(|e| reason(&e))?;
    let mut track = Vec::new();
    while track.len() < LONGEST_S * RATE as usize {
        match reader.next_block().map_err(|e| reason(&e))? {
            Some(block) => track.extend_from_slice(block),
            None => break,
        }
    }
    Ok(track)
}

/// Asks the reader for the rate at which clips are made.
pub fn analysis() -> StftConfig {
    StftConfig { sample_rate: rate(), max_hz: 7000.0, ..StftConfig::default() }
}

pub fn rate() -> SampleRate {
    SampleRate::new(RATE).expect("it is within the range")
}

/// Number of samples.
pub fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_loud() {
        let mut track = vec![0.0; 100_000];
        track[60_000..90_000].fill(0.3);
        for seed in 0..20 {
            let start = place(&track, power(&track), 10_000, &mut Rng::new(seed));
            assert!(start.is_none_or(|start| (50_000..90_000).contains(&start)), "{start:?}");
        }
        assert_eq!(place(&track, 1.0, 100_001, &mut Rng::new(1)), None);
        assert_eq!(place(&[0.0; 500], 0.0, 100, &mut Rng::new(1)), None);
    }
}
