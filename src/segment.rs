//! Sorted postings: the immutable piece that a hash index is made of.

use crate::landmark::LandmarkHash;
use xxhash_rust::xxh3::xxh3_64;

/// Postings by hash, and a directory to find a hash by.
///
/// Hashes are in the order of [`mixed`], which is uniform, so that a directory of equal slots over
/// its upper bits has about [`SLOT_HASHES`] hashes in each.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    pub hashes: Vec<LandmarkHash>,
    /// Where each hash's postings begin; one more at the end.
    pub starts: Vec<u32>,
    /// Frames of the global line, ascending within each hash.
    pub postings: Vec<u32>,
    /// Where each slot's hashes begin; one more at the end.
    directory: Vec<u32>,
    directory_bits: u32,
}

const SLOT_HASHES: usize = 4;

/// Spreads hashes, which crowd together as music does, evenly over 32 bits.
fn mixed(hash: LandmarkHash) -> u32 {
    (xxh3_64(&hash.0.to_le_bytes()) >> 32) as u32
}

/// The order of hashes within a segment.
fn order(hash: LandmarkHash) -> (u32, LandmarkHash) {
    (mixed(hash), hash)
}

impl Segment {
    /// Sorts `entries` (hash and frame) into a segment.
    pub fn new(entries: impl IntoIterator<Item = (LandmarkHash, u32)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(|(h, frame)| (order(h), frame)).collect();
        entries.sort_unstable();
        let mut segment = Self::default();
        let unique = entries.chunk_by(|a, b| a.0 == b.0).count();
        segment.postings.reserve_exact(entries.len());
        segment.hashes.reserve_exact(unique);
        segment.starts.reserve_exact(unique + 1);
        for ((_, hash), frame) in entries {
            segment.append(hash, &[frame]);
        }
        segment.complete();
        segment
    }

    /// Merges two segments, of which the second holds the later frames, keeping the postings for
    /// which `keep` holds.
    pub fn merge(a: &Self, b: &Self, keep: impl Fn(u32) -> bool) -> Self {
        let mut merged = Self::default();
        merged.postings.reserve_exact(a.postings.len() + b.postings.len());
        let (mut i, mut j) = (0, 0);
        let mut kept = Vec::new();
        while let Some(hash) =
            [a.hashes.get(i), b.hashes.get(j)].into_iter().flatten().min_by_key(|&&h| order(h))
        {
            kept.clear();
            for (segment, at) in [(a, &mut i), (b, &mut j)] {
                if segment.hashes.get(*at) == Some(hash) {
                    kept.extend(segment.list(*at).iter().copied().filter(|&frame| keep(frame)));
                    *at += 1;
                }
            }
            merged.append(*hash, &kept);
        }
        merged.complete();
        merged
    }

    /// Takes stored parts, if they fit together.
    pub fn from_parts(
        hashes: Vec<LandmarkHash>,
        lengths: &[u32],
        postings: Vec<u32>,
    ) -> Option<Self> {
        let mut starts = Vec::with_capacity(lengths.len() + 1);
        let mut start = 0u32;
        starts.push(0);
        for &length in lengths {
            start = start.checked_add(length)?;
            starts.push(start);
        }
        let ascending = || hashes.iter().map(|&h| order(h)).is_sorted_by(|a, b| a < b);
        let fits = lengths.len() == hashes.len() && start as usize == postings.len();
        if !fits || !ascending() {
            return None;
        }
        let mut segment = Self { hashes, starts, postings, ..Self::default() };
        segment.complete();
        Some(segment)
    }

    /// The postings of a hash.
    pub fn find(&self, hash: LandmarkHash) -> &[u32] {
        if self.hashes.is_empty() {
            return &[];
        }
        let slot = slot(mixed(hash), self.directory_bits);
        let (begin, end) = (self.directory[slot] as usize, self.directory[slot + 1] as usize);
        match self.hashes[begin..end].iter().position(|&h| h == hash) {
            Some(i) => self.list(begin + i),
            None => &[],
        }
    }

    fn list(&self, i: usize) -> &[u32] {
        &self.postings[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    fn append(&mut self, hash: LandmarkHash, frames: &[u32]) {
        if frames.is_empty() {
            return;
        }
        if self.hashes.last() != Some(&hash) {
            self.hashes.push(hash);
            self.starts.push(self.postings.len() as u32);
        }
        self.postings.extend_from_slice(frames);
    }

    /// Ends `starts` and makes the directory.
    fn complete(&mut self) {
        if self.starts.len() == self.hashes.len() {
            self.starts.push(self.postings.len() as u32);
        }
        self.directory_bits = (self.hashes.len() / SLOT_HASHES).max(1).ilog2();
        self.directory = vec![0; (1 << self.directory_bits) + 1];
        for &hash in &self.hashes {
            self.directory[slot(mixed(hash), self.directory_bits) + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut self.directory {
            sum += *start;
            *start = sum;
        }
    }
}

fn slot(mixed: u32, bits: u32) -> usize {
    (u64::from(mixed) >> (32 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_linear_scan_finds(
            hashes in prop::collection::vec(0u32..300, 1..2000), cut in 0usize..2000, gone in 0u32..2000,
        ) {
            let entries: Vec<_> =
                hashes.iter().enumerate().map(|(i, &h)| (LandmarkHash(h), i as u32)).collect();
            let (a, b) = entries.split_at(cut.min(entries.len()));
            let (a, b) = (Segment::new(a.iter().copied()), Segment::new(b.iter().copied()));
            let merged = Segment::merge(&a, &b, |frame| frame != gone);
            let lengths: Vec<u32> = merged.starts.windows(2).map(|w| w[1] - w[0]).collect();
            let parts = Segment::from_parts(merged.hashes.clone(), &lengths, merged.postings.clone());
            let stored = parts.unwrap();
            for hash in (0..310).map(LandmarkHash) {
                let scan = entries.iter().filter(|e| e.0 == hash && e.1 != gone);
                let want: Vec<u32> = scan.map(|e| e.1).collect();
                prop_assert_eq!(merged.find(hash), &want[..]);
                prop_assert_eq!(stored.find(hash), &want[..]);
            }
        }
    }
}
