//! The hash function that earmark uses, beside those it could have used.
//!
//! Keys are the hashes of an hour's landmarks, four bytes each; content is a megabyte, as the
//! checksums of stored files see it.

#[path = "../../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "nothing is looked up here")]
#[path = "../../common/library.rs"]
mod library;

use common::{quick, rng};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use earmark::Config;
use library::Library;
use md5::Md5;
use sha1::{Digest, Sha1};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use xxhash_rust::xxh3::xxh3_64;

/// Hashes bytes to the first 64 bits of what it gives.
type Hash = fn(&[u8]) -> u64;

fn xxh3(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn sip(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn md5(bytes: &[u8]) -> u64 {
    first_eight(&Md5::digest(bytes))
}

fn sha1(bytes: &[u8]) -> u64 {
    first_eight(&Sha1::digest(bytes))
}

fn first_eight(digest: &[u8]) -> u64 {
    digest[..8].iter().fold(0, |all, &byte| all << 8 | u64::from(byte))
}

/// All of them, with the hash of "abc" where a standard says what it is.
const HASHES: [(&str, Hash, Option<u64>); 4] = [
    ("xxh3", xxh3, Some(0x78af_5f94_892f_3950)),
    ("SipHash", sip, None),
    ("MD5", md5, Some(0x9001_5098_3cd2_4fb0)),
    ("SHA-1", sha1, Some(0xa999_3e36_4706_816a)),
];

fn keys(c: &mut Criterion) {
    let config = Config::default().landmarks;
    let library = Library::new();
    let landmarks = library.fingerprints.iter().flat_map(|f| f.landmarks());
    let keys: Vec<[u8; 4]> = landmarks.map(|l| l.hash(&config).0.to_le_bytes()).collect();
    let distinct = keys.iter().collect::<HashSet<_>>().len();

    let mut group = c.benchmark_group("keys");
    group.throughput(Throughput::Elements(keys.len() as u64));
    for (name, hash, abc) in HASHES {
        assert!(abc.is_none_or(|abc| hash(b"abc") == abc), "{name}: {:x}", hash(b"abc"));
        let hashed: HashSet<u64> = keys.iter().map(|key| hash(key)).collect();
        assert_eq!(hashed.len(), distinct, "{name} collides");
    }
    // Each by its own name, so that it can be inlined.
    let sum = |hash: u64, key: u64| hash.wrapping_add(key);
    group.bench_function("xxh3", |b| b.iter(|| keys.iter().map(|k| xxh3(k)).fold(0, sum)));
    group.bench_function("SipHash", |b| b.iter(|| keys.iter().map(|k| sip(k)).fold(0, sum)));
    group.bench_function("MD5", |b| b.iter(|| keys.iter().map(|k| md5(k)).fold(0, sum)));
    group.bench_function("SHA-1", |b| b.iter(|| keys.iter().map(|k| sha1(k)).fold(0, sum)));
}

fn content(c: &mut Criterion) {
    let mut random = rng(7);
    let content: Vec<u8> = (0..1 << 20).map(|_| (random() * 256.0) as u8).collect();
    let mut damaged = content.clone();
    damaged[1 << 19] ^= 1;

    let mut group = c.benchmark_group("content");
    group.throughput(Throughput::Bytes(content.len() as u64));
    for (name, hash, _) in HASHES {
        assert_ne!(hash(&content), hash(&damaged), "{name} overlooks a flipped bit");
        group.bench_function(name, |b| b.iter(|| hash(&content)));
    }
}

criterion_group! {
    name = hashes;
    config = quick();
    targets = keys, content
}
criterion_main!(hashes);
