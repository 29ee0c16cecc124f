use super::*;
use proptest::prelude::*;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// A WAV file of `format` 1 (integers) or 3 (floats) from samples in −1 to 1, interleaved.
fn wav(format: u16, bits: u16, channels: u16, rate_hz: u32, samples: &[f32]) -> Vec<u8> {
    let mut data = Vec::new();
    for &sample in samples {
        match (format, bits) {
            (3, 32) => data.extend(sample.to_le_bytes()),
            (3, 64) => data.extend(f64::from(sample).to_le_bytes()),
            (1, 8) => data.push((sample * 127.0 + 128.0).round() as u8),
            (1, 16) => data.extend(((sample * 32_767.0).round() as i16).to_le_bytes()),
            (1, 24) => data.extend(&((sample * 8_388_607.0).round() as i32).to_le_bytes()[..3]),
            (1, 32) => data.extend(((f64::from(sample) * 2_147_483_647.0) as i32).to_le_bytes()),
            other => panic!("{other:?}"),
        }
    }
    let frame = channels * bits / 8;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate_hz.to_le_bytes());
    file.extend((rate_hz * u32::from(frame)).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// A tone of 440 Hz, the same in every channel but louder the lower the channel; the mean is 0.5.
fn tone(channels: u16, rate_hz: u32, frames: usize) -> Vec<f32> {
    let mut samples = Vec::new();
    for n in 0..frames {
        let value = (n as f32 / rate_hz as f32 * 440.0 * std::f32::consts::TAU).sin();
        for channel in 0..channels {
            let share = 2.0 * f32::from(channel + 1) / f32::from(channels + 1);
            samples.push(0.5 * value * share);
        }
    }
    samples
}

fn open(bytes: Vec<u8>) -> Result<AudioReader> {
    AudioReader::from_bytes(bytes, Some("wav"), &StftConfig::default())
}

fn drain(reader: &mut AudioReader) -> Vec<f32> {
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        assert!((1..=MAX_BLOCK_SAMPLES).contains(&block.len()));
        samples.extend_from_slice(block);
    }
    assert!(reader.next_block().unwrap().is_none(), "the end is the end");
    samples
}

#[test]
fn readers_can_be_sent() {
    fn sent<T: Send>() {}
    sent::<AudioReader>();
}

