//! Headers that ask for as much memory as they can. No single request may exceed 256 MB, and a process
//! that opens the file gets along with little more than twice that.
#![cfg(all(feature = "decode", target_os = "linux"))]

mod common;
#[allow(dead_code, reason = "the other half is for examples/torture")]
#[path = "../examples/torture/containers.rs"]
mod containers;
#[allow(dead_code, reason = "this is for examples/torture")]
#[path = "../examples/torture/mutate.rs"]
mod mutate;
#[allow(dead_code, reason = "the other half is for examples/torture")]
#[path = "../examples/torture/trials.rs"]
mod trials;

use common::Refusing;
use containers::{caf, element, mkv, mp3, pcm};
use earmark::AudioReader;
use earmark::config::StftConfig;
use trials::{Limits, Outcome, Trials, run_all, supervise};

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

const LIMITS: Limits = Limits { memory_mb: 640, seconds_each: 60 };
const MB: usize = 1 << 20;

type Make = fn() -> Vec<u8>;

/// What each asks for, and how it is made.
const HOSTILE: [(&str, Make); 22] = [
    ("CAF: frames of a packet", || caf(b"lpcm", 8_000, [2, u32::MAX, 1, 16], &[], &[], &pcm(32))),
    ("CAF: frames of a packet of ADPCM", || {
        caf(b"ima4", 8_000, [34, 0x7fff_ffff, 2, 0], &[], &[], &[0; 68])
    }),
    ("CAF: bytes of a packet", || {
        caf(b"lpcm", 8_000, [60 << 20, 1, 1, 16], &[], &[], &vec![0; 80 * MB])
    }),
    ("CAF: a table of packets", || packet_table(15 * MB, 1 << 40)),
    ("CAF: a table of packets behind junk", || {
        [vec![0; 99], packet_table(15 * MB, 15 << 20)].concat()
    }),
    ("CAF: a table of packets behind what looks like MPEG", || {
        [vec![0xff, 0xfb], packet_table(15 * MB, 15 << 20)].concat()
    }),
    ("Matroska: books of Vorbis codes", || mkv("A_VORBIS", &vorbis_books(256), &[pcm(9)])),
    ("Matroska: tracks", || {
        let track = [
            element(b"\xd7", &[1]),
            element(b"\x73\xc5", &[1]),
            element(b"\x83", &[2]),
            element(b"\x86", b"A"),
        ];
        matroska(b"\x16\x54\xae\x6b", &element(b"\xae", &track.concat()), 15 * MB)
    }),
    ("Matroska: tags", || {
        let tag = element(b"\x67\xc8", &element(b"\x45\xa3", b"A"));
        matroska(b"\x12\x54\xc3\x67", &element(b"\x73\x73", &tag), 15 * MB)
    }),
    ("Matroska: an attachment", || {
        let file = element(b"\x61\xa7", &element(b"\x46\x5c", &vec![0; 40 * MB]));
        matroska(b"\x19\x41\xa4\x69", &file, 1)
    }),
    ("ID3v2: frames", || {
        let frames = b"TT2\0\0\x01\0".repeat(15 * MB / 7);
        let size = [21, 14, 7, 0].map(|shift| (frames.len() >> shift) as u8 & 0x7f);
        [&b"ID3\x02\0\0"[..], &size, &frames, &mp3()].concat()
    }),
    ("ID3v2: chapters within each other", || {
        // Those within are copied again and again, and each takes a part of the stack.
        let chapter = |content: usize| {
            let size = (content as u32).to_be_bytes();
            [&b"CHAP"[..], &size, &[0; 2], b"A\0", &[0; 16]].concat()
        };
        let frames: Vec<u8> =
            (0..30_000).flat_map(|depth| chapter(28 * (30_000 - depth) - 10)).collect();
        let size = [21, 14, 7, 0].map(|shift| (frames.len() >> shift) as u8 & 0x7f);
        [&b"ID3\x03\0\0"[..], &size, &frames, &mp3()].concat()
    }),
    ("MP4: samples of fragments", || fragments(1_000)),
    ("MP4: samples of fragments behind junk", || [vec![0; 99], fragments(1_000)].concat()),
    ("APE: items", || {
        let item = b"\0\0\0\0\0\0\0\0AB\0";
        let items = item.repeat(15 * MB / item.len());
        let size = (items.len() as u32 + 32).to_le_bytes();
        let count = ((items.len() / item.len()) as u32).to_le_bytes();
        let frame = |flags: u32| {
            let flags = flags.to_le_bytes();
            [&b"APETAGEX\xd0\x07\0\0"[..], &size, &count, &flags, &[0; 8]].concat()
        };
        [mp3(), frame(0xa000_0000), items, frame(0x8000_0000)].concat()
    }),
    ("FLAC: comments", || {
        let comments = b"\x02\0\0\0A=".repeat(15 * MB / 6);
        let count = (comments.len() as u32 / 6).to_le_bytes();
        flac(&[(4, [&[0; 4][..], &count, &comments].concat())])
    }),
    ("FLAC: pictures", || flac(&vec![(6, picture(15 * MB)); 9])),
    ("WAV: tags", || {
        let tags = b"INAM\x02\0\0\0A\0".repeat(15 * MB / 10);
        let list = containers::chunk(b"LIST", &[&b"INFO"[..], &tags].concat());
        let fmt = containers::chunk(b"fmt ", &containers::fmt_pcm());
        let data = containers::chunk(b"data", &pcm(9));
        containers::chunk(b"RIFF", &[&b"WAVE"[..], &fmt, &list, &data].concat())
    }),
    ("AIFF: annotations", || {
        let notes = b"ANNO\0\0\0\x02A\0".repeat(15 * MB / 10);
        [&b"FORM\x7f\0\0\0AIFF"[..], &notes].concat()
    }),
    ("MP4: tracks", || mp4(&atom(b"trak", &[]).repeat(15 * MB / 8))),
    ("MP4: tags", || {
        let data = atom(b"data", &[0, 0, 0, 1, 0, 0, 0, 0, b'A']);
        let tags = atom(b"\xa9nam", &data).repeat(15 * MB / 25);
        let handler = atom(b"hdlr", &[&[0; 8][..], b"mdir", &[0; 13]].concat());
        let meta = [&[0; 4][..], &handler, &atom(b"ilst", &tags)].concat();
        mp4(&atom(b"udta", &atom(b"meta", &meta)))
    }),
    ("Ogg: comments", || {
        let comments = b"\x02\0\0\0A=".repeat(15 * MB / 6);
        let count = (comments.len() as u32 / 6).to_le_bytes();
        let head = b"\x01vorbis\0\0\0\0\x01\x40\x1f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xb8\x01";
        ogg(&[head, &[&b"\x03vorbis\0\0\0\0"[..], &count, &comments].concat()])
    }),
];

