//! Lists of postings as bits.
//!
//! A list names blocks in ascending order, each once, by the blocks that lie between each and the one
//! before (or the beginning of the line). These numbers are of two kinds: small ones, where something comes
//! again in the same track, and large ones from track to track. So they have two widths, and a list is
//!
//! - a bit for each block: whether its number is wide; left out if both widths are the same,
//! - then the numbers, one after the other.
//!
//! Bits fill bytes from the lowest up. To read a number, only the flags of those before must be known, so
//! that one does not wait for another to be loaded.

use crate::store::bits::{BitWriter, MOST_BITS, load, ones};
use std::borrow::Cow;

pub(crate) use writing::{CHOICES, choose, encode, narrow, numbers};

mod writing;

/// The blocks in which a hash stands, or those of them in one part of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct PostingList<'s> {
    /// Which of the hashes (or landmarks) that were looked up, by its place among them.
    pub of: u32,
    /// Number of blocks in the list.
    pub len: u32,
    /// Is added to every block of the list: where the part of the store begins on the line.
    pub base: u32,
    /// How its numbers are written.
    pub widths: Widths,
    /// The bit of `bytes` at which it begins, below 8.
    pub first_bit: u8,
    /// The list, and perhaps what follows it.
    pub bytes: Cow<'s, [u8]>,
}

/// Numbers of bits, 32 at most, that the numbers of a list take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widths {
    /// Of those that are marked by 0,
    pub narrow: u8,
    /// and by 1. The same as `narrow` if they are not marked.
    pub wide: u8,
}

impl PostingList<'static> {
    /// Encodes blocks, which must ascend: others are left out.
    #[must_use]
    pub fn encode(of: u32, blocks: impl IntoIterator<Item = u32>) -> Self {
        let mut ascending: Vec<u32> = Vec::new();
        for block in blocks {
            if block < u32::MAX && ascending.last().is_none_or(|&last| last < block) {
                ascending.push(block);
            }
        }
        let mut numbers = Vec::new();
        self::numbers(&ascending, &mut numbers);
        let (choice, widths) = choose(&numbers);
        debug_assert_eq!(narrow(choice, widths.wide), widths.narrow);
        let mut bytes = Vec::new();
        let mut writer = BitWriter::new(&mut bytes);
        self::encode(&numbers, widths, &mut writer);
        writer.finish();
        let len = ascending.len() as u32;
        Self { of, len, base: 0, widths, first_bit: 0, bytes: bytes.into() }
    }
}

impl PostingList<'_> {
    /// The blocks of the line, in ascending order. Damaged bytes give others, or fewer.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(&self.bytes, self.first_bit, self.base, self.len, self.widths)
    }

    /// Reads a byte of where the list begins, and one of where it ends.
    #[inline]
    pub(crate) fn touch(&self) -> u8 {
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or_default();
        byte(0) ^ byte(self.len as usize * usize::from(self.widths.narrow) / 8)
    }
}

/// Number of bits of a list of `len` blocks that begins at a bit.
#[inline]
pub(crate) fn length(bytes: &[u8], bit: usize, len: u32, widths: Widths) -> u64 {
    let [narrow, wide] = [widths.narrow, widths.wide].map(u64::from);
    let (len, has_flags) = (u64::from(len), narrow != wide);
    // Few lists have more flags than one load gives, and no branch depends on whether there are any.
    let marked_of = |done: u64| {
        let flags =
            load(bytes, bit + done as usize) & ones((len - done).min(CHUNK_BITS.into()) as u32);
        u64::from(if has_flags { flags.count_ones() } else { 0 })
    };
    let (mut marked, mut done) = (marked_of(0), u64::from(CHUNK_BITS));
    while done < len && has_flags && bit / 8 + (done / 8) as usize <= bytes.len() {
        marked += marked_of(done);
        done += u64::from(CHUNK_BITS);
    }
    len * (narrow + u64::from(has_flags)) + marked * (wide - narrow)
}

/// Flags that are looked at together.
const CHUNK_BITS: u32 = MOST_BITS - 1;

/// How many numbers of a list, 3 at most, surely fit into [`CHUNK_BITS`].
#[inline(always)]
fn together(wide: u8) -> u32 {
    match wide {
        0..=18 => 3,
        19..=28 => 2,
        _ => 1,
    }
}

/// Decodes a list.
#[derive(Clone, Debug)]
pub struct Blocks<'s> {
    bytes: &'s [u8],
    narrow: u32,
    wide: u32,
    /// Blocks that are left.
    left: u32,
    /// Flags of the next of them,
    flags: u64,
    /// how many these are,
    flags_left: u32,
    /// and where the next ones are.
    flags_at: usize,
    /// Where the next number is.
    at: usize,
    /// The least that the next block can be.
    next: u32,
}

impl<'s> Blocks<'s> {
    pub(crate) fn new(bytes: &'s [u8], first_bit: u8, base: u32, len: u32, widths: Widths) -> Self {
        let wide = u32::from(widths.wide).min(32);
        let narrow = u32::from(widths.narrow).min(wide);
        let flags_at = usize::from(first_bit);
        let flags = if narrow == wide { 0 } else { len as usize };
        // No list has more blocks than bits.
        let left = u32::try_from(bytes.len() * 8).map_or(len, |bits| bits.min(len));
        let at = flags_at + flags;
        Self { bytes, narrow, wide, left, flags: 0, flags_left: 0, flags_at, at, next: base }
    }
}

