//! Where the bytes come from, and what container they are.

use super::layout::{Layout, Trusting};
use crate::error::{Error, Result};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::default::formats::{
    AdtsReader, AiffReader, CafReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader,
    WavReader,
};
use symphonia::default::meta::{ApeReader, Id3v1Reader};

/// So many of the bytes that were read last are kept.
const TAIL_BYTES: usize = 8_192;

/// What may be found behind anything: it is of no harm without a look at its header. The others must
/// be where that look was.
fn formats(trusting: Option<Trusting>) -> Probe {
    let mut probe = Probe::default();
    probe.register_format::<AdtsReader<'_>>();
    probe.register_format::<FlacReader<'_>>();
    probe.register_format::<MpaReader<'_>>();
    probe.register_format::<AiffReader<'_>>();
    probe.register_format::<WavReader<'_>>();
    probe.register_format::<OggReader<'_>>();
    match trusting {
        Some(Trusting::Caf) => probe.register_format::<CafReader<'_>>(),
        Some(Trusting::Mp4) => probe.register_format::<IsoMp4Reader<'_>>(),
        Some(Trusting::Matroska) => probe.register_format::<MkvReader<'_>>(),
        None => {}
    }
    probe.register_metadata::<ApeReader<'_>>();
    probe.register_metadata::<Id3v1Reader<'_>>();
    probe
}

/// Finds and opens the container.
pub(super) fn probe(
    source: impl MediaSource + 'static,
    trusting: Option<Trusting>,
    extension: Option<&str>,
) -> Result<Box<dyn FormatReader>, Fault> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let probe = formats(trusting);
    catch_unwind(AssertUnwindSafe(|| {
        probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
    }))
    .unwrap_or(Err(Fault::DecodeError("the demuxer panicked")))
}

pub(super) fn rewind(source: &Mutex<impl Seek>) -> Result<()> {
    lock(source).rewind().map_err(Error::Read)
}

/// Whoever panicked while reading left no more than another place behind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of reading, shared by a source and its reader.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    /// So many bytes may still be read until the next packet.
    left: u64,
    exceeded: bool,
    failed: bool,
    at_end: bool,
    tail: Vec<u8>,
}

impl Watch {
    /// Lets so many bytes be read from now on. What demuxers take memory for they read, so this
    /// limits what a header can make them take.
    pub(super) fn allow(&self, bytes: u64) {
        let mut reading = lock(&self.0);
        (reading.left, reading.exceeded) = (bytes, false);
    }

    /// Whether more was to be read than allowed.
    pub(super) fn exceeded(&self) -> bool {
        lock(&self.0).exceeded
    }

    /// Whether reading failed, as opposed to what is read making no sense.
    pub(super) fn failed(&self) -> bool {
        lock(&self.0).failed
    }

    /// Whether the source was read to the end that its layout knows.
    pub(super) fn at_end(&self) -> bool {
        lock(&self.0).at_end
    }

    /// The bytes that were read last.
    pub(super) fn tail(&self) -> Vec<u8> {
        lock(&self.0).tail.clone()
    }

    fn took(&self, bytes: &[u8]) {
        let mut reading = lock(&self.0);
        reading.left -= bytes.len() as u64;
        let excess = (reading.tail.len() + bytes.len()).saturating_sub(TAIL_BYTES);
        let old = excess.min(reading.tail.len());
        reading.tail.drain(..old);
        reading.tail.extend_from_slice(&bytes[excess - old..]);
    }
}

/// What symphonia reads from.
pub(super) struct Source<R> {
    pub(super) inner: Arc<Mutex<R>>,
    pub(super) layout: Arc<Layout>,
    /// Length in bytes; unknown: symphonia is not to seek.
    pub(super) len: Option<u64>,
    pub(super) watch: Arc<Watch>,
    /// What symphonia reads next, counted from the beginning of `inner`.
    at: u64,
    /// Where `inner` stands.
    inner_at: u64,
}

impl<R> Source<R> {
    /// `inner` is to stand behind the head of the layout.
    pub(super) fn new(inner: Arc<Mutex<R>>, layout: Arc<Layout>, len: Option<u64>) -> Self {
        let (at, inner_at) = (layout.begin, layout.head.len() as u64);
        Self { inner, layout, len, watch: Arc::default(), at, inner_at }
    }

    /// The length that symphonia sees.
    fn served_len(&self) -> Option<u64> {
        let end = self.len.map(|len| self.layout.end.map_or(len, |end| end.min(len)));
        end.map(|end| end.saturating_sub(self.layout.begin))
    }
}

impl<R: Read + Seek> Source<R> {
    fn read_inner(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let head = usize::try_from(self.at).ok().and_then(|at| self.layout.head.get(at..));
        if let Some(head) = head.filter(|head| !head.is_empty()) {
            let count = head.len().min(buf.len());
            buf[..count].copy_from_slice(&head[..count]);
            return Ok(count);
        }
        let mut inner = lock(&self.inner);
        if self.inner_at != self.at {
            if self.len.is_some() {
                inner.seek(SeekFrom::Start(self.at))?;
                self.inner_at = self.at;
            } else {
                let gap = self.at.saturating_sub(self.inner_at);
                self.inner_at += io::copy(&mut (&mut *inner).take(gap), &mut io::sink())?;
            }
        }
        let read = loop {
            match inner.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.inner_at += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = {
            let mut reading = lock(&self.watch.0);
            reading.at_end = self.layout.end.is_some_and(|end| self.at >= end);
            if reading.at_end || buf.is_empty() {
                return Ok(0);
            }
            if reading.left == 0 {
                reading.exceeded = true;
                return Err(io::Error::other("more is to be read than is allowed"));
            }
            reading.left
        };
        let room = self.layout.end.map_or(left, |end| left.min(end - self.at));
        let room = usize::try_from(room).map_or(buf.len(), |room| room.min(buf.len()));
        let read = self.read_inner(&mut buf[..room]).inspect_err(|_| {
            lock(&self.watch.0).failed = true;
        })?;
        self.layout.apply(self.at, &mut buf[..read]);
        self.watch.took(&buf[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl<R> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let begin = self.layout.begin;
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => (self.at - begin).checked_add_signed(by),
            SeekFrom::End(by) => self.served_len().and_then(|len| len.checked_add_signed(by)),
        };
        let at = place.and_then(|place| place.checked_add(begin));
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        lock(&self.watch.0).tail.clear();
        Ok(self.at - begin)
    }
}

impl<R: Read + Seek + Send> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        self.len.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.served_len()
    }
}
