//! Fingerprints as bytes, read with suspicion.

mod common;

use common::*;
use earmark::{Config, Fingerprint};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

/// A byte may be anything else: all bits flipped, one bit flipped, or nothing.
fn damages(byte: u8) -> [u8; 3] {
    [!byte, byte ^ 1, if byte == 0 { 0x80 } else { 0 }]
}

#[test]
fn fingerprints_notice_any_damage() {
    let print = fingerprint(cut(&example().songs[0], 1.0, 4.0));
    let bytes = print.to_bytes().unwrap();
    let config = Config::default();
    assert_eq!(Fingerprint::from_bytes(&bytes, &config).unwrap(), print);
    for at in 0..bytes.len() {
        for damage in damages(bytes[at]) {
            let mut damaged = bytes.clone();
            damaged[at] = damage;
            assert!(Fingerprint::from_bytes(&damaged, &config).is_err(), "byte {at}");
        }
        assert!(Fingerprint::from_bytes(&bytes[..at], &config).is_err(), "cut at {at}");
    }
}

#[test]
fn other_bytes_and_newer_versions_are_told_apart() {
    let message =
        |bytes: &[u8]| Fingerprint::from_bytes(bytes, &Config::default()).unwrap_err().to_string();
    let strange = "this is not an earmark fingerprint (its first bytes differ)";
    assert_eq!(message(b""), strange);
    assert_eq!(message(b"RIFF\xff\xff\0\0WAVEfmt "), strange);
    let mut print = example().prints[0].to_bytes().unwrap();
    print[8] = 9;
    assert_eq!(
        message(&print),
        "fingerprint format version 9, but this build reads version 4: update earmark"
    );
    print[8] = 1;
    assert!(message(&print).ends_with("make it again with this version"), "{}", message(&print));
}

/// Puts content between header and checksum, as the library does.
fn seal(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let header = [&b"EARMARKF\x04\0\0\0"[..], &length].concat();
    let checksum = xxh3_64(&[content, &header].concat());
    [&header, content, &checksum.to_le_bytes()].concat()
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn random_bytes_are_no_fingerprint(
        header in 0..3_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let header: &[u8] = [&b""[..], b"EARMARKF", b"EARMARKF\x04\0\0\0"][header];
        let bytes = [header, &bytes].concat();
        prop_assert!(Fingerprint::from_bytes(&bytes, &Config::default()).is_err());
    }

    /// Bytes with a right checksum, as no accident makes them: anything may come, but no panic.
    #[test]
    fn sealed_nonsense_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        real in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let sound = example().prints[0].to_bytes().unwrap();
        let mut content = if real { sound[20..sound.len() - 8].to_vec() } else { bytes };
        prop_assert!(!real || seal(&content) == sound);
        for (at, byte) in changes {
            if !content.is_empty() {
                let at = at.index(content.len());
                content[at] = byte;
            }
        }
        let _ = Fingerprint::from_bytes(&seal(&content), &Config::default());
    }
}
