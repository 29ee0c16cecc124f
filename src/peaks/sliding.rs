//! The maximum of all cells within reach of each.

use crate::arithmetic::greater;
use crate::wide;

/// Cells of which the maxima are taken side by side.
const SHIFTED: usize = 32;

/// `out[i]` = maximum of `row[i − radius ..= i + radius]`, cut at the ends.
///
/// Doubling: maxima over 1, 2, 4, … cells by shifted whole rows, then two overlapping ones cover
/// the window. No branch in the loops, so they vectorise.
pub(crate) fn sliding_max(row: &[f32], radius: usize, scratch: &mut Vec<f32>, out: &mut [f32]) {
    let window = 2 * radius + 1;
    scratch.clear();
    scratch.resize(radius, f32::NEG_INFINITY);
    scratch.extend_from_slice(row);
    // So far beyond the last window that whole blocks reach all that is in one.
    scratch.resize(row.len() + 2 * window + SHIFTED, f32::NEG_INFINITY);
    wide::run(
        #[inline(always)]
        || {
            let mut width = 1;
            while 2 * width <= window {
                shifted_max(scratch, width);
                width *= 2;
            }
            let second = &scratch[window - width..];
            for ((out, &a), &b) in out.iter_mut().zip(scratch.iter()).zip(second) {
                *out = greater(a, b);
            }
        },
    );
}

/// Replaces each cell, but for fewer than a block and the width at the end, by the greater of itself
/// and that `width` further on.
#[inline(always)]
fn shifted_max(cells: &mut [f32], width: usize) {
    let mut at = 0;
    // What is ahead is read before anything is written, so that the blocks vectorise in place.
    while let Some(&ahead) = cells[at + width..].first_chunk::<SHIFTED>() {
        if let Some(block) = cells[at..].first_chunk_mut::<SHIFTED>() {
            for (cell, ahead) in block.iter_mut().zip(ahead) {
                *cell = greater(*cell, ahead);
            }
        }
        at += SHIFTED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn sliding_maximum_agrees_with_the_obvious_one(
            row in prop::collection::vec(-100f32..0.0, 16..200), radius in 1usize..40,
        ) {
            let mut out = vec![0.0; row.len()];
            sliding_max(&row, radius, &mut vec![0.0; 7], &mut out);
            for (i, &got) in out.iter().enumerate() {
                let around = &row[i.saturating_sub(radius)..(i + radius + 1).min(row.len())];
                prop_assert_eq!(got, around.iter().copied().fold(f32::MIN, f32::max));
            }
        }
    }
}
