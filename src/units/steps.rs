//! Times and frequencies of peaks, finer than the spectrogram's grid.

use super::STEPS;
use bincode::{Decode, Encode};
use std::ops::{Add, Mul, Sub};

/// Rounded times go so far, that sums of some of them do too.
const FARTHEST: f64 = 1e15;

/// A time, or a difference of times, in time steps: 1/[`STEPS`] of a frame.
///
/// A [`Peak`](crate::peaks::Peak) counts them from the middle of frame 0, in a `u32`. Differences, and offsets
/// of a clip in a track, may be negative, and are `i64`. As `f64`, they are not rounded yet.
///
/// ```
/// use earmark::units::TimeSteps;
/// let (peak, offset) = (TimeSteps::of_frame(200), TimeSteps::from_frames(150));
/// assert_eq!(peak - offset, TimeSteps(800)); // 50 frames
/// assert_eq!((peak - offset).seconds(0.032), 1.6);
/// ```
///
/// Frames are no time steps, nor are frequencies:
///
/// ```compile_fail,E0308
/// # use earmark::{evidence::peaks::{Evidence, LevelMap}, peaks::Peak};
/// fn weigh(clip: &LevelMap, track: &[Peak], frame: i64) -> Evidence {
///     clip.weigh(track, frame, 0..usize::MAX)
/// }
/// ```
/// ```compile_fail,E0308
/// # use earmark::peaks::Peak;
/// fn swapped(peak: Peak) -> Peak {
///     Peak { time: peak.bin, bin: peak.time, ..peak }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TimeSteps<N = i64>(pub N);

/// A frequency, or a difference of frequencies, in bin steps: 1/[`STEPS`] of a bin.
///
/// A [`Peak`](crate::peaks::Peak) counts them from the analysis band's first bin
/// ([`StftConfig::first_bin`](crate::config::StftConfig::first_bin)), in a `u16`. A difference may be negative,
/// and is an `i16`.
///
/// ```
/// use earmark::units::BinSteps;
/// let frequency = BinSteps(1_609);
/// assert_eq!((frequency.whole_bin(), frequency.nearest_bin()), (100, 101));
/// assert_eq!(frequency.in_bins(), 100.5625);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct BinSteps<N = u16>(pub N);

impl TimeSteps<u32> {
    /// The middle of a frame; the last time there is for those beyond 2^28.
    #[inline]
    #[must_use]
    pub const fn of_frame(frame: u32) -> Self {
        Self(frame.saturating_mul(STEPS))
    }

    /// The last frame whose middle is not later.
    #[inline]
    #[must_use]
    pub const fn whole_frame(self) -> u32 {
        self.0 / STEPS
    }

    /// The frame whose middle is nearest; of two, the later one.
    #[inline]
    #[must_use]
    pub const fn nearest_frame(self) -> u32 {
        self.0.saturating_add(STEPS / 2) / STEPS
    }

    /// The same as a number of frames.
    #[inline]
    #[must_use]
    pub fn in_frames(self) -> f64 {
        f64::from(self.0) / f64::from(STEPS)
    }

    /// How far two times are apart.
    #[inline]
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }

    /// The time that has passed since `begin`: none before it.
    #[inline]
    #[must_use]
    pub const fn since(self, begin: Self) -> Self {
        Self(self.0.saturating_sub(begin.0))
    }
}

impl TimeSteps {
    /// One frame.
    pub const FRAME: Self = Self(STEPS as i64);

    /// So many frames.
    #[inline]
    #[must_use]
    pub const fn from_frames(frames: i64) -> Self {
        Self(frames * STEPS as i64)
    }

    /// The same in seconds, `hop_s` of which are a frame.
    #[must_use]
    pub fn seconds(self, hop_s: f64) -> f64 {
        self.in_frames() * hop_s
    }

    /// The frame whose middle is nearest; of two, the later one.
    #[inline]
    #[must_use]
    pub const fn nearest_frame(self) -> i64 {
        (self.0 + STEPS as i64 / 2).div_euclid(STEPS as i64)
    }

    /// The same as a number of frames.
    #[inline]
    #[must_use]
    pub fn in_frames(self) -> f64 {
        self.0 as f64 / f64::from(STEPS)
    }

    /// So many times as much, rounded.
    #[must_use]
    pub fn scaled(self, times: f64) -> Self {
        TimeSteps(self.0 as f64 * times).round()
    }

    /// Its amount, without the sign.
    #[inline]
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }
}

impl TimeSteps<f64> {
    /// So many seconds, `hop_s` of which are a frame.
    #[must_use]
    pub fn from_seconds(seconds: f64, hop_s: f64) -> Self {
        Self(seconds / hop_s * f64::from(STEPS))
    }

    /// The nearest whole number of steps, 10^15 at most to either side.
    #[must_use]
    pub fn round(self) -> TimeSteps {
        TimeSteps(self.0.round().clamp(-FARTHEST, FARTHEST) as i64)
    }
}

