//! Making a [`LevelMap`], frame by frame.

use super::{BIN_DISTANCES, CELLS, Cells, FRAME_DISTANCES, LevelMap};
use crate::arithmetic::greater;
use crate::calibration::Calibration;
use crate::calibration::widths::Widths;
use crate::config::StftConfig;
use crate::packing::make_room;
use crate::peaks::{in_half_db, sliding_max, vertex};
use std::sync::Arc;

/// So many frames are mapped at once, in order that those of their reach are kept seldom.
const BATCH: usize = 64;

/// Takes a clip's frames and maps them. Of their levels, it keeps those of a few seconds.
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
    /// One for each part of a cell of all frames.
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
            let reach = self.widths.reach_frames();
            self.map(self.frames() - reach);
            let done = self.next - reach - self.first;
            self.levels_db.drain(..done * self.bins);
            self.silent.drain(..done);
            self.first += done;
        }
    }

    /// Maps what is left, to be weighed by a calibration.
    pub fn finish(mut self, calibration: Arc<Calibration>) -> LevelMap {
        self.map(self.frames());
        self.codes.shrink_to_fit();
        self.levels.shrink_to_fit();
        let cells = Cells {
            frames: self.frames(),
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
        let cells = (self.frames() - self.codes.len() / (self.bins * CELLS * CELLS)) * self.bins;
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
        let frames = self.frames();
        let (levels_db, first) = (&self.levels_db, self.first);
        let level = |frame: usize, bin: usize| levels_db[(frame - first) * self.bins + bin];
        let refine = |at: usize, end: usize, level: &dyn Fn(usize) -> f32| {
            let inside = at > 0 && at + 1 < end;
            at as f32 + if inside { vertex(level(at - 1), level(at), level(at + 1)) } else { 0.0 }
        };
        let frame = refine(frame, frames, &|frame| level(frame, bin));
        let bin = refine(bin, self.bins, &|at| level(frame.round() as usize, at));
        let columns = self.bins * CELLS;
        for (row, frame_class) in around(frame, frames, &FRAME_DISTANCES) {
            for (column, bin_class) in around(bin, self.bins, &BIN_DISTANCES) {
                let closeness = 7 - (bin_class * FRAME_DISTANCES.len() + frame_class) as u8;
                let cell = &mut self.codes[row * columns + column];
                *cell = (*cell).max(8 * prominence + closeness);
            }
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

/// The cells within the greatest distance of a refined position, with their classes of distance.
fn around(
    position: f32,
    end: usize,
    distances: &'static [f32],
) -> impl Iterator<Item = (usize, usize)> {
    let reach = distances[distances.len() - 1];
    let first = ((position - reach) * CELLS as f32).ceil().max(0.0) as usize;
    let last = ((position + reach) * CELLS as f32).floor() as usize;
    (first..=last.min(end * CELLS - 1)).map(move |cell| {
        let distance = (cell as f32 / CELLS as f32 - position).abs();
        let class = distances.iter().position(|&most| distance <= most);
        (cell, class.unwrap_or(distances.len() - 1))
    })
}
