//! The rows of features: some blocks of a track each.

use crate::peaks::Peak;
use crate::store::block::BlockCoder;
use std::ops::Range;

/// Blocks of a row: so few that little is read beside what lies under a clip, so many that what a row
/// takes beside its bytes is little.
pub(super) const PART_BLOCKS: u32 = 4;

/// What a row holds: how long each block is, two bytes each, and the blocks.
pub(super) fn pack(lengths: &[u16], blocks: &[u8], row: &mut Vec<u8>) {
    row.clear();
    row.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
    row.extend_from_slice(blocks);
}

/// The rows in which some blocks of a track are.
pub(super) fn parts(blocks: &Range<u32>) -> Range<u32> {
    blocks.start / PART_BLOCKS..blocks.end.div_ceil(PART_BLOCKS)
}

/// Decodes some blocks of a track, of `all` and so many sub-fingerprints, from the bytes of the rows in
/// which they are, one after the other. `None` where these are not such rows.
pub(super) fn decode(
    coder: &BlockCoder,
    mut bytes: &[u8],
    blocks: &Range<u32>,
    (all, words): (u32, u32),
    peaks: &mut Vec<Peak>,
    all_words: &mut Vec<u64>,
) -> Option<()> {
    for part in parts(blocks) {
        let first = part.checked_mul(PART_BLOCKS)?;
        let here = first..all.min(first.saturating_add(PART_BLOCKS));
        let (lengths, mut rest) = bytes.split_at_checked(2 * here.len())?;
        for (block, length) in here.zip(lengths.as_chunks().0) {
            let (this, later) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
            rest = later;
            if blocks.contains(&block) {
                coder.decode(this, block, coder.words_of(block, words), peaks, all_words)?;
            }
        }
        bytes = rest;
    }
    bytes.is_empty().then_some(())
}
