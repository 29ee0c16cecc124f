//! MPEG audio, which has no header: what the first frame and the last bytes tell.

use super::Peek;
use crate::error::Result;
use std::io::{Read, Seek};

/// So many bytes of a frame are compared to find it again.
pub(in crate::decode) const MARK_BYTES: usize = 32;

/// Whether the first frame is none, but an Xing, Info or VBRI header that counts the others.
pub(super) fn counts_frames(peek: &mut Peek<impl Read + Seek>, base: u64) -> Result<bool> {
    let Some(frame) = peek.array::<48>(base)? else { return Ok(false) };
    if frame[0] != 0xff || frame[1] & 0xe0 != 0xe0 {
        return Ok(false);
    }
    // Behind the side information, which is shorter in MPEG-2 and in mono.
    let counts = [4 + 9, 4 + 17, 4 + 32]
        .into_iter()
        .any(|at| matches!(&frame[at..at + 4], b"Xing" | b"Info") && frame[at + 7] & 1 != 0);
    Ok(counts || &frame[36..40] == b"VBRI")
}

/// Whether a stream of MPEG audio breaks off within a frame.
///
/// `mark` are the first bytes of the last whole frame, of `frame_bytes`; `tail` are the last bytes of
/// the stream. Another frame that is not whole follows if what follows begins as the last one does.
pub(in crate::decode) fn cut_off(mark: &[u8], frame_bytes: usize, tail: &[u8]) -> bool {
    // Of the frames that are whole: all may begin alike.
    let whole = (tail.len() + mark.len()).checked_sub(frame_bytes).and_then(|end| tail.get(..end));
    let windows = whole.unwrap_or(&[]).windows(mark.len().max(1));
    let last = windows.into_iter().rposition(|window| window == mark);
    let rest = last.map_or(&[][..], |at| &tail[at + frame_bytes..]);
    // Sync word, version, layer; then the sampling rate.
    let sync = rest.iter().zip(mark).take(2).all(|(a, b)| a == b);
    let rate = rest.iter().zip(mark).nth(2).is_none_or(|(a, b)| (a ^ b) & 0x0c == 0);
    !rest.is_empty() && sync && rate
}
