//! A batch as rows of the tables.

use super::{BUCKET_BLOCKS, Batch};
use crate::landmark::HASH_BITS;
use crate::postgres::failure::Failure;
use crate::postgres::{LIVE, Store, rows};
use crate::store::segment::slots::SlotWriter;
use crate::tags::TrackInfo;
use ::postgres::binary_copy::BinaryCopyInWriter;
use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, Transaction};

impl Store {
    /// Writes a batch, whose ids begin with `first`, and whose postings have so many hashes.
    pub(super) fn write(
        &self,
        client: &mut Client,
        batch: &Batch,
        first: u32,
        hashes: u64,
        also: &dyn Fn(&mut Transaction<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut transaction = client.transaction()?;
        also(&mut transaction)?;
        let builder = &batch.builder;
        self.copy_tracks(&mut transaction, batch, first)?;
        self.claim_names(&mut transaction, batch, first)?;
        let statement = self.sql("SELECT nextval('earmark.batch_ids')::integer");
        let number: i32 = transaction.query_typed_one(&statement, &[])?.try_get(0)?;
        self.copy_places(&mut transaction, batch, first, number)?;
        self.copy_features(&mut transaction, batch, first)?;
        let mut lists = SlotWriter::new(builder.blocks(), HASH_BITS, hashes, rows::HASHES_OF_SLOT);
        let statement = self.sql(COPY_POSTINGS);
        let mut rows = binary(&mut transaction, &statement, &POSTINGS)?;
        let mut put = |slot: u32, bytes: &[u8]| match bytes {
            [] => Ok(()),
            bytes => rows.write(&[&number, &(slot as i32), &bytes]),
        };
        builder.each_list(|key, blocks| lists.put(key, blocks, &mut put))?;
        lists.finish(&mut put)?;
        rows.finish()?;
        let known = Counted {
            first_track: first,
            tracks: batch.len() as u64,
            blocks: builder.blocks(),
            frames: builder.frames(),
            duration_s: builder.duration_s(),
            shift: lists.shift(),
            hashes: lists.hashes,
            postings: lists.postings,
        };
        known.insert(self, &mut transaction, number, LIVE)?;
        transaction.commit()?;
        Ok(())
    }

    fn copy_tracks(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch,
        first: u32,
    ) -> Result<(), Failure> {
        const TYPES: [Type; 11] = [
            Type::INT8,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::INT8,
            Type::TEXT,
            Type::TEXT,
            Type::FLOAT8,
            Type::INT8,
            Type::INT8,
        ];
        let statement = self.sql(
            "COPY earmark.tracks (id, name, title, artist, album, track_number, isrc, musicbrainz_id,
             duration_s, frames, sub_fingerprints) FROM STDIN BINARY",
        );
        let mut rows = binary(transaction, &statement, &TYPES)?;
        for ((info, _), placed) in batch.tracks.iter().zip(batch.builder.placed()) {
            let TrackInfo { name, tags } = info;
            rows.write(&[
                &i64::from(first + placed.id.0),
                name,
                &tags.title,
                &tags.artist,
                &tags.album,
                &tags.track_number.map(i64::from),
                &tags.isrc,
                &tags.musicbrainz_id,
                &placed.duration_s,
                &i64::from(placed.frames),
                &i64::from(placed.words),
            ])?;
        }
        rows.finish()?;
        Ok(())
    }

