//! CAF: a table of packets takes many times its bytes, and the size of the data may be left open.

use super::{Layout, MAX_PARTS, Peek};
use crate::error::{Error, Result};
use std::io::{Read, Seek};

/// More packets than this are refused: a day of AAC, four of ALAC.
const MAX_PACKETS: u64 = 1 << 22;

pub(super) fn survey(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
) -> Result<()> {
    let mut at = base + 8;
    for _ in 0..MAX_PARTS {
        let Some([a, b, c, d, size @ ..]) = peek.array::<12>(at)? else { break };
        let size = i64::from_be_bytes(size);
        at += 12;
        match (&[a, b, c, d], peek.len) {
            (b"data", Some(len)) if size == -1 => {
                layout.patch(at - 8, len.saturating_sub(at).to_be_bytes());
            }
            (b"pakt", _) => {
                let packets = peek.array(at)?.map_or(0, u64::from_be_bytes);
                if packets > MAX_PACKETS {
                    let detail = format!("a table of {packets} packets, more than {MAX_PACKETS}");
                    return Err(Error::ExcessiveHeader { detail });
                }
            }
            _ => {}
        }
        match u64::try_from(size).ok().and_then(|size| at.checked_add(size)) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(())
}
