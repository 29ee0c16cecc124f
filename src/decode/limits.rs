//! What a decoder may be asked for. Checked before one is made, for decoders take their memory then.

use crate::error::{Error, Result};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;

/// For each packet, so much is read at most.
pub(super) const MAX_PACKET_BYTES: u64 = 32 << 20;
const MAX_CHANNELS: usize = 255;
/// Samples of all channels in a packet: 32 MB of them.
const MAX_PACKET_SAMPLES: u64 = 1 << 22;
/// Data for the decoder: books of codes, mostly. A few kilobytes are usual.
const MAX_EXTRA_BYTES: usize = 1 << 20;
/// Entries in all books of codes of a Vorbis stream, and the numbers that they stand for. The largest
/// known have a tenth of it.
const MAX_VORBIS_ENTRIES: u64 = 1 << 18;
const MAX_VORBIS_VALUES: u64 = 1 << 22;

/// A decoder that is one of several takes no more than a few megabytes, and gives no more than one for a packet.
const SMALL_PACKET_SAMPLES: u64 = 1 << 18;
const SMALL_EXTRA_BYTES: usize = 1 << 16;
const SMALL_VORBIS_ENTRIES: u64 = 1 << 16;
const SMALL_VORBIS_VALUES: u64 = 1 << 19;

/// Whether a decoder takes little enough memory that there can be several.
pub(super) fn is_small(params: &AudioCodecParameters) -> bool {
    let channels = params.channels.as_ref().map_or(1, |channels| channels.count()) as u64;
    let frames = params.max_frames_per_packet.max(params.frames_per_block).unwrap_or(0);
    let extra = params.extra_data.as_deref().unwrap_or_default();
    let vorbis = params.codec == CODEC_ID_VORBIS;
    frames.saturating_mul(channels) <= SMALL_PACKET_SAMPLES
        && extra.len() <= SMALL_EXTRA_BYTES
        && (!vorbis || count_vorbis(extra, SMALL_VORBIS_ENTRIES, SMALL_VORBIS_VALUES).is_ok())
}

/// Refuses what no sound file has.
pub(super) fn check(params: &AudioCodecParameters) -> Result<()> {
    let channels = params.channels.as_ref().map_or(1, |channels| channels.count());
    at_most("channels", channels as u64, MAX_CHANNELS as u64)?;
    for frames in [params.max_frames_per_packet, params.frames_per_block].into_iter().flatten() {
        let samples = frames.saturating_mul(channels as u64);
        at_most("samples in a packet", samples, MAX_PACKET_SAMPLES)?;
    }
    let extra = params.extra_data.as_deref().unwrap_or_default();
    at_most("bytes of codec data", extra.len() as u64, MAX_EXTRA_BYTES as u64)?;
    if params.codec == CODEC_ID_VORBIS {
        count_vorbis(extra, MAX_VORBIS_ENTRIES, MAX_VORBIS_VALUES)?;
    }
    Ok(())
}

fn at_most(what: &str, found: u64, limit: u64) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::ExcessiveHeader { detail: format!("{found} {what}, more than {limit}") })
}

/// Counts what the books of codes would take: a few bytes can ask for 16 MB each.
fn count_vorbis(extra: &[u8], most_entries: u64, most_values: u64) -> Result<()> {
    let (mut entries, mut values) = (0, 0);
    // The decoder goes by the first such header, or by what comes at its place: all are counted.
    for (at, _) in extra.windows(7).enumerate().filter(|(_, window)| window == b"\x05vorbis") {
        let mut bits = Bits { bytes: &extra[at + 7..], at: 0 };
        let Some(books) = bits.take(8) else { continue };
        for _ in 0..=books {
            let Some(book) = Book::read(&mut bits) else { break };
            entries += book.entries;
            values += book.values;
            at_most("Vorbis codes", entries, most_entries)?;
            at_most("values of Vorbis codes", values, most_values)?;
            if !book.whole {
                break;
            }
        }
    }
    Ok(())
}

/// What a book of codes asks for.
struct Book {
    entries: u64,
    values: u64,
    /// Whether the next one follows, rather than the end of the data.
    whole: bool,
}

impl Book {
    /// As in section 3.2.1 of the Vorbis I specification.
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        bits.take(24).filter(|&sync| sync == 0x56_4342)?;
        let (dimensions, entries) = (bits.take(16)?, bits.take(24)?);
        let mut book = Self { entries, values: entries * dimensions, whole: false };
        // The decoder refuses others.
        if (1..=32).contains(&dimensions) && entries <= MAX_VORBIS_ENTRIES {
            book.whole = book.skip_rest(bits, dimensions as u32).is_some();
        }
        Some(book)
    }

    fn skip_rest(&mut self, bits: &mut Bits<'_>, dimensions: u32) -> Option<()> {
        if bits.take(1)? == 1 {
            let mut entry = 0;
            bits.take(5)?;
            while entry < self.entries {
                let width = u64::BITS - (self.entries - entry).leading_zeros();
                entry += bits.take(width)?;
            }
        } else if bits.take(1)? == 1 {
            for _ in 0..self.entries {
                if bits.take(1)? == 1 {
                    bits.take(5)?;
                }
            }
        } else {
            bits.skip(5 * self.entries)?;
        }
        let stored = match bits.take(4)? {
            0 => {
                self.values = 0;
                return Some(());
            }
            // The greatest root of the entries, as in section 9.2.3.
            1 => (1..=self.entries)
                .take_while(|root| {
                    root.checked_pow(dimensions).is_some_and(|all| all <= self.entries)
                })
                .count() as u64,
            _ => self.values,
        };
        bits.skip(64)?;
        let width = bits.take(4)? + 1;
        bits.skip(1 + stored * width)
    }
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u64> {
        let mut value = 0;
        for n in 0..count {
            let byte = self.bytes.get((self.at / 8) as usize)?;
            value |= u64::from(byte >> (self.at % 8) & 1) << n;
            self.at += 1;
        }
        Some(value)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at += count;
        (self.at <= 8 * self.bytes.len() as u64).then_some(())
    }
}
