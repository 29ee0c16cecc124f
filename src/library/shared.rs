//! Brings a collection in PostgreSQL up to date with folders: any number of machines share one list of
//! files.

use super::decoding::Taken;
use super::options::{LibraryOptions, SyncOptions};
use super::pipeline::{self, Event, Failed, Job, More, Setup, Work};
use super::progress::Progress;
use super::report::{Action, Failure, FailureKind, FileDone, Plan, SyncReport};
use super::scan::{Found, Scan, scan};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::postgres::{Finished, Lease, Queue, QueueFile, Store};
use crate::store::Store as _;
use crate::tags::Tags;
use patience::patiently;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

mod patience;

/// While others work, it is looked so often whether there is something left to do.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So long until what is under way is counted again.
const SHORTLY: Duration = Duration::from_millis(10);
/// The progress of all is told so often, if looking at it takes no more than a twentieth of the time.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A sync of a collection in PostgreSQL that any number of machines take part in.
///
/// ```no_run
/// use earmark::library::{SharedSync, SyncOptions};
/// let store = earmark::postgres::Store::connect("postgres://me:secret@db/music")?;
/// store.migrate(&earmark::Config::default())?;
/// let report = SharedSync::new(&store)?.run(["/music"], &SyncOptions::default(), &())?;
/// println!("{report}");
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// Each puts the files that it finds into one [list](Queue), takes some, and adds what it makes of them,
/// until nothing is left to do for anyone. One that is killed leaves its files to the others, as soon as its
/// leases have ended. No file is done twice, and none is left out. Paths must mean the same files on
/// all machines.
///
/// Files that are new, or have another size or time, are decoded; a track's name is its
/// [path](crate::tags::track_name). Files are not compared by their contents here: one that was moved is decoded
/// again, and a copy is a track of its own. Batches that are due are [merged](Store::compact) meanwhile.
#[derive(Debug)]
pub struct SharedSync {
    store: Store,
    queue: Queue,
    memory_bytes: usize,
}

impl SharedSync {
    /// A sync of a collection, of which this process is one worker.
    ///
    /// # Errors
    /// Those of [`Queue::open`].
    pub fn new(store: &Store) -> Result<Self> {
        let queue = Queue::open(store)?;
        let memory_bytes = LibraryOptions::DEFAULT_MEMORY_BYTES;
        Ok(Self { store: store.clone(), queue, memory_bytes })
    }

    /// Memory that it may take, in bytes, as
    /// [`LibraryOptions::memory_bytes`](super::LibraryOptions::memory_bytes).
    #[must_use]
    pub fn memory_bytes(self, memory_bytes: usize) -> Self {
        Self { memory_bytes: memory_bytes.max(32_000_000), ..self }
    }

    /// Another way to work on the list: with other leases, or more tries.
    #[must_use]
    pub fn queue(self, queue: Queue) -> Self {
        Self { queue, ..self }
    }

    /// Puts what is below some roots into the list, works on it until it is done, and says what this process
    /// did. Without roots, it works on what is in the list. Files that fail are kept there, with
    /// their reasons. A connection that is lost is tried again for a minute.
    ///
    /// # Errors
    /// [`Error::Config`] for `verify_content`, which is not possible here. [`Error::Postgres`] where the server refuses, or is not there for too long. What was committed stays, and the next run goes
    /// on.
    pub fn run(
        &self,
        roots: impl IntoIterator<Item = impl AsRef<Path>>,
        options: &SyncOptions,
        progress: &dyn Progress,
    ) -> Result<SyncReport> {
        if options.verify_content {
            let expected = "false where many machines share a list of files".into();
            return Err(Error::Config { field: "verify_content", value: "true".into(), expected });
        }
        let begun = Instant::now();
        let roots: Vec<PathBuf> = roots.into_iter().map(|root| root.as_ref().into()).collect();
        let mut report = SyncReport::default();
        if options.retry {
            self.queue.retry_failed()?;
        }
        let scan = scan(&roots, |_| false, progress);
        self.put(&scan, &mut report, progress)?;
        report.scan_took = begun.elapsed();
        if !scan.cancelled {
            let worked = self.work(&mut report, options, progress);
            // What this one still has is for others. If that fails, its leases end.
            let released = self.queue.release();
            report.left = released.unwrap_or_default();
            worked?;
        }
        if options.prune && !report.cancelled {
            self.prune(&scan, &mut report)?;
        }
        progress.shared(&self.queue.progress()?);
        let totals = self.store.snapshot()?.totals()?;
        report.tracks = totals.tracks;
        report.tracks_s = totals.frames as f64 * totals.config.stft.hop_s();
        report.took = begun.elapsed();
        Ok(report)
    }

