//! Adds tracks: a batch at a time, in one transaction.

use super::failure::Failure;
use super::{LIVE, Store, rows};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::landmark::HASH_BITS;
use crate::store::segment::SegmentBuilder;
use crate::store::segment::slots::SlotWriter;
use crate::tags::{Tags, TrackInfo};
use crate::units::{ConfigId, TrackId};
use ::postgres::binary_copy::BinaryCopyInWriter;
use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, Transaction};
use std::collections::HashMap;

/// A batch that takes more memory is as large as one should be.
const FULL_BYTES: usize = 256_000_000;
/// Rows of `places` name the tracks of so many blocks of a batch.
pub(super) const BUCKET_BLOCKS: u32 = 256;

/// Tracks that are to be [added](Store::commit) together.
///
/// The larger a batch, the less work it is to search and to merge: from hundreds of tracks to some
/// thousand is right. Batches of all writers are independent.
#[derive(Debug)]
pub struct Batch {
    config_id: ConfigId,
    builder: SegmentBuilder,
    tracks: Vec<(TrackInfo, bool)>,
}

impl Batch {
    /// Adds a track to the batch.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`], [`Error::TextTooLong`], [`Error::Corrupt`] for a fingerprint whose peaks
    /// are closer than peaks can be, [`Error::IndexFull`] where blocks cannot be counted,
    /// [`Error::Postgres`] for a NUL character in a text. The batch is as it was then.
    pub fn add(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<()> {
        self.put(info, fingerprint, false)
    }

    /// Adds a track in place of the one with the same name, if there is one by then.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn replace(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<()> {
        self.put(info, fingerprint, true)
    }

    fn put(&mut self, info: TrackInfo, fingerprint: &Fingerprint, replaces: bool) -> Result<()> {
        if fingerprint.config_id() != self.config_id {
            let (expected, found) = (self.config_id, fingerprint.config_id());
            return Err(Error::ConfigMismatch { expected, found });
        }
        info.check()?;
        let Tags { title, artist, album, isrc, musicbrainz_id, .. } = &info.tags;
        let texts = [Some(&info.name), title.as_ref(), artist.as_ref(), album.as_ref()];
        let texts = texts.into_iter().chain([isrc.as_ref(), musicbrainz_id.as_ref()]).flatten();
        if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
            return Err(Error::Postgres {
                action: "add a track",
                reason: format!("{text:?} has a NUL character, which PostgreSQL does not store"),
                advice: "name it otherwise",
                sqlstate: None,
            });
        }
        // Its number, until ids are known.
        let number = u32::try_from(self.tracks.len()).map_err(|_| Error::IndexFull)?;
        self.builder.add(TrackId(number), &info, fingerprint)?;
        self.tracks.push((info, replaces));
        Ok(())
    }

    /// Number of tracks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether it has no track.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Whether it takes so much memory, 256 MB, that it should be committed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.builder.memory_bytes() >= FULL_BYTES
    }
}

