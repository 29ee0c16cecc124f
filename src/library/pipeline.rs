//! Reads, decodes and fingerprints many files: readers, workers, and the thread that takes what they make.
//!
//! Readers read files ahead and hash them; a file that is known by its hash goes no farther. Workers decode
//! and fingerprint. The queues between them are bounded, by number and by bytes. Whoever makes no progress
//! for too long is given up: its file has failed, and a new thread takes its place. So threads are not
//! joined, and share what they need by `Arc`.

use super::decoding::{self, Taken};
use super::options::Opener;
use super::reading::{self, Audio};
use super::report::FailureKind;
use crate::config::Config;
use crate::error::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The thread that takes results looks up at least so often.
const TICK: Duration = Duration::from_millis(100);
/// So many threads may be given up in one run.
const MOST_ABANDONED: usize = 100;
/// At the end, threads are waited for so long.
const LAST_WAIT: Duration = Duration::from_secs(2);
const IDLE: u64 = u64::MAX;

/// A file that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub path: PathBuf,
    pub size: u64,
    /// Its content is looked at before it is decoded, even if that means to read it twice.
    pub hash_first: bool,
    /// With this content, it is what it was.
    pub own_hash: Option<u128>,
    /// It is decoded whatever is known.
    pub decode: bool,
}

/// What happens, in any order of files.
pub(super) enum Event {
    Started(usize),
    Decoding(usize),
    /// Its content is that of a file that was read before.
    Known(usize, u128),
    Taken(usize, Box<Taken>),
    Failed(usize, Failed),
    /// Some time has passed.
    Tick,
}

/// Why a file failed.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub kind: FailureKind,
    pub reason: String,
    pub decoded_s: f64,
    pub hash: Option<u128>,
}

/// What a run needs.
#[derive(Clone)]
pub(super) struct Setup {
    pub config: Config,
    pub opener: Opener,
    pub workers: usize,
    pub readers: usize,
    pub stuck_after: Duration,
    /// Bytes of files that are read ahead, at most.
    pub ahead_bytes: u64,
    /// Files by the hashes of their contents.
    pub known: Arc<Mutex<HashMap<u128, PathBuf>>>,
}

/// What all threads of a run share.
pub(super) struct Shared {
    pub setup: Setup,
    pub jobs: Vec<Job>,
    pub stopped: AtomicBool,
    waiting: Mutex<VecDeque<usize>>,
    budget: Budget,
    begun: Instant,
}

/// A thread, as the one that watches sees it.
pub(super) struct Slot {
    begun: Instant,
    job: AtomicU64,
    beat_ms: AtomicU64,
    abandoned: AtomicBool,
    permit: Mutex<Option<Permit>>,
}

impl Slot {
    fn new(begun: Instant) -> Arc<Self> {
        let (job, beat_ms) = (AtomicU64::new(IDLE), AtomicU64::new(0));
        Arc::new(Self { begun, job, beat_ms, abandoned: false.into(), permit: None.into() })
    }

    /// Says that it goes on.
    pub fn touch(&self) {
        self.beat_ms.store(self.begun.elapsed().as_millis() as u64, Relaxed);
    }

    /// Says that it goes on; whether it should.
    pub fn beat(&self, shared: &Shared) -> bool {
        self.touch();
        !shared.stopped.load(Relaxed) && !self.abandoned.load(Relaxed)
    }

    fn begin(&self, shared: &Shared, job: usize) {
        self.beat(shared);
        self.job.store(job as u64, Relaxed);
    }

    fn rest(&self) {
        self.job.store(IDLE, Relaxed);
    }

    /// The job that it is stuck with.
    fn stuck(&self, after: Duration) -> Option<usize> {
        let job = self.job.load(Relaxed);
        let silent_ms =
            (self.begun.elapsed().as_millis() as u64).saturating_sub(self.beat_ms.load(Relaxed));
        (job != IDLE && u128::from(silent_ms) > after.as_millis()).then_some(job as usize)
    }
}

