//! One search of all shards: a thread for each, which answers after each look.

use super::super::config::MatchConfig;
use super::super::find::find_in_part;
use super::super::findings::Findings;
use super::{Shard, Source};
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// So many threads of a shard may be left that were given up.
const MOST_LATE: usize = 4;

/// Threads of a shard that were given up, as long as they run.
pub(super) type Late = Mutex<Vec<Weak<()>>>;

/// What a shard found: at a look that may be enough, or in all.
type Answered = (usize, Result<Findings>);

/// A thread that searches a shard.
struct Searching {
    /// Says whether a look was enough.
    enough: Sender<bool>,
    running: Weak<()>,
    /// Since when it works on its next answer; `None` while it waits to be told.
    since: Option<Instant>,
    /// How long it worked before.
    worked: Duration,
}

/// One search of all shards.
pub(super) struct Asked<'a> {
    shards: &'a [Shard],
    /// For each shard; `None` for one that failed.
    threads: Vec<Option<Searching>>,
    answers: Receiver<Answered>,
    failed: Vec<(usize, Error)>,
}

impl<'a> Asked<'a> {
    /// Begins with a quick look at each.
    pub fn new(shards: &'a [Shard], query: &Query, config: &MatchConfig) -> Self {
        let (sender, answers) = channel();
        let mut asked = Self { shards, threads: Vec::new(), answers, failed: Vec::new() };
        let search = Arc::new((query.clone(), config.clone()));
        for (part, shard) in shards.iter().enumerate() {
            let begun = begin(part, shard, &search, sender.clone());
            let thread = begun.map_err(|error| asked.failed.push((part, error))).ok();
            asked.threads.push(thread);
        }
        asked
    }

    /// Waits for the next answers of all that still search: their numbers, and what they found.
    pub fn collect(&mut self) -> (Vec<usize>, Vec<Findings>) {
        let mut found: Vec<(usize, Findings)> = Vec::new();
        while let Some(until) = self.next_deadline() {
            let answered = match until {
                None => self.answers.recv().map_err(RecvTimeoutError::from),
                Some(until) => self.answers.recv_timeout(until.duration_since(Instant::now())),
            };
            match answered {
                // From a thread that was given up, it comes too late.
                Ok((part, answer)) => {
                    let Some(thread) = &mut self.threads[part] else { continue };
                    thread.worked += thread.since.take().map_or(Duration::ZERO, |s| s.elapsed());
                    match answer {
                        Ok(findings) => found.push((part, findings)),
                        Err(error) => self.fail(part, error),
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.give_up_late(),
                // Each thread answers, whatever happens.
                Err(RecvTimeoutError::Disconnected) => {
                    let left = (0..self.threads.len()).filter(|&part| self.is_working(part));
                    for part in left.collect::<Vec<_>>() {
                        self.fail(part, no_answer("its thread is gone".into()));
                    }
                }
            }
        }
        found.sort_by_key(|(part, _)| *part);
        // Those of another calibration cannot be decided together with the others.
        let of = found.first().map(|(_, findings)| findings.clip.clone());
        let others = found.extract_if(.., |(_, findings)| Some(&findings.clip) != of.as_ref());
        for (part, _) in others.collect::<Vec<_>>() {
            self.fail(part, Error::OtherClip);
        }
        found.into_iter().unzip()
    }

    /// Lets all go on that have answered.
    pub fn tell(&mut self, enough: bool) {
        for thread in self.threads.iter_mut().flatten() {
            thread.since = Some(Instant::now());
            // One that is gone has sent why.
            let _ = thread.enough.send(enough);
        }
    }

    pub fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The shards that failed, in their order.
    pub fn into_failed(mut self) -> Vec<(usize, Error)> {
        self.failed.sort_by_key(|(part, _)| *part);
        self.failed
    }

    /// When the next of those that work will be late: never, if none has a limit; `None` where none works.
    fn next_deadline(&self) -> Option<Option<Instant>> {
        let working = (0..self.threads.len()).filter(|&part| self.is_working(part));
        let mut deadlines = working.map(|part| self.deadline(part)).peekable();
        deadlines.peek()?;
        Some(deadlines.flatten().min())
    }

    fn is_working(&self, part: usize) -> bool {
        self.threads[part].as_ref().is_some_and(|thread| thread.since.is_some())
    }

    fn deadline(&self, part: usize) -> Option<Instant> {
        let Searching { since, worked, .. } = self.threads[part].as_ref()?;
        since.as_ref()?.checked_add(self.shards[part].time_limit?.saturating_sub(*worked))
    }

    fn give_up_late(&mut self) {
        let now = Instant::now();
        for part in 0..self.threads.len() {
            if self.deadline(part).is_some_and(|deadline| deadline <= now) {
                let limit_s = self.shards[part].time_limit.unwrap_or_default().as_secs_f64();
                if let Some(thread) = &self.threads[part] {
                    lock(&self.shards[part].late).push(thread.running.clone());
                }
                self.fail(part, no_answer(format!("{limit_s} s have passed")));
            }
        }
    }

    fn fail(&mut self, part: usize, error: Error) {
        self.threads[part] = None;
        self.failed.push((part, error));
    }
}

fn begin(
    part: usize,
    shard: &Shard,
    search: &Arc<(Query, MatchConfig)>,
    answers: Sender<Answered>,
) -> Result<Searching> {
    let mut late = lock(&shard.late);
    late.retain(|thread| thread.strong_count() > 0);
    if late.len() >= MOST_LATE {
        let detail = format!("{} searches of it that were given up are still running", late.len());
        return Err(no_answer(detail));
    }
    drop(late);
    let (enough, is_enough) = channel();
    let run = Arc::new(());
    let running = Arc::downgrade(&run);
    let (source, search) = (shard.source.clone(), Arc::clone(search));
    let thread = move || {
        let _run = run;
        let first_answers = answers.clone();
        let searched = catch_unwind(AssertUnwindSafe(|| {
            let (query, config) = &*search;
            find(&source, query, config, |findings, _| {
                let gone = || no_answer("nobody waits for it any more".into());
                first_answers.send((part, Ok(findings))).map_err(|_| gone())?;
                is_enough.recv().map_err(|_| gone())
            })
        }));
        let panicked = || Err(no_answer("the search of it panicked".into()));
        let _ = answers.send((part, searched.unwrap_or_else(|_| panicked())));
    };
    let name = format!("earmark shard {part}");
    thread::Builder::new()
        .name(name)
        .spawn(thread)
        .map_err(|e| no_answer(format!("no thread for it: {e}")))?;
    Ok(Searching { enough, running, since: Some(Instant::now()), worked: Duration::ZERO })
}

fn find(
    source: &Source,
    query: &Query,
    config: &MatchConfig,
    is_enough: impl FnMut(Findings, f64) -> Result<bool>,
) -> Result<Findings> {
    match source {
        Source::Held(store) => find_in_part(&**store, query, config, is_enough),
        Source::Opened(open) => find_in_part(&*open()?, query, config, is_enough),
    }
}

fn no_answer(detail: String) -> Error {
    Error::NoAnswer { detail }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
