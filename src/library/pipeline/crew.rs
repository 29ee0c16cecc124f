//! The threads: readers, workers, and what they share.

use super::super::decoding;
use super::super::reading::{self, Audio};
use super::super::report::FailureKind;
use super::{Event, Failed, Job, Setup, lock};
use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// At the end, threads are waited for so long.
const LAST_WAIT: Duration = Duration::from_secs(2);
const IDLE: u64 = u64::MAX;

/// What all threads of a run share.
pub struct Shared {
    pub setup: Setup,
    pub stopped: AtomicBool,
    waiting: Waiting,
    budget: Budget,
    /// Workers that have something to do.
    busy: AtomicUsize,
    begun: Instant,
}

/// A job with its number.
type Numbered = (usize, Arc<Job>);

/// Jobs that no reader has taken yet.
#[derive(Default)]
struct Waiting {
    jobs: Mutex<VecDeque<Numbered>>,
    closed: AtomicBool,
    changed: Condvar,
}

impl Waiting {
    /// The next job, once there is one; `None` if no more come.
    fn take(&self) -> Option<Numbered> {
        let none_yet = |jobs: &mut VecDeque<_>| jobs.is_empty() && !self.closed.load(Relaxed);
        let waited = self.changed.wait_while(lock(&self.jobs), none_yet);
        waited.unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A thread, as the one that watches sees it.
pub struct Slot {
    begun: Instant,
    job: AtomicU64,
    beat_ms: AtomicU64,
    abandoned: AtomicBool,
    held: Mutex<Held>,
}

/// What a thread gives back when it is done with a file, or given up.
#[derive(Default)]
struct Held {
    permit: Option<Permit>,
    turns: Vec<Turn>,
}

impl Slot {
    fn new(begun: Instant) -> Arc<Self> {
        let (job, beat_ms) = (AtomicU64::new(IDLE), AtomicU64::new(0));
        Arc::new(Self { begun, job, beat_ms, abandoned: false.into(), held: Mutex::default() })
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

    /// Makes use of a worker that has nothing to do, if there is one, for the rest of this file.
    pub fn borrow_worker(&self, shared: &Arc<Shared>) -> bool {
        let workers = shared.setup.workers;
        let one_more = |busy: usize| (busy < workers).then_some(busy + 1);
        let there = shared.busy.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        if there {
            lock(&self.held).turns.push(Turn(Arc::clone(shared)));
        }
        there
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
pub struct Permit(Arc<Shared>, u64);

impl Drop for Permit {
    fn drop(&mut self) {
        *lock(&self.0.budget.used) -= self.1;
        self.0.budget.freed.notify_all();
    }
}

/// A worker that is busy. It is free again when this is dropped.
struct Turn(Arc<Shared>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    pub fn new(setup: Setup) -> Arc<Self> {
        let all = setup.ahead_bytes.max(1);
        let budget = Budget { all, used: Mutex::new(0), freed: Condvar::new() };
        let (waiting, begun) = (Waiting::default(), Instant::now());
        Arc::new(Self { setup, stopped: false.into(), waiting, budget, busy: 0.into(), begun })
    }

    /// Number of jobs that no reader has taken yet.
    pub fn waiting(&self) -> usize {
        lock(&self.waiting.jobs).len()
    }

    pub fn hand_out(&self, job: Numbered) {
        lock(&self.waiting.jobs).push_back(job);
        self.waiting.changed.notify_one();
    }

    /// No more jobs come.
    pub fn close(&self) {
        let jobs = lock(&self.waiting.jobs);
        self.waiting.closed.store(true, Relaxed);
        drop(jobs);
        self.waiting.changed.notify_all();
    }

    /// Files up to this size are read as a whole.
    pub fn most_in_memory(&self) -> u64 {
        self.budget.all / 2
    }

    fn turn(self: &Arc<Self>) -> Turn {
        self.busy.fetch_add(1, Relaxed);
        Turn(Arc::clone(self))
    }

    fn acquire(self: &Arc<Self>, bytes: u64) -> Permit {
        let full = |used: &mut u64| *used > 0 && *used + bytes > self.budget.all;
        let waited = self.budget.freed.wait_while(lock(&self.budget.used), full);
        *waited.unwrap_or_else(PoisonError::into_inner) += bytes;
        Permit(Arc::clone(self), bytes)
    }
}

/// A file that was opened, for a worker.
type Work = (Numbered, Audio, Option<Permit>);

/// Who takes the place of a thread that is given up.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    Reader,
    Worker,
}

pub(super) struct Crew {
    shared: Arc<Shared>,
    events: Sender<Event>,
    /// `None` once no reader is needed any more.
    work: Option<SyncSender<Work>>,
    queue: Arc<Mutex<Receiver<Work>>>,
    threads: Vec<(Role, Arc<Slot>, thread::JoinHandle<()>)>,
}

impl Crew {
    pub fn new(shared: &Arc<Shared>, events: Sender<Event>) -> Self {
        // A file that is read, and not yet decoded, is in memory: by number, these are few.
        let (work, queue) = sync_channel(2 * shared.setup.workers.max(1));
        let (shared, queue) = (Arc::clone(shared), Arc::new(Mutex::new(queue)));
        Self { shared, events, work: Some(work), queue, threads: Vec::new() }
    }

    /// As many threads as so many jobs need.
    pub fn hire_for(&mut self, jobs: usize) -> Result<()> {
        let Setup { readers, workers, .. } = self.shared.setup;
        for (role, most) in [(Role::Reader, readers), (Role::Worker, workers)] {
            let mut there = self.threads.iter().filter(|(own, ..)| *own == role).count();
            while there < most.max(1).min(jobs) {
                self.hire(role)?;
                there += 1;
            }
        }
        Ok(())
    }

    /// Gives up the threads that are stuck: who they are, and with which jobs.
    pub fn give_up_stuck(&mut self) -> Vec<(Role, usize)> {
        let stuck_after = self.shared.setup.stuck_after;
        let mut gone = Vec::new();
        self.threads.retain(|(role, slot, _)| match slot.stuck(stuck_after) {
            Some(i) => {
                slot.abandoned.store(true, Relaxed);
                drop(std::mem::take(&mut *lock(&slot.held)));
                gone.push((*role, i));
                false
            }
            None => true,
        });
        gone
    }

    /// Waits for them, as long as it is worth.
    pub fn dismiss(self) {
        let Self { threads, queue, work, .. } = self;
        drop(work);
        drop(queue);
        let wait_until = Instant::now() + LAST_WAIT;
        for (_, _, thread) in threads {
            while !thread.is_finished() && Instant::now() < wait_until {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub fn hire(&mut self, role: Role) -> Result<()> {
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
        let Some((i, job)) = shared.waiting.take() else { return };
        let small = job.size <= shared.most_in_memory();
        let permit = small.then(|| shared.acquire(job.size));
        lock(&slot.held).permit = permit;
        slot.begin(shared, i);
        let _ = events.send(Event::Started(i));
        // What opens and reads files may be the caller's.
        let opened = catch_unwind(AssertUnwindSafe(|| reading::open(shared, slot, &job)));
        let opened = opened.unwrap_or_else(|_| {
            let (kind, reason) = (FailureKind::Panicked, "reading it panicked".into());
            Err(Failed { kind, reason, decoded_s: 0.0, hash: None })
        });
        slot.rest();
        let permit = lock(&slot.held).permit.take();
        if slot.abandoned.load(Relaxed) {
            return;
        }
        let sent = match opened {
            Ok(reading::Opened::Audio(audio)) => work.send(((i, job), audio, permit)).is_ok(),
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
        let Ok(((i, job), audio, permit)) = lock(queue).recv() else { return };
        *lock(&slot.held) = Held { permit, turns: vec![shared.turn()] };
        slot.begin(shared, i);
        let _ = events.send(Event::Decoding(i));
        let taken = decoding::take(shared, slot, &job, audio, &mut fingerprinter);
        slot.rest();
        drop(std::mem::take(&mut *lock(&slot.held)));
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

/// Lets every thread end, however the run does.
pub(super) struct StopOnDrop(pub Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Relaxed);
        self.0.close();
    }
}
