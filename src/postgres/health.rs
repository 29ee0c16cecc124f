//! What a collection is made of, and what of it is damaged.

use super::asking::Param;
use super::tracks::decode;
use super::{LIVE, Store, rows};
use crate::error::{Error, Result};
use crate::landmark::HASH_BITS;
use crate::store::segment::slots::Slots;
use crate::units::TrackId;
use ::postgres::Row;
use ::postgres::types::Type;
use std::collections::BTreeSet;

/// Tracks that are looked at together.
const TRACKS: usize = 100;
/// Rows of postings that are.
const SLOTS: i64 = 20_000;
/// No more is told of one batch.
const MOST_DETAILS: usize = 100;

/// What a collection is made of.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Number of tracks.
    pub tracks: u64,
    /// Length of all tracks in seconds.
    pub duration_s: f64,
    /// Number of different hashes, those of each batch counted apart.
    pub hashes: u64,
    /// Number of postings, with those of removed tracks.
    pub postings: u64,
    /// Bytes of all tables and their indexes, with what is free in them.
    pub bytes: u64,
    /// Bytes of each table and its indexes.
    pub tables: Vec<(String, u64)>,
    /// The batches that count, in the order of the line.
    pub batches: Vec<BatchStats>,
    /// Batches that do not count: being written, or to be deleted.
    pub others: u64,
}

/// What a batch is made of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchStats {
    /// Its id.
    pub id: i32,
    /// Number of tracks, with removed ones.
    pub tracks: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of postings.
    pub postings: u64,
}

/// Something in a collection that is damaged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// The batch, if it is one.
    pub batch: Option<i32>,
    /// The track, if it is one.
    pub track: Option<TrackId>,
    /// What is wrong.
    pub detail: String,
}

impl Store {
    /// What the collection is made of.
    ///
    /// # Errors
    /// [`Error::Postgres`].
    pub fn stats(&self) -> Result<Stats> {
        let told = |error| self.told("count", error);
        let count = |row: &Row, column: usize| -> Result<u64> {
            Ok(row.try_get::<_, i64>(column).map_err(told)?.max(0) as u64)
        };
        let mut stats = Stats::default();
        let tracks = self.sql(
            "SELECT count(*), coalesce(sum(duration_s), 0) FROM earmark.tracks WHERE removed_at IS NULL",
        );
        for row in self.ask("count", &tracks, [])? {
            stats.tracks = count(&row, 0)?;
            stats.duration_s = row.try_get(1).map_err(told)?;
        }
        let batches = self.sql(
            "SELECT id, state, tracks, blocks, hashes, postings FROM earmark.batches
             ORDER BY first_track, id",
        );
        for row in self.ask("count", &batches, [])? {
            if row.try_get::<_, i16>(1).map_err(told)? != LIVE {
                stats.others += 1;
                continue;
            }
            stats.hashes += count(&row, 4)?;
            let postings = count(&row, 5)?;
            stats.postings += postings;
            let id = row.try_get(0).map_err(told)?;
            let (tracks, blocks) = (count(&row, 2)?, count(&row, 3)?);
            stats.batches.push(BatchStats { id, tracks, blocks, postings });
        }
        let tables = "SELECT c.relname::text, pg_total_relation_size(c.oid) FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 2 DESC";
        let schema = self.schema().name();
        for row in self.ask("count", tables, [(&schema as _, Type::TEXT)])? {
            let bytes = count(&row, 1)?;
            stats.bytes += bytes;
            stats.tables.push((row.try_get(0).map_err(told)?, bytes));
        }
        Ok(stats)
    }

