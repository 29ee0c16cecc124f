//! What a snapshot asks first: its batches, and all else that a search needs at once.

use super::{Batch, Lists, Snapshot, State};
use crate::error::{Error, Result};
use crate::landmark::{HASH_BITS, LandmarkHash};
use crate::postgres::asking::Param;
use crate::postgres::rows::{self, key};
use crate::postgres::schema::corrupt;
use crate::store::segment::slots::Slots;
use crate::store::{PostingList, Totals};
use crate::units::TrackId;
use ::postgres::types::Type;
use std::collections::HashMap;
use std::ops::Range;

/// The line is no longer, in blocks: 34 years in the default configuration. A search takes 2 bytes of
/// memory for each.
const MOST_BLOCKS: u32 = 1 << 30;

impl Snapshot {
    /// Asks for all batches, where some tracks lie, and for the slots of some keys.
    pub(super) fn ask(
        &self,
        hashes: &[LandmarkHash],
        tracks: &[TrackId],
    ) -> Result<(State, Vec<Range<u32>>, Vec<PostingList<'static>>)> {
        let mut keys: Vec<i32> = hashes.iter().filter_map(|hash| of(*hash)).collect();
        keys.sort_unstable();
        keys.dedup();
        let wanted: Vec<i64> = tracks.iter().map(|id| i64::from(id.0)).collect();
        let statement = self.store.sql("SELECT * FROM earmark.open($1, $2)");
        let params: [Param<'_>; 2] = [(&keys, Type::INT4_ARRAY), (&wanted, Type::INT8_ARRAY)];
        let rows = self.store.ask("open the collection", &statement, params)?;
        let told = |error| self.store.told("open the collection", error);
        let (mut batches, mut removed, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        let (mut tracks_there, mut frames, mut end) = (0u64, 0u64, 0u32);
        let (mut slots, mut calibration) = (None, 0i64);
        for row in &rows {
            let number = |column: usize| -> Result<u32> {
                let number: i64 = row.try_get(column).map_err(told)?;
                u32::try_from(number).map_err(|_| corrupt("a number of a batch cannot be"))
            };
            match row.try_get(0).map_err(told)? {
                0i32 => {
                    let (id, blocks, shift) =
                        (row.try_get(1).map_err(told)?, number(3)?, number(5)?);
                    let of_batch: i64 = row.try_get(4).map_err(told)?;
                    let of_batch = u64::try_from(of_batch);
                    if shift > HASH_BITS || blocks == 0 {
                        return Err(corrupt(format!("what batch {id} says of itself cannot be")));
                    }
                    tracks_there += u64::from(number(2)?);
                    frames = frames.saturating_add(
                        of_batch.map_err(|_| corrupt("a batch has less than no frames"))?,
                    );
                    let next = end.checked_add(blocks).filter(|&end| end <= MOST_BLOCKS);
                    let line = end..next.ok_or(Error::IndexFull)?;
                    end = line.end;
                    batches.push(Batch {
                        id,
                        line,
                        slots: Slots::new(blocks, HASH_BITS, shift, rows::HASHES_OF_SLOT),
                    });
                }
                1 => {
                    let id: i32 = row.try_get(1).map_err(told)?;
                    removed.push((id, number(2)?, number(3)?, number(4)?));
                }
                2 => {
                    let id: i32 = row.try_get(1).map_err(told)?;
                    places.insert(number(2)?, (id, number(3)?, number(4)?));
                }
                4 => calibration = row.try_get(2).map_err(told)?,
                _ => slots = Some(row),
            }
        }
        let base: HashMap<i32, Range<u32>> =
            batches.iter().map(|batch| (batch.id, batch.line.clone())).collect();
        let on_line = |id: i32, first: u32, blocks: u32| {
            let line = base.get(&id)?;
            let first = line.start.checked_add(first)?;
            let end = first.checked_add(blocks).filter(|&end| end <= line.end && first < end)?;
            Some(first..end)
        };
        let outside = || corrupt("a track lies outside its batch");
        let mut gaps = Vec::with_capacity(removed.len());
        for (id, first, blocks, of_track) in removed {
            gaps.push(on_line(id, first, blocks).ok_or_else(outside)?);
            tracks_there = tracks_there.saturating_sub(1);
            frames = frames.saturating_sub(of_track.into());
        }
        gaps.sort_unstable_by_key(|gap| gap.start);
        let starts = gaps.iter().map(|gap| gap.start).collect();
        let mut joined: Vec<Range<u32>> = Vec::new();
        for gap in gaps {
            match joined.last_mut() {
                Some(last) if last.end == gap.start => last.end = gap.end,
                Some(last) if last.end > gap.start => return Err(corrupt("tracks overlap")),
                _ => joined.push(gap),
            }
        }
        let place = |track: &TrackId| match places.get(&track.0) {
            Some(&(id, first, blocks)) => on_line(id, first, blocks).ok_or_else(outside),
            None => Ok(0..0),
        };
        let places = tracks.iter().map(place).collect::<Result<_>>()?;
        let totals = Totals::new(self.config.clone(), tracks_there, frames, end);
        let totals = totals
            .with_removed(joined)
            .with_calibration(self.store.calibration_numbered(calibration)?);
        let ids = batches.iter().map(|batch| batch.id).collect();
        let state = State { totals, batches, ids, removed: starts };
        let mut lists = Vec::new();
        if let Some(row) = slots {
            let numbers: HashMap<i32, u32> =
                (0..).zip(&state.ids).map(|(n, id)| (*id, n)).collect();
            let of_batch: Option<Vec<i32>> = row.try_get(6).map_err(told)?;
            let slots: Option<Vec<i32>> = row.try_get(7).map_err(told)?;
            let bytes: Option<Vec<&[u8]>> = row.try_get(8).map_err(told)?;
            let there = of_batch.unwrap_or_default().into_iter().zip(slots.unwrap_or_default());
            let there = there.zip(bytes.unwrap_or_default());
            let found: Lists<'_> = there
                .filter_map(|((id, slot), bytes)| Some(((*numbers.get(&id)?, slot as u32), bytes)))
                .collect();
            lists = state.lists(hashes, &found)?;
        }
        Ok((state, places, lists))
    }
}

/// The key of a hash, unless there is none.
fn of(hash: LandmarkHash) -> Option<i32> {
    (hash.0 >> HASH_BITS == 0).then(|| key(hash.0) as i32)
}
