//! Puts files into the list.

use super::Queue;
use crate::error::Result;
use crate::library::path_bytes;
use crate::tags::track_name;
use ::postgres::binary_copy::BinaryCopyInWriter;
use ::postgres::types::Type;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// So many files are put in by one transaction.
const CHUNK: usize = 50_000;

/// A file for the list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFile {
    /// Its path: absolute, and the same on all machines.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was modified, in nanoseconds since 1970.
    pub modified_ns: i64,
}

impl QueueFile {
    /// A file with a size in bytes and a time of modification in nanoseconds since 1970. Where one of these is
    /// not what it was, the file is done again.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, bytes: u64, modified_ns: i64) -> Self {
        Self { path: path.into(), bytes, modified_ns }
    }
}

/// What putting files into the list changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueuePut {
    /// Files that are new in the list.
    pub new: u64,
    /// Files that have changed, and wait to be done again.
    pub changed: u64,
}

impl Queue {
    /// Puts files into the list, by COPY. Those that are there with the same size and time stay as they
    /// are. Those that have changed wait again; who works on them now works in vain.
    ///
    /// Each 50,000 files are a transaction. Any number of machines may put in the same ones.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn put(&self, files: impl IntoIterator<Item = QueueFile>) -> Result<QueuePut> {
        let mut files = files.into_iter();
        let mut all = QueuePut::default();
        loop {
            let chunk: Vec<QueueFile> = files.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(all);
            }
            let put = self.put_chunk(&chunk)?;
            all.new += put.new;
            all.changed += put.changed;
        }
    }

    fn put_chunk(&self, files: &[QueueFile]) -> Result<QueuePut> {
        const TABLE: &str = "
            CREATE TEMP TABLE earmark_found (
                hash bytea, name text, path bytea, bytes bigint, modified_ns bigint
            ) ON COMMIT DROP";
        const COPY: &str = "COPY pg_temp.earmark_found FROM STDIN (FORMAT binary)";
        // In the order of their keys, so that no two who put in the same files wait for one another.
        const PUT: &str = "
            WITH put AS (
                INSERT INTO earmark.files AS f
                    (hash, name, path, bytes, modified_ns, state, due)
                SELECT DISTINCT ON (n.hash)
                    n.hash, n.name, n.path, n.bytes, n.modified_ns, 'waiting', now()
                FROM pg_temp.earmark_found n LEFT JOIN earmark.files o ON o.hash = n.hash
                WHERE o.hash IS NULL
                    OR (o.bytes, o.modified_ns) IS DISTINCT FROM (n.bytes, n.modified_ns)
                ORDER BY n.hash
                ON CONFLICT (hash) DO UPDATE SET
                    bytes = excluded.bytes, modified_ns = excluded.modified_ns,
                    state = 'waiting', due = excluded.due, tries = 0, worker = NULL,
                    failure = NULL, reason = NULL
                WHERE (f.bytes, f.modified_ns)
                    IS DISTINCT FROM (excluded.bytes, excluded.modified_ns)
                RETURNING f.xmax = 0 AS is_new
            )
            SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM put";
        let types = [Type::BYTEA, Type::TEXT, Type::BYTEA, Type::INT8, Type::INT8];
        self.run("put files into the list", |client, sql| {
            let mut transaction = client.transaction()?;
            transaction.batch_execute(TABLE)?;
            let mut writer = BinaryCopyInWriter::new(transaction.copy_in(COPY)?, &types);
            for file in files {
                let name = track_name(&file.path);
                let path = (Path::new(&name) != file.path).then(|| path_bytes(&file.path));
                let bytes = i64::try_from(file.bytes).unwrap_or(i64::MAX);
                writer.write(&[
                    &hash(&name).as_slice(),
                    &name,
                    &path,
                    &bytes,
                    &file.modified_ns,
                ])?;
            }
            writer.finish()?;
            let row = transaction.query_typed_one(&sql(PUT), &[])?;
            let (new, changed): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            transaction.commit()?;
            Ok(QueuePut { new: new.max(0) as u64, changed: changed.max(0) as u64 })
        })
    }
}

/// The key of a name, which may be longer than an index takes.
fn hash(name: &str) -> [u8; 16] {
    xxh3_128(name.as_bytes()).to_be_bytes()
}
