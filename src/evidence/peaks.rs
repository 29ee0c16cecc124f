//! The second stage: are a reference's peaks where the clip's spectrogram has local maxima?
//!
//! Votes of landmarks find candidates, but a landmark survives only if both its peaks do, at the
//! exact place. This stage asks more gently. A [`LevelMap`] of the clip's spectrogram knows all its
//! local maxima, and how prominent each is: the largest of nested neighbourhoods in which it is the
//! one maximum. Laid on the map at a candidate's alignment, each of the reference's peaks reads the
//! most prominent maximum around it and how far away that is, and a table says how much more likely
//! this is under a true alignment than by chance. The sum of these log-likelihood ratios is the
//! evidence.
//!
//! What chance would give is known from the map itself: for each frequency, what a peak would read
//! there at a random time. Mean and variance of the sum follow, and with them how many deviations the
//! evidence is above chance.

use crate::calibration::widths::Widths;
use crate::calibration::{CLASSES, CODES, Calibration};
use crate::config::StftConfig;
use std::ops::Range;
use std::sync::Arc;

pub use weighing::{Evidence, FrameEvidence};

pub(crate) use mapping::LevelMapper;

mod mapping;
mod weighing;

/// The map has this many cells a frame and a bin, so that where in its cell a peak stands counts.
const CELLS: usize = 2;
/// Greatest distance of a maximum from a peak, in bins, for each class of distance: the window decides
/// how exactly a frequency is known,
const BIN_DISTANCES: [f32; 3] = [0.3, 0.8, 1.5];
/// and in frames, for the hop decides how exactly a time is.
const FRAME_DISTANCES: [f32; 2] = [0.6, 1.5];
/// How prominent each cell of a clip's spectrogram is, and what that says about chance.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelMap {
    cells: Arc<Cells>,
    calibration: Arc<Calibration>,
    chance: Vec<[Moments; CLASSES]>,
}

/// What does not depend on the calibration.
#[derive(Clone, Debug, PartialEq)]
struct Cells {
    frames: usize,
    bins: usize,
    widths: Widths,
    /// For each part of a cell, row after row: 0, nothing near; or 8 · prominence + closeness of the most
    /// prominent maximum around it.
    codes: Vec<u8>,
    /// The highest level around each bin, as [`Peak::level`] is given. None where they are not known.
    levels: Vec<u8>,
}

/// Mean and variance of a random level's log-likelihood ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    mean: f32,
    variance: f32,
}

impl LevelMap {
    /// Maps a spectrogram given in rows of dB, as the transform with `config` gives them. Rows in
    /// which `silent` holds have no maximum. It is weighed by the default calibration until
    /// [another](Self::calibrated) is taken.
    #[must_use]
    pub fn new(levels_db: &[f32], config: &StftConfig, silent: impl Fn(usize) -> bool) -> Self {
        let rows = levels_db.chunks_exact(config.bins().max(1));
        let mut mapper = LevelMapper::new(config, rows.len());
        rows.enumerate().for_each(|(frame, row)| mapper.push(row, silent(frame)));
        mapper.finish(Calibration::of_default())
    }

    fn of(cells: Arc<Cells>, calibration: Arc<Calibration>) -> Self {
        let chance = chance(&cells.codes, cells.bins * CELLS, &calibration);
        Self { cells, calibration, chance }
    }

    /// The same clip, weighed by another calibration.
    #[must_use]
    pub fn calibrated(&self, calibration: Arc<Calibration>) -> Self {
        Self::of(Arc::clone(&self.cells), calibration)
    }

    /// By which it is weighed.
    #[must_use]
    pub fn calibration(&self) -> &Arc<Calibration> {
        &self.calibration
    }

    /// The widths within which evidence is looked for, in its frames and bins.
    pub(crate) fn widths(&self) -> &Widths {
        &self.cells.widths
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.cells.frames
    }

    /// Whether levels are known: not so where peaks took the place of the spectrogram.
    pub(crate) fn has_levels(&self) -> bool {
        !self.cells.levels.is_empty()
    }

    /// The highest level around the cell in `frame` and `column`, as [`Peak::level`] is given.
    pub(crate) fn level(&self, frame: usize, column: usize) -> u8 {
        let Cells { bins, levels, .. } = &*self.cells;
        levels[frame * bins + (column / CELLS).min(bins - 1)]
    }

