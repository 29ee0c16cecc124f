//! Clips that are played faster or slower, higher or lower, than the track.
//!
//! Three things are done to recordings: a change of *speed* (turntable, tape, resampling: tempo and
//! pitch change together), of *tempo* alone (time-stretching, key lock), of *pitch* alone. Each is one
//! ratio. Ratios are assumed one after the other, like the rungs of a ladder: for each, the
//! coordinates of the clip's peaks are scaled to what they would be at the track's own speed, and
//! looked up. Nothing is stored for it, and no spectrum is taken again: with a window of 256 ms, the
//! peaks that clip and track share are enough for verification from 0.8 to 1.25.
//!
//! Rungs are as far apart as the lookup forgives. Landmarks of low anchors, of which alone the ladder
//! makes use, mostly stay within their cells and the neighbours probed at an error of 0.4 %. The
//! ratios in between are tried when the best alignments of all rungs are tuned.

use super::alignment::{Alignment, first_bin};
use super::candidates::{Candidate, Scope, Votes};
use super::config::{MatchConfig, SpeedRange};
use super::places::{ClipPeaks, excerpts};
use super::playback::{Change, Playback};
use crate::config::Config;
use crate::error::Result;
use crate::fingerprint::Query;
use crate::landmark::{Landmark, pair_all};
use crate::peaks::{Peak, STEPS};
use crate::store::{Store, Totals};
use crate::units::{BinSteps, TimeSteps};
use std::cmp::Reverse;

/// On the ladder, anchors end here: above, a rung's error is too many bins.
const HIGHEST_ANCHOR_HZ: f32 = 1000.0;
/// Targets per anchor on the ladder.
const LADDER_FAN_OUT: usize = 5;
/// Alignments kept of each rung,
const RUNG_CANDIDATES: usize = 40;
/// and of all.
const LADDER_CANDIDATES: usize = 400;

/// Logarithms of the ratios to assume so that none within `reach` is farther than half a rung.
fn rungs(change: Change, reach: f64) -> impl Iterator<Item = f64> {
    let n = (reach / change.rung() - 0.5).ceil().max(0.0) as i32;
    (-n..=n).filter(|&i| i != 0).map(move |i| f64::from(i) * change.rung())
}

/// Number of ratios that are assumed within a range, the track's own not counted.
pub(crate) fn assumed(range: SpeedRange) -> usize {
    Change::ALL.iter().map(|change| rungs(*change, range.reach()).count()).sum()
}

/// An alignment under an assumed ratio.
#[derive(Clone)]
pub(crate) struct Rung {
    pub change: Change,
    pub log_ratio: f64,
    pub alignment: Alignment,
}

