//! One state of an index: its segments, in the order of the line, and what was removed of them.

use crate::calibration::Calibration;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::mmap::Bytes;
use crate::store::segment::{Placed, Segment};
use crate::store::{Totals, TrackEntry};
use crate::units::TrackId;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A track's duration as sums count it. It comes from outside: what is no length counts nothing, for a sum
/// that is no number would not even equal itself.
pub(crate) fn counted_s(duration_s: f64) -> f64 {
    if (0.0..1e12).contains(&duration_s) { duration_s } else { 0.0 }
}

/// A track that was removed, and is still in its segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Removed {
    /// Its number in the segment.
    pub number: u32,
    /// Its blocks in the segment.
    pub first_block: u32,
    pub blocks: u32,
    pub frames: u32,
    pub duration_s: f64,
}

impl Removed {
    pub fn new(number: u32, placed: &Placed) -> Self {
        Self {
            number,
            first_block: placed.blocks.0,
            blocks: placed.block_count(),
            frames: placed.frames,
            duration_s: counted_s(placed.duration_s),
        }
    }
}

/// What is known of a segment without opening it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Known {
    /// Names its file.
    pub number: u64,
    pub length: u64,
    pub tracks: u32,
    pub blocks: u32,
    pub first_id: u32,
    pub last_id: u32,
    pub frames: u64,
    pub duration_s: f64,
}

impl Known {
    pub fn of<D: AsRef<[u8]>>(number: u64, segment: &Segment<D>) -> Self {
        let (first_id, last_id) = segment.ids();
        Self {
            number,
            length: segment.len_bytes(),
            tracks: segment.tracks(),
            blocks: segment.blocks(),
            first_id: first_id.0,
            last_id: last_id.0,
            frames: segment.frames(),
            duration_s: segment.duration_s(),
        }
    }
}

/// One segment of an index.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub known: Known,
    /// Or why it cannot be opened.
    segment: std::result::Result<Arc<Segment<Bytes>>, Arc<str>>,
    path: PathBuf,
    /// In the order of their numbers.
    pub removed: Arc<Vec<Removed>>,
    /// Where it begins on the line.
    pub base: u32,
}

impl Part {
    pub fn new(
        known: Known,
        segment: std::result::Result<Arc<Segment<Bytes>>, Arc<str>>,
        path: PathBuf,
        removed: Vec<Removed>,
    ) -> Self {
        Self { known, segment, path, removed: Arc::new(removed), base: 0 }
    }

