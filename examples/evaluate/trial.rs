//! One track after another: cut its clips, degrade them, look them up, judge the answers.

use crate::degrade::{Cut, degrade};
use crate::plan::{Clip, Design, Source};
use crate::rng::Rng;
use crate::spectral::{RATE, Spectral, power};
use crate::text::reason;
use earmark::config::StftConfig;
use earmark::{AudioReader, Fingerprinter, HashIndex, Match, MatchConfig, SampleRate, TrackId};
use std::path::Path;
use std::time::{Duration, Instant};

/// Clips come from so much of the beginning of a track, to bound what is in memory.
const LONGEST_S: usize = 1800;
/// A clip's place is right if it is no farther off.
const TOLERANCE_S: f64 = 0.5;
/// Clips have at least this power (−50 dB), …
const AUDIBLE: f64 = 1e-5;
/// … and this share of their track's (−15 dB).
const LOUD_ENOUGH: f64 = 0.03;
/// So many places are tried.
const ATTEMPTS: usize = 30;

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The right track and the right place.
    Hit,
    /// The right track, but another place.
    Elsewhere,
    /// Another track.
    Wrong,
    /// Nothing at or below the threshold.
    Nothing,
}

/// The best match of a clip, however weak.
pub struct Answer {
    pub name: String,
    pub offset_s: f64,
    pub votes: u32,
    pub false_alarms: f64,
}

/// What became of a clip.
pub struct Outcome {
    pub clip: Clip,
    pub start_s: f64,
    pub answer: Option<Answer>,
    pub verdict: Verdict,
    /// Time to degrade it, and to fingerprint it and look it up.
    pub took: [Duration; 2],
}

/// What all threads share.
pub struct Bench<'a> {
    pub index: &'a HashIndex,
    pub design: &'a Design,
    pub max_false_alarms: f64,
    /// Stretches of held-out tracks, as long as the longest clip.
    pub others: Vec<(String, Vec<f32>)>,
}

/// What each thread has for itself.
pub struct Hands {
    fingerprinter: Fingerprinter,
    spectral: Spectral,
}

impl Hands {
    pub fn new(index: &HashIndex) -> Self {
        let config = index.catalog().config().clone();
        let fingerprinter = Fingerprinter::new(config).expect("the index has checked it");
        Self { fingerprinter, spectral: Spectral::default() }
    }
}

/// What became of the clips of a track, or why they could not be made.
#[derive(Default)]
pub struct Outcomes {
    pub done: Vec<Outcome>,
    /// Clips for which the track is too short or too soft.
    pub unfit: usize,
    /// What went wrong, and with how many clips.
    pub failed: Option<(String, usize)>,
}

impl Bench<'_> {
    /// Decodes a track, makes its clips one by one and looks them up.
    pub fn try_all(&self, hands: &mut Hands, source: &Source) -> Outcomes {
        let mut all = Outcomes::default();
        if source.clips.is_empty() {
            return all;
        }
        let track = match decode(&source.path) {
            Ok(track) => track,
            Err(why) => {
                all.failed = Some((why, source.clips.len()));
                return all;
            }
        };
        let loudness = power(&track);
        for clip in &source.clips {
            let mut rng = Rng::new(clip.seed);
            let len = samples(self.design.lengths_s[clip.length]);
            let Some(start) = place(&track, loudness, len, &mut rng) else {
                all.unfit += 1;
                continue;
            };
            let cut = Cut { samples: &track, start, len };
            match self.try_one(hands, source, clip, cut, &mut rng) {
                Ok(outcome) => all.done.push(outcome),
                Err(why) => {
                    let before = all.failed.map_or(0, |(_, n)| n);
                    all.failed = Some((why, before + 1));
                }
            }
        }
        all
    }

    fn try_one(
        &self,
        hands: &mut Hands,
        source: &Source,
        clip: &Clip,
        cut: Cut<'_>,
        rng: &mut Rng,
    ) -> Result<Outcome, String> {
        let begun = Instant::now();
        let kind = self.design.kinds[clip.kind];
        let other = self.other(source, rng);
        let sound = degrade(kind, cut, other, rng, &mut hands.spectral)?;
        let made = Instant::now();
        // Whatever chance gives, so that its odds can be counted.
        let config = MatchConfig { max_false_alarms: f64::INFINITY, ..MatchConfig::default() };
        // A clip in which there is nothing to look for gets no answer.
        let query = hands.fingerprinter.query(&sound, rate());
        let matches = match query {
            Ok(query) => self.index.search(&query, &config).map_err(|e| reason(&e))?,
            Err(_) => Vec::new(),
        };
        let took = [made - begun, made.elapsed()];
        let start_s = cut.start as f64 / f64::from(RATE);
        let believed = matches.partition_point(|m| m.false_alarms <= self.max_false_alarms);
        Ok(Outcome {
            clip: clip.clone(),
            start_s,
            verdict: judge(&matches[..believed], source.track, start_s),
            answer: matches.into_iter().next().map(|m| Answer {
                name: m.name,
                offset_s: m.offset_s,
                votes: m.votes,
                false_alarms: m.false_alarms,
            }),
            took,
        })
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

/// Judges the matches of a clip from this place of this track, or of none.
fn judge(matches: &[Match], track: Option<TrackId>, start_s: f64) -> Verdict {
    let Some(best) = matches.first() else { return Verdict::Nothing };
    // Tracks of which the library says that they are the same here are one answer.
    let original = |m: &Match| m.same_as.unwrap_or(m.track);
    let mut verdict = Verdict::Wrong;
    for m in matches.iter().filter(|m| original(m) == original(best)) {
        if Some(m.track) != track {
            continue;
        }
        if (m.offset_s - start_s).abs() <= TOLERANCE_S {
            return Verdict::Hit;
        }
        verdict = Verdict::Elsewhere;
    }
    verdict
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
    let (track, len) = (decode(path)?, samples(length_s));
    let start = place(&track, power(&track), len, rng);
    Ok(start.map(|start| track[start..start + len].to_vec()))
}

fn decode(path: &Path) -> Result<Vec<f32>, String> {
    let mut reader = AudioReader::open(path, &analysis()).map_err(|e| reason(&e))?;
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

fn rate() -> SampleRate {
    SampleRate::new(RATE).expect("it is within the range")
}

fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use earmark::Span;

    fn found(track: u32, offset_s: f64, same_as: Option<u32>) -> Match {
        Match {
            track: TrackId(track),
            name: String::new(),
            query: Span::default(),
            reference: Span::default(),
            offset_s,
            speed: 1.0,
            pitch: 1.0,
            votes: 1,
            false_alarms: 0.0,
            same_as: same_as.map(TrackId),
        }
    }

    #[test]
    fn answers_are_judged_by_the_best_and_its_copies() {
        let here = Some(TrackId(1));
        assert_eq!(judge(&[], here, 9.0), Verdict::Nothing);
        assert_eq!(judge(&[found(1, 9.4, None)], here, 9.0), Verdict::Hit);
        assert_eq!(judge(&[found(1, 9.6, None)], here, 9.0), Verdict::Elsewhere);
        assert_eq!(judge(&[found(2, 9.0, None), found(1, 9.0, None)], here, 9.0), Verdict::Wrong);
        assert_eq!(judge(&[found(2, 3.0, None), found(1, 9.0, Some(2))], here, 9.0), Verdict::Hit);
        assert_eq!(judge(&[found(1, 9.0, Some(2)), found(2, 9.0, None)], here, 9.0), Verdict::Hit);
        assert_eq!(judge(&[found(1, 9.0, None)], None, 9.0), Verdict::Wrong);
    }

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
