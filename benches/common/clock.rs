//! Processor time, which says the same on a busy machine, and memory.

use std::time::Duration;

/// Time that this thread has had a processor. Where that is not known, the time that has passed.
pub fn thread_time() -> Duration {
    #[cfg(unix)]
    return of_clock(rustix::time::ClockId::ThreadCPUTime);
    #[cfg(not(unix))]
    passed()
}

/// Time that all threads together have had a processor. Where that is not known, the time that has passed.
pub fn process_time() -> Duration {
    #[cfg(unix)]
    return of_clock(rustix::time::ClockId::ProcessCPUTime);
    #[cfg(not(unix))]
    passed()
}

#[cfg(unix)]
fn of_clock(id: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn passed() -> Duration {
    static BEGUN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    BEGUN.get_or_init(std::time::Instant::now).elapsed()
}

/// Memory of this process that is no file's, in bytes: what it takes besides the page cache. None where
/// the system does not tell (it is Linux that does).
pub fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}
