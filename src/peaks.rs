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

use crate::arithmetic::{greater, sum};
use crate::config::{PeakConfig, StftConfig};
use crate::spectrogram::{Axes, Frame, PhaseAdvance};
use crate::units::{BinSteps, TimeSteps};
use crate::wide;
use bincode::{Decode, Encode};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

pub use crate::units::STEPS;
pub(crate) use sliding::sliding_max;

pub(crate) mod kept;
mod sliding;

/// A peak stands at least this far above its bin's level at one end of its reach in time.
const MIN_RISE_DB: f32 = 0.1;

/// One peak. Positions are refined below the grid and stored in [steps](STEPS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Peak {
    /// Time from the middle of frame 0, which is half a window into the signal.
    pub time: TimeSteps<u32>,
    /// Frequency from the analysis band's first bin.
    pub bin: BinSteps,
    /// Height above the surroundings in quarters of a dB.
    pub contrast: u8,
    /// Number of neighbours in its band with more contrast.
    pub rank: u8,
    /// Level in halves of a dB from −127.5 dB re a full-scale sine up.
    pub level: u8,
    /// Phase at its time, in 1/256 of a turn.
    pub phase: u8,
}

impl Peak {
    /// Time in seconds from the signal's beginning.
    #[must_use]
    pub fn time_s(&self, axes: &Axes) -> f64 {
        axes.time_s(self.time.in_frames())
    }

    /// Frequency in Hz.
    #[must_use]
    pub fn frequency_hz(&self, axes: &Axes) -> f32 {
        axes.frequency_hz(self.bin.in_bins())
    }

    /// Height above the mean level around it, in dB (63.75 at most).
    #[must_use]
    pub fn contrast_db(&self) -> f32 {
        f32::from(self.contrast) / 4.0
    }

    /// Level in dB re a full-scale sine (−127.5 to 0).
    #[must_use]
    pub fn level_db(&self) -> f32 {
        (f32::from(self.level) - 255.0) / 2.0
    }
}

/// A level in dB as [`Peak::level`].
#[inline(always)]
pub(crate) fn in_half_db(level_db: f32) -> u8 {
    (2.0 * level_db + 255.5) as u8
}

/// Cells that are tested side by side.
const BLOCK: usize = 16;

/// A local maximum that waits for its rank.
#[derive(Clone, Copy)]
struct Candidate {
    frame: u32,
    time: TimeSteps<u32>,
    bin: BinSteps,
    rank: u32,
    contrast_db: f32,
    level: u8,
    phase: u8,
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
#[derive(Clone)]
pub struct PeakPicker {
    config: PeakConfig,
    bins: usize,
    /// Band of each bin.
    band_of_bin: Vec<u8>,
    /// The last 2·radius + 1 frames, one row each, filled up to whole blocks with −∞.
    levels_db: Vec<f32>,
    /// The phases of these frames, laid out alike.
    phases: Vec<u8>,
    advance: PhaseAdvance,
    /// The rows of levels, each cell the maximum within ± `freq_radius_bins`, filled up with ∞.
    row_max_db: Vec<f32>,
    /// These rows from the oldest frame to the newest.
    rows: Vec<Row>,
    scratch: Vec<f32>,
    /// Frames pushed so far.
    frames: u32,
    /// For each band the candidates that wait for their ranks, in order of frame and bin.
    waiting: Vec<VecDeque<Candidate>>,
}

#[derive(Clone, Copy)]
struct Row {
    /// Where its cells begin.
    start: usize,
    power_db: f32,
    loudest_db: f32,
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
        let stride = bins.next_multiple_of(BLOCK);
        let row = |row| Row { start: row * stride, power_db: 0.0, loudest_db: 0.0 };
        Self {
            bins,
            band_of_bin,
            levels_db: vec![f32::NEG_INFINITY; stride * rows],
            phases: vec![0; stride * rows],
            advance: PhaseAdvance::new(stft),
            row_max_db: vec![f32::INFINITY; stride * rows],
            rows: (0..rows).map(row).collect(),
            scratch: Vec::new(),
            frames: 0,
            waiting: vec![VecDeque::with_capacity(64); config.bands],
            config: config.clone(),
        }
    }

