//! Making a [`LevelMap`], frame by frame.

use super::{BIN_DISTANCES, CELLS, Cells, FRAME_DISTANCES, LevelMap};
use crate::arithmetic::greater;
use crate::calibration::Calibration;
use crate::calibration::widths::Widths;
use crate::config::{Config, StftConfig};
use crate::packing::make_room;
use crate::peaks::{Peak, STEPS};
use crate::peaks::{in_half_db, sliding_max, vertex};
use std::sync::Arc;

/// So many frames are mapped at once, in order that those of their reach are kept seldom.
const BATCH: usize = 64;

impl LevelMap {
    /// A map of peaks alone, where no spectrogram is known: each is the maximum of as large a
    /// neighbourhood as the picker of `config` compares, and there are no others.
    pub(crate) fn of_peaks(
        peaks: &[Peak],
        frames: usize,
        config: &Config,
        calibration: Arc<Calibration>,
    ) -> Self {
        let (bins, widths) = (config.stft.bins().max(1), Widths::new(&config.stft));
        let compared = |&&(dt, df): &&(usize, usize)| {
            dt <= config.peaks.time_radius_frames && df <= config.peaks.freq_radius_bins
        };
        let nested = widths.neighbourhoods.iter();
        let prominence = nested.take_while(compared).count().max(1) as u8;
        let mut codes = vec![0; frames * bins * CELLS * CELLS];
        for peak in peaks {
            let (frame, bin) = (refined(peak.time.0), refined(peak.bin.0.into()));
            mark(&mut codes, (frames, bins), frame, bin, prominence);
        }
        Self::of(Arc::new(Cells { frames, bins, widths, codes, levels: Vec::new() }), calibration)
    }
}

/// The nearest whole one to a position in [`STEPS`], and how far beyond it that is.
fn refined(steps: u32) -> (isize, f32) {
    let whole = (steps + STEPS / 2) / STEPS;
    (whole as isize, (f64::from(steps) / f64::from(STEPS) - f64::from(whole)) as f32)
}

/// Takes a clip's frames and maps them. Of their levels, it keeps those of a few seconds.
#[derive(Clone)]
pub(crate) struct LevelMapper {
    bins: usize,
    widths: Widths,
    /// Frames kept at most.
    kept: usize,
    /// The last frames, row after row, in dB.
    levels_db: Vec<f32>,
    /// Which of them are silent.
    silent: Vec<bool>,
    /// The number of the first of them,
    first: usize,
    /// and of the first that is not mapped yet.
    next: usize,
    /// The maximum of each cell and its direct neighbours.
    highest_db: Vec<f32>,
    /// The first frame that is not forgotten.
    begin: usize,
    /// One for each part of a cell of all frames from there on.
    codes: Vec<u8>,
    levels: Vec<u8>,
    scratch: Vec<f32>,
}

impl LevelMapper {
    /// For rows of levels as the transform with `config` gives them, of which `frames` are expected.
    pub fn new(config: &StftConfig, frames: usize) -> Self {
        let (bins, widths) = (config.bins().max(1), Widths::new(config));
        let kept = BATCH + 2 * widths.reach_frames();
        Self {
            bins,
            widths,
            kept,
            levels_db: Vec::with_capacity(kept * bins),
            silent: Vec::with_capacity(kept),
            first: 0,
            next: 0,
            highest_db: Vec::new(),
            begin: 0,
            codes: Vec::with_capacity(frames * bins * CELLS * CELLS),
            levels: Vec::with_capacity(frames * bins),
            scratch: Vec::new(),
        }
    }

    /// Takes the next frame. Silent ones have no maximum.
    pub fn push(&mut self, levels_db: &[f32], silent: bool) {
        self.levels_db.extend_from_slice(&levels_db[..self.bins]);
        self.silent.push(silent);
        if self.silent.len() == self.kept {
            self.advance();
        }
    }

    /// Maps the frames of which all reach is here, and lets go of the levels that are done with.
    fn advance(&mut self) {
        let reach = self.widths.reach_frames();
        self.map(self.frames().saturating_sub(reach).max(self.next));
        let done = self.next.saturating_sub(reach).saturating_sub(self.first);
        self.levels_db.drain(..done * self.bins);
        self.silent.drain(..done);
        self.first += done;
    }

