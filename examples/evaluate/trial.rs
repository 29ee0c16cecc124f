//! One track after another: make its clips, look them up, judge the answers.

use crate::clips::{Maker, rate};
use crate::plan::{Clip, Source};
use crate::same::{same_audio, samples};
use crate::spectral::Spectral;
use crate::text::reason;
use earmark::{Fingerprinter, Match, MatchConfig, Reader, TrackId};
use std::time::{Duration, Instant};

/// A clip's place is right if it is no farther off.
const TOLERANCE_S: f64 = 0.5;
/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The right track and the right place, or one with the same audio.
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
    /// The track is right.
    pub right: bool,
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
    pub reader: &'a Reader,
    pub maker: Maker<'a>,
    /// How the clips are looked up.
    pub matching: MatchConfig,
    pub max_false_alarms: f64,
}

/// What each thread has for itself.
pub struct Hands {
    fingerprinter: Fingerprinter,
    spectral: Spectral,
}

impl Hands {
    pub fn new(reader: &Reader) -> Self {
        let config = reader.config().clone();
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
        let track = match self.maker.decode(source) {
            Ok(track) => track,
            Err(why) => {
                all.failed = Some((why, source.clips.len()));
                return all;
            }
        };
        for clip in &source.clips {
            match self.try_one(hands, &track, source, clip) {
                Ok(Some(outcome)) => all.done.push(outcome),
                Ok(None) => all.unfit += 1,
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
        track: &[f32],
        source: &Source,
        clip: &Clip,
    ) -> Result<Option<Outcome>, String> {
        let begun = Instant::now();
        let Some((clip_samples, start_s)) =
            self.maker.make(track, source, clip, &mut hands.spectral)?
        else {
            return Ok(None);
        };
        let took_to_make = begun.elapsed();
        let begun = Instant::now();
        // Whatever chance gives, so that its odds can be counted.
        let config = MatchConfig { max_false_alarms: f64::INFINITY, ..self.matching.clone() };
        // A clip in which there is nothing to look for gets no answer.
        let matches = match hands.fingerprinter.query(&clip_samples, rate()) {
            Ok(query) => self.reader.search(&query, &config).map_err(|e| reason(&e))?,
            Err(_) => Vec::new(),
        };
        let took = [took_to_make, begun.elapsed()];
        let believed = matches.partition_point(|m| m.false_alarms <= self.max_false_alarms);
        let mut verdict = judge(&matches[..believed], source.track, start_s);
        let own = matches.iter().find(|m| Some(m.track) == source.track);
        if let (Verdict::Elsewhere, Some(own)) = (verdict, own) {
            let places = [start_s, own.offset_s].map(samples);
            let most_lag = samples(TOLERANCE_S) as usize;
            if same_audio(track, places, clip_samples.len(), most_lag, &mut hands.spectral) {
                verdict = Verdict::Hit;
            }
        }
        let right =
            matches!(judge(&matches, source.track, start_s), Verdict::Hit | Verdict::Elsewhere);
        Ok(Some(Outcome {
            clip: clip.clone(),
            start_s,
            verdict,
            answer: matches.into_iter().next().map(|m| Answer {
                name: m.name,
                offset_s: m.offset_s,
                votes: m.votes,
                false_alarms: m.false_alarms,
                right,
            }),
            took,
        }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(track: u32, offset_s: f64, same_as: Option<u32>) -> Match {
        let mut m = Match::new(TrackId(track), "");
        (m.offset_s, m.same_as) = (offset_s, same_as.map(TrackId));
        m
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
}