    /// Takes the next frame; calls `on_peak` for each peak that is settled by it.
    pub fn push(&mut self, frame: Frame<'_>, on_peak: impl FnMut(Peak)) {
        self.rows.rotate_left(1);
        let newest = self.rows.len() - 1;
        let row = self.rows[newest].start..self.rows[newest].start + self.bins;
        self.levels_db[row.clone()].copy_from_slice(frame.levels_db);
        self.phases[row.clone()].copy_from_slice(frame.phases);
        let row_max_db = &mut self.row_max_db[row];
        let radius = self.config.freq_radius_bins;
        sliding_max(frame.levels_db, radius, &mut self.scratch, row_max_db);
        // Windows side by side, and one at the end, have every cell in them.
        let apart = row_max_db.iter().skip(radius).step_by(2 * radius + 1);
        let loudest_db = apart.chain(row_max_db.last()).copied().fold(f32::NEG_INFINITY, greater);
        self.rows[newest].power_db = frame.power_db;
        self.rows[newest].loudest_db = loudest_db;
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
            self.settle(centre + 1, &mut on_peak);
        }
        self.settle(u32::MAX, &mut on_peak);
        self.reset();
    }

    /// Forgets everything pushed, for a new signal.
    pub fn reset(&mut self) {
        self.frames = 0;
        self.waiting.iter_mut().for_each(VecDeque::clear);
    }

    /// Counts from `frames` later on, so that times of peaks do not run out. So many frames must have
    /// been pushed, and as many as decide a peak's rank besides.
    pub(crate) fn count_from(&mut self, frames: u32) {
        self.frames -= frames;
        for candidate in self.waiting.iter_mut().flatten() {
            candidate.frame -= frames;
            candidate.time = candidate.time.since(TimeSteps::of_frame(frames));
        }
    }

    /// Finds the candidates of frame `centre`, all rows in reach (as far as they exist) being here.
    fn pick(&mut self, centre: u32) {
        let radius = self.config.time_radius_frames;
        let at = self.rows.len() - (self.frames - centre) as usize;
        let Row { power_db, loudest_db, .. } = self.rows[at];
        if centre == 0 || power_db < self.config.silence_db {
            return;
        }
        let reach = at - radius.min(centre as usize)..=(at + radius).min(self.rows.len() - 1);
        let least_db = loudest_db - self.config.range_db;
        wide::run(
            #[inline(always)]
            || self.test_blocks(centre, at, reach, least_db),
        );
    }

    /// Finds the candidates of frame `centre`, which is row `at`, of `least_db` and more. Whole blocks
    /// are passed over unless a cell is the highest of its row and not below the rows at the ends of
    /// its reach.
    #[inline(always)]
    fn test_blocks(&mut self, centre: u32, at: usize, reach: RangeInclusive<usize>, least_db: f32) {
        let of = |row: usize| self.rows[row].start / BLOCK..;
        let levels = &self.levels_db.as_chunks::<BLOCK>().0[of(at)];
        let row_max_db = self.row_max_db.as_chunks::<BLOCK>().0;
        let (own, first) = (&row_max_db[of(at)], &row_max_db[of(*reach.start())]);
        let last = &row_max_db[of(*reach.end())];
        for block in 0..self.bins.div_ceil(BLOCK) {
            let (levels, own) = (levels[block], own[block]);
            let (first, last) = (first[block], last[block]);
            // As wide as the levels, for the lanes to stay in place.
            let mut high = [0_u32; BLOCK];
            for lane in 0..BLOCK {
                let ends = greater(first[lane], last[lane]);
                high[lane] = (levels[lane] >= greater(greater(own[lane], least_db), ends)).into();
            }
            if high == [0; BLOCK] {
                continue;
            }
            let first_bin = block * BLOCK;
            for (bin, _) in (first_bin..).zip(high).filter(|(_, high)| *high > 0) {
                if let Some((candidate, band)) = self.candidate(centre, at, reach.clone(), bin) {
                    rank(candidate, &mut self.waiting[band]);
                }
            }
        }
    }

    /// Refines and measures the cell at (`centre`, `bin`), which is row `at`, if it is the first of
    /// the highest within reach, stands out, and is no steady tone.
    fn candidate(
        &self,
        centre: u32,
        at: usize,
        reach: RangeInclusive<usize>,
        bin: usize,
    ) -> Option<(Candidate, usize)> {
        let of_row = |row: usize, cells: &[f32]| cells[self.rows[row].start + bin];
        let levels = &self.levels_db[self.rows[at].start..][..self.bins];
        let level = levels[bin];
        let beaten = bin == 0
            || bin == self.bins - 1
            || (*reach.start()..at).any(|row| of_row(row, &self.row_max_db) >= level)
            || (at + 1..=*reach.end()).any(|row| of_row(row, &self.row_max_db) > level)
            || levels[bin.saturating_sub(self.config.freq_radius_bins)..bin].contains(&level);
        if beaten {
            return None;
        }
        // A steady tone is no event: its maxima in time are rounding errors.
        let ends = [*reach.start(), *reach.end()].map(|row| of_row(row, &self.levels_db));
        if level - ends[0].min(ends[1]) < MIN_RISE_DB {
            return None;
        }
        let radius = self.config.contrast_radius_bins;
        let around = &levels[bin.saturating_sub(radius)..(bin + radius + 1).min(self.bins)];
        let contrast_db = level - sum(around) / around.len() as f32;
        if contrast_db < self.config.min_contrast_db {
            return None;
        }
        let [before, after] = [at - 1, at + 1].map(|row| of_row(row, &self.levels_db));
        let steps = STEPS as f32;
        let late = (vertex(before, level, after) * steps).round() as i32;
        let refined = (bin as f32 + vertex(levels[bin - 1], level, levels[bin + 1])) * steps;
        let refined = BinSteps(refined.round() as u16);
        let phase = self.phases[self.rows[at].start + bin];
        let candidate = Candidate {
            frame: centre,
            time: TimeSteps(TimeSteps::of_frame(centre).0.saturating_add_signed(late)),
            bin: refined,
            rank: 0,
            contrast_db,
            level: in_half_db(level),
            phase: self.advance.of(phase, bin, refined, TimeSteps(late.into())),
        };
        Some((candidate, self.band_of_bin[bin].into()))
    }

    /// Releases the candidates that no frame from `next` on can outrank.
    fn settle(&mut self, next: u32, mut on_peak: impl FnMut(Peak)) {
        let radius = self.config.rank_radius_frames as u32;
        let oldest = |waiting: &[VecDeque<Candidate>]| {
            waiting.iter().filter_map(|band| Some(band.front()?.frame)).min()
        };
        while let Some(frame) = oldest(&self.waiting).filter(|frame| frame + radius < next) {
            // Bands go up in frequency, so this is the order of bins.
            for band in &mut self.waiting {
                while let Some(&c) = band.front().filter(|c| c.frame == frame) {
                    band.pop_front();
                    if c.rank < self.config.query_rank.into() {
                        on_peak(Peak {
                            time: c.time,
                            bin: c.bin,
                            contrast: (c.contrast_db * 4.0).min(255.0) as u8,
                            rank: c.rank as u8,
                            level: c.level,
                            phase: c.phase,
                        });
                    }
                }
            }
        }
    }
}

/// Ranks a new candidate and those of its band that wait, all of them within the rank radius.
fn rank(mut new: Candidate, waiting: &mut VecDeque<Candidate>) {
    for old in waiting.iter_mut() {
        let outranked = new.contrast_db > old.contrast_db;
        old.rank += u32::from(outranked);
        new.rank += u32::from(!outranked);
    }
    waiting.push_back(new);
}

/// Where between −½ and ½ the parabola through three equidistant values has its maximum, the middle
/// value being the highest.
pub(crate) fn vertex(left: f32, middle: f32, right: f32) -> f32 {
    let curvature = 2.0 * middle - left - right;
    if curvature <= 0.0 { 0.0 } else { (0.5 * (right - left) / curvature).clamp(-0.5, 0.5) }
}

#[cfg(test)]
mod tests;