impl Store {
    /// Begins a batch of tracks.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub fn batch(&self) -> Result<Batch> {
        let config = self.config()?;
        let builder = SegmentBuilder::with_keys(&config, |hash, _| rows::key(hash));
        Ok(Batch { config_id: config.id(), builder, tracks: Vec::new() })
    }

    /// Adds tracks as one batch: all of them, or none. Gives their ids, which ascend.
    ///
    /// # Errors
    /// Those of [`Batch::add`] and [`commit`](Self::commit).
    pub fn add<'f>(
        &self,
        tracks: impl IntoIterator<Item = (TrackInfo, &'f Fingerprint)>,
    ) -> Result<Vec<TrackId>> {
        let mut batch = self.batch()?;
        for (info, fingerprint) in tracks {
            batch.add(info, fingerprint)?;
        }
        self.commit(batch)
    }

    /// Adds a track in place of the one with the same name, if there is one. It gets a new id.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn replace(&self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        let mut batch = self.batch()?;
        batch.replace(info, fingerprint)?;
        self.commit(batch)?.first().copied().ok_or(Error::IndexFull)
    }

    /// Adds a batch in one transaction: searches see all of it or nothing, whatever happens. Gives the
    /// tracks' ids, in their order.
    ///
    /// # Errors
    /// [`Error::DuplicateTrack`] for a name that is taken, [`Error::ConfigMismatch`] for a batch of another
    /// store, [`Error::IndexFull`] where all ids are used, [`Error::Postgres`]. Nothing is changed then,
    /// unless the connection is lost in the very moment of the commit.
    pub fn commit(&self, batch: Batch) -> Result<Vec<TrackId>> {
        self.commit_with(batch, &|_| Ok(()))
    }

    /// As [`commit`](Self::commit), in one transaction with something else. If that fails, nothing is added.
    pub(super) fn commit_with(
        &self,
        mut batch: Batch,
        also: &dyn Fn(&mut Transaction<'_>) -> Result<(), Failure>,
    ) -> Result<Vec<TrackId>> {
        let expected = self.config()?.id();
        if batch.config_id != expected {
            return Err(Error::ConfigMismatch { expected, found: batch.config_id });
        }
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.reserve_ids(batch.len() as u32)?;
        let mut names = HashMap::with_capacity(batch.len());
        for (id, (info, _)) in (first..).zip(&batch.tracks) {
            if let Some(taken) = names.insert(info.name.as_str(), id) {
                return Err(Error::DuplicateTrack { name: info.name.clone(), id: TrackId(taken) });
            }
        }
        let hashes = batch.builder.sort_postings();
        let added = self.run("add tracks", |client| {
            match self.write(client, &batch, first, hashes, also) {
                // Somebody has a name, or had it in this moment.
                Err(failure) if failure.sqlstate() == Some("23505") => {
                    Err(self.taken(client, &batch)?.map_or(failure, Failure::Here))
                }
                other => other,
            }
        });
        added?;
        Ok((first..first + batch.len() as u32).map(TrackId).collect())
    }

    /// Takes so many ids that follow each other, and gives the first. They are used up.
    fn reserve_ids(&self, count: u32) -> Result<u32> {
        // The lock ends with the statement.
        let statement = self.sql(
            "WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($1, 1)))
             SELECT setval('earmark.track_ids', nextval('earmark.track_ids') + $2::bigint - 1) FROM locked",
        );
        let name = format!("earmark ids {}", self.schema().name());
        let count = i64::from(count);
        let last: i64 = self.run("add tracks", |client| {
            let params = [(&name as &(dyn ToSql + Sync), Type::TEXT), (&count, Type::INT8)];
            Ok(client.query_typed_one(&statement, &params)?.try_get(0)?)
        })?;
        let ids = u32::try_from(last - count + 1).ok().zip(u32::try_from(last).ok());
        Ok(ids.ok_or(Error::IndexFull)?.0)
    }

    fn write(
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

    /// The error for the first name of a batch that is taken.
    fn taken(&self, client: &mut Client, batch: &Batch) -> Result<Option<Error>, Failure> {
        let names = batch.tracks.iter().filter(|(_, replaces)| !replaces);
        let names: Vec<&str> = names.map(|(info, _)| info.name.as_str()).collect();
        let statement = self.sql(
            "SELECT n.track, w.name FROM unnest($1::text[]) WITH ORDINALITY w (name, number)
             JOIN earmark.names n ON n.hash = sha256(convert_to(w.name, 'UTF8'))
             ORDER BY w.number LIMIT 1",
        );
        let row = client.query_typed_opt(&statement, &[(&names, Type::TEXT_ARRAY)])?;
        let Some(row) = row else { return Ok(None) };
        let (track, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Some(Error::DuplicateTrack { name, id: TrackId(track as u32) }))
    }
}

pub(super) const COPY_POSTINGS: &str =
    "COPY earmark.postings (batch, slot, lists) FROM STDIN BINARY";
pub(super) const POSTINGS: [Type; 3] = [Type::INT4, Type::INT4, Type::BYTEA];
pub(super) const COPY_PLACES: &str =
    "COPY earmark.places (batch, bucket, first_block, blocks, track) FROM STDIN BINARY";
pub(super) const PLACES: [Type; 5] = [Type::INT4, Type::INT8, Type::INT8, Type::INT8, Type::INT8];

/// Begins to send rows.
pub(super) fn binary<'t>(
    transaction: &'t mut Transaction<'_>,
    statement: &str,
    types: &[Type],
) -> Result<BinaryCopyInWriter<'t>, ::postgres::Error> {
    Ok(BinaryCopyInWriter::new(transaction.copy_in(statement)?, types))
}

/// What the row of a batch says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub first_track: u32,
    pub tracks: u64,
    pub blocks: u32,
    pub frames: u64,
    pub duration_s: f64,
    pub shift: u32,
    pub hashes: u64,
    pub postings: u64,
}

impl Counted {
    pub fn insert(
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
