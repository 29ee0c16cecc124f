//! Sorted postings: the immutable piece that a hash index is made of.

use crate::landmark::LandmarkHash;
use xxhash_rust::xxh32::xxh32;

/// Postings by hash, and a directory to find a hash by.
///
/// A hash stands here as its key. Keys are uniform, so that a directory of equal slots over their
/// upper bits has about [`SLOT_KEYS`] of them in each.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Ascending.
    pub keys: Vec<u32>,
    /// Where each key's postings begin; one more at the end.
    starts: Vec<u32>,
    /// Frames of the global line, ascending within each key.
    pub postings: Vec<u32>,
    /// Where each slot's keys begin; one more at the end.
    directory: Vec<u32>,
    directory_bits: u32,
}

const SLOT_KEYS: usize = 4;

/// In a stored length, this byte counts for itself and goes on with the next.
const GOES_ON: u8 = u8::MAX;

/// Spreads hashes, which crowd together as music does, evenly over 32 bits. XXH32 of four bytes takes
/// no two of them to the same number: all its steps can be undone.
fn key(hash: LandmarkHash) -> u32 {
    xxh32(&hash.0.to_le_bytes(), 0)
}

/// A landmark to be posted: its key in the upper half, its frame in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(u64);

impl Entry {
    pub fn new(hash: LandmarkHash, frame: u32) -> Self {
        Self(u64::from(key(hash)) << 32 | u64::from(frame))
    }

    fn key(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl Segment {
    /// Sorts entries into a segment.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        let keys = entries.chunk_by(|a, b| a.key() == b.key()).count();
        let mut segment = Self::with_capacity(keys, entries.len());
        for entry in entries {
            segment.append(entry.key(), &[entry.0 as u32]);
        }
        segment.complete();
        segment
    }

    fn with_capacity(keys: usize, postings: usize) -> Self {
        Self {
            keys: Vec::with_capacity(keys),
            starts: Vec::with_capacity(keys + 1),
            postings: Vec::with_capacity(postings),
            ..Self::default()
        }
    }

    /// Merges two segments, of which the second holds the later frames, keeping the postings for
    /// which `keep` holds.
    pub fn merge(a: &Self, b: &Self, keep: impl Fn(u32) -> bool) -> Self {
        let mut merged = Self::default();
        merged.postings.reserve_exact(a.postings.len() + b.postings.len());
        let (mut i, mut j) = (0, 0);
        let mut kept = Vec::new();
        while let Some(&key) = [a.keys.get(i), b.keys.get(j)].into_iter().flatten().min() {
            kept.clear();
            for (segment, at) in [(a, &mut i), (b, &mut j)] {
                if segment.keys.get(*at) == Some(&key) {
                    kept.extend(segment.list(*at).iter().copied().filter(|&frame| keep(frame)));
                    *at += 1;
                }
            }
            merged.append(key, &kept);
        }
        merged.complete();
        merged
    }

    /// Takes stored parts, of which the second comes from [`lengths`](Self::lengths), if they fit
    /// together.
    pub fn from_parts(keys: Vec<u32>, lengths: &[u8], postings: Vec<u32>) -> Option<Self> {
        let total: u64 = lengths.iter().map(|&byte| u64::from(byte)).sum();
        if total != postings.len() as u64 || total > u64::from(u32::MAX) {
            return None;
        }
        let mut starts = Vec::with_capacity(keys.len() + 1);
        let mut start = 0;
        starts.push(0);
        for &byte in lengths {
            start += u32::from(byte);
            if byte != GOES_ON {
                starts.push(start);
            }
        }
        let fits = starts.len() == keys.len() + 1 && starts.last() == Some(&start);
        if !fits || !keys.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let mut segment = Self { keys, starts, postings, ..Self::default() };
        segment.complete();
        Some(segment)
    }

    /// The number of postings of each key, as it is stored.
    pub fn lengths(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.keys.len());
        for bounds in self.starts.windows(2) {
            let mut length = bounds[1] - bounds[0];
            while length >= u32::from(GOES_ON) {
                bytes.push(GOES_ON);
                length -= u32::from(GOES_ON);
            }
            bytes.push(length as u8);
        }
        bytes
    }

    /// The postings of a hash.
    pub fn find(&self, hash: LandmarkHash) -> &[u32] {
        if self.keys.is_empty() {
            return &[];
        }
        let key = key(hash);
        let slot = slot(key, self.directory_bits);
        let (begin, end) = (self.directory[slot] as usize, self.directory[slot + 1] as usize);
        match self.keys[begin..end].iter().position(|&k| k == key) {
            Some(i) => self.list(begin + i),
            None => &[],
        }
    }

