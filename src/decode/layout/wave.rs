//! The WAV family: sizes that were never filled in, and files of more than 4 GB (RF64, BW64, W64).
//!
//! symphonia reads plain WAV only. The headers of the others are served as such: only some bytes of
//! the header differ, so everything stays in its place.

use super::{Layout, MAX_PARTS, Peek};
use crate::error::Result;
use std::io::{Read, Seek};

mod info;

/// "Until the end", in WAV.
const OPEN: u32 = u32::MAX;
/// Sizes that a program leaves which cannot come back to fill them in; the middle one is sox's.
const UNKNOWN: [u32; 3] = [0, 0x7fff_f000, OPEN];
/// The end of the identities of chunks in W64; they begin with the name that WAV has for them.
const W64: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
const W64_RIFF: [u8; 16] = *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";

/// What is known of a file of the WAV family.
#[derive(Debug)]
pub(in crate::decode) struct Wave {
    /// "WAV", "RF64", "BW64" or "W64".
    pub(in crate::decode) container: &'static str,
    codec: u16,
    /// The data are read until the source ends, for WAV cannot tell where that is.
    pub(in crate::decode) open: bool,
    /// Then, whether it is known where they should end,
    pub(in crate::decode) end_known: bool,
    /// and how long they should be.
    pub(in crate::decode) duration_s: Option<f64>,
}

impl Wave {
    /// The name of the codec, if symphonia does not know it in WAV.
    pub(in crate::decode) fn unsupported_codec(&self) -> Option<String> {
        let name = match self.codec {
            0x0001..=0x0003 | 0x0006 | 0x0007 | 0x0011 => return None,
            0x0031 => "GSM 6.10",
            0x0045 | 0x0064 => "G.726 ADPCM",
            0x0050 => "MPEG Audio Layer 2",
            0x0055 => "MPEG Audio Layer 3",
            0x00ff | 0x1600 | 0x1610 => "AAC",
            0x0160..=0x0163 => "Windows Media Audio",
            0x2000 => "AC-3",
            0x2001 => "DTS",
            0xf1ac => "FLAC",
            codec => return Some(format!("codec {codec:#06x} in {}", self.container)),
        };
        Some(format!("{name} in {}", self.container))
    }
}

/// What the chunk `fmt ` tells.
#[derive(Clone, Copy)]
struct Format {
    codec: u16,
    /// Of PCM.
    bytes_per_s: Option<f64>,
}

impl Format {
    fn read(peek: &mut Peek<impl Read + Seek>, at: u64, size: u64) -> Result<Option<Self>> {
        let mut fmt = [0; 26];
        let read = peek.read_at(at, &mut fmt)?;
        if read < 16 || size < 16 {
            return Ok(None);
        }
        let u16_at = |at: usize| u16::from_le_bytes([fmt[at], fmt[at + 1]]);
        let codec = match u16_at(0) {
            // The codec of the extended format is in the first bytes of its identity.
            0xfffe if read == 26 && size >= 40 => u16_at(24),
            codec => codec,
        };
        let rate_hz = u32::from_le_bytes([fmt[4], fmt[5], fmt[6], fmt[7]]);
        let bytes_per_s = f64::from(rate_hz) * f64::from(u16_at(12));
        let pcm = matches!(codec, 1 | 3 | 6 | 7) && bytes_per_s > 0.0;
        Ok(Some(Self { codec, bytes_per_s: pcm.then_some(bytes_per_s) }))
    }
}

/// A chunk's name, where its content begins, and its size.
struct Chunk {
    name: [u8; 4],
    at: u64,
    size: u64,
}

pub(super) fn survey(
    layout: &mut Layout,
    peek: &mut Peek<impl Read + Seek>,
    base: u64,
    magic: &[u8; 40],
) -> Result<()> {
    let container = match &magic[..4] {
        b"RIFF" => "WAV",
        b"RF64" => "RF64",
        b"BW64" => "BW64",
        _ if magic[..16] == W64_RIFF && magic[24..28] == *b"wave" && magic[28..] == W64 => {
            return survey_w64(layout, peek, base);
        }
        _ => return Ok(()),
    };
    if &magic[8..12] != b"WAVE" {
        return Ok(());
    }
    let mut at = base + 12;
    let (mut format, mut long_data) = (None, None);
    for _ in 0..MAX_PARTS {
        let Some([n0, n1, n2, n3, size @ ..]) = peek.array::<8>(at)? else { break };
        let size = u32::from_le_bytes(size);
        let chunk = Chunk { name: [n0, n1, n2, n3], at: at + 8, size: u64::from(size) };
        match &chunk.name {
            // Sizes of 8 bytes: of the file, then of the data.
            b"ds64" => long_data = peek.array::<16>(chunk.at)?.map(|sizes| long(&sizes, 8)),
            b"fmt " => format = Format::read(peek, chunk.at, chunk.size)?,
            b"LIST" => info::read(layout, peek, chunk.at, chunk.size)?,
            b"data" => {
                let Some(format) = format else { break };
                let bytes = match (size, long_data) {
                    (OPEN, Some(bytes)) => Some(bytes).filter(|&bytes| bytes > 0),
                    (0, _) if ends_with(peek, chunk.at)? => Some(0),
                    (size, _) => Some(u64::from(size)).filter(|_| !UNKNOWN.contains(&size)),
                };
                layout.patch(base, *b"RIFF");
                layout.patch(base + 4, OPEN.to_le_bytes());
                let size = data_size(layout, peek.len, container, format, chunk.at, bytes);
                layout.patch(chunk.at - 4, size.to_le_bytes());
                if let Some(bytes) = bytes {
                    info::read_behind(layout, peek, chunk.at.saturating_add(bytes + (bytes & 1)))?;
                }
                break;
            }
            _ => {}
        }
        // Chunks begin at even places.
        at = chunk.at + chunk.size + (chunk.size & 1);
    }
    Ok(())
}

