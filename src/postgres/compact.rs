//! Makes few batches of many, and removes what is no longer needed.
//!
//! A merge writes a new batch that does not count yet, slice by slice, each in a short transaction; then
//! one short transaction makes it count in place of the old ones. These are kept for a while, for
//! snapshots that have them, and then deleted in slices. No lock is held in between: whoever merges says
//! in the table that it does, and again with each slice; after a silence, others take it that it is gone.

use super::batch::{BUCKET_BLOCKS, COPY_PLACES, COPY_POSTINGS, PLACES, POSTINGS, binary};
use super::failure::Failure;
use super::schema::corrupt;
use super::snapshot::Param;
use super::{BUILDING, DROPPING, LIVE, OBSOLETE, Store, rows};
use crate::error::{Error, Result};
use crate::landmark::HASH_BITS;
use crate::store::segment::slots::{SlotWriter, Slots};
use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, GenericClient};
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

/// So many are merged at once, at most.
const MOST_SOURCES: usize = 16;
/// No batch is made longer than this, in blocks: four years.
const MOST_BLOCKS: u64 = 1 << 27;
/// Postings of a slice, about.
const SLICE_POSTINGS: u64 = 1 << 20;
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

/// A track that is kept.
struct Kept {
    id: i64,
    blocks: u32,
    frames: u64,
    duration_s: f64,
}

/// Blocks of a batch, and where they go.
struct Run {
    old: Range<u32>,
    new: u32,
}

