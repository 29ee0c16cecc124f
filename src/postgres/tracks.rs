//! The tracks of a collection: finding, listing, removing, giving their fingerprints back.

use super::Store;
use super::asking::Param;
use super::failure::Failure;
use super::rows::{self, PART_BLOCKS, parts};
use super::schema::corrupt;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::store::TrackEntry;
use crate::store::block::BlockCoder;
use crate::tags::Tags;
use crate::units::TrackId;
use ::postgres::Row;
use ::postgres::types::{FromSql, Type};

/// What a statement says of each track.
const ENTRY: &str = "t.id, t.duration_s, earmark.checked(t.name), earmark.checked(t.title),
     earmark.checked(t.artist), earmark.checked(t.album), t.track_number,
     earmark.checked(t.isrc), earmark.checked(t.musicbrainz_id)";

impl Store {
    /// The track with that name.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::Corrupt`], as for all functions here.
    pub fn find(&self, name: &str) -> Result<Option<TrackEntry>> {
        if name.contains('\0') {
            return Ok(None);
        }
        let statement = format!(
            "SELECT {ENTRY} FROM earmark.names n JOIN earmark.tracks t ON t.id = n.track
             WHERE n.hash = sha256(convert_to($1, 'UTF8'))"
        );
        let found = self.entries_of("find a track", &statement, [(&name as _, Type::TEXT)])?;
        Ok(found.into_iter().next())
    }

    /// Up to `most` tracks in the order of their ids, those after `after` or from the first on.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn list(&self, after: Option<TrackId>, most: usize) -> Result<Vec<TrackEntry>> {
        let statement = format!(
            "SELECT {ENTRY} FROM earmark.tracks t WHERE t.id > $1 AND t.removed_at IS NULL
             ORDER BY t.id LIMIT $2"
        );
        let after = after.map_or(-1, |id| i64::from(id.0));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params: [Param<'_>; 2] = [(&after, Type::INT8), (&most, Type::INT8)];
        self.entries_of("list tracks", &statement, params)
    }

    /// Removes a track, and says what it was. Its name is free at once; its bytes go when
    /// [`compact`](Self::compact) has merged its batch.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`], and those of [`find`](Self::find).
    pub fn remove(&self, id: TrackId) -> Result<TrackEntry> {
        let statement = format!(
            "WITH t AS (
                 UPDATE earmark.tracks SET removed_at = now() WHERE id = $1 AND removed_at IS NULL
                 RETURNING *),
             freed AS (
                 DELETE FROM earmark.names n USING t
                 WHERE n.hash = sha256(convert_to(t.name, 'UTF8')) AND n.track = t.id)
             SELECT {ENTRY} FROM t"
        );
        let number = i64::from(id.0);
        let gone = self.entries_of("remove a track", &statement, [(&number as _, Type::INT8)])?;
        gone.into_iter().next().ok_or(Error::NoSuchTrack { id })
    }

    /// The fingerprint of a track, as it was added.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`], and those of [`find`](Self::find).
    pub fn fingerprint(&self, id: TrackId) -> Result<Fingerprint> {
        let rows = self.features(&[i64::from(id.0)])?;
        if rows.is_empty() {
            return Err(Error::NoSuchTrack { id });
        }
        decode(id, &rows.iter().collect::<Vec<_>>(), self.config()?.as_ref())
    }

    /// The features of tracks that were not removed: id, duration, frames, sub-fingerprints, part, bytes.
    pub(super) fn features(&self, ids: &[i64]) -> Result<Vec<Row>> {
        let statement = self.sql(
            "SELECT t.id, t.duration_s, t.frames, t.sub_fingerprints, f.part, f.bytes
             FROM earmark.tracks t LEFT JOIN earmark.features f
                 ON f.track = t.id AND octet_length(f.bytes) <= 262148
             WHERE t.id = ANY ($1) AND t.removed_at IS NULL ORDER BY t.id, f.part",
        );
        self.ask("read tracks", &statement, [(&ids as _, Type::INT8_ARRAY)])
    }

    /// What is known of some tracks, also of removed ones.
    pub(super) fn entries(&self, ids: &[i64]) -> Result<Vec<TrackEntry>> {
        let statement = format!("SELECT {ENTRY} FROM earmark.tracks t WHERE t.id = ANY ($1)");
        self.entries_of("find tracks", &statement, [(&ids as _, Type::INT8_ARRAY)])
    }

    fn entries_of<'p>(
        &self,
        action: &'static str,
        statement: &str,
        params: impl IntoIterator<Item = Param<'p>>,
    ) -> Result<Vec<TrackEntry>> {
        let rows = self.ask(action, &self.sql(statement), params)?;
        let read = |row: &Row| {
            let id: i64 = row.try_get(0)?;
            let id = u32::try_from(id).map_err(|_| corrupt("the id of a track cannot be"))?;
            entry(row, TrackId(id), 1)
        };
        rows.iter().map(|row| read(row).map_err(|failure| failure.when(action))).collect()
    }
}

/// Decodes the features of a track: all its rows, in their order.
pub(super) fn decode(id: TrackId, rows: &[&Row], config: &Config) -> Result<Fingerprint> {
    let read = || -> Option<Fingerprint> {
        let number =
            |row: &Row, column: usize| u32::try_from(row.try_get::<_, i64>(column).ok()?).ok();
        let first = rows.first()?;
        let coder = BlockCoder::new(config);
        let (frames, sub_fingerprints) = (number(first, 2)?, number(first, 3)?);
        let blocks = coder.blocks(frames, sub_fingerprints);
        if rows.len() != parts(&(0..blocks)).len() {
            return None;
        }
        let (mut peaks, mut words) = (Vec::new(), Vec::new());
        for (part, row) in (0i32..).zip(rows) {
            if row.try_get::<_, Option<i32>>(4).ok()? != Some(part) {
                return None;
            }
            let first = (part as u32).checked_mul(PART_BLOCKS)?;
            let here = first..blocks.min(first.saturating_add(PART_BLOCKS));
            let all = (blocks, sub_fingerprints);
            let bytes = row.try_get(5).ok()?;
            rows::decode(&coder, bytes, &here, all, &mut peaks, &mut words)?;
        }
        Some(Fingerprint::from_parts(peaks, words, first.try_get(1).ok()?, config))
    };
    read().ok_or_else(|| corrupt(format!("the features of {id} cannot be")))
}

/// What a row says of a track, from a column on: duration, name and tags.
pub(super) fn entry(row: &Row, id: TrackId, from: usize) -> Result<TrackEntry, Failure> {
    fn text<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Failure> {
        Ok(row.try_get(column)?)
    }
    let name: Option<String> = text(row, from + 1)?;
    let number: Option<i64> = text(row, from + 5)?;
    let tags = Tags {
        title: text(row, from + 2)?,
        artist: text(row, from + 3)?,
        album: text(row, from + 4)?,
        track_number: number.and_then(|number| number.try_into().ok()),
        isrc: text(row, from + 6)?,
        musicbrainz_id: text(row, from + 7)?,
    };
    let name = name.ok_or_else(|| corrupt(format!("the name of {id} is too long")))?;
    Ok(TrackEntry::new(id, name, tags, text(row, from)?))
}
