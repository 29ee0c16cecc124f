//! Takes files off the list that are gone, and their tracks out of the collection.

use super::{Parameter, Queue, listing};
use crate::error::Result;
use ::postgres::types::Type;
use std::path::Path;

/// So many rows are looked at, or deleted, at a time.
const CHUNK: usize = 20_000;

impl Queue {
    /// Takes files off the list that `are_gone` says are, each with its track; says how many that were.
    /// Whoever works on one of them works in vain. Each 20,000 are a transaction.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn forget(&self, mut are_gone: impl FnMut(&Path) -> bool) -> Result<u64> {
        // In the order of their keys, from one to the next, whatever others do.
        let statement = "
            SELECT hash, name, path FROM earmark.files WHERE hash > $1 ORDER BY hash LIMIT $2";
        let (mut after, mut forgotten) = (Vec::<u8>::new(), 0);
        loop {
            let most = CHUNK as i64;
            let parameters: [Parameter<'_>; 2] = [(&after, Type::BYTEA), (&most, Type::INT8)];
            let rows = self.run("look at the list of files", |client, sql| {
                Ok(client.query_typed(&sql(statement), &parameters)?)
            })?;
            let Some(last) = rows.last() else { return Ok(forgotten) };
            let told = |error| self.store.told("look at the list of files", error);
            after = last.try_get(0).map_err(told)?;
            let mut gone: Vec<&[u8]> = Vec::new();
            for row in &rows {
                let name = row.try_get(1).map_err(told)?;
                if are_gone(&listing::path(name, row.try_get(2).map_err(told)?)?) {
                    gone.push(row.try_get(0).map_err(told)?);
                }
            }
            if !gone.is_empty() {
                forgotten += self.forget_chunk(&gone)?;
            }
        }
    }

    fn forget_chunk(&self, hashes: &[&[u8]]) -> Result<u64> {
        let statement = "
            WITH own AS MATERIALIZED (
                SELECT hash FROM earmark.files WHERE hash = ANY ($1) ORDER BY hash FOR UPDATE
            ), gone AS (
                DELETE FROM earmark.files f USING own WHERE f.hash = own.hash RETURNING f.name
            ), freed AS (
                DELETE FROM earmark.names n USING gone
                WHERE n.hash = sha256(convert_to(gone.name, 'UTF8')) RETURNING n.track
            ), removed AS (
                UPDATE earmark.tracks t SET removed_at = now()
                FROM freed WHERE t.id = freed.track AND t.removed_at IS NULL
            )
            SELECT count(*) FROM gone";
        let count: i64 = self.run("take files off the list", |client, sql| {
            let rows = client.query_typed_one(&sql(statement), &[(&hashes, Type::BYTEA_ARRAY)])?;
            Ok(rows.try_get(0)?)
        })?;
        Ok(count.max(0) as u64)
    }
}