fn packet_table(bytes: usize, packets: u64) -> Vec<u8> {
    let mut file = caf(b"aac ", 8_000, [0, 1_024, 1, 0], &[], &[], &[]);
    file.truncate(file.len() - 16); // the data
    let table = [&packets.to_be_bytes()[..], &[0; 16], &vec![1; bytes]].concat();
    file.extend(b"pakt");
    file.extend((table.len() as u64).to_be_bytes());
    [&file[..], &table, b"data", &[0; 7], &[14], &[0; 14]].concat()
}

/// Codec data of few bytes that ask for many books of 16 MB each.
fn vorbis_books(books: u32) -> Vec<u8> {
    let mut bits = Vec::new();
    let mut put = |value: u32, count: u32| bits.extend((0..count).map(|n| value >> n & 1 == 1));
    put(books - 1, 8);
    for _ in 0..books {
        put(0x56_4342, 24);
        put(32, 16);
        put(1 << 17, 24);
        put(1, 1); // in order of their lengths: all are of 17 bits
        put(16, 5);
        put(1 << 17, 18);
        put(1, 4);
        put(0, 32);
        put(0, 32);
        put(0, 4);
        put(0, 1);
        put(0, 1); // one value for each root of the entries, of which there is one
    }
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
    let setup: Vec<u8> = bits.chunks(8).map(byte).collect();
    let head = b"\x01vorbis\0\0\0\0\x01\x40\x1f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xb8\x01";
    let setup = [&b"\x05vorbis"[..], &setup].concat();
    [&[2, head.len() as u8, 8][..], head, b"\x03vorbis\0", &setup].concat()
}

/// A sound file with an element in it that holds `child` again and again.
fn matroska(id: &[u8], child: &[u8], bytes: usize) -> Vec<u8> {
    let mut file = mkv("A_PCM/INT/LIT", &[], &[pcm(99)]);
    let many = element(id, &child.repeat(bytes.div_ceil(child.len())));
    // Behind the header and that of the segment, whose size is left open.
    let segment = file.windows(4).position(|id| id == b"\x18\x53\x80\x67").unwrap();
    file[segment + 4..segment + 8].copy_from_slice(&[0x1f, 0xff, 0xff, 0xff]);
    file.splice(segment + 8..segment + 8, many);
    file
}

fn flac(blocks: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let info = [0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xf4, 0x00, 0xf0];
    let mut file = [&b"fLaC\0\0\0\x22"[..], &info, &[0; 20]].concat();
    for (n, (kind, content)) in blocks.iter().enumerate() {
        let last = if n + 1 == blocks.len() { 0x80 } else { 0 };
        file.push(last | kind);
        file.extend(&(content.len() as u32).to_be_bytes()[1..]);
        file.extend(content);
    }
    file
}