    /// Forgets the first of the frames that are not forgotten, which must be mapped by now. What is
    /// still to be mapped knows of their levels.
    pub fn forget(&mut self, frames: usize) {
        self.codes.drain(..frames * self.bins * CELLS * CELLS);
        self.levels.drain(..frames * self.bins);
        self.begin += frames;
    }

    /// The map of the last `frames` frames that are not forgotten, as if the clip ended here. What
    /// came before them is known to the first of them.
    pub fn last(&mut self, frames: usize, calibration: Arc<Calibration>) -> LevelMap {
        self.advance();
        let wanted = self.frames() - frames;
        // Those that are still to be mapped come in any case.
        let begin = wanted.min(self.next);
        let frames = self.frames() - begin;
        let forgotten = (begin - self.begin) * self.bins;
        let copy = |all: &[u8], from: usize, room: usize| {
            let mut copy = Vec::with_capacity(room);
            copy.extend_from_slice(all.get(from..).unwrap_or_default());
            copy
        };
        let cells = frames * self.bins;
        let codes = copy(&self.codes, forgotten * CELLS * CELLS, cells * CELLS * CELLS);
        let levels = copy(&self.levels, forgotten, cells);
        let mut tail = Self {
            bins: self.bins,
            widths: self.widths,
            kept: self.kept,
            levels_db: self.levels_db.clone(),
            silent: self.silent.clone(),
            first: self.first,
            next: self.next,
            highest_db: Vec::new(),
            begin,
            codes,
            levels,
            scratch: Vec::new(),
        };
        tail.map(tail.frames());
        tail.forget(wanted - begin);
        tail.into_map(calibration)
    }

    /// Maps what is left, to be weighed by a calibration.
    pub fn finish(mut self, calibration: Arc<Calibration>) -> LevelMap {
        self.map(self.frames());
        self.codes.shrink_to_fit();
        self.levels.shrink_to_fit();
        self.into_map(calibration)
    }

    fn into_map(self, calibration: Arc<Calibration>) -> LevelMap {
        let cells = Cells {
            frames: self.frames() - self.begin,
            bins: self.bins,
            widths: self.widths,
            codes: self.codes,
            levels: self.levels,
        };
        LevelMap::of(Arc::new(cells), calibration)
    }

    /// Number of frames taken.
    fn frames(&self) -> usize {
        self.first + self.silent.len()
    }

    /// Maps the frames from the next to `end`, all that are in their reach being here.
    fn map(&mut self, end: usize) {
        let there = self.codes.len() / (self.bins * CELLS * CELLS);
        let cells = (self.frames() - self.begin - there) * self.bins;
        make_room(&mut self.codes, cells * CELLS * CELLS);
        self.codes.resize(self.codes.len() + cells * CELLS * CELLS, 0);
        self.take_highest(end);
        make_room(&mut self.levels, self.highest_db.len());
        self.levels.extend(self.highest_db.iter().map(|&level| in_half_db(level)));
        let silent = |frame: &usize| self.silent[frame - self.first];
        let loud: Vec<usize> = (self.next..end).filter(|frame| !silent(frame)).collect();
        let mut maxima = Vec::with_capacity(self.bins);
        for frame in loud {
            let levels_db = &self.levels_db[(frame - self.first) * self.bins..][..self.bins];
            let highest_db = &self.highest_db[(frame - self.next) * self.bins..][..self.bins];
            // Nearly all cells end here; the others grow their neighbourhoods.
            let cells = levels_db.iter().zip(highest_db).enumerate();
            maxima.clear();
            maxima.extend(cells.filter(|(_, (level, highest))| level >= highest).map(|(i, _)| i));
            for &bin in &maxima {
                let nested = &self.widths.neighbourhoods;
                let prominence =
                    prominence(&self.levels_db, self.bins, nested, frame - self.first, bin);
                if prominence > 0 {
                    self.mark(frame, bin, prominence);
                }
            }
        }
        self.next = end;
    }