/// Whether nothing but chunks follow, so that data of no bytes are no data.
fn ends_with(peek: &mut Peek<impl Read + Seek>, mut at: u64) -> Result<bool> {
    let Some(len) = peek.len else { return Ok(false) };
    for _ in 0..MAX_PARTS {
        if at >= len {
            return Ok(true);
        }
        let Some([name @ .., s0, s1, s2, s3]) = peek.array::<8>(at)? else { break };
        let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        if !name.iter().all(|byte| (b' '..=b'~').contains(byte)) || at + 8 + size > len {
            break;
        }
        at += 8 + size + (size & 1);
    }
    Ok(false)
}

/// W64 is WAV with names of 16 bytes and sizes of 8. A WAV header is shorter, so that it fits in front
/// of the data, with a chunk of no meaning between.
fn survey_w64(layout: &mut Layout, peek: &mut Peek<impl Read + Seek>, base: u64) -> Result<()> {
    let mut at = base + 40;
    let mut format = None;
    for _ in 0..MAX_PARTS {
        let Some(header) = peek.array::<24>(at)? else { break };
        let size = long(&header, 16);
        let Some(content) = size.checked_sub(24) else { break };
        let name = [header[0], header[1], header[2], header[3]];
        let chunk = Chunk { name, at: at + 24, size: content };
        match &chunk.name {
            b"fmt " => {
                if let Some(read) = Format::read(peek, chunk.at, chunk.size)? {
                    let mut fmt = vec![0; chunk.size.min(64) as usize & !1];
                    peek.read_at(chunk.at, &mut fmt)?;
                    trim(&mut fmt);
                    format = Some((read, fmt));
                }
            }
            b"data" => {
                let Some((format, fmt)) = format else { break };
                let Some(header) = wav_header(&fmt, chunk.at - base) else { break };
                let bytes = Some(chunk.size).filter(|&bytes| bytes > 0);
                layout.patch(base, header);
                let size = data_size(layout, peek.len, "W64", format, chunk.at, bytes);
                layout.patch(chunk.at - 8, [*b"data", size.to_le_bytes()].concat());
                break;
            }
            _ => {}
        }
        // Chunks begin at multiples of 8.
        match at.checked_add(size).and_then(|end| end.checked_next_multiple_of(8)) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(())
}

/// Leaves of `fmt ` what the codec has, for the demuxer wants no more. Chunks of W64 may be padded.
fn trim(fmt: &mut Vec<u8>) {
    let length = match (fmt[0], fmt[1]) {
        (1 | 3, 0) => 16,
        (6 | 7, 0) => 18,
        (0xfe, 0xff) => 40,
        _ => return,
    };
    fmt.resize(length, 0);
    if length == 18 {
        fmt[16..].fill(0);
    }
}

/// The header of a WAV whose data begin after `length` bytes, but for the last 8.
fn wav_header(fmt: &[u8], length: u64) -> Option<Vec<u8>> {
    let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    header.extend((fmt.len() as u32).to_le_bytes());
    header.extend(fmt);
    let junk = length.checked_sub(header.len() as u64 + 16)?;
    header.extend(b"JUNK");
    header.extend(u32::try_from(junk).ok().filter(|junk| junk % 2 == 0)?.to_le_bytes());
    Some(header)
}

/// Says how large the data are as far as WAV can tell, and where they end if it cannot. `bytes` is the
/// size that the file gives, if it gives one.
fn data_size(
    layout: &mut Layout,
    len: Option<u64>,
    container: &'static str,
    format: Format,
    at: u64,
    bytes: Option<u64>,
) -> u32 {
    let there = len.map(|len| len.saturating_sub(at));
    let size = bytes.or(there).and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(OPEN);
    let mut wave = Wave {
        container,
        codec: format.codec,
        open: size == OPEN,
        end_known: false,
        duration_s: None,
    };
    if wave.open {
        let bytes = bytes.or(there);
        wave.end_known = bytes.is_some();
        wave.duration_s = bytes.zip(format.bytes_per_s).map(|(bytes, per_s)| bytes as f64 / per_s);
        layout.end = bytes.map(|bytes| at.saturating_add(bytes)).or(layout.end);
    }
    layout.wave = Some(wave);
    size
}

/// The number of 8 bytes at `at`.
fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
