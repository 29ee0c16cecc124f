//! A place of a track where a clip may lie, and the track's peaks as the clip would show them.

use super::playback::Playback;
use crate::config::Config;
use crate::peaks::{Peak, STEPS};
use crate::store::Excerpt;
use crate::units::{BinSteps, TimeSteps};
use std::ops::Range;
use std::sync::Arc;

/// A place where the clip may lie.
#[derive(Clone, Debug)]
pub(crate) struct Alignment {
    /// What of the track lies there.
    pub excerpt: Arc<Excerpt>,
    /// Time in the track at which the clip begins.
    pub offset: TimeSteps,
    /// Peaks of the clip that agree on it.
    pub votes: u32,
    /// Mean time in the clip of the peaks that agree.
    pub pivot: TimeSteps,
    /// How the clip is played there.
    pub playback: Playback,
}

/// Frequency from which [`Peak::bin`] counts.
pub(crate) fn first_bin(config: &Config) -> BinSteps<f64> {
    BinSteps(config.stft.first_bin() as f64 * f64::from(STEPS))
}

/// Time of the clip's beginning in what [`on_clip`] gives.
pub(crate) const LEAD: TimeSteps = TimeSteps::from_frames(8);
/// Frames beside the clip's that [`on_clip`] gives, too, fewer than those of [`LEAD`].
const MARGIN: f64 = 6.0;

/// The peaks of an alignment's track as the clip would show them: those that fall on `frames` of the
/// clip or close by, in the clip's coordinates, but [`LEAD`] late so that none is before 0.
pub(crate) fn on_clip(
    alignment: &Alignment,
    frames: &Range<usize>,
    first_bin: BinSteps<f64>,
) -> Vec<Peak> {
    let Playback { tempo, pitch } = alignment.playback;
    let offset = alignment.offset.0 as f64;
    let at = |frame: f64| {
        let time = frame * f64::from(STEPS) * tempo + offset;
        alignment.excerpt.peaks.partition_point(|p| f64::from(p.time.0) < time)
    };
    let begin = at(frames.start as f64 - MARGIN);
    let end = at(frames.end as f64 + MARGIN).max(begin);
    // Truncation after adding a half rounds.
    let shift = first_bin.0 * (pitch - 1.0) + 0.5;
    let late = LEAD.0 as f64 + 0.5;
    let place = |p: &Peak| {
        let time = (f64::from(p.time.0) - offset) / tempo + late;
        let bin = f64::from(p.bin.0) * pitch + shift;
        let inside = time >= 0.0 && (0.0..f64::from(u16::MAX)).contains(&bin);
        inside.then_some(Peak { time: TimeSteps(time as u32), bin: BinSteps(bin as u16), ..*p })
    };
    alignment.excerpt.peaks[begin..end].iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::TrackId;

    /// A peak at 20 s and 1,000 Hz of the track, in a clip that begins at 15 s of it.
    #[test]
    fn peaks_of_the_track_are_laid_where_the_clip_shows_them() {
        let config = Config::default();
        let (bin_hz, hop_s) = (f64::from(config.stft.bin_hz()), config.stft.hop_s());
        let (centre_s, first_hz) =
            (config.stft.window_s() / 2.0, first_bin(&config).0 / 16.0 * bin_hz);
        let steps = |s: f64| 16.0 * (s - centre_s) / hop_s;
        let time = TimeSteps(steps(20.0).round() as u32);
        let bin = BinSteps((16.0 * (1000.0 - first_hz) / bin_hz).round() as u16);
        let peaks = vec![Peak { time, bin, contrast: 60, rank: 0, level: 195, phase: 0 }];
        let excerpt = Arc::new(Excerpt::new(TrackId(0), 0, 2000, peaks, 0, Vec::new()));
        for (tempo, pitch) in [(1.0, 1.0), (1.1, 1.1), (0.9, 1.0), (1.0, 1.2)] {
            // What stands at the clip's frame 0 stands there in the track.
            let offset = TimeSteps(steps(15.0 + tempo * centre_s)).round();
            let alignment = Alignment {
                excerpt: excerpt.clone(),
                offset,
                votes: 1,
                pivot: TimeSteps(0),
                playback: Playback { tempo, pitch },
            };
            let found = on_clip(&alignment, &(0..400), first_bin(&config));
            let time_s = (found[0].time - LEAD).seconds(hop_s) + centre_s;
            let hz = f64::from(found[0].bin.0) / 16.0 * bin_hz + first_hz;
            assert!((time_s - 5.0 / tempo).abs() < 0.004, "{tempo} {time_s}");
            assert!((hz - 1000.0 * pitch).abs() < 0.4, "{pitch} {hz}");
            assert!(on_clip(&alignment, &(0..40), first_bin(&config)).is_empty());
        }
    }
}
