//! One file of each container and codec that the fixtures do not have.

use crate::mutate::Rng;
use std::fs::File;
use std::path::Path;
use symphonia::core::formats::{FormatOptions, TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;

const RATE_HZ: u32 = 8_000;

/// All of them, each with its extension.
pub fn all(fixtures: &Path) -> Vec<(String, Vec<u8>)> {
    let (aac, config) = packets(&fixtures.join("clips/12-waltz_at_12.271s_aac-32k.m4a"));
    let named = |extension: &str, bytes: Vec<u8>| (extension.to_string(), bytes);
    vec![
        named("caf", caf(b"lpcm", RATE_HZ, [2, 1, 1, 16], &[], &[], &pcm(4_000))),
        named("caf", caf(b"ima4", RATE_HZ, [34, 64, 1, 0], &[], &[], &noise(34 * 200))),
        named("caf", caf(b"aac ", 16_000, [0, 1_024, 1, 0], &esds(&config), &aac, &aac.concat())),
        named("wav", rf64(b"RF64", &pcm(4_000))),
        named("w64", w64(&pcm(4_000))),
        named("wav", adpcm_wav(0x02, 32, 256)),
        named("wav", adpcm_wav(0x11, 2, 256)),
        named("mkv", mkv("A_PCM/INT/LIT", &[], &[pcm(2_000), pcm(2_000)])),
        named("mka", mkv("A_AAC", &config, &aac)),
        named("aac", aac.iter().flat_map(|packet| adts(packet)).collect()),
        named("mp2", mp2(40)),
        named("mp3", [id3(), mp3(), ape()].concat()),
    ]
}

/// The packets of the first track of a file, and what its decoder is told.
fn packets(path: &Path) -> (Vec<Vec<u8>>, Vec<u8>) {
    let file = Box::new(File::open(path).expect("a fixture"));
    let stream = MediaSourceStream::new(file, Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe
        .probe(&Hint::new(), stream, FormatOptions::default(), Default::default())
        .expect("a sound file");
    let track = format.default_track(TrackType::Audio).expect("a track");
    let params = track.codec_params.as_ref().and_then(|params| params.audio()).expect("a codec");
    let config = params.extra_data.as_deref().unwrap_or_default().to_vec();
    let mut packets = Vec::new();
    while let Ok(Some(packet)) = format.next_packet() {
        packets.push(packet.data.to_vec());
    }
    (packets, config)
}

pub fn noise(bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(5, 5);
    (0..bytes).map(|_| rng.next() as u8).collect()
}

/// A sweep in 16 bits.
pub fn pcm(frames: usize) -> Vec<u8> {
    let sample = |n: usize| ((n * n) as f32 * 1e-4).sin() * 12_000.0;
    (0..frames).flat_map(|n| (sample(n) as i16).to_le_bytes()).collect()
}

/// The content of `fmt `: 16 bits, mono.
pub fn fmt_pcm() -> Vec<u8> {
    let mut fmt = vec![1, 0, 1, 0];
    fmt.extend(RATE_HZ.to_le_bytes());
    fmt.extend((2 * RATE_HZ).to_le_bytes());
    fmt.extend([2, 0, 16, 0]);
    fmt
}

pub fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    [name, &(content.len() as u32).to_le_bytes(), content].concat()
}

/// More than 4 GB are meant for it, but it may be of any length.
pub fn rf64(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let data_bytes = data.len() as u64;
    let ds64: Vec<u8> = [data_bytes + 72, data_bytes, data_bytes / 2, 0]
        .iter()
        .flat_map(|size| size.to_le_bytes())
        .take(28)
        .collect();
    let header =
        [&name[..], &[0xff; 4], b"WAVE", &chunk(b"ds64", &ds64), &chunk(b"fmt ", &fmt_pcm())];
    [&header.concat()[..], b"data\xff\xff\xff\xff", data].concat()
}

pub fn w64(data: &[u8]) -> Vec<u8> {
    let tail = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let size = (24 + content.len() as u64).to_le_bytes();
        [&name[..], tail, &size, content].concat()
    };
    let body = [chunk(b"fmt ", &fmt_pcm()), chunk(b"fact", &[0; 8]), chunk(b"data", data)].concat();
    let riff = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";
    let size = (40 + body.len() as u64).to_le_bytes();
    [&riff[..], &size, b"wave", tail, &body].concat()
}

fn adpcm_wav(codec: u16, extra: u16, block_bytes: u16) -> Vec<u8> {
    let mut fmt = codec.to_le_bytes().to_vec();
    fmt.extend([1, 0]);
    fmt.extend(RATE_HZ.to_le_bytes());
    fmt.extend((RATE_HZ / 2).to_le_bytes());
    fmt.extend(block_bytes.to_le_bytes());
    fmt.extend([4, 0]);
    fmt.extend(extra.to_le_bytes());
    fmt.resize(18 + usize::from(extra), 0);
    // Small steps, or they add up to more than decoders reckon with. Each block begins with places
    // in small tables.
    let mut data = noise(usize::from(block_bytes) * 40);
    data.iter_mut().for_each(|byte| *byte &= 0x11);
    data.chunks_mut(block_bytes.into()).for_each(|block| block[..4].fill(0));
    let body = [b"WAVE".to_vec(), chunk(b"fmt ", &fmt), chunk(b"data", &data)].concat();
    chunk(b"RIFF", &body)
}

