//! Writes the sections of a segment, one after the other, into anything that takes bytes.

use crate::store::bits::BitWriter;
use crate::store::segment::checked::{PAGE_BYTES, checksum};
use crate::store::segment::layout::{
    FooterRecord, GROUP_SLOTS, Head, MAGIC, SECTIONS, VERSION, slot_group_bytes,
};
use crate::store::segment::slots::{HASHES_OF_SLOT, SlotWriter};
use std::io::{self, Write};
use zerocopy::IntoBytes;

/// So many pages are written at once.
const PAGES_AT_ONCE: usize = 64;

/// Takes sections in their order.
pub(super) struct SegmentWriter<W> {
    out: W,
    at: u64,
    /// Pages that are not written yet, up to [`PAGES_AT_ONCE`]. The last may not be full.
    pages: Vec<u8>,
    checks: Vec<u64>,
    starts: Vec<u64>,
}

impl<W: Write> SegmentWriter<W> {
    pub fn new(out: W) -> io::Result<Self> {
        let pages = Vec::with_capacity(PAGES_AT_ONCE * PAGE_BYTES);
        let mut writer = Self { out, at: 0, pages, checks: Vec::new(), starts: vec![0] };
        let head = Head { magic: MAGIC, version: VERSION.into(), zero: 0.into() };
        writer.put(head.as_bytes())?;
        writer.next_section();
        Ok(writer)
    }

    /// Appends to the section.
    pub fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = PAGES_AT_ONCE * PAGE_BYTES - self.pages.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.pages.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                self.end_pages()?;
            }
        }
        Ok(())
    }

    fn end_pages(&mut self) -> io::Result<()> {
        for page in self.pages.chunks(PAGE_BYTES) {
            self.checks.push(checksum(self.checks.len(), page));
        }
        self.out.write_all(&self.pages)?;
        self.pages.clear();
        Ok(())
    }

    /// Ends the section.
    pub fn next_section(&mut self) {
        self.starts.push(self.at);
    }

    /// Ends the segment, of which `footer` says all but where its sections are.
    pub fn finish(mut self, mut footer: FooterRecord) -> io::Result<()> {
        self.end_pages()?;
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

/// There is a slot for so many times as many postings as hashes.
const POSTINGS_OF_HASH: u64 = 3;

/// Writes the postings, in the order of keys, and keeps how long slots are.
pub(super) struct PostingsWriter {
    lists: SlotWriter,
    key_bits: u32,
    lengths: Vec<u32>,
}

impl PostingsWriter {
    /// For so many blocks, about so many hashes of `key_bits` bits, and postings.
    pub fn new(blocks: u32, key_bits: u32, hashes: u64, postings: u64) -> Self {
        // Where lists are long, fewer of them are passed over on the way to one.
        let hashes = hashes.max(postings / POSTINGS_OF_HASH);
        // No slot is for fewer keys than four.
        let hashes = hashes.min(HASHES_OF_SLOT << key_bits.saturating_sub(2));
        let lists = SlotWriter::new(blocks, key_bits, hashes, HASHES_OF_SLOT);
        Self { lists, key_bits, lengths: Vec::new() }
    }

    /// Adds to the footer what it knows.
    pub fn tell(&self, footer: &mut FooterRecord) {
        (footer.hashes, footer.postings) = (self.lists.hashes.into(), self.lists.postings.into());
        (footer.key_bits, footer.slot_shift) = (self.key_bits.into(), self.lists.shift().into());
        footer.end_bits = self.end_bits().into();
    }

    /// Bits in which it is written where a slot ends.
    fn end_bits(&self) -> u32 {
        let of_group = |group: &[u32]| group.iter().map(|&length| u64::from(length)).sum::<u64>();
        let longest = self.lengths.chunks(GROUP_SLOTS).map(of_group).max().unwrap_or(0);
        u64::BITS - longest.leading_zeros()
    }

    /// Appends the list of the next key: blocks that ascend.
    pub fn put<W: Write>(
        &mut self,
        key: u32,
        blocks: &[u32],
        out: &mut SegmentWriter<W>,
    ) -> io::Result<()> {
        let Self { lists, lengths, .. } = self;
        lists.put(key, blocks, |_, slot| end_slot(slot, lengths, out))
    }

    /// Ends the section of postings and writes that of the slots.
    pub fn finish<W: Write>(&mut self, out: &mut SegmentWriter<W>) -> io::Result<()> {
        let Self { lists, lengths, .. } = self;
        lists.finish(|_, slot| end_slot(slot, lengths, out))?;
        out.next_section();
        let too_many = |_| io::Error::other("a segment has too many postings");
        let all = self.lengths.iter().map(|&length| u64::from(length)).sum::<u64>();
        u32::try_from(all).map_err(too_many)?;
        let (bits, mut start) = (self.end_bits(), 0u64);
        let mut record = Vec::with_capacity(slot_group_bytes(bits));
        for group in self.lengths.chunks(GROUP_SLOTS) {
            let begin = u32::try_from(start).map_err(too_many)?;
            record.clear();
            record.extend(begin.to_le_bytes());
            let mut writer = BitWriter::new(&mut record);
            let mut end = 0;
            for &length in group {
                end += u64::from(length);
                writer.put(end, bits);
            }
            writer.zeros(bits * (GROUP_SLOTS - group.len()) as u32);
            out.put(writer.finish())?;
            start += end;
        }
        out.next_section();
        Ok(())
    }
}

fn end_slot<W: Write>(
    slot: &[u8],
    lengths: &mut Vec<u32>,
    out: &mut SegmentWriter<W>,
) -> io::Result<()> {
    out.put(slot)?;
    let length = u32::try_from(slot.len());
    lengths.push(length.map_err(|_| io::Error::other("a slot has too many postings"))?);
    Ok(())
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
