//! Writes the sections of a segment, one after the other, into anything that takes bytes.

use crate::landmark::HASH_BITS;
use crate::store::bits::{BitWriter, ones};
use crate::store::postings::{self, CHOICES, Widths};
use crate::store::segment::checked::{PAGE_BYTES, checksum};
use crate::store::segment::layout::{FooterRecord, Head, MAGIC, SECTIONS, VERSION};
use std::io::{self, Write};
use zerocopy::IntoBytes;

/// Hashes of a slot, about: each is passed over on the way to those after it.
const HASHES_OF_SLOT: u64 = 8;

/// Takes sections in their order.
pub(super) struct SegmentWriter<W> {
    out: W,
    at: u64,
    /// The page that is not full yet.
    page: Vec<u8>,
    checks: Vec<u64>,
    starts: Vec<u64>,
}

impl<W: Write> SegmentWriter<W> {
    pub fn new(out: W) -> io::Result<Self> {
        let page = Vec::with_capacity(PAGE_BYTES);
        let mut writer = Self { out, at: 0, page, checks: Vec::new(), starts: vec![0] };
        let head = Head { magic: MAGIC, version: VERSION.into(), zero: 0.into() };
        writer.put(head.as_bytes())?;
        writer.next_section();
        Ok(writer)
    }

    /// Appends to the section.
    pub fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PAGE_BYTES - self.page.len()));
            self.page.extend_from_slice(now);
            bytes = later;
            if self.page.len() == PAGE_BYTES {
                self.end_page()?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self) -> io::Result<()> {
        self.checks.push(checksum(self.checks.len(), &self.page));
        self.out.write_all(&self.page)?;
        self.page.clear();
        Ok(())
    }

    /// Ends the section.
    pub fn next_section(&mut self) {
        self.starts.push(self.at);
    }

    /// Ends the segment, of which `footer` says all but where its sections are.
    pub fn finish(mut self, mut footer: FooterRecord) -> io::Result<()> {
        if !self.page.is_empty() {
            self.end_page()?;
        }
        for check in &self.checks {
            self.out.write_all(&check.to_le_bytes())?;
        }
        debug_assert_eq!(self.starts.len(), SECTIONS + 1);
        for (start, at) in footer.starts.iter_mut().zip(&self.starts) {
            *start = (*at).into();
        }
        self.out.write_all(footer.sealed().as_bytes())?;
        self.out.flush()
    }
}

/// How many bits of a key its slot leaves open, if there are so many hashes.
pub(super) fn slot_shift(hashes: u64) -> u32 {
    let slots = (hashes / HASHES_OF_SLOT).max(1).ilog2();
    HASH_BITS - slots.min(HASH_BITS)
}

/// Low bits of the step from a key to the next in its slot, where these are about [`HASHES_OF_SLOT`].
pub(super) fn step_bits(shift: u32) -> u32 {
    shift.saturating_sub(HASHES_OF_SLOT.ilog2() + 1)
}

/// Number of bits of a block's number, of so many.
pub(super) fn block_bits(blocks: u32) -> u8 {
    (u32::BITS - blocks.saturating_sub(1).leading_zeros()).max(1) as u8
}

/// Writes the postings, in the order of keys, and keeps where slots begin.
pub(super) struct PostingsWriter {
    block_bits: u8,
    shift: u32,
    slots: Vec<u32>,
    slot: BitWriter<Vec<u8>>,
    /// The least key that may come next in the slot.
    next: u32,
    written: u64,
    pub hashes: u64,
    pub postings: u64,
}

impl PostingsWriter {
    /// For so many blocks, and about so many hashes.
    pub fn new(blocks: u32, hashes: u64) -> Self {
        Self {
            block_bits: block_bits(blocks),
            shift: slot_shift(hashes),
            slots: vec![0],
            slot: BitWriter::default(),
            next: 0,
            written: 0,
            hashes: 0,
            postings: 0,
        }
    }

    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Appends the list of the next key: blocks that ascend.
    pub fn put<W: Write>(
        &mut self,
        key: u32,
        blocks: &[u32],
        out: &mut SegmentWriter<W>,
    ) -> io::Result<()> {
        while self.slots.len() as u32 - 1 < key >> self.shift {
            self.end_slot(out)?;
        }
        let len = blocks.len() as u32;
        let step = key - self.next;
        let low = step_bits(self.shift);
        unary(&mut self.slot, step >> low);
        self.slot.put(u64::from(step) & ones(low), low);
        let magnitude = len.ilog2();
        unary(&mut self.slot, magnitude);
        self.slot.put(u64::from(len) & ones(magnitude), magnitude);
        let widths = if len == 1 {
            Widths { narrow: self.block_bits, wide: self.block_bits }
        } else {
            let (choice, widths) = postings::choose(blocks);
            unary(&mut self.slot, (self.block_bits - widths.wide).into());
            self.slot.put(choice.into(), CHOICES.ilog2());
            widths
        };
        postings::encode(blocks, widths, &mut self.slot);
        self.next = key + 1;
        self.hashes += 1;
        self.postings += u64::from(len);
        Ok(())
    }

    fn end_slot<W: Write>(&mut self, out: &mut SegmentWriter<W>) -> io::Result<()> {
        let slot = self.slot.finish();
        out.put(slot)?;
        self.written += slot.len() as u64;
        slot.clear();
        let end = u32::try_from(self.written);
        self.slots.push(end.map_err(|_| io::Error::other("a segment has too many postings"))?);
        self.next = (self.slots.len() as u32 - 1) << self.shift;
        Ok(())
    }

    /// Ends the section of postings and writes that of the slots.
    pub fn finish<W: Write>(&mut self, out: &mut SegmentWriter<W>) -> io::Result<()> {
        while self.slots.len() <= 1 << (HASH_BITS - self.shift) {
            self.end_slot(out)?;
        }
        out.next_section();
        for slot in &self.slots {
            out.put(&slot.to_le_bytes())?;
        }
        out.next_section();
        Ok(())
    }
}

/// Appends so many zeros and a one.
fn unary(writer: &mut BitWriter<Vec<u8>>, number: u32) {
    writer.zeros(number);
    writer.put(1, 1);
}

/// Makes all checksums of a segment right, whatever it holds.
#[cfg(test)]
pub(crate) fn reseal(bytes: &mut [u8]) {
    use zerocopy::FromBytes;
    let (rest, footer) = FooterRecord::mut_from_suffix(bytes).unwrap();
    *footer = footer.sealed();
    // As many pages as there is room for checksums.
    let pages = (1..).find(|pages| rest.len() <= pages * (PAGE_BYTES + 8)).unwrap();
    let (data, checks) = rest.split_at_mut(rest.len() - 8 * pages);
    for (page, (bytes, check)) in data.chunks(PAGE_BYTES).zip(checks.chunks_mut(8)).enumerate() {
        check.copy_from_slice(&checksum(page, bytes).to_le_bytes());
    }
}
