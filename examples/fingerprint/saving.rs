//! When to save during a long run.

use earmark::HashIndex;
use std::path::Path;
use std::time::{Duration, Instant};

/// So soon is saved for the first time; each pause is twice the one before,
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// up to this,
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// or longer where the index is so large that saving takes longer than this share of it.
const PAUSE_PER_SAVING: u32 = 20;

/// Saves an index every now and then.
pub struct Saving<'a> {
    path: &'a Path,
    last: Instant,
    pause: Duration,
    due_after: Duration,
}

impl<'a> Saving<'a> {
    pub fn new(path: &'a Path) -> Self {
        Self { path, last: Instant::now(), pause: FIRST_PAUSE, due_after: FIRST_PAUSE }
    }

    /// Saves if it is time.
    ///
    /// # Errors
    /// Those of saving.
    pub fn if_due(&mut self, index: &mut HashIndex) -> Result<(), String> {
        if self.last.elapsed() < self.due_after {
            return Ok(());
        }
        let begun = Instant::now();
        self.now(index)?;
        self.last = Instant::now();
        self.pause = LONGEST_PAUSE.min(2 * self.pause);
        self.due_after = self.pause.max(PAUSE_PER_SAVING * (self.last - begun));
        Ok(())
    }

    /// Saves.
    ///
    /// # Errors
    /// [`earmark::Error::Io`], as text.
    pub fn now(&self, index: &mut HashIndex) -> Result<(), String> {
        index.save(self.path).map_err(|e| e.to_string())
    }
}