impl Blocks<'_> {
    /// Appends all to others.
    pub(crate) fn append_to(self, blocks: &mut Vec<u32>) {
        let begin = blocks.len();
        // No more than there are bits.
        blocks.resize(begin + self.left as usize, 0);
        let to = &mut blocks[begin..];
        let count = self.fold(0, |count, block| {
            to[count] = block;
            count + 1
        });
        blocks.truncate(begin + count);
    }

    /// Makes sure that there is a flag for the next number.
    #[inline(always)]
    fn load_flags(&mut self) {
        if self.flags_left == 0 {
            self.flags_left = CHUNK_BITS;
            if self.narrow != self.wide {
                self.flags = load(self.bytes, self.flags_at);
                self.flags_at += CHUNK_BITS as usize;
            }
        }
    }

    /// The block of the next number, with which a word begins. `None` where no block is so far on.
    #[inline(always)]
    fn step(&mut self, word: &mut u64) -> Option<u32> {
        let width = if self.flags & 1 == 0 { self.narrow } else { self.wide };
        self.flags >>= 1;
        let block = u64::from(self.next) + (*word & ones(width));
        *word >>= width;
        self.at += width as usize;
        let block = u32::try_from(block).ok().filter(|&block| block < u32::MAX)?;
        self.next = block + 1;
        Some(block)
    }

    /// What [`fold`](Iterator::fold) does, with one load for `N` numbers.
    #[inline(always)]
    fn fold_by<const N: u32, B, F: FnMut(B, u32) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        while self.left > 0 {
            self.load_flags();
            let now = self.left.min(self.flags_left);
            for _ in 0..now / N {
                let mut word = load(self.bytes, self.at);
                for _ in 0..N {
                    let Some(block) = self.step(&mut word) else { return folded };
                    folded = f(folded, block);
                }
            }
            for _ in 0..now % N {
                let mut word = load(self.bytes, self.at);
                let Some(block) = self.step(&mut word) else { return folded };
                folded = f(folded, block);
            }
            self.left -= now;
            self.flags_left -= now;
        }
        folded
    }
}

impl Iterator for Blocks<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            return None;
        }
        self.load_flags();
        self.flags_left -= 1;
        self.left -= 1;
        let mut word = load(self.bytes, self.at);
        let block = self.step(&mut word);
        if block.is_none() {
            self.left = 0;
        }
        block
    }

    /// What [`next`](Self::next) gives, with all flags of a load and some numbers at hand.
    #[inline]
    fn fold<B, F: FnMut(B, u32) -> B>(self, init: B, f: F) -> B {
        match together(self.wide as u8) {
            1 => self.fold_by::<1, B, F>(init, f),
            2 => self.fold_by::<2, B, F>(init, f),
            _ => self.fold_by::<3, B, F>(init, f),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
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
                prop::collection::btree_set(prop_oneof![0u32..99, 99_000u32..99_099, 0u32..99_999], 0..200),
            ],
            base in 0u32..2, first_bit in 0u8..8,
        ) {
            let list = PostingList::encode(0, blocks.iter().copied());
            prop_assert_eq!(list.len as usize, blocks.len());
            prop_assert_eq!(length(&list.bytes, 0, list.len, list.widths).div_ceil(8), list.bytes.len() as u64);
            // Elsewhere.
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            writer.put(ones(first_bit.into()), first_bit.into());
            let mut as_numbers = Vec::new();
            numbers(&blocks.iter().copied().collect::<Vec<_>>(), &mut as_numbers);
            encode(&as_numbers, list.widths, &mut writer);
            writer.put(ones(9), 9);
            writer.finish();
            let list = PostingList { base, first_bit, bytes: bytes.into(), ..list };
            let expected: Vec<u32> = blocks.iter().map(|block| block + base).collect();
            prop_assert_eq!(list.blocks().collect::<Vec<_>>(), expected);
            for end in 0..list.bytes.len() {
                let cut = PostingList { bytes: list.bytes[..end].into(), ..list.clone() };
                prop_assert!(cut.blocks().count() <= blocks.len());
            }
        }

        #[test]
        fn any_bytes_give_ascending_blocks(
            bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0u32..100, narrow: u8, wide: u8,
            first_bit: u8,
        ) {
            let widths = Widths { narrow, wide };
            let list = PostingList { of: 0, len, base: 7, widths, first_bit, bytes: bytes.into() };
            let blocks: Vec<u32> = list.blocks().collect();
            prop_assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]));
            // All at once, and after some were taken one by one.
            for one_by_one in [0, 1, 60] {
                let mut left = list.blocks();
                let mut again: Vec<u32> = left.by_ref().take(one_by_one).collect();
                left.for_each(|block| again.push(block));
                prop_assert_eq!(&again, &blocks);
            }
            prop_assert!(blocks.len() <= len as usize);
            let endless = PostingList { len: u32::MAX, ..list };
            prop_assert!(endless.blocks().count() <= 8 * endless.bytes.len());
        }
    }

    #[test]
    fn blocks_out_of_order_are_left_out() {
        let list = PostingList::encode(3, [5, 5, 4, 9, u32::MAX]);
        assert_eq!(list.blocks().collect::<Vec<_>>(), [5, 9]);
        assert_eq!((list.of, list.len), (3, 2));
    }

    #[test]
    fn a_list_is_as_documented() {
        // 1, 2, 3 and 200 in three bits or eight.
        let list = PostingList::encode(0, [1, 4, 8, 209, 212, 215, 218]);
        assert_eq!(list.widths, Widths { narrow: 3, wide: 8 });
        let bits = [0b000_1000, 0b011_010_001 << 7, 200 << 16, 0b010_010_010 << 24];
        let bits: u64 = bits.iter().sum();
        assert_eq!(list.bytes[..], bits.to_le_bytes()[..5]);
        // One number has no flag.
        let list = PostingList::encode(0, [300]);
        assert_eq!((list.widths, &*list.bytes), (Widths { narrow: 9, wide: 9 }, &[44, 1][..]));
    }
}
