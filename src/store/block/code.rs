//! What differs in length from peak to peak: the class of its step, its contrast and its level, as prefix codes.

use crate::peaks::kept::{CONTRASTS, LEVELS};
use crate::store::bits::BitWriter;
use std::borrow::BorrowMut;

/// The classes of steps, from the commonest to the rarest. In a class *c* are 2^*c* steps, 2^*c* − 1 the least.
pub(super) const CLASSES: [u8; 16] = [6, 5, 7, 1, 4, 2, 3, 0, 8, 9, 10, 11, 12, 13, 14, 15];
/// No code has fewer bits.
pub(super) const LEAST_CODE_BITS: u32 = 4;
/// What codes of so many bits say is looked up. Nearly all have no more.
pub(super) const TABLE_BITS: u32 = 12;

/// What is said of a peak in numbers of bits that differ: three numbers in unary, with a bit after the first.
#[derive(Clone, Copy, Default)]
pub(super) struct Code {
    pub class: u8,
    pub contrast: u8,
    /// What is added to the level before, modulo [`LEVELS`].
    pub level: u8,
    /// Its length. 0 where it is not in the table.
    pub bits: u8,
}

/// What each sequence of bits begins with.
pub(super) static CODES: [Code; 1 << TABLE_BITS] = {
    let mut codes = [Code { class: 0, contrast: 0, level: 0, bits: 0 }; 1 << TABLE_BITS];
    let mut i = 0;
    while i < codes.len() {
        if let Some(code) = Code::read(i as u64)
            && code.bits as u32 <= TABLE_BITS
        {
            codes[i] = code;
        }
        i += 1;
    }
    codes
};

impl Code {
    /// What bits begin with, if that is a code.
    pub(super) const fn read(bits: u64) -> Option<Self> {
        let first = bits.trailing_zeros();
        if first > 7 {
            return None;
        }
        let bits = bits >> (first + 1);
        let low = bits & 1;
        let bits = bits >> 1;
        let contrast = bits.trailing_zeros();
        if contrast >= CONTRASTS {
            return None;
        }
        let bits = bits >> (contrast + 1);
        let level = bits.trailing_zeros();
        if level >= 2 * LEVELS {
            return None;
        }
        let half = level.div_ceil(2);
        let added = if level % 2 == 1 { half } else { LEVELS - half };
        Some(Self {
            class: CLASSES[(2 * first + low as u32) as usize],
            contrast: folded(contrast) as u8,
            level: (added % LEVELS) as u8,
            bits: (first + contrast + level + LEAST_CODE_BITS) as u8,
        })
    }

    /// Writes the one of the class at a place among the classes, of a contrast, and of a level after another.
    pub(super) fn write<B: BorrowMut<Vec<u8>>>(
        place: u32,
        contrast: u32,
        [before, level]: [u32; 2],
        writer: &mut BitWriter<B>,
    ) {
        unary(place / 2, writer);
        writer.put((place % 2).into(), 1);
        unary(folded(contrast), writer);
        let apart = level.abs_diff(before);
        unary(if level > before { 2 * apart - 1 } else { 2 * apart }, writer);
    }
}

/// The number that stands for a contrast, or the other way round: the second is the commonest.
const fn folded(number: u32) -> u32 {
    if number < 2 { 1 - number } else { number }
}

/// Writes so many zeros and a one.
fn unary<B: BorrowMut<Vec<u8>>>(number: u32, writer: &mut BitWriter<B>) {
    writer.zeros(number);
    writer.put(1, 1);
}
