//! MP4: tags beyond a limit are made free space, which the demuxer does not read.

use super::{Layout, MAX_PARTS, MAX_TAG_BYTES, Peek};
use crate::error::{Error, Result};
use std::io::{Read, Seek};

const MAX_TRACKS: usize = 256;

/// Goes through the atoms of the file, of `moov` and of each `trak`.
pub(super) fn survey(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
) -> Result<()> {
    let mut walk = Walk { layout, parts: 0, tracks: 0, tag_bytes: 0 };
    walk.atoms(peek, base, u64::MAX, 0)
}

struct Walk<'a> {
    layout: &'a mut Layout,
    parts: usize,
    tracks: usize,
    tag_bytes: u64,
}

impl Walk<'_> {
    fn atoms(
        &mut self,
        peek: &mut Peek<impl Read + Seek>,
        mut at: u64,
        end: u64,
        depth: usize,
    ) -> Result<()> {
        while at < end && self.parts < MAX_PARTS {
            self.parts += 1;
            let Some([s0, s1, s2, s3, kind @ ..]) = peek.array::<8>(at)? else { break };
            let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
                0 => (8, end - at),
                1 => (16, peek.array(at + 8)?.map_or(0, u64::from_be_bytes)),
                size => (8, u64::from(size)),
            };
            let next = at.saturating_add(size).min(end);
            if size < header {
                break;
            }
            match (&kind, depth) {
                (b"moov", 0) | (b"trak", 1) => {
                    self.tracks += depth;
                    if self.tracks > MAX_TRACKS {
                        let detail = format!("more than {MAX_TRACKS} tracks");
                        return Err(Error::ExcessiveHeader { detail });
                    }
                    self.atoms(peek, at + header, next, depth + 1)?;
                }
                (b"udta" | b"meta", _) => {
                    if self.tag_bytes.saturating_add(size) > MAX_TAG_BYTES {
                        self.layout.patch(at + 4, *b"free");
                    } else {
                        self.tag_bytes += size;
                    }
                }
                _ => {}
            }
            at = next;
        }
        Ok(())
    }
}
