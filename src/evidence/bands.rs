//! How well a track's sub-fingerprints go with a clip.
//!
//! Laid side by side where the peaks put them, the sub-fingerprints of a track and the levels of the
//! clip's bands are two pictures, of which the average of each band and of each moment is taken
//! away: what a room, a loudspeaker or a steady noise adds is mostly there. What is left of them
//! correlates, or does not.
//!
//! By chance, pictures correlate the more, the coarser their grain is: long notes and wide chords
//! make few independent cells of many. How coarse each is shows in its correlation with itself, and
//! the variance that chance gives is the sum of the products of both (M. S. Bartlett, "Some aspects of
//! the time-correlation problem in regard to tests of significance", 1935), taken here over times
//! and over bands apart.

use crate::arithmetic::sum;
use crate::bands::{BANDS, Bands, BinsOfBands, FRAMES, OfBands, add, in_parts, shares};
use crate::calibration::widths::Widths;
use crate::config::StftConfig;
use crate::packing::make_room;
use crate::units::TimeSteps;
use crate::wide;
use std::ops::Range;

/// The levels of a clip's bands.
///
/// ```
/// use earmark::{Config, Fingerprinter, SampleRate, units::TimeSteps};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let rate = SampleRate::new(8000)?;
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let track = fingerprinter.fingerprint(&song, rate)?;
/// let clip = fingerprinter.query(&song[51_200..91_200], rate)?; // from its frame 200 on
///
/// let at = |frame: i64| {
///     let offset = TimeSteps::from_frames(frame);
///     clip.bands().deviations(track.sub_fingerprints(), offset, (1.0, 1.0), 0..usize::MAX, 0.1)
/// };
/// assert!(at(200) > 2.0 && at(200) > 2.0 * at(300));
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BandLevels {
    bands: Bands,
    /// The bins of each band at the pitch of the clip.
    of_bands: BinsOfBands,
    bins: usize,
    widths: Widths,
    /// Frame after frame, in parts of a dB.
    cells: Vec<i16>,
    /// The bands' levels, at the pitch of the clip.
    levels: Vec<OfBands>,
}

/// Cells in rows of [`BANDS`].
struct Picture {
    cells: Vec<f32>,
    power: f32,
}

impl BandLevels {
    /// Takes the levels of all frames, in rows of dB, as the transform with `config` gives them.
    #[must_use]
    pub fn new(levels_db: &[f32], config: &StftConfig) -> Self {
        let rows = levels_db.chunks_exact(config.bins().max(1));
        let mut made = Self::with_room(config, rows.len());
        rows.for_each(|row| made.push(row));
        made
    }

    /// None as yet, but so many are expected.
    pub(crate) fn with_room(config: &StftConfig, frames: usize) -> Self {
        let (bands, bins) = (Bands::new(config), config.bins().max(1));
        let (cells, levels) = (Vec::with_capacity(frames * bins), Vec::with_capacity(frames));
        Self { of_bands: bands.bins(1.0), bands, bins, widths: Widths::new(config), cells, levels }
    }

    /// Takes the next frame's levels in dB.
    pub(crate) fn push(&mut self, levels_db: &[f32]) {
        make_room(&mut self.cells, self.bins);
        make_room(&mut self.levels, 1);
        let begin = self.cells.len();
        self.cells.extend(levels_db[..self.bins].iter().map(|&level_db| in_parts(level_db)));
        self.levels.push(self.of_bands.of_parts(&self.cells[begin..]));
    }

    /// Gives back the room that is left.
    pub(crate) fn shrink(&mut self) {
        self.cells.shrink_to_fit();
        self.levels.shrink_to_fit();
    }

    /// Forgets the first frames.
    pub(crate) fn forget(&mut self, frames: usize) {
        self.cells.drain(..frames * self.bins);
        self.levels.drain(..frames);
    }

