//! Writes the sections of a segment, one after the other, into anything that takes bytes.

use crate::landmark::HASH_BITS;
use crate::store::postings;
use crate::store::segment::checked::{PAGE_BYTES, checksum};
use crate::store::segment::layout::{FooterRecord, Head, MAGIC, SECTIONS, VERSION};
use crate::store::varint;
use std::io::{self, Write};
use zerocopy::IntoBytes;

/// Hashes of a slot, about: each is passed over on the way to those after it.
const HASHES_OF_SLOT: u64 = 16;

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

/// How many bits of a hash its slot leaves open, if there are so many hashes.
pub(super) fn slot_shift(hashes: u64) -> u32 {
    let slots = (hashes / HASHES_OF_SLOT).max(1).ilog2();
    HASH_BITS - slots.min(HASH_BITS)
}

/// Writes the postings, in the order of hashes, and keeps where slots begin.
pub(super) struct PostingsWriter {
    universe: u32,
    shift: u32,
    slots: Vec<u32>,
    slot: Vec<u8>,
    /// The least hash that may come next in the slot.
    next: u32,
    written: u64,
    pub hashes: u64,
    pub postings: u64,
}

impl PostingsWriter {
    /// For so many blocks, and about so many hashes.
    pub fn new(blocks: u32, hashes: u64) -> Self {
        Self {
            universe: blocks,
            shift: slot_shift(hashes),
            slots: vec![0],
            slot: Vec::new(),
            next: 0,
            written: 0,
            hashes: 0,
            postings: 0,
        }
    }

    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Appends the list of the next hash: blocks that ascend.
    pub fn put<W: Write>(
        &mut self,
        hash: u32,
        blocks: &[u32],
        out: &mut SegmentWriter<W>,
    ) -> io::Result<()> {
        while self.slots.len() as u32 - 1 < hash >> self.shift {
            self.end_slot(out)?;
        }
        let len = blocks.len() as u32;
        varint::put(&mut self.slot, (hash - self.next) << 2 | (len - 1).min(3));
        if len > 3 {
            varint::put(&mut self.slot, len - 4);
        }
        let end = self.slot.len() + postings::room(len, self.universe.into());
        let low_bits = postings::low_bits(len, self.universe.into());
        postings::encode(blocks, low_bits, &mut self.slot);
        self.slot.resize(end, 0);
        self.next = hash + 1;
        self.hashes += 1;
        self.postings += u64::from(len);
        Ok(())
    }

    fn end_slot<W: Write>(&mut self, out: &mut SegmentWriter<W>) -> io::Result<()> {
        out.put(&self.slot)?;
        self.written += self.slot.len() as u64;
        let end = u32::try_from(self.written);
        self.slots.push(end.map_err(|_| io::Error::other("a segment has too many postings"))?);
        self.slot.clear();
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
