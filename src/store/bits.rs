//! Numbers of any number of bits in bytes, the lowest bit first.

use std::borrow::BorrowMut;

/// At most so many bits can be read or written at once, wherever they begin in a byte.
pub(crate) const MOST_BITS: u32 = 57;

/// Appends numbers to bytes, bit by bit.
#[derive(Debug, Default)]
pub(crate) struct BitWriter<B> {
    bytes: B,
    /// Bits that do not make up a word yet,
    bits: u64,
    /// and their number, below 64.
    count: u32,
}

impl<B: BorrowMut<Vec<u8>>> BitWriter<B> {
    pub fn new(bytes: B) -> Self {
        Self { bytes, bits: 0, count: 0 }
    }

    /// Appends the lowest `bits` (up to [`MOST_BITS`] − 1) bits of a number, which has no others.
    #[inline]
    pub fn put(&mut self, number: u64, bits: u32) {
        let word = self.bits | number << self.count;
        self.count += bits;
        if self.count < u64::BITS {
            self.bits = word;
            return;
        }
        self.bytes.borrow_mut().extend_from_slice(&word.to_le_bytes());
        // What the word had no room for: less than all bits of the number.
        self.count -= u64::BITS;
        self.bits = number >> (bits - self.count);
    }

    /// Appends numbers, each with how many of its lowest bits count (up to [`MOST_BITS`] − 1; it has no
    /// others). They have no more than `most_bits` in all.
    ///
    /// That is faster for many: words are written after each number, full or not, for when they are full
    /// cannot be foreseen.
    #[inline(always)]
    pub fn put_all(&mut self, most_bits: usize, numbers: impl Iterator<Item = (u64, u32)>) {
        let (mut word, mut count, mut at) = (self.bits, self.count, 0);
        let bytes = self.bytes.borrow_mut();
        let begin = bytes.len();
        bytes.resize(begin + (most_bits + count as usize) / 8 + 2 * size_of::<u64>(), 0);
        let to = &mut bytes[begin..];
        numbers.for_each(|(number, bits)| {
            let place = to.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
            debug_assert!(place.is_some(), "more than {most_bits} bits");
            if let Some(place) = place {
                *place = word.to_le_bytes();
            }
            at += (count / 8) as usize;
            word = word >> (count & !7) | number << (count & 7);
            count = (count & 7) + bits;
        });
        bytes.truncate(begin + at);
        (self.bits, self.count) = (word, count);
    }

    /// Appends so many zeros.
    pub fn zeros(&mut self, mut count: u32) {
        while count > 0 {
            let now = count.min(32);
            self.put(0, now);
            count -= now;
        }
    }

    /// Fills the last byte up with zeros.
    pub fn finish(&mut self) -> &mut B {
        let used = self.count.div_ceil(8) as usize;
        self.bytes.borrow_mut().extend_from_slice(&self.bits.to_le_bytes()[..used]);
        (self.bits, self.count) = (0, 0);
        &mut self.bytes
    }
}

/// The [`MOST_BITS`] bits or more that begin at a bit: zeros where there are none.
#[inline(always)]
pub(crate) fn load(bytes: &[u8], bit: usize) -> u64 {
    let at = bit / 8;
    // Compared once: no place of a bit is so far on that this overflows.
    let word = match bytes.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => load_last(bytes, at),
    };
    word >> (bit % 8)
}

#[cold]
fn load_last(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take(8).rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Reads numbers one after the other.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'s> {
    bytes: &'s [u8],
    /// Where `word` was loaded,
    at: usize,
    word: u64,
    /// and how much of it is done with: at most [`READY_BITS`].
    used: u32,
}

/// Bits of a word that are right, wherever it begins.
const READY_BITS: u32 = MOST_BITS - 1;
/// Bits that [`BitReader::peek`] gives.
const PEEKED_BITS: u32 = 40;

impl<'s> BitReader<'s> {
    #[inline]
    pub fn new(bytes: &'s [u8]) -> Self {
        Self { bytes, at: 0, word: load(bytes, 0), used: 0 }
    }

