//! What a WAV says of itself in a chunk LIST of the form INFO ("Multimedia Programming Interface and Data
//! Specifications 1.0", IBM and Microsoft, 1991). It may come before the data or behind them.

use super::super::{Layout, MAX_PARTS, Peek};
use crate::decode::metadata::{MAX_TAG_CHARS, or};
use crate::error::Result;
use crate::tags::Tags;
use std::io::{Read, Seek};

/// Longer lists are read so far.
const MAX_LIST_BYTES: u64 = 1 << 16;

/// Looks for a list in the chunks from `at` on.
pub(super) fn read_behind(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    mut at: u64,
) -> Result<()> {
    let Some(len) = peek.len else { return Ok(()) };
    for _ in 0..MAX_PARTS {
        if at >= len {
            break;
        }
        let Some([n0, n1, n2, n3, size @ ..]) = peek.array::<8>(at)? else { break };
        let size = u64::from(u32::from_le_bytes(size));
        if [n0, n1, n2, n3] == *b"LIST" {
            read(layout, peek, at + 8, size)?;
        }
        at = at.saturating_add(8 + size + (size & 1));
    }
    Ok(())
}

/// Reads a list whose content begins at a place.
pub(super) fn read(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    at: u64,
    size: u64,
) -> Result<()> {
    let mut bytes = vec![0; size.min(MAX_LIST_BYTES) as usize];
    let read = peek.read_at(at, &mut bytes)?;
    bytes.truncate(read);
    layout.tags = or(std::mem::take(&mut layout.tags), parse(&bytes));
    Ok(())
}

fn parse(list: &[u8]) -> Tags {
    let mut tags = Tags::default();
    let Some(mut rest) = list.strip_prefix(b"INFO") else { return tags };
    while let Some((&[n0, n1, n2, n3, s0, s1, s2, s3], behind)) = rest.split_first_chunk() {
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let value = text(&behind[..size.min(behind.len())]);
        rest = behind.get(size.saturating_add(size & 1)..).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        match &[n0, n1, n2, n3] {
            b"INAM" => tags.title = tags.title.or(Some(value)),
            b"IART" => tags.artist = tags.artist.or(Some(value)),
            b"IPRD" => tags.album = tags.album.or(Some(value)),
            // "3" or "3/12"
            b"ITRK" | b"IPRT" => {
                let number = value.split('/').next().and_then(|n| n.trim().parse().ok());
                tags.track_number = tags.track_number.or(number);
            }
            _ => {}
        }
    }
    tags
}

/// Text in UTF-8, as programs write it today, or else in Latin 1, as they did.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    text.trim().chars().take(MAX_TAG_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut list = b"INFO".to_vec();
        for (name, value) in items {
            list.extend_from_slice(*name);
            list.extend((value.len() as u32).to_le_bytes());
            list.extend_from_slice(value);
            list.resize(list.len().next_multiple_of(2), 0);
        }
        list
    }

    #[test]
    fn a_list_is_read_whatever_is_in_it() {
        let items: [(&[u8; 4], &[u8]); 6] = [
            (b"ISFT", b"Some program"),
            (b"INAM", b"  Odd\0"),
            (b"IART", b"Caf\xe9"),
            (b"IPRD", "Grün".as_bytes()),
            (b"ITRK", b"3/12"),
            (b"INAM", b"Second"),
        ];
        let whole = list(&items);
        let tags = parse(&whole);
        let [title, artist, album] = [tags.title, tags.artist, tags.album].map(Option::unwrap);
        assert_eq!([title, artist, album], ["Odd", "Café", "Grün"]);
        assert_eq!(tags.track_number, Some(3));
        // However it is cut, or its sizes lie.
        for end in 0..whole.len() {
            parse(&whole[..end]);
        }
        let mut lying = whole.clone();
        lying[8..12].fill(0xff);
        assert_eq!(parse(&lying), Tags::default());
        assert_eq!(parse(b"adtl"), Tags::default());
    }
}
