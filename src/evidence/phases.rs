//! Whether the phases of a clip's partials go with those of a track's peaks.
//!
//! What carries a recording to a microphone (a room, a loudspeaker, a filter, a codec) changes the
//! phase of each frequency, but at all times by the same. So the phase that the clip has under a
//! peak of the track, less the peak's own, is about the same for all peaks of one frequency if the
//! clip is of this recording. In other music it is anything, even where notes and beats are alike, for notes
//! begin at any part of their period. Noise turns phases only where it is about as loud as the peak.
//!
//! Peaks of nearly one frequency are taken in pairs, and the cosines of what their differences differ
//! by are summed: in expectation nothing, if chance decides them, and half their number is the
//! variance. (Phase alone tells how images lie on each other: C. D. Kuglin and D. C. Hines, "The phase
//! correlation image alignment method", 1975. There, too, one looks for what is constant.)

use crate::calibration::widths::Widths;
use crate::config::StftConfig;
use crate::packing::make_room;
use crate::peaks::Peak;
use crate::spectrogram::PhaseAdvance;
use crate::units::{BinSteps, TimeSteps};
use std::f64::consts::TAU;
use std::ops::Range;

/// Fewer pairs say nothing.
const FEWEST_PAIRS: u32 = 8;

/// The phases of a clip.
///
/// ```
/// use earmark::{Config, Fingerprinter, SampleRate, units::TimeSteps};
/// # let mut song = vec![0.0f32; 160_000];
/// # for n in 0..200usize {
/// #     let start = n * 790 + n * n * 37 % 700;
/// #     let hz = [262.0, 330.0, 392.0, 494.0, 587.0][n * n / 3 % 5];
/// #     for (i, x) in song[start..].iter_mut().take(2400).enumerate() {
/// #         *x += (i as f32 * hz * 7.854e-4).sin() * (-(i as f32) / 700.0).exp();
/// #     }
/// # }
/// let rate = SampleRate::new(8000)?;
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let track = fingerprinter.fingerprint(&song, rate)?;
/// let clip = fingerprinter.query(&song[51_200..91_200], rate)?; // from its frame 200 on
///
/// let at = |frame: i64| {
///     clip.phases().deviations(track.peaks(), TimeSteps::from_frames(frame), 0..usize::MAX)
/// };
/// assert!(at(200) > 3.0 && at(200) > 2.0 * at(300));
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Phases {
    /// Frame after frame, in 1/256 of a turn.
    rows: Vec<u8>,
    bins: usize,
    widths: Widths,
    advance: PhaseAdvance,
    cosines: Box<[f32; 256]>,
}

impl Phases {
    /// Takes the [phases](crate::spectrogram::Frame::phases) of all frames, in rows, as the transform
    /// with `config` gives them.
    #[must_use]
    pub fn new(rows: Vec<u8>, config: &StftConfig) -> Self {
        let cosine = |step: usize| libm::cos(step as f64 / 256.0 * TAU) as f32;
        Self {
            rows,
            bins: config.bins().max(1),
            widths: Widths::new(config),
            advance: PhaseAdvance::new(config),
            cosines: Box::new(std::array::from_fn(cosine)),
        }
    }

    /// None as yet, but so many frames are expected.
    pub(crate) fn with_room(config: &StftConfig, frames: usize) -> Self {
        Self::new(Vec::with_capacity(frames * config.bins()), config)
    }

    /// Takes the next frame's phases.
    pub(crate) fn push(&mut self, phases: &[u8]) {
        make_room(&mut self.rows, phases.len());
        self.rows.extend_from_slice(phases);
    }

    /// Gives back the room that is left.
    pub(crate) fn shrink(&mut self) {
        self.rows.shrink_to_fit();
    }

    /// Forgets the first frames.
    pub(crate) fn forget(&mut self, frames: usize) {
        self.rows.drain(..frames * self.bins);
    }

    /// The last frames alone.
    pub(crate) fn last(&self, frames: usize) -> Self {
        let first = self.rows.len() - frames * self.bins;
        Self {
            rows: self.rows[first..].to_vec(),
            bins: self.bins,
            widths: self.widths,
            advance: self.advance,
            cosines: self.cosines.clone(),
        }
    }

