//! What a decoder has to be given before it goes on like another one.

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known as codecs;
use symphonia::core::packet::Packet;

/// So many packets before a run are compared with what the decoder of the run before gave for them.
pub(in super::super) const CHECKED: usize = 2;
/// Header, checksum and side information of a frame of MPEG audio, at most: the rest is main data.
const MPEG_SIDE_BYTES: usize = 40;
/// No more packets than these are decoded twice.
pub(super) const MOST_PACKETS: usize = 256;

/// What a new decoder is given before a run, so that it gives for the run what a decoder gives that was
/// there from the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct PreRoll {
    /// First, packets with so many bytes of main data,
    pub(in super::super) main_data_bytes: usize,
    /// then so many packets. After that, all that it knows is the same.
    pub(in super::super) packets: usize,
}

impl PreRoll {
    /// That of the decoder for `params`; `None` where it is not bounded.
    ///
    /// It holds if neither decoder has failed since the pre-roll began. These are the decoders of
    /// symphonia 0.6, and what they keep from packet to packet:
    ///
    /// - FLAC and ALAC: nothing. FLAC only sets those channels that a frame has, so that frames with fewer
    ///   are not decoded at all: see `packet`.
    /// - Vorbis: half a block for the overlap, and its length. The first packet gives no audio.
    /// - MPEG audio: 16 vectors of the filterbank, of which a packet of layer 1 replaces 12, one of
    ///   layer 2 or 3 all. It does not matter where in the ring they are.
    /// - Layer 3 also: the overlap, which each granule replaces, and the bit reservoir. A frame begins at
    ///   most 511 bytes before its own main data. What has been used up in the reservoir is known once these
    ///   are there: it ends where the last frame ended, or where the decoder began, whichever is later. So the
    ///   reservoir is right behind 511 bytes, the overlap one granule later, and the filterbank one more; a
    ///   packet has one granule or two.
    ///
    /// AAC draws random numbers for noise, as many as were needed since it began; Opus predicts without
    /// a bound.
    pub(in super::super) fn of(params: &AudioCodecParameters) -> Option<Self> {
        let (main_data_bytes, packets) = match params.codec {
            codecs::CODEC_ID_FLAC | codecs::CODEC_ID_ALAC => (0, 0),
            codecs::CODEC_ID_VORBIS => (0, 1),
            codecs::CODEC_ID_MP1 | codecs::CODEC_ID_MP2 => (0, 2),
            codecs::CODEC_ID_MP3 => (511, 2),
            _ => return None,
        };
        Some(Self { main_data_bytes, packets })
    }

    /// How many of these packets, the last one first, are a pre-roll; `None` if they are too few.
    pub(super) fn count<'a>(self, packets: impl Iterator<Item = &'a Packet>) -> Option<usize> {
        let mut bytes = 0;
        for (n, packet) in (1..=MOST_PACKETS).zip(packets) {
            if n > self.packets + CHECKED {
                bytes += packet.data.len().saturating_sub(MPEG_SIDE_BYTES);
            }
            if n >= self.packets + CHECKED && bytes >= self.main_data_bytes {
                return Some(n);
            }
        }
        None
    }
}
