//! Which clips are cut from which tracks.

use crate::degrade::Kind;
use crate::rng::Rng;
use earmark::TrackId;
use std::path::PathBuf;

/// A file from which clips are cut.
pub struct Source {
    pub path: PathBuf,
    pub name: String,
    /// Its number in the index, if it is there.
    pub track: Option<TrackId>,
    /// Its length, as far as it is known beforehand.
    pub duration_s: Option<f64>,
    pub clips: Vec<Clip>,
}

/// A clip to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Number of the kind.
    pub kind: usize,
    /// Number of the length.
    pub length: usize,
    /// From which all that is random about it follows.
    pub seed: u64,
}

/// What is to be made.
pub struct Design {
    pub kinds: Vec<Kind>,
    pub lengths_s: Vec<f64>,
    pub seed: u64,
}

impl Design {
    /// Combinations of kind and length.
    pub fn cells(&self) -> usize {
        self.kinds.len() * self.lengths_s.len()
    }

    /// Deals `total` clips out: to all kinds and lengths alike, and to all sources that are long
    /// enough. Clips that fit no source are left out.
    pub fn deal(&self, sources: &mut [Source], total: usize, present: bool) {
        let mut rng = Rng::of(self.seed, &[0, u64::from(present)]);
        let mut deck: Vec<usize> = Vec::new();
        for i in 0..total {
            let (cell, round) = (i % self.cells(), i / self.cells());
            let (kind, length) = (cell / self.lengths_s.len(), cell % self.lengths_s.len());
            let needed_s = self.lengths_s[length];
            let fits = |s: &Source| s.duration_s.is_none_or(|duration_s| duration_s >= needed_s);
            // Each source has its turn before one has another.
            let place = deck.iter().rposition(|&s| fits(&sources[s])).or_else(|| {
                let mut all: Vec<usize> = (0..sources.len()).collect();
                rng.shuffle(&mut all);
                deck.splice(..0, all);
                deck.iter().rposition(|&s| fits(&sources[s]))
            });
            let Some(place) = place else { continue };
            let parts = [1, u64::from(present), kind as u64, length as u64, round as u64];
            let clip = Clip { kind, length, seed: Rng::of(self.seed, &parts).next() };
            sources[deck.remove(place)].clips.push(clip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(durations_s: &[f64]) -> Vec<Source> {
        let source = |d: &f64| Source {
            path: PathBuf::new(),
            name: String::new(),
            track: None,
            duration_s: Some(*d),
            clips: Vec::new(),
        };
        durations_s.iter().map(source).collect()
    }

    #[test]
    fn clips_are_dealt_evenly_to_tracks_that_are_long_enough() {
        let kinds = vec![Kind::Clean, Kind::Room, Kind::Hall];
        let design = Design { kinds, lengths_s: vec![2.0, 10.0], seed: 1 };
        let mut sources = sources(&[100.0, 5.0, 100.0, 100.0, 1.0]);
        design.deal(&mut sources, 60, true);
        let dealt: Vec<usize> = sources.iter().map(|s| s.clips.len()).collect();
        assert_eq!(dealt.iter().sum::<usize>(), 60);
        assert_eq!(dealt[4], 0);
        assert!(sources[1].clips.iter().all(|clip| clip.length == 0));
        assert!([0, 2, 3].iter().all(|&i| (10..=25).contains(&dealt[i])), "{dealt:?}");
        for cell in 0..6 {
            let of_cell = |clip: &&Clip| clip.kind * 2 + clip.length == cell;
            assert_eq!(sources.iter().flat_map(|s| &s.clips).filter(of_cell).count(), 10);
        }
        let mut seeds: Vec<u64> =
            sources.iter().flat_map(|s| &s.clips).map(|clip| clip.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 60);
    }

    #[test]
    fn what_fits_nowhere_is_left_out() {
        let design = Design { kinds: vec![Kind::Clean], lengths_s: vec![2.0, 10.0], seed: 1 };
        let mut sources = sources(&[5.0, 5.0]);
        design.deal(&mut sources, 20, false);
        assert_eq!(sources.iter().map(|s| s.clips.len()).sum::<usize>(), 10);
    }
}