    /// How far a track's peaks (in the order of their frames) agree in phase with the clip beyond what
    /// chance gives, in its deviations: about 0 where the clip is not, 3 to 60 where it is, the more the
    /// longer it is. The clip begins at `offset` of the track, and is
    /// played at the track's speed. Only the clip's frames within `frames` count. 0 where there are
    /// too few peaks.
    #[must_use]
    pub fn deviations(&self, peaks: &[Peak], offset: TimeSteps, frames: Range<usize>) -> f32 {
        let end = frames.end.min(self.rows.len() / self.bins);
        // Refined times may stand before their neighbour's by a frame.
        let first = offset + TimeSteps::from_frames(frames.start as i64 - 1);
        let first = peaks.partition_point(|p| TimeSteps::from(p.time) < first);
        let (mut sum, mut pairs) = (0.0f32, 0u32);
        // The peaks that those to come are paired with, and what the clip's phases differ from theirs.
        let mut turns: Vec<(TimeSteps<u32>, BinSteps, u8)> = Vec::new();
        let mut oldest = 0;
        for peak in &peaks[first..] {
            let time = peak.time - offset;
            let frame = time.nearest_frame();
            if frame > end as i64 {
                break;
            }
            let Some(turned) = self.turned(peak, time, frame, frames.start..end) else { continue };
            let apart = |time| peak.time.since(time).whole_frame();
            let too_old = |turn: &&(TimeSteps<u32>, BinSteps, u8)| {
                apart(turn.0) >= self.widths.farthest_frames
            };
            oldest += turns[oldest..].iter().take_while(too_old).count();
            for &(time, bin, other) in &turns[oldest..] {
                if bin.abs_diff(peak.bin) <= self.widths.one_frequency
                    && apart(time) >= self.widths.nearest_frames
                {
                    sum += self.cosines[usize::from(turned.wrapping_sub(other))];
                    pairs += 1;
                }
            }
            turns.push((peak.time, peak.bin, turned));
        }
        if pairs < FEWEST_PAIRS { 0.0 } else { sum / (pairs as f32 / 2.0).sqrt() }
    }

