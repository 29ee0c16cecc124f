//! Tags around the audio: ID3v2 in front, APE behind.

use super::{Layout, MAX_TAG_BYTES, MB, Peek};
use crate::decode::metadata::{or, read_id3};
use crate::error::Result;
use std::io::{Read, Seek};

/// Smaller tags are read whatever is in them.
const SMALL_BYTES: u64 = MB;
/// A larger one is read if it is a few large frames: pictures.
const LARGEST_BYTES: u64 = 12 * MB;
const MAX_FRAMES: usize = 4_096;
/// At most so many tags are read.
const MAX_TAGS: usize = 4;

/// Where the audio begins. The tags in front of it are left out of what the demuxer reads, and kept
/// if they do not take too much memory.
pub(super) fn survey(layout: &mut Layout, peek: &mut Peek<impl Read + Seek>) -> Result<()> {
    for _ in 0..MAX_TAGS {
        let begin = layout.begin;
        let Some([b'I', b'D', b'3', version, _, flags, size @ ..]) = peek.array::<10>(begin)?
        else {
            break;
        };
        let footer = if version == 4 && flags & 0x10 != 0 { 10 } else { 0 };
        let bytes = 10 + syncsafe(size) + footer;
        layout.begin = begin + bytes;
        if bytes <= SMALL_BYTES
            || bytes <= LARGEST_BYTES && has_few_frames(peek, begin, layout.begin, version, flags)?
        {
            let mut tag = vec![0; bytes as usize];
            let read = peek.read_at(begin, &mut tag)?;
            tag.truncate(read);
            hide_chapters(&mut tag);
            layout.tags = or(read_id3(tag), std::mem::take(&mut layout.tags));
        }
    }
    Ok(())
}

/// Chapters hold frames, which may be chapters: some thousands within each other exhaust the stack.
fn hide_chapters(tag: &mut [u8]) {
    for at in 0..tag.len().saturating_sub(4) {
        // Names of frames are followed by their sizes, words by letters.
        if matches!(&tag[at..at + 4], b"CHAP" | b"CTOC") && tag[at + 4] < 8 {
            tag[at] = b'X';
        }
    }
}

fn syncsafe(bytes: [u8; 4]) -> u64 {
    bytes.iter().fold(0, |sum, &byte| sum << 7 | u64::from(byte & 0x7f))
}

/// Whether a tag can be walked through and is made of few frames.
fn has_few_frames(
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
    end: u64,
    version: u8,
    flags: u8,
) -> Result<bool> {
    // Before version 4, sizes do not count the bytes that unsynchronisation puts in.
    let walkable = matches!(version, 2..=4) && (version == 4 || flags & 0x80 == 0);
    if !walkable || flags & 0x40 != 0 {
        return Ok(false);
    }
    let mut at = base + 10;
    for _ in 0..MAX_FRAMES {
        if at >= end {
            return Ok(true);
        }
        let Some(header) = peek.array::<10>(at)? else { return Ok(false) };
        let [a, b, c, d, size @ .., _, _] = header;
        let size = match version {
            _ if a == 0 => return Ok(true), // padding
            2 => 6 + u64::from(u32::from_be_bytes([0, d, size[0], size[1]])),
            3 => 10 + u64::from(u32::from_be_bytes(size)),
            _ => 10 + syncsafe(size),
        };
        if ![a, b, c].iter().all(u8::is_ascii_alphanumeric) {
            return Ok(false);
        }
        at += size;
    }
    Ok(false)
}

/// Where an APE tag begins that is too large to be read.
pub(super) fn trailing_ape(peek: &mut Peek<impl Read + Seek>) -> Result<Option<u64>> {
    let Some(len) = peek.len else { return Ok(None) };
    // An ID3v1 tag may follow it.
    for behind in [0, 128] {
        let Some(at) = len.checked_sub(behind + 32) else { continue };
        let Some(footer) = peek.array::<32>(at)? else { continue };
        if &footer[..8] == b"APETAGEX" {
            let size =
                u64::from(u32::from_le_bytes([footer[12], footer[13], footer[14], footer[15]]));
            return Ok((size > MAX_TAG_BYTES / 2).then(|| at.saturating_sub(size)));
        }
    }
    Ok(None)
}