    /// Some of the frames, with what the whole clip says about chance.
    pub(crate) fn part(&self, frames: Range<usize>) -> Self {
        let Cells { bins, widths, codes, levels, .. } = &*self.cells;
        let of_frame = bins * CELLS * CELLS;
        let of_levels = frames.start * bins..frames.end * bins;
        let cells = Cells {
            frames: frames.len(),
            bins: *bins,
            widths: *widths,
            codes: codes[frames.start * of_frame..frames.end * of_frame].to_vec(),
            levels: levels.get(of_levels).unwrap_or_default().to_vec(),
        };
        let (calibration, chance) = (Arc::clone(&self.calibration), self.chance.clone());
        Self { cells: Arc::new(cells), calibration, chance }
    }
}

/// Mean and variance, for each bin and class, of the log-likelihood ratio at a random frame.
fn chance(codes: &[u8], bins: usize, calibration: &Calibration) -> Vec<[Moments; CLASSES]> {
    let mut counts = vec![[0u32; CODES]; bins];
    for row in codes.chunks_exact(bins) {
        for (counts, &code) in counts.iter_mut().zip(row) {
            counts[usize::from(code)] += 1;
        }
    }
    let frames = (codes.len() / bins).max(1) as f32;
    let moments = |counts: &[u32; CODES], ratios: &[f32; CODES]| {
        let mut raw = [0.0f32; 2];
        for (&count, &ratio) in counts.iter().zip(ratios) {
            let share = count as f32 / frames;
            raw[0] += share * ratio;
            raw[1] += share * ratio * ratio;
        }
        let [mean, second] = raw;
        Moments { mean, variance: second - mean * mean }
    };
    let table = &calibration.log_likelihood_ratio;
    let of_bin = |counts| table.each_ref().map(|ratios| moments(counts, ratios));
    counts.iter().map(of_bin).collect()
}

#[cfg(test)]
mod tests {
    use super::mapping::prominence;
    use super::weighing::class;
    use super::*;
    use crate::peaks::{Peak, in_half_db, vertex};
    use crate::testing::{noise, rng};
    use crate::units::{BinSteps, TimeSteps};

    const BINS: usize = 60;

    fn config() -> StftConfig {
        let config = StftConfig { max_hz: 384.0, ..StftConfig::default() };
        assert_eq!(config.bins(), BINS);
        config
    }

    fn levels(frames: usize, seed: u64) -> Vec<f32> {
        noise(frames * BINS, seed).iter().map(|x| 40.0 * x - 60.0).collect()
    }

    /// The definition of a code, written down as it reads, for one half-cell.
    fn code(levels: &[f32], row: usize, column: usize) -> u8 {
        let frames = levels.len() / BINS;
        let at = |t: usize, b: usize| levels[t * BINS + b];
        let mut best = 0;
        for t in 0..frames {
            for b in 0..BINS {
                let alone = |&&(dt, df): &&(usize, usize)| {
                    let rows = t.saturating_sub(dt)..=(t + dt).min(frames - 1);
                    rows.flat_map(|r| {
                        (b.saturating_sub(df)..=(b + df).min(BINS - 1)).map(move |c| (r, c))
                    })
                    .all(|(r, c)| (r, c) == (t, b) || at(r, c) < at(t, b))
                };
                let prominence =
                    Widths::new(&config()).neighbourhoods.iter().take_while(alone).count();
                if prominence == 0 {
                    continue;
                }
                let inside_t = t > 0 && t + 1 < frames;
                let inside_b = b > 0 && b + 1 < BINS;
                let dt = if inside_t { vertex(at(t - 1, b), at(t, b), at(t + 1, b)) } else { 0.0 };
                let db = if inside_b { vertex(at(t, b - 1), at(t, b), at(t, b + 1)) } else { 0.0 };
                let far_t = (row as f32 / 2.0 - t as f32 - dt).abs();
                let far_b = (column as f32 / 2.0 - b as f32 - db).abs();
                let (Some(ct), Some(cb)) = (
                    FRAME_DISTANCES.iter().position(|&d| far_t <= d),
                    BIN_DISTANCES.iter().position(|&d| far_b <= d),
                ) else {
                    continue;
                };
                best = best.max(8 * prominence as u8 + 7 - (2 * cb + ct) as u8);
            }
        }
        best
    }

    /// However many batches the frames are mapped in.
    #[test]
    fn codes_agree_with_their_definition() {
        for frames in [1, 30, 75, 76, 77, 300] {
            let levels = levels(frames, 5);
            let map = LevelMap::new(&levels, &config(), |_| false);
            assert_eq!(map.frames(), frames);
            let mut random = rng(8);
            for _ in 0..200 {
                let (row, column) =
                    ((random() * 2.0 * frames as f32) as usize, (random() * 120.0) as usize);
                assert_eq!(map.cells.codes[row * 2 * BINS + column], code(&levels, row, column));
                let (frame, bin) = (row / 2, column / 2);
                let around = (frame.saturating_sub(1)..(frame + 2).min(frames))
                    .flat_map(|t| &levels[t * BINS..][bin.saturating_sub(1)..(bin + 2).min(BINS)]);
                let highest = around.copied().fold(f32::MIN, f32::max);
                assert_eq!(map.level(frame, column), in_half_db(highest));
            }
        }
    }

