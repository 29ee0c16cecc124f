//! What of a segment has a fixed layout: its tables, and the footer that says where everything is.

use crate::error::{Error, Result};
use crate::landmark::{HASH_BITS, LandmarkHash};
use crate::store::segment::checked::PAGE_BYTES;
use crate::units::{ConfigId, TrackId};
use std::ops::Range;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::little_endian::{F64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(super) const MAGIC: [u8; 8] = *b"EARMARKS";
pub(crate) const VERSION: u32 = 2;
/// As errors call it.
const WHAT: &str = "index segment";

/// A place in the features is stored for one block in so many.
pub(super) const GROUP_BLOCKS: usize = 32;
/// A place in the postings is stored for one slot in so many.
pub(super) const GROUP_SLOTS: usize = 16;
pub(super) const SECTIONS: usize = 9;

/// Bytes in which it is written where a group of slots begins, and where each of them ends.
pub(super) fn slot_group_bytes(end_bits: u32) -> usize {
    4 + GROUP_SLOTS / 8 * end_bits as usize
}

/// The parts of a segment, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Magic bytes, version.
    Head,
    Tracks,
    Text,
    Names,
    BlockGroups,
    BlockLengths,
    Features,
    Postings,
    Slots,
}

impl Section {
    pub const ALL: [Self; SECTIONS] = [
        Self::Head,
        Self::Tracks,
        Self::Text,
        Self::Names,
        Self::BlockGroups,
        Self::BlockLengths,
        Self::Features,
        Self::Postings,
        Self::Slots,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Tracks => "tracks",
            Self::Text => "text",
            Self::Names => "names",
            Self::BlockGroups => "block groups",
            Self::BlockLengths => "block lengths",
            Self::Features => "features",
            Self::Postings => "postings",
            Self::Slots => "slots",
        }
    }
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    pub magic: [u8; 8],
    pub version: U32,
    pub zero: U32,
}

/// One track. Another one follows the last, for the end of it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct TrackRecord {
    pub id: U32,
    /// In the segment.
    pub first_block: U32,
    /// Up to its last peak.
    pub frames: U32,
    /// Number of sub-fingerprints.
    pub words: U32,
    pub duration_s: F64,
    /// Where its texts begin.
    pub text_at: U64,
}

/// One name, in the order of hashes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct NameRecord {
    pub hash: U64,
    /// Of the track in the segment.
    pub number: U32,
}

/// What a segment ends with.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FooterRecord {
    pub config_id: U64,
    pub tracks: U32,
    pub blocks: U32,
    pub first_id: U32,
    pub last_id: U32,
    pub frames: U64,
    pub duration_s: F64,
    pub hashes: U64,
    pub postings: U64,
    /// A slot holds the hashes whose keys are the same above so many bits.
    pub slot_shift: U32,
    /// Bits of a key.
    pub key_bits: U32,
    /// Bits in which it is written where a slot ends, in bytes from the beginning of its group.
    pub end_bits: U32,
    /// Where each section begins, and where the last one ends.
    pub starts: [U64; SECTIONS + 1],
    pub version: U32,
    /// Again, since whoever reads from the end begins here.
    pub magic: [u8; 8],
    /// Of all that stands before it in the footer.
    pub checksum: U64,
}

impl FooterRecord {
    pub fn sealed(mut self) -> Self {
        (self.version, self.magic) = (VERSION.into(), MAGIC);
        self.checksum = self.hash().into();
        self
    }

    fn hash(&self) -> u64 {
        let bytes = self.as_bytes();
        xxh3_64(&bytes[..bytes.len() - 8])
    }
}

/// A footer that was checked, and where the sections are.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    record: FooterRecord,
    starts: [usize; SECTIONS + 1],
}

