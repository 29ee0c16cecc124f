//! Lists of postings as bytes.
//!
//! A list names blocks in ascending order, each once, in the code of P. Elias ("Efficient storage and
//! retrieval by content and address of static files", 1974) and R. Fano (1971). The lowest
//! [`low_bits`](PostingList::low_bits) bits of all blocks stand first, one after the other. What is above
//! them comes in unary: a one for each block, a zero for each step to the next number. Bits fill bytes from
//! the lowest up, and the last byte is filled up with zeros. A list of one block has all its bits among the
//! low ones, and no unary part.
//!
//! That is two to three bits a block beyond the logarithm of the mean distance, and all low bits are found
//! without those before.

use crate::store::bits::{BitWriter, MOST_BITS, load, ones};
use std::borrow::Cow;

/// The blocks in which a hash stands, or those of them in one part of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct PostingList<'s> {
    /// Which of the hashes (or landmarks) that were looked up, by its place among them.
    pub of: u32,
    /// Number of blocks in the list.
    pub len: u32,
    /// Is added to every block of the list: where the part of the store begins on the line.
    pub base: u32,
    /// Number of low bits of each block, 32 at most.
    pub low_bits: u8,
    /// The blocks, less `base`.
    pub bytes: Cow<'s, [u8]>,
}

impl PostingList<'static> {
    /// Encodes blocks, which must ascend: others are left out.
    #[must_use]
    pub fn encode(of: u32, blocks: impl IntoIterator<Item = u32>) -> Self {
        let mut ascending: Vec<u32> = Vec::new();
        for block in blocks {
            if ascending.last().is_none_or(|&last| last < block) {
                ascending.push(block);
            }
        }
        let len = ascending.len() as u32;
        let low_bits = low_bits(len, ascending.last().map_or(0, |&last| u64::from(last) + 1));
        let mut bytes = Vec::new();
        encode(&ascending, low_bits, &mut bytes);
        Self { of, len, base: 0, low_bits, bytes: bytes.into() }
    }
}

impl PostingList<'_> {
    /// The blocks of the line, in ascending order. Damaged bytes give others, or fewer.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(&self.bytes, self.base, self.len, self.low_bits)
    }
}

/// The number of low bits of `len` blocks out of `universe`.
pub(crate) fn low_bits(len: u32, universe: u64) -> u8 {
    let bits = match len {
        0 => 0,
        1 => u64::BITS - universe.saturating_sub(1).leading_zeros(),
        _ => (universe / u64::from(len)).max(1).ilog2(),
    };
    bits.min(32) as u8
}

/// Bytes that a list of `len` blocks out of `universe` may take up, whichever they are.
pub(crate) fn room(len: u32, universe: u64) -> usize {
    let (len, bits) = (u64::from(len), u32::from(low_bits(len, universe)));
    let high = if len < 2 { 0 } else { len + (universe.saturating_sub(1) >> bits) };
    usize::try_from((len * u64::from(bits) + high).div_ceil(8)).unwrap_or(usize::MAX)
}

/// Appends blocks, which ascend.
pub(crate) fn encode(blocks: &[u32], low_bits: u8, bytes: &mut Vec<u8>) {
    let bits = u32::from(low_bits);
    let mut writer = BitWriter::new(bytes);
    blocks.iter().for_each(|&block| writer.put(u64::from(block) & ones(bits), bits));
    if blocks.len() > 1 {
        let mut before = 0;
        for &block in blocks {
            let high = (u64::from(block) >> bits) as u32;
            writer.zeros(high - before);
            writer.put(1, 1);
            before = high;
        }
    }
    writer.finish();
}

/// Decodes a list.
#[derive(Clone, Debug)]
pub struct Blocks<'s> {
    bytes: &'s [u8],
    base: u32,
    bits: u32,
    len: u32,
    /// Blocks that are done.
    read: u32,
    /// Bit at which the next low bits begin,
    low_at: usize,
    /// and the unary code,
    unary_at: usize,
    /// and, counted from there, its part that was read last,
    chunk_at: u64,
    /// of which the ones are left that are not done.
    chunk: u64,
    /// No block is below this.
    least: u32,
}

