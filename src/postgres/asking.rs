//! Asks the server, and takes no more than there should be.

use super::Store;
use super::failure::Failure;
use super::schema::corrupt;
use crate::error::{Error, Result};
use ::postgres::Row;
use ::postgres::fallible_iterator::FallibleIterator;
use ::postgres::types::{ToSql, Type};

/// No answer has more bytes, as far as they are counted while they come.
const MOST_BYTES: usize = 1 << 30;
/// What a row takes in memory beside its bytes, about.
const ROW_BYTES: usize = 200;

/// A parameter of a statement.
pub(super) type Param<'p> = (&'p (dyn ToSql + Sync), Type);

impl Store {
    /// Asks the server once; takes no more than there should be.
    pub(super) fn ask<'p>(
        &self,
        action: &'static str,
        statement: &str,
        params: impl IntoIterator<Item = Param<'p>>,
    ) -> Result<Vec<Row>> {
        let params: Vec<Param<'p>> = params.into_iter().collect();
        let (rows, bytes) = self.read(action, |client| {
            let mut answer = client.query_typed_raw(statement, params.iter().cloned())?;
            let (mut rows, mut bytes) = (Vec::new(), 0usize);
            while let Some(row) = answer.next()? {
                bytes = bytes.saturating_add(row.raw_size_bytes());
                if bytes.saturating_add(ROW_BYTES * rows.len()) > MOST_BYTES {
                    return Err(corrupt("an answer is longer than any should be").into());
                }
                rows.push(row);
            }
            Ok((rows, bytes))
        })?;
        self.traffic().add(rows.len(), bytes);
        Ok(rows)
    }

    pub(super) fn told(&self, action: &'static str, error: ::postgres::Error) -> Error {
        Failure::Server(error).when(action)
    }
}
