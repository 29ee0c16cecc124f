//! Spectral peaks: local maxima of the spectrogram that stand out, spread over time and frequency.
//!
//! A cell is a peak when it is the highest within the configured radius of frames and bins and
//! stands above the mean level of its surroundings (its *contrast*). Steady tones, and what is far
//! below the loudest cell of its frame, are left out. Peaks are then ranked against
//! their neighbours: a peak's *rank* is the number of peaks in the same frequency band, within the
//! rank radius in time, that have more contrast. Keeping low ranks spreads peaks evenly, moves with
//! the audio (no block borders), and nests: the peaks of a sparse reference are among those of a
//! dense query.
//!
//! The constellation of peaks goes back to A. Wang, "An industrial-strength audio search algorithm"
//! (ISMIR 2003); positions are refined by a parabola through the neighbouring cells.

use crate::config::{PeakConfig, StftConfig};
use crate::spectrogram::{Axes, Frame};
use bincode::{Decode, Encode};
use std::collections::VecDeque;

/// Steps of [`Peak::time`] per frame and of [`Peak::bin`] per bin.
pub const STEPS: u32 = 16;

/// A peak stands at least this far above its bin's level at one end of its reach in time.
const MIN_RISE_DB: f32 = 0.1;

/// One peak. Positions are refined below the grid and stored in sixteenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Peak {
    /// Time in 1/[`STEPS`] of a frame; frame 0 is centred half a window into the signal.
    pub time: u32,
    /// Frequency in 1/[`STEPS`] of a bin, from the analysis band's first bin.
    pub bin: u16,
    /// Height above the surroundings in quarters of a dB.
    pub contrast: u8,
    /// Number of neighbours in its band with more contrast.
    pub rank: u8,
}

impl Peak {
    /// Time in seconds from the signal's beginning.
    #[must_use]
    pub fn time_s(&self, axes: &Axes) -> f64 {
        axes.time_s(f64::from(self.time) / f64::from(STEPS))
    }

    /// Frequency in Hz.
    #[must_use]
    pub fn frequency_hz(&self, axes: &Axes) -> f32 {
        axes.frequency_hz(f32::from(self.bin) / STEPS as f32)
    }

    /// Height above the mean level around it, in dB (63.75 at most).
    #[must_use]
    pub fn contrast_db(&self) -> f32 {
        f32::from(self.contrast) / 4.0
    }
}

/// A local maximum that waits for its rank.
#[derive(Clone, Copy)]
struct Candidate {
    frame: u32,
    time: u32,
    bin: u16,
    band: u8,
    rank: u8,
    contrast_db: f32,
}

/// Streaming peak picker: push frames, get peaks, in order of frame and bin.
///
/// A peak comes out `time_radius_frames + rank_radius_frames` frames after its own. State is
/// bounded; once warm, pushing allocates nothing.
///
/// ```
/// use earmark::{Config, peaks::PeakPicker, spectrogram::Stft};
/// let config = Config::default();
/// let mut stft = Stft::new(&config.stft)?;
/// let mut picker = PeakPicker::new(&config.peaks, &config.stft);
/// let chirp: Vec<f32> = (0..32_000).map(|i| (1e-5 * (i as f32).powi(2)).sin()).collect();
/// let mut peaks = Vec::new();
/// stft.push(&chirp, |frame| picker.push(frame, |peak| peaks.push(peak)));
/// picker.finish(|peak| peaks.push(peak));
/// assert!(peaks.iter().all(|p| p.rank < config.peaks.query_rank));
/// # Ok::<(), earmark::Error>(())
/// ```
pub struct PeakPicker {
    config: PeakConfig,
    bins: usize,
    /// Band of each bin.
    band_of_bin: Vec<u8>,
    /// The last 2·radius + 1 frames, a ring of rows.
    levels_db: Vec<f32>,
    /// The same rows, each cell the maximum within ± `freq_radius_bins`.
    row_max_db: Vec<f32>,
    /// The power of each of these frames,
    power_db: Vec<f32>,
    /// and its loudest cell.
    loudest_db: Vec<f32>,
    /// Column-wise maximum of `row_max_db` over the rows in reach.
    reach_max_db: Vec<f32>,
    scratch: Vec<f32>,
    /// Frames pushed so far.
    frames: u32,
    waiting: VecDeque<Candidate>,
}