    /// The last frames alone.
    pub(crate) fn last(&self, frames: usize) -> Self {
        let first = self.levels.len() - frames;
        Self {
            bands: self.bands.clone(),
            of_bands: self.of_bands.clone(),
            bins: self.bins,
            widths: self.widths,
            cells: self.cells[first * self.bins..].to_vec(),
            levels: self.levels[first..].to_vec(),
        }
    }

    /// How far a track's sub-fingerprints agree with the clip beyond what chance gives, in its
    /// deviations: about 0 where the clip is not, 2 to 10 where it is. Frame 0 of the clip is
    /// `offset` after the track's; the clip's tempo and frequencies are
    /// `tempo` and `pitch` times the track's. Only the clip's frames within `frames` count. 0 where
    /// there are too few of them. Each further sub-fingerprint adds `dispersion` to the variance that
    /// the grain explains, for music of one kind goes together for as long as it lasts
    /// ([`Dispersion`](crate::calibration::Dispersion)).
    #[must_use]
    pub fn deviations(
        &self,
        sub_fingerprints: &[u64],
        offset: TimeSteps,
        (tempo, pitch): (f64, f64),
        frames: Range<usize>,
        dispersion: f64,
    ) -> f32 {
        let end = frames.end.min(self.levels.len());
        let frames = frames.start.min(end)..end;
        let shifted = (pitch != 1.0).then(|| self.shifted(pitch, &frames));
        let levels = shifted.as_deref().unwrap_or(&self.levels[frames.clone()]);
        let (mut clip, mut track) = (Vec::new(), Vec::new());
        let offset = offset.in_frames();
        // The first frame, from the stretch's beginning, of those that a sub-fingerprint tells of.
        let middle = (FRAMES - 1) as f64 / 2.0;
        let first_frame = |i: usize| {
            let centre = ((i * FRAMES) as f64 + middle - offset) / tempo;
            (centre - middle).round() - frames.start as f64
        };
        let earliest = (frames.start as f64 * tempo + offset) / FRAMES as f64 - 2.0;
        let earliest = earliest.max(0.0) as usize;
        for (i, bits) in sub_fingerprints.iter().enumerate().skip(earliest) {
            let first = first_frame(i);
            if first < 0.0 {
                continue;
            }
            let first = first as usize;
            let Some(rows) = levels.get(first..first.saturating_add(FRAMES)) else { break };
            let mut sum = [0; BANDS];
            rows.iter().for_each(|row| add(&mut sum, row));
            clip.extend(shares(&sum).map(|share| share as f32));
            track.extend((0..BANDS).map(|band| if bits >> band & 1 == 1 { 1.0 } else { -1.0 }));
        }
        if clip.len() < self.widths.fewest_sub_fingerprints * BANDS {
            return 0.0;
        }
        let longest_lag = self.widths.longest_lag;
        wide::run(
            #[inline(always)]
            || {
                let pictures = (&Picture::new(clip), &Picture::new(track));
                deviations(pictures, longest_lag, dispersion as f32)
            },
        )
    }

    /// The bands' levels in some frames, with their frequencies multiplied by `pitch`.
    fn shifted(&self, pitch: f64, frames: &Range<usize>) -> Vec<OfBands> {
        let rows = &self.cells[frames.start * self.bins..frames.end * self.bins];
        let of_bands = self.bands.bins(pitch);
        rows.chunks_exact(self.bins).map(|row| of_bands.of_parts(row)).collect()
    }
}

impl Picture {
    /// Takes away the average of each row and column.
    #[inline(always)]
    fn new(mut cells: Vec<f32>) -> Self {
        let mut columns = [0.0f32; BANDS];
        for row in cells.chunks_exact_mut(BANDS) {
            let mean = sum(row) / BANDS as f32;
            for (column, cell) in columns.iter_mut().zip(row) {
                *cell -= mean;
                *column += *cell;
            }
        }
        let rows = (cells.len() / BANDS) as f32;
        for row in cells.chunks_exact_mut(BANDS) {
            row.iter_mut().zip(&columns).for_each(|(cell, column)| *cell -= column / rows);
        }
        Self { power: product(&cells, &cells), cells }
    }

