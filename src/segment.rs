//! Sorted postings: the immutable piece that a hash index is made of.
//!
//! A segment is in memory as it is in its file, in about four bytes a posting. Hashes stand in it as
//! keys, which are as many but spread evenly, so that equal slots of their range are about equally
//! long and a lookup reads one of them. Within a slot follow the lists of its keys, in ascending
//! order; all numbers are varints, seven bits a byte, the lowest first:
//!
//! | number | what it is |
//! |---|---|
//! | 2 · gap + many | the key, less the one before it and 1 (the first: less the slot's first key), and whether it has more than one posting |
//! | length | if it has: of what follows, in bytes |
//! | frames | of the global line, each less the one before |

use crate::landmark::{HASH_BITS, LandmarkHash};

/// Keys that differ in so many of the lowest bits alone stay together: they belong to hashes of
/// neighbouring times from anchor to target, of which a query looks up several.
const TOGETHER_BITS: u32 = 2;
/// A slot has this many postings or, in order that the slots are a power of two, up to twice as many.
const SLOT_POSTINGS: usize = 6;
/// A lookup reads no more lists than this, a hundred times what a slot ever has, however a file is made.
const MOST_LISTS: usize = 4096;
/// In a stored length, this byte counts for itself and goes on with the next.
const GOES_ON: u8 = u8::MAX;

/// Postings by hash.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Number of postings.
    len: usize,
    bytes: Vec<u8>,
    /// Where each slot begins in `bytes`; one more at the end.
    slots: Vec<u64>,
}

/// Spreads hashes, which crowd together as music does, evenly over as many keys. Every step can be
/// undone, so no two get the same.
fn key(hash: LandmarkHash) -> u32 {
    const BITS: u32 = HASH_BITS - TOGETHER_BITS;
    const MASK: u32 = (1 << BITS) - 1;
    let together = hash.0 & ((1 << TOGETHER_BITS) - 1);
    let mut group = (hash.0 >> TOGETHER_BITS).wrapping_mul(0x9e37_79b1) & MASK;
    group ^= group >> (BITS / 2);
    group = group.wrapping_mul(0x85eb_ca77) & MASK;
    group << TOGETHER_BITS | together
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

impl Default for Segment {
    fn default() -> Self {
        Builder::new(0).complete()
    }
}

impl Segment {
    /// Sorts entries into a segment.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        let mut builder = Builder::new(entries.len());
        for list in entries.chunk_by(|a, b| a.key() == b.key()) {
            builder.append(list[0].key(), list.iter().map(|entry| entry.0 as u32));
        }
        builder.complete()
    }

    /// Number of postings.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Merges two segments, of which the second holds the later frames.
    pub fn merge(a: &Self, b: &Self) -> Self {
        let mut builder = Builder::new(a.len + b.len);
        let (mut lists_a, mut lists_b) = (a.lists().peekable(), b.lists().peekable());
        loop {
            let key = match (lists_a.peek(), lists_b.peek()) {
                (Some(a), Some(b)) => a.0.min(b.0),
                (Some(list), None) | (None, Some(list)) => list.0,
                (None, None) => return builder.complete(),
            };
            let of_key = |list: &(u32, Postings<'_>)| list.0 == key;
            let both = [lists_a.next_if(of_key), lists_b.next_if(of_key)];
            builder.append(key, both.into_iter().flatten().flat_map(|(_, postings)| postings));
        }
    }

    /// Moves postings to other frames, in the same order, and drops those for which there is none.
    pub fn move_postings(&mut self, to: impl Fn(u32) -> Option<u32>) {
        let kept = self.lists().map(|(_, postings)| postings.filter_map(&to).count()).sum();
        let mut builder = Builder::new(kept);
        for (key, postings) in self.lists() {
            builder.append(key, postings.filter_map(&to));
        }
        *self = builder.complete();
    }

    /// Takes stored parts, of which the second comes from [`lengths`](Self::lengths), if they fit
    /// together.
    pub fn from_parts(len: u64, lengths: &[u8], bytes: Vec<u8>) -> Option<Self> {
        // Each posting takes a byte at least: whoever says more would be given memory for them.
        let len = usize::try_from(len).ok().filter(|&len| len <= bytes.len())?;
        let count = lengths.iter().filter(|&&byte| byte != GOES_ON).count();
        let whole = lengths.last().is_some_and(|&byte| byte != GOES_ON);
        if count != 1 << slot_bits(len) || !whole {
            return None;
        }
        let mut slots = Vec::with_capacity(count + 1);
        let mut start = 0;
        slots.push(0);
        for &byte in lengths {
            start += u64::from(byte);
            if byte != GOES_ON {
                slots.push(start);
            }
        }
        (start == bytes.len() as u64).then_some(Self { len, bytes, slots })
    }

    /// The lengths of the slots, as they are stored.
    pub fn lengths(&self) -> Vec<u8> {
        let mut lengths = Vec::with_capacity(self.slots.len());
        for bounds in self.slots.windows(2) {
            let length = bounds[1] - bounds[0];
            let full = length / u64::from(GOES_ON);
            lengths.extend(std::iter::repeat_n(GOES_ON, full as usize));
            lengths.push((length % u64::from(GOES_ON)) as u8);
        }
        lengths
    }

    /// The lists of all slots, as they are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The postings of a hash: frames of the global line, in ascending order.
    pub fn find(&self, hash: LandmarkHash) -> Postings<'_> {
        let key = key(hash);
        let mut lists = self.slot((key >> self.shift()) as usize).take(MOST_LISTS);
        // Nearly always a key is the first that is not below the one sought, or there is none.
        match lists.find(|list| list.0 >= key) {
            Some((found, postings)) if found == key => postings,
            _ => Postings::default(),
        }
    }

    /// Bits of a key below those that number its slot.
    fn shift(&self) -> u32 {
        HASH_BITS - slot_bits(self.len)
    }

    fn slot(&self, slot: usize) -> Lists<'_> {
        let (begin, end) = (self.slots[slot] as usize, self.slots[slot + 1] as usize);
        let next_key = (slot as u32) << self.shift();
        let end_key = (slot as u32 + 1) << self.shift();
        Lists { bytes: &self.bytes[begin..], left: end - begin, next_key, end_key }
    }

    fn lists(&self) -> impl Iterator<Item = (u32, Postings<'_>)> {
        (0..self.slots.len() - 1).flat_map(|slot| self.slot(slot))
    }
}

