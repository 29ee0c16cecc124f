//! Matroska: attachments, cues and chapters become void elements, which the demuxer does not read.

use super::{Layout, MAX_PARTS, MB, Peek};
use crate::error::Result;
use std::io::{Read, Seek};

const SEGMENT: u32 = 0x1853_8067;
const TAGS: u32 = 0x1254_c367;
/// Attachments, cues, chapters.
const NEEDLESS: [u32; 3] = [0x1941_a469, 0x1c53_bb6b, 0x1043_a770];
const VOID: u8 = 0xec;
/// Tags of more than this are void, too.
const MAX_TAGS_BYTES: u64 = MB;

pub(super) fn survey(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
) -> Result<()> {
    // The header of the file, then the segment, which holds all the rest.
    let Some((_, body, Some(size))) = element(peek, base)? else { return Ok(()) };
    let Some((SEGMENT, mut at, _)) = element(peek, body.saturating_add(size))? else {
        return Ok(());
    };
    for _ in 0..MAX_PARTS {
        let Some((id, body, Some(size))) = element(peek, at)? else { break };
        let Some(next) = body.checked_add(size) else { break };
        if NEEDLESS.contains(&id) || id == TAGS && size > MAX_TAGS_BYTES {
            layout.patch(at, void(next - at));
        }
        at = next;
    }
    Ok(())
}

/// The header of a void element that takes so many bytes in all, 6 at least.
fn void(length: u64) -> Vec<u8> {
    // Its size takes 4 bytes or 8.
    if length - 5 < (1 << 28) - 1 {
        let size = ((length - 5) as u32 | 1 << 28).to_be_bytes();
        [&[VOID][..], &size].concat()
    } else {
        [&[VOID][..], &((length - 9) | 1 << 56).to_be_bytes()].concat()
    }
}

/// Identity, place of the content, and size of an element; no size: unknown.
fn element(peek: &mut Peek<impl Read + Seek>, at: u64) -> Result<Option<(u32, u64, Option<u64>)>> {
    let mut bytes = [0; 12];
    let read = peek.read_at(at, &mut bytes)?;
    let id_len = bytes[0].leading_zeros() as usize + 1;
    if id_len > 4 || read <= id_len {
        return Ok(None);
    }
    let id = bytes[..id_len].iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
    let bytes = &bytes[id_len..read];
    let size_len = bytes[0].leading_zeros() as usize + 1;
    if size_len > 8 || bytes.len() < size_len {
        return Ok(None);
    }
    let all_ones = (1 << (7 * size_len)) - 1;
    let size =
        bytes[..size_len].iter().fold(0, |size, &byte| size << 8 | u64::from(byte)) & all_ones;
    let known = Some(size).filter(|&size| size != all_ones);
    Ok(Some((id, at + (id_len + size_len) as u64, known)))
}
