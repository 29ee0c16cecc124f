//! How far the list is, and what failed.

use super::{Queue, no_path};
use crate::error::Result;
use crate::library::{FailureKind, path_of_bytes};
use ::postgres::types::Type;
use std::fmt;
use std::path::PathBuf;

/// How far the list is, for all machines together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueProgress {
    /// Files that wait. Of these, so many
    pub waiting: u64,
    /// were tried before.
    pub tried: u64,
    /// Files that are leased to workers.
    pub leased: u64,
    /// Files that are done.
    pub done: u64,
    /// Files that failed.
    pub failed: u64,
    /// Files that were done or failed in the last minute.
    pub last_minute: u64,
    /// Workers that have files.
    pub workers: u64,
}

impl QueueProgress {
    /// Number of all files.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.waiting + self.leased + self.done + self.failed
    }

    /// Whether there is nothing to do any more, for nobody.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.waiting + self.leased == 0
    }

    /// Files per second, over the last minute.
    #[must_use]
    pub fn files_per_s(&self) -> f64 {
        self.last_minute as f64 / 60.0
    }
}

/// As in "120 of 5000 files, 3 failed, 2 workers, 7.5 files/s".
impl fmt::Display for QueueProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} files", self.done + self.failed, self.files())?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        let s = if self.workers == 1 { "" } else { "s" };
        write!(f, ", {} worker{s}, {:.1} files/s", self.workers, self.files_per_s())
    }
}

/// A file that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFailure {
    /// The file.
    pub path: PathBuf,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What went wrong.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
}

impl Queue {
    /// How far the list is. The server looks at all of it: 17 ms for 100,000 files.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn progress(&self) -> Result<QueueProgress> {
        let statement = "
            SELECT count(*) FILTER (WHERE state = 'waiting'),
                count(*) FILTER (WHERE state = 'waiting' AND tries > 0),
                count(*) FILTER (WHERE state = 'leased'),
                count(*) FILTER (WHERE state = 'done'),
                count(*) FILTER (WHERE state = 'failed'),
                count(*) FILTER (WHERE due IS NULL AND ended_at > now() - interval '1 minute'),
                count(DISTINCT worker) FILTER (WHERE state = 'leased')
            FROM earmark.files";
        self.run("look at the list of files", |client, sql| {
            let row = client.query_typed_one(&sql(statement), &[])?;
            let count = |i: usize| row.try_get(i).map(|count: i64| count.max(0) as u64);
            Ok(QueueProgress {
                waiting: count(0)?,
                tried: count(1)?,
                leased: count(2)?,
                done: count(3)?,
                failed: count(4)?,
                last_minute: count(5)?,
                workers: count(6)?,
            })
        })
    }

    /// Whether there is nothing to do any more, for nobody.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn is_ended(&self) -> Result<bool> {
        let statement = "SELECT NOT EXISTS (SELECT FROM earmark.files WHERE due IS NOT NULL)";
        self.run("look at the list of files", |client, sql| {
            Ok(client.query_typed_one(&sql(statement), &[])?.try_get(0)?)
        })
    }

    /// The files that failed, so many at most, in the order of their names.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn failures(&self, most: usize) -> Result<Vec<QueueFailure>> {
        let statement = "
            SELECT name, path, failure, reason, tries FROM earmark.files
            WHERE state = 'failed' ORDER BY name LIMIT $1";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.run("list what failed", |client, sql| {
            let rows = client.query_typed(&sql(statement), &[(&most, Type::INT8)])?;
            let failure = |row: &::postgres::Row| {
                let kind: Option<&str> = row.try_get(2)?;
                let tries: i32 = row.try_get(4)?;
                Ok(QueueFailure {
                    path: path(row.try_get(0)?, row.try_get(1)?)?,
                    kind: FailureKind::named(kind.unwrap_or_default()),
                    reason: row.try_get::<_, Option<String>>(3)?.unwrap_or_default(),
                    tries: tries.max(0) as u32,
                })
            };
            rows.iter().map(failure).collect()
        })
    }

    /// Lets all files that failed wait again, as if they had not been tried; says how many they are.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn retry_failed(&self) -> Result<u64> {
        let statement = "
            UPDATE earmark.files SET state = 'waiting', due = now(), tries = 0
            WHERE state = 'failed'";
        self.run("try again what failed", |client, sql| {
            Ok(client.execute_typed(&sql(statement), &[])?)
        })
    }
}

/// The path of a name, which mostly is the name.
pub(super) fn path(name: &str, bytes: Option<&[u8]>) -> Result<PathBuf> {
    match bytes {
        None => Ok(name.into()),
        Some(bytes) => path_of_bytes(bytes.into()).ok_or_else(no_path),
    }
}
