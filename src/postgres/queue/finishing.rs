//! Adds what was made of files, and marks them as done: both or neither.

use super::super::failure::Failure;
use super::{Lease, Parameter, Queue};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::library::FailureKind;
use crate::tags::track_name;
use crate::tags::{Tags, TrackInfo};
use crate::units::TrackId;
use ::postgres::Transaction;
use ::postgres::types::Type;
use std::cell::Cell;
use std::collections::HashSet;

/// What became of a file that was made into a track.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finished {
    /// It is done, and this is its track.
    Track(TrackId),
    /// It is not this worker's any more: its lease ended, it has changed, or it was done before. Nothing was
    /// added.
    Lost,
    /// The store does not take the track. The file is marked as failed.
    Failed(Error),
}

impl Queue {
    /// Adds tracks, as one batch, and marks their files as done. Says what became of each, in their order. A
    /// track is named after its [file](track_name), and takes the place of one of this name.
    ///
    /// It is one transaction: after a kill at any moment, a file is done and its track is there, or neither.
    /// Where it is not known whether the transaction was committed, this may be called again.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`] for fingerprints of another analysis, [`Error::IndexFull`], and as
    /// [`claim`](Self::claim). Nothing is changed then.
    pub fn finish(&self, made: &[(Lease, Tags, Fingerprint)]) -> Result<Vec<Finished>> {
        let mut finished: Vec<Finished> = made.iter().map(|_| Finished::Lost).collect();
        loop {
            // What another worker has by now is left out, before it costs anything.
            let mut held = self.held(made)?;
            let mut batch = self.store.batch()?;
            let mut own = Vec::new();
            for (i, (lease, tags, fingerprint)) in made.iter().enumerate() {
                if !held.remove(&lease.number) {
                    continue;
                }
                let info = TrackInfo { name: track_name(&lease.path), tags: tags.clone() };
                match batch.replace(info, fingerprint) {
                    Ok(()) => own.push(i),
                    Err(error @ (Error::ConfigMismatch { .. } | Error::IndexFull)) => {
                        return Err(error);
                    }
                    Err(error) => {
                        let (failed, reason) = (std::slice::from_ref(lease), error.to_string());
                        self.end_as_failed(failed, FailureKind::Other, &reason)?;
                        finished[i] = Finished::Failed(error);
                    }
                }
            }
            let leases: Vec<&Lease> = own.iter().map(|&i| &made[i].0).collect();
            let lost = Cell::new(false);
            let added = self.store.commit_with(batch, &|transaction| {
                lost.set(!self.mark_done(transaction, &leases)?);
                match lost.get() {
                    true => Err(lost_meanwhile().into()),
                    false => Ok(()),
                }
            });
            match added {
                Ok(ids) => {
                    for (i, id) in own.into_iter().zip(ids) {
                        finished[i] = Finished::Track(id);
                    }
                    return Ok(finished);
                }
                // One at least is not held any more, so this ends.
                Err(_) if lost.get() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The numbers of the leases that have not ended.
    fn held(&self, made: &[(Lease, Tags, Fingerprint)]) -> Result<HashSet<i64>> {
        let statement = "
            SELECT lease FROM earmark.files
            WHERE hash = ANY ($1) AND state = 'leased' AND lease = ANY ($2)";
        let leases: Vec<&Lease> = made.iter().map(|(lease, ..)| lease).collect();
        let (hashes, numbers) = keys(&leases);
        let parameters: [Parameter<'_>; 2] =
            [(&hashes, Type::BYTEA_ARRAY), (&numbers, Type::INT8_ARRAY)];
        self.run("add tracks", |client, sql| {
            let rows = client.query_typed(&sql(statement), &parameters)?;
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
        })
    }

    /// Marks files as done. Says no if one of them is another's.
    fn mark_done(
        &self,
        transaction: &mut Transaction<'_>,
        leases: &[&Lease],
    ) -> Result<bool, Failure> {
        // In the order that all keep, so that no two wait for one another.
        let statement = self.store.sql(
            "WITH own AS MATERIALIZED (
                SELECT hash FROM earmark.files
                WHERE hash = ANY ($1) AND state = 'leased' AND lease = ANY ($2)
                ORDER BY hash FOR UPDATE
            )
            UPDATE earmark.files f SET
                state = 'done', worker = NULL, due = NULL, ended_at = clock_timestamp(),
                failure = NULL, reason = NULL
            FROM own WHERE f.hash = own.hash",
        );
        let (hashes, numbers) = keys(leases);
        let parameters: [Parameter<'_>; 2] =
            [(&hashes, Type::BYTEA_ARRAY), (&numbers, Type::INT8_ARRAY)];
        let marked = transaction.execute_typed(&statement, &parameters)?;
        Ok(marked == leases.len() as u64)
    }
}

/// The keys of some files, and the numbers of their leases. A number is of one file only, so that both
/// lists need not be compared in pairs.
fn keys<'l>(leases: &[&'l Lease]) -> (Vec<&'l [u8]>, Vec<i64>) {
    leases.iter().map(|lease| (lease.hash.as_slice(), lease.number)).unzip()
}

/// Never told: what is lost is left out, and the rest is added again.
fn lost_meanwhile() -> Error {
    Error::Postgres {
        action: "add tracks",
        reason: "the lease of a file has ended meanwhile".into(),
        advice: "try again",
        sqlstate: None,
    }
}
