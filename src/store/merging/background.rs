//! A merge that goes on in a thread of its own, one at a time.

use super::{MergeTask, Merged};
use crate::error::Result;
use crate::store::snapshot::Part;
use std::io::{self, Write};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};

/// Holds the merge that is running, if one is. Dropped, it stops it, and waits until it has.
#[derive(Debug, Default)]
pub(in crate::store) struct Background {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<Result<Merged>>,
    stop: Arc<AtomicBool>,
    /// The numbers of the segments that become one.
    old: Vec<u64>,
}

impl Background {
    /// Begins a merge.
    ///
    /// # Errors
    /// Where there can be no thread. Nothing was done then.
    pub fn start(&mut self, task: MergeTask) -> io::Result<()> {
        debug_assert!(self.running.is_none(), "one at a time");
        let stop = Arc::new(AtomicBool::new(false));
        let old = task.parts.iter().map(|part| part.known.number).collect();
        let told = stop.clone();
        let thread =
            Builder::new().name("earmark merge".into()).spawn(move || task.run_until(&told))?;
        self.running = Some(Running { thread, stop, old });
        Ok(())
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    #[cfg(test)]
    pub fn is_done(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.thread.is_finished())
    }

    /// The parts that are merged, by their places among all.
    pub fn parts(&self, parts: &[Part]) -> Option<Range<usize>> {
        let old = &self.running.as_ref()?.old;
        let is_old = |part: &Part| old.contains(&part.known.number);
        let first = parts.iter().position(is_old)?;
        Some(first..parts.iter().rposition(is_old)? + 1)
    }

    /// What has been made, if it is done; or when it is, if that is to be waited for.
    pub fn take(&mut self, wait: bool) -> Option<Result<Merged>> {
        let running = self.running.take_if(|running| wait || running.thread.is_finished())?;
        // A panic goes on where it would have been without a thread.
        Some(running.thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Stops the merge. What it has written is removed.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.stop.store(true, Relaxed);
        if let Ok(Ok(merged)) = running.thread.join() {
            merged.remove();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Writes until it is told to stop.
pub(super) struct Stoppable<'s, W> {
    pub out: W,
    pub stop: &'s AtomicBool,
}

impl<W: Write> Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Relaxed) {
            return Err(io::Error::other("the merge was stopped"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
