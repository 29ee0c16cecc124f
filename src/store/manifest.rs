//! The file that says what an index is: its analysis, its segments, and what was removed of them.
//!
//! It is small and replaced as a whole: a commit is one rename. `FORMAT.md` gives the layout.

use crate::calibration::Calibration;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::sealed;
use crate::store::snapshot::{Known, Removed, Snapshot};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::little_endian::{F64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const MAGIC: [u8; 8] = *b"EARMARKM";
/// Earlier ones were single files.
pub(crate) const VERSION: u32 = 6;
const WHAT: &str = "index";

/// What it begins with. Then come the analysis, the calibration, the segments, the removed tracks of all
/// of them, and the checksum of it all.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: U32,
    next_id: U32,
    generation: U64,
    next_number: U64,
    config_bytes: U32,
    calibration_bytes: U32,
    segments: U32,
    removed: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SegmentRecord {
    number: U64,
    length: U64,
    frames: U64,
    duration_s: F64,
    tracks: U32,
    blocks: U32,
    first_id: U32,
    last_id: U32,
    /// How many of its tracks were removed.
    removed: U32,
    zero: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RemovedRecord {
    number: U32,
    first_block: U32,
    blocks: U32,
    frames: U32,
    duration_s: F64,
}

/// What is read of a manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub config: Config,
    pub generation: u64,
    pub next_id: u32,
    pub next_number: u64,
    pub calibration: Option<Arc<Calibration>>,
    pub segments: Vec<(Known, Vec<Removed>)>,
}

/// The manifest of a state.
pub(crate) fn write(snapshot: &Snapshot) -> std::io::Result<Vec<u8>> {
    let config = sealed::encode(&*snapshot.config)?;
    let calibration = snapshot.totals.calibration.as_ref().map_or_else(Vec::new, |c| c.to_bytes());
    let all = snapshot.parts.iter().map(|part| part.removed.len() as u32).sum::<u32>();
    let head = Head {
        magic: MAGIC,
        version: VERSION.into(),
        next_id: snapshot.next_id.into(),
        generation: snapshot.generation.into(),
        next_number: snapshot.next_number.into(),
        config_bytes: (config.len() as u32).into(),
        calibration_bytes: (calibration.len() as u32).into(),
        segments: (snapshot.parts.len() as u32).into(),
        removed: all.into(),
    };
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(&config);
    bytes.extend_from_slice(&calibration);
    for part in &snapshot.parts {
        let known = &part.known;
        let record = SegmentRecord {
            number: known.number.into(),
            length: known.length.into(),
            frames: known.frames.into(),
            duration_s: known.duration_s.into(),
            tracks: known.tracks.into(),
            blocks: known.blocks.into(),
            first_id: known.first_id.into(),
            last_id: known.last_id.into(),
            removed: (part.removed.len() as u32).into(),
            zero: 0.into(),
        };
        bytes.extend_from_slice(record.as_bytes());
    }
    for removed in snapshot.parts.iter().flat_map(|part| part.removed.iter()) {
        let record = RemovedRecord {
            number: removed.number.into(),
            first_block: removed.first_block.into(),
            blocks: removed.blocks.into(),
            frames: removed.frames.into(),
            duration_s: removed.duration_s.into(),
        };
        bytes.extend_from_slice(record.as_bytes());
    }
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    Ok(bytes)
}

/// More commits, or segments, than this cannot have been.
const MOST_COUNTED: u64 = 1 << 62;

/// Reads a manifest. `path` is for errors.
///
/// # Errors
/// [`Error::BadMagic`], [`Error::Version`], [`Error::Corrupt`]; [`Error::Config`] for an analysis that
/// cannot be.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Manifest> {
    let named = || Some(path.to_path_buf());
    let corrupt =
        |detail: &str| Error::Corrupt { what: WHAT, detail: detail.into(), path: named() };
    let cut = || corrupt("its manifest ends too early");
    if bytes.first_chunk() != Some(&MAGIC) {
        return Err(Error::BadMagic { what: WHAT, path: named() });
    }
    let (head, _) = Head::read_from_prefix(bytes).map_err(|_| cut())?;
    let found = head.version.get();
    if found != VERSION {
        return Err(Error::Version { what: WHAT, found, supported: VERSION, path: named() });
    }
    let (content, checksum) = bytes.split_last_chunk().ok_or_else(cut)?;
    if u64::from_le_bytes(*checksum) != xxh3_64(content) {
        return Err(corrupt("the checksum of its manifest differs"));
    }
    // Both only count up, by one at a time: no index comes so far.
    if head.generation.get().max(head.next_number.get()) > MOST_COUNTED {
        return Err(corrupt("it counts commits or segments that cannot have been"));
    }
    let mut rest = content.get(size_of::<Head>()..).ok_or_else(cut)?;
    let mut take = |bytes: u32| {
        let (taken, left) = rest.split_at_checked(bytes as usize).ok_or_else(cut)?;
        rest = left;
        Ok::<_, Error>(taken)
    };
    let config = take(head.config_bytes.get())?;
    let config: Config = sealed::decode(config).map_err(|_| corrupt("its analysis cannot be"))?;
    config.validate()?;
    let calibration = match take(head.calibration_bytes.get())? {
        [] => None,
        bytes => Some(Arc::new(Calibration::from_bytes(bytes)?)),
    };
    if let Some(calibration) = &calibration {
        calibration.check_for(config.id())?;
    }
    let (records, rest) =
        <[SegmentRecord]>::ref_from_prefix_with_elems(rest, head.segments.get() as usize)
            .map_err(|_| cut())?;
    let removed = <[RemovedRecord]>::ref_from_bytes_with_elems(rest, head.removed.get() as usize);
    let mut removed = removed.map_err(|_| corrupt("its manifest has another length"))?;
    let mut segments: Vec<(Known, Vec<Removed>)> = Vec::with_capacity(records.len());
    let mut numbers = HashSet::with_capacity(records.len());
    for record in records {
        let of_segment = removed.split_at_checked(record.removed.get() as usize);
        let (of_segment, others) = of_segment.ok_or_else(cut)?;
        removed = others;
        let known = Known {
            number: record.number.get(),
            length: record.length.get(),
            tracks: record.tracks.get(),
            blocks: record.blocks.get(),
            first_id: record.first_id.get(),
            last_id: record.last_id.get(),
            frames: record.frames.get(),
            duration_s: record.duration_s.get(),
        };
        let of_segment: Vec<Removed> = of_segment.iter().map(RemovedRecord::get).collect();
        let after = segments.last().is_none_or(|(last, _)| last.last_id < known.first_id);
        let in_order = of_segment.is_sorted_by(|a, b| a.number < b.number)
            && of_segment.is_sorted_by(|a, b| {
                a.first_block.checked_add(a.blocks).is_some_and(|end| end <= b.first_block)
            });
        let inside = of_segment.iter().all(|removed| {
            let end = removed.first_block.checked_add(removed.blocks);
            removed.number < known.tracks && end.is_some_and(|end| end <= known.blocks)
        });
        let ids = known.first_id <= known.last_id && known.last_id < head.next_id.get();
        let number = known.number < head.next_number.get() && numbers.insert(known.number);
        if !after || !in_order || !inside || !ids || !number {
            return Err(corrupt("its segments cannot be so"));
        }
        segments.push((known, of_segment));
    }
    if !removed.is_empty() {
        return Err(corrupt("its manifest has another length"));
    }
    Ok(Manifest {
        config,
        generation: head.generation.get(),
        next_id: head.next_id.get(),
        next_number: head.next_number.get(),
        calibration,
        segments,
    })
}

impl RemovedRecord {
    fn get(&self) -> Removed {
        Removed {
            number: self.number.get(),
            first_block: self.first_block.get(),
            blocks: self.blocks.get(),
            frames: self.frames.get(),
            duration_s: self.duration_s.get(),
        }
    }
}
