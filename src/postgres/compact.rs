//! Makes few batches of many, and removes what is no longer needed.
//!
//! A merge writes a new batch that does not count yet, slice by slice, each in a short transaction; then
//! one short transaction makes it count in place of the old ones. These are kept for a while, for
//! snapshots that have them, and then deleted in slices. No lock is held in between: whoever merges says
//! in the table that it does, and again with each slice; after a silence, others take it that it is gone.

use super::asking::Param;
use super::failure::Failure;
use super::schema::corrupt;
use super::{BUILDING, DROPPING, LIVE, OBSOLETE, Store};
use crate::error::Result;
use crate::landmark::HASH_BITS;
use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, GenericClient};
use std::ops::Range;
use std::time::Duration;

mod merge;

/// So many are merged at once, at most.
const MOST_SOURCES: usize = 16;
/// No batch is made longer than this, in blocks: four years.
const MOST_BLOCKS: u64 = 1 << 27;
/// Rows that are written or deleted together.
const SLICE_ROWS: i64 = 20_000;

/// How batches are merged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompactOptions {
    /// Whether all batches become one, or as few as can be. Default: no, only as many as are due: those
    /// that are alike in size, and those of which more than half was removed.
    pub all: bool,
    /// How long merged batches, and removed tracks, are kept for snapshots that have them. Default: 60 s.
    pub grace: Duration,
    /// After so long a silence, another merge is taken to have been killed. Default: 10 minutes.
    pub lease: Duration,
}

impl Default for CompactOptions {
    fn default() -> Self {
        let [grace, lease] = [60, 600].map(Duration::from_secs);
        Self { all: false, grace, lease }
    }
}

impl CompactOptions {
    /// All batches become one, or as few as can be.
    #[must_use]
    pub fn all(self) -> Self {
        Self { all: true, ..self }
    }

    /// Sets how long merged batches and removed tracks are kept.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets after how long a silence another merge is taken to have been killed.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Batches that were merged.
    pub merged: u64,
    /// Batches made of them.
    pub made: u64,
    /// Batches of earlier merges that were deleted.
    pub deleted: u64,
    /// Removed tracks that were deleted.
    pub tracks: u64,
}

/// A batch as a merge sees it.
#[derive(Clone, Debug)]
struct Source {
    id: i32,
    blocks: u64,
    removed: u64,
    shift: u32,
    hashes: u64,
    postings: u64,
    taken: bool,
}

impl Source {
    fn kept(&self) -> u64 {
        self.blocks.saturating_sub(self.removed)
    }
}

