//! What of tracks lies in stretches of the line.

use super::{Batch, Snapshot, on_line};
use crate::config::Config;
use crate::error::Result;
use crate::postgres::asking::Param;
use crate::postgres::failure::Failure;
use crate::postgres::rows;
use crate::postgres::schema::corrupt;
use crate::postgres::tracks::entry;
use crate::store::block::BlockCoder;
use crate::store::{Excerpt, Excerpted, blocks_of_frames};
use crate::units::TrackId;
use ::postgres::Row;
use ::postgres::types::Type;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::PoisonError;

impl Snapshot {
    /// What lies in some stretches, asked for at once.
    pub(super) fn read_excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>> {
        let state = self.state()?;
        // The parts of stretches in batches.
        let mut asked: Vec<(u32, Range<u32>, &Batch)> = Vec::with_capacity(wanted.len());
        for (number, stretch) in (0..).zip(wanted) {
            if stretch.is_empty() {
                continue;
            }
            for batch in &state.batches[state.batches_in(stretch)] {
                let first = stretch.start.max(batch.line.start);
                let end = stretch.end.min(batch.line.end);
                asked.push((number, first..end, batch));
            }
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let in_batch = |block: u32, batch: &Batch| i64::from(block - batch.line.start);
        let batches: Vec<i32> = asked.iter().map(|asked| asked.2.id).collect();
        let firsts: Vec<i64> = asked.iter().map(|(_, at, b)| in_batch(at.start, b)).collect();
        let ends: Vec<i64> = asked.iter().map(|(_, at, b)| in_batch(at.end, b)).collect();
        let statement = self.store.sql("SELECT * FROM earmark.excerpts($1, $2, $3, $4)");
        let params: [Param<'_>; 4] = [
            (&state.ids, Type::INT4_ARRAY),
            (&batches, Type::INT4_ARRAY),
            (&firsts, Type::INT8_ARRAY),
            (&ends, Type::INT8_ARRAY),
        ];
        let rows = self.store.ask("read tracks", &statement, params)?;
        let told = |error| Failure::Server(error).when("read tracks");
        let (present, rows) =
            rows.split_first().ok_or_else(|| corrupt("a search is not answered"))?;
        self.check_present(present.try_get(0).map_err(told)?, state)?;
        let coder = BlockCoder::new(&self.config);
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut excerpts = Vec::with_capacity(rows.len());
        for row in rows {
            let number: i64 = row.try_get(0).map_err(told)?;
            let asked = usize::try_from(number - 1).ok().and_then(|number| asked.get(number));
            let (wanted, stretch, batch) =
                asked.ok_or_else(|| corrupt("a stretch is answered that was not asked for"))?;
            let placed = Placed::read(row, batch).map_err(|error| error.when("read tracks"))?;
            let Some(placed) = placed else {
                return Err(corrupt(format!(
                    "the place of a track in batch {} cannot be",
                    batch.id
                )));
            };
            if state.removed.contains(&placed.line.start) {
                continue;
            }
            let excerpt = placed.excerpt(row, stretch, &coder, &self.config)?;
            if let Entry::Vacant(new) = tracks.entry(placed.id) {
                let entry = entry(row, placed.id, 6).map_err(|error| error.when("read tracks"))?;
                new.insert(entry);
            }
            excerpts.push(Excerpted { wanted: *wanted, excerpt });
        }
        // Rows come as the server finds them.
        excerpts.sort_by_key(|e| (e.wanted, e.excerpt.first_block));
        Ok(excerpts)
    }
}

/// A track under a stretch.
struct Placed {
    id: TrackId,
    line: Range<u32>,
    frames: u32,
    words: u32,
}

impl Placed {
    fn read(row: &Row, batch: &Batch) -> Result<Option<Self>, Failure> {
        let line = on_line(batch, row.try_get(2)?, row.try_get(3)?);
        let number = |column: usize| -> Result<Option<u32>, Failure> {
            Ok(u32::try_from(row.try_get::<_, i64>(column)?).ok())
        };
        let (id, frames, words) = (number(1)?, number(4)?, number(5)?);
        let placed =
            || Some(Self { id: TrackId(id?), line: line?, frames: frames?, words: words? });
        Ok(placed())
    }

    fn excerpt(
        &self,
        row: &Row,
        stretch: &Range<u32>,
        coder: &BlockCoder,
        config: &Config,
    ) -> Result<Excerpt> {
        let damaged = || corrupt(format!("the features of {} cannot be", self.id));
        let blocks = self.line.end - self.line.start;
        let words = self.words.div_ceil(coder.words());
        if blocks_of_frames(self.frames, config).max(words) != blocks {
            return Err(damaged());
        }
        let start = stretch.start.max(self.line.start) - self.line.start;
        let end = stretch.end.min(self.line.end).saturating_sub(self.line.start);
        if start >= end {
            return Err(damaged());
        }
        let bytes: Option<&[u8]> = row.try_get(14).map_err(|_| damaged())?;
        let first_word = (start * coder.words()).min(self.words);
        let mut excerpt =
            Excerpt::new(self.id, self.line.start, self.frames, Vec::new(), first_word, Vec::new());
        let (peaks, words) = (&mut excerpt.peaks, &mut excerpt.sub_fingerprints);
        let all = (blocks, self.words);
        let decoded =
            rows::decode(coder, bytes.unwrap_or_default(), &(start..end), all, peaks, words);
        decoded.ok_or_else(damaged)?;
        Ok(excerpt)
    }
}
