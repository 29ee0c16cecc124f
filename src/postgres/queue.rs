//! The list of files that many machines work on, in the same database as what they make of them.
//!
//! A file waits, is leased to a worker, and is done or failed in the end. A lease ends by itself unless it is
//! renewed: then the file is another worker's. Tracks are added in the transaction that marks their files as
//! done, so that a worker that ends at any moment adds no track twice and leaves none out.

use super::Store;
use super::failure::Failure;
use crate::error::{Error, Result};
use crate::library::FailureKind;
use ::postgres::types::{ToSql, Type};
use std::path::PathBuf;
use std::time::Duration;

pub use finishing::Finished;
pub use listing::{QueueFailure, QueueProgress};
pub use putting::{QueueFile, QueuePut};

mod finishing;
mod forgetting;
mod listing;
mod putting;

/// A parameter of a statement.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Reasons are cut here, in bytes.
const MOST_REASON_BYTES: usize = 2000;

/// A list of files in a database, and one who works on it.
///
/// ```no_run
/// use earmark::library::FailureKind;
/// use earmark::postgres::{Queue, QueueFile, Store};
/// # fn make(_: &std::path::Path) -> Result<(earmark::Tags, earmark::Fingerprint), String> { todo!() }
/// let store = Store::connect("postgres://me:secret@db/music")?;
/// let queue = Queue::open(&store)?;
/// queue.put(std::iter::once(QueueFile::new("/music/song.flac", 30_000_000, 0)))?;
/// loop {
///     let leases = queue.claim(50)?;
///     if leases.is_empty() {
///         break;
///     }
///     let mut made = Vec::new();
///     for lease in leases {
///         match make(&lease.path) {
///             Ok((tags, fingerprint)) => made.push((lease, tags, fingerprint)),
///             Err(reason) => {
///                 queue.fail(&lease, FailureKind::Undecodable, &reason)?;
///             }
///         }
///         queue.renew()?; // More often than leases end.
///     }
///     queue.finish(&made)?;
/// }
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// What does all of this with folders of music is [`library::SharedSync`](crate::library::SharedSync).
#[derive(Clone, Debug)]
pub struct Queue {
    store: Store,
    worker: i64,
    lease: Duration,
    most_tries: u32,
    retry_after: Duration,
}

/// A file that one works on until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The file.
    pub path: PathBuf,
    /// Its size when it was put into the list.
    pub bytes: u64,
    /// How often it was leased, this time included.
    pub tries: u32,
    hash: Vec<u8>,
    number: i64,
}

impl Lease {
    /// A number that no other lease has.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }
}

impl Queue {
    /// How long a lease lasts unless set otherwise.
    pub const LEASE: Duration = Duration::from_secs(60);
    /// How often a file is tried unless set otherwise.
    pub const MOST_TRIES: u32 = 5;
    /// How long a file that could not be read waits unless set otherwise.
    pub const RETRY_AFTER: Duration = Duration::from_secs(10);

    /// Opens the list of a collection, as a new worker. A clone is the same worker.
    ///
    /// # Errors
    /// [`Error::Postgres`] where there is no collection yet or the server refuses, [`Error::Version`].
    pub fn open(store: &Store) -> Result<Self> {
        store.config()?;
        let statement = "SELECT nextval('earmark.leases')";
        let worker = store.run("open the list of files", |client| {
            Ok(client.query_typed_one(&store.sql(statement), &[])?.try_get(0)?)
        })?;
        Ok(Self {
            store: store.clone(),
            worker,
            lease: Self::LEASE,
            most_tries: Self::MOST_TRIES,
            retry_after: Self::RETRY_AFTER,
        })
    }

