//! Reads, decodes and fingerprints many files: readers, workers, and the thread that takes what they make.
//!
//! Readers read files ahead and hash them; a file that is known by its hash goes no farther. Workers decode
//! and fingerprint. The queues between them are bounded, by number and by bytes. Whoever makes no progress
//! for too long is given up: its file has failed, and a new thread takes its place. So threads are not
//! joined, and share what they need by `Arc`.

use super::decoding::Taken;
use super::options::Opener;
use super::report::FailureKind;
use crate::config::Config;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crew::{Crew, StopOnDrop};
pub(super) use crew::{Shared, Slot};

mod crew;

/// The thread that takes results looks up at least so often.
const TICK: Duration = Duration::from_millis(100);
/// So many threads may be given up in one run.
const MOST_ABANDONED: usize = 100;

/// A file that is to be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Job {
    pub path: PathBuf,
    pub size: u64,
    /// Its content is looked at before it is decoded, even if that means to read it twice.
    pub hash_first: bool,
    /// With this content, it is what it was.
    pub own_hash: Option<u128>,
    /// It is decoded whatever is known.
    pub decode: bool,
    /// What else it is known by, to who handed it in.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only leases have numbers"))]
    pub number: i64,
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

/// Whether there is more to do.
pub(super) enum More {
    Jobs(Vec<Job>),
    /// None now; perhaps after this time.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only shared lists grow"))]
    Later(Duration),
    End,
}

/// What is to be done, and who takes what is made.
pub(super) trait Work {
    /// Gives more jobs. Asked whenever few are waiting.
    fn more(&mut self) -> Result<More>;

    /// Hears what happens, until it says that it is enough.
    fn hear(&mut self, job: &Job, event: Event) -> Result<bool>;
}

/// Jobs that are all known at the beginning.
struct Known<S>(Option<Vec<Job>>, S);

impl<S: FnMut(&Job, Event) -> Result<bool>> Work for Known<S> {
    fn more(&mut self) -> Result<More> {
        Ok(self.0.take().map_or(More::End, More::Jobs))
    }

    fn hear(&mut self, job: &Job, event: Event) -> Result<bool> {
        (self.1)(job, event)
    }
}

/// Does all jobs, and tells `sink` on this thread what happens, until it says that it is enough.
///
/// # Errors
/// Those of `sink`; [`Error::Read`] where no thread can be made, or too many had to be given up.
pub(super) fn run(
    setup: Setup,
    jobs: Vec<Job>,
    sink: impl FnMut(&Job, Event) -> Result<bool>,
) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    run_work(setup, &mut Known(Some(jobs), sink))
}

/// As [`run`], with jobs that come as they are needed.
///
/// # Errors
/// Those of `work`, and as [`run`].
pub(super) fn run_work(setup: Setup, work: &mut dyn Work) -> Result<()> {
    let stuck_after = setup.stuck_after;
    // So many are waiting that no reader is idle before there are more.
    let few = setup.readers.max(1) + setup.workers.max(1);
    let shared = Shared::new(setup);
    let (events, incoming) = channel();
    let mut crew = Crew::new(&shared, events);
    let stop = StopOnDrop(Arc::clone(&shared));
    // The jobs that are not done, by their numbers.
    let mut open: HashMap<usize, Arc<Job>> = HashMap::new();
    let (mut jobs, mut abandoned, mut ended) = (0, 0, false);
    let (mut looked, mut ask_again) = (Instant::now(), Instant::now());
    loop {
        if !ended && shared.waiting() < few && Instant::now() >= ask_again {
            match work.more()? {
                More::Jobs(more) => {
                    for job in more.into_iter().map(Arc::new) {
                        open.insert(jobs, Arc::clone(&job));
                        shared.hand_out((jobs, job));
                        jobs += 1;
                    }
                    crew.hire_for(open.len())?;
                }
                More::Later(pause) => ask_again = Instant::now() + pause,
                More::End => {
                    ended = true;
                    shared.close();
                }
            }
        }
        if ended && open.is_empty() {
            break;
        }
        let event = match incoming.recv_timeout(TICK) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let number = match &event {
            Event::Started(i) | Event::Decoding(i) => Some((*i, false)),
            Event::Known(i, _) | Event::Taken(i, _) | Event::Failed(i, _) => Some((*i, true)),
            Event::Tick => None,
        };
        let goes_on = match number {
            None => work.hear(&Job::default(), event)?,
            Some((i, ends)) => {
                let job = if ends { open.remove(&i) } else { open.get(&i).cloned() };
                // What comes from a thread that was given up comes too late.
                job.map_or(Ok(true), |job| work.hear(&job, event))?
            }
        };
        if !goes_on {
            break;
        }
        if looked.elapsed() < TICK {
            continue;
        }
        looked = Instant::now();
        let mut goes_on = true;
        for (role, i) in crew.give_up_stuck() {
            abandoned += 1;
            if abandoned > MOST_ABANDONED {
                let why = format!("{abandoned} files made no progress; is the disk still there?");
                return Err(Error::Read(std::io::Error::other(why)));
            }
            crew.hire(role)?;
            if let Some(job) = open.remove(&i) {
                let waited_s = stuck_after.as_secs_f64();
                let reason = format!("no progress in {waited_s:.1} s");
                let kind = FailureKind::Stuck;
                let failed = Failed { kind, reason, decoded_s: 0.0, hash: None };
                goes_on &= work.hear(&job, Event::Failed(i, failed))?;
            }
        }
        if !goes_on {
            break;
        }
    }
    // They end when there is nothing to do for them.
    drop(stop);
    drop(incoming);
    crew.dismiss();
    Ok(())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
