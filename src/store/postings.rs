//! Lists of postings as bytes.
//!
//! A list names blocks in ascending order, each once. It is a sequence of varints: seven bits a byte, the
//! lowest first, the highest bit set in all bytes but the last. The first is the first block; each of the
//! others is its block less the one before and 1.

use super::*;

/// The blocks in which a hash stands, or those of them in one part of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct PostingList<'s> {
    /// Which of the hashes (or landmarks) that were looked up, by its place among them.
    pub of: u32,
    /// Number of blocks in the list.
    pub len: u32,
    /// Is added to every block of the list: where the part of the store begins on the line.
    pub base: u32,
    /// The blocks, less `base`, as varints of their differences.
    pub bytes: Cow<'s, [u8]>,
}

impl PostingList<'static> {
    /// Encodes blocks, which must ascend: others are left out.
    #[must_use]
    pub fn encode(of: u32, blocks: impl IntoIterator<Item = u32>) -> Self {
        let mut bytes = Vec::new();
        let len = encode(blocks, &mut bytes);
        Self { of, len, base: 0, bytes: bytes.into() }
    }
}

impl PostingList<'_> {
    /// The blocks of the line.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { bytes: &self.bytes, next: self.base }
    }
}

/// Appends blocks, which must ascend (others are left out), and tells how many.
pub(crate) fn encode(blocks: impl IntoIterator<Item = u32>, bytes: &mut Vec<u8>) -> u32 {
    let (mut next, mut len) = (0, 0);
    for block in blocks {
        if block < next || block == u32::MAX {
            continue;
        }
        put(bytes, block - next);
        next = block + 1;
        len += 1;
    }
    len
}

/// Decodes a list. Damaged bytes give other blocks, in ascending order, or end it.
#[derive(Clone, Debug)]
pub struct Blocks<'s> {
    bytes: &'s [u8],
    next: u32,
}

impl Iterator for Blocks<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let (step, used) = varint(self.bytes)?;
        self.bytes = &self.bytes[used..];
        let block = self.next.checked_add(step)?;
        self.next = block.checked_add(1)?;
        Some(block)
    }
}

/// Appends a varint.
pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The varint that bytes begin with, and how many of them it takes; `None` where they end in it. Bits
/// beyond 32 are lost.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0u32;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        number |= u32::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((number, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_come_back(
            blocks in prop::collection::btree_set(0u32..u32::MAX - 1, 0..200), base in 0u32..2,
        ) {
            let list = PostingList { base, ..PostingList::encode(0, blocks.iter().copied()) };
            prop_assert_eq!(list.len as usize, blocks.len());
            let expected: Vec<u32> = blocks.iter().map(|block| block + base).collect();
            prop_assert_eq!(list.blocks().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_bytes_give_ascending_blocks(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let list = PostingList { of: 0, len: 0, base: 7, bytes: bytes.into() };
            let blocks: Vec<u32> = list.blocks().collect();
            prop_assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn blocks_out_of_order_are_left_out() {
        let list = PostingList::encode(3, [5, 5, 4, 9]);
        assert_eq!(list.blocks().collect::<Vec<_>>(), [5, 9]);
        assert_eq!((list.of, list.len), (3, 2));
    }
}
