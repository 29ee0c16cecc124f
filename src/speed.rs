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

use crate::alignment::{Alignment, LandmarkIndex, alignments};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::landmark::{Landmark, pair_all};
use crate::matching::MatchConfig;
use crate::peaks::{Peak, STEPS};
use std::ops::Range;

pub(crate) mod tuning;

/// How far a clip's speed, tempo or pitch may be from the track's.
///
/// ```
/// use earmark::{MatchConfig, SpeedRange};
/// let config = MatchConfig { speed: SpeedRange::percent(10.0)?, ..MatchConfig::default() };
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpeedRange {
    /// Natural logarithm of the greatest ratio.
    reach: f64,
}

impl SpeedRange {
    /// Clips are played as the track is, within half a per cent or so.
    pub const OFF: Self = Self { reach: 0.0 };

    /// Up to `percent` faster or higher, and as much slower or lower: 25 is a ratio of 0.8 to 1.25.
    ///
    /// # Errors
    /// [`Error::Config`] outside 0 to 50.
    pub fn percent(percent: f64) -> Result<Self> {
        if !(0.0..=50.0).contains(&percent) {
            let value = percent.to_string();
            return Err(Error::Config { field: "speed range", value, expected: "0 to 50".into() });
        }
        Ok(Self { reach: (percent / 100.0).ln_1p() })
    }

    /// Whether nothing but the track's own speed is looked for.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.reach <= 0.0
    }

    /// Number of ratios that are assumed, the track's own not counted.
    pub(crate) fn rungs(&self) -> usize {
        Change::ALL.iter().map(|change| rungs(*change, self.reach).count()).sum()
    }
}

/// How a clip is played: its tempo and frequencies as multiples of the track's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Playback {
    pub tempo: f64,
    pub pitch: f64,
}

impl Playback {
    /// As the track is.
    pub const UNCHANGED: Self = Self { tempo: 1.0, pitch: 1.0 };
}

/// What is done to recordings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Speed,
    Tempo,
    Pitch,
}

/// Distance of rungs, as logarithms of ratios: 0.8 % for what changes the pitch, 2 % for the tempo.
const PITCH_RUNG: f64 = 0.008;
const TEMPO_RUNG: f64 = 0.02;
/// On the ladder, anchors end here: above, a rung's error is too many bins.
const HIGHEST_ANCHOR_HZ: f32 = 1000.0;
/// Targets per anchor on the ladder.
const LADDER_FAN_OUT: usize = 5;
/// Alignments kept of each rung,
const RUNG_CANDIDATES: usize = 40;
/// and of all.
const LADDER_CANDIDATES: usize = 400;

impl Change {
    pub const ALL: [Self; 3] = [Self::Speed, Self::Tempo, Self::Pitch];

    pub fn playback(self, log_ratio: f64) -> Playback {
        let ratio = log_ratio.exp();
        match self {
            Self::Speed => Playback { tempo: ratio, pitch: ratio },
            Self::Tempo => Playback { tempo: ratio, pitch: 1.0 },
            Self::Pitch => Playback { tempo: 1.0, pitch: ratio },
        }
    }

    /// Distance of rungs, as a logarithm of the ratio.
    pub fn rung(self) -> f64 {
        match self {
            Self::Speed | Self::Pitch => PITCH_RUNG,
            Self::Tempo => TEMPO_RUNG,
        }
    }
}

/// Logarithms of the ratios to assume so that none within `reach` is farther than half a rung.
fn rungs(change: Change, reach: f64) -> impl Iterator<Item = f64> {
    let n = (reach / change.rung() - 0.5).ceil().max(0.0) as i32;
    (-n..=n).filter(|&i| i != 0).map(move |i| f64::from(i) * change.rung())
}

/// An alignment under an assumed ratio.
#[derive(Clone, Copy)]
pub(crate) struct Rung<'a> {
    pub change: Change,
    pub log_ratio: f64,
    pub alignment: Alignment<'a>,
}

