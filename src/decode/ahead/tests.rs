use super::super::{AudioInfo, AudioReader, DecodeReport};
use super::roll::PreRoll;
use crate::config::StftConfig;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::Result as Decoded;
use symphonia::core::packet::PacketRef;

/// Everything that a reader tells, bit for bit.
type Told = (Vec<u32>, DecodeReport, AudioInfo);

/// How a file is read.
#[derive(Clone, Copy, Debug)]
struct How {
    threads: usize,
    packets: usize,
    roll: Option<PreRoll>,
}

const ONE: How = How { threads: 1, packets: 1, roll: None };

/// What a reader tells, and how many runs were decoded apart, and again.
fn read(bytes: &[u8], how: How) -> Option<(Told, (usize, usize))> {
    let mut reader = AudioReader::from_bytes(bytes, None, &StftConfig::default()).ok()?;
    reader.set_threads(how.threads);
    reader.ahead.most_packets = how.packets;
    if let Some(roll) = how.roll {
        reader.ahead.roll = Some(roll);
    }
    let (mut samples, mut apart) = (Vec::new(), (0, 0));
    while let Some(block) = reader.next_block().unwrap() {
        samples.extend(block.iter().map(|sample| sample.to_bits()));
        // They are forgotten at the end.
        if !reader.ended {
            apart = reader.ahead.apart;
        }
    }
    Some(((samples, reader.report(), reader.info().clone()), apart))
}

/// Fails unless a file is read `how` as by one thread.
fn check(name: &str, bytes: &[u8], how: How) -> (usize, usize) {
    let (want, _) = read(bytes, ONE).unzip();
    let (got, apart) = read(bytes, how).unzip();
    assert_eq!(got.is_some(), want.is_some(), "{name}, {how:?}");
    if let (Some(got), Some(want)) = (got, want) {
        assert_eq!(got.1, want.1, "{name}, {how:?}");
        assert_eq!(got.2, want.2, "{name}, {how:?}");
        let first = got.0.iter().zip(&want.0).position(|(got, want)| got != want);
        assert!(got.0 == want.0, "{name}, {how:?}: sample {first:?} is not the same");
    }
    apart.unwrap_or_default()
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in ["library", "clips", "broken"] {
        let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
        for entry in fs::read_dir(place).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().display());
            files.push((name.clone(), fixture(&name)));
        }
    }
    assert!(files.len() > 30);
    files
}

#[test]
fn every_fixture_is_the_same_on_any_number_of_threads() {
    for (name, bytes) in fixtures() {
        for (threads, packets) in [(2, 1), (2, 7), (3, 40), (4, 100), (2, 512)] {
            check(&name, &bytes, How { threads, packets, roll: None });
        }
    }
}

/// The formats of which several runs are decoded at once: intact, no run has to be decoded again.
const APART: [&str; 4] = [
    "library/10-band.mp3",
    "library/12-waltz.ogg",
    "library/05-arpeggio.flac",
    "library/07-speech.m4a",
];

#[test]
fn a_decoder_that_begins_in_the_middle_goes_on_like_the_one_before() {
    for name in APART {
        let (apart, again) = check(name, &fixture(name), How { packets: 20, threads: 3, ..ONE });
        assert!(apart >= 2, "{name}: {apart} runs");
        assert_eq!(again, 0, "{name}: of {apart}");
    }
}

/// A pre-roll that is too short is found out.
#[test]
fn a_decoder_that_does_not_go_on_like_the_one_before_is_not_used() {
    let none = Some(PreRoll { main_data_bytes: 0, packets: 0 });
    for name in &APART[..2] {
        let how = How { threads: 3, packets: 40, roll: none };
        let (apart, again) = check(name, &fixture(name), how);
        assert!(apart >= 5 && again == apart, "{name}: {again} of {apart}");
    }
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most
    }
}

#[test]
fn damaged_files_are_the_same_on_any_number_of_threads() {
    let mut dice = Dice(1);
    let (mut aparts, mut agains) = (0, 0);
    for name in APART.into_iter().chain(["library/08-bells.m4a", "library/02-chords.wav"]) {
        let whole = fixture(name);
        for round in 0..24 {
            let mut bytes = whole.clone();
            for _ in 0..1 + 4 * (round % 6) {
                let at = 2_000 + dice.below(bytes.len() - 4_000);
                match dice.below(4) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => (0..50).for_each(|n| bytes[at + n] = dice.below(256) as u8),
                    2 => drop(bytes.drain(at..at + 1 + dice.below(600))),
                    _ => bytes[at..at + 300].fill(0),
                }
            }
            let (threads, packets) = (2 + dice.below(3), 1 + dice.below(60));
            let how = How { threads, packets, roll: None };
            let (apart, again) = check(&format!("{name}, round {round}"), &bytes, how);
            (aparts, agains) = (aparts + apart, agains + again);
        }
    }
    assert!(aparts > 10 * agains && agains > 10, "{agains} of {aparts} were decoded again");
}

