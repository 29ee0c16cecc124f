//! A server that is restarted, or a network that is gone for a moment, ends no work of hours.

use super::super::progress::Progress;
use crate::error::{Error, Result};
use std::thread;
use std::time::{Duration, Instant};

/// A lost connection is tried again so often,
const PAUSE: Duration = Duration::from_secs(1);
/// and for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does something that may be done again, until the server is there; for a minute at most.
pub(super) fn patiently<T>(
    progress: &dyn Progress,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let result = attempt();
        let Err(error) = &result else { return result };
        if !is_lost(error) || begun.elapsed() >= PATIENCE || progress.is_cancelled() {
            return result;
        }
        thread::sleep(PAUSE);
    }
}

/// Whether the server may be there again later.
fn is_lost(error: &Error) -> bool {
    let Error::Postgres { sqlstate, .. } = error else { return false };
    match sqlstate.as_deref() {
        None => true,
        // Lost connections, servers that stop or start, too many connections, other writers in the way.
        Some(code) => ["08", "57P", "53300", "40"].iter().any(|class| code.starts_with(class)),
    }
}
