//! A look at the header before the demuxer sees it.
//!
//! Demuxers believe headers: they take memory for tables and tags that nobody asked for, and they
//! refuse sizes that were never filled in. What they would stumble over is patched here.

mod caf;
mod flac;
mod id3;
mod matroska;
mod mp4;
mod mpeg;
mod wave;

pub(super) use mpeg::{MARK_BYTES, cut_off};
pub(super) use wave::Wave;

use crate::error::Result;
use crate::tags::Tags;
use std::io::{self, Read, Seek, SeekFrom};

/// So much of a source that cannot be sought in is looked at.
const MAX_HEAD_BYTES: u64 = 1 << 20;
/// At most so many chunks, blocks, atoms or elements are looked at.
const MAX_PARTS: usize = 1 << 16;
/// Tags of more than this are left out, and the audio is read without them.
const MAX_TAG_BYTES: u64 = 4 << 20;
const MB: u64 = 1 << 20;

/// Bytes that are served in place of those of the source.
#[derive(Debug)]
pub(super) struct Patch {
    at: u64,
    bytes: Vec<u8>,
}

/// The containers whose demuxers take what they are given, so that only files that were looked at may
/// come to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trusting {
    Caf,
    Mp4,
    Matroska,
}

/// How a source is to be read. Places count from the beginning of the source.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The first bytes of a source that cannot be sought in: they were read already.
    pub(super) head: Vec<u8>,
    /// What comes before is left out,
    pub(super) begin: u64,
    /// which is ID3v2 tags. What they say.
    pub(super) tags: Tags,
    /// What comes after is left out.
    pub(super) end: Option<u64>,
    patches: Vec<Patch>,
    /// The demuxer may read so much before the first packet. How much memory that can become is
    /// different from one container to the next.
    pub(super) header_bytes: u64,
    pub(super) trusting: Option<Trusting>,
    /// What is known of a file of the WAV family.
    pub(super) wave: Option<Wave>,
    /// Whether the first frame of MPEG audio tells the number of frames.
    pub(super) counts_frames: bool,
}

impl Layout {
    /// Looks at the header.
    pub(super) fn survey(source: impl Read + Seek, len: Option<u64>) -> Result<Self> {
        let mut peek = Peek { source, len, head: Vec::new() };
        let mut layout = Self::default();
        layout.survey_all(&mut peek)?;
        layout.head = peek.head;
        Ok(layout)
    }

    fn survey_all(&mut self, peek: &mut Peek<impl Read + Seek>) -> Result<()> {
        id3::survey(self, peek)?;
        let base = self.begin;
        if let Some(end) = id3::trailing_ape(peek)? {
            self.end = Some(end);
        }
        let mut magic = [0; 40];
        peek.read_at(base, &mut magic)?;
        self.header_bytes = match &magic {
            [b'R', b'I', b'F', b'F' | b'X', ..]
            | [b'R', b'F', b'6', b'4', ..]
            | [b'B', b'W', b'6', b'4', ..]
            | [b'r', b'i', b'f', b'f', ..] => {
                wave::survey(self, peek, base, &magic)?;
                16 * MB
            }
            [b'f', b'L', b'a', b'C', ..] => {
                flac::survey(self, peek, base)?;
                16 * MB
            }
            [b'c', b'a', b'f', b'f', ..] => {
                self.trusting = Some(Trusting::Caf);
                caf::survey(self, peek, base)?;
                16 * MB
            }
            [_, _, _, _, name @ ..] if mp4::is_first(name) => {
                self.trusting = Some(Trusting::Mp4);
                mp4::survey(self, peek, base)?;
                64 * MB
            }
            [0x1a, 0x45, 0xdf, 0xa3, ..] => {
                self.trusting = Some(Trusting::Matroska);
                matroska::survey(self, peek, base)?;
                4 * MB
            }
            [b'F', b'O', b'R', b'M', ..] => 16 * MB,
            [b'O', b'g', b'g', b'S', ..] => 8 * MB,
            _ => {
                self.counts_frames = mpeg::counts_frames(peek, base)?;
                4 * MB
            }
        };
        Ok(())
    }

    fn patch(&mut self, at: u64, bytes: impl Into<Vec<u8>>) {
        self.patches.push(Patch { at, bytes: bytes.into() });
    }

    /// Puts the patches over bytes that begin at `at`.
    pub(super) fn apply(&self, at: u64, bytes: &mut [u8]) {
        let end = at + bytes.len() as u64;
        for patch in &self.patches {
            let from = patch.at.max(at);
            let to = (patch.at + patch.bytes.len() as u64).min(end);
            if from < to {
                let new = &patch.bytes[(from - patch.at) as usize..(to - patch.at) as usize];
                bytes[(from - at) as usize..(to - at) as usize].copy_from_slice(new);
            }
        }
    }
}

/// Reads here and there, without losing anything of a source that cannot be sought in.
struct Peek<R> {
    source: R,
    /// Unknown: not to be sought in.
    len: Option<u64>,
    head: Vec<u8>,
}

impl<R: Read + Seek> Peek<R> {
    /// Fills `bytes` with what is there at `at`; says how many there are.
    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> Result<usize> {
        self.try_read_at(at, bytes).map_err(crate::Error::Read)
    }

    fn try_read_at(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(len) = self.len {
            if at >= len {
                return Ok(0);
            }
            self.source.seek(SeekFrom::Start(at))?;
            return read_full(&mut self.source, bytes);
        }
        let end = at.saturating_add(bytes.len() as u64);
        let lacking = end.saturating_sub(self.head.len() as u64);
        if end <= MAX_HEAD_BYTES && lacking > 0 {
            let begin = self.head.len();
            self.head.resize(begin + lacking as usize, 0);
            let read = read_full(&mut self.source, &mut self.head[begin..])?;
            self.head.truncate(begin + read);
        }
        let there = usize::try_from(at).ok().and_then(|at| self.head.get(at..)).unwrap_or(&[]);
        let count = there.len().min(bytes.len());
        bytes[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    /// The `N` bytes at `at`; `None` beyond the end.
    fn array<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        let read = self.read_at(at, &mut bytes)?;
        Ok((read == N).then_some(bytes))
    }
}

/// Reads until `bytes` are full or the source ends.
fn read_full(source: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
