//! One packet: from the demuxer, and through a decoder.

use super::link::describe;
use super::mix::mix;
use std::panic::{AssertUnwindSafe, catch_unwind};
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::packet::Packet;

/// A packet of the track that is read.
pub(super) struct Timed {
    pub(super) packet: Packet,
    /// When it begins and how long it is, in seconds, where its track keeps time.
    pub(super) time_s: Option<(f64, f64)>,
}

/// What became of a packet.
pub(super) enum Outcome {
    /// It was decoded: its rate, and its channels.
    Audio(u32, usize),
    Lost(String),
    /// The decoder is of no use any more.
    Panicked,
}

/// Decodes a packet into `mono`, which holds nothing if that fails.
///
/// `flac_channels`: those of a FLAC stream. A frame with fewer is damaged. The decoder would leave what was
/// decoded before in the channels that are missing.
pub(super) fn decode(
    decoder: &mut dyn AudioDecoder,
    flac_channels: Option<usize>,
    packet: &Packet,
    mono: &mut Vec<f32>,
) -> Outcome {
    mono.clear();
    if flac_channels.is_some_and(|channels| has_fewer_channels(&packet.data, channels)) {
        return Outcome::Lost("a frame has fewer channels than its stream".into());
    }
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        decoder.decode(packet).map(|buffer| {
            mix(&buffer, mono);
            Outcome::Audio(buffer.spec().rate(), buffer.num_planes())
        })
    }));
    match decoded {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(fault)) => Outcome::Lost(describe(&fault)),
        Err(_) => {
            mono.clear();
            Outcome::Panicked
        }
    }
}

/// Whether the first frame of FLAC in `data`, which is what the decoder takes, has too few channels.
fn has_fewer_channels(data: &[u8], channels: usize) -> bool {
    let header = data.windows(4).find(|bytes| bytes[0] == 0xff && bytes[1] & 0xfc == 0xf8);
    header.is_some_and(|bytes| match usize::from(bytes[3] >> 4) {
        independent @ 0..=7 => independent + 1 < channels,
        _ => 2 < channels,
    })
}
