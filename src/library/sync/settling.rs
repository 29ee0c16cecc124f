//! What becomes of a file that was read: it follows another, is a track, or has failed.

use super::super::decoding::Taken;
use super::super::ledger::{Entry, Outcome, Stamp};
use super::super::pipeline::{Failed, Job, lock};
use super::super::report::{Action, Failure, FailureKind, FileDone};
use super::Sync;
use crate::error::{Error, Result};
use crate::tags::{TrackInfo, track_name};
use std::path::Path;
use std::time::SystemTime;

/// Times are believed only so long after they were set.
fn now() -> SystemTime {
    SystemTime::now()
}

impl Sync<'_> {
    pub(super) fn entry(
        &self,
        job: &Job,
        modified: Stamp,
        hash: Option<u128>,
        outcome: Outcome,
    ) -> Entry {
        // It may have been changed since it was found, or be changed with the same time.
        Entry { size: job.size, modified, fresh: modified.is_fresh(now()), hash, outcome }
    }

    pub(super) fn set(&mut self, path: &Path, entry: Entry) {
        if let Some(id) = entry.track() {
            *self.names.entry(id).or_insert(0) += 1;
            if let Some(hash) = entry.hash {
                lock(&self.known).entry(hash).or_insert_with(|| path.into());
            }
        }
        self.ledger.files.insert(path.into(), entry);
        self.ledger_changed = true;
        self.uncommitted += 1;
    }

    pub(super) fn tell(&mut self, path: &Path, file: FileDone) {
        self.report.count(path, &file);
        self.progress.done(path, &file);
    }

    /// A file whose content is known. Gives whether that could be made use of.
    pub(super) fn follow(&mut self, job: &Job, modified: Stamp, hash: u128) -> Result<bool> {
        let old = self.ledger.files.get(&job.path);
        if let Some(old) = old.filter(|old| old.hash == Some(hash)) {
            let outcome = old.outcome.clone();
            let entry = self.entry(job, modified, Some(hash), outcome);
            // As a fresh file stays fresh for two seconds only, this is seldom.
            self.ledger.files.insert(job.path.clone(), entry);
            self.ledger_changed = true;
            self.uncommitted += 1;
            self.tell(&job.path, FileDone::new(Action::Touched, job.size));
            return Ok(true);
        }
        let Some(other) = lock(&self.known).get(&hash).cloned() else { return Ok(false) };
        let Some(entry) = self.ledger.files.get(&other).filter(|e| e.hash == Some(hash)) else {
            return Ok(false);
        };
        let Outcome::Track(id, quality) = entry.outcome.clone() else { return Ok(false) };
        let gone = std::fs::symlink_metadata(&other)
            .is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
            && !self.unavailable.iter().any(|root| other.starts_with(root));
        self.release(&job.path)?;
        let entry = self.entry(job, modified, Some(hash), Outcome::Track(id, quality));
        self.set(&job.path, entry);
        let action = if gone { Action::Moved } else { Action::Copied };
        if gone {
            self.forget(&other)?;
        }
        self.tell(&job.path, FileDone::new(action, job.size));
        Ok(true)
    }

    /// A file that was decoded.
    pub(super) fn take(&mut self, job: &Job, modified: Stamp, taken: Taken) -> Result<()> {
        let audio_s = taken.fingerprint.duration_s();
        let done =
            |action| FileDone { audio_s, took: taken.took, ..FileDone::new(action, job.size) };
        if !taken.report.is_complete() {
            self.report.partial += 1;
            self.progress.noted(&job.path, &format!("read in part: {}", taken.report));
        }
        // Two files with the same content may have been under way at the same time.
        let twin = taken.hash.and_then(|hash| lock(&self.known).get(&hash).cloned());
        let twin = twin.filter(|twin| *twin != job.path).and_then(|twin| {
            self.ledger.files.get(&twin).filter(|e| e.hash == taken.hash).and_then(Entry::track)
        });
        let replaced = self.ledger.files.get(&job.path).is_some_and(|e| e.track().is_some());
        self.release(&job.path)?;
        let (id, action) = match twin {
            Some(id) if self.names.contains_key(&id) => (id, Action::Copied),
            _ => {
                let info = TrackInfo { name: track_name(&job.path), tags: taken.tags };
                // What a killed run left has that name, too.
                let id = match self.writer.replace(info, &taken.fingerprint) {
                    Ok(id) => id,
                    Err(
                        error @ (Error::Corrupt { path: None, .. } | Error::TextTooLong { .. }),
                    ) => {
                        let failed = Failed {
                            kind: FailureKind::Other,
                            reason: error.to_string(),
                            decoded_s: audio_s,
                            hash: taken.hash,
                        };
                        return self.fail(job, modified, failed);
                    }
                    Err(error) => return Err(error),
                };
                (id, if replaced { Action::Replaced } else { Action::Added })
            }
        };
        let entry = self.entry(job, modified, taken.hash, Outcome::Track(id, taken.quality));
        self.set(&job.path, entry);
        self.tell(&job.path, done(action));
        Ok(())
    }

    pub(super) fn fail(&mut self, job: &Job, modified: Stamp, failed: Failed) -> Result<()> {
        let Failed { kind, reason, decoded_s, hash } = failed;
        let had_track =
            self.ledger.files.get(&job.path).is_some_and(|entry| entry.track().is_some());
        let keep = match kind {
            // It says nothing of the content: what was known of it stays, and it is tried again.
            FailureKind::Unreadable => true,
            FailureKind::Stuck => had_track,
            _ => false,
        };
        if !keep {
            self.release(&job.path)?;
            let outcome =
                Outcome::Failed { reason: reason.clone(), kind: kind.number(), decoded_s };
            let entry = self.entry(job, modified, hash, outcome);
            self.set(&job.path, entry);
        }
        let failure = Failure { path: job.path.clone(), kind, reason, decoded_s };
        self.progress.failed(&failure);
        self.report.failures.push(failure);
        Ok(())
    }
}
