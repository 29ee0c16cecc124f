//! MP4: tags beyond a limit are made free space, which the demuxer does not read.

use super::{Layout, MAX_TAG_BYTES, Peek};
use crate::error::{Error, Result};
use std::io::{Read, Seek};

const MAX_TRACKS: usize = 256;
/// A day of fragments has a tenth of it.
const MAX_ATOMS: usize = 1 << 20;
/// The demuxer counts up to the number of samples that a fragment gives, even if nothing is said of
/// each of them. So many take it a second or two.
const MAX_SILENT_SAMPLES: u64 = 1 << 30;
/// Flags of what is said of each sample.
const EACH_SAMPLE: u32 = 0xf00;

/// Whether a file may begin with an atom of this name.
pub(super) fn is_first(name: &[u8]) -> bool {
    matches!(&name[..4], b"ftyp" | b"styp" | b"free" | b"skip" | b"wide")
}

/// Goes through the atoms of the file, of the movie and its tracks, and of its fragments.
pub(super) fn survey(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
) -> Result<()> {
    let mut walk = Walk { layout, atoms: 0, tracks: 0, silent_samples: 0, tag_bytes: 0 };
    walk.atoms(peek, base, u64::MAX, 0)
}

struct Walk<'a> {
    layout: &'a mut Layout,
    atoms: usize,
    tracks: usize,
    silent_samples: u64,
    tag_bytes: u64,
}

fn at_most(what: &str, found: u64, limit: u64) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::ExcessiveHeader { detail: format!("more than {limit} {what}") })
}

impl Walk<'_> {
    fn atoms(
        &mut self,
        peek: &mut Peek<impl Read + Seek>,
        mut at: u64,
        end: u64,
        depth: usize,
    ) -> Result<()> {
        while at < end {
            let Some([s0, s1, s2, s3, name @ ..]) = peek.array::<8>(at)? else { break };
            self.atoms += 1;
            at_most("atoms", self.atoms as u64, MAX_ATOMS as u64)?;
            let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
                0 => (8, end - at),
                1 => (16, peek.array(at + 8)?.map_or(0, u64::from_be_bytes)),
                size => (8, u64::from(size)),
            };
            if size < header {
                break;
            }
            let next = at.saturating_add(size).min(end);
            self.atom(peek, &name, (at, at + header, next), depth)?;
            at = next;
        }
        Ok(())
    }

    /// `places` are those of the atom, of its content, and of its end.
    fn atom(
        &mut self,
        peek: &mut Peek<impl Read + Seek>,
        name: &[u8; 4],
        places: (u64, u64, u64),
        depth: usize,
    ) -> Result<()> {
        let (at, content, end) = places;
        match (name, depth) {
            (b"moov" | b"moof", 0) | (b"trak" | b"traf", 1) => {
                self.tracks += usize::from(name == b"trak");
                at_most("tracks", self.tracks as u64, MAX_TRACKS as u64)?;
                self.atoms(peek, content, end, depth + 1)?;
            }
            (b"trun", 2) => {
                let [flags, samples] = peek.array::<8>(content)?.map_or([0; 2], |bytes| {
                    let [f0, f1, f2, f3, samples @ ..] = bytes;
                    [u32::from_be_bytes([f0, f1, f2, f3]), u32::from_be_bytes(samples)]
                });
                if flags & EACH_SAMPLE == 0 {
                    self.silent_samples += u64::from(samples);
                }
                at_most("samples in fragments", self.silent_samples, MAX_SILENT_SAMPLES)?;
            }
            (b"udta" | b"meta", _) => {
                let bytes = end - at;
                if self.tag_bytes.saturating_add(bytes) > MAX_TAG_BYTES {
                    self.layout.patch(at + 4, *b"free");
                } else {
                    self.tag_bytes += bytes;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
