//! From a hash to its posting list: the slots of a segment, and what is in each.

use super::layout::{Section, key};
use super::{List, Segment};
use crate::error::{Error, Result};
use crate::landmark::LandmarkHash;
use crate::store::bits::BitReader;
use crate::store::postings::{self, Widths};
use std::ops::Range;

/// Hashes that are looked up together.
const TOGETHER: usize = 64;

impl<D: AsRef<[u8]>> Segment<D> {
    /// Calls `found` with each of the hashes, by its place among them, that the segment has, and its list.
    pub fn look_up<'s>(
        &'s self,
        hashes: &[LandmarkHash],
        mut found: impl FnMut(u32, List<'s>),
    ) -> Result<()> {
        // In steps, so that the processor fetches many places of the directory at a time, and then of the
        // postings: a search goes on in ways that it cannot foresee.
        let shift = self.footer.slot_shift();
        let mut slots = Vec::with_capacity(TOGETHER);
        let mut entries = Vec::with_capacity(TOGETHER);
        for (group, hashes) in hashes.chunks(TOGETHER).enumerate() {
            for (i, hash) in hashes.iter().enumerate().filter(|(_, hash)| self.footer.has(**hash)) {
                let slot = key(hash.0) >> shift;
                slots.push((i, slot, self.slot(slot as usize)?));
            }
            for (i, slot, bytes) in slots.drain(..) {
                entries.push((i, self.entries(self.bytes(Section::Postings, bytes)?, slot)));
            }
            for (i, mut entries) in entries.drain(..) {
                if let Some(list) = entries.find(key(hashes[i].0))? {
                    found((group * TOGETHER + i) as u32, list);
                }
            }
        }
        Ok(())
    }

    /// Where a slot lies among the postings.
    pub(super) fn slot(&self, slot: usize) -> Result<Range<usize>> {
        let ends = self.bytes(Section::Slots, 4 * slot..4 * slot + 8)?;
        match ends.as_chunks().0 {
            [begin, end] => {
                Ok(u32::from_le_bytes(*begin) as usize..u32::from_le_bytes(*end) as usize)
            }
            _ => Err(self.corrupt("a table is cut")),
        }
    }

    /// The keys in the bytes of a slot, with their lists.
    pub(super) fn entries<'s>(&'s self, bytes: &'s [u8], slot: u32) -> Entries<'s, D> {
        let first = slot << self.footer.slot_shift();
        Entries { segment: self, bits: BitReader::new(bytes), next: first }
    }
}

/// Goes through the lists of a slot.
pub(super) struct Entries<'s, D> {
    segment: &'s Segment<D>,
    bits: BitReader<'s>,
    /// The least that the next key can be.
    next: u32,
}

impl<'s, D: AsRef<[u8]>> Entries<'s, D> {
    pub fn next(&mut self) -> Result<Option<(u32, List<'s>)>> {
        // What fills up the last byte has no ones.
        if self.bits.is_at_end() {
            return Ok(None);
        }
        let found = self.key().and_then(|key| Some((key, self.list()?)));
        found.map(Some).ok_or_else(|| self.damaged())
    }

    /// The list of a key, if it is among those to come.
    #[inline]
    fn find(&mut self, wanted: u32) -> Result<Option<List<'s>>> {
        while !self.bits.is_at_end() {
            let key = self.key().ok_or_else(|| self.damaged())?;
            if key > wanted {
                break;
            }
            let list = self.list().ok_or_else(|| self.damaged())?;
            if key == wanted {
                return Ok(Some(list));
            }
        }
        Ok(None)
    }

    #[cold]
    fn damaged(&self) -> Error {
        self.segment.corrupt("a list of postings cannot be")
    }

    #[inline(always)]
    fn key(&mut self) -> Option<u32> {
        let low = self.segment.step_bits;
        let step = self.bits.unary()?.checked_shl(low)? | self.bits.take(low) as u32;
        let key = self.next.checked_add(step)?;
        self.next = key.checked_add(1)?;
        Some(key)
    }

    /// The list of the key that was read last. Which of all ways a list is written in is anyone's guess: no
    /// branch depends on it.
    #[inline(always)]
    fn list(&mut self) -> Option<List<'s>> {
        let bits = &mut self.bits;
        let magnitude = bits.unary()?;
        let len = 1u32.checked_shl(magnitude)? | bits.take(magnitude) as u32;
        // A single block has no widths.
        let is_single = len == 1;
        let header = bits.peek();
        let narrower = header.trailing_zeros();
        let choice = (header >> ((narrower + 1) % u64::BITS)) as u32 % postings::CHOICES;
        let (narrower, choice, used) = match is_single {
            true => (0, 0, 0),
            false => (narrower, choice, narrower + 1 + postings::CHOICES.ilog2()),
        };
        bits.skip(used);
        let wide = u32::from(self.segment.single.wide).checked_sub(narrower)? as u8;
        let widths = Widths { narrow: postings::narrow(choice, wide), wide };
        if len > self.segment.blocks() || wide == 0 {
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
}