    /// Finds the highest level around each cell of the frames from the next to `end`.
    fn take_highest(&mut self, end: usize) {
        let bins = self.bins;
        let Self { levels_db, highest_db, scratch, .. } = self;
        highest_db.clear();
        highest_db.resize((end - self.next) * bins, f32::NEG_INFINITY);
        let mut wide = vec![f32::NEG_INFINITY; bins];
        for (at, row) in levels_db.chunks_exact(bins).enumerate() {
            let frame = self.first + at;
            let (first, last) = ((frame.max(self.next + 1) - 1), (frame + 2).min(end));
            if first >= last {
                continue;
            }
            sliding_max(row, 1, scratch, &mut wide);
            let around = &mut highest_db[(first - self.next) * bins..(last - self.next) * bins];
            for out in around.chunks_exact_mut(bins) {
                out.iter_mut().zip(&wide).for_each(|(out, &level)| *out = greater(*out, level));
            }
        }
    }

    /// Tells the cells around a maximum of it.
    fn mark(&mut self, frame: usize, bin: usize, prominence: u8) {
        let (frames, at) = (self.frames() - self.begin, frame - self.first);
        let level = |at: usize, bin: usize| self.levels_db[at * self.bins + bin];
        let later = if frame > 0 && frame + 1 < self.frames() {
            vertex(level(at - 1, bin), level(at, bin), level(at + 1, bin))
        } else {
            0.0
        };
        let higher = if bin > 0 && bin + 1 < self.bins {
            vertex(level(at, bin - 1), level(at, bin), level(at, bin + 1))
        } else {
            0.0
        };
        // Frames that are forgotten may have maxima that are still to be told of.
        let frame = frame as isize - self.begin as isize;
        let (frame, bin) = ((frame, later), (bin as isize, higher));
        mark(&mut self.codes, (frames, self.bins), frame, bin, prominence);
    }
}

/// Tells the cells around a maximum of it. It is at `frame` and `bin`, each a whole number and how far
/// beyond that it is. There are codes for so many frames and bins.
fn mark(
    codes: &mut [u8],
    (frames, bins): (usize, usize),
    frame: (isize, f32),
    bin: (isize, f32),
    prominence: u8,
) {
    for (row, frame_class) in around(frame, frames, &FRAME_DISTANCES) {
        for (column, bin_class) in around(bin, bins, &BIN_DISTANCES) {
            let closeness = 7 - (bin_class * FRAME_DISTANCES.len() + frame_class) as u8;
            let cell = &mut codes[row * bins * CELLS + column];
            *cell = (*cell).max(8 * prominence + closeness);
        }
    }
}

/// Number of nested neighbourhoods in which a cell is the one maximum.
pub(super) fn prominence(
    levels_db: &[f32],
    bins: usize,
    neighbourhoods: &[(usize, usize)],
    frame: usize,
    bin: usize,
) -> u8 {
    let frames = levels_db.len() / bins;
    let level = levels_db[frame * bins + bin];
    let alone = |&(dt, df): &(usize, usize)| {
        let columns = bin.saturating_sub(df)..(bin + df + 1).min(bins);
        let rivals: usize = (frame.saturating_sub(dt)..(frame + dt + 1).min(frames))
            .map(|row| &levels_db[row * bins..][columns.clone()])
            .map(|row| row.iter().filter(|&&x| x >= level).count())
            .sum();
        rivals == 1
    };
    neighbourhoods.iter().take_while(|n| alone(n)).count() as u8
}

/// The cells within the greatest distance of a refined position, with their classes of distance. These
/// do not depend on how far on the position is.
fn around(
    (position, beyond): (isize, f32),
    end: usize,
    distances: &'static [f32],
) -> impl Iterator<Item = (usize, usize)> {
    let reach = distances[distances.len() - 1];
    let from_position = |distance: f32| (beyond + distance) * CELLS as f32;
    let first = from_position(-reach).ceil() as isize;
    let last = from_position(reach).floor() as isize;
    (first..=last).filter_map(move |part| {
        let cell = usize::try_from(position * CELLS as isize + part).ok()?;
        let distance = (part as f32 / CELLS as f32 - beyond).abs();
        let class = distances.iter().position(|&most| distance <= most);
        (cell < end * CELLS).then_some((cell, class.unwrap_or(distances.len() - 1)))
    })
}