/// The alignments with most weight under all assumed ratios but the track's own.
pub(crate) fn ladder<'a>(
    index: &'a (impl LandmarkIndex + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Vec<Rung<'a>> {
    let mut found: Vec<Rung<'a>> = Vec::new();
    for change in Change::ALL {
        for log_ratio in rungs(change, config.speed.reach) {
            let playback = change.playback(log_ratio);
            let landmarks = landmarks(query, playback, index.catalog().config());
            let rung = alignments(index, &landmarks, config, RUNG_CANDIDATES).into_iter();
            found.extend(rung.map(|alignment| {
                let pivot_steps = (alignment.pivot_steps as f64 / playback.tempo) as i64;
                let alignment = Alignment { pivot_steps, playback, ..alignment };
                Rung { change, log_ratio, alignment }
            }));
        }
    }
    found.sort_by(|a, b| b.alignment.weight.total_cmp(&a.alignment.weight));
    found.truncate(LADDER_CANDIDATES);
    found
}

/// The landmarks of low anchors that a clip would have at the track's own speed.
fn landmarks(query: &Query, playback: Playback, config: &Config) -> Vec<Landmark> {
    let steps = f64::from(STEPS);
    let first_bin = first_bin_steps(config);
    let highest = f64::from(HIGHEST_ANCHOR_HZ / config.stft.bin_hz()) * steps - first_bin;
    let zone = f64::from(config.landmarks.max_df_bins) * steps;
    let end = (highest + zone).min(config.stft.bins() as f64 * steps);
    let scaled = |p: &Peak| {
        let bin = ((f64::from(p.bin) + first_bin) / playback.pitch - first_bin).round();
        let time = (f64::from(p.time) * playback.tempo).round() as u32;
        (0.0..end).contains(&bin).then_some(Peak { time, bin: bin as u16, ..*p })
    };
    let peaks: Vec<Peak> = query.peaks().iter().filter_map(scaled).collect();
    let mut landmarks = pair_all(&peaks, &config.landmarks, LADDER_FAN_OUT);
    landmarks.retain(|l| f64::from(l.bin) <= highest);
    landmarks
}

/// Frequency from which [`Peak::bin`] counts, in 1/[`STEPS`] of a bin.
pub(crate) fn first_bin_steps(config: &Config) -> f64 {
    config.stft.first_bin() as f64 * f64::from(STEPS)
}

/// Time of the clip's beginning in what [`on_clip`] gives.
pub(crate) const LEAD: i64 = 8 * STEPS as i64;
/// Frames beside the clip's that [`on_clip`] gives, too, fewer than those of [`LEAD`].
const MARGIN: f64 = 6.0;