    /// The last frames of a stream, of which the first know what came before.
    #[test]
    fn maps_of_the_last_frames_are_parts_of_a_whole_map() {
        let levels = levels(500, 6);
        let silent = |frame: usize| frame % 97 < 9;
        let calibration = Calibration::of_default();
        let mut mapper = LevelMapper::new(&config(), 0);
        let mut forgotten = 0;
        for (i, row) in levels.chunks_exact(BINS).enumerate() {
            mapper.push(row, silent(i));
            let end = i + 1;
            for frames in [1, 5, 13, 70, 150] {
                if (i * frames) % 41 > 1 || frames > end - forgotten {
                    continue;
                }
                let last = mapper.last(frames, calibration.clone());
                let whole = LevelMap::new(&levels[..end * BINS], &config(), silent);
                let of_frame = 4 * BINS;
                assert_eq!(last.frames(), frames);
                let (own, all) = (&last.cells, &whole.cells);
                assert_eq!(own.codes, all.codes[(end - frames) * of_frame..], "{end} {frames}");
                assert_eq!(own.levels, all.levels[(end - frames) * BINS..], "{end} {frames}");
                assert_eq!(last.chance, chance(&own.codes, 2 * BINS, &calibration));
            }
            if i % 160 == 159 {
                mapper.forget(i - 80 - forgotten);
                forgotten = i - 80;
            }
        }
    }

    #[test]
    fn silent_frames_and_ties_have_no_maximum() {
        let flat = vec![-200.0; 20 * BINS];
        assert!(
            LevelMap::new(&flat, &config(), |_| false).cells.codes.iter().all(|&code| code == 0)
        );
        let loud = levels(200, 1);
        assert!(
            LevelMap::new(&loud, &config(), |_| true).cells.codes.iter().all(|&code| code == 0)
        );
        // The frames of a stretch, and none before or after.
        let map = LevelMap::new(&loud, &config(), |frame| (60..150).contains(&frame));
        let marked = |frame: &usize| {
            map.cells.codes[frame * 4 * BINS..][..4 * BINS].iter().any(|&code| code > 0)
        };
        let unmarked: Vec<usize> = (0..200).filter(|frame| !marked(frame)).collect();
        assert!((61..=63).contains(&unmarked[0]) && (147..150).contains(unmarked.last().unwrap()));
        assert!(unmarked.windows(2).all(|pair| pair[1] == pair[0] + 1), "{unmarked:?}");
    }

    #[test]
    fn chance_is_the_average_over_all_times() {
        let map = LevelMap::new(&levels(50, 3), &config(), |_| false);
        let peak = Peak { bin: BinSteps(20 * 16), contrast: 60, level: 195, ..Peak::default() };
        let row = Calibration::default().log_likelihood_ratio[class(&peak)];
        let values: Vec<f64> = (0..2 * 50)
            .map(|cell| f64::from(row[usize::from(map.cells.codes[cell * 2 * BINS + 40])]))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
        let chance = map.chance[40][class(&peak)];
        assert!((f64::from(chance.mean) - mean).abs() < 1e-4);
        assert!((f64::from(chance.variance) - variance).abs() < 1e-3);
    }

    #[test]
    fn peaks_taken_from_the_clip_itself_stand_out_and_others_do_not() {
        let (frames, mut random) = (120, rng(2));
        let levels = levels(frames, 9);
        let map = LevelMap::new(&levels, &config(), |_| false);
        let widths = Widths::new(&config());
        let mut own = Vec::new();
        let mut others = Vec::new();
        for t in 1..frames - 1 {
            for b in 1..BINS - 1 {
                if prominence(&levels, BINS, &widths.neighbourhoods, t, b) >= 5 {
                    let peak = |t: f32, b: f32| Peak {
                        time: TimeSteps((t * 16.0) as u32),
                        bin: BinSteps((b * 16.0) as u16),
                        contrast: 60,
                        rank: 0,
                        level: 195,
                        phase: 0,
                    };
                    own.push(peak(t as f32 + 10.0, b as f32));
                    others.push(peak(t as f32 + 10.0, random() * 59.0));
                }
            }
        }
        let weigh = |peaks: &[Peak]| map.weigh(peaks, TimeSteps(160), 0..frames).deviations();
        assert!(own.len() > 40);
        assert!(weigh(&own) > 15.0, "{}", weigh(&own));
        assert!(weigh(&others) < 3.0, "{}", weigh(&others));
    }
}
