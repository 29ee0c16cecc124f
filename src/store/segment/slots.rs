//! Slots of postings: what a segment, or a row of a database, holds of neighbouring keys.

use crate::landmark::HASH_BITS;
use crate::store::bits::{BitReader, BitWriter, ones};
use crate::store::postings::{self, Blocks, CHOICES, Widths};

/// Hashes of a slot of a segment, about: each is passed over on the way to those after it.
pub(crate) const HASHES_OF_SLOT: u64 = 10;

/// The order of hashes in a segment is that of their keys, so that they are spread evenly over the slots:
/// hashes of music are not. A key has as many bits as a hash.
#[inline]
pub(crate) fn key(hash: u32, bits: u32) -> u32 {
    hash.wrapping_mul(0x9e37_79b1) & ((1 << bits) - 1)
}

/// How many of the bits of a key its slot leaves open, if there are so many hashes, and should be so many
/// in a slot.
fn slot_shift(key_bits: u32, hashes: u64, of_slot: u64) -> u32 {
    let slots = (hashes / of_slot).max(1).ilog2();
    key_bits - slots.min(key_bits)
}

/// Low bits of the step from a key to the next in its slot, where these are about so many. What is above
/// them is below 32.
fn step_bits(shift: u32, of_slot: u64) -> u32 {
    shift.saturating_sub((of_slot.ilog2() + 1).min(5))
}

/// Number of bits of a block's number, of so many.
fn block_bits(blocks: u32) -> u8 {
    (u32::BITS - blocks.saturating_sub(1).leading_zeros()).max(1) as u8
}

/// How slots are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// Bits of a key.
    key_bits: u32,
    /// A slot holds the keys that are the same above so many bits.
    shift: u32,
    /// Low bits of the step from a key to the next.
    step_bits: u32,
    /// How the only block of a list is written.
    single: Widths,
    /// No list is longer.
    blocks: u32,
}

impl Slots {
    /// For postings in so many blocks, with about so many hashes in a slot. `shift` is `key_bits` at most,
    /// and these are [`HASH_BITS`] at most.
    pub fn new(blocks: u32, key_bits: u32, shift: u32, of_slot: u64) -> Self {
        let key_bits = key_bits.min(HASH_BITS);
        let (block_bits, shift) = (block_bits(blocks), shift.min(key_bits));
        let single = Widths { narrow: block_bits, wide: block_bits };
        Self { key_bits, shift, step_bits: step_bits(shift, of_slot), single, blocks }
    }

    /// Number of slots.
    pub fn count(&self) -> u32 {
        1 << (self.key_bits - self.shift)
    }

    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// The keys in the bytes of a slot, with their lists.
    pub fn entries<'s>(&self, bytes: &'s [u8], slot: u32) -> Entries<'s> {
        let next = slot.checked_shl(self.shift).unwrap_or(0);
        Entries { slots: *self, bits: BitReader::new(bytes), next }
    }
}

/// A posting list as it stands in a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'s> {
    pub len: u32,
    pub widths: Widths,
    pub first_bit: u8,
    /// The list, and what follows it.
    pub bytes: &'s [u8],
}

impl List<'_> {
    pub fn blocks(&self) -> Blocks<'_> {
        let Self { len, widths, first_bit, bytes } = *self;
        Blocks::new(bytes, first_bit, 0, len, widths)
    }
}

/// What is no slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSlot;

/// Goes through the lists of a slot.
pub(crate) struct Entries<'s> {
    slots: Slots,
    bits: BitReader<'s>,
    /// The least that the next key can be.
    next: u32,
}

impl<'s> Entries<'s> {
    /// The next key, and its list.
    pub fn next(&mut self) -> Result<Option<(u32, List<'s>)>, NoSlot> {
        // What fills up the last byte has no ones.
        if self.bits.is_at_end() {
            return Ok(None);
        }
        self.key().and_then(|key| Some((key, self.list()?))).map(Some).ok_or(NoSlot)
    }