impl PeakPicker {
    /// Makes a picker for frames of `stft`. Both configurations must be valid
    /// (see [`Config::validate`](crate::Config::validate)).
    #[must_use]
    pub fn new(config: &PeakConfig, stft: &StftConfig) -> Self {
        let (bins, rows) = (stft.bins(), 2 * config.time_radius_frames + 1);
        let octaves =
            |bin: usize| ((stft.first_bin() + bin) as f32 / stft.first_bin() as f32).log2();
        let band_of_bin = (0..bins)
            .map(|bin| (octaves(bin) / octaves(bins) * config.bands as f32) as u8)
            .collect();
        Self {
            bins,
            band_of_bin,
            levels_db: vec![0.0; bins * rows],
            row_max_db: vec![0.0; bins * rows],
            power_db: vec![0.0; rows],
            loudest_db: vec![0.0; rows],
            reach_max_db: vec![0.0; bins],
            scratch: vec![0.0; bins + 2 * config.freq_radius_bins],
            frames: 0,
            waiting: VecDeque::with_capacity(256),
            config: config.clone(),
        }
    }

    /// Takes the next frame; calls `on_peak` for each peak that is settled by it.
    pub fn push(&mut self, frame: Frame<'_>, on_peak: impl FnMut(Peak)) {
        let row = self.row(self.frames);
        self.levels_db[row.clone()].copy_from_slice(frame.levels_db);
        sliding_max(
            frame.levels_db,
            self.config.freq_radius_bins,
            &mut self.scratch,
            &mut self.row_max_db[row],
        );
        let rows = self.power_db.len();
        let at = self.frames as usize % rows;
        self.power_db[at] = frame.power_db;
        self.loudest_db[at] = frame.levels_db.iter().copied().fold(f32::NEG_INFINITY, greater);
        self.frames += 1;
        let radius = self.config.time_radius_frames as u32;
        if self.frames > radius {
            self.pick(self.frames - 1 - radius);
            self.settle(self.frames - radius, on_peak);
        }
    }

    /// Ends the signal: calls `on_peak` for the remaining peaks and makes ready for a new signal.
    pub fn finish(&mut self, mut on_peak: impl FnMut(Peak)) {
        let radius = self.config.time_radius_frames as u32;
        // The last frame has no successor and holds no peak.
        for centre in self.frames.saturating_sub(radius)..self.frames.saturating_sub(1) {
            self.pick(centre);
        }
        self.settle(u32::MAX, &mut on_peak);
        self.reset();
    }

    /// Forgets everything pushed, for a new signal.
    pub fn reset(&mut self) {
        self.frames = 0;
        self.waiting.clear();
    }

    fn row(&self, frame: u32) -> std::ops::Range<usize> {
        let row = frame as usize % self.power_db.len();
        row * self.bins..(row + 1) * self.bins
    }

    /// Finds the candidates of frame `centre`, all rows in reach (as far as they exist) being here.
    fn pick(&mut self, centre: u32) {
        let power_db = self.power_db[centre as usize % self.power_db.len()];
        if centre == 0 || power_db < self.config.silence_db {
            return;
        }
        let radius = self.config.time_radius_frames as u32;
        let (first, last) = (centre.saturating_sub(radius), (centre + radius).min(self.frames - 1));
        let mut reach = std::mem::take(&mut self.reach_max_db);
        reach.copy_from_slice(&self.row_max_db[self.row(first)]);
        for frame in first + 1..=last {
            for (max, &x) in reach.iter_mut().zip(&self.row_max_db[self.row(frame)]) {
                *max = greater(*max, x);
            }
        }
        let least_db =
            self.loudest_db[centre as usize % self.loudest_db.len()] - self.config.range_db;
        let row = self.row(centre);
        for (bin, &highest) in reach.iter().enumerate().take(self.bins - 1).skip(1) {
            let level = self.levels_db[row.start + bin];
            if level >= highest
                && level >= least_db
                && let Some(candidate) = self.candidate(centre, first, bin)
            {
                self.rank(candidate);
            }
        }
        self.reach_max_db = reach;
    }

