//! The parts of the line in which a search looks.

use crate::store::Totals;
use std::ops::Range;

/// Which parts of the line count: all but those that were removed, or those of some tracks.
#[derive(Debug)]
pub(crate) struct Scope {
    /// One bit for each block; none where all count.
    bits: Vec<u64>,
}

impl Scope {
    /// All that was not removed.
    pub fn all(totals: &Totals) -> Self {
        if totals.removed.is_empty() {
            return Self { bits: Vec::new() };
        }
        let mut bits = vec![u64::MAX; words(totals.blocks)];
        totals.removed.iter().for_each(|blocks| fill(&mut bits, blocks, false));
        Self { bits }
    }

    /// Some stretches of the line only.
    pub fn only(totals: &Totals, stretches: &[Range<u32>]) -> Self {
        let mut bits = vec![0; words(totals.blocks).max(1)];
        stretches.iter().for_each(|blocks| fill(&mut bits, blocks, true));
        Self { bits }
    }

    /// All but some stretches of it.
    pub fn without(mut self, totals: &Totals, stretches: &[Range<u32>]) -> Self {
        if self.bits.is_empty() {
            self.bits = vec![u64::MAX; words(totals.blocks)];
        }
        stretches.iter().for_each(|blocks| fill(&mut self.bits, blocks, false));
        self
    }

    #[inline]
    pub fn has(&self, block: u32) -> bool {
        let word = self.bits.get(block as usize / 64);
        self.bits.is_empty() || word.is_some_and(|word| word >> (block % 64) & 1 == 1)
    }
}

fn words(blocks: u32) -> usize {
    (blocks as usize).div_ceil(64)
}

fn fill(bits: &mut [u64], blocks: &Range<u32>, value: bool) {
    let end = (blocks.end as usize).min(64 * bits.len());
    for block in blocks.start as usize..end {
        let bit = 1 << (block % 64);
        bits[block / 64] = if value { bits[block / 64] | bit } else { bits[block / 64] & !bit };
    }
}
