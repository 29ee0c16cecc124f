//! Brings a library up to date with folders.

use super::Library;
use super::ledger::{Entry, Ledger, Outcome, Stamp};
use super::options::SyncOptions;
use super::paths::shown;
use super::pipeline::{self, Event, Job, Setup};
use super::progress::Progress;
use super::report::{Plan, SyncReport};
use super::scan::{Found, Scan, scan};
use crate::error::Result;
use crate::store::Writer;
use crate::tags::track_name;
use crate::units::TrackId;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

mod leaving;
mod settling;

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
    if !sync.report.cancelled {
        // Or each run would begin the merge that the one before has stopped.
        sync.writer.finish_merges()?;
    }
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
