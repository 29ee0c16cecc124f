//! Bytes that are checked when they are first read.
//!
//! Everything is hashed in pages. A page's checksum is compared the first time that anything of it is
//! asked for, so that opening a file costs nothing and nothing damaged is ever used.

use crate::error::{Error, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use xxhash_rust::xxh3::xxh3_64;

/// What is hashed together.
pub(crate) const PAGE_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Checked<D> {
    data: D,
    /// Pages end here, the last may be cut; then come the checksums.
    end: usize,
    /// A bit for each page that was found good.
    good: Box<[AtomicU64]>,
    path: PathBuf,
}

/// The checksum of a page. Its place goes into it, so that pages are not mistaken for one another.
pub(super) fn checksum(page: usize, bytes: &[u8]) -> u64 {
    xxh3_64(bytes).wrapping_add((page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl<D: AsRef<[u8]>> Checked<D> {
    /// Checksums of all pages follow `end`.
    pub fn new(data: D, end: usize, path: &Path) -> Self {
        let pages = end.div_ceil(PAGE_BYTES);
        let good = (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { data, end, good, path: path.into() }
    }

    pub fn len(&self) -> usize {
        self.data.as_ref().len()
    }

    pub fn corrupt(&self, detail: &str) -> Error {
        let (detail, path) = (detail.to_string(), Some(self.path.clone()));
        Error::Corrupt { what: "index segment", detail, path }
    }

    /// Some bytes, once their pages are known to be good.
    #[inline]
    pub fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        let Some(bytes) = self.data.as_ref().get(range.clone()).filter(|_| range.end <= self.end)
        else {
            return Err(self.corrupt("it ends too early"));
        };
        if !range.is_empty() {
            for page in range.start / PAGE_BYTES..=(range.end - 1) / PAGE_BYTES {
                if self.good[page / 64].load(Relaxed) >> (page % 64) & 1 == 0 {
                    self.check(page)?;
                }
            }
        }
        Ok(bytes)
    }

    #[cold]
    fn check(&self, page: usize) -> Result<()> {
        if !self.is_good_page(page) {
            let at = page * PAGE_BYTES;
            return Err(self.corrupt(&format!("the page at byte {at} has another checksum")));
        }
        self.good[page / 64].fetch_or(1 << (page % 64), Relaxed);
        Ok(())
    }

    fn is_good_page(&self, page: usize) -> bool {
        let data = self.data.as_ref();
        let bytes = data.get(page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(self.end));
        let stored = data.get(self.end + 8 * page..).and_then(<[u8]>::first_chunk);
        let stored = stored.map(|eight| u64::from_le_bytes(*eight));
        bytes.zip(stored).is_some_and(|(bytes, stored)| checksum(page, bytes) == stored)
    }

    /// Whether all pages are good in which some bytes lie. They are read again.
    pub fn is_good(&self, range: Range<usize>) -> bool {
        let mut pages = range.start / PAGE_BYTES..range.end.min(self.end).div_ceil(PAGE_BYTES);
        pages.all(|page| self.is_good_page(page))
    }
}