impl Store {
    /// Merges batches that are due, and deletes what earlier merges left. Others may add, search and merge
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::Corrupt`] where a batch is damaged. What was merged until then is
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

    /// Writes a batch of others, and makes it count; false where nothing was left.
    fn merge(&self, number: i32, sources: &[Source]) -> Result<bool> {
        let (kept, runs) = self.kept(sources)?;
        let blocks = kept.iter().map(|track| u64::from(track.blocks)).sum::<u64>();
        let blocks = u32::try_from(blocks).map_err(|_| Error::IndexFull)?;
        self.write_places(number, &kept)?;
        // As many as they say; what they hold decides how much memory is taken.
        let hashes = sources.iter().fold(0u64, |sum, source| sum.saturating_add(source.hashes));
        let hashes = hashes.min(1 << HASH_BITS);
        let mut writer = SlotWriter::new(blocks, hashes, rows::HASHES_OF_SLOT);
        let postings = sources.iter().fold(0u64, |sum, s| sum.saturating_add(s.postings));
        let coarsest = sources.iter().map(|s| s.shift).chain([writer.shift()]).max().unwrap_or(0);
        let slices = (postings / SLICE_POSTINGS).clamp(1, 1 << (HASH_BITS - coarsest));
        let step = (1u32 << HASH_BITS) >> (u64::BITS - slices.leading_zeros() - 1);
        let mut slots: Vec<(i32, Vec<u8>)> = Vec::new();
        for first in (0..1u32 << HASH_BITS).step_by(step as usize) {
            let mut postings = Vec::new();
            for (source, runs) in sources.iter().zip(&runs) {
                self.read_slice(source, runs, &(first..first + step), &mut postings)?;
            }
            postings.sort_unstable();
            postings.dedup();
            let mut take = |slot: u32, bytes: &[u8]| {
                if !bytes.is_empty() {
                    slots.push((slot as i32, bytes.to_vec()));
                }
                Ok::<_, Error>(())
            };
            let mut of_key: Vec<u32> = Vec::new();
            for list in postings.chunk_by(|a, b| a >> 32 == b >> 32) {
                of_key.clear();
                of_key.extend(list.iter().map(|&posting| posting as u32));
                writer.put((list[0] >> 32) as u32, &of_key, &mut take)?;
            }
            if first + step == 1 << HASH_BITS {
                writer.finish(&mut take)?;
            }
            self.write_slots(number, &slots)?;
            slots.clear();
        }
        self.replace_by(number, sources, &kept, blocks, &writer)
    }

    /// The tracks of batches that were not removed, in the order of their ids, and where the blocks of each
    /// batch go.
    fn kept(&self, sources: &[Source]) -> Result<(Vec<Kept>, Vec<Vec<Run>>)> {
        let ids: Vec<i32> = sources.iter().map(|source| source.id).collect();
        let statement = self.sql(
            "SELECT p.batch, p.first_block, p.blocks, p.track, t.frames, t.duration_s
             FROM earmark.places p JOIN earmark.tracks t ON t.id = p.track
             WHERE p.batch = ANY ($1) AND p.bucket = p.first_block >> 8 AND t.removed_at IS NULL
             ORDER BY p.track",
        );
        let rows = self.ask("merge batches", &statement, [(&ids as _, Type::INT4_ARRAY)])?;
        let of_id: HashMap<i32, usize> = ids.iter().zip(0..).map(|(id, i)| (*id, i)).collect();
        let mut runs: Vec<Vec<Run>> = sources.iter().map(|_| Vec::new()).collect();
        let (mut kept, mut end) = (Vec::<Kept>::new(), 0u32);
        let told = |error| self.told("merge batches", error);
        for row in &rows {
            let batch: i32 = row.try_get(0).map_err(told)?;
            let number = |column: usize| -> Result<u32> {
                let number: i64 = row.try_get(column).map_err(told)?;
                u32::try_from(number).map_err(|_| corrupt("the place of a track cannot be"))
            };
            let (first, blocks, id) = (number(1)?, number(2)?, i64::from(number(3)?));
            let source = of_id.get(&batch).copied();
            let twice = kept.last().is_some_and(|last| last.id == id);
            let old_end = first.checked_add(blocks).filter(|_| blocks > 0 && !twice);
            let new_end = end.checked_add(blocks);
            let (Some(source), Some(old_end), Some(new_end)) = (source, old_end, new_end) else {
                return Err(corrupt(format!("the place of track {id} cannot be")));
            };
            runs[source].push(Run { old: first..old_end, new: end });
            let duration_s = row.try_get(5).map_err(told)?;
            kept.push(Kept { id, blocks, frames: number(4)?.into(), duration_s });
            end = new_end;
        }
        for (runs, source) in runs.iter_mut().zip(sources) {
            runs.sort_unstable_by_key(|run| run.old.start);
            if runs.windows(2).any(|pair| pair[0].old.end > pair[1].old.start) {
                return Err(corrupt(format!("tracks of batch {} overlap", source.id)));
            }
        }
        Ok((kept, runs))
    }

    fn write_places(&self, number: i32, kept: &[Kept]) -> Result<()> {
        let mut first = 0u32;
        for some in kept.chunks(SLICE_ROWS as usize) {
            self.run("merge batches", |client| {
                let mut transaction = client.transaction()?;
                self.go_on(&mut transaction, number)?;
                let mut rows = binary(&mut transaction, &self.sql(COPY_PLACES), &PLACES)?;
                for track in some {
                    let end = first + track.blocks;
                    for bucket in first / BUCKET_BLOCKS..=(end - 1) / BUCKET_BLOCKS {
                        let (bucket, begin) = (i64::from(bucket), i64::from(first));
                        rows.write(&[
                            &number,
                            &bucket,
                            &begin,
                            &i64::from(track.blocks),
                            &track.id,
                        ])?;
                    }
                    first = end;
                }
                rows.finish()?;
                transaction.commit()?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Appends the postings of a batch in some keys: the key, and below it the block in the new batch.
    fn read_slice(
        &self,
        source: &Source,
        runs: &[Run],
        keys: &Range<u32>,
        postings: &mut Vec<u64>,
    ) -> Result<()> {
        let statement = self.sql(
            "SELECT slot, lists FROM earmark.postings
             WHERE batch = $1 AND slot >= $2 AND slot < $3 ORDER BY slot",
        );
        let damaged = || corrupt(format!("the postings of batch {} cannot be", source.id));
        let blocks = u32::try_from(source.blocks).map_err(|_| damaged())?;
        let slots = Slots::new(blocks, source.shift, rows::HASHES_OF_SLOT);
        let ends = [keys.start, keys.end].map(|key| (key >> source.shift) as i32);
        let params: [Param<'_>; 3] =
            [(&source.id, Type::INT4), (&ends[0], Type::INT4), (&ends[1], Type::INT4)];
        let told = |error| self.told("merge batches", error);
        for row in self.ask("merge batches", &statement, params)? {
            let slot: i32 = row.try_get(0).map_err(told)?;
            let bytes: &[u8] = row.try_get(1).map_err(told)?;
            let mut entries = slots.entries(bytes, slot as u32);
            while let Some((key, list)) = entries.next().map_err(|_| damaged())? {
                if key >> source.shift != slot as u32 {
                    return Err(damaged());
                }
                let mut run = 0;
                for block in list.blocks() {
                    while runs.get(run).is_some_and(|run| run.old.end <= block) {
                        run += 1;
                    }
                    match runs.get(run) {
                        Some(run) if run.old.start <= block => {
                            let new = run.new + (block - run.old.start);
                            postings.push(u64::from(key) << 32 | u64::from(new));
                        }
                        Some(_) => {}
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    fn write_slots(&self, number: i32, slots: &[(i32, Vec<u8>)]) -> Result<()> {
        self.run("merge batches", |client| {
            let mut transaction = client.transaction()?;
            self.go_on(&mut transaction, number)?;
            let mut rows = binary(&mut transaction, &self.sql(COPY_POSTINGS), &POSTINGS)?;
            for (slot, bytes) in slots {
                rows.write(&[&number, slot, bytes])?;
            }
            rows.finish()?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// Says that the merge goes on, unless others took it to be gone.
    fn go_on(&self, client: &mut impl GenericClient, number: i32) -> Result<(), Failure> {
        let statement =
            self.sql("UPDATE earmark.batches SET touched = now() WHERE id = $1 AND state = $2");
        let there =
            client.execute_typed(&statement, &[(&number, Type::INT4), (&BUILDING, Type::INT2)])?;
        if there == 1 { Ok(()) } else { Err(taken_over().into()) }
    }

    /// Makes a batch count in place of others.
    fn replace_by(
        &self,
        number: i32,
        sources: &[Source],
        kept: &[Kept],
        blocks: u32,
        writer: &SlotWriter,
    ) -> Result<bool> {
        let ids: Vec<i32> = sources.iter().map(|source| source.id).collect();
        let frames: u64 = kept.iter().map(|track| track.frames).sum();
        let duration_s: f64 = kept.iter().map(|track| track.duration_s).sum();
        let state = if kept.is_empty() { DROPPING } else { LIVE };
        self.run("merge batches", |client| {
            let mut transaction = client.transaction()?;
            self.go_on(&mut transaction, number)?;
            let retired = transaction.execute_typed(
                &self.sql(
                    "UPDATE earmark.batches SET state = $1, touched = now()
                     WHERE id = ANY ($2) AND state = $3 AND merged_into = $4",
                ),
                &[
                    (&OBSOLETE, Type::INT2),
                    (&ids, Type::INT4_ARRAY),
                    (&LIVE, Type::INT2),
                    (&number, Type::INT4),
                ],
            )?;
            if retired != ids.len() as u64 {
                return Err(taken_over().into());
            }
            transaction.execute_typed(
                &self.sql(
                    "UPDATE earmark.batches SET state = $2, first_track = $3, tracks = $4, blocks = $5,
                     frames = $6, duration_s = $7, slot_shift = $8, hashes = $9, postings = $10
                     WHERE id = $1",
                ),
                &[
                    (&number, Type::INT4),
                    (&state, Type::INT2),
                    (&kept.first().map_or(0, |track| track.id), Type::INT8),
                    (&(kept.len() as i64), Type::INT8),
                    (&i64::from(blocks), Type::INT8),
                    (&(frames as i64), Type::INT8),
                    (&duration_s, Type::FLOAT8),
                    (&(writer.shift() as i16), Type::INT2),
                    (&(writer.hashes as i64), Type::INT8),
                    (&(writer.postings as i64), Type::INT8),
                ],
            )?;
            transaction.commit()?;
            Ok(!kept.is_empty())
        })
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

fn taken_over() -> Error {
    Error::Postgres {
        action: "merge batches",
        reason: "another merge took it that this one was gone".into(),
        advice: "give a longer lease (CompactOptions::lease)",
        sqlstate: None,
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
