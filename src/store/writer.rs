//! Changes an index.

use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::store::folder::{FolderLock, step};
use crate::store::index::{Place, Shared};
use crate::store::manifest;
use crate::store::merging::Background;
use crate::store::segment::{Placed, SegmentBuilder};
use crate::store::snapshot::{Part, Removed, Snapshot};
use crate::store::{Reader, TrackEntry};
use crate::tags::TrackInfo;
use crate::units::TrackId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

#[cfg(test)]
pub(super) use merges::MOST_WAITING;

mod merges;

/// The right to change an [`Index`](crate::store::Index). There is one at a time.
///
/// What it does is seen by readers, and is there after a crash, once it is [committed](Self::commit). What
/// was not committed is gone when it is dropped. A merge that goes on in the background is then stopped, which
/// loses nothing but its work: [`finish_merges`](Self::finish_merges) waits for it.
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
    /// Bytes of the segments that were written for the next commit.
    added_bytes: u64,
    pub(super) background: Background,
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
            added_bytes: 0,
            background: Background::default(),
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
        self.added_bytes += part.known.length;
        self.parts.push(part);
        self.builder.clear();
        self.names.clear();
        self.names_bytes = 0;
        self.merge_spilled()
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
        self.background.stop();
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
