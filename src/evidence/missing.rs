//! How much of a track is missing in a clip.
//!
//! Noise, echoes and other voices come on top of a recording, and hide its peaks behind as loud a
//! level as theirs, or a louder one. They take nothing away. Where music that is merely alike agrees
//! with a clip in beat, key and sounds, or shares some of its voices, there are other peaks besides,
//! at times and frequencies at which the clip has next to nothing.
//!
//! How loud the track would be in the clip is told by the peaks that are found there. What faders,
//! filters and loudspeakers change is allowed for, stretch by stretch and octave by octave.

use crate::evidence::peaks::LevelMap;
use crate::peaks::Peak;
use crate::units::TimeSteps;
use std::ops::Range;

/// A peak counts as missing where the clip is less loud by this than the peak would be, in halves of
/// a dB.
const MISSING_HALF_DB: i32 = 12;
/// A peak is found where the clip has a maximum of this prominence.
const FOUND: usize = 5;
/// Fewer peaks that are found say nothing of a stretch or an octave,
const FEWEST_OF_GROUP: usize = 10;
/// and fewer of all nothing of the track: then all count as found.
const FEWEST: usize = 3;

/// How much louder than a peak of the track the clip is where the peak would be.
struct Difference {
    stretch: usize,
    octave: usize,
    half_db: i32,
    /// There is a maximum.
    found: bool,
}

/// Share of a track's peaks (in the order of their frames) that are missing in a clip which begins at
/// `offset` of the track: 0 to 0.3 where the clip is of it, 0.4 to 0.6 where it is not. `first_bin` is the analysis band's first bin in the whole transform. Only the clip's
/// frames within `frames` count. 0 where no peak stands in them, or where the clip's levels are not known.
///
/// ```
/// use earmark::{Config, Fingerprinter, SampleRate, evidence::missing::shortfall, units::TimeSteps};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let (config, rate) = (Config::default(), SampleRate::new(8000)?);
/// let first_bin = config.stft.first_bin();
/// let mut fingerprinter = Fingerprinter::new(config)?;
/// let track = fingerprinter.fingerprint(&song, rate)?;
/// let clip = fingerprinter.query(&song[51_200..91_200], rate)?; // from its frame 200 on
///
/// let missing = |frame: i64| {
///     let offset = TimeSteps::from_frames(frame);
///     shortfall(clip.levels(), track.peaks(), offset, 0..usize::MAX, first_bin)
/// };
/// assert!(missing(200) < 0.05 && missing(300) > 0.2);
/// # Ok::<(), earmark::Error>(())
/// ```
#[must_use]
pub fn shortfall(
    clip: &LevelMap,
    peaks: &[Peak],
    offset: TimeSteps,
    frames: Range<usize>,
    first_bin: usize,
) -> f32 {
    if !clip.has_levels() {
        return 0.0;
    }
    let stretch_frames = clip.widths().stretch_frames;
    let mut differences = Vec::new();
    clip.codes_under(peaks, offset, frames, |peak, frame, column, code| {
        let bin = first_bin + peak.bin.whole_bin();
        differences.push(Difference {
            stretch: frame / stretch_frames,
            octave: bin.max(1).ilog2() as usize,
            half_db: i32::from(clip.level(frame, column)) - i32::from(peak.level),
            found: code >= 8 * FOUND,
        });
    });
    if differences.iter().filter(|d| d.found).count() < FEWEST {
        differences.iter_mut().for_each(|d| d.found = true);
    }
    take_off_gain(&mut differences);
    let groups: [fn(&Difference) -> usize; 2] = [|d| d.stretch, |d| d.octave];
    for group in groups {
        differences.sort_by_key(group);
        let alike = differences.chunk_by_mut(|a, b| group(a) == group(b));
        let telling =
            |group: &&mut [Difference]| group.iter().filter(|d| d.found).count() >= FEWEST_OF_GROUP;
        alike.filter(telling).for_each(take_off_gain);
    }
    let missing = differences.iter().filter(|d| d.half_db < -MISSING_HALF_DB);
    missing.count() as f32 / differences.len().max(1) as f32
}

/// Takes off what is usual for the peaks that are found.
fn take_off_gain(differences: &mut [Difference]) {
    let found = differences.iter().filter(|d| d.found);
    let gain = median(&mut found.map(|d| d.half_db).collect::<Vec<_>>());
    differences.iter_mut().for_each(|d| d.half_db -= gain);
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
    use crate::config::StftConfig;
    use crate::fingerprint::Fingerprinter;
    use crate::testing::{music, noise};
    use crate::units::SampleRate;

    fn missing(song: &[f32], clip: &[f32], frame: i64) -> f32 {
        let config = Config::default();
        let first_bin = config.stft.first_bin();
        let mut fingerprinter = Fingerprinter::new(config).unwrap();
        let track = fingerprinter.fingerprint(song, SampleRate::default()).unwrap();
        let clip = fingerprinter.query(clip, SampleRate::default()).unwrap();
        let offset = TimeSteps::from_frames(frame);
        shortfall(clip.levels(), track.peaks(), offset, 0..usize::MAX, first_bin)
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
        // Turned down by 20 dB while somebody speaks.
        let turned_down = |i: usize| if (16_000..28_000).contains(&i) { 0.1 } else { 1.0 };
        let ducked: Vec<f32> = (0..clip.len()).map(|i| turned_down(i) * clip[i]).collect();
        // 12 dB an octave.
        let thin: Vec<f32> = clip.windows(3).map(|w| w[2] - 2.0 * w[1] + w[0]).collect();
        for (name, clip, most) in [
            ("none", clip, 0.02),
            ("gain", &quiet, 0.02),
            ("noise", &noisy, 0.12),
            ("fader", &ducked, 0.15),
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
        let map = LevelMap::new(&[], &StftConfig::default(), |_| false);
        assert!(shortfall(&map, &[], TimeSteps(0), 0..9, 64).abs() < f32::EPSILON);
        let mut values = [5, 1, 9, 7];
        assert_eq!(median(&mut values), 7);
        assert_eq!(median(&mut []), 0);
    }
}
