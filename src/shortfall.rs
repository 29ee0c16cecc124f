//! How much of a track is missing in a clip.
//!
//! Noise, echoes and other voices come on top of a recording, and hide its peaks behind as loud a
//! level as theirs, or a louder one. They take nothing away. Where music that is merely alike agrees
//! with a clip in beat, key and sounds, or shares some of its tracks, there are other peaks besides,
//! at times and frequencies at which the clip has next to nothing.
//!
//! How loud the track would be in the clip is told by the peaks that are found there. What filters and
//! loudspeakers change is allowed for, octave by octave.

use crate::peaks::{Peak, STEPS};
use crate::verification::LevelMap;
use std::ops::Range;

/// A peak counts as missing where the clip is less loud by this than the peak would be, in halves of
/// a dB.
const MISSING_HALF_DB: i32 = 12;
/// A peak is found where the clip has a maximum of this prominence.
const FOUND: usize = 5;
/// Fewer peaks that are found say nothing of an octave,
const FEWEST_OF_OCTAVE: usize = 10;
/// and fewer of all nothing of the track: then all count as found.
const FEWEST: usize = 3;
/// Octaves of a transform that are told apart, at most.
const OCTAVES: usize = 24;

/// Share of a track's peaks (in the order of their frames) that are missing in a clip which begins at
/// `offset_steps` (1/[`STEPS`] of a frame) of the track: 0 to 0.3 where the clip is of it, 0.4 to 0.6
/// where it is not. `first_bin` is the analysis band's first bin in the whole transform. Only the clip's
/// frames within `frames` count. 0 where no peak stands in them.
///
/// ```
/// use earmark::{Config, Fingerprinter, SampleRate, shortfall::shortfall};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let (config, rate) = (Config::default(), SampleRate::new(8000)?);
/// let first_bin = config.stft.first_bin();
/// let mut fingerprinter = Fingerprinter::new(config)?;
/// let track = fingerprinter.fingerprint(&song, rate)?;
/// let clip = fingerprinter.query(&song[51_200..91_200], rate)?; // from its frame 200 on
///
/// let missing = |frame: i64| {
///     shortfall(clip.levels(), track.peaks(), 16 * frame, 0..usize::MAX, first_bin)
/// };
/// assert!(missing(200) < 0.05 && missing(300) > 0.2);
/// # Ok::<(), earmark::Error>(())
/// ```
#[must_use]
pub fn shortfall(
    clip: &LevelMap,
    peaks: &[Peak],
    offset_steps: i64,
    frames: Range<usize>,
    first_bin: usize,
) -> f32 {
    // Octave of each peak, how much louder than it the clip is, in halves of a dB, and whether there
    // is a maximum.
    let mut differences: Vec<(usize, i32, bool)> = Vec::new();
    clip.codes_under(peaks, offset_steps, frames, |peak, frame, column, code| {
        let bin = first_bin + usize::from(peak.bin) / STEPS as usize;
        let octave = (bin.max(1).ilog2() as usize).min(OCTAVES - 1);
        let louder = i32::from(clip.level(frame, column)) - i32::from(peak.level);
        differences.push((octave, louder, code >= 8 * FOUND));
    });
    let mut gains = [None; OCTAVES];
    let mut of_octave = Vec::new();
    for (octave, gain) in gains.iter_mut().enumerate() {
        of_octave.clear();
        let found = differences.iter().filter(|d| d.0 == octave && d.2);
        of_octave.extend(found.map(|d| d.1));
        *gain = (of_octave.len() >= FEWEST_OF_OCTAVE).then(|| median(&mut of_octave));
    }
    let mut found: Vec<i32> = differences.iter().filter(|d| d.2).map(|d| d.1).collect();
    if found.len() < FEWEST {
        found = differences.iter().map(|d| d.1).collect();
    }
    let overall = median(&mut found);
    let is_missing = |&&(octave, louder, _): &&(usize, i32, bool)| {
        louder < gains[octave].unwrap_or(overall) - MISSING_HALF_DB
    };
    differences.iter().filter(is_missing).count() as f32 / differences.len().max(1) as f32
}

/// The value in the middle; 0 of none.
fn median(values: &mut [i32]) -> i32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fingerprint::Fingerprinter;
    use crate::testing::{music, noise};
    use crate::units::SampleRate;

    fn missing(song: &[f32], clip: &[f32], frame: i64) -> f32 {
        let config = Config::default();
        let first_bin = config.stft.first_bin();
        let mut fingerprinter = Fingerprinter::new(config).unwrap();
        let track = fingerprinter.fingerprint(song, SampleRate::default()).unwrap();
        let clip = fingerprinter.query(clip, SampleRate::default()).unwrap();
        shortfall(clip.levels(), track.peaks(), 16 * frame, 0..usize::MAX, first_bin)
    }

    #[test]
    fn neither_gain_nor_noise_nor_a_filter_takes_peaks_away() {
        let song = music(20.0, 3);
        let clip = &song[25_600..65_600];
        let quiet: Vec<f32> = clip.iter().map(|x| 0.03 * x).collect();
        let power = clip.iter().map(|x| x * x).sum::<f32>() / clip.len() as f32;
        let loud = (12.0 * power).sqrt(); // as loud as the clip: uniform noise has a variance of 1/12
        let noisy: Vec<f32> =
            clip.iter().zip(noise(40_000, 5)).map(|(x, n)| x + loud * n).collect();
        // 12 dB an octave.
        let thin: Vec<f32> = clip.windows(3).map(|w| w[2] - 2.0 * w[1] + w[0]).collect();
        for (name, clip, most) in [
            ("none", clip, 0.02),
            ("gain", &quiet, 0.02),
            ("noise", &noisy, 0.12),
            ("filter", &thin, 0.2),
        ] {
            let found = missing(&song, clip, 100);
            assert!(found <= most, "{name}: {found}");
        }
        assert!(missing(&song, clip, 333) > 0.3);
    }

    /// Half of what plays is of another track, which the clip does not have.
    #[test]
    fn a_track_that_shares_only_some_of_its_voices_falls_short() {
        let (shared, other) = (music(20.0, 3), music(20.0, 4));
        let both: Vec<f32> = shared.iter().zip(&other).map(|(a, b)| a + b).collect();
        let clip = &shared[25_600..65_600];
        assert!(missing(&both, clip, 100) > missing(&shared, clip, 100) + 0.15);
    }

    #[test]
    fn nothing_is_missing_of_nothing() {
        let map = LevelMap::new(&[], 60, |_| false);
        assert!(shortfall(&map, &[], 0, 0..9, 64).abs() < f32::EPSILON);
        let mut values = [5, 1, 9, 7];
        assert_eq!(median(&mut values), 7);
        assert_eq!(median(&mut []), 0);
    }
}
