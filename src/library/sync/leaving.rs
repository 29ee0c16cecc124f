//! What is taken out: tracks of files that changed or are gone.

use super::super::ledger::{Entry, Outcome};
use super::super::pipeline::lock;
use super::super::scan::Scan;
use super::Sync;
use crate::error::{Error, Result};
use crate::tags::{TrackInfo, track_name};
use crate::units::TrackId;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

impl Sync<'_> {
    /// Takes a path off the list, and its track out of the index, or gives that to another file with the same
    /// content.
    pub(super) fn forget(&mut self, path: &Path) -> Result<()> {
        self.release(path)?;
        self.ledger.files.remove(path);
        self.ledger_changed = true;
        Ok(())
    }

    /// A path does not stand for its track any more.
    pub(super) fn release(&mut self, path: &Path) -> Result<()> {
        let Some(entry) = self.ledger.files.get(path) else { return Ok(()) };
        let hash = entry.hash;
        let name = track_name(path);
        let Some(id) = entry.track() else {
            // What a killed run left.
            if entry.size == u64::MAX
                && let Some(id) = self.writer.find(&name)?
            {
                self.writer.remove(id)?;
                self.uncommitted += 1;
            }
            return Ok(());
        };
        let stand_for = |(other, entry): (&PathBuf, &Entry)| {
            (other != path && entry.track() == Some(id)).then(|| other.clone())
        };
        let shared = self.names.get(&id).is_some_and(|&names| names > 1);
        let others: Vec<PathBuf> = match shared {
            true => self.ledger.files.iter().filter_map(stand_for).collect(),
            false => Vec::new(),
        };
        if let Some(entry) = self.ledger.files.get_mut(path) {
            entry.outcome = Outcome::Removed;
            entry.hash = None;
        }
        if let Some(hash) = hash {
            let mut known = lock(&self.known);
            if known.get(&hash).is_some_and(|known| known == path) {
                match others.iter().min() {
                    Some(other) => known.insert(hash, other.clone()),
                    None => known.remove(&hash),
                };
            }
        }
        self.uncommitted += 1;
        self.ledger_changed = true;
        let Some(heir) = others.iter().min() else {
            self.names.remove(&id);
            self.writer.remove(id)?;
            return Ok(());
        };
        if let Some(names) = self.names.get_mut(&id) {
            *names -= 1;
        }
        if self.writer.find(&name)? == Some(id) {
            let new = self.rename(id, heir)?;
            for other in &others {
                if let Some(Outcome::Track(id, _)) =
                    self.ledger.files.get_mut(other).map(|entry| &mut entry.outcome)
                {
                    *id = new;
                }
            }
            let names = self.names.remove(&id).unwrap_or(1);
            self.names.insert(new, names);
        }
        Ok(())
    }

    /// Gives a track the name of another path.
    pub(super) fn rename(&mut self, id: TrackId, path: &Path) -> Result<TrackId> {
        let mut reader = self.library.index().reader();
        let entry = match reader.track(id)? {
            Some(entry) => entry,
            None => {
                self.writer.commit()?;
                reader = self.library.index().reader();
                reader.track(id)?.ok_or(Error::NoSuchTrack { id })?
            }
        };
        let fingerprint = reader.fingerprint(id)?;
        let info = TrackInfo { name: track_name(path), tags: entry.tags };
        let new = self.writer.replace(info, &fingerprint)?;
        self.writer.remove(id)?;
        Ok(new)
    }

    /// Removes what is gone, if asked to.
    pub(super) fn settle_gone(&mut self, scan: &Scan) -> Result<()> {
        let there: HashSet<&Path> = scan.files.iter().map(|file| file.path.as_path()).collect();
        let gone = |path: &PathBuf| {
            !there.contains(path.as_path())
                && scan.roots.iter().any(|root| path.starts_with(root))
                && !self.unavailable.iter().any(|root| path.starts_with(root))
        };
        let mut gone: Vec<PathBuf> =
            self.ledger.files.keys().filter(|path| gone(path)).cloned().collect();
        gone.sort_unstable();
        if !self.options.prune {
            self.report.gone = gone.len() as u64;
            return Ok(());
        }
        for path in gone {
            self.forget(&path)?;
            self.report.pruned += 1;
        }
        Ok(())
    }
}
