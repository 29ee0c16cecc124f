//! Clips beyond the longest that a query is made of.
#![cfg(feature = "decode")]

mod common;

use common::*;
use earmark::config::StftConfig;
use earmark::{AudioReader, Error, Fingerprinter};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A WAV file of 8 kHz and 16 bits that repeats half a minute for ten hours.
struct TenHours {
    song: Vec<u8>,
    at: u64,
    /// How far it was read.
    read: Arc<AtomicU64>,
}

const SECONDS: u64 = 36_000;
const BYTES_PER_S: u64 = 16_000;
const HEADER_BYTES: u64 = 44;

impl TenHours {
    fn new() -> (Self, Arc<AtomicU64>) {
        let bytes = |x: &f32| ((x * 32_767.0) as i16).to_le_bytes();
        let song = music(30.0, 77).iter().flat_map(bytes).collect();
        let read = Arc::new(AtomicU64::new(0));
        (Self { song, at: 0, read: read.clone() }, read)
    }

    fn header() -> Vec<u8> {
        let data_bytes = (SECONDS * BYTES_PER_S) as u32;
        let mut header = Vec::new();
        header.extend(b"RIFF");
        header.extend((data_bytes + 36).to_le_bytes());
        header.extend(b"WAVEfmt ");
        for number in [16, 1 | 1 << 16, 8_000, 16_000, 2 | 16 << 16] {
            header.extend(u32::to_le_bytes(number));
        }
        header.extend(b"data");
        header.extend(data_bytes.to_le_bytes());
        header
    }

    fn len() -> u64 {
        HEADER_BYTES + SECONDS * BYTES_PER_S
    }
}

impl Read for TenHours {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let header = Self::header();
        let from = self.at;
        for byte in bytes.iter_mut().take((Self::len() - self.at.min(Self::len())) as usize) {
            *byte = match self.at.checked_sub(HEADER_BYTES) {
                None => header[self.at as usize],
                Some(at) => self.song[at as usize % self.song.len()],
            };
            self.at += 1;
        }
        // Probing looks at the end, too.
        if from < Self::len() / 2 {
            self.read.fetch_max(self.at, SeqCst);
        }
        Ok((self.at - from) as usize)
    }
}

impl Seek for TenHours {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => Self::len().checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[test]
fn no_more_of_a_file_is_read_than_the_limit() {
    let (source, read) = TenHours::new();
    let mut reader = AudioReader::from_reader(source, Some("wav"), &StftConfig::default()).unwrap();
    let mut fingerprinter = fingerprinter();
    fingerprinter.set_max_query_s(20.0);
    let error = fingerprinter.query_audio(&mut reader).unwrap_err();
    assert!(matches!(error, Error::TooLong { limit_s: 20.0 }), "{error}");
    let message = error.to_string();
    assert!(message.contains("longer than 20 s") && message.contains("pieces"), "{message}");
    let read_s = read.load(SeqCst) / BYTES_PER_S;
    assert!((20..40).contains(&read_s), "{read_s} s were read");
    // It is as good as new.
    let clip = music(5.0, 3);
    let again = fingerprinter.query(&clip, rate(RATE_HZ)).unwrap();
    assert!(again == query(&clip));
}

#[test]
fn the_limit_is_exact_and_may_be_set() {
    assert_eq!(Fingerprinter::DEFAULT_MAX_QUERY_S, 600.0);
    let mut fingerprinter = fingerprinter();
    assert_eq!(fingerprinter.max_query_s(), 600.0);
    let clip = music(5.0, 3);
    let too_long =
        |fingerprinter: &mut Fingerprinter, hz: usize| match fingerprinter.query(&clip, rate(hz)) {
            Ok(_) => false,
            Err(Error::TooLong { .. }) => true,
            Err(error) => panic!("{error}"),
        };
    fingerprinter.set_max_query_s(5.0);
    assert!(!too_long(&mut fingerprinter, RATE_HZ));
    assert!(too_long(&mut fingerprinter, RATE_HZ - 1));
    fingerprinter.set_max_query_s(4.999);
    assert!(too_long(&mut fingerprinter, RATE_HZ));
    // What is kept has no limit.
    fingerprinter.fingerprint(&clip, rate(RATE_HZ)).unwrap();
    fingerprinter.set_max_query_s(f64::INFINITY);
    assert!(!too_long(&mut fingerprinter, RATE_HZ));
    // Eleven minutes are refused before any memory is taken for them.
    let silence = vec![0.0; 11 * 60 * RATE_HZ];
    let error = common::fingerprinter().query(&silence, rate(RATE_HZ)).unwrap_err();
    assert!(matches!(error, Error::TooLong { limit_s: 600.0 }), "{error}");
}