    /// Reads everything, and names what is damaged: every list of postings, every block of features, every
    /// place and name.
    ///
    /// # Errors
    /// [`Error::Postgres`] where the server cannot be asked.
    pub fn verify(&self) -> Result<Vec<Damage>> {
        let mut damage = Vec::new();
        self.verify_batches(&mut damage)?;
        self.verify_tracks(&mut damage)?;
        let lost = [
            (
                "its name is not found",
                "SELECT t.id FROM earmark.tracks t WHERE t.removed_at IS NULL AND NOT EXISTS (
                     SELECT FROM earmark.names n
                     WHERE n.hash = sha256(convert_to(t.name, 'UTF8')) AND n.track = t.id)
                 LIMIT 1000",
            ),
            (
                "it is not in one batch, but in none or in several",
                "SELECT t.id FROM earmark.tracks t WHERE t.removed_at IS NULL AND 1 <> (
                     SELECT count(*) FROM earmark.places p
                     JOIN earmark.batches l ON l.id = p.batch AND l.state = 1
                     WHERE p.track = t.id AND p.bucket = p.first_block >> 8)
                 LIMIT 1000",
            ),
            (
                "it has a name, but is not there",
                "SELECT n.track FROM earmark.names n WHERE NOT EXISTS (
                     SELECT FROM earmark.tracks t WHERE t.id = n.track AND t.removed_at IS NULL)
                 LIMIT 1000",
            ),
        ];
        for (detail, statement) in lost {
            for row in self.ask("verify", &self.sql(statement), [])? {
                let id: i64 = row.try_get(0).map_err(|error| self.told("verify", error))?;
                let track = u32::try_from(id).ok().map(TrackId);
                damage.push(Damage { batch: None, track, detail: detail.into() });
            }
        }
        Ok(damage)
    }

    fn verify_batches(&self, damage: &mut Vec<Damage>) -> Result<()> {
        let told = |error| self.told("verify", error);
        let batches = self.sql(
            "SELECT l.id, l.blocks, l.slot_shift::bigint, l.hashes, l.postings, l.tracks,
                 count(p), coalesce(sum(p.blocks), 0)::bigint, coalesce(max(p.first_block + p.blocks), 0)
             FROM earmark.batches l
             LEFT JOIN earmark.places p ON p.batch = l.id AND p.bucket = p.first_block >> 8
             WHERE l.state = 1 GROUP BY l.id",
        );
        for row in self.ask("verify", &batches, [])? {
            let id: i32 = row.try_get(0).map_err(told)?;
            let mut numbers = [0i64; 8];
            for (column, number) in numbers.iter_mut().enumerate() {
                *number = row.try_get(column + 1).map_err(told)?;
            }
            let [blocks, shift, hashes, postings, tracks, places, covered, end] = numbers;
            let mut details = BTreeSet::new();
            if places != tracks || covered != blocks || end != blocks {
                details.insert("the places of its tracks cannot be".to_owned());
            }
            match (u32::try_from(blocks), u32::try_from(shift)) {
                (Ok(blocks), Ok(shift)) if shift <= HASH_BITS => {
                    let slots = Slots::new(blocks, HASH_BITS, shift, rows::HASHES_OF_SLOT);
                    let found = self.verify_lists(id, blocks, slots, &mut details)?;
                    if found != (hashes as u64, postings as u64) {
                        let detail = "it has another number of postings than it says";
                        details.insert(detail.into());
                    }
                }
                _ => drop(details.insert("what it says of itself cannot be".into())),
            }
            damage.extend(details.into_iter().map(|detail| Damage {
                batch: Some(id),
                track: None,
                detail,
            }));
        }
        Ok(())
    }

    /// Reads all lists of a batch; gives their number, and that of their blocks.
    fn verify_lists(
        &self,
        batch: i32,
        blocks: u32,
        slots: Slots,
        details: &mut BTreeSet<String>,
    ) -> Result<(u64, u64)> {
        let told = |error| self.told("verify", error);
        let statement = self.sql(
            "SELECT slot, lists FROM earmark.postings WHERE batch = $1 AND slot > $2
             ORDER BY slot LIMIT $3",
        );
        let (mut last, mut hashes, mut postings) = (-1i32, 0u64, 0u64);
        loop {
            let params: [Param<'_>; 3] =
                [(&batch, Type::INT4), (&last, Type::INT4), (&SLOTS, Type::INT8)];
            let rows = self.ask("verify", &statement, params)?;
            for row in &rows {
                last = row.try_get(0).map_err(told)?;
                let bytes: &[u8] = row.try_get(1).map_err(told)?;
                let mut entries = slots.entries(bytes, last as u32);
                let good = loop {
                    match entries.next() {
                        Ok(None) => break true,
                        Ok(Some((key, list))) if key >> slots.shift() == last as u32 => {
                            let (count, end) =
                                list.blocks().fold((0, 0), |(count, _), block| (count + 1, block));
                            if count != list.len || end >= blocks {
                                break false;
                            }
                            hashes += 1;
                            postings += u64::from(count);
                        }
                        _ => break false,
                    }
                };
                if !good && details.len() < MOST_DETAILS {
                    details.insert(format!("the postings of slot {last} cannot be"));
                }
            }
            if rows.is_empty() {
                return Ok((hashes, postings));
            }
        }
    }

    fn verify_tracks(&self, damage: &mut Vec<Damage>) -> Result<()> {
        let (config, mut after) = (self.config()?, -1i64);
        let told = |error| self.told("verify", error);
        let statement = self.sql(
            "SELECT id, octet_length(name) <= 1048576 FROM earmark.tracks
             WHERE id > $1 AND removed_at IS NULL ORDER BY id LIMIT $2",
        );
        loop {
            let params: [Param<'_>; 2] = [(&after, Type::INT8), (&(TRACKS as i64), Type::INT8)];
            let mut ids = Vec::with_capacity(TRACKS);
            for row in self.ask("verify", &statement, params)? {
                after = row.try_get(0).map_err(told)?;
                ids.push(after);
                let Ok(id) = u32::try_from(after) else {
                    let detail = format!("a track has the id {after}");
                    damage.push(Damage { batch: None, track: None, detail });
                    continue;
                };
                if !row.try_get::<_, bool>(1).map_err(told)? {
                    let detail = "its name is too long".into();
                    damage.push(Damage { batch: None, track: Some(TrackId(id)), detail });
                }
            }
            if ids.is_empty() {
                return Ok(());
            }
            let rows = self.features(&ids)?;
            let id = |row: &&Row| row.try_get::<_, i64>(0).unwrap_or(-1);
            for of_track in rows.iter().collect::<Vec<_>>().chunk_by(|a, b| id(a) == id(b)) {
                let Ok(number) = u32::try_from(id(&of_track[0])) else { continue };
                if let Err(Error::Corrupt { detail, .. }) =
                    decode(TrackId(number), of_track, &config)
                {
                    damage.push(Damage { batch: None, track: Some(TrackId(number)), detail });
                }
            }
        }
    }
}