    /// Correlation with itself so many rows later.
    #[inline(always)]
    fn over_time(&self, rows: usize) -> f32 {
        product(&self.cells, &self.cells[rows * BANDS..]) / self.power
    }

    /// Correlation with itself so many bands higher.
    #[inline(always)]
    fn over_bands(&self, bands: usize) -> f32 {
        let mut sum = 0.0f32;
        for row in self.cells.chunks_exact(BANDS) {
            sum += product(row, &row[bands..]);
        }
        sum / self.power
    }
}

/// The correlation of two pictures of one size, in deviations of what chance gives.
#[inline(always)]
fn deviations((a, b): (&Picture, &Picture), longest_lag: usize, dispersion: f32) -> f32 {
    let power = (a.power * b.power).sqrt();
    if power <= 0.0 {
        return 0.0;
    }
    let rows = a.cells.len() / BANDS;
    let (mut times, mut bands) = (0.0f32, 0.0f32);
    for lag in 1..rows.min(longest_lag) {
        times += a.over_time(lag) * b.over_time(lag);
    }
    for lag in 1..BANDS {
        bands += a.over_bands(lag) * b.over_bands(lag);
    }
    let grain = ((1.0 + 2.0 * times) * (1.0 + 2.0 * bands)).max(1.0);
    let correlation = product(&a.cells, &b.cells) / power;
    let independent = a.cells.len() as f32 / grain;
    correlation * (independent / (1.0 + dispersion * rows as f32)).sqrt()
}