fn picture(bytes: usize) -> Vec<u8> {
    let head = [0, 0, 0, 3, 0, 0, 0, 9].iter().chain(b"image/png").copied();
    let size = (bytes as u32).to_be_bytes();
    head.chain([0; 20]).chain(size).chain(vec![0; bytes]).collect()
}

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
}

fn mp4(content: &[u8]) -> Vec<u8> {
    let header = atom(b"mvhd", &[&[0; 12][..], &1_000_u32.to_be_bytes(), &[0; 84]].concat());
    let moov = atom(b"moov", &[&header, content].concat());
    [atom(b"ftyp", b"M4A \0\0\0\0"), moov, atom(b"mdat", &[0; 99])].concat()
}

/// So many fragments of as many samples as there can be, of which nothing is said.
fn fragments(count: usize) -> Vec<u8> {
    let extends = atom(b"mvex", &[]);
    let track = atom(b"traf", &atom(b"trun", &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).repeat(count));
    let track = [atom(b"mfhd", &[0; 8]), track].concat();
    let mut file = mp4(&extends);
    file.splice(file.len() - 107..file.len() - 107, atom(b"moof", &track));
    file
}

/// Packets in pages of their own.
fn ogg(packets: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut number = 0_u32;
    for (n, packet) in packets.iter().enumerate() {
        // The last segment of a packet is the first that is not full.
        let segments = packet.len() / 255 + 1;
        for (page, from) in (0..segments).step_by(255).enumerate() {
            let count = (segments - from).min(255);
            let content = &packet[255 * from..packet.len().min(255 * (from + count))];
            let mut lacing = vec![255; count];
            if from + count == segments {
                lacing[count - 1] = (packet.len() % 255) as u8;
            }
            let flags = u8::from(page > 0) | if n == 0 { 2 } else { 0 };
            let header = [&b"OggS\0"[..], &[flags], &[0; 8], &[1, 0, 0, 0]].concat();
            let header = [&header[..], &number.to_le_bytes(), &[0; 4], &[count as u8]].concat();
            let mut bytes = [&header[..], &lacing, content].concat();
            let checksum = ogg_checksum(&bytes).to_le_bytes();
            bytes[22..26].copy_from_slice(&checksum);
            file.extend(bytes);
            number += 1;
        }
    }
    file
}

fn ogg_checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

struct Hostile;

impl Trials for Hostile {
    fn make(&self, number: u64) -> Vec<u8> {
        HOSTILE[number as usize].1()
    }

    fn run(&mut self, _: u64, bytes: Vec<u8>) -> Outcome {
        // Read from a file, so that what it takes is that of the reader.
        let path = std::env::temp_dir().join(format!("earmark-hostile-{}", std::process::id()));
        std::fs::write(&path, &bytes).unwrap();
        drop(bytes);
        let opened = AudioReader::open(&path, &StftConfig::default());
        std::fs::remove_file(&path).unwrap();
        let Ok(mut reader) = opened.inspect_err(|error| eprintln!("{error}")) else {
            return Outcome::Refused;
        };
        while let Ok(Some(_)) = reader.next_block() {}
        eprintln!("{:?}: {}", reader.info(), reader.report());
        if reader.report().is_complete() { Outcome::Whole } else { Outcome::Other }
    }
}

const FIRST: &str = "EARMARK_HOSTILE";

#[test]
#[ignore = "run by the other test, in processes of their own"]
fn child() {
    let Ok(first) = std::env::var(FIRST) else { return };
    run_all(&mut Hostile, first.parse().unwrap()..HOSTILE.len() as u64);
}

#[test]
fn no_header_decides_how_much_memory_is_taken() {
    let tally = supervise(HOSTILE.len() as u64, LIMITS, |first| {
        let arguments = ["child", "--exact", "--ignored", "--nocapture"].map(String::from);
        let mut command = LIMITS.command(&arguments);
        command.env(FIRST, first.to_string());
        command
    });
    let name = |&(number, outcome): &(u64, Outcome)| (HOSTILE[number as usize].0, outcome);
    let failures: Vec<_> = tally.failures.iter().map(name).collect();
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn what_is_left_out_of_a_header_leaves_the_audio() {
    // Pictures and tags are skipped; the audio behind them is read.
    let open = |name: &str| {
        let (_, make) = HOSTILE.iter().find(|(hostile, _)| *hostile == name).unwrap();
        AudioReader::from_bytes(make(), None, &StftConfig::default())
    };
    for name in
        ["ID3v2: frames", "ID3v2: chapters within each other", "APE: items", "Matroska: tags"]
    {
        let mut reader = open(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        while reader.next_block().unwrap().is_some() {}
        assert!(reader.report().decoded_s > 0.0, "{name}: {}", reader.report());
    }
    for name in ["CAF: frames of a packet", "CAF: a table of packets", "MP4: samples of fragments"]
    {
        let message = open(name).unwrap_err().to_string();
        assert!(message.starts_with("a header of this file asks for too much ("), "{message}");
    }
}