    fn list(&self, i: usize) -> &[u32] {
        &self.postings[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    fn append(&mut self, key: u32, frames: &[u32]) {
        if frames.is_empty() {
            return;
        }
        if self.keys.last() != Some(&key) {
            self.keys.push(key);
            self.starts.push(self.postings.len() as u32);
        }
        self.postings.extend_from_slice(frames);
    }

    /// Ends `starts` and makes the directory.
    fn complete(&mut self) {
        if self.starts.len() == self.keys.len() {
            self.starts.push(self.postings.len() as u32);
        }
        self.directory_bits = (self.keys.len() / SLOT_KEYS).max(1).ilog2();
        let slots = 1 << self.directory_bits;
        self.directory.reserve_exact(slots + 1);
        for (i, &key) in self.keys.iter().enumerate() {
            let slot = slot(key, self.directory_bits);
            if self.directory.len() <= slot {
                self.directory.resize(slot + 1, i as u32);
            }
        }
        self.directory.resize(slots + 1, self.keys.len() as u32);
    }
}

fn slot(key: u32, bits: u32) -> usize {
    (u64::from(key) >> (32 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_can_be_undone() {
        // The steps of XXH32 on four bytes, backwards: products with the inverses of its primes.
        let inverse = |prime: u32| {
            (0..5).fold(prime, |x, _| x.wrapping_mul(2u32.wrapping_sub(prime.wrapping_mul(x))))
        };
        let [p2, p3, p4] = [0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f].map(inverse);
        let p3_first = 0xc2b2_ae3du32;
        assert_eq!(p3.wrapping_mul(p3_first), 1);
        let undo = |mut key: u32| {
            key ^= key >> 16;
            key = key.wrapping_mul(p3);
            key ^= key >> 13 ^ key >> 26;
            key = key.wrapping_mul(p2);
            key ^= key >> 15 ^ key >> 30;
            key = key.wrapping_mul(p4).rotate_right(17);
            LandmarkHash(key.wrapping_sub(0x1656_67b1 + 4).wrapping_mul(p3))
        };
        for i in 0..100_000u32 {
            for hash in [i, i.wrapping_mul(0x9e37_79b9), u32::MAX - i].map(LandmarkHash) {
                assert_eq!(undo(key(hash)), hash);
            }
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_linear_scan_finds(
            hashes in prop::collection::vec(0u32..300, 1..2000), common in 0usize..1000,
            cut in 0usize..2000, gone in 0u32..2000,
        ) {
            let hashes = hashes.iter().copied().chain(std::iter::repeat_n(7, common));
            let posted: Vec<_> =
                hashes.enumerate().map(|(i, h)| (LandmarkHash(h), i as u32)).collect();
            let new = |posted: &[(LandmarkHash, u32)]| {
                Segment::new(posted.iter().map(|&(hash, frame)| Entry::new(hash, frame)).collect())
            };
            let (a, b) = posted.split_at(cut.min(posted.len()));
            let merged = Segment::merge(&new(a), &new(b), |frame| frame != gone);
            let (keys, postings) = (merged.keys.clone(), merged.postings.clone());
            let stored = Segment::from_parts(keys, &merged.lengths(), postings).unwrap();
            for hash in (0..310).map(LandmarkHash) {
                let scan = posted.iter().filter(|p| p.0 == hash && p.1 != gone);
                let want: Vec<u32> = scan.map(|p| p.1).collect();
                prop_assert_eq!(merged.find(hash), &want[..]);
                prop_assert_eq!(stored.find(hash), &want[..]);
            }
        }

        #[test]
        fn parts_that_do_not_fit_are_refused(
            mut keys in prop::collection::btree_set(any::<u32>(), 2..40), at in 0usize..39,
        ) {
            let keys: Vec<u32> = std::mem::take(&mut keys).into_iter().collect();
            let (n, at) = (keys.len(), at % (keys.len() - 1));
            let fits = |keys: &[u32], lengths: &[u8], postings: usize| {
                Segment::from_parts(keys.to_vec(), lengths, vec![0; postings]).is_some()
            };
            let lengths = vec![1; n];
            prop_assert!(fits(&keys, &lengths, n));
            let mut swapped = keys.clone();
            swapped.swap(at, at + 1);
            prop_assert!(!fits(&swapped, &lengths, n));
            swapped[at] = swapped[at + 1];
            prop_assert!(!fits(&swapped, &lengths, n));
            prop_assert!(!fits(&keys[1..], &lengths, n));
            prop_assert!(!fits(&keys, &lengths[1..], n));
            prop_assert!(!fits(&keys, &lengths, n + 1));
            prop_assert!(!fits(&keys, &[&lengths[..], &[GOES_ON]].concat(), n + 255));
        }
    }
}