    /// The list of a key, if it is among those to come.
    #[inline]
    pub fn find(&mut self, wanted: u32) -> Result<Option<List<'s>>, NoSlot> {
        while !self.bits.is_at_end() {
            let key = self.key().ok_or(NoSlot)?;
            if key > wanted {
                break;
            }
            let list = self.list().ok_or(NoSlot)?;
            if key == wanted {
                return Ok(Some(list));
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn key(&mut self) -> Option<u32> {
        let low = self.slots.step_bits;
        let step = self.bits.unary()?.checked_shl(low)? | self.bits.take(low) as u32;
        let key = self.next.checked_add(step)?;
        self.next = key.checked_add(1)?;
        Some(key)
    }

    /// The list of the key that was read last. Which of all ways a list is written in is anyone's guess: no
    /// branch depends on it.
    #[inline(always)]
    fn list(&mut self) -> Option<List<'s>> {
        let Self { slots, bits, .. } = self;
        let magnitude = bits.unary()?;
        let len = 1u32.checked_shl(magnitude)? | bits.take(magnitude) as u32;
        // A single block has no widths.
        let is_single = len == 1;
        let header = bits.peek();
        let narrower = header.trailing_zeros();
        let choice = (header >> ((narrower + 1) % u64::BITS)) as u32 % CHOICES;
        let (narrower, choice, used) = match is_single {
            true => (0, 0, 0),
            false => (narrower, choice, narrower + 1 + CHOICES.ilog2()),
        };
        bits.skip(used);
        let wide = u32::from(slots.single.wide).checked_sub(narrower)? as u8;
        let widths = Widths { narrow: postings::narrow(choice, wide), wide };
        if len > slots.blocks || wide == 0 {
            return None;
        }
        let (begin, bytes) = (bits.bit(), bits.bytes());
        let end = begin as u64 + postings::length(bytes, begin, len, widths);
        if end > 8 * bytes.len() as u64 {
            return None;
        }
        bits.go_to(end as usize);
        let (first_bit, bytes) = ((begin % 8) as u8, &bytes[begin / 8..]);
        Some(List { len, widths, first_bit, bytes })
    }

    /// Where the list that was read last ends, in bytes from the beginning of the slot.
    #[cfg(feature = "postgres")]
    pub fn end(&self) -> usize {
        self.bits.bit().div_ceil(8)
    }
}

/// Writes slots, in the order of keys.
pub(crate) struct SlotWriter {
    slots: Slots,
    slot: BitWriter<Vec<u8>>,
    /// Those of the list that is written.
    numbers: Vec<u32>,
    /// The slot's number.
    number: u32,
    /// The least key that may come next in it.
    next: u32,
    pub hashes: u64,
    pub postings: u64,
}

impl SlotWriter {
    /// For postings in so many blocks, of about so many hashes, of which so many are in a slot.
    pub fn new(blocks: u32, key_bits: u32, hashes: u64, of_slot: u64) -> Self {
        let shift = slot_shift(key_bits, hashes, of_slot);
        let slots = Slots::new(blocks, key_bits, shift, of_slot);
        Self {
            slots,
            slot: BitWriter::default(),
            numbers: Vec::new(),
            number: 0,
            next: 0,
            hashes: 0,
            postings: 0,
        }
    }

    pub fn shift(&self) -> u32 {
        self.slots.shift
    }

    /// Appends the list of the next key: blocks that ascend. `ended` takes every slot before the key's, in
    /// their order, also empty ones.
    pub fn put<E>(
        &mut self,
        key: u32,
        blocks: &[u32],
        mut ended: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.number < key >> self.slots.shift {
            self.end(&mut ended)?;
        }
        let Slots { step_bits: low, single, .. } = self.slots;
        let Self { slot, numbers, .. } = self;
        postings::numbers(blocks, numbers);
        let len = blocks.len() as u32;
        let step = key - self.next;
        unary(slot, step >> low);
        slot.put(u64::from(step) & ones(low), low);
        let magnitude = len.ilog2();
        unary(slot, magnitude);
        slot.put(u64::from(len) & ones(magnitude), magnitude);
        let widths = if len == 1 {
            single
        } else {
            let (choice, widths) = postings::choose(numbers);
            unary(slot, (single.wide - widths.wide).into());
            slot.put(choice.into(), CHOICES.ilog2());
            widths
        };
        postings::encode(numbers, widths, slot);
        self.next = key + 1;
        self.hashes += 1;
        self.postings += u64::from(len);
        Ok(())
    }

    /// Ends the last slots.
    pub fn finish<E>(
        &mut self,
        mut ended: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.number < self.slots.count() {
            self.end(&mut ended)?;
        }
        Ok(())
    }

    fn end<E>(&mut self, ended: &mut impl FnMut(u32, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let slot = self.slot.finish();
        ended(self.number, slot)?;
        slot.clear();
        self.number += 1;
        self.next = self.number.checked_shl(self.slots.shift).unwrap_or(0);
        Ok(())
    }
}

/// Appends so many zeros and a one.
fn unary(writer: &mut BitWriter<Vec<u8>>, number: u32) {
    writer.zeros(number);
    writer.put(1, 1);
}