impl From<TimeSteps<u32>> for TimeSteps {
    #[inline]
    fn from(time: TimeSteps<u32>) -> Self {
        Self(time.0.into())
    }
}

impl Add for TimeSteps {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for TimeSteps {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// A peak's time, counted from another beginning.
impl Sub<TimeSteps> for TimeSteps<u32> {
    type Output = TimeSteps;

    #[inline]
    fn sub(self, other: TimeSteps) -> TimeSteps {
        TimeSteps(i64::from(self.0) - other.0)
    }
}

impl Mul<i64> for TimeSteps {
    type Output = Self;

    #[inline]
    fn mul(self, times: i64) -> Self {
        Self(self.0 * times)
    }
}

impl BinSteps {
    /// One bin.
    pub const BIN: Self = Self(STEPS as u16);

    /// The last bin whose middle is not higher.
    #[inline]
    #[must_use]
    pub const fn whole_bin(self) -> usize {
        self.0 as usize / STEPS as usize
    }

    /// The bin whose middle is nearest; of two, the higher one.
    #[inline]
    #[must_use]
    pub const fn nearest_bin(self) -> usize {
        (self.0 as usize + STEPS as usize / 2) / STEPS as usize
    }

    /// The same as a number of bins.
    #[inline]
    #[must_use]
    pub fn in_bins(self) -> f32 {
        f32::from(self.0) / STEPS as f32
    }

    /// How far two frequencies are apart.
    #[inline]
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::Kind;

    #[test]
    fn times_are_of_the_frames_that_they_are_nearest_to() {
        for (steps, whole, nearest, frames) in [
            (0, 0, 0, 0.0),
            (7, 0, 0, 0.4375),
            (8, 0, 1, 0.5),
            (16, 1, 1, 1.0),
            (31, 1, 2, 1.9375),
            (u32::MAX, (1 << 28) - 1, (1 << 28) - 1, 268_435_455.937_5),
        ] {
            let time = TimeSteps(steps);
            assert_eq!((time.whole_frame(), time.nearest_frame()), (whole, nearest), "{steps}");
            assert_eq!(time.in_frames(), frames);
        }
        assert_eq!(TimeSteps::of_frame(3), TimeSteps(48));
        assert_eq!(TimeSteps::of_frame(u32::MAX), TimeSteps(u32::MAX));
    }

    #[test]
    fn times_have_differences_of_both_signs() {
        let (early, late) = (TimeSteps(10u32), TimeSteps(90u32));
        assert_eq!(early - TimeSteps::from(late), TimeSteps(-80));
        assert_eq!((early - TimeSteps(90)).abs(), TimeSteps(80));
        assert_eq!(early.abs_diff(late), TimeSteps(80));
        assert_eq!((late.since(early), early.since(late)), (TimeSteps(80), TimeSteps(0)));
        assert_eq!(TimeSteps::from_frames(-2) + TimeSteps::FRAME * 5, TimeSteps(48));
    }

    #[test]
    fn steps_are_seconds_by_the_hop() {
        // A hop of 256 samples at 8 kHz.
        assert_eq!(TimeSteps(1i64).seconds(0.032), 0.002);
        assert_eq!(TimeSteps::from_frames(-1_000).seconds(0.032), -32.0);
        assert_eq!(TimeSteps::from_seconds(0.5, 0.032), TimeSteps(250.0));
        assert_eq!(TimeSteps(-2.5).round(), TimeSteps(-3));
        assert_eq!(TimeSteps(f64::INFINITY).round(), TimeSteps(1_000_000_000_000_000));
    }

    #[test]
    fn frequencies_are_of_the_bins_that_they_are_nearest_to() {
        for (steps, whole, nearest, bins) in
            [(0, 0, 0, 0.0), (8, 0, 1, 0.5), (23, 1, 1, 1.4375), (u16::MAX, 4095, 4096, 4095.9375)]
        {
            let bin = BinSteps(steps);
            assert_eq!((bin.whole_bin(), bin.nearest_bin()), (whole, nearest), "{steps}");
            assert_eq!(bin.in_bins(), bins);
        }
        assert_eq!(BinSteps(3).abs_diff(BinSteps(20)), BinSteps(17));
    }

    /// What is stored is the number alone.
    #[test]
    fn newtypes_take_no_room() {
        let kind = Kind { name: "steps", magic: b"EARMARKS", version: 1 };
        let plain = kind.seal(|content| content.record(&(-70_000i64, 9u16))).unwrap();
        let steps = (TimeSteps(-70_000i64), BinSteps(9u16));
        assert_eq!(kind.seal(|content| content.record(&steps)).unwrap(), plain);
        assert_eq!(size_of::<crate::peaks::Peak>(), 12);
    }
}