    pub fn bytes(&self) -> &'s [u8] {
        self.bytes
    }

    #[inline(always)]
    pub fn bit(&self) -> usize {
        self.at + self.used as usize
    }

    /// Goes on elsewhere.
    #[inline(always)]
    pub fn go_to(&mut self, bit: usize) {
        (self.at, self.word, self.used) = (bit, load(self.bytes, bit), 0);
    }

    /// Makes sure that so many bits, up to [`READY_BITS`], are ready.
    #[inline(always)]
    fn prepare(&mut self, bits: u32) {
        if self.used + bits > READY_BITS {
            self.go_to(self.bit());
        }
    }

    /// Whether there are nothing but zeros as far as can be seen.
    #[inline(always)]
    pub fn is_at_end(&mut self) -> bool {
        self.prepare(READY_BITS);
        self.word & ones(READY_BITS) == 0
    }

    /// The next [`PEEKED_BITS`], and perhaps some more.
    #[inline(always)]
    pub fn peek(&mut self) -> u64 {
        self.prepare(PEEKED_BITS);
        self.word >> self.used
    }

    /// Passes so many bits over, of those that were seen by [`peek`](Self::peek).
    #[inline(always)]
    pub fn skip(&mut self, bits: u32) {
        self.used += bits;
    }

    /// The next number of so many bits, up to [`READY_BITS`].
    #[inline(always)]
    pub fn take(&mut self, bits: u32) -> u64 {
        self.prepare(bits);
        let number = self.word >> self.used & ones(bits);
        self.used += bits;
        number
    }

    /// The next number in unary, up to 32: so many zeros and a one. `None` where it is larger.
    #[inline(always)]
    pub fn unary(&mut self) -> Option<u32> {
        let mut zeros = (self.word >> self.used).trailing_zeros();
        if self.used + zeros >= READY_BITS {
            self.go_to(self.bit());
            zeros = self.word.trailing_zeros();
            if zeros > 32 {
                return None;
            }
        }
        self.used += zeros + 1;
        Some(zeros)
    }
}

/// A number whose lowest `bits` (up to 63) are set.
#[inline(always)]
pub(crate) fn ones(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unary_numbers_come_back(numbers in prop::collection::vec((0u32..33, any::<u64>(), 0u32..57), 0..50)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for &(small, number, bits) in &numbers {
                writer.zeros(small);
                writer.put(1, 1);
                writer.put(number & ones(bits), bits);
            }
            writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &(small, number, bits) in &numbers {
                prop_assert!(!reader.is_at_end());
                prop_assert_eq!(reader.unary(), Some(small));
                let seen = bits.min(PEEKED_BITS);
                prop_assert_eq!(reader.peek() & ones(seen), number & ones(seen));
                reader.skip(seen);
                prop_assert_eq!(reader.take(bits - seen), (number & ones(bits)) >> seen);
            }
            prop_assert!(reader.is_at_end());
            prop_assert_eq!(reader.unary(), None);
        }

        #[test]
        fn many_numbers_at_once_are_as_one_by_one(
            before in 0u32..57, after in 0u32..57, numbers in prop::collection::vec((any::<u64>(), 0u32..57), 0..50),
        ) {
            let [mut one_by_one, mut at_once] = [0; 2].map(|_| BitWriter::new(vec![7u8; 3]));
            for writer in [&mut one_by_one, &mut at_once] {
                writer.put(0, before);
            }
            let numbers = numbers.iter().map(|&(number, bits)| (number & ones(bits), bits));
            numbers.clone().for_each(|(number, bits)| one_by_one.put(number, bits));
            at_once.put_all(numbers.clone().map(|(_, bits)| bits as usize).sum(), numbers);
            for writer in [&mut one_by_one, &mut at_once] {
                writer.put(ones(after), after);
            }
            prop_assert_eq!(one_by_one.finish(), at_once.finish());
        }

        #[test]
        fn numbers_come_back(numbers in prop::collection::vec((any::<u64>(), 0u32..57, 0u32..70), 0..50)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for &(number, bits, gap) in &numbers {
                writer.put(number & ones(bits), bits);
                writer.zeros(gap);
            }
            writer.finish();
            let mut at = 0;
            for &(number, bits, gap) in &numbers {
                prop_assert_eq!(load(&bytes, at) & ones(bits), number & ones(bits));
                at += (bits + gap) as usize;
            }
            prop_assert_eq!(bytes.len(), at.div_ceil(8));
            let mut reader = BitReader::new(&bytes);
            for &(number, bits, gap) in &numbers {
                prop_assert_eq!(reader.take(bits), number & ones(bits));
                reader.go_to(reader.bit() + gap as usize);
            }
            prop_assert_eq!(load(&bytes, 8 * bytes.len() + 5), 0);
        }
    }
}
