//! Makes a list of blocks: which widths suit it best, and its bits.

use super::{CHUNK_BITS, Widths, together};
use crate::store::bits::{BitWriter, ones};
use std::borrow::BorrowMut;

/// Number of ways to choose the narrow width for a wide one.
pub(crate) const CHOICES: u32 = 8;

/// The narrow width that a number below [`CHOICES`] stands for.
#[inline(always)]
pub(crate) const fn narrow(choice: u32, wide: u8) -> u8 {
    /// Up to this much, and so much less than the wide one.
    const MOST: [u8; CHOICES as usize] = [u8::MAX, 3, 5, 7, 9, u8::MAX, u8::MAX, u8::MAX];
    const LESS: [u8; CHOICES as usize] = [0, 0, 0, 0, 0, 4, 3, 2];
    let choice = (choice % CHOICES) as usize;
    let narrow = wide.saturating_sub(LESS[choice]);
    if narrow < MOST[choice] { narrow } else { MOST[choice] }
}

/// For a wide width and the number of bits of a number: a byte for each choice of the narrow width, 1 where
/// the number has no more.
static FITS: [[u64; 33]; 33] = {
    let mut fits = [[0; 33]; 33];
    let mut at = 0;
    while at < 33 * 33 * CHOICES as usize {
        let (wide, bits, choice) = (at / (33 * 8), at / 8 % 33, at as u32 % CHOICES);
        if bits <= narrow(choice, wide as u8) as usize {
            fits[wide][bits] |= 1 << (8 * choice);
        }
        at += 1;
    }
    fits
};

/// The widths that suit a list of numbers best, and the choice that the narrow one is.
pub(crate) fn choose(numbers: &[u32]) -> (u32, Widths) {
    let widest = numbers.iter().fold(0, |all, number| all | number);
    // One at least, so that there are no more numbers than bits.
    let wide = (u32::BITS - widest.leading_zeros()).max(1) as u8;
    let fits = &FITS[usize::from(wide)];
    // How many would be narrow with each of the choices. A byte counts up to 255.
    let mut few = [0u64; CHOICES as usize];
    for some in numbers.chunks(255) {
        let bits = |number: u32| (u64::from(number) << 1 | 1).ilog2() as usize;
        let counts = some.iter().fold(0, |counts, &number| counts + fits[bits(number)]);
        few.iter_mut().zip(counts.to_le_bytes()).for_each(|(few, count)| *few += u64::from(count));
    }
    let bits = |choice: &u32| {
        let (narrow, few) = (narrow(*choice, wide), few[*choice as usize]);
        let (all, flags) = (numbers.len() as u64, u64::from(narrow != wide));
        few * u64::from(narrow) + (all - few) * u64::from(wide) + all * flags
    };
    let choice = (0..CHOICES).min_by_key(bits).unwrap_or(0);
    (choice, Widths { narrow: narrow(choice, wide), wide })
}

/// Puts the numbers that stand for blocks, which ascend, in place of others.
pub(crate) fn numbers(blocks: &[u32], numbers: &mut Vec<u32>) {
    numbers.clear();
    let after = blocks.get(1..).unwrap_or_default();
    numbers.extend(blocks.first());
    numbers.extend(after.iter().zip(blocks).map(|(block, before)| block - before - 1));
}

/// Appends numbers that stand for blocks.
pub(crate) fn encode<B>(numbers: &[u32], widths: Widths, writer: &mut BitWriter<B>)
where
    B: BorrowMut<Vec<u8>>,
{
    let most = ones(widths.narrow.into()) as u32;
    if widths.narrow != widths.wide {
        for some in numbers.chunks(CHUNK_BITS as usize) {
            let flag = |(i, &number): (usize, &u32)| u64::from(number > most) << i;
            let flags = some.iter().enumerate().map(flag).fold(0, |flags, flag| flags | flag);
            writer.put(flags, some.len() as u32);
        }
    }
    match together(widths.wide) {
        1 => put_all::<1, B>(numbers, widths, writer),
        2 => put_all::<2, B>(numbers, widths, writer),
        _ => put_all::<3, B>(numbers, widths, writer),
    }
}

/// Appends numbers, `N` of them together.
fn put_all<const N: usize, B>(numbers: &[u32], widths: Widths, writer: &mut BitWriter<B>)
where
    B: BorrowMut<Vec<u8>>,
{
    let most = ones(widths.narrow.into()) as u32;
    let both = u32::from(widths.narrow) | u32::from(widths.wide) << 8;
    let pack = |some: &[u32]| {
        some.iter().fold((0, 0), |(word, used), &number| {
            // No branch, since which of the two widths it is cannot be foreseen.
            let width = both >> (u32::from(number > most) * 8) & 0xff;
            (word | u64::from(number) << used, used + width)
        })
    };
    let (chunks, rest) = numbers.as_chunks::<N>();
    let most_bits = numbers.len() * usize::from(widths.wide);
    let packed = chunks.iter().map(|some| pack(some)).chain(std::iter::once_with(|| pack(rest)));
    writer.put_all(most_bits, packed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PostingList;
    use proptest::prelude::*;

    /// The bits of a list, one by one, with the widths that give the fewest.
    fn naive(numbers: &[u32]) -> Vec<bool> {
        let bits = |number: u32| (0..32).rev().find(|i| number >> i & 1 == 1).map_or(0, |i| i + 1);
        let wide = numbers.iter().map(|&number| bits(number)).max().unwrap_or(0).max(1);
        let with = |narrow: u8| {
            let widths =
                numbers.iter().map(|&number| if bits(number) <= narrow { narrow } else { wide });
            let flags = widths.clone().map(|width| width == wide).filter(|_| narrow != wide);
            let of_number = |(number, width)| (0..width).map(move |i| number >> i & 1 == 1);
            flags.chain(numbers.iter().zip(widths).flat_map(of_number)).collect::<Vec<_>>()
        };
        (0..CHOICES).map(|choice| with(narrow(choice, wide))).min_by_key(Vec::len).unwrap()
    }

    proptest! {
        #[test]
        fn lists_are_as_short_as_can_be(
            mut numbers in prop::collection::vec((any::<u32>(), 8u32..32).prop_map(|(n, bits)| n >> bits), 1..700),
        ) {
            for factor in [1, 40] {
                numbers.iter_mut().for_each(|number| *number /= factor);
                let blocks = numbers.iter().scan(0, |next, number| {
                    let block = *next + number;
                    *next = block + 1;
                    Some(block)
                });
                let list = PostingList::encode(0, blocks.take_while(|&block| block < u32::MAX / 2));
                let want = naive(&numbers[..list.len as usize]);
                let found = (0..want.len()).map(|i| list.bytes[i / 8] >> (i % 8) & 1 == 1);
                prop_assert_eq!(found.collect::<Vec<_>>(), want.clone());
                prop_assert_eq!(list.bytes.len(), want.len().div_ceil(8));
            }
        }
    }

    #[test]
    fn narrow_widths_are_as_documented() {
        for wide in 0..=32 {
            let found: Vec<u8> = (0..CHOICES).map(|choice| narrow(choice, wide)).collect();
            let less = |by: u8| wide.saturating_sub(by);
            let want = [
                wide,
                wide.min(3),
                wide.min(5),
                wide.min(7),
                wide.min(9),
                less(4),
                less(3),
                less(2),
            ];
            assert_eq!(found, want);
        }
    }
}
