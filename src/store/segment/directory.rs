//! From a hash to its posting list: the slots of a segment, and what is in each.

use super::Segment;
use super::layout::{GROUP_SLOTS, Section};
use super::slots::{List, key};
use crate::error::{Error, Result};
use crate::landmark::LandmarkHash;
use crate::store::bits::{load, ones};
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
        let (shift, key_bits) = (self.slots.shift(), self.footer.key_bits());
        let mut slots = Vec::with_capacity(TOGETHER);
        let mut entries = Vec::with_capacity(TOGETHER);
        for (group, hashes) in hashes.chunks(TOGETHER).enumerate() {
            for (i, hash) in hashes.iter().enumerate().filter(|(_, hash)| self.footer.has(**hash)) {
                let slot = key(hash.0, key_bits) >> shift;
                slots.push((i, slot, self.slot(slot as usize)?));
            }
            for (i, slot, bytes) in slots.drain(..) {
                let bytes = self.bytes(Section::Postings, bytes)?;
                entries.push((i, self.slots.entries(bytes, slot)));
            }
            for (i, mut entries) in entries.drain(..) {
                let list = entries.find(key(hashes[i].0, key_bits)).map_err(|_| self.no_slot())?;
                if let Some(list) = list {
                    found((group * TOGETHER + i) as u32, list);
                }
            }
        }
        Ok(())
    }

    /// Where a slot lies among the postings.
    pub(super) fn slot(&self, slot: usize) -> Result<Range<usize>> {
        let (bits, size) = (self.footer.end_bits(), self.footer.slot_group_bytes());
        let group = slot / GROUP_SLOTS * size;
        let group = self.bytes(Section::Slots, group..group + size)?;
        let cut = || self.corrupt("a table is cut");
        let (first, ends) = group.split_first_chunk().ok_or_else(cut)?;
        let at = slot % GROUP_SLOTS;
        let end = |at: usize| load(ends, at * bits as usize) & ones(bits);
        let first = u64::from(u32::from_le_bytes(*first));
        let place = [if at == 0 { 0 } else { end(at - 1) }, end(at)];
        let [start, end] = place.map(|at| usize::try_from(first + at).unwrap_or(usize::MAX));
        Ok(start..end)
    }

    #[cold]
    pub(super) fn no_slot(&self) -> Error {
        self.corrupt("a list of postings cannot be")
    }
}