#[test]
fn every_sample_format_channel_count_and_rate() {
    let formats = [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)];
    for (format, bits) in formats {
        for channels in [1, 2, 6] {
            for rate_hz in [8_000, 44_100, 192_000] {
                let frames = rate_hz as usize / 2;
                let file = wav(format, bits, channels, rate_hz, &tone(channels, rate_hz, frames));
                let mut reader = open(file).unwrap();
                let samples = drain(&mut reader);
                let name = format!("{format}/{bits} bits, {channels} channels, {rate_hz} Hz");
                assert_eq!(samples.len(), 4_000, "{name}");
                let expected = tone(1, 8_000, 4_000);
                let margin = if bits == 8 { 0.01 } else { 1e-3 };
                for (n, (a, b)) in samples.iter().zip(&expected).enumerate().skip(50).take(3_900) {
                    assert!((a - b).abs() < margin, "{name}, sample {n}: {a}, not {b}");
                }
                assert_eq!(reader.info().channels, usize::from(channels));
                assert_eq!(reader.info().sample_rate.hz(), rate_hz);
                assert_eq!(reader.info().container, "WAV");
                assert!(reader.report().is_complete(), "{name}: {}", reader.report());
                assert!((reader.report().decoded_s - 0.5).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn samples_that_are_no_numbers_are_silence() {
    let samples = [f32::NAN, f32::INFINITY, f32::MAX, f32::NEG_INFINITY].repeat(2_000);
    let mut reader = open(wav(3, 32, 1, 44_100, &samples)).unwrap();
    assert!(drain(&mut reader).iter().all(|&sample| sample == 0.0));
}

#[test]
fn what_is_there_of_a_truncated_file_is_read_and_the_rest_reported() {
    let mut file = wav(1, 16, 1, 44_100, &tone(1, 44_100, 88_200));
    file.truncate(44 + 88_200);
    let mut reader = open(file).unwrap();
    let samples = drain(&mut reader);
    assert!((7_800..=8_000).contains(&samples.len()), "{}", samples.len());
    let report = reader.report();
    assert!(!report.is_complete());
    assert!((report.missing_s - 1.0).abs() < 0.03, "{report:?}");
    assert!(report.to_string().starts_with("1.0 of 2.0 s decoded: "), "{report}");
}

#[test]
fn a_length_that_is_a_lie_costs_neither_memory_nor_time() {
    for lie in [0xffff_fff0_u32, 0x7fff_ffff, u32::MAX] {
        let mut file = wav(1, 16, 2, 44_100, &tone(2, 44_100, 44_100));
        file[4..8].copy_from_slice(&lie.to_le_bytes());
        file[40..44].copy_from_slice(&(lie - 36).to_le_bytes());
        let mut reader = open(file).unwrap();
        let samples = drain(&mut reader);
        assert!((7_800..=8_000).contains(&samples.len()), "{}", samples.len());
        assert!(reader.report().missing_s > 1_000.0, "{}", reader.report());
    }
}

#[test]
fn what_is_no_audio_is_refused_with_the_reason() {
    let message = |bytes: &[u8]| match open(bytes.to_vec()) {
        Err(error @ (Error::UnknownFormat { .. } | Error::Undecodable { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(message(b"").contains("empty"), "{}", message(b""));
    let text = "Not music, just words. Ceci n'est pas une chanson, même à 44,1 kHz.\n".repeat(500);
    assert!(message(text.as_bytes()).contains("no known header"), "{}", message(text.as_bytes()));
    message(b"x");
    message(&[0; 100_000]);
    message(b"RIFF");
    message(&wav(1, 16, 2, 44_100, &[])[..30]);
    assert!(message(&wav(1, 16, 2, 44_100, &[])).contains("no samples"));
    message(&[&b"ID3\x04\0\0\0\0\0\0"[..], text.as_bytes()].concat());
}

#[test]
fn rates_out_of_range_are_refused() {
    for rate_hz in [1_000, 3_999, 384_001, 4_000_000] {
        match open(wav(1, 16, 1, rate_hz, &[0.1; 5_000])) {
            Err(Error::SampleRate { hz }) => assert_eq!(hz, rate_hz),
            other => panic!("{rate_hz}: {other:?}"),
        }
    }
    assert!(open(wav(1, 16, 1, 0, &[0.1; 5_000])).is_err());
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.wav");
    for (path, action) in [(missing.as_path(), "open"), (directory.path(), "read")] {
        let message = AudioReader::open(path, &StftConfig::default()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("cannot {action} ")), "{message}");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    let text = directory.path().join("text.mp3");
    std::fs::write(&text, "no music in here\n".repeat(1_000)).unwrap();
    let error = AudioReader::open(&text, &StftConfig::default()).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }), "{error}");
}

/// A source that fails once `left` bytes were read, or cannot be sought in.
struct Fickle {
    inner: Cursor<Vec<u8>>,
    left: usize,
    seekable: bool,
}

impl Read for Fickle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("the disk is on fire"));
        }
        let len = buf.len().min(self.left);
        let read = self.inner.read(&mut buf[..len])?;
        self.left -= read;
        Ok(read)
    }
}

impl Seek for Fickle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if self.seekable { self.inner.seek(to) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

#[test]
fn a_failing_source_is_an_error_not_an_end() {
    let stft = StftConfig::default();
    let file = wav(1, 16, 1, 44_100, &tone(1, 44_100, 100_000));
    let source = |left, seekable| Fickle { inner: Cursor::new(file.clone()), left, seekable };
    assert!(matches!(AudioReader::from_reader(source(10, true), None, &stft), Err(Error::Read(_))));
    let mut reader = AudioReader::from_reader(source(150_000, true), None, &stft).unwrap();
    let error = loop {
        match reader.next_block() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("on fire"), "{error}");
    assert!(reader.report().truncated);
    let mut reader = AudioReader::from_reader(source(1 << 30, false), None, &stft).unwrap();
    assert_eq!(drain(&mut reader).len(), (100_000_usize * 8_000).div_ceil(44_100));
}

#[test]
fn reports_read_well() {
    let mut report = DecodeReport { decoded_s: 30.0, ..Default::default() };
    assert_eq!(report.to_string(), "30.0 s decoded");
    assert!(report.is_complete());
    report.lost_packets = 1;
    report.error = Some("invalid huffman code".into());
    assert_eq!(report.to_string(), "30.0 s decoded, 1 packet lost: invalid huffman code");
    report = DecodeReport { decoded_s: 12.3, missing_s: 17.7, ..report };
    report.lost_packets = 2;
    assert_eq!(report.to_string(), "12.3 of 30.0 s decoded, 2 packets lost: invalid huffman code");
}

#[test]
fn tags_before_the_audio() {
    let mut frames = Vec::new();
    for (key, value) in [(b"TIT2", "Title"), (b"TPE1", " Band "), (b"TALB", "")] {
        frames.extend(key);
        frames.extend((value.len() as u32 + 1).to_be_bytes());
        frames.extend([0, 0, 0]);
        frames.extend(value.as_bytes());
    }
    let mut file = b"ID3\x03\0\0\0\0\0".to_vec();
    file.push(frames.len() as u8);
    file.extend(frames);
    file.extend(wav(1, 16, 1, 8_000, &[0.1; 8_000]));
    let expected = Tags {
        title: Some("Title".into()),
        artist: Some("Band".into()),
        album: None,
        ..Tags::default()
    };
    assert_eq!(open(file).unwrap().info().tags, expected);
}

/// First bytes of what symphonia knows, so that random bytes get beyond the probe.
const HEADERS: [&[u8]; 9] = [
    b"",
    b"RIFF\xff\xff\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0",
    b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0a\xc4\x42\xf0",
    b"OggS\0\x02\0\0\0\0\0\0\0\0",
    b"\0\0\0\x20ftypM4A \0\0\0\0",
    b"\xff\xfb\x90\x44",
    b"\xff\xf1\x50\x80",
    b"\x1a\x45\xdf\xa3",
    b"FORM\0\0\xff\xffAIFFCOMM\0\0\0\x12",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_never_panic(
        header in 0..HEADERS.len(),
        bytes in prop::collection::vec(any::<u8>(), 0..4_000),
    ) {
        let file = [HEADERS[header], &bytes].concat();
        if let Ok(mut reader) = open(file) {
            while let Ok(Some(_)) = reader.next_block() {}
            let _ = reader.report().to_string();
        }
    }

    #[test]
    fn damaged_files_never_panic(
        format in 0..2_usize,
        changes in prop::collection::vec((0..600_usize, any::<u8>()), 1..8),
    ) {
        let (format, bits) = [(1, 24), (3, 32)][format];
        let mut file = wav(format, bits, 2, 44_100, &tone(2, 44_100, 2_000));
        for (at, byte) in changes {
            file[at] = byte;
        }
        if let Ok(mut reader) = open(file) {
            while let Ok(Some(_)) = reader.next_block() {}
        }
    }
}
