//! Changes an index.

use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::store::folder::{FolderLock, step};
use crate::store::index::{Place, Shared};
use crate::store::manifest;
use crate::store::merging::{self, MergeTask, Merged};
use crate::store::segment::{Placed, SegmentBuilder};
use crate::store::snapshot::{Part, Removed, Snapshot};
use crate::store::{Reader, TrackEntry};
use crate::tags::TrackInfo;
use crate::units::TrackId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

/// From so many uncommitted segments on, those that are alike are merged before the commit.
const MOST_SPILLED: usize = 16;

/// The right to change an [`Index`](crate::store::Index). There is one at a time.
///
/// What it does is seen by readers, and is there after a crash, once it is [committed](Self::commit). What
/// was not committed is gone when it is dropped.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    _lock: Option<FolderLock>,
    /// As the next commit will have them, but for what is in the builder.
    parts: Vec<Part>,
    /// Tracks that are not in a segment yet.
    builder: SegmentBuilder,
    /// Their names,
    names: HashMap<String, TrackId>,
    /// and how much memory these take.
    names_bytes: usize,
    next_id: u32,
    next_number: u64,
    calibration: Option<Arc<Calibration>>,
    changed: bool,
    /// Segments in the index that the next commit does without.
    obsolete: Vec<u64>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self> {
        if shared.writing.swap(true, Acquire) {
            let path = match &shared.place {
                Place::Folder(folder) => folder.path().into(),
                Place::Memory => PathBuf::from("the index in memory"),
            };
            return Err(Error::Locked { path });
        }
        let begun = Self::begin(&shared);
        begun.inspect_err(|_| shared.writing.store(false, Release))
    }

    fn begin(shared: &Arc<Shared>) -> Result<Self> {
        let lock = match &shared.place {
            Place::Folder(folder) => Some(folder.lock()?),
            Place::Memory => None,
        };
        shared.reload()?;
        let snapshot = shared.current();
        if let Place::Folder(folder) = &shared.place {
            let known = |number| snapshot.parts.iter().any(|part| part.known.number == number);
            folder.sweep(known);
        }
        Ok(Self {
            shared: shared.clone(),
            _lock: lock,
            parts: snapshot.parts.clone(),
            builder: SegmentBuilder::new(&snapshot.config),
            names: HashMap::new(),
            names_bytes: 0,
            next_id: snapshot.next_id,
            next_number: snapshot.next_number,
            calibration: snapshot.totals.calibration.clone(),
            changed: false,
            obsolete: Vec::new(),
        })
    }

    /// Adds a track.
    ///
    /// # Errors
    /// [`Error::DuplicateTrack`] for a name that is taken, [`Error::ConfigMismatch`] for a fingerprint made
    /// in another way, [`Error::TextTooLong`] for a name or tag beyond [`TrackInfo::MAX_TEXT_BYTES`],
    /// [`Error::Corrupt`] for a fingerprint whose peaks are closer than peaks can be, or where what must be
    /// looked at is damaged, [`Error::IndexFull`] beyond 2^32 blocks (over 100 years) or tracks, and
    /// [`Error::Io`]. Nothing is changed then.
    pub fn add(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        if let Some(id) = self.find(&info.name)? {
            return Err(Error::DuplicateTrack { name: info.name, id });
        }
        self.put(info, fingerprint)
    }

    /// Adds a track in place of the one with the same name, if there is one. It gets a new id.
    ///
    /// # Errors
    /// As [`add`](Self::add), but for the name that is taken. The old track is kept then.
    pub fn replace(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        let old = self.find(&info.name)?;
        let id = self.put(info, fingerprint)?;
        if let Some(old) = old {
            self.remove(old)?;
        }
        Ok(id)
    }

    /// Removes a track, and says what it was.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`], [`Error::Corrupt`], [`Error::Io`].
    pub fn remove(&mut self, id: TrackId) -> Result<TrackEntry> {
        if self.is_pending(id) {
            self.flush()?;
        }
        let at = self.parts.partition_point(|part| part.known.last_id < id.0);
        let part = self.parts.get_mut(at).ok_or(Error::NoSuchTrack { id })?;
        let (number, placed) = part.find(id)?.ok_or(Error::NoSuchTrack { id })?;
        let entry = part.segment()?.track(&placed)?;
        remove_from(part, number, &placed);
        self.changed = true;
        Ok(entry)
    }

    /// The track of that name, as the next commit will have it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where what must be looked at is damaged.
    pub fn find(&self, name: &str) -> Result<Option<TrackId>> {
        if let Some(&id) = self.names.get(name) {
            return Ok(Some(id));
        }
        for part in self.parts.iter().rev() {
            match part.find_name(name) {
                Ok(Some((_, placed))) => return Ok(Some(placed.id)),
                Err(Error::Corrupt { .. }) if self.shared.skips_damaged() => {}
                Err(error) => return Err(error),
                Ok(None) => {}
            }
        }
        Ok(None)
    }

    /// Stores a calibration with the index, or none. Searches go by it, unless they are given another; with
    /// none, by the one that is built in for the analysis.
    ///
    /// # Errors
    /// [`Error::CalibrationMismatch`] for that of another analysis, [`Error::Config`] where a number in it is
    /// out of range.
    pub fn set_calibration(&mut self, calibration: Option<Arc<Calibration>>) -> Result<()> {
        if let Some(calibration) = &calibration {
            calibration.check_for(self.shared.current().config.id())?;
        }
        (self.calibration, self.changed) = (calibration, true);
        Ok(())
    }

    /// Adds all tracks of another index, or of another state of this one, whose names are not taken.
    /// `taken` is called with each of the others.
    ///
    /// # Errors
    /// As [`add`](Self::add). What was added before stays added.
    pub fn add_all(&mut self, other: &Reader, mut taken: impl FnMut(TrackEntry)) -> Result<u64> {
        let mut added = 0;
        for entry in other.tracks() {
            let entry = entry?;
            let fingerprint = other.fingerprint(entry.id)?;
            let info = TrackInfo { name: entry.name.clone(), tags: entry.tags.clone() };
            match self.add(info, &fingerprint) {
                Ok(_) => added += 1,
                Err(Error::DuplicateTrack { .. }) => taken(entry),
                Err(error) => return Err(error),
            }
        }
        Ok(added)
    }

    /// Makes what was done so far last, and lets new readers see it. Segments that are due are then merged;
    /// damaged ones are left as they are, and [`Reader::verify`] tells of them.
    ///
    /// # Errors
    /// [`Error::Io`]. What was committed before is as it was, or all is committed and could not be merged.
    /// This may be tried again.
    pub fn commit(&mut self) -> Result<()> {
        self.flush()?;
        if self.changed {
            self.publish()?;
        }
        if self.shared.options.merges() {
            while let Some(task) = self.plan_merge() {
                match task.run() {
                    Ok(merged) => self.apply_merge(merged)?,
                    Err(Error::Corrupt { .. }) => break,
                    Err(error) => return Err(error),
                }
                self.publish()?;
            }
        }
        Ok(())
    }

    /// Commits, and makes one segment of all, without what was removed; of several if one would be too
    /// large.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Corrupt`] where a segment is damaged.
    pub fn compact(&mut self) -> Result<()> {
        self.flush()?;
        if self.changed {
            self.publish()?;
        }
        let mut first = 0;
        while first < self.parts.len() {
            let end = merging::end_of_largest(&self.parts, first);
            if end - first > 1 || !self.parts[first].removed.is_empty() {
                let merged = self.task(first..end).run()?;
                self.apply_merge(merged)?;
                self.publish()?;
            }
            first += 1;
        }
        Ok(())
    }

    /// The next merge that is due, if one is: of segments that are alike in size, or of one that has more
    /// removed than not. It can run in another thread while this writer goes on. Plan none before it is
    /// [applied](Self::apply_merge).
    pub fn plan_merge(&mut self) -> Option<MergeTask> {
        merging::due(&self.parts).map(|range| self.task(range))
    }

    /// Takes up what a merge has made. The next commit has it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where tracks that were removed since it was planned cannot be found. Nothing is
    /// changed then.
    pub fn apply_merge(&mut self, merged: Merged) -> Result<()> {
        let (range, part) = merged.take_up(&self.parts)?;
        let committed = self.shared.current();
        let old: Vec<Part> = self.parts.splice(range, part).collect();
        for number in old.iter().map(|part| part.known.number) {
            if committed.parts.iter().any(|part| part.known.number == number) {
                self.obsolete.push(number);
            } else if let Place::Folder(folder) = &self.shared.place {
                folder.remove_segment(number);
            }
        }
        self.changed = true;
        Ok(())
    }

    fn task(&mut self, range: std::ops::Range<usize>) -> MergeTask {
        let number = self.next_number;
        self.next_number += 1;
        MergeTask::new(self.shared.clone(), number, self.parts[range].to_vec())
    }

    fn is_pending(&self, id: TrackId) -> bool {
        let written = self.parts.last().map_or(0, |part| part.known.last_id + 1);
        !self.builder.is_empty() && (written..self.next_id).contains(&id.0)
    }

    fn put(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        let config = &self.shared.current().config;
        if fingerprint.config_id() != config.id() {
            let (expected, found) = (config.id(), fingerprint.config_id());
            return Err(Error::ConfigMismatch { expected, found });
        }
        info.check()?;
        let id = TrackId(self.next_id);
        let next_id = self.next_id.checked_add(1).ok_or(Error::IndexFull)?;
        self.builder.add(id, &info, fingerprint)?;
        self.next_id = next_id;
        self.names_bytes += info.name.len() + 64;
        self.names.insert(info.name, id);
        self.changed = true;
        // Sorting and writing need some, too.
        if self.builder.memory_bytes() + self.names_bytes > self.shared.options.memory() / 2 {
            self.flush()?;
        }
        Ok(id)
    }

    /// Makes a segment of what is in the builder.
    fn flush(&mut self) -> Result<()> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let config = self.shared.current().config.clone();
        let number = self.next_number;
        let builder = &mut self.builder;
        let bytes = write_to(&self.shared.place, number, |out| builder.write(out))?;
        let part = self.shared.open_part(&config, number, bytes)?;
        self.next_number += 1;
        self.parts.push(part);
        self.builder.clear();
        self.names.clear();
        self.names_bytes = 0;
        let committed = self.shared.current().next_number;
        let spilled = self.parts.iter().rev().take_while(|p| p.known.number >= committed).count();
        if spilled >= MOST_SPILLED
            && let Some(task) = self.plan_merge()
        {
            let merged = task.run()?;
            self.apply_merge(merged)?;
        }
        Ok(())
    }

    /// Writes the manifest, and gives readers the new state.
    fn publish(&mut self) -> Result<()> {
        let before = self.shared.current();
        let numbers = (before.generation + 1, self.next_id, self.next_number);
        let snapshot = Snapshot::new(
            before.config.clone(),
            numbers,
            self.calibration.clone(),
            self.parts.clone(),
            self.shared.skips_damaged(),
        )?;
        if let Place::Folder(folder) = &self.shared.place {
            step("manifest");
            let bytes = manifest::write(&snapshot).map_err(Error::Read)?;
            folder.write_manifest(&bytes)?;
            step("committed");
        }
        self.parts.clone_from(&snapshot.parts);
        self.shared.publish(snapshot);
        self.changed = false;
        for number in self.obsolete.drain(..) {
            if let Place::Folder(folder) = &self.shared.place {
                folder.remove_segment(number);
                step("old segment removed");
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Place::Folder(folder) = &self.shared.place {
            let committed = self.shared.current();
            for part in &self.parts {
                let number = part.known.number;
                if committed.parts.iter().all(|part| part.known.number != number) {
                    folder.remove_segment(number);
                }
            }
        }
        self.shared.writing.store(false, Release);
    }
}

/// Marks a track of a part as removed.
pub(super) fn remove_from(part: &mut Part, number: u32, placed: &Placed) {
    let removed = Arc::make_mut(&mut part.removed);
    if let Err(at) = removed.binary_search_by_key(&number, |removed| removed.number) {
        removed.insert(at, Removed::new(number, placed));
    }
}

/// Writes a segment to where an index is; gives its bytes if that is in memory.
pub(super) fn write_to(
    place: &Place,
    number: u64,
    write: impl FnOnce(&mut dyn std::io::Write) -> Result<()>,
) -> Result<Option<Vec<u8>>> {
    match place {
        Place::Folder(folder) => {
            let path = folder.segment_path(number);
            let written = folder.write_segment(number, |out| write(out));
            written.map_err(|error| match error {
                Error::Io { action, path: unknown, source } if unknown.as_os_str().is_empty() => {
                    Error::Io { action, path, source }
                }
                other => other,
            })?;
            Ok(None)
        }
        Place::Memory => {
            let mut bytes = Vec::new();
            write(&mut bytes)?;
            bytes.shrink_to_fit();
            Ok(Some(bytes))
        }
    }
}
