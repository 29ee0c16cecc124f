//! Work on many threads, results in order, and a limited number of them waiting.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

/// So many items per thread may be under way or waiting for an earlier one: enough that all threads
/// are busy while one of them is at an item that takes hundreds of times longer than most.
const WINDOW_PER_JOB: usize = 256;

/// The number of threads asked for, or else one per core.
pub fn jobs_or_all_cores(jobs: Option<NonZeroUsize>) -> usize {
    jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// Calls `work` for each item, on `jobs` threads, each with a state made by `start`; hands the
/// results to `sink` on this thread, in the order of the items.
///
/// # Errors
/// The first of `sink`'s, which ends the work.
pub fn in_order<T: Sync, R: Send, W, E>(
    items: &[T],
    jobs: usize,
    start: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, &T) -> R + Sync,
    mut sink: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let gate = Gate { items: items.len(), window: WINDOW_PER_JOB * jobs, ..Gate::default() };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let _stop = StopOnDrop(&gate);
        for _ in 0..jobs.min(items.len()) {
            let sender = sender.clone();
            scope.spawn(|| {
                let _stop = StopOnDrop(&gate);
                let sender = sender;
                let mut state = start();
                while let Some(i) = gate.take() {
                    if sender.send((i, work(&mut state, &items[i]))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        for (i, result) in receiver {
            waiting.insert(i, result);
            while let Some(result) = waiting.remove(&next) {
                sink(&items[next], result)?;
                next += 1;
                gate.pass(next);
            }
        }
        Ok(())
    })
}

/// Hands out the numbers of the items, no farther ahead of the sink than the window.
#[derive(Default)]
struct Gate {
    items: usize,
    window: usize,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    taken: usize,
    passed: usize,
    stopped: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<usize> {
        let closed =
            |s: &mut State| !s.stopped && s.taken < self.items && s.taken >= s.passed + self.window;
        let waited = self.moved.wait_while(self.lock(), closed);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped || state.taken >= self.items {
            return None;
        }
        state.taken += 1;
        Some(state.taken - 1)
    }

    fn pass(&self, passed: usize) {
        self.lock().passed = passed;
        self.moved.notify_all();
    }
}

/// Lets every thread end when one does: at the end, at an error, and in a panic.
struct StopOnDrop<'a>(&'a Gate);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.moved.notify_all();
    }
}