    /// Refines and measures the maximum at (`centre`, `bin`), unless it only repeats an earlier one
    /// or has too little contrast.
    fn candidate(&self, centre: u32, first: u32, bin: usize) -> Option<Candidate> {
        let levels = &self.levels_db[self.row(centre)];
        let level = levels[bin];
        let repeats = (first..centre).any(|frame| self.row_max_db[self.row(frame)][bin] >= level)
            || levels[bin.saturating_sub(self.config.freq_radius_bins)..bin].contains(&level);
        if repeats {
            return None;
        }
        // A steady tone is no event: its maxima in time are rounding errors.
        let last = (centre + self.config.time_radius_frames as u32).min(self.frames - 1);
        let lowest = [first, last].map(|frame| self.levels_db[self.row(frame)][bin]);
        if level - lowest[0].min(lowest[1]) < MIN_RISE_DB {
            return None;
        }
        let radius = self.config.contrast_radius_bins;
        let around = &levels[bin.saturating_sub(radius)..(bin + radius + 1).min(self.bins)];
        let contrast_db = level - around.iter().sum::<f32>() / around.len() as f32;
        if contrast_db < self.config.min_contrast_db {
            return None;
        }
        let before = self.levels_db[self.row(centre - 1)][bin];
        let after = self.levels_db[self.row(centre + 1)][bin];
        let steps = STEPS as f32;
        let time = (centre as f32, vertex(before, level, after));
        let bin_steps = (bin as f32 + vertex(levels[bin - 1], level, levels[bin + 1])) * steps;
        Some(Candidate {
            frame: centre,
            time: (time.0 as u32 * STEPS).saturating_add_signed((time.1 * steps).round() as i32),
            bin: bin_steps.round() as u16,
            band: self.band_of_bin[bin],
            rank: 0,
            contrast_db,
        })
    }

    /// Ranks a new candidate and those it meets within the rank radius.
    fn rank(&mut self, mut new: Candidate) {
        let radius = self.config.rank_radius_frames as u32;
        for old in self.waiting.iter_mut().rev() {
            if old.frame + radius < new.frame {
                break;
            }
            if old.band == new.band {
                let weaker = if new.contrast_db > old.contrast_db { old } else { &mut new };
                weaker.rank = weaker.rank.saturating_add(1);
            }
        }
        self.waiting.push_back(new);
    }

    /// Releases the candidates that no frame from `next` on can outrank.
    fn settle(&mut self, next: u32, mut on_peak: impl FnMut(Peak)) {
        let radius = self.config.rank_radius_frames as u32;
        while let Some(c) = self.waiting.front() {
            if c.frame + radius >= next {
                break;
            }
            if c.rank < self.config.query_rank {
                on_peak(Peak {
                    time: c.time,
                    bin: c.bin,
                    contrast: (c.contrast_db * 4.0).min(255.0) as u8,
                    rank: c.rank,
                });
            }
            self.waiting.pop_front();
        }
    }
}

/// Where between −½ and ½ the parabola through three equidistant values has its maximum, the middle
/// value being the highest.
pub(crate) fn vertex(left: f32, middle: f32, right: f32) -> f32 {
    let curvature = 2.0 * middle - left - right;
    if curvature <= 0.0 { 0.0 } else { (0.5 * (right - left) / curvature).clamp(-0.5, 0.5) }
}

