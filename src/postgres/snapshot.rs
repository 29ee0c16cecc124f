//! One state of the collection, as a search reads it.

use super::Store;
use super::asking::Param;
use super::batch::BUCKET_BLOCKS;
use super::rows::{self, key};
use super::schema::corrupt;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::{HASH_BITS, Landmark, LandmarkHash};
use crate::store::segment::slots::Slots;
use crate::store::{self, Excerpted, FirstLook, Found, PostingList, Totals, TrackEntry};
use crate::units::TrackId;
use ::postgres::types::Type;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

mod excerpts;
mod opening;

/// Slots that are asked for together, at most: more than any search needs, unless there are hundreds of
/// batches.
const MOST_SLOTS: usize = 1 << 20;
/// One state of a collection in PostgreSQL: what is committed later is not seen.
///
/// It is the list of batches that there were when it was first asked; batches never change. It holds
/// neither a connection nor a transaction. Merged batches are kept for a while; a snapshot that is older
/// than that gives an error that says so.
#[derive(Debug)]
pub struct Snapshot {
    store: Store,
    config: Arc<Config>,
    state: OnceLock<State>,
    /// What came with excerpts.
    tracks: Mutex<HashMap<TrackId, TrackEntry>>,
}

#[derive(Debug)]
struct State {
    totals: Totals,
    batches: Vec<Batch>,
    /// Their ids.
    ids: Vec<i32>,
    /// Where removed tracks begin.
    removed: BTreeSet<u32>,
}

#[derive(Debug)]
struct Batch {
    id: i32,
    /// Where it begins on the line, and ends.
    line: Range<u32>,
    slots: Slots,
}

/// The slots that were asked for, by batch, as its place among them, and number.
type Lists<'r> = HashMap<(u32, u32), &'r [u8]>;

impl Store {
    /// The state that is there when it is first asked.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub fn snapshot(&self) -> Result<Snapshot> {
        let (state, tracks) = (OnceLock::new(), Mutex::default());
        Ok(Snapshot { store: self.clone(), config: self.config()?, state, tracks })
    }
}

impl Snapshot {
    /// The lists of so few hashes that their slots can be asked for together.
    fn look_some_up(
        &self,
        hashes: &[LandmarkHash],
        state: &State,
    ) -> Result<Vec<PostingList<'static>>> {
        let mut slots: Vec<(u32, u32)> = Vec::with_capacity(hashes.len() * state.batches.len());
        for hash in hashes.iter().filter(|hash| hash.0 >> HASH_BITS == 0) {
            let key = key(hash.0);
            slots.extend((0..).zip(&state.batches).map(|(n, b)| (n, key >> b.slots.shift())));
        }
        // In the order in which they lie in the table.
        slots.sort_unstable();
        slots.dedup();
        let batches: Vec<i32> = slots.iter().map(|slot| state.ids[slot.0 as usize]).collect();
        let numbers: Vec<i32> = slots.iter().map(|slot| slot.1 as i32).collect();
        let statement = self.store.sql("SELECT * FROM earmark.look_up($1, $2, $3)");
        let params: [Param<'_>; 3] = [
            (&state.ids, Type::INT4_ARRAY),
            (&batches, Type::INT4_ARRAY),
            (&numbers, Type::INT4_ARRAY),
        ];
        let rows = self.store.ask("look hashes up", &statement, params)?;
        let told = |error| self.store.told("look hashes up", error);
        let row = rows.first().ok_or_else(|| corrupt("a search is not answered"))?;
        self.check_present(row.try_get(0).map_err(told)?, state)?;
        let places: Option<Vec<i32>> = row.try_get(1).map_err(told)?;
        let bytes: Option<Vec<&[u8]>> = row.try_get(2).map_err(told)?;
        let there = places.unwrap_or_default().into_iter().zip(bytes.unwrap_or_default());
        let found: Lists<'_> = there
            .filter_map(|(place, bytes)| {
                // Counted from 1.
                Some((*slots.get(usize::try_from(place).ok()?.checked_sub(1)?)?, bytes))
            })
            .collect();
        state.lists(hashes, &found)
    }

    fn state(&self) -> Result<&State> {
        if let Some(state) = self.state.get() {
            return Ok(state);
        }
        let (state, ..) = self.ask(&[], &[])?;
        Ok(self.state.get_or_init(|| state))
    }

    /// The error for a snapshot whose batches were merged and removed.
    fn check_present(&self, present: i64, state: &State) -> Result<()> {
        if usize::try_from(present) == Ok(state.ids.len()) {
            return Ok(());
        }
        Err(Error::Postgres {
            action: "read a snapshot",
            reason: "batches of it were merged, and are gone".into(),
            advice: "take a new snapshot and ask again",
            sqlstate: None,
        })
    }
}

