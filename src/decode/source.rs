//! Where the bytes come from, and what container they are.

use crate::error::{Error, Result};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

/// Finds and opens the container.
pub(super) fn probe(
    source: impl MediaSource + 'static,
    extension: Option<&str>,
) -> Result<Box<dyn FormatReader>, Fault> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let probe = symphonia::default::get_probe();
    catch_unwind(AssertUnwindSafe(|| {
        probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
    }))
    .unwrap_or(Err(Fault::DecodeError("the demuxer panicked")))
}

pub(super) fn rewind(source: &Mutex<impl Seek>) -> Result<()> {
    source.lock().unwrap_or_else(PoisonError::into_inner).rewind().map_err(Error::Read)
}

/// What symphonia reads from. Remembers whether reading failed.
pub(super) struct Source<R> {
    pub(super) inner: Arc<Mutex<R>>,
    /// Length in bytes; unknown: not to be sought in.
    pub(super) len: Option<u64>,
    pub(super) failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match inner.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                read => return read,
            }
        }
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).seek(to)
    }
}

impl<R: Read + Seek + Send> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        self.len.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.len
    }
}