impl Footer {
    /// # Errors
    /// Where the bytes are no segment, of another version, damaged, or no segment can be so.
    pub fn read(data: &[u8], path: &Path) -> Result<Self> {
        let named = || Some(path.to_path_buf());
        let bad_magic = || Error::BadMagic { what: WHAT, path: named() };
        let corrupt =
            |detail: &str| Error::Corrupt { what: WHAT, detail: detail.into(), path: named() };
        let (head, _) = Head::read_from_prefix(data).map_err(|_| bad_magic())?;
        if head.magic != MAGIC {
            return Err(bad_magic());
        }
        let found = head.version.get();
        if found != VERSION {
            return Err(Error::Version { what: WHAT, found, supported: VERSION, path: named() });
        }
        let cut = |_| corrupt("it ends too early");
        let (rest, record) = FooterRecord::read_from_suffix(data).map_err(cut)?;
        if record.magic != MAGIC {
            return Err(corrupt("it ends too early, or its end was overwritten"));
        }
        if record.hash() != record.checksum.get() || record.version.get() != VERSION {
            return Err(corrupt("the checksum of its footer differs"));
        }
        let starts = record.starts.map(|at| usize::try_from(at.get()).unwrap_or(usize::MAX));
        let footer = Self { record, starts };
        footer.fits(rest.len()).ok_or_else(|| corrupt("its footer cannot be"))?;
        Ok(footer)
    }

    /// Whether sections are as long as they must be, when all but the footer takes up so many bytes.
    fn fits(&self, length: usize) -> Option<()> {
        let Self { record, starts } = self;
        let sizes: [usize; SECTIONS] = {
            let sorted = starts[0] == 0 && starts.is_sorted() && starts[SECTIONS] <= length;
            sorted.then(|| std::array::from_fn(|i| starts[i + 1] - starts[i]))?
        };
        let size = |section: Section| sizes[section as usize];
        let (tracks, blocks) = (record.tracks.get() as usize, record.blocks.get() as usize);
        let (key_bits, shift) = (record.key_bits.get(), record.slot_shift.get());
        if key_bits > HASH_BITS || shift > key_bits || record.end_bits.get() > u32::BITS {
            return None;
        }
        let slot_groups = (1usize << (key_bits - shift)).div_ceil(GROUP_SLOTS);
        let groups = blocks / GROUP_BLOCKS + 1;
        let checks = starts[SECTIONS].div_ceil(PAGE_BYTES);
        let ids = (record.first_id.get(), record.last_id.get());
        let fits = size(Section::Head) == size_of::<Head>()
            && size(Section::Tracks) == tracks.checked_add(1)?.checked_mul(size_of::<TrackRecord>())?
            && size(Section::Names) == tracks.checked_mul(size_of::<NameRecord>())?
            && size(Section::BlockGroups) == groups.checked_mul(8)?
            && size(Section::BlockLengths) == blocks.checked_mul(2)?
            && size(Section::Slots) == slot_groups.checked_mul(self.slot_group_bytes())?
            && starts[SECTIONS].checked_add(checks.checked_mul(8)?)? == length
            // As many ids as tracks, and as many blocks.
            && (tracks == 0 || (ids.0 <= ids.1 && (ids.1 - ids.0) as usize >= tracks - 1))
            && blocks >= tracks;
        fits.then_some(())
    }

    pub fn section(&self, section: Section) -> Range<usize> {
        self.starts[section as usize]..self.starts[section as usize + 1]
    }

    /// Where the last section ends.
    pub fn pages_end(&self) -> usize {
        self.starts[SECTIONS]
    }

    pub fn config_id(&self) -> ConfigId {
        ConfigId(self.record.config_id.get())
    }

    pub fn tracks(&self) -> u32 {
        self.record.tracks.get()
    }

    pub fn blocks(&self) -> u32 {
        self.record.blocks.get()
    }

    pub fn frames(&self) -> u64 {
        self.record.frames.get()
    }

    pub fn duration_s(&self) -> f64 {
        self.record.duration_s.get()
    }

    pub fn hashes(&self) -> u64 {
        self.record.hashes.get()
    }

    pub fn postings(&self) -> u64 {
        self.record.postings.get()
    }

    pub fn ids(&self) -> (TrackId, TrackId) {
        (TrackId(self.record.first_id.get()), TrackId(self.record.last_id.get()))
    }

    pub fn slot_shift(&self) -> u32 {
        self.record.slot_shift.get()
    }

    pub fn key_bits(&self) -> u32 {
        self.record.key_bits.get()
    }

    /// Bits in which it is written where a slot ends.
    pub fn end_bits(&self) -> u32 {
        self.record.end_bits.get()
    }

    /// Bytes in which it is written where the slots of a group are.
    pub fn slot_group_bytes(&self) -> usize {
        slot_group_bytes(self.end_bits())
    }

    /// Whether there is a slot for a hash.
    pub fn has(&self, hash: LandmarkHash) -> bool {
        hash.0 >> self.key_bits() == 0
    }
}
