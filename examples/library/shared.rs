//! Collections in PostgreSQL that many machines fill.

use crate::Format;
use crate::bar::Bar;
use crate::commands::print;
use crate::interruption::Interruption;
use crate::text::{complain, shown};
use crate::{Progress, Sync};
use earmark::library::{SharedSync, SyncOptions};
use earmark::postgres::{Queue, Store};
use earmark::{Config, Error};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Syncs into the collection at a URL.
pub fn sync(url: &str, paths: &[&Path], options: &Sync, how: &SyncOptions) -> Result<u8, String> {
    let interruption = Interruption::listen().map_err(|e| e.to_string())?;
    let store = Store::connect(url).map_err(|e| e.to_string())?;
    // One that is there may have another analysis.
    if let Err(Error::Postgres { .. }) = store.config() {
        store.migrate(&Config::default()).map_err(|e| e.to_string())?;
    }
    let lease = Duration::try_from_secs_f64(options.lease).map_err(|e| format!("--lease: {e}"))?;
    let queue = Queue::open(&store).map_err(|e| e.to_string())?.lease(lease);
    let sync = SharedSync::new(&store).map_err(|e| e.to_string())?;
    let sync = sync.queue(queue.clone()).memory_bytes(options.memory.saturating_mul(1_000_000));
    let bar = Bar::new(&interruption);
    let report = sync.run(paths, how, &bar).map_err(|e| e.to_string());
    drop(bar);
    let report = report?;
    let progress = queue.progress().map_err(|e| e.to_string())?;
    print(&match options.format {
        Format::Text => format!("{report}\nall machines: {progress}"),
        Format::Json => report.to_json(),
    })?;
    if report.cancelled {
        complain("interrupted: what it had was given back to the list, and the others go on");
        return Ok(interruption.exit_code());
    }
    Ok(u8::from(!report.failures.is_empty() || !report.unavailable.is_empty()))
}

/// Says how far the list is, and what failed.
pub fn progress(options: &Progress) -> Result<u8, String> {
    let store = Store::connect(&options.store).map_err(|e| e.to_string())?;
    let queue = Queue::open(&store).map_err(|e| e.to_string())?;
    let progress = queue.progress().map_err(|e| e.to_string())?;
    let failures = queue.failures(options.failures).map_err(|e| e.to_string())?;
    match options.format {
        Format::Text => {
            print(&progress.to_string())?;
            for failure in &failures {
                let (path, kind) = (shown(&failure.path), failure.kind.name());
                print(&format!("failed, {kind}: {path}: {}", failure.reason))?;
            }
        }
        Format::Json => {
            let failure = |failure: &earmark::postgres::QueueFailure| {
                json!({
                    "path": shown(&failure.path), "kind": failure.kind.name(),
                    "reason": failure.reason, "tries": failure.tries,
                })
            };
            let value = json!({
                "waiting": progress.waiting, "leased": progress.leased, "done": progress.done,
                "failed": progress.failed, "workers": progress.workers,
                "files_per_s": progress.files_per_s(),
                "failures": failures.iter().map(failure).collect::<Vec<_>>(),
            });
            print(&value.to_string())?;
        }
    }
    Ok(u8::from(progress.failed > 0))
}
