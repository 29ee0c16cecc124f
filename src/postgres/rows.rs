//! What is in the rows of features and postings.

use crate::peaks::Peak;
use crate::store::block::BlockCoder;
use std::ops::Range;

/// Hashes of a slot, which is a row of postings, if they were spread evenly. They are not: it is seven
/// times as many in the slots that there are, among 1,000 tracks.
pub(super) const HASHES_OF_SLOT: u64 = 4;

/// The order of hashes: those of neighbouring cells have keys that differ in their lowest bits, since a
/// search looks these up together. The lowest three bits of the time difference, the frequency difference
/// and the frequency are interleaved; above them stands the rest.
pub(super) fn key(hash: u32) -> u32 {
    let spread = |low: u32| (low & 1) | (low & 2) << 2 | (low & 4) << 4;
    let (time, delta, bin) = (hash & 0x1f, hash >> 5 & 0xff, hash >> 13);
    let near = spread(time) | spread(delta) << 1 | spread(bin) << 2;
    (bin >> 3) << 16 | (delta >> 3) << 11 | (time >> 3) << 9 | near
}

/// Blocks of a row of features: so few that little is read beside what lies under a clip, so many that what a row
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::landmark::HASH_BITS;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_few_peaks_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), lengths in any::<[u8; 4]>(),
            start in 0u32..9, count in 1u32..9, all in any::<u32>(), words in any::<u32>(),
        ) {
            // Mostly blocks that are short enough to be there.
            for (byte, length) in bytes.chunks_mut(2).zip(lengths) {
                byte[0] = length / 4;
                byte[byte.len() - 1] = 0;
            }
            let coder = BlockCoder::new(&Config::default());
            for start in [start, all.saturating_sub(start)] {
                let blocks = start..start.saturating_add(count).min(all);
                let (mut peaks, mut all_words) = (Vec::new(), Vec::new());
                let _ = decode(&coder, &bytes, &blocks, (all, words), &mut peaks, &mut all_words);
                prop_assert!(peaks.len() <= 8 * bytes.len() && 8 * all_words.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn each_hash_has_a_key_of_its_own_and_neighbours_have_near_ones() {
        let mut taken = vec![false; 1 << HASH_BITS];
        for hash in 0..1 << HASH_BITS {
            assert!(!std::mem::replace(&mut taken[key(hash) as usize], true), "{hash}");
        }
        // One farther in each coordinate.
        for step in [1, 1 << 5, 1 << 13] {
            assert_eq!(key(0x0a5_5a5a & !step) >> 3, key(0x0a5_5a5a & !step | step) >> 3);
        }
    }
}
