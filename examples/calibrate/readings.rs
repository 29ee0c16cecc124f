//! What is read under the peaks of tracks in clips: the table of likelihood ratios.

use crate::rng::Rng;
use earmark::calibration::{CLASSES, CODES, Table};
use earmark::peaks::{Peak, STEPS};
use earmark::units::TimeSteps;
use earmark::{Fingerprint, Query};

/// Places around the known one that are tried: codecs delay, and frames do not begin where clips do.
const REFINED_STEPS: i64 = 32;
const REFINEMENT_STEPS: usize = 4;
/// Places at which nothing belongs, for each clip.
const WRONG_PLACES: usize = 24;
/// Readings that are added to each code, half as often as chance reads it: ratios of codes that were
/// hardly read stay near 1.
const PRIOR: f64 = 12.0;

/// A track that is read where it does not belong.
pub struct Reference {
    pub name: String,
    pub track: Fingerprint,
}

impl Reference {
    /// A place in it at which a clip of so many frames could begin.
    fn place(&self, frames: usize, rng: &mut Rng) -> TimeSteps {
        let last = self.track.peaks().last().map_or(0, |peak| peak.time.whole_frame()) as usize;
        TimeSteps::from_frames(rng.below(last.saturating_sub(frames) + 1) as i64)
    }
}

/// How often each code was read.
pub struct Counts {
    right: Box<[[u32; CODES]; CLASSES]>,
    wrong: Box<[[u32; CODES]; CLASSES]>,
}

impl Default for Counts {
    fn default() -> Self {
        let none = || Box::new([[0; CODES]; CLASSES]);
        Self { right: none(), wrong: none() }
    }
}

impl Counts {
    /// Reads a clip's own track, of which it begins at so many frames: there, or nearby where the evidence of
    /// the query's calibration is best.
    pub fn read_right(&mut self, query: &Query, peaks: &[Peak], begin_frames: f64, nearby: bool) {
        let (levels, whole) = (query.levels(), 0..query.levels().frames());
        let begin = (begin_frames * f64::from(STEPS)).round() as i64;
        let evidence = |at: &TimeSteps| levels.weigh(peaks, *at, whole.clone()).deviations();
        let reach = if nearby { REFINED_STEPS } else { 0 };
        let places = (begin - reach..=begin + reach).step_by(REFINEMENT_STEPS).map(TimeSteps);
        let best = places.max_by(|a, b| evidence(a).total_cmp(&evidence(b)));
        levels.count_codes(peaks, best.unwrap_or(TimeSteps(begin)), &mut self.right);
    }

    /// Reads other tracks.
    pub fn read_wrong(
        &mut self,
        query: &Query,
        references: &[Reference],
        own: &str,
        rng: &mut Rng,
    ) {
        for _ in 0..WRONG_PLACES {
            let reference = &references[rng.below(references.len())];
            let at = reference.place(query.levels().frames(), rng);
            if reference.name != own {
                query.levels().count_codes(reference.track.peaks(), at, &mut self.wrong);
            }
        }
    }

    fn add(&mut self, other: &Self) {
        let add = |sums: &mut [[u32; CODES]; CLASSES], counts: &[[u32; CODES]; CLASSES]| {
            let counts = counts.as_flattened();
            sums.as_flattened_mut().iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        };
        add(&mut self.right, &other.right);
        add(&mut self.wrong, &other.wrong);
    }
}

impl Counts {
    /// Adds what was read in all clips.
    pub fn sum(read: Vec<Self>) -> Self {
        let mut all = Self::default();
        read.iter().for_each(|counts| all.add(counts));
        all
    }

    /// The logarithm of how much more often a code is read where the peak belongs than elsewhere.
    pub fn table(&self) -> Table {
        let mut table = [[0.0; CODES]; CLASSES];
        for (class, row) in table.iter_mut().enumerate() {
            let (right, wrong) = (&self.right[class], &self.wrong[class]);
            row.copy_from_slice(&ratios(right, wrong));
        }
        table
    }
}

fn ratios(right: &[u32; CODES], wrong: &[u32; CODES]) -> [f32; CODES] {
    let sum = |counts: &[u32; CODES]| counts.iter().map(|&n| f64::from(n)).sum::<f64>();
    let (rights, wrongs) = (sum(right), sum(wrong));
    std::array::from_fn(|code| {
        // What no cell can hold says nothing.
        if right[code] == 0 && wrong[code] == 0 {
            return 0.0;
        }
        let share = (f64::from(wrong[code]) + 1.0) / (wrongs + CODES as f64);
        let expected = share * rights.max(1.0);
        // As if chance had been read so many times more, in both.
        let prior = PRIOR.min(expected.max(1.0));
        let ratio = (f64::from(right[code]) + prior) / (expected + prior);
        ratio.ln().clamp(-8.0, 8.0) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_the_shares() {
        let (mut right, mut wrong) = ([0; CODES], [0; CODES]);
        (right[0], right[70], right[71]) = (60_000, 39_000, 1_000);
        (wrong[0], wrong[70], wrong[71]) = (900_000, 99_000, 1_000);
        let ratios = ratios(&right, &wrong);
        assert!((ratios[0] - (0.6f32 / 0.9).ln()).abs() < 0.01, "{}", ratios[0]);
        assert!((ratios[70] - 3.94f32.ln()).abs() < 0.01, "{}", ratios[70]);
        assert!((ratios[71] - 10f32.ln()).abs() < 0.15, "{}", ratios[71]);
        assert_eq!(ratios[5], 0.0);
    }
}
