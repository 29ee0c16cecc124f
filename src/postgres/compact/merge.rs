//! Writes one batch of several, slice by slice.

use super::{SLICE_ROWS, Source};
use crate::error::{Error, Result};
use crate::landmark::HASH_BITS;
use crate::postgres::asking::Param;
use crate::postgres::batch::{BUCKET_BLOCKS, COPY_PLACES, COPY_POSTINGS, PLACES, POSTINGS, binary};
use crate::postgres::failure::Failure;
use crate::postgres::schema::corrupt;
use crate::postgres::{BUILDING, DROPPING, LIVE, OBSOLETE, Store, rows};
use crate::store::segment::slots::{SlotWriter, Slots};
use ::postgres::GenericClient;
use ::postgres::types::Type;
use std::collections::HashMap;
use std::ops::Range;

/// Postings of a slice, about.
const SLICE_POSTINGS: u64 = 1 << 20;

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
    /// Writes a batch of others, and makes it count; false where nothing was left.
    pub(super) fn merge(&self, number: i32, sources: &[Source]) -> Result<bool> {
        let (kept, runs) = self.kept(sources)?;
        let blocks = kept.iter().map(|track| u64::from(track.blocks)).sum::<u64>();
        let blocks = u32::try_from(blocks).map_err(|_| Error::IndexFull)?;
        self.write_places(number, &kept)?;
        // As many as they say; what they hold decides how much memory is taken.
        let hashes = sources.iter().fold(0u64, |sum, source| sum.saturating_add(source.hashes));
        let hashes = hashes.min(1 << HASH_BITS);
        let mut writer = SlotWriter::new(blocks, HASH_BITS, hashes, rows::HASHES_OF_SLOT);
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
        let slots = Slots::new(blocks, HASH_BITS, source.shift, rows::HASHES_OF_SLOT);
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
}

fn taken_over() -> Error {
    Error::Postgres {
        action: "merge batches",
        reason: "another merge took it that this one was gone".into(),
        advice: "give a longer lease (CompactOptions::lease)",
        sqlstate: None,
    }
}