fn slot_bits(postings: usize) -> u32 {
    (postings / SLOT_POSTINGS).max(1).ilog2().min(HASH_BITS)
}

/// Takes the lists of ascending keys.
struct Builder {
    segment: Segment,
    /// The least key that may follow.
    next_key: u32,
    frames: Vec<u8>,
}

impl Builder {
    /// For so many postings.
    fn new(len: usize) -> Self {
        let slots = Vec::with_capacity((1 << slot_bits(len)) + 1);
        let segment = Segment { len, bytes: Vec::with_capacity(4 * len), slots };
        Self { segment, next_key: 0, frames: Vec::new() }
    }

    fn append(&mut self, key: u32, frames: impl Iterator<Item = u32>) {
        self.frames.clear();
        let (mut count, mut next) = (0, 0);
        for frame in frames {
            // Stored postings beyond the tracks may stand before those of tracks that were added later.
            let Some(step) = u32::checked_sub(frame, next).filter(|_| frame < u32::MAX) else {
                continue;
            };
            put(&mut self.frames, step);
            next = frame + 1;
            count += 1;
        }
        if count == 0 {
            return;
        }
        let shift = self.segment.shift();
        let slot = key >> shift;
        if slot >= self.segment.slots.len() as u32 {
            self.begin_slots(slot as usize + 1);
            self.next_key = slot << shift;
        }
        let bytes = &mut self.segment.bytes;
        put(bytes, (key - self.next_key) << 1 | u32::from(count > 1));
        if count > 1 {
            put(bytes, self.frames.len() as u32);
        }
        bytes.extend_from_slice(&self.frames);
        self.next_key = key + 1;
    }

    fn begin_slots(&mut self, slots: usize) {
        self.segment.slots.resize(slots, self.segment.bytes.len() as u64);
    }

    fn complete(mut self) -> Segment {
        self.begin_slots((1 << slot_bits(self.segment.len)) + 1);
        self.segment.bytes.shrink_to_fit();
        self.segment
    }
}

/// The lists of a slot, each with its key. Damaged bytes give other lists, or end them.
struct Lists<'a> {
    /// From the next list on, and beyond the last.
    bytes: &'a [u8],
    /// So many of them belong to the slot.
    left: usize,
    next_key: u32,
    /// The first key of the next slot.
    end_key: u32,
}

