//! What an index is made of, and what of it is damaged.

use crate::error::{Error, Result};
use crate::store::Reader;
use crate::store::segment::Section;
use crate::store::snapshot::Part;
use crate::units::TrackId;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

/// What an index is made of.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Number of tracks.
    pub tracks: u64,
    /// Length of all tracks in seconds.
    pub duration_s: f64,
    /// Number of different hashes, those of each segment counted apart.
    pub hashes: u64,
    /// Number of postings, with those of removed tracks.
    pub postings: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The segments, from old to new.
    pub segments: Vec<SegmentStats>,
}

/// What a segment is made of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SegmentStats {
    /// Its file.
    pub path: PathBuf,
    /// Number of tracks.
    pub tracks: u64,
    /// Number of tracks that were removed since it was written.
    pub removed: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// Bytes of each part of it; none where it cannot be opened.
    pub sections: Vec<(&'static str, u64)>,
}

/// A part of an index that is damaged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What of it is damaged.
    pub detail: String,
    /// The tracks that are hurt, with their names as far as these can be read.
    pub tracks: Vec<(TrackId, Option<String>)>,
}

impl Reader {
    /// What the index is made of. Of segments that cannot be opened, only their tracks and bytes are
    /// counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats =
            Stats { tracks: self.len(), duration_s: self.duration_s(), ..Stats::default() };
        for part in &self.snapshot.parts {
            let mut sections = Vec::new();
            if let Ok(segment) = part.segment() {
                // A footer may say anything.
                stats.hashes = stats.hashes.saturating_add(segment.hashes());
                stats.postings = stats.postings.saturating_add(segment.postings());
                sections.extend(segment.sizes());
                let listed: u64 = sections.iter().map(|(_, bytes)| bytes).sum();
                sections.push(("checksums", part.known.length.saturating_sub(listed)));
            }
            stats.bytes = stats.bytes.saturating_add(part.known.length);
            stats.segments.push(SegmentStats {
                path: part.path().into(),
                tracks: part.tracks(),
                removed: part.removed.len() as u64,
                bytes: part.known.length,
                sections,
            });
        }
        stats
    }

    /// How many postings are in lists of a block, of two or three, of four to seven, and so on; those of each
    /// segment counted apart. All lists are read for it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where a segment is damaged.
    pub fn list_lengths(&self) -> Result<Vec<u64>> {
        let mut lengths: Vec<u64> = Vec::new();
        for part in &self.snapshot.parts {
            self.snapshot.try_part(part, |_, segment| {
                segment.each_length(|len| {
                    let magnitude = len.ilog2() as usize;
                    lengths.resize(lengths.len().max(magnitude + 1), 0);
                    lengths[magnitude] += u64::from(len);
                })
            })?;
        }
        Ok(lengths)
    }

    /// Reads everything, and names what is damaged: every page, every track, every name.
    #[must_use]
    pub fn verify(&self) -> Vec<Damage> {
        self.snapshot.parts.iter().filter_map(verify).collect()
    }
}

/// What of a part is damaged.
fn verify(part: &Part) -> Option<Damage> {
    let path = part.path().to_path_buf();
    let segment = match part.segment() {
        Ok(segment) => segment,
        Err(error) => {
            let (first, last) = (part.known.first_id, part.known.last_id);
            let detail = match error {
                Error::Corrupt { detail, .. } => detail,
                other => other.to_string(),
            };
            let detail = format!("{detail}, with ids from {first} to {last}");
            return Some(Damage { path, detail, tracks: Vec::new() });
        }
    };
    let mut details = BTreeSet::new();
    let mut hurt = BTreeSet::new();
    for section in segment.damaged_sections() {
        details.insert(format!("pages of {}", section.name()));
        if matches!(section, Section::Postings | Section::Slots) {
            // They hold something of every track.
            hurt.extend(part.numbers());
        }
    }
    let mut check = |number: u32, result: Result<()>| {
        if let Err(error) = result {
            hurt.insert(number);
            let detail = match error {
                Error::Corrupt { detail, .. } => detail,
                other => other.to_string(),
            };
            if details.len() < 100 {
                details.insert(detail);
            }
        }
    };
    let (mut peaks, mut words) = (Vec::new(), Vec::new());
    for number in part.numbers() {
        let mut read = || {
            let placed = segment.placed(number)?;
            let name = part.entry(number)?.name;
            for first in (0..placed.block_count()).step_by(4096) {
                let blocks: Range<u32> = first..placed.block_count().min(first + 4096);
                peaks.clear();
                words.clear();
                segment.decode(&placed, blocks, &mut peaks, &mut words)?;
            }
            match part.find_name(&name)? {
                Some((found, _)) if found == number => Ok(()),
                _ => Err(segment.corrupt("a name is not found")),
            }
        };
        check(number, read());
    }
    if let Err(error) = segment.check_lists() {
        details.insert(error.to_string());
        hurt.extend(part.numbers());
    }
    if details.is_empty() {
        return None;
    }
    let track = |number: u32| {
        let placed = segment.placed(number).ok()?;
        Some((placed.id, segment.name(&placed).ok().map(String::from)))
    };
    let all = hurt.len();
    let tracks: Vec<_> = hurt.into_iter().filter_map(track).collect();
    if tracks.len() < all {
        let (unknown, first, last) = (all - tracks.len(), part.known.first_id, part.known.last_id);
        details
            .insert(format!("{unknown} tracks cannot be named, with ids from {first} to {last}"));
    }
    let detail = details.into_iter().collect::<Vec<_>>().join("; ");
    Some(Damage { path, detail, tracks })
}
