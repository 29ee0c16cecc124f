//! Brings a library up to date with folders.

use super::Library;
use super::ledger::{Entry, Ledger, Outcome, Stamp};
use super::options::SyncOptions;
use super::paths::shown;
use super::pipeline::{self, Event, Failed, Job, Setup, lock};
use super::progress::Progress;
use super::report::{Action, Failure, FailureKind, FileDone, Plan, SyncReport};
use super::scan::{Found, Scan, scan};
use crate::error::{Error, Result};
use crate::store::Writer;
use crate::tags::TrackInfo;
use crate::tags::track_name;
use crate::units::TrackId;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

/// Times are believed only so long after they were set.
fn now() -> SystemTime {
    SystemTime::now()
}

pub(super) fn sync(
    library: &Library,
    roots: &[PathBuf],
    options: &SyncOptions,
    progress: &dyn Progress,
) -> Result<SyncReport> {
    let begun = Instant::now();
    let mut writer = library.index().writer()?;
    let reader = library.index().reader();
    let mut ledger = library.load_ledger()?;
    // Tracks without an entry were written just before a run was killed: they are done again, or are gone.
    for (name, id) in ledger.reconcile(&reader)? {
        let path = PathBuf::from(&name);
        if ledger.files.contains_key(&path) {
            // By a list that is newer than the index, the file is something else.
            writer.remove(id)?;
            continue;
        }
        let reason = "the run that did this was killed: sync again".into();
        let outcome = Outcome::Failed { reason, kind: u8::MAX, decoded_s: 0.0 };
        let entry =
            Entry { size: u64::MAX, modified: Stamp::default(), fresh: true, hash: None, outcome };
        if path.is_absolute() && track_name(&path) == name {
            ledger.files.insert(path, entry);
        }
    }
    let scan = scan(roots, |path| ledger.files.contains_key(path), progress);
    let mut sync = Sync::new(library, writer, ledger, options, progress);
    sync.report.scan_took = begun.elapsed();
    let (jobs, stamps) = sync.plan(&scan);
    for (path, _) in scan.other_names.iter().filter(|_| !scan.cancelled) {
        if sync.ledger.files.contains_key(path) {
            sync.forget(path)?;
        }
    }
    let mut again = sync.run(jobs, &stamps)?;
    // Files whose content was known, until the file that had it changed.
    for job in &mut again {
        job.decode = true;
    }
    if !sync.report.cancelled && !again.is_empty() {
        sync.run(again, &stamps)?;
    }
    if !sync.report.cancelled {
        sync.settle_gone(&scan)?;
    }
    sync.commit()?;
    let mut report = sync.report;
    report.took = begun.elapsed();
    let reader = library.index().reader();
    (report.tracks, report.tracks_s) = (reader.len(), reader.duration_s());
    Ok(report)
}

struct Sync<'a> {
    library: &'a Library,
    writer: Writer,
    ledger: Ledger,
    options: &'a SyncOptions,
    progress: &'a dyn Progress,
    /// Files by the hashes of their contents, of those that are tracks.
    known: Arc<Mutex<HashMap<u128, PathBuf>>>,
    /// How many files stand for each track.
    names: HashMap<TrackId, usize>,
    report: SyncReport,
    /// Roots that are there.
    unavailable: Vec<PathBuf>,
    uncommitted: usize,
    ledger_changed: bool,
    committed: Instant,
}

impl<'a> Sync<'a> {
    fn new(
        library: &'a Library,
        writer: Writer,
        ledger: Ledger,
        options: &'a SyncOptions,
        progress: &'a dyn Progress,
    ) -> Self {
        let (mut known, mut names) = (HashMap::new(), HashMap::new());
        for (path, entry) in &ledger.files {
            let Some(id) = entry.track() else { continue };
            *names.entry(id).or_insert(0) += 1;
            if let Some(hash) = entry.hash {
                known.insert(hash, path.clone());
            }
        }
        Self {
            library,
            writer,
            ledger,
            options,
            progress,
            known: Arc::new(Mutex::new(known)),
            names,
            report: SyncReport::default(),
            unavailable: Vec::new(),
            uncommitted: 0,
            ledger_changed: false,
            committed: Instant::now(),
        }
    }

