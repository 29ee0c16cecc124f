//! Adds tracks: a batch at a time, in one transaction.

use super::failure::Failure;
use super::{Store, rows};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::store::segment::SegmentBuilder;
use crate::tags::{Tags, TrackInfo};
use crate::units::{ConfigId, TrackId};
use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, Transaction};
use std::collections::HashMap;

pub(super) use writing::{COPY_PLACES, COPY_POSTINGS, PLACES, POSTINGS, binary};

mod writing;

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