    /// How long a lease lasts, from 1 ms. So long a file is idle whose worker was killed. Default:
    /// [`LEASE`](Self::LEASE).
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease: lease.max(Duration::from_millis(1)), ..self }
    }

    /// How often a file is tried, once at least, if its workers end before it is done, or it cannot be read.
    /// Then it has failed. Default: [`MOST_TRIES`](Self::MOST_TRIES).
    #[must_use]
    pub fn most_tries(self, tries: u32) -> Self {
        Self { most_tries: tries.max(1), ..self }
    }

    /// How long a file that could not be read waits before it is tried again. Default:
    /// [`RETRY_AFTER`](Self::RETRY_AFTER).
    #[must_use]
    pub fn retry_after(self, pause: Duration) -> Self {
        Self { retry_after: pause, ..self }
    }

    /// How long a lease lasts.
    #[must_use]
    pub fn lease_time(&self) -> Duration {
        self.lease
    }

    /// Takes so many files at most that wait, or whose leases have ended; none that another worker has.
    /// Files that were tried too often are marked as failed on the way.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::Corrupt`], as for all functions here.
    pub fn claim(&self, most: usize) -> Result<Vec<Lease>> {
        loop {
            let mut leases = self.take(most)?;
            let all = leases.len();
            let tired: Vec<Lease> =
                leases.extract_if(.., |lease| lease.tries > self.most_tries).collect();
            if !tired.is_empty() {
                let reason = format!(
                    "given up: {} workers that had it ended before it was done",
                    self.most_tries
                );
                self.end_as_failed(&tired, FailureKind::Other, &reason)?;
            }
            if !leases.is_empty() || all == 0 {
                return Ok(leases);
            }
        }
    }

    fn take(&self, most: usize) -> Result<Vec<Lease>> {
        let statement = "
            WITH next AS MATERIALIZED (
                SELECT hash FROM earmark.files WHERE due <= now() ORDER BY due
                LIMIT $3 FOR UPDATE SKIP LOCKED
            )
            UPDATE earmark.files f SET
                state = 'leased', worker = $1, lease = nextval('earmark.leases'),
                tries = least(f.tries, 1000000000) + 1,
                due = clock_timestamp() + make_interval(secs => $2)
            FROM next WHERE f.hash = next.hash
            RETURNING f.hash, f.name, f.path, f.bytes, f.tries, f.lease";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let parameters: [Parameter<'_>; 3] = [
            (&self.worker, Type::INT8),
            (&self.lease.as_secs_f64(), Type::FLOAT8),
            (&most, Type::INT8),
        ];
        self.run("take files from the list", |client, sql| {
            let rows = client.query_typed(&sql(statement), &parameters)?;
            let lease = |row: &::postgres::Row| -> Result<Lease, Failure> {
                let path = listing::path(row.try_get(1)?, row.try_get(2)?)?;
                let (bytes, tries): (i64, i32) = (row.try_get(3)?, row.try_get(4)?);
                let (bytes, tries) = (bytes.max(0) as u64, tries.max(0) as u32);
                Ok(Lease { path, bytes, tries, hash: row.try_get(0)?, number: row.try_get(5)? })
            };
            rows.iter().map(lease).collect()
        })
    }

    /// Lets all leases of this worker last anew, and says how many there are. Called more often than leases
    /// end; in another thread, where this one may be busy.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn renew(&self) -> Result<u64> {
        // What another transaction has at hand is waited for by nobody.
        let statement = "
            WITH own AS MATERIALIZED (
                SELECT hash FROM earmark.files WHERE state = 'leased' AND worker = $1
                FOR UPDATE SKIP LOCKED
            )
            UPDATE earmark.files f SET due = clock_timestamp() + make_interval(secs => $2)
            FROM own WHERE f.hash = own.hash";
        let parameters: [Parameter<'_>; 2] =
            [(&self.worker, Type::INT8), (&self.lease.as_secs_f64(), Type::FLOAT8)];
        self.run("renew the leases of files", |client, sql| {
            Ok(client.execute_typed(&sql(statement), &parameters)?)
        })
    }

    /// Gives back all that this worker has, as if it had not been tried; says how many files that were. For
    /// a worker that ends in order: the others need not wait until its leases end.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn release(&self) -> Result<u64> {
        let statement = "
            UPDATE earmark.files SET
                state = 'waiting', worker = NULL, due = now(), tries = greatest(tries - 1, 0)
            WHERE state = 'leased' AND worker = $1";
        self.run("give files back to the list", |client, sql| {
            Ok(client.execute_typed(&sql(statement), &[(&self.worker, Type::INT8)])?)
        })
    }

    /// Marks a file as failed, with the reason. One that could not be read, or hung, is tried again later,
    /// unless it was tried too often: by then, or on another machine, it may be there. Says whether it is.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn fail(&self, lease: &Lease, kind: FailureKind, reason: &str) -> Result<bool> {
        let may_pass = matches!(kind, FailureKind::Unreadable | FailureKind::Stuck);
        let again = may_pass && lease.tries < self.most_tries;
        if !again {
            self.end_as_failed(std::slice::from_ref(lease), kind, reason)?;
            return Ok(false);
        }
        let statement = "
            UPDATE earmark.files SET
                state = 'waiting', worker = NULL, due = now() + make_interval(secs => $3),
                failure = $4, reason = $5
            WHERE hash = $1 AND state = 'leased' AND lease = $2";
        let reason = cut(reason);
        let parameters: [Parameter<'_>; 5] = [
            (&lease.hash, Type::BYTEA),
            (&lease.number, Type::INT8),
            (&self.retry_after.as_secs_f64(), Type::FLOAT8),
            (&kind.name(), Type::TEXT),
            (&reason, Type::TEXT),
        ];
        self.run("put a file off", |client, sql| {
            client.execute_typed(&sql(statement), &parameters)?;
            Ok(true)
        })
    }

    fn end_as_failed(&self, leases: &[Lease], kind: FailureKind, reason: &str) -> Result<()> {
        let statement = "
            UPDATE earmark.files SET
                state = 'failed', worker = NULL, due = NULL, ended_at = clock_timestamp(),
                failure = $3, reason = $4
            WHERE hash = ANY ($1) AND state = 'leased' AND lease = ANY ($2)";
        let hashes: Vec<&[u8]> = leases.iter().map(|lease| lease.hash.as_slice()).collect();
        let numbers: Vec<i64> = leases.iter().map(|lease| lease.number).collect();
        let reason = cut(reason);
        let parameters: [Parameter<'_>; 4] = [
            (&hashes, Type::BYTEA_ARRAY),
            (&numbers, Type::INT8_ARRAY),
            (&kind.name(), Type::TEXT),
            (&reason, Type::TEXT),
        ];
        self.run("mark files as failed", |client, sql| {
            client.execute_typed(&sql(statement), &parameters)?;
            Ok(())
        })
    }

    /// Runs something with what makes statements those of the collection's schema.
    fn run<T>(
        &self,
        action: &'static str,
        run: impl FnOnce(&mut ::postgres::Client, &dyn Fn(&str) -> String) -> Result<T, Failure>,
    ) -> Result<T> {
        let sql = |statement: &str| self.store.sql(statement).into_owned();
        self.store.run(action, |client| run(client, &sql))
    }
}

/// A reason that the table takes.
fn cut(reason: &str) -> String {
    let reason = reason.replace('\0', "\u{fffd}");
    let mut end = MOST_REASON_BYTES.min(reason.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].into()
}

/// The error for a path that this system does not know.
fn no_path() -> Error {
    super::schema::corrupt("a path in the list of files is none on this system")
}