    /// # Errors
    /// Where it is missing or could not be opened.
    pub fn segment(&self) -> Result<&Arc<Segment<Bytes>>> {
        self.segment.as_ref().map_err(|detail| Error::Corrupt {
            what: "index segment",
            detail: format!("{detail}; it holds {} tracks", self.known.tracks),
            path: Some(self.path.clone()),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_removed(&self, number: u32) -> bool {
        self.removed.binary_search_by_key(&number, |removed| removed.number).is_ok()
    }

    /// Tracks that are there.
    pub fn tracks(&self) -> u64 {
        u64::from(self.known.tracks).saturating_sub(self.removed.len() as u64)
    }

    /// Blocks of tracks that are there.
    pub fn live_blocks(&self) -> u64 {
        let removed = self.removed.iter().map(|removed| u64::from(removed.blocks)).sum();
        u64::from(self.known.blocks).saturating_sub(removed)
    }

    /// The blocks of the line that it takes up.
    pub fn line(&self) -> Range<u32> {
        self.base..self.base.saturating_add(self.known.blocks)
    }

    /// The track with that id, if it is there.
    pub fn find(&self, id: TrackId) -> Result<Option<(u32, Placed)>> {
        if !(self.known.first_id..=self.known.last_id).contains(&id.0) || self.known.tracks == 0 {
            return Ok(None);
        }
        let segment = self.segment()?;
        match segment.number_of(id)? {
            Some(number) if !self.is_removed(number) => Ok(Some((number, segment.placed(number)?))),
            _ => Ok(None),
        }
    }

    /// The track with that name, if it is there.
    pub fn find_name(&self, name: &str) -> Result<Option<(u32, Placed)>> {
        let segment = self.segment()?;
        let numbers = segment.numbers_named(name)?;
        let there = numbers.into_iter().find(|&number| !self.is_removed(number));
        there.map(|number| Ok((number, segment.placed(number)?))).transpose()
    }

    /// The tracks that are there, by their numbers in the segment.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        (0..self.known.tracks).filter(|&number| !self.is_removed(number))
    }

    pub fn entry(&self, number: u32) -> Result<TrackEntry> {
        let segment = self.segment()?;
        segment.track(&segment.placed(number)?)
    }
}

/// What a whole index is at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub config: Arc<Config>,
    /// Raised with each commit.
    pub generation: u64,
    /// Ids from here on were never used.
    pub next_id: u32,
    /// Numbers of segments from here on are free.
    pub next_number: u64,
    /// In the order of ids, and of the line.
    pub parts: Vec<Part>,
    pub totals: Totals,
    pub duration_s: f64,
    /// Damage is passed over, and told here.
    pub damage: Option<Mutex<Vec<String>>>,
}

impl Snapshot {
    /// Puts parts on the line.
    ///
    /// # Errors
    /// [`Error::IndexFull`] where they are longer than the line can be.
    pub fn new(
        config: Arc<Config>,
        (generation, next_id, next_number): (u64, u32, u64),
        calibration: Option<Arc<Calibration>>,
        mut parts: Vec<Part>,
        skip_damaged: bool,
    ) -> Result<Self> {
        let (mut base, mut tracks, mut frames, mut duration_s) = (0u32, 0, 0u64, 0.0);
        let mut removed: Vec<Range<u32>> = Vec::new();
        for part in &mut parts {
            part.base = base;
            base = base.checked_add(part.known.blocks).ok_or(Error::IndexFull)?;
            tracks += part.tracks();
            frames = frames.saturating_add(part.known.frames);
            duration_s += part.known.duration_s;
            for gone in part.removed.iter() {
                frames = frames.saturating_sub(gone.frames.into());
                duration_s -= gone.duration_s;
                let first = part.base.saturating_add(gone.first_block);
                let end = first.saturating_add(gone.blocks).min(base);
                match removed.last_mut() {
                    Some(last) if last.end == first => last.end = end,
                    _ => removed.push(first..end),
                }
            }
        }
        let totals = Totals::new(config.clone(), tracks, frames, base)
            .with_removed(removed)
            .with_calibration(calibration);
        let damage = skip_damaged.then(Mutex::default);
        let this =
            Self { config, generation, next_id, next_number, parts, totals, duration_s, damage };
        Ok(this)
    }

    /// What `read` gives of a part; `None` where that is damaged and may be passed over.
    pub fn try_part<T>(
        &self,
        part: &Part,
        read: impl FnOnce(&Part, &Segment<Bytes>) -> Result<T>,
    ) -> Result<Option<T>> {
        let found = part.segment().and_then(|segment| read(part, segment));
        match (found, &self.damage) {
            (Ok(found), _) => Ok(Some(found)),
            (Err(error @ Error::Corrupt { .. }), Some(damage)) => {
                let mut damage = damage.lock().unwrap_or_else(PoisonError::into_inner);
                let told = error.to_string();
                // A file has few pages that can be told of; and whoever reads this needs no more.
                if damage.len() < 1000 && !damage.contains(&told) {
                    damage.push(told);
                }
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The parts that have blocks among these.
    pub fn parts_in(&self, blocks: &Range<u32>) -> &[Part] {
        let first = self.parts.partition_point(|part| part.line().end <= blocks.start);
        let end = self.parts.partition_point(|part| part.base < blocks.end);
        self.parts.get(first..end).unwrap_or_default()
    }

    /// The track with that id, and its part.
    pub fn find(&self, id: TrackId) -> Result<Option<(&Part, u32, Placed)>> {
        let at = self.parts.partition_point(|part| part.known.last_id < id.0);
        let Some(part) = self.parts.get(at) else { return Ok(None) };
        let found = self.try_part(part, |part, _| part.find(id))?.flatten();
        Ok(found.map(|(number, placed)| (part, number, placed)))
    }

    /// The track with that name, and its part. The newest come first.
    pub fn find_name(&self, name: &str) -> Result<Option<(&Part, u32, Placed)>> {
        for part in self.parts.iter().rev() {
            let found = self.try_part(part, |part, _| part.find_name(name))?.flatten();
            if let Some((number, placed)) = found {
                return Ok(Some((part, number, placed)));
            }
        }
        Ok(None)
    }
}