/// The greater of two numbers, neither of which is NaN: one instruction, unlike `f32::max`.
pub(crate) fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// `out[i]` = maximum of `row[i − radius ..= i + radius]`, cut at the ends.
///
/// Doubling: maxima over 1, 2, 4, … cells by shifted whole rows, then two overlapping ones cover
/// the window. No branch in the loops, so they vectorise.
pub(crate) fn sliding_max(row: &[f32], radius: usize, scratch: &mut [f32], out: &mut [f32]) {
    let window = 2 * radius + 1;
    scratch.fill(f32::NEG_INFINITY);
    scratch[radius..radius + row.len()].copy_from_slice(row);
    let mut width = 1;
    while 2 * width <= window {
        for i in 0..scratch.len() - width {
            scratch[i] = greater(scratch[i], scratch[i + width]);
        }
        width *= 2;
    }
    let second = &scratch[window - width..];
    for ((out, &a), &b) in out.iter_mut().zip(scratch.iter()).zip(second) {
        *out = greater(a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::spectrogram::{Spectrogram, Stft};
    use crate::testing::{music, noise, rng};
    use proptest::prelude::*;

    fn pick(samples: &[f32], config: &Config) -> Vec<Peak> {
        let mut stft = Stft::new(&config.stft).unwrap();
        let mut picker = PeakPicker::new(&config.peaks, &config.stft);
        let mut peaks = Vec::new();
        // Dirty state must not matter.
        stft.push(&noise(20_000, 77), |f| picker.push(f, |_| ()));
        stft.reset();
        picker.reset();
        stft.push(samples, |f| picker.push(f, |p| peaks.push(p)));
        picker.finish(|p| peaks.push(p));
        peaks
    }

    /// Every definition in the module's text, written down as it reads.
    fn brute_force(samples: &[f32], config: &Config) -> Vec<Peak> {
        let s = Spectrogram::new(samples, &config.stft).unwrap();
        let (frames, bins) = s.levels_db.dim();
        let (p, level) = (&config.peaks, |t: usize, b: usize| s.levels_db[(t, b)]);
        let octaves = |b: usize| {
            ((config.stft.first_bin() + b) as f32 / config.stft.first_bin() as f32).log2()
        };
        let mut found = Vec::new();
        for t in 1..frames.saturating_sub(1) {
            for b in 1..bins - 1 {
                let rows = t.saturating_sub(p.time_radius_frames)
                    ..=(t + p.time_radius_frames).min(frames - 1);
                let columns =
                    b.saturating_sub(p.freq_radius_bins)..=(b + p.freq_radius_bins).min(bins - 1);
                let highest =
                    rows.flat_map(|r| columns.clone().map(move |c| (r, c))).all(|(r, c)| {
                        let earlier = r < t || (r == t && c < b);
                        level(r, c) < level(t, b) || (level(r, c) == level(t, b) && !earlier)
                    });
                let near = b.saturating_sub(p.contrast_radius_bins)
                    ..(b + p.contrast_radius_bins + 1).min(bins);
                let n = near.len() as f32;
                let contrast = level(t, b) - near.map(|c| level(t, c)).sum::<f32>() / n;
                let loudest = (0..bins).map(|c| level(t, c)).fold(f32::MIN, f32::max);
                let audible = level(t, b) >= loudest - p.range_db;
                let ends = [
                    t.saturating_sub(p.time_radius_frames),
                    (t + p.time_radius_frames).min(frames - 1),
                ];
                let rises = ends.iter().any(|&end| level(t, b) - level(end, b) >= MIN_RISE_DB);
                if highest && audible && rises && contrast >= p.min_contrast_db {
                    let band = (octaves(b) / octaves(bins) * p.bands as f32) as usize;
                    found.push((t, b, band, contrast));
                }
            }
        }
        let refine = |a: f32, m: f32, z: f32| (0.5 * (z - a) / (2.0 * m - a - z)).clamp(-0.5, 0.5);
        found
            .iter()
            .enumerate()
            .map(|(i, &(t, b, band, contrast))| {
                let stronger = found.iter().enumerate().filter(|(j, o)| {
                    o.2 == band
                        && o.0.abs_diff(t) <= p.rank_radius_frames
                        && (o.3 > contrast || (o.3 == contrast && *j < i))
                });
                let dt = refine(level(t - 1, b), level(t, b), level(t + 1, b));
                let db = refine(level(t, b - 1), level(t, b), level(t, b + 1));
                Peak {
                    time: (t as f32 * 16.0 + (dt * 16.0).round()) as u32,
                    bin: ((b as f32 + db) * 16.0).round() as u16,
                    contrast: (contrast * 4.0).min(255.0) as u8,
                    rank: stronger.count().min(255) as u8,
                }
            })
            .filter(|peak| peak.rank < p.query_rank)
            .collect()
    }

    #[test]
    fn agrees_with_brute_force() {
        for (seed, radius) in [(1, 3), (2, 1), (3, 7)] {
            let mut config = Config::default();
            config.peaks.time_radius_frames = radius;
            config.peaks.freq_radius_bins = 4 * radius;
            config.peaks.rank_radius_frames = 5 * radius;
            for samples in [music(4.0, seed), noise(16_000, seed), noise(2048 + 256 * radius, seed)]
            {
                assert_eq!(pick(&samples, &config), brute_force(&samples, &config));
            }
        }
    }

    #[test]
    fn silence_constants_and_dither_have_no_peaks() {
        let config = Config::default();
        let mut random = rng(4);
        let mut triangular = || ((random() - random()) / 32768.0 * 32768.0).round() / 32768.0;
        let dither: Vec<f32> = (0..40_000).map(|_| triangular()).collect();
        for samples in [vec![0.0; 40_000], vec![0.5; 40_000], dither, vec![1.0], vec![]] {
            assert_eq!(pick(&samples, &config), []);
        }
    }

    #[test]
    fn a_click_in_a_tone_is_found_where_it_is() {
        let config = Config::default();
        let axes = Axes::new(&config.stft);
        let mut samples: Vec<f32> = noise(24_000, 8).iter().map(|x| x * 1e-3).collect();
        for i in 0..1600 {
            let t = i as f32 / 8000.0;
            // A Gaussian burst around 1.5 s at 1,234 Hz.
            let envelope = (-((t - 0.1) / 0.03).powi(2)).exp();
            samples[11_200 + i] += envelope * (std::f32::consts::TAU * 1234.0 * t).sin();
        }
        let peaks = pick(&samples, &config);
        let loudest = peaks.iter().max_by_key(|p| p.contrast).unwrap();
        assert!((loudest.time_s(&axes) - 1.5).abs() < 0.004, "{}", loudest.time_s(&axes));
        assert!((loudest.frequency_hz(&axes) - 1234.0).abs() < 0.6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn sliding_maximum_agrees_with_the_obvious_one(
            row in prop::collection::vec(-100f32..0.0, 16..200), radius in 1usize..40,
        ) {
            let mut scratch = vec![0.0; row.len() + 2 * radius];
            let mut out = vec![0.0; row.len()];
            sliding_max(&row, radius, &mut scratch, &mut out);
            for (i, &got) in out.iter().enumerate() {
                let around = &row[i.saturating_sub(radius)..(i + radius + 1).min(row.len())];
                prop_assert_eq!(got, around.iter().copied().fold(f32::MIN, f32::max));
            }
        }

        #[test]
        fn gain_changes_no_peak(gain_db in -40f32..0.0, seed in 0u64..50) {
            let config = Config::default();
            // A bed of noise keeps the quiet passages above `silence_db` at the lowest gain.
            let mut loud = music(3.0, seed);
            loud.iter_mut().zip(noise(24_000, seed)).for_each(|(x, n)| *x += 0.1 * n);
            let gain = 10f32.powf(gain_db / 20.0);
            let quiet: Vec<f32> = loud.iter().map(|x| x * gain).collect();
            let (loud, quiet) = (pick(&loud, &config), pick(&quiet, &config));
            // Rounding may move a peak by one step or swap two ranks, no more.
            prop_assert!(loud.len().abs_diff(quiet.len()) <= 1 + loud.len() / 200);
            let kept = loud.iter().filter(|l| {
                quiet.iter().any(|q| q.time.abs_diff(l.time) <= 1 && q.bin.abs_diff(l.bin) <= 1)
            });
            prop_assert!(kept.count() * 200 >= loud.len() * 199);
        }
    }
}