impl Store {
    /// Merges batches that are due, and deletes what earlier merges left. Others may add, search and merge
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::Postgres`](crate::Error::Postgres), [`Error::Corrupt`](crate::Error::Corrupt) where a batch is damaged. What was merged until then is
    /// merged.
    pub fn compact(&self) -> Result<Compacted> {
        self.compact_with(&CompactOptions::default())
    }

    /// As [`compact`](Self::compact), by some options.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn compact_with(&self, options: &CompactOptions) -> Result<Compacted> {
        let mut done = Compacted::default();
        while let Some((number, sources)) = self.claim(options)? {
            let merged = self.merge(number, &sources);
            if let Err(error) = merged {
                // So that others need not wait.
                let _ = self.give_up(number);
                return Err(error);
            }
            done.merged += sources.len() as u64;
            done.made += u64::from(merged?);
        }
        self.sweep(options.grace, &mut done)?;
        Ok(done)
    }

    /// Takes batches that are to be merged, and a number for what they become.
    fn claim(&self, options: &CompactOptions) -> Result<Option<(i32, Vec<Source>)>> {
        let lock = format!("earmark merging {}", self.schema().name());
        let lease = options.lease.as_secs_f64();
        self.run("merge batches", |client| {
            let mut transaction = client.transaction()?;
            transaction.query_typed(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 2))",
                &[(&lock, Type::TEXT)],
            )?;
            // Those that were killed.
            transaction.execute_typed(
                &self.sql(
                    "UPDATE earmark.batches SET state = $1, touched = now()
                     WHERE state = $2 AND touched < now() - make_interval(secs => $3)",
                ),
                &[(&DROPPING, Type::INT2), (&BUILDING, Type::INT2), (&lease, Type::FLOAT8)],
            )?;
            let sources = self.sources(&mut transaction)?;
            let chosen = match options.all {
                true => largest(&sources),
                false => due(&sources),
            };
            let Some(chosen) = chosen else {
                transaction.commit()?;
                return Ok(None);
            };
            let chosen = sources[chosen].to_vec();
            let statement = self.sql(
                "INSERT INTO earmark.batches (id, state, first_track, tracks, blocks, frames,
                 duration_s, slot_shift, hashes, postings)
                 VALUES (nextval('earmark.batch_ids'), $1, 0, 0, 0, 0, 0, 0, 0, 0) RETURNING id",
            );
            let row = transaction.query_typed_one(&statement, &[(&BUILDING, Type::INT2)])?;
            let number: i32 = row.try_get(0)?;
            let ids: Vec<i32> = chosen.iter().map(|source| source.id).collect();
            transaction.execute_typed(
                &self.sql("UPDATE earmark.batches SET merged_into = $1 WHERE id = ANY ($2)"),
                &[(&number, Type::INT4), (&ids, Type::INT4_ARRAY)],
            )?;
            transaction.commit()?;
            Ok(Some((number, chosen)))
        })
    }

    /// The batches that count, in the order of the line.
    fn sources(&self, client: &mut impl GenericClient) -> Result<Vec<Source>, Failure> {
        let statement = self.sql(
            "SELECT l.id, l.blocks, l.slot_shift::bigint, l.hashes, l.postings,
                 b.id IS NOT NULL,
                 coalesce((
                     SELECT sum(p.blocks) FROM earmark.tracks t
                     JOIN earmark.places p ON p.track = t.id AND p.bucket = p.first_block >> 8
                     WHERE t.removed_at IS NOT NULL AND p.batch = l.id), 0)::bigint
             FROM earmark.batches l
             LEFT JOIN earmark.batches b ON b.id = l.merged_into AND b.state = $2
             WHERE l.state = $1 ORDER BY l.first_track, l.id",
        );
        let states: [Param<'_>; 2] = [(&LIVE, Type::INT2), (&BUILDING, Type::INT2)];
        let mut sources = Vec::new();
        for row in client.query_typed(&statement, &states)? {
            let id: i32 = row.try_get(0)?;
            let number = |column: usize| -> Result<u64, Failure> {
                let number: i64 = row.try_get(column)?;
                let wrong = |_| corrupt(format!("what batch {id} says of itself cannot be"));
                Ok(u64::try_from(number).map_err(wrong)?)
            };
            sources.push(Source {
                id,
                blocks: number(1)?,
                shift: number(2)?.min(HASH_BITS.into()) as u32,
                hashes: number(3)?,
                postings: number(4)?,
                taken: row.try_get(5)?,
                removed: number(6)?,
            });
        }
        Ok(sources)
    }

    /// Lets others merge what this merge had taken.
    fn give_up(&self, number: i32) -> Result<()> {
        let statement = self.sql(
            "UPDATE earmark.batches SET state = $2, touched = now() WHERE id = $1 AND state = $3",
        );
        let params: [Param<'_>; 3] =
            [(&number, Type::INT4), (&DROPPING, Type::INT2), (&BUILDING, Type::INT2)];
        self.run("merge batches", |client| {
            Ok(client.execute_typed(&statement, &params).map(drop)?)
        })
    }

    /// Deletes batches that no longer count and tracks that were removed, once they have been so for a
    /// while.
    fn sweep(&self, grace: Duration, done: &mut Compacted) -> Result<()> {
        let grace = grace.as_secs_f64();
        let statement = self.sql(
            "UPDATE earmark.batches SET state = $1 WHERE state = $2
             AND touched <= now() - make_interval(secs => $3)",
        );
        let all = self.sql("SELECT id FROM earmark.batches WHERE state = $1");
        let dropping: Vec<i32> = self.run("delete what was merged", |client| {
            let params: [Param<'_>; 3] =
                [(&DROPPING, Type::INT2), (&OBSOLETE, Type::INT2), (&grace, Type::FLOAT8)];
            client.execute_typed(&statement, &params)?;
            let rows = client.query_typed(&all, &[(&DROPPING, Type::INT2)])?;
            Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        })?;
        for id in dropping {
            for table in ["postings", "places"] {
                let key = if table == "postings" { "batch, slot" } else { "batch, bucket, track" };
                let statement = format!(
                    "DELETE FROM earmark.{table} WHERE ({key}) IN (
                         SELECT {key} FROM earmark.{table} WHERE batch = $1 LIMIT $2)"
                );
                self.delete(&statement, &[(&id, Type::INT4), (&SLICE_ROWS, Type::INT8)])?;
            }
            done.deleted += self
                .delete_once("DELETE FROM earmark.batches WHERE id = $1", &[(&id, Type::INT4)])?;
        }
        let statement = self.sql(
            "SELECT t.id FROM earmark.tracks t
             WHERE t.removed_at <= now() - make_interval(secs => $1)
                 AND NOT EXISTS (SELECT FROM earmark.places p WHERE p.track = t.id) LIMIT 1000",
        );
        loop {
            let gone: Vec<i64> = self.run("delete what was removed", |client| {
                let rows = client.query_typed(&statement, &[(&grace, Type::FLOAT8)])?;
                Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
            })?;
            if gone.is_empty() {
                return Ok(());
            }
            let ids: [Param<'_>; 1] = [(&gone, Type::INT8_ARRAY)];
            self.delete_once("DELETE FROM earmark.features WHERE track = ANY ($1)", &ids)?;
            done.tracks +=
                self.delete_once("DELETE FROM earmark.tracks WHERE id = ANY ($1)", &ids)?;
        }
    }

    /// Deletes slice by slice, until nothing is left.
    fn delete(&self, statement: &str, params: &[Param<'_>]) -> Result<()> {
        while self.delete_once(statement, params)? > 0 {}
        Ok(())
    }

    fn delete_once(&self, statement: &str, params: &[Param<'_>]) -> Result<u64> {
        let statement = self.sql(statement);
        let delete = |client: &mut Client| {
            let params: Vec<(&(dyn ToSql + Sync), Type)> = params.to_vec();
            Ok(client.execute_typed(&statement, &params)?)
        };
        self.run("delete what was merged", delete)
    }
}

/// The longest run of batches that can become one, from the first that can on.
fn largest(sources: &[Source]) -> Option<Range<usize>> {
    for first in 0..sources.len() {
        let mut blocks = 0u64;
        let fits = |source: &&Source| {
            blocks = blocks.saturating_add(source.kept());
            !source.taken && blocks <= MOST_BLOCKS
        };
        let count = sources[first..].iter().take(MOST_SOURCES).take_while(fits).count();
        if count > 1 || (count == 1 && sources[first].removed > 0) {
            return Some(first..first + count);
        }
    }
    None
}

/// The merge that is due: the newest batches, as long as one is not more than twice as large as all after
/// it; or a batch that has more removed than not.
fn due(sources: &[Source]) -> Option<Range<usize>> {
    let (mut first, mut blocks) = (sources.len(), 0u64);
    while let Some(source) = first.checked_sub(1).map(|before| &sources[before]) {
        let alike = source.kept() <= 2 * blocks || first == sources.len();
        let fits = blocks.saturating_add(source.kept()) <= MOST_BLOCKS
            && sources.len() - first < MOST_SOURCES;
        if source.taken || !alike || !fits {
            break;
        }
        (first, blocks) = (first - 1, blocks + source.kept());
    }
    if sources.len() - first > 1 {
        return Some(first..sources.len());
    }
    let hollow = |source: &Source| !source.taken && 2 * source.kept() < source.blocks;
    sources.iter().position(hollow).map(|at| at..at + 1)
}
