//! The bytes of a file: mapped, or read.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};

/// Bytes of a segment.
pub(crate) enum Bytes {
    /// Of a file that is mapped: the system reads what is touched, and keeps it as long as there is room.
    #[cfg(feature = "mmap")]
    Mapped(memmap2::Mmap),
    /// In memory.
    Owned(Vec<u8>),
}

impl Bytes {
    /// The bytes of a file, of which `length` are expected; mapped if that is wanted and can be.
    pub fn of_file(mut file: File, length: u64, mapped: bool) -> io::Result<Self> {
        #[cfg(feature = "mmap")]
        if mapped && length > 0 {
            // SAFETY: whoever changes or cuts a file that is mapped changes bytes that are taken for
            // constant. Segments are written once and never again: this crate removes them, and a
            // file that was removed stays as it is while it is mapped. That nobody else writes to them
            // must be left to whoever owns the folder; the documentation of `OpenOptions::mapped` says
            // so, and how to do without.
            return unsafe { memmap2::Mmap::map(&file) }.map(Self::Mapped);
        }
        let _ = mapped;
        let mut bytes = Vec::new();
        // No more than is there, whatever was expected.
        let room = usize::try_from(length.min(file.metadata()?.len())).unwrap_or(0);
        bytes.reserve_exact(room);
        file.read_to_end(&mut bytes)?;
        Ok(Self::Owned(bytes))
    }
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            #[cfg(feature = "mmap")]
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.as_ref().len())
    }
}