    /// Takes the names, in an order that all writers keep: two that want the same wait for each other once.
    fn claim_names(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch,
        first: u32,
    ) -> Result<(), Failure> {
        let replaced: Vec<i64> = (i64::from(first)..)
            .zip(&batch.tracks)
            .filter_map(|(id, (_, replaces))| replaces.then_some(id))
            .collect();
        if !replaced.is_empty() {
            let statement = self.sql(
                "WITH taken AS (
                     DELETE FROM earmark.names WHERE hash IN (
                         SELECT sha256(convert_to(name, 'UTF8')) FROM earmark.tracks WHERE id = ANY($1))
                     RETURNING track)
                 UPDATE earmark.tracks SET removed_at = now() WHERE id IN (SELECT track FROM taken)",
            );
            transaction.execute_typed(&statement, &[(&replaced, Type::INT8_ARRAY)])?;
        }
        let last = i64::from(first) + batch.len() as i64 - 1;
        let statement = self.sql(
            "INSERT INTO earmark.names (hash, track)
             SELECT sha256(convert_to(name, 'UTF8')), id FROM earmark.tracks
             WHERE id BETWEEN $1 AND $2 ORDER BY 1",
        );
        let ids = [(&i64::from(first) as &(dyn ToSql + Sync), Type::INT8), (&last, Type::INT8)];
        transaction.execute_typed(&statement, &ids)?;
        Ok(())
    }

    fn copy_places(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch,
        first: u32,
        number: i32,
    ) -> Result<(), Failure> {
        let mut rows = binary(transaction, &self.sql(COPY_PLACES), &PLACES)?;
        for placed in batch.builder.placed() {
            let (begin, end) = placed.blocks;
            for bucket in begin / BUCKET_BLOCKS..=(end - 1) / BUCKET_BLOCKS {
                rows.write(&[
                    &number,
                    &i64::from(bucket),
                    &i64::from(begin),
                    &i64::from(end - begin),
                    &i64::from(first + placed.id.0),
                ])?;
            }
        }
        rows.finish()?;
        Ok(())
    }

    fn copy_features(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch,
        first: u32,
    ) -> Result<(), Failure> {
        let statement = self.sql("COPY earmark.features (track, part, bytes) FROM STDIN BINARY");
        let types = [Type::INT8, Type::INT4, Type::BYTEA];
        let mut rows = binary(transaction, &statement, &types)?;
        let (lengths, mut bytes) = batch.builder.features();
        let mut row = Vec::new();
        for placed in batch.builder.placed() {
            let id = i64::from(first + placed.id.0);
            let of_track = &lengths[placed.blocks.0 as usize..placed.blocks.1 as usize];
            for (part, of_part) in (0i32..).zip(of_track.chunks(rows::PART_BLOCKS as usize)) {
                let length = of_part.iter().map(|&length| usize::from(length)).sum();
                let (here, later) = bytes.split_at(length);
                bytes = later;
                rows::pack(of_part, here, &mut row);
                rows.write(&[&id, &part, &row])?;
            }
        }
        rows.finish()?;
        Ok(())
    }
}

pub(in crate::postgres) const COPY_POSTINGS: &str =
    "COPY earmark.postings (batch, slot, lists) FROM STDIN BINARY";
pub(in crate::postgres) const POSTINGS: [Type; 3] = [Type::INT4, Type::INT4, Type::BYTEA];
pub(in crate::postgres) const COPY_PLACES: &str =
    "COPY earmark.places (batch, bucket, first_block, blocks, track) FROM STDIN BINARY";
pub(in crate::postgres) const PLACES: [Type; 5] =
    [Type::INT4, Type::INT8, Type::INT8, Type::INT8, Type::INT8];

/// Begins to send rows.
pub(in crate::postgres) fn binary<'t>(
    transaction: &'t mut Transaction<'_>,
    statement: &str,
    types: &[Type],
) -> Result<BinaryCopyInWriter<'t>, ::postgres::Error> {
    Ok(BinaryCopyInWriter::new(transaction.copy_in(statement)?, types))
}

/// What the row of a batch says of it.
#[derive(Clone, Copy, Debug)]
struct Counted {
    first_track: u32,
    tracks: u64,
    blocks: u32,
    frames: u64,
    duration_s: f64,
    shift: u32,
    hashes: u64,
    postings: u64,
}

impl Counted {
    fn insert(
        &self,
        store: &Store,
        transaction: &mut Transaction<'_>,
        number: i32,
        state: i16,
    ) -> Result<(), ::postgres::Error> {
        let statement = store.sql(
            "INSERT INTO earmark.batches (id, state, first_track, tracks, blocks, frames, duration_s,
             slot_shift, hashes, postings) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        );
        transaction.execute_typed(
            &statement,
            &[
                (&number, Type::INT4),
                (&state, Type::INT2),
                (&i64::from(self.first_track), Type::INT8),
                (&(self.tracks as i64), Type::INT8),
                (&i64::from(self.blocks), Type::INT8),
                (&(self.frames as i64), Type::INT8),
                (&self.duration_s, Type::FLOAT8),
                (&(self.shift as i16), Type::INT2),
                (&(self.hashes as i64), Type::INT8),
                (&(self.postings as i64), Type::INT8),
            ],
        )?;
        Ok(())
    }
}
