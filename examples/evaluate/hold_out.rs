//! Which tracks are held out of the index.

use crate::rng::Rng;
use std::path::PathBuf;

/// Splits files into those that are held out of the index and the others, both in their order.
pub fn hold_out(files: Vec<PathBuf>, share: f64, seed: u64) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let most = files.len().saturating_sub(2).max(2);
    let held = ((files.len() as f64 * share).round() as usize).clamp(2, most);
    let mut order: Vec<usize> = (0..files.len()).collect();
    Rng::of(seed, &[2]).shuffle(&mut order);
    order[..held].sort_unstable();
    let mut is_held = vec![false; files.len()];
    order[..held].iter().for_each(|&i| is_held[i] = true);
    let mut held = is_held.into_iter();
    files.into_iter().partition(|_| held.next() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_held_out_and_two_at_least() {
        let files = |n: usize| (0..n).map(|i| PathBuf::from(format!("{i:03}"))).collect::<Vec<_>>();
        for (n, share, expected) in [(100, 0.25, 25), (4, 0.01, 2), (5, 0.99, 3)] {
            let (held, indexed) = hold_out(files(n), share, 3);
            assert_eq!((held.len(), indexed.len()), (expected, n - expected));
            assert!(held.is_sorted() && indexed.is_sorted());
        }
        assert_ne!(hold_out(files(50), 0.5, 3).0, hold_out(files(50), 0.5, 4).0);
    }
}
