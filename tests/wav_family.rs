//! WAV as interrupted recorders and pipes leave it, and its relatives for more than 4 GB.
#![cfg(feature = "decode")]

use earmark::config::StftConfig;
use earmark::{AudioReader, Error};
use std::io::{self, Cursor, Read, Seek, SeekFrom};

const RATE_HZ: u32 = 8_000;
const FRAMES: usize = 12_345;
const W64_TAIL: &[u8; 12] = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";

/// The content of `fmt `, of 16 bits and one channel but for the codec.
fn fmt(codec: u16) -> Vec<u8> {
    let mut fmt = codec.to_le_bytes().to_vec();
    fmt.extend([1, 0]);
    fmt.extend(RATE_HZ.to_le_bytes());
    fmt.extend((2 * RATE_HZ).to_le_bytes());
    fmt.extend([2, 0, 16, 0]);
    fmt
}

fn data() -> Vec<u8> {
    let sample = |n: usize| ((n * n) as f32 * 1e-5).sin() * 12_000.0;
    (0..FRAMES).flat_map(|n| (sample(n) as i16).to_le_bytes()).collect()
}

fn chunk(name: &[u8; 4], size: u32, content: &[u8]) -> Vec<u8> {
    [&name[..], &size.to_le_bytes(), content].concat()
}

fn wav(riff_size: u32, data_size: u32, data: &[u8]) -> Vec<u8> {
    let body = [chunk(b"fmt ", 16, &fmt(1)), chunk(b"data", data_size, data)].concat();
    chunk(b"RIFF", riff_size, &[&b"WAVE"[..], &body].concat())
}

fn plain() -> Vec<u8> {
    let data = data();
    wav(36 + data.len() as u32, data.len() as u32, &data)
}

/// `data_bytes` is what its header says.
fn rf64(name: &[u8; 4], data_bytes: u64, data: &[u8]) -> Vec<u8> {
    let sizes = [data_bytes + 72, data_bytes, data_bytes / 2, 0].map(u64::to_le_bytes).concat();
    let ds64 = chunk(b"ds64", 28, &sizes[..28]);
    let body = [ds64, chunk(b"fmt ", 16, &fmt(1)), chunk(b"data", u32::MAX, data)].concat();
    chunk(name, u32::MAX, &[&b"WAVE"[..], &body].concat())
}

fn w64(codec: u16, data_bytes: u64, data: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8; 4], size: u64, content: &[u8]| {
        [&name[..], W64_TAIL, &(24 + size).to_le_bytes(), content].concat()
    };
    let fact = chunk(b"fact", 8, &[1; 8]);
    let body = [chunk(b"fmt ", 16, &fmt(codec)), fact, chunk(b"data", data_bytes, data)].concat();
    let riff = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";
    let size = (40 + body.len() as u64).to_le_bytes();
    [&riff[..], &size, b"wave", W64_TAIL, &body].concat()
}

fn drain(reader: &mut AudioReader) -> Vec<f32> {
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        samples.extend_from_slice(block);
    }
    samples
}