/// The peaks of an alignment's track as the clip would show them: those that fall on `frames` of the
/// clip or close by, in the clip's coordinates, but [`LEAD`] late so that none is before 0.
pub(crate) fn on_clip(
    alignment: &Alignment<'_>,
    frames: &Range<usize>,
    first_bin_steps: f64,
) -> Vec<Peak> {
    let Playback { tempo, pitch } = alignment.playback;
    let offset = alignment.offset_steps as f64;
    let at = |frame: f64| {
        let time = frame * f64::from(STEPS) * tempo + offset;
        alignment.track.peaks.partition_point(|p| f64::from(p.time) < time)
    };
    let begin = at(frames.start as f64 - MARGIN);
    let end = at(frames.end as f64 + MARGIN).max(begin);
    // Truncation after adding a half rounds.
    let shift = first_bin_steps * (pitch - 1.0) + 0.5;
    let late = LEAD as f64 + 0.5;
    let place = |p: &Peak| {
        let time = (f64::from(p.time) - offset) / tempo + late;
        let bin = f64::from(p.bin) * pitch + shift;
        let inside = time >= 0.0 && (0.0..f64::from(u16::MAX)).contains(&bin);
        inside.then_some(Peak { time: time as u32, bin: bin as u16, ..*p })
    };
    alignment.track.peaks[begin..end].iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Track, TrackInfo};
    use crate::fingerprint::{Fingerprint, Fingerprinter};
    use crate::testing::{music, rng};
    use crate::units::SampleRate;

    #[test]
    fn no_ratio_within_the_range_is_farther_than_half_a_rung() {
        let mut random = rng(3);
        for percent in [0.5, 2.0, 5.0, 10.0, 25.0] {
            let range = SpeedRange::percent(percent).unwrap();
            for change in Change::ALL {
                // The track's own speed is not among the rungs: it was looked up before.
                let assumed: Vec<f64> = rungs(change, range.reach).chain([0.0]).collect();
                for _ in 0..100 {
                    let ratio = range.reach * (2.0 * f64::from(random()) - 1.0);
                    let near = assumed.iter().map(|r| (r - ratio).abs()).fold(f64::MAX, f64::min);
                    assert!(near <= 0.5001 * change.rung(), "{percent}: {ratio}");
                }
                assert!(assumed.iter().all(|r| r.abs() < range.reach + 0.5 * change.rung()));
            }
        }
        assert_eq!(SpeedRange::OFF.rungs(), 0);
    }

    fn track(peaks: Vec<Peak>) -> Track {
        let config = Config::default();
        let fingerprint = Fingerprint::from_parts(peaks.clone(), Vec::new(), 60.0, &config);
        let catalog = Catalog::new(config).unwrap();
        Track { peaks, ..catalog.place(TrackInfo::named("a"), &fingerprint) }
    }

    /// A peak at 20 s and 1,000 Hz of the track, in a clip that begins at 15 s of it.
    #[test]
    fn peaks_of_the_track_are_laid_where_the_clip_shows_them() {
        let config = Config::default();
        let (bin_hz, hop_s) = (f64::from(config.stft.bin_hz()), config.stft.hop_s());
        let (centre_s, first_hz) =
            (config.stft.window_s() / 2.0, first_bin_steps(&config) / 16.0 * bin_hz);
        let steps = |s: f64| 16.0 * (s - centre_s) / hop_s;
        let time = steps(20.0).round() as u32;
        let bin = (16.0 * (1000.0 - first_hz) / bin_hz).round() as u16;
        let track = track(vec![Peak { time, bin, contrast: 60, rank: 0, level: 195, phase: 0 }]);
        for (tempo, pitch) in [(1.0, 1.0), (1.1, 1.1), (0.9, 1.0), (1.0, 1.2)] {
            // What stands at the clip's frame 0 stands there in the track.
            let offset_steps = steps(15.0 + tempo * centre_s).round() as i64;
            let alignment = Alignment {
                track: &track,
                offset_steps,
                votes: 1,
                weight: 1.0,
                pivot_steps: 0,
                playback: Playback { tempo, pitch },
            };
            let found = on_clip(&alignment, &(0..400), first_bin_steps(&config));
            let time_s = f64::from(found[0].time as i32 - LEAD as i32) / 16.0 * hop_s + centre_s;
            let hz = f64::from(found[0].bin) / 16.0 * bin_hz + first_hz;
            assert!((time_s - 5.0 / tempo).abs() < 0.004, "{tempo} {time_s}");
            assert!((hz - 1000.0 * pitch).abs() < 0.4, "{pitch} {hz}");
            assert!(on_clip(&alignment, &(0..40), first_bin_steps(&config)).is_empty());
        }
    }

    /// Each of the ladder's landmarks has both its ends among the clip's peaks, scaled.
    #[test]
    fn landmarks_of_a_rung_are_the_clips_scaled() {
        let config = Config::default();
        let rate = SampleRate::default();
        let query =
            Fingerprinter::new(config.clone()).unwrap().query(&music(6.0, 4), rate).unwrap();
        let (tempo, pitch) = (1.06, 0.94);
        let landmarks = landmarks(&query, Playback { tempo, pitch }, &config);
        assert!(landmarks.len() > 100);
        let first = first_bin_steps(&config);
        for l in &landmarks {
            for (time, bin) in [
                (l.time, i32::from(l.bin)),
                (l.time + u32::from(l.delta_time), i32::from(l.bin) + i32::from(l.delta_bin)),
            ] {
                let stands = query.peaks().iter().any(|p| {
                    (f64::from(p.time) * tempo - f64::from(time)).abs() <= 0.5
                        && ((f64::from(p.bin) + first) / pitch - first - f64::from(bin)).abs()
                            <= 0.5
                });
                assert!(stands, "{l:?}");
            }
            assert!(f64::from(l.bin) + first <= 1000.0 / f64::from(config.stft.bin_hz()) * 16.0);
        }
    }
}