#[test]
fn the_number_of_threads_may_change_at_any_time() {
    for (name, bytes) in fixtures() {
        let Some((want, _)) = read(&bytes, ONE) else { continue };
        let mut reader = AudioReader::from_bytes(bytes, None, &StftConfig::default()).unwrap();
        let mut samples = Vec::new();
        let mut dice = Dice(2);
        while let Some(block) = reader.next_block().unwrap() {
            samples.extend(block.iter().map(|sample| sample.to_bits()));
            reader.set_threads(dice.below(6));
            reader.ahead.most_packets = 1 + dice.below(30);
        }
        assert!((samples, reader.report()) == (want.0, want.1), "{name}");
    }
}

/// What the threads share is gone once the last of them has ended.
#[test]
fn threads_end_when_the_reader_is_dropped_or_the_audio_ends() {
    for whole in [false, true] {
        let bytes = fixture("library/10-band.mp3");
        let mut reader = AudioReader::from_bytes(bytes, None, &StftConfig::default()).unwrap();
        reader.set_threads(4);
        reader.ahead.most_packets = 30;
        reader.next_block().unwrap();
        let shared = Arc::downgrade(&reader.ahead.crew.shared);
        assert!(shared.strong_count() == 4, "three threads, and this one");
        if whole {
            while reader.next_block().unwrap().is_some() {}
        } else {
            drop(reader);
        }
        let begun = Instant::now();
        while shared.strong_count() > 0 {
            assert!(begun.elapsed().as_secs() < 60, "a thread goes on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A decoder that fails for some packets, and panics in the end.
struct Frail(Box<dyn AudioDecoder>, usize);

impl AudioDecoder for Frail {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        self.0.codec_info()
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        self.0.codec_params()
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Decoded<GenericAudioBufferRef<'_>> {
        self.1 += 1;
        match self.1 {
            30 | 31 | 80 => Err(symphonia::core::errors::Error::DecodeError("it does not like it")),
            100 => panic!("it is tired"),
            _ => self.0.decode_ref(packet),
        }
    }

    fn finalize(&mut self) -> FinalizeResult {
        self.0.finalize()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.0.last_decoded()
    }
}

#[test]
fn a_decoder_that_panics_ends_the_stream_at_the_same_place() {
    let bytes = fixture("library/01-melody.wav");
    let read = |threads| {
        let mut reader = AudioReader::from_bytes(&*bytes, None, &StftConfig::default()).unwrap();
        let own = reader.decoder.take().unwrap();
        reader.decoder = Some(Box::new(Frail(own, 0)));
        reader.set_threads(threads);
        reader.ahead.most_packets = 20;
        let mut samples = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            samples.extend_from_slice(block);
        }
        (samples, reader.report())
    };
    let want = read(1);
    assert_eq!(want.1.lost_packets, 4);
    assert!(want.1.truncated && want.0.len() > 20_000, "{}", want.1);
    assert!(read(2) == want);
    assert!(read(4) == want);
}

/// In the channels that are missing the decoder would leave what it decoded before.
#[test]
fn frames_of_flac_with_fewer_channels_than_the_stream_are_lost() {
    use super::super::packet::{Outcome, decode};
    use symphonia::core::packet::Packet;
    use symphonia::core::units::{self, Timestamp};
    let reader =
        AudioReader::from_bytes(fixture("library/05-arpeggio.flac"), None, &StftConfig::default());
    let mut decoder = reader.unwrap().decoder.take().unwrap();
    let mut lost = |channels: usize, assignment: u8| {
        let data = vec![0, 0xff, 0xf8, 0xc9, assignment << 4 | 8, 0, 0, 0, 0, 0];
        let packet = Packet::new(0, Timestamp::ZERO, units::Duration::new(4096), data);
        match decode(&mut *decoder, Some(channels), &packet, &mut Vec::new()) {
            Outcome::Lost(reason) => reason.contains("fewer channels"),
            _ => false,
        }
    };
    assert!(lost(2, 0) && lost(6, 4) && lost(3, 8) && lost(8, 10));
    assert!(!lost(1, 0) && !lost(2, 1) && !lost(2, 8) && !lost(2, 9) && !lost(2, 10));
}