/// Cannot be sought in, and gives little at a time.
struct Pipe(Cursor<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(777);
        self.0.read(&mut buf[..len])
    }
}

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The same bytes as a file and through a pipe.
fn both_ways(bytes: &[u8]) -> [(&'static str, earmark::Result<AudioReader>); 2] {
    let stft = StftConfig::default();
    [
        ("file", AudioReader::from_bytes(bytes, Some("wav"), &stft)),
        ("pipe", AudioReader::from_reader(Pipe(Cursor::new(bytes.to_vec())), None, &stft)),
    ]
}

/// Asserts that all is read, and nothing else.
fn check(name: &str, container: &str, bytes: &[u8]) {
    let expected = drain(both_ways(&plain())[0].1.as_mut().unwrap());
    assert_eq!(expected.len(), FRAMES);
    for (way, reader) in both_ways(bytes) {
        let mut reader = reader.unwrap_or_else(|error| panic!("{name}, {way}: {error}"));
        let samples = drain(&mut reader);
        assert_eq!(samples.len(), expected.len(), "{name}, {way}");
        assert!(samples == expected, "{name}, {way}");
        assert!(reader.report().is_complete(), "{name}, {way}: {}", reader.report());
        assert_eq!(reader.info().container, container, "{name}, {way}");
        if way == "file" {
            let declared_s = reader.info().declared_duration_s.unwrap();
            assert!((declared_s - FRAMES as f64 / 8_000.0).abs() < 1e-6, "{name}: {declared_s}");
        }
    }
}

#[test]
fn sizes_that_were_never_filled_in() {
    let (data, right) = (data(), 2 * FRAMES as u32);
    for riff_size in [0, 36, 36 + right, 0x7fff_f024, u32::MAX] {
        for data_size in [0, right, 0x7fff_f000, u32::MAX] {
            let name = format!("{riff_size:#x} and {data_size:#x}");
            check(&name, "WAV", &wav(riff_size, data_size, &data));
        }
    }
    // A last sample of which half is missing is not one.
    let cut = [&data[..], &[7]].concat();
    check("odd", "WAV", &wav(u32::MAX, u32::MAX, &cut));
    // Behind a tag, and with what recorders put before the data.
    let tag = b"ID3\x03\0\0\0\0\0\x0aTALB\0\0\0\0\0\0";
    check("tag", "WAV", &[&tag[..], &wav(0, 0, &data)].concat());
    let mut chunks = wav(0, 0, &data);
    chunks.splice(36..36, chunk(b"bext", 603, &[3; 604]));
    check("bext", "WAV", &chunks);
}

#[test]
fn data_of_no_bytes_with_chunks_behind_are_none() {
    let list = chunk(b"LIST", 12, b"INFOINAM\0\0\0\0");
    let Err(Error::Undecodable { reason }) =
        AudioReader::from_bytes(wav(56, 0, &list), None, &StftConfig::default())
    else {
        panic!("it was read")
    };
    assert_eq!(reason, "it holds no samples");
}

#[test]
fn rf64_bw64_and_w64() {
    let data = data();
    for name in [b"RF64", b"BW64"] {
        let container = std::str::from_utf8(name).unwrap();
        // With the size, without it, and with other chunks behind the data.
        check("whole", container, &rf64(name, data.len() as u64, &data));
        check("interrupted", container, &rf64(name, 0, &data));
        let list = chunk(b"LIST", 4, b"INFO");
        check("list", container, &[rf64(name, data.len() as u64, &data), list].concat());
    }
    check("whole", "W64", &w64(1, data.len() as u64, &data));
    check("interrupted", "W64", &w64(1, 0, &data));
    // As ffmpeg writes A-law, with padding that is counted.
    let mut padded = w64(6, 0, &data);
    padded.splice(80..80, [0; 8]);
    padded[56] += 8;
    for (way, reader) in both_ways(&padded) {
        assert_eq!(drain(&mut reader.unwrap()).len(), 2 * FRAMES, "{way}");
    }
    let behind = [w64(1, data.len() as u64, &data), vec![5; 48]].concat();
    check("chunk behind", "W64", &behind);
}

#[test]
fn what_is_missing_is_reported() {
    let data = data();
    let whole_s = 3.0 * FRAMES as f64 / 8_000.0;
    for bytes in [rf64(b"RF64", 3 * data.len() as u64, &data), w64(1, 3 * data.len() as u64, &data)]
    {
        for (way, reader) in both_ways(&bytes) {
            let mut reader = reader.unwrap();
            assert_eq!(drain(&mut reader).len(), FRAMES);
            let report = reader.report();
            assert!(report.truncated, "{way}: {report}");
            assert!(
                (report.decoded_s + report.missing_s - whole_s).abs() < 1e-6,
                "{way}: {report}"
            );
        }
    }
}

#[test]
fn codecs_that_are_not_known_are_named() {
    let mut compressed = wav(0, 0, &data());
    compressed[20] = 0x55;
    for (bytes, expected) in [
        (w64(0x2000, 0, &data()), "the audio codec is not supported: AC-3 in W64"),
        (w64(0x1234, 0, &data()), "the audio codec is not supported: codec 0x1234 in W64"),
        (compressed, "the audio codec is not supported: MPEG Audio Layer 3 in WAV"),
    ] {
        for (_, reader) in both_ways(&bytes) {
            assert_eq!(reader.unwrap_err().to_string(), expected);
        }
    }
}

/// A file of which only the beginning is stored; all else is zero.
struct Vast {
    begin: Vec<u8>,
    len: u64,
    at: u64,
}

impl Read for Vast {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(usize::try_from(self.len.saturating_sub(self.at)).unwrap());
        buf[..len].fill(0);
        let begin = self.begin.get(usize::try_from(self.at).unwrap()..).unwrap_or(&[]);
        let stored = begin.len().min(len);
        buf[..stored].copy_from_slice(&begin[..stored]);
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Vast {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).unwrap(),
            SeekFrom::End(by) => self.len.checked_add_signed(by).unwrap(),
        };
        Ok(self.at)
    }
}

const VAST_BYTES: u64 = 5_000_000_000;

/// Each with the data that they declare.
fn vast(bits: u8, channels: u8) -> [Vast; 3] {
    let fit = |mut begin: Vec<u8>| {
        let at = begin.windows(4).position(|name| name == b"fmt ").unwrap();
        let at = at + if begin[0] == b'r' { 24 } else { 8 };
        let frame_bytes = u16::from(bits / 8) * u16::from(channels);
        begin[at + 2] = channels;
        begin[at + 12..at + 14].copy_from_slice(&frame_bytes.to_le_bytes());
        begin[at + 14] = bits;
        Vast { len: begin.len() as u64 + VAST_BYTES, begin, at: 0 }
    };
    let mut files =
        [rf64(b"RF64", VAST_BYTES, &[]), w64(1, VAST_BYTES, &[]), wav(0, u32::MAX, &[])].map(fit);
    // What comes behind the data is no audio.
    files[0].len += 1_000_000;
    files[1].len += 1_000_000;
    files
}

#[test]
fn more_than_4_gb_are_not_cut() {
    for (file, container) in vast(16, 1).into_iter().zip(["RF64", "W64", "WAV"]) {
        let mut reader = AudioReader::from_reader(file, None, &StftConfig::default()).unwrap();
        assert_eq!(reader.info().container, container);
        assert_eq!(reader.info().declared_duration_s, Some(VAST_BYTES as f64 / 16_000.0));
        for _ in 0..1_000 {
            assert!(reader.next_block().unwrap().is_some());
        }
        assert!(!reader.report().truncated);
    }
}

#[test]
#[ignore = "reads 15 GB"]
fn more_than_4_gb_are_read_to_their_end() {
    for (file, container) in vast(32, 25).into_iter().zip(["RF64", "W64", "WAV"]) {
        let mut reader = AudioReader::from_reader(file, None, &StftConfig::default()).unwrap();
        let mut samples = 0;
        while let Some(block) = reader.next_block().unwrap() {
            samples += block.len() as u64;
        }
        assert_eq!(samples, VAST_BYTES / 100, "{container}");
        assert!(reader.report().is_complete(), "{container}: {}", reader.report());
    }
}