/// Sum of products, as far as both go. In eight lanes, as [`sum`].
#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let n = a.len().min(b.len());
    let (a, b) = (a[..n].chunks_exact(8), b[..n].chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for i in 0..8 {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bands::SubFingerprinter;
    use crate::spectrogram::Spectrogram;
    use crate::testing::{music, noise, rng};

    fn sub_fingerprints(levels_db: &[f32], config: &StftConfig) -> Vec<u64> {
        let mut maker = SubFingerprinter::new(config);
        let mut words = Vec::new();
        levels_db.chunks_exact(config.bins()).for_each(|row| maker.push(row, |w| words.push(w)));
        maker.finish(|word| words.push(word));
        words
    }

    fn levels(samples: &[f32]) -> Vec<f32> {
        Spectrogram::new(samples, &StftConfig::default())
            .unwrap()
            .levels_db
            .into_raw_vec_and_offset()
            .0
    }

    #[test]
    fn a_clip_agrees_with_its_place_even_in_noise_and_with_no_other() {
        let config = StftConfig::default();
        let song = music(30.0, 3);
        let words = sub_fingerprints(&levels(&song), &config);
        let clip = &song[256 * 300..256 * 300 + 40_000];
        let noisy: Vec<f32> = clip.iter().zip(noise(40_000, 5)).map(|(x, n)| x + 0.1 * n).collect();
        for (samples, least) in [(clip, 4.0), (&noisy, 2.0)] {
            let bands = BandLevels::new(&levels(samples), &config);
            let deviations = |offset| {
                bands.deviations(
                    &words,
                    TimeSteps::from_frames(offset),
                    (1.0, 1.0),
                    0..usize::MAX,
                    0.1,
                )
            };
            assert!(deviations(300) > least, "{}", deviations(300));
            for other in [0, 120, 250, 420, 600] {
                assert!(
                    deviations(other) < 0.5 * deviations(300),
                    "{other}: {}",
                    deviations(other)
                );
            }
            // A part of it does, too.
            let part =
                bands.deviations(&words, TimeSteps::from_frames(300), (1.0, 1.0), 40..110, 0.1);
            assert!(part > 0.3 * least, "{part}");
        }
    }

    #[test]
    fn a_clip_of_another_speed_agrees_once_that_is_known() {
        let config = StftConfig::default();
        let song = music(30.0, 3);
        let words = sub_fingerprints(&levels(&song), &config);
        let ratio = 1.1;
        // Linear interpolation is good enough for the levels of bands.
        let sample = |i: usize| {
            let t = 100_000.0 + i as f64 * ratio;
            let (at, part) = (t as usize, t.fract() as f32);
            song[at] * (1.0 - part) + song[at + 1] * part
        };
        let clip: Vec<f32> = (0..40_000).map(sample).collect();
        let bands = BandLevels::new(&levels(&clip), &config);
        let deviations = |tempo, pitch| {
            // The centres of the first windows coincide.
            let offset = (100_000.0 + 1024.0 * tempo - 1024.0) / 256.0 * 16.0;
            bands.deviations(&words, TimeSteps(offset).round(), (tempo, pitch), 0..usize::MAX, 0.1)
        };
        let right = deviations(ratio, ratio);
        assert!(right > 3.0, "{right}");
        for wrong in [deviations(1.0, 1.0), deviations(ratio, 1.0), deviations(1.0, ratio)] {
            assert!(wrong < 0.6 * right, "{wrong} {right}");
        }
    }

    #[test]
    fn too_little_or_nothing_says_nothing() {
        let config = StftConfig::default();
        let words = sub_fingerprints(&levels(&music(10.0, 3)), &config);
        let silence = BandLevels::new(&vec![-200.0; 100 * config.bins()], &config);
        let clip = BandLevels::new(&levels(&music(4.0, 1)), &config);
        let deviations = |clip: &BandLevels, words: &[u64], offset, frames| {
            clip.deviations(words, TimeSteps::from_frames(offset), (1.0, 1.0), frames, 0.1)
        };
        assert_eq!(deviations(&silence, &words, 0, 0..100), 0.0);
        assert_eq!(deviations(&clip, &[], 0, 0..100), 0.0);
        assert_eq!(deviations(&clip, &words, 0, 20..30), 0.0);
        assert_eq!(deviations(&clip, &words, 0, 20..20), 0.0);
        assert_eq!(deviations(&clip, &words, i64::from(u32::MAX), 0..100), 0.0);
        assert_eq!(deviations(&clip, &words, -i64::from(u32::MAX), 0..100), 0.0);
        for odd in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(
                clip.deviations(&words, TimeSteps(0), (odd, 1.0), 0..100, 0.1).is_finite(),
                "tempo {odd}"
            );
            assert!(
                clip.deviations(&words, TimeSteps(0), (1.0, odd), 0..100, 0.1).is_finite(),
                "pitch {odd}"
            );
        }
    }

    /// Pictures of noise that was smoothed over so many rows and bands: what chance gives has the
    /// variance that is said, whatever the grain.
    #[test]
    fn chance_varies_as_much_as_is_said() {
        let mut random = rng(11);
        let rows = 40;
        let mut picture = |over_rows: usize, over_bands: usize| {
            let fine: Vec<Vec<f32>> = (0..rows + over_rows)
                .map(|_| (0..BANDS + over_bands).map(|_| random() - 0.5).collect())
                .collect();
            let cell = |row: usize, band: usize| -> f32 {
                fine[row..row + over_rows].iter().flat_map(|r| &r[band..band + over_bands]).sum()
            };
            Picture::new((0..rows * BANDS).map(|i| cell(i / BANDS, i % BANDS)).collect())
        };
        for (over_rows, over_bands) in [(1, 1), (4, 1), (1, 5), (4, 5)] {
            let n = 150;
            let spread = 1.0 + 0.1 * rows as f32;
            let squares: f32 = (0..n)
                .map(|_| {
                    let (a, b) = (picture(over_rows, over_bands), picture(over_rows, over_bands));
                    deviations((&a, &b), 64, 0.1).powi(2) * spread
                })
                .sum();
            let variance = squares / n as f32;
            assert!((0.6..1.6).contains(&variance), "{over_rows} {over_bands}: {variance}");
        }
    }
}