impl<'a> Iterator for Lists<'a> {
    type Item = (u32, Postings<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let (head, mut used) = varint(self.bytes)?;
        // Keys ascend, whatever the bytes say: the next slot's are not among them.
        let key = self.next_key.checked_add(head >> 1).filter(|&key| key < self.end_key)?;
        self.next_key = key + 1;
        let length = if head & 1 == 0 {
            varint(self.bytes.get(used..)?)?.1
        } else {
            let (length, more) = varint(self.bytes.get(used..)?)?;
            used += more;
            length as usize
        };
        let bytes = self.bytes.get(used..)?;
        self.bytes = bytes.get(length..)?;
        self.left = self.left.checked_sub(used + length)?;
        Some((key, Postings { bytes, left: length, frame: 0 }))
    }
}

/// The postings of one hash.
#[derive(Clone, Debug, Default)]
pub struct Postings<'a> {
    /// From the next posting on, and beyond the last: a few bytes are read faster than one by one.
    bytes: &'a [u8],
    /// So many of them belong to the list.
    left: usize,
    frame: u32,
}

impl Postings<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes[..self.left].iter().map(|&byte| usize::from(byte < 0x80)).sum()
    }
}

impl Iterator for Postings<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            return None;
        }
        let (step, used) = varint(self.bytes)?;
        self.left = self.left.checked_sub(used)?;
        self.bytes = &self.bytes[used..];
        let frame = self.frame.checked_add(step)?;
        self.frame = frame.checked_add(1)?;
        Some(frame)
    }
}