    /// Puts what was found into the list.
    fn put(&self, scan: &Scan, report: &mut SyncReport, progress: &dyn Progress) -> Result<()> {
        report.found = scan.files.len() as u64;
        report.cancelled = scan.cancelled;
        report.unavailable.clone_from(&scan.unread);
        for (path, taken) in &scan.other_names {
            let note = format!("left out: it is the same file as {}", super::paths::shown(taken));
            progress.noted(path, &note);
        }
        for path in &scan.special {
            progress.noted(path, "left out: it is no regular file");
        }
        if scan.cancelled {
            return Ok(());
        }
        let file =
            |found: &Found| QueueFile::new(&found.path, found.size, found.modified.nanoseconds());
        let put = self.queue.put(scan.files.iter().map(file))?;
        report.skipped = report.found.saturating_sub(put.new + put.changed);
        progress.planned(&Plan {
            found: report.found,
            skipped: report.skipped,
            files: put.new + put.changed,
            bytes: scan.files.iter().map(|file| file.size).sum(),
        });
        Ok(())
    }

    /// Removes what is gone below roots that could be read, and are not suddenly without any audio file.
    fn prune(&self, scan: &Scan, report: &mut SyncReport) -> Result<()> {
        let there: HashSet<&Path> = scan.files.iter().map(|file| file.path.as_path()).collect();
        let others: HashSet<&Path> = scan.other_names.iter().map(|(path, _)| &**path).collect();
        let holds_audio = |root: &&PathBuf| {
            let holds = there.iter().chain(&others).any(|path| path.starts_with(root));
            if !holds {
                let why = "it holds no audio file: nothing of it is removed".into();
                report.unavailable.push(((*root).clone(), why));
            }
            holds
        };
        let roots: Vec<&PathBuf> = scan.roots.iter().filter(holds_audio).collect();
        report.pruned = self.queue.forget(|path| {
            roots.iter().any(|root| path.starts_with(root))
                && !there.contains(path)
                && !scan.unread.iter().any(|(unread, _)| path.starts_with(unread))
        })?;
        Ok(())
    }

    fn work(
        &self,
        report: &mut SyncReport,
        options: &SyncOptions,
        progress: &dyn Progress,
    ) -> Result<()> {
        let setup = Setup {
            config: (*self.store.config()?).clone(),
            opener: Arc::clone(&options.opener),
            workers: options.worker_threads(),
            readers: options.readers,
            stuck_after: options.stuck_after,
            ahead_bytes: self.memory_bytes as u64 / 4,
            known: Arc::default(),
        };
        let (stop, stopped) = channel::<()>();
        let (batches, added) = channel::<()>();
        thread::scope(|scope| {
            let merging = scope.spawn(move || {
                let mut merged = Ok(());
                while added.recv().is_ok() {
                    while added.try_recv().is_ok() {}
                    merged = self.store.compact().map(drop);
                }
                merged
            });
            scope.spawn(move || {
                let every = self.queue.lease_time() / 3;
                while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    // If it fails, the next may not; leases that have ended are noticed in the end.
                    let _ = self.queue.renew();
                }
            });
            let mut working = Working {
                queue: &self.queue,
                batches: &batches,
                options,
                progress,
                report,
                claim: 4 * setup.workers + setup.readers,
                most_bytes: self.memory_bytes / 4,
                leases: HashMap::new(),
                made: Vec::new(),
                told: Vec::new(),
                made_bytes: 0,
                committed: Instant::now(),
                tell_at: Instant::now(),
            };
            let worked = pipeline::run_work(setup, &mut working).and_then(|()| working.commit());
            drop((stop, batches));
            // Another run may do that.
            if let Ok(Err(error)) = merging.join() {
                progress.noted(Path::new("batches"), &format!("not merged: {error}"));
            }
            worked
        })
    }
}

/// One process at work.
struct Working<'a> {
    queue: &'a Queue,
    /// Hears of each batch that is added.
    batches: &'a Sender<()>,
    options: &'a SyncOptions,
    progress: &'a dyn Progress,
    report: &'a mut SyncReport,
    /// Files that are taken from the list at once.
    claim: usize,
    most_bytes: usize,
    /// The files that are under way, by the numbers of their leases: one may be so twice, if it changes.
    leases: HashMap<i64, Lease>,
    /// What is to be added, with what is to be told then.
    made: Vec<(Lease, Tags, Fingerprint)>,
    told: Vec<FileDone>,
    made_bytes: usize,
    committed: Instant,
    tell_at: Instant,
}