impl State {
    /// The lists of hashes, given the slots in which they may be.
    fn lists(
        &self,
        hashes: &[LandmarkHash],
        found: &Lists<'_>,
    ) -> Result<Vec<PostingList<'static>>> {
        let mut lists = Vec::with_capacity(hashes.len());
        for (of, hash) in (0..).zip(hashes) {
            if hash.0 >> HASH_BITS != 0 {
                continue;
            }
            let key = key(hash.0);
            for (number, batch) in (0..).zip(&self.batches) {
                let slot = key >> batch.slots.shift();
                let Some(bytes) = found.get(&(number, slot)) else { continue };
                let mut entries = batch.slots.entries(bytes, slot);
                let no_slot = |_| corrupt(format!("slot {slot} of batch {} cannot be", batch.id));
                while let Some((entry, list)) = entries.next().map_err(no_slot)? {
                    if entry < key {
                        continue;
                    }
                    if entry == key {
                        let (len, base, widths) = (list.len, batch.line.start, list.widths);
                        let from = bytes.len() - list.bytes.len();
                        let bytes = list.bytes.get(..entries.end().saturating_sub(from));
                        let bytes = bytes.unwrap_or_default().to_vec().into();
                        let first_bit = list.first_bit;
                        lists.push(PostingList { of, len, base, widths, first_bit, bytes });
                    }
                    break;
                }
            }
        }
        Ok(lists)
    }

    /// The batches that have blocks among these, by their numbers.
    fn batches_in(&self, blocks: &Range<u32>) -> Range<usize> {
        let first = self.batches.partition_point(|batch| batch.line.end <= blocks.start);
        let end = self.batches.partition_point(|batch| batch.line.start < blocks.end);
        first..end.max(first)
    }
}

impl store::Store for Snapshot {
    fn totals(&self) -> Result<Totals> {
        Ok(self.state()?.totals.clone())
    }

    fn config(&self) -> Result<Arc<Config>> {
        Ok(self.config.clone())
    }