    /// By how much the clip's phase under a peak is ahead of the peak's, if it stands in the clip: at
    /// `time`, which is nearest to the middle of `frame`.
    fn turned(&self, peak: &Peak, time: TimeSteps, frame: i64, frames: Range<usize>) -> Option<u8> {
        let frame = usize::try_from(frame).ok().filter(|frame| frames.contains(frame))?;
        let bin = peak.bin.nearest_bin();
        let phase = *self.rows[frame * self.bins..][..self.bins].get(bin)?;
        let late = time - TimeSteps::from_frames(frame as i64);
        Some(self.advance.of(phase, bin, peak.bin, late).wrapping_sub(peak.phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fingerprint::{Fingerprint, Fingerprinter, Query};
    use crate::testing::{music, noise, rng};
    use crate::units::SampleRate;

    /// A track and a clip from its frame 100 on, passed through `channel`.
    fn pair(seconds: f32, channel: impl Fn(&[f32]) -> Vec<f32>) -> (Fingerprint, Query) {
        let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
        let song = music(30.0, 11);
        let track = fingerprinter.fingerprint(&song, SampleRate::default()).unwrap();
        let clip = channel(&song[25_600..][..(seconds * 8000.0) as usize]);
        (track, fingerprinter.query(&clip, SampleRate::default()).unwrap())
    }

    /// The definition, written down as it reads: in floating point, all pairs.
    fn naive(query: &Phases, peaks: &[Peak], offset: TimeSteps, frames: usize) -> f64 {
        let first_bin = Config::default().stft.first_bin() as f64;
        let turns: Vec<(f64, f64, f64)> = (peaks.iter())
            .filter_map(|p| {
                let (time, bin) = ((p.time - offset).0 as f64 / 16.0, f64::from(p.bin.0) / 16.0);
                let (frame, cell) = ((time + 1e-9).round(), (bin + 1e-9).round());
                if !(0.0..frames as f64).contains(&frame) {
                    return None;
                }
                let clip = query.rows[frame as usize * query.bins + cell as usize];
                // Turns in the seconds from the frame's middle to the peak.
                let late_s = (time - frame) * 256.0 / 8000.0;
                let advance = (first_bin + bin) * 8000.0 / 2048.0 * late_s;
                // Half a turn for each bin from a frame's beginning to its middle.
                let advance = advance + (first_bin + cell) / 2.0;
                Some((time, bin, f64::from(clip) / 256.0 + advance - f64::from(p.phase) / 256.0))
            })
            .collect();
        let (mut sum, mut pairs) = (0.0, 0.0f64);
        for (i, a) in turns.iter().enumerate() {
            for b in &turns[i + 1..] {
                let apart = (b.0 - a.0).max(0.0).floor();
                if (a.1 - b.1).abs() <= 2.0 && (10.0..94.0).contains(&apart) {
                    sum += (TAU * (a.2 - b.2)).cos();
                    pairs += 1.0;
                }
            }
        }
        sum / (pairs / 2.0).sqrt()
    }

    #[test]
    fn deviations_agree_with_their_definition() {
        let (track, clip) = pair(5.0, <[f32]>::to_vec);
        let frames = clip.levels().frames();
        let mut random = rng(4);
        for i in 0..30 {
            let offset = TimeSteps(if i == 0 { 1600 } else { (random() * 10_000.0) as i64 });
            let found = clip.phases().deviations(track.peaks(), offset, 0..usize::MAX);
            let want = naive(clip.phases(), track.peaks(), offset, frames);
            // Advances are rounded to 1/256 of a turn.
            assert!((f64::from(found) - want).abs() < 0.15, "{offset:?}: {found}, {want}");
        }
    }

    /// Echoes, a filter, the other polarity, a delay: all the same at all times.
    #[test]
    fn what_a_room_does_to_phases_does_not_count() {
        let channel = |clip: &[f32]| -> Vec<f32> {
            let at = |i: usize, late: usize| i.checked_sub(late).map_or(0.0, |i| clip[i]);
            let early = |i| -0.5 * at(i, 31) + 0.4 * at(i, 77) - 0.7 * at(i, 1);
            (0..clip.len()).map(|i| early(i) - 0.3 * at(i, 901) + 0.2 * at(i, 1733)).collect()
        };
        let (track, clip) = pair(5.0, channel);
        let at = |offset| clip.phases().deviations(track.peaks(), TimeSteps(offset), 0..usize::MAX);
        assert!(at(1600) > 8.0, "{}", at(1600));
        let elsewhere = (0..20).map(|i| at(3000 + 71 * i)).fold(0.0, f32::max);
        assert!(elsewhere < 5.0, "{elsewhere}");
    }

    #[test]
    fn in_noise_of_other_phases_deviations_are_those_of_chance() {
        let (track, _) = pair(5.0, <[f32]>::to_vec);
        let config = Config::default().stft;
        let mut found = Vec::new();
        for seed in 0..40 {
            let rows = noise(150 * config.bins(), seed);
            let rows = rows.iter().map(|x| (x * 127.0) as i8 as u8).collect();
            let phases = Phases::new(rows, &config);
            let offset = TimeSteps(97 * seed as i64);
            found.push(phases.deviations(track.peaks(), offset, 0..usize::MAX));
        }
        let mean = found.iter().sum::<f32>() / 40.0;
        let variance = found.iter().map(|x| x * x).sum::<f32>() / 40.0;
        assert!(mean.abs() < 0.6 && (0.5..1.7).contains(&variance), "{mean} {variance}");
        // A frequency that no spectrogram has, as files may hold it.
        let high = |p: &Peak| Peak { bin: BinSteps(u16::MAX), ..*p };
        let high: Vec<Peak> = track.peaks().iter().map(high).collect();
        let few = &track.peaks()[..5];
        let phases = Phases::new(vec![0; 150 * config.bins()], &config);
        assert!(phases.deviations(&high, TimeSteps(0), 0..usize::MAX).abs() < f32::EPSILON);
        assert!(phases.deviations(few, TimeSteps(0), 0..usize::MAX).abs() < f32::EPSILON);
        assert!(
            phases.deviations(track.peaks(), TimeSteps(i64::MIN / 2), 0..9).abs() < f32::EPSILON
        );
    }
}