/// The alignments with most weight under all assumed ratios but the track's own.
pub(crate) fn ladder(
    store: &(impl Store + ?Sized),
    totals: &Totals,
    scope: &Scope,
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Rung>> {
    let frames = query.levels().frames();
    let mut assumed = Vec::new();
    let mut landmarks = Vec::new();
    for change in Change::ALL {
        for log_ratio in rungs(change, config.speed.reach()) {
            let playback = change.playback(log_ratio);
            let (peaks, paired) = at_track_speed(query, playback, &totals.config);
            let begin = landmarks.len();
            landmarks.extend(paired);
            let clip = ClipPeaks::new(&peaks, frames, playback);
            assumed.push((change, log_ratio, clip, begin..landmarks.len()));
        }
    }
    // All of them at once: one round trip.
    let found = store.look_up(&landmarks, config.probe_steps)?;
    let mut candidates: Vec<(usize, Candidate)> = Vec::new();
    for (i, (.., range)) in assumed.iter().enumerate() {
        let at = |landmark: usize| found.partition_point(|f| (f.landmark as usize) < landmark);
        let own = &found[at(range.start)..at(range.end)];
        let votes = Votes::new(&landmarks, own, totals, u64::MAX);
        let heaviest = votes.heaviest(scope, RUNG_CANDIDATES);
        candidates.extend(heaviest.into_iter().map(|candidate| (i, candidate)));
    }
    candidates.sort_by_key(|(i, candidate)| (Reverse(candidate.weight), *i, candidate.block));
    candidates.truncate(LADDER_CANDIDATES);
    let wanted = candidates.iter().map(|(i, candidate)| (&assumed[*i].2, *candidate)).collect();
    let placed = excerpts(store, totals, wanted, 0.0)?;
    Ok(placed
        .into_iter()
        .map(|(which, alignment)| {
            let (change, log_ratio, ..) = assumed[candidates[which].0];
            Rung { change, log_ratio, alignment }
        })
        .collect())
}

/// The peaks and the landmarks of low anchors that a clip would have at the track's own speed.
fn at_track_speed(
    query: &Query,
    playback: Playback,
    config: &Config,
) -> (Vec<Peak>, Vec<Landmark>) {
    let steps = f64::from(STEPS);
    let first_bin = first_bin(config).0;
    let highest = f64::from(HIGHEST_ANCHOR_HZ / config.stft.bin_hz()) * steps - first_bin;
    let zone = f64::from(config.landmarks.max_df_bins) * steps;
    let end = config.stft.bins() as f64 * steps;
    let scaled = |p: &Peak| {
        let bin = ((f64::from(p.bin.0) + first_bin) / playback.pitch - first_bin).round();
        let time = TimeSteps((f64::from(p.time.0) * playback.tempo).round() as u32);
        (0.0..end).contains(&bin).then_some(Peak { time, bin: BinSteps(bin as u16), ..*p })
    };
    let peaks: Vec<Peak> = query.peaks().iter().filter_map(scaled).collect();
    let low: Vec<Peak> =
        peaks.iter().copied().filter(|p| f64::from(p.bin.0) < highest + zone).collect();
    let mut landmarks = pair_all(&low, &config.landmarks, LADDER_FAN_OUT);
    landmarks.retain(|l| f64::from(l.bin.0) <= highest);
    (peaks, landmarks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprinter;
    use crate::testing::{music, rng};
    use crate::units::SampleRate;

    #[test]
    fn no_ratio_within_the_range_is_farther_than_half_a_rung() {
        let mut random = rng(3);
        for percent in [0.5, 2.0, 5.0, 10.0, 25.0] {
            let range = SpeedRange::percent(percent).unwrap();
            for change in Change::ALL {
                // The track's own speed is not among the rungs: it was looked up before.
                let ratios: Vec<f64> = rungs(change, range.reach()).chain([0.0]).collect();
                for _ in 0..100 {
                    let ratio = range.reach() * (2.0 * f64::from(random()) - 1.0);
                    let near = ratios.iter().map(|r| (r - ratio).abs()).fold(f64::MAX, f64::min);
                    assert!(near <= 0.5001 * change.rung(), "{percent}: {ratio}");
                }
                assert!(ratios.iter().all(|r| r.abs() < range.reach() + 0.5 * change.rung()));
            }
        }
        assert_eq!(assumed(SpeedRange::OFF), 0);
    }

    /// Each of the ladder's landmarks has both its ends among the clip's peaks, scaled.
    #[test]
    fn landmarks_of_a_rung_are_the_clips_scaled() {
        let config = Config::default();
        let rate = SampleRate::default();
        let query =
            Fingerprinter::new(config.clone()).unwrap().query(&music(6.0, 4), rate).unwrap();
        let (tempo, pitch) = (1.06, 0.94);
        let (_, landmarks) = at_track_speed(&query, Playback { tempo, pitch }, &config);
        assert!(landmarks.len() > 100);
        let first = first_bin(&config).0;
        for l in &landmarks {
            for (time, bin) in [(l.time, l.bin), l.target()] {
                let stands = query.peaks().iter().any(|p| {
                    (f64::from(p.time.0) * tempo - f64::from(time.0)).abs() <= 0.5
                        && ((f64::from(p.bin.0) + first) / pitch - first - f64::from(bin.0)).abs()
                            <= 0.5
                });
                assert!(stands, "{l:?}");
            }
            assert!(f64::from(l.bin.0) + first <= 1000.0 / f64::from(config.stft.bin_hz()) * 16.0);
        }
    }
}