/// `sizes`: bytes and frames of a packet, channels, bits of a sample.
pub fn caf(
    codec: &[u8; 4],
    rate_hz: u32,
    sizes: [u32; 4],
    cookie: &[u8],
    packets: &[Vec<u8>],
    data: &[u8],
) -> Vec<u8> {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        [&name[..], &(content.len() as i64).to_be_bytes(), content].concat()
    };
    let mut desc = f64::from(rate_hz).to_be_bytes().to_vec();
    desc.extend(codec);
    desc.extend(u32::from(codec == b"lpcm" || codec == b"aac ").to_be_bytes().map(|byte| 2 * byte));
    desc.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    let mut file = [b"caff\0\x01\0\0", &chunk(b"desc", &desc)[..]].concat();
    if !cookie.is_empty() {
        file.extend(chunk(b"kuki", cookie));
    }
    if !packets.is_empty() {
        let frames = packets.len() as i64;
        let mut table = [frames, frames * 1_024, 0].map(i64::to_be_bytes).concat();
        for packet in packets {
            table.extend([0x80 | (packet.len() >> 7) as u8, packet.len() as u8 & 0x7f]);
        }
        file.extend(chunk(b"pakt", &table));
    }
    file.extend(chunk(b"data", &[&[0; 4], data].concat()));
    file
}

/// The description that CAF wraps around what an AAC decoder is told.
fn esds(config: &[u8]) -> Vec<u8> {
    let descriptor = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let specific = descriptor(5, config);
    let decoder = [&[0x40, 0x15, 0, 0, 0][..], &[0; 8], &specific].concat();
    let stream = [&[0, 0, 0][..], &descriptor(4, &decoder), &descriptor(6, &[2])].concat();
    descriptor(3, &stream)
}

/// A packet of AAC-LC of 16 kHz, mono, in its own frame.
fn adts(packet: &[u8]) -> Vec<u8> {
    let bytes = packet.len() + 7;
    let header = [
        0xff,
        0xf1,
        0x60,
        0x40 | (bytes >> 11) as u8,
        (bytes >> 3) as u8,
        (bytes << 5) as u8 | 0x1f,
        0xfc,
    ];
    [&header[..], packet].concat()
}

/// Frames of MP2, 32 kbit/s at 16 kHz, of silence.
pub fn mp2(frames: usize) -> Vec<u8> {
    // MPEG-2, layer 2, no checksum; 32 kbit/s, 16 kHz; mono. 144 · 32,000 / 16,000 bytes.
    let mut frame = vec![0xff, 0xf5, 0x48, 0xc0];
    frame.resize(288, 0);
    frame.repeat(frames)
}

/// Frames of MP3, 32 kbit/s at 16 kHz, of silence.
pub fn mp3() -> Vec<u8> {
    let mut frame = vec![0xff, 0xf3, 0x48, 0xc0];
    frame.resize(144, 0);
    frame.repeat(40)
}

fn id3() -> Vec<u8> {
    let frame = |name: &[u8], text: &[u8]| {
        [name, &(text.len() as u32 + 1).to_be_bytes(), &[0, 0, 0], text].concat()
    };
    let frames =
        [frame(b"TIT2", b"Title"), frame(b"TPE1", b"Band"), frame(b"APIC", &noise(60))].concat();
    [&b"ID3\x03\0\0\0\0"[..], &[(frames.len() >> 7) as u8, frames.len() as u8 & 0x7f], &frames]
        .concat()
}

fn ape() -> Vec<u8> {
    let item = b"\x05\0\0\0\0\0\0\0Title\0Other";
    let size = (item.len() as u32 + 32).to_le_bytes();
    let around = |flags: u32| {
        let count = 1_u32.to_le_bytes();
        [&b"APETAGEX\xd0\x07\0\0"[..], &size, &count, &flags.to_le_bytes(), &[0; 8]].concat()
    };
    [around(0xa000_0000), item.to_vec(), around(0x8000_0000)].concat()
}

/// An element of Matroska.
pub fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let size = ((content.len() as u32) | 1 << 28).to_be_bytes();
    [id, &size, content].concat()
}

/// A track of 16 kHz, mono, 16 bits, in one cluster.
pub fn mkv(codec: &str, private: &[u8], packets: &[Vec<u8>]) -> Vec<u8> {
    let head = [element(b"\x42\x82", b"matroska"), element(b"\x42\x87", &[4])].concat();
    let info = [
        element(b"\x2a\xd7\xb1", &1_000_000_u32.to_be_bytes()),
        element(b"\x4d\x80", b"torture"),
        element(b"\x57\x41", b"torture"),
    ]
    .concat();
    let audio = [
        element(b"\xb5", &16_000_f32.to_be_bytes()),
        element(b"\x9f", &[1]),
        element(b"\x62\x64", &[16]),
    ]
    .concat();
    let track = [
        element(b"\xd7", &[1]),
        element(b"\x73\xc5", &[1]),
        element(b"\x83", &[2]),
        element(b"\x86", codec.as_bytes()),
        element(b"\x63\xa2", private),
        element(b"\xe1", &audio),
    ]
    .concat();
    let tag = [element(b"\x45\xa3", b"TITLE"), element(b"\x44\x87", b"Title")].concat();
    let tags = element(b"\x73\x73", &element(b"\x67\xc8", &tag));
    let mut cluster = element(b"\xe7", &[0]);
    for (n, packet) in packets.iter().enumerate() {
        let time_ms = (n as u16 * 64).to_be_bytes();
        cluster.extend(element(b"\xa3", &[&[0x81], &time_ms[..], &[0x80], packet].concat()));
    }
    let segment = [
        element(b"\x15\x49\xa9\x66", &info),
        element(b"\x16\x54\xae\x6b", &element(b"\xae", &track)),
        element(b"\x12\x54\xc3\x67", &tags),
        element(b"\x1f\x43\xb6\x75", &cluster),
    ]
    .concat();
    [element(b"\x1a\x45\xdf\xa3", &head), element(b"\x18\x53\x80\x67", &segment)].concat()
}
