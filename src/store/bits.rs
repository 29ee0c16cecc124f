//! Numbers of any number of bits in bytes, the lowest bit first.

/// At most so many bits can be read or written at once, wherever they begin in a byte.
pub(crate) const MOST_BITS: u32 = 57;

/// Appends numbers to bytes, bit by bit.
pub(crate) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    /// Bits that do not make up a byte yet,
    bits: u64,
    /// and their number, below 8.
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, bits: 0, count: 0 }
    }

    /// Appends the lowest `bits` (up to [`MOST_BITS`] − 1) bits of a number, which has no others.
    #[inline]
    pub fn put(&mut self, number: u64, bits: u32) {
        self.bits |= number << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
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
    pub fn finish(self) {
        if self.count > 0 {
            self.bytes.push(self.bits as u8);
        }
    }
}

/// The [`MOST_BITS`] bits or more that begin at a bit: zeros where there are none.
#[inline(always)]
pub(crate) fn load(bytes: &[u8], bit: usize) -> u64 {
    let at = bit / 8;
    let word = match bytes.get(at..).and_then(<[u8]>::first_chunk) {
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
            prop_assert_eq!(load(&bytes, 8 * bytes.len() + 5), 0);
        }
    }
}
