//! Writes the sections of a segment, one after the other, into anything that takes bytes.

use crate::store::segment::checked::{PAGE_BYTES, checksum};
use crate::store::segment::layout::{FooterRecord, Head, MAGIC, SECTIONS, VERSION};
use crate::store::segment::slots::{HASHES_OF_SLOT, SlotWriter};
use std::io::{self, Write};
use zerocopy::IntoBytes;

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

/// Writes the postings, in the order of keys, and keeps where slots begin.
pub(super) struct PostingsWriter {
    lists: SlotWriter,
    starts: Vec<u32>,
    written: u64,
}

impl PostingsWriter {
    /// For so many blocks, and about so many hashes.
    pub fn new(blocks: u32, hashes: u64) -> Self {
        Self { lists: SlotWriter::new(blocks, hashes, HASHES_OF_SLOT), starts: vec![0], written: 0 }
    }

    pub fn shift(&self) -> u32 {
        self.lists.shift()
    }

    pub fn hashes(&self) -> u64 {
        self.lists.hashes
    }

    pub fn postings(&self) -> u64 {
        self.lists.postings
    }

    /// Appends the list of the next key: blocks that ascend.
    pub fn put<W: Write>(
        &mut self,
        key: u32,
        blocks: &[u32],
        out: &mut SegmentWriter<W>,
    ) -> io::Result<()> {
        let Self { lists, starts, written } = self;
        lists.put(key, blocks, |_, slot| end_slot(slot, starts, written, out))
    }

    /// Ends the section of postings and writes that of the slots.
    pub fn finish<W: Write>(&mut self, out: &mut SegmentWriter<W>) -> io::Result<()> {
        let Self { lists, starts, written } = self;
        lists.finish(|_, slot| end_slot(slot, starts, written, out))?;
        out.next_section();
        for start in &self.starts {
            out.put(&start.to_le_bytes())?;
        }
        out.next_section();
        Ok(())
    }
}

fn end_slot<W: Write>(
    slot: &[u8],
    starts: &mut Vec<u32>,
    written: &mut u64,
    out: &mut SegmentWriter<W>,
) -> io::Result<()> {
    out.put(slot)?;
    *written += slot.len() as u64;
    let end = u32::try_from(*written);
    starts.push(end.map_err(|_| io::Error::other("a segment has too many postings"))?);
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