/// Bits of unary code that are looked at together.
const CHUNK_BITS: u32 = MOST_BITS - 1;

impl<'s> Blocks<'s> {
    pub(crate) fn new(bytes: &'s [u8], base: u32, len: u32, low_bits: u8) -> Self {
        let bits = u32::from(low_bits).min(32);
        let unary_at = usize::try_from(u64::from(bits) * u64::from(len)).unwrap_or(usize::MAX);
        let chunk = load(bytes, unary_at) & ones(CHUNK_BITS);
        Self { bytes, base, bits, len, read: 0, low_at: 0, unary_at, chunk_at: 0, chunk, least: 0 }
    }

    /// Goes on to the part of the unary code that has the next one.
    #[inline(never)]
    fn next_chunk(&mut self) -> Option<()> {
        while self.chunk == 0 {
            self.chunk_at += u64::from(CHUNK_BITS);
            let bit = self.unary_at.checked_add(usize::try_from(self.chunk_at).ok()?)?;
            if bit / 8 >= self.bytes.len() {
                return None;
            }
            self.chunk = load(self.bytes, bit) & ones(CHUNK_BITS);
        }
        Some(())
    }
}

impl Iterator for Blocks<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.read == self.len {
            return None;
        }
        let low = load(self.bytes, self.low_at) & ones(self.bits);
        self.low_at += self.bits as usize;
        let mut high = 0;
        if self.len > 1 {
            if self.chunk == 0 {
                self.next_chunk()?;
            }
            // All that stands before it but ones is steps.
            high = self.chunk_at + u64::from(self.chunk.trailing_zeros()) - u64::from(self.read);
            self.chunk &= self.chunk - 1;
        }
        self.read += 1;
        let block = u32::try_from(high << self.bits | low).ok()?;
        let block = block.checked_add(self.base).filter(|&block| block >= self.least)?;
        self.least = block.checked_add(1)?;
        Some(block)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some((self.len - self.read) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_come_back(
            blocks in prop_oneof![
                prop::collection::btree_set(0u32..u32::MAX - 1, 0..200),
                prop::collection::btree_set(0u32..300, 0..200),
            ],
            base in 0u32..2,
        ) {
            let list = PostingList { base, ..PostingList::encode(0, blocks.iter().copied()) };
            prop_assert_eq!(list.len as usize, blocks.len());
            let expected: Vec<u32> = blocks.iter().map(|block| block + base).collect();
            prop_assert_eq!(list.blocks().collect::<Vec<_>>(), expected);
            let universe = blocks.last().map_or(0, |&last| u64::from(last) + 1);
            prop_assert!(list.bytes.len() <= room(list.len, universe));
            for end in 0..list.bytes.len() {
                let cut = PostingList { bytes: list.bytes[..end].into(), ..list.clone() };
                prop_assert!(cut.blocks().count() <= blocks.len());
            }
        }

        #[test]
        fn any_bytes_give_ascending_blocks(
            bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0u32..100, low_bits: u8,
        ) {
            let list = PostingList { of: 0, len, base: 7, low_bits, bytes: bytes.into() };
            let blocks: Vec<u32> = list.blocks().collect();
            prop_assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(blocks.len() <= len as usize);
            let endless = PostingList { len: u32::MAX, ..list };
            prop_assert!(endless.blocks().count() <= 8 * endless.bytes.len());
        }
    }

    #[test]
    fn blocks_out_of_order_are_left_out() {
        let list = PostingList::encode(3, [5, 5, 4, 9]);
        assert_eq!(list.blocks().collect::<Vec<_>>(), [5, 9]);
        assert_eq!((list.of, list.len), (3, 2));
    }

    #[test]
    fn a_list_is_as_documented() {
        // Blocks 1, 2 and 9 of 10: one low bit each, 1 0 1; above it 0, 1 and 4: 1, 01, 0001.
        let list = PostingList::encode(0, [1, 2, 9]);
        assert_eq!((list.low_bits, &*list.bytes), (1, &[0b0010_1101, 0b10][..]));
        // One block has no unary part.
        let list = PostingList::encode(0, [300]);
        assert_eq!((list.low_bits, &*list.bytes), (9, &[44, 1][..]));
    }
}