    fn first_look<'s>(
        &'s self,
        landmarks: &[Landmark],
        probe_steps: u32,
        tracks: &[TrackId],
    ) -> Result<FirstLook<'s>> {
        if self.state.get().is_some() {
            let (totals, found) = (self.totals()?, self.look_up(landmarks, probe_steps)?);
            let blocks = if tracks.is_empty() { Vec::new() } else { self.blocks_of(tracks)? };
            return Ok(FirstLook { totals, blocks, found });
        }
        let (mut hashes, mut landmark_of) = (Vec::new(), Vec::new());
        for (i, landmark) in (0..).zip(landmarks) {
            landmark.probe(&self.config.landmarks, probe_steps, |hash| {
                hashes.push(hash);
                landmark_of.push(i);
            });
        }
        let (state, blocks, lists) = self.ask(&hashes, tracks)?;
        let totals = self.state.get_or_init(|| state).totals.clone();
        let found = lists
            .into_iter()
            .filter_map(|list| Some(Found { landmark: *landmark_of.get(list.of as usize)?, list }));
        Ok(FirstLook { totals, blocks, found: found.collect() })
    }

    fn postings(&self, hashes: &[LandmarkHash]) -> Result<Vec<PostingList<'_>>> {
        let state = self.state()?;
        if hashes.is_empty() || state.batches.is_empty() {
            return Ok(Vec::new());
        }
        let mut lists = Vec::with_capacity(hashes.len());
        let together = (MOST_SLOTS / state.batches.len()).max(1);
        for (first, some) in (0u32..).step_by(together).zip(hashes.chunks(together)) {
            let found = self.look_some_up(some, state)?;
            lists.extend(found.into_iter().map(|list| PostingList { of: first + list.of, ..list }));
        }
        Ok(lists)
    }

    fn excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>> {
        self.read_excerpts(wanted)
    }

    fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<TrackEntry>>> {
        let known = || self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<i64> = {
            let known = known();
            ids.iter().filter(|id| !known.contains_key(id)).map(|id| i64::from(id.0)).collect()
        };
        let mut more = HashMap::new();
        if !unknown.is_empty() {
            let state = self.state()?;
            let there = self.places(&unknown, state)?;
            for entry in self.store.entries(&unknown)? {
                if there.contains_key(&entry.id) {
                    more.insert(entry.id, entry);
                }
            }
        }
        let known = known();
        Ok(ids.iter().map(|id| known.get(id).or_else(|| more.get(id)).cloned()).collect())
    }

    fn blocks_of(&self, ids: &[TrackId]) -> Result<Vec<Range<u32>>> {
        if self.state.get().is_none() {
            let (state, blocks, _) = self.ask(&[], ids)?;
            self.state.get_or_init(|| state);
            return Ok(blocks);
        }
        let wanted: Vec<i64> = ids.iter().map(|id| i64::from(id.0)).collect();
        let places = self.places(&wanted, self.state()?)?;
        Ok(ids.iter().map(|id| places.get(id).cloned().unwrap_or(0..0)).collect())
    }
}

impl Snapshot {
    /// Where tracks lie that are there.
    fn places(&self, ids: &[i64], state: &State) -> Result<HashMap<TrackId, Range<u32>>> {
        let statement = self.store.sql(
            "SELECT p.track, p.batch, p.first_block, p.blocks FROM earmark.places p
             WHERE p.track = ANY ($1) AND p.batch = ANY ($2) AND p.bucket = p.first_block >> 8",
        );
        let params: [Param<'_>; 2] = [(&ids, Type::INT8_ARRAY), (&state.ids, Type::INT4_ARRAY)];
        let mut places = HashMap::new();
        for row in self.store.ask("find tracks", &statement, params)? {
            let told = |error| self.store.told("find tracks", error);
            let (track, batch): (i64, i32) =
                (row.try_get(0).map_err(told)?, row.try_get(1).map_err(told)?);
            let (first, blocks): (i64, i64) =
                (row.try_get(2).map_err(told)?, row.try_get(3).map_err(told)?);
            let batch = state.batches.iter().find(|known| known.id == batch);
            let place = batch.and_then(|batch| on_line(batch, first, blocks));
            let place = place.ok_or_else(|| corrupt("a track lies outside its batch"))?;
            if !state.removed.contains(&place.start) {
                places.insert(TrackId(track as u32), place);
            }
        }
        Ok(places)
    }
}

/// The blocks of the line of a track in a batch.
fn on_line(batch: &Batch, first: i64, blocks: i64) -> Option<Range<u32>> {
    let first = batch.line.start.checked_add(u32::try_from(first).ok()?)?;
    let end = first.checked_add(u32::try_from(blocks).ok()?)?;
    (first < end && end <= batch.line.end).then_some(first..end)
}

// The functions of the database have these numbers written out.
const _: () = assert!(BUCKET_BLOCKS == 1 << 8 && rows::PART_BLOCKS == 4);