/// Bytes that may be in memory.
struct Budget {
    all: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// Some of them. They are given back when it is dropped.
pub(super) struct Permit(Arc<Shared>, u64);

impl Drop for Permit {
    fn drop(&mut self) {
        *lock(&self.0.budget.used) -= self.1;
        self.0.budget.freed.notify_all();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Files up to this size are read as a whole.
    pub fn most_in_memory(&self) -> u64 {
        self.budget.all / 2
    }

    fn acquire(self: &Arc<Self>, bytes: u64) -> Permit {
        let full = |used: &mut u64| *used > 0 && *used + bytes > self.budget.all;
        let waited = self.budget.freed.wait_while(lock(&self.budget.used), full);
        *waited.unwrap_or_else(PoisonError::into_inner) += bytes;
        Permit(Arc::clone(self), bytes)
    }
}

/// A file that was opened, for a worker.
type Work = (usize, Audio, Option<Permit>);

/// Who takes the place of a thread that is given up.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Reader,
    Worker,
}

struct Crew {
    shared: Arc<Shared>,
    events: Sender<Event>,
    /// `None` once no reader is needed any more.
    work: Option<SyncSender<Work>>,
    queue: Arc<Mutex<Receiver<Work>>>,
    threads: Vec<(Role, Arc<Slot>, thread::JoinHandle<()>)>,
}

impl Crew {
    fn hire(&mut self, role: Role) -> Result<()> {
        let slot = Slot::new(self.shared.begun);
        let (shared, events, own) =
            (Arc::clone(&self.shared), self.events.clone(), Arc::clone(&slot));
        let thread = match role {
            Role::Reader => {
                let Some(work) = self.work.clone() else { return Ok(()) };
                thread::Builder::new()
                    .name("earmark reader".into())
                    .spawn(move || read(&shared, &own, &events, &work))
            }
            Role::Worker => {
                let queue = Arc::clone(&self.queue);
                thread::Builder::new()
                    .name("earmark worker".into())
                    .spawn(move || work(&shared, &own, &events, &queue))
            }
        };
        self.threads.push((role, slot, thread.map_err(Error::Read)?));
        Ok(())
    }
}

/// Reads files and hands them on.
fn read(shared: &Arc<Shared>, slot: &Slot, events: &Sender<Event>, work: &SyncSender<Work>) {
    while !shared.stopped.load(Relaxed) && !slot.abandoned.load(Relaxed) {
        let Some(i) = lock(&shared.waiting).pop_front() else { return };
        let job = &shared.jobs[i];
        let small = job.size <= shared.most_in_memory();
        let permit = small.then(|| shared.acquire(job.size));
        *lock(&slot.permit) = permit;
        slot.begin(shared, i);
        let _ = events.send(Event::Started(i));
        // What opens and reads files may be the caller's.
        let opened = catch_unwind(AssertUnwindSafe(|| reading::open(shared, slot, job)));
        let opened = opened.unwrap_or_else(|_| {
            let (kind, reason) = (FailureKind::Panicked, "reading it panicked".into());
            Err(Failed { kind, reason, decoded_s: 0.0, hash: None })
        });
        slot.rest();
        let permit = lock(&slot.permit).take();
        if slot.abandoned.load(Relaxed) {
            return;
        }
        let sent = match opened {
            Ok(reading::Opened::Audio(audio)) => work.send((i, audio, permit)).is_ok(),
            Ok(reading::Opened::Known(hash)) => events.send(Event::Known(i, hash)).is_ok(),
            Ok(reading::Opened::Stopped) => return,
            Err(failed) => events.send(Event::Failed(i, failed)).is_ok(),
        };
        if !sent {
            return;
        }
    }
}

/// Decodes and fingerprints files.
fn work(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    events: &Sender<Event>,
    queue: &Mutex<Receiver<Work>>,
) {
    let mut fingerprinter = None;
    while !shared.stopped.load(Relaxed) && !slot.abandoned.load(Relaxed) {
        let Ok((i, audio, permit)) = lock(queue).recv() else { return };
        *lock(&slot.permit) = permit;
        slot.begin(shared, i);
        let _ = events.send(Event::Decoding(i));
        let taken = decoding::take(shared, slot, &shared.jobs[i], audio, &mut fingerprinter);
        slot.rest();
        lock(&slot.permit).take();
        if slot.abandoned.load(Relaxed) {
            return;
        }
        let sent = match taken {
            Ok(Some(taken)) => events.send(Event::Taken(i, Box::new(taken))),
            Ok(None) => return,
            Err(failed) => events.send(Event::Failed(i, failed)),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Does all jobs, and tells `sink` on this thread what happens, until it says that it is enough.
///
/// # Errors
/// Those of `sink`; [`Error::Read`] where no thread can be made, or too many had to be given up.
pub(super) fn run(
    setup: Setup,
    jobs: Vec<Job>,
    mut sink: impl FnMut(&Job, Event) -> Result<bool>,
) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let all = setup.ahead_bytes.max(1);
    let budget = Budget { all, used: Mutex::new(0), freed: Condvar::new() };
    let stuck_after = setup.stuck_after;
    let (readers, workers) = (setup.readers.max(1), setup.workers.max(1));
    let waiting = Mutex::new((0..jobs.len()).collect());
    let begun = Instant::now();
    let shared = Arc::new(Shared { setup, jobs, stopped: false.into(), waiting, budget, begun });
    let (events, incoming) = channel();
    // A file that is read, and not yet decoded, is in memory: by number, these are few.
    let (work, queue) = sync_channel(2 * workers);
    let queue = Arc::new(Mutex::new(queue));
    let mut crew =
        Crew { shared: Arc::clone(&shared), events, work: Some(work), queue, threads: Vec::new() };
    let stop = StopOnDrop(Arc::clone(&shared));
    for _ in 0..readers.min(shared.jobs.len()) {
        crew.hire(Role::Reader)?;
    }
    for _ in 0..workers.min(shared.jobs.len()) {
        crew.hire(Role::Worker)?;
    }
    let mut done = vec![false; shared.jobs.len()];
    let (mut left, mut abandoned) = (done.len(), 0);
    let mut looked = Instant::now();
    while left > 0 {
        let event = match incoming.recv_timeout(TICK) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let (i, ends) = match &event {
            Event::Started(i) | Event::Decoding(i) => (*i, false),
            Event::Known(i, _) | Event::Taken(i, _) | Event::Failed(i, _) => (*i, true),
            Event::Tick => (0, false),
        };
        // What comes from a thread that was given up comes too late.
        let late = done[i] && !matches!(event, Event::Tick);
        if ends && !late {
            done[i] = true;
            left -= 1;
        }
        if !late && !sink(&shared.jobs[i], event)? {
            break;
        }
        if looked.elapsed() < TICK {
            continue;
        }
        looked = Instant::now();
        let mut gone = Vec::new();
        crew.threads.retain(|(role, slot, _)| match slot.stuck(stuck_after) {
            Some(i) => {
                slot.abandoned.store(true, Relaxed);
                lock(&slot.permit).take();
                gone.push((*role, i));
                false
            }
            None => true,
        });
        for (role, i) in gone {
            abandoned += 1;
            if abandoned > MOST_ABANDONED {
                let why = format!("{abandoned} files made no progress; is the disk still there?");
                return Err(Error::Read(std::io::Error::other(why)));
            }
            crew.hire(role)?;
            if !std::mem::replace(&mut done[i], true) {
                left -= 1;
                let waited_s = stuck_after.as_secs_f64();
                let reason = format!("no progress in {waited_s:.1} s");
                let kind = FailureKind::Stuck;
                let failed = Failed { kind, reason, decoded_s: 0.0, hash: None };
                if !sink(&shared.jobs[i], Event::Failed(i, failed))? {
                    left = 0;
                }
            }
        }
    }
    // They end when there is nothing to do for them.
    drop(stop);
    drop(incoming);
    let Crew { threads, queue, work, .. } = crew;
    drop(work);
    drop(queue);
    let wait_until = Instant::now() + LAST_WAIT;
    for (_, _, thread) in threads {
        while !thread.is_finished() && Instant::now() < wait_until {
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Lets every thread end, however the run does.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Relaxed);
    }
}
