//! FLAC: what is not needed becomes padding, which the demuxer does not read.

use super::{Layout, MAX_PARTS, MAX_TAG_BYTES, Peek};
use crate::error::Result;
use std::io::{Read, Seek};

const PADDING: u8 = 1;
const COMMENT: u8 = 4;
/// Application data, seek table, cue sheet, picture.
const NEEDLESS: [u8; 4] = [2, 3, 5, 6];

pub(super) fn survey(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
) -> Result<()> {
    let mut at = base + 4;
    let mut comments = false;
    for _ in 0..MAX_PARTS {
        let Some([kind, size @ ..]) = peek.array::<4>(at)? else { break };
        let size = u64::from(u32::from_be_bytes([0, size[0], size[1], size[2]]));
        let (last, block) = (kind & 0x80, kind & 0x7f);
        let excess = block == COMMENT && (comments || size > MAX_TAG_BYTES);
        comments |= block == COMMENT;
        if excess || NEEDLESS.contains(&block) {
            layout.patch(at, [last | PADDING]);
        }
        if last != 0 {
            break;
        }
        at += 4 + size;
    }
    Ok(())
}