/// Appends a varint.
fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The varint that bytes begin with, and how many of them it takes. Without a branch on that, which no
/// processor foresees; bits beyond 32 are lost.
#[inline]
fn varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let word = u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut word = [u8::MAX; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        word
    }));
    let last = !word & 0x80_8080_8080;
    if last == 0 {
        return None;
    }
    let bits = last.trailing_zeros() + 1;
    let word = word & (u64::MAX >> (64 - bits));
    let septet = |i: u32| ((word >> i) & (0x7f << (7 * i))) as u32;
    Some((septet(0) | septet(1) | septet(2) | septet(3) | septet(4), bits as usize / 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_two_hashes_have_the_same_key() {
        let mut seen = vec![0u64; 1 << (HASH_BITS - 6)];
        for hash in 0..1 << HASH_BITS {
            let key = key(LandmarkHash(hash)) as usize;
            let (word, bit) = (&mut seen[key / 64], 1 << (key % 64));
            assert_eq!(*word & bit, 0, "hash {hash}");
            *word |= bit;
        }
    }

    #[test]
    fn slots_of_crowded_hashes_are_about_equally_long() {
        // As of music: few frequencies, and few differences between them.
        let hash = |i: u32| ((i / 1240 * 7) << 13) | ((i / 31 % 40) << 5) | (i % 31);
        let entries = (0..40 * 1240).map(|i| Entry::new(LandmarkHash(hash(i)), 1)).collect();
        let lengths = Segment::new(entries).lengths();
        let longest = lengths.iter().copied().max().unwrap();
        assert!(longest < 250, "{longest}");
    }

    #[test]
    fn memory_is_taken_for_no_more_postings_than_there_are() {
        let lengths = vec![0; 1 << HASH_BITS];
        assert!(Segment::from_parts(1 << 40, &lengths, Vec::new()).is_none());
        assert!(Segment::from_parts(u64::MAX, &lengths, Vec::new()).is_none());
    }

    /// Small ones and those of long varints more often than others.
    fn any_byte() -> impl Strategy<Value = u8> {
        prop_oneof![0..8_u8, Just(u8::MAX), any::<u8>()]
    }

    proptest! {
        #[test]
        fn varints_come_back(numbers in prop::collection::vec(0u32..=u32::MAX, 0..20), bits in 0u32..32) {
            let numbers: Vec<u32> = numbers.iter().map(|n| n >> bits).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|&n| put(&mut bytes, n));
            let mut at = 0;
            for &number in &numbers {
                let (read, used) = varint(&bytes[at..]).unwrap();
                prop_assert_eq!(read, number);
                at += used;
            }
            prop_assert_eq!(varint(&bytes[at..]), None);
        }

        #[test]
        fn finds_what_a_linear_scan_finds(
            hashes in prop::collection::vec(0u32..300, 1..2000), common in 0usize..1000,
            spread in 0u32..16, cut in 0usize..2000, gone in 0u32..2000, late in 0u32..1 << 31,
        ) {
            let hashes = hashes.iter().map(|h| h << spread).chain(std::iter::repeat_n(7, common));
            let posted: Vec<_> = (hashes.enumerate())
                .map(|(i, h)| (LandmarkHash(h), i as u32 + late * u32::from(i > 900)))
                .collect();
            let new = |posted: &[(LandmarkHash, u32)]| {
                Segment::new(posted.iter().map(|&(hash, frame)| Entry::new(hash, frame)).collect())
            };
            let (a, b) = posted.split_at(cut.min(posted.len()));
            let merged = Segment::merge(&new(a), &new(b));
            let whole = new(&posted);
            prop_assert_eq!(merged.bytes(), whole.bytes());
            prop_assert_eq!(merged.lengths(), whole.lengths());
            let mut kept = merged.clone();
            kept.move_postings(|frame| (frame != gone).then_some(frame));
            let bytes = kept.bytes().to_vec();
            let stored = Segment::from_parts(kept.len() as u64, &kept.lengths(), bytes).unwrap();
            let ends = [0, (1 << HASH_BITS) - 1];
            for hash in (0..310).map(|h| h << spread).chain(ends).map(LandmarkHash) {
                let scan = |gone: Option<u32>| -> Vec<u32> {
                    let scan = posted.iter().filter(|p| p.0 == hash && Some(p.1) != gone);
                    scan.map(|p| p.1).collect()
                };
                let found = merged.find(hash);
                prop_assert_eq!(found.len(), found.clone().collect::<Vec<_>>().len());
                prop_assert_eq!(found.collect::<Vec<_>>(), scan(None));
                prop_assert_eq!(kept.find(hash).collect::<Vec<_>>(), scan(Some(gone)));
                prop_assert_eq!(stored.find(hash).collect::<Vec<_>>(), scan(Some(gone)));
            }
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_without_a_panic(
            hashes in prop::collection::vec(0u32..1 << HASH_BITS, 1..300), at in any::<usize>(),
            byte in any::<u8>(), cut in 1usize..20,
        ) {
            let posted = hashes.iter().enumerate();
            let entries = posted.map(|(i, &h)| Entry::new(LandmarkHash(h), i as u32)).collect();
            let segment = Segment::new(entries);
            let (len, lengths) = (segment.len() as u64, segment.lengths());
            let fits = |len: u64, lengths: &[u8], bytes: &[u8]| {
                Segment::from_parts(len, lengths, bytes.to_vec()).is_some()
            };
            let bytes = segment.bytes();
            prop_assert!(fits(len, &lengths, bytes));
            prop_assert!(!fits(4 * len + 48, &lengths, bytes));
            prop_assert!(!fits(len, &lengths[1..], bytes));
            prop_assert!(!fits(len, &[&lengths[..], &[GOES_ON]].concat(), bytes));
            prop_assert!(!fits(len, &lengths, &bytes[cut.min(bytes.len())..]));
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let damaged = Segment::from_parts(len, &lengths, bytes).unwrap();
            let found: usize = hashes.iter().map(|&h| damaged.find(LandmarkHash(h)).fold(0, |n, _| n + 1)).sum();
            prop_assert!(found < 1_000_000);
            prop_assert!(damaged.lists().count() <= damaged.bytes().len());
        }

        /// Bytes as nobody writes them by accident, in slots of any length.
        #[test]
        fn hostile_bytes_are_merged_and_moved_without_a_panic(
            slots in prop::collection::vec(prop::collection::vec(any_byte(), 0..30), 1..5),
            len in 0usize..200, moved in any::<u32>(),
        ) {
            let count = 1 << slot_bits(len);
            let slots: Vec<_> = slots.iter().cycle().take(count).collect();
            let lengths: Vec<u8> = slots.iter().map(|slot| slot.len() as u8).collect();
            let bytes = slots.into_iter().flatten().copied().collect();
            if let Some(hostile) = Segment::from_parts(len as u64, &lengths, bytes) {
                let added = Segment::new((0..200).map(|i| Entry::new(LandmarkHash(i), i)).collect());
                for mut whole in [Segment::merge(&hostile, &added), Segment::merge(&added, &hostile)] {
                    whole.move_postings(|frame| (frame != moved).then(|| frame.saturating_sub(moved)));
                    let bytes = whole.bytes().to_vec();
                    // Where it has more postings than it says, all that comes of it is as large.
                    let (hostile_bytes, len) = (hostile.bytes().len(), whole.len() as u64);
                    prop_assert!(bytes.len() <= 3 * (hostile_bytes + added.bytes().len()));
                    prop_assert!(Segment::from_parts(len, &whole.lengths(), bytes).is_some());
                }
            }
        }
    }
}