impl Work for Working<'_> {
    fn more(&mut self) -> Result<More> {
        if self.report.cancelled {
            return Ok(More::End);
        }
        // Where files fail faster than that can be written down, others should have the rest.
        if self.leases.len() >= 2 * self.claim {
            return Ok(More::Later(SHORTLY));
        }
        let leases = patiently(self.progress, || self.queue.claim(self.claim))?;
        if leases.is_empty() {
            // Nobody should have to wait for what is made already.
            if self.leases.is_empty() {
                self.commit()?;
                // What it was given when a connection was lost, and does not know of.
                patiently(self.progress, || self.queue.release())?;
            }
            return Ok(match patiently(self.progress, || self.queue.is_ended())? {
                true => More::End,
                false => More::Later(LOOK_EVERY),
            });
        }
        let mut jobs = Vec::with_capacity(leases.len());
        for lease in leases {
            jobs.push(Job {
                path: lease.path.clone(),
                size: lease.bytes,
                hash_first: false,
                own_hash: None,
                decode: true,
                number: lease.number(),
            });
            self.leases.insert(lease.number(), lease);
        }
        Ok(More::Jobs(jobs))
    }

    fn hear(&mut self, job: &Job, event: Event) -> Result<bool> {
        match event {
            Event::Started(_) => self.progress.started(&job.path, job.size),
            Event::Decoding(_) => self.progress.decoding(&job.path),
            // Contents are not compared.
            Event::Known(..) | Event::Tick => {}
            Event::Taken(_, taken) => self.take(job, *taken),
            Event::Failed(_, failed) => self.fail(job, failed)?,
        }
        let due = self.made.len() >= self.options.commit_files.max(1)
            || self.made_bytes >= self.most_bytes
            || self.committed.elapsed() >= self.options.commit_every;
        if due {
            self.commit()?;
        }
        let now = Instant::now();
        if now >= self.tell_at {
            // It is of no use to stop for that.
            if let Ok(progress) = self.queue.progress() {
                self.progress.shared(&progress);
            }
            self.tell_at = now + TELL_EVERY.max(20 * now.elapsed());
        }
        self.report.cancelled |= self.progress.is_cancelled();
        Ok(!self.report.cancelled)
    }
}

impl Working<'_> {
    fn take(&mut self, job: &Job, taken: Taken) {
        let Some(lease) = self.leases.remove(&job.number) else { return };
        let Taken { tags, fingerprint, report, took, .. } = taken;
        if !report.is_complete() {
            self.report.partial += 1;
            self.progress.noted(&job.path, &format!("read in part: {report}"));
        }
        let audio_s = fingerprint.duration_s();
        self.told.push(FileDone { audio_s, took, ..FileDone::new(Action::Added, job.size) });
        self.made_bytes +=
            size_of_val(fingerprint.peaks()) + size_of_val(fingerprint.sub_fingerprints());
        self.made.push((lease, storable(tags), fingerprint));
    }

    fn fail(&mut self, job: &Job, failed: Failed) -> Result<()> {
        let Some(lease) = self.leases.remove(&job.number) else { return Ok(()) };
        let Failed { kind, reason, decoded_s, .. } = failed;
        let again = patiently(self.progress, || self.queue.fail(&lease, kind, &reason))?;
        match again {
            true => self.progress.noted(&job.path, &format!("put off: {reason}")),
            false => self.tell_failure(job.path.clone(), kind, reason, decoded_s),
        }
        Ok(())
    }

    fn tell_failure(&mut self, path: PathBuf, kind: FailureKind, reason: String, decoded_s: f64) {
        let failure = Failure { path, kind, reason, decoded_s };
        self.progress.failed(&failure);
        self.report.failures.push(failure);
    }

    /// Adds what was made so far.
    fn commit(&mut self) -> Result<()> {
        self.committed = Instant::now();
        if self.made.is_empty() {
            return Ok(());
        }
        let finished = patiently(self.progress, || self.queue.finish(&self.made))?;
        let _ = self.batches.send(());
        self.made_bytes = 0;
        let (made, told) = (std::mem::take(&mut self.made), std::mem::take(&mut self.told));
        for (((lease, ..), done), finished) in made.into_iter().zip(told).zip(finished) {
            match finished {
                Finished::Track(_) => {
                    self.report.count(&lease.path, &done);
                    self.progress.done(&lease.path, &done);
                }
                Finished::Lost => {
                    let note = "left out: its lease ended, it has changed, or it was done before";
                    self.progress.noted(&lease.path, note);
                }
                Finished::Failed(error) => {
                    let (kind, reason) = (FailureKind::Other, error.to_string());
                    self.tell_failure(lease.path, kind, reason, done.audio_s);
                }
            }
        }
        Ok(())
    }
}

/// Tags without what PostgreSQL does not store: some files part several artists by NUL.
fn storable(mut tags: Tags) -> Tags {
    let Tags { title, artist, album, isrc, musicbrainz_id, .. } = &mut tags;
    for text in [title, artist, album, isrc, musicbrainz_id].into_iter().flatten() {
        *text = text.trim_end_matches('\0').replace('\0', "; ");
    }
    tags
}