    /// What must be read, the largest first, so that no thread is left alone with a long one at the end.
    fn plan(&mut self, scan: &Scan) -> (Vec<Job>, HashMap<PathBuf, Stamp>) {
        self.report.found = scan.files.len() as u64;
        self.report.cancelled = scan.cancelled;
        for (path, why) in &scan.unread {
            self.unavailable.push(path.clone());
            self.report.unavailable.push((path.clone(), why.clone()));
        }
        for root in &scan.roots {
            let below = |path: &Path| path.starts_with(root);
            let empty = !scan.files.iter().any(|file| below(&file.path))
                && !scan.other_names.iter().any(|(path, _)| below(path));
            if empty && self.ledger.files.keys().any(|path| below(path)) {
                self.unavailable.push(root.clone());
                let why = "it holds no audio file any more: nothing of it is removed".into();
                self.report.unavailable.push((root.clone(), why));
            }
        }
        for (path, taken) in &scan.other_names {
            let note = format!("left out: it is the same file as {}", shown(taken));
            self.progress.noted(path, &note);
        }
        for path in &scan.special {
            self.progress.noted(path, "left out: it is no regular file");
        }
        let sizes: HashSet<u64> = self.ledger.files.values().map(|entry| entry.size).collect();
        let mut jobs = Vec::new();
        let mut stamps = HashMap::new();
        if scan.cancelled {
            return (jobs, stamps);
        }
        for file in &scan.files {
            let entry = self.ledger.files.get(&file.path);
            if let Some(entry) = entry
                && self.is_unchanged(file, entry)
            {
                self.report.skipped += 1;
                let failed = matches!(entry.outcome, Outcome::Failed { .. });
                self.report.skipped_failed += u64::from(failed);
                continue;
            }
            let retried = self.options.retry && entry.is_some_and(|entry| entry.track().is_none());
            jobs.push(Job {
                path: file.path.clone(),
                size: file.size,
                hash_first: entry.is_some() || sizes.contains(&file.size),
                own_hash: entry.filter(|_| !retried).and_then(|entry| entry.hash),
                decode: false,
                number: 0,
            });
            stamps.insert(file.path.clone(), file.modified);
        }
        jobs.sort_by_key(|job| Reverse(job.size));
        let plan = Plan {
            found: self.report.found,
            skipped: self.report.skipped,
            files: jobs.len() as u64,
            bytes: jobs.iter().map(|job| job.size).sum(),
        };
        self.progress.planned(&plan);
        (jobs, stamps)
    }

    fn is_unchanged(&self, file: &Found, entry: &Entry) -> bool {
        file.size == entry.size
            && file.modified == entry.modified
            && !entry.fresh
            && !(self.options.verify_content && entry.hash.is_some())
            && !(self.options.retry && entry.track().is_none())
    }

    /// Reads files; gives those that must be read again.
    fn run(&mut self, jobs: Vec<Job>, stamps: &HashMap<PathBuf, Stamp>) -> Result<Vec<Job>> {
        let setup = Setup {
            config: self.library.config(),
            opener: Arc::clone(&self.options.opener),
            workers: self.options.worker_threads(),
            readers: self.options.readers,
            stuck_after: self.options.stuck_after,
            ahead_bytes: self.library.memory_bytes() as u64 / 4,
            known: Arc::clone(&self.known),
        };
        let mut again = Vec::new();
        let mut left = jobs.len() as u64;
        pipeline::run(setup, jobs, |job, event| {
            let modified = stamps.get(&job.path).copied().unwrap_or_default();
            left -=
                u64::from(matches!(event, Event::Known(..) | Event::Taken(..) | Event::Failed(..)));
            match event {
                Event::Started(_) => self.progress.started(&job.path, job.size),
                Event::Decoding(_) => self.progress.decoding(&job.path),
                Event::Tick => {}
                Event::Known(_, hash) => {
                    if !self.follow(job, modified, hash)? {
                        again.push(job.clone());
                    }
                }
                Event::Taken(_, taken) => self.take(job, modified, *taken)?,
                Event::Failed(_, failed) => self.fail(job, modified, failed)?,
            }
            if self.uncommitted >= self.options.commit_files.max(1)
                || self.uncommitted > 0 && self.committed.elapsed() >= self.options.commit_every
            {
                self.commit()?;
            }
            self.report.cancelled |= self.progress.is_cancelled();
            Ok(!self.report.cancelled)
        })?;
        self.report.left += left;
        Ok(again)
    }

    fn entry(&self, job: &Job, modified: Stamp, hash: Option<u128>, outcome: Outcome) -> Entry {
        // It may have been changed since it was found, or be changed with the same time.
        Entry { size: job.size, modified, fresh: modified.is_fresh(now()), hash, outcome }
    }

    fn set(&mut self, path: &Path, entry: Entry) {
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

    fn tell(&mut self, path: &Path, file: FileDone) {
        self.report.count(path, &file);
        self.progress.done(path, &file);
    }

    /// A file whose content is known. Gives whether that could be made use of.
    fn follow(&mut self, job: &Job, modified: Stamp, hash: u128) -> Result<bool> {
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
    fn take(&mut self, job: &Job, modified: Stamp, taken: super::decoding::Taken) -> Result<()> {
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

    fn fail(&mut self, job: &Job, modified: Stamp, failed: Failed) -> Result<()> {
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

    /// Takes a path off the list, and its track out of the index, or gives that to another file with the same
    /// content.
    fn forget(&mut self, path: &Path) -> Result<()> {
        self.release(path)?;
        self.ledger.files.remove(path);
        self.ledger_changed = true;
        Ok(())
    }

    /// A path does not stand for its track any more.
    fn release(&mut self, path: &Path) -> Result<()> {
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
    fn rename(&mut self, id: TrackId, path: &Path) -> Result<TrackId> {
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
    fn settle_gone(&mut self, scan: &Scan) -> Result<()> {
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

    /// Makes what was done so far last: the index first, then what is known of the files.
    fn commit(&mut self) -> Result<()> {
        self.writer.commit()?;
        if self.ledger_changed {
            self.library.save_ledger(&self.ledger)?;
            self.ledger_changed = false;
        }
        self.uncommitted = 0;
        self.committed = Instant::now();
        self.progress.committed(self.library.index().reader().len());
        Ok(())
    }
}
