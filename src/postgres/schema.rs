//! The tables, and their version.

use super::Store;
use super::failure::Failure;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::sealed;
use ::postgres::types::Type;
use ::postgres::{Client, GenericClient};
use std::borrow::Cow;

/// Version of the tables.
const VERSION: i32 = 1;
const WHAT: &str = "PostgreSQL collection";
const TABLES: &str = concat!(include_str!("tables.sql"), include_str!("queue.sql"));
/// PostgreSQL cuts names at 63; indexes have longer ones than the schema.
const MOST_NAME_BYTES: usize = 40;

/// The schema that the tables are in.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    name: String,
}

impl Default for Schema {
    fn default() -> Self {
        Self { name: Store::SCHEMA.into() }
    }
}

impl Schema {
    /// Names cannot be parameters of a statement, so this takes none that would have to be quoted.
    pub fn named(name: &str) -> Result<Self> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let starts = name.as_bytes().first().is_some_and(|byte| !byte.is_ascii_digit());
        let reserved = name.starts_with("pg_");
        if !starts || reserved || name.len() > MOST_NAME_BYTES || !name.bytes().all(plain) {
            return Err(Error::Config {
                field: "schema",
                value: format!("{name:?}"),
                expected: format!(
                    "1 to {MOST_NAME_BYTES} of a-z, 0-9 and _, no digit and no pg_ first"
                ),
            });
        }
        Ok(Self { name: name.into() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A statement on tables in `earmark`, as one on those in this schema.
    pub fn sql<'a>(&self, statement: &'a str) -> Cow<'a, str> {
        if self.name == Store::SCHEMA {
            return statement.into();
        }
        let statement = statement.replace("earmark.", &format!("{}.", self.name));
        statement.replace("EXISTS earmark;", &format!("EXISTS {};", self.name)).into()
    }

    /// Makes the tables, if there are none.
    pub fn migrate(&self, client: &mut Client, config: &Config) -> Result<(), Failure> {
        let mut transaction = client.transaction()?;
        // One at a time, whoever comes first.
        transaction.query_typed(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            &[(&format!("earmark tables {}", self.name), Type::TEXT)],
        )?;
        match self.version(&mut transaction)? {
            Some(VERSION) => return Ok(()),
            Some(found) => return Err(other_version(found).into()),
            None => {}
        }
        transaction.batch_execute(&self.sql(TABLES))?;
        let bytes = sealed::encode(config).map_err(Error::Read)?;
        transaction.execute_typed(
            &self.sql(
                "INSERT INTO earmark.collection (version, config_id, config) VALUES ($1, $2, $3)",
            ),
            &[(&VERSION, Type::INT4), (&(config.id().0 as i64), Type::INT8), (&bytes, Type::BYTEA)],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// The version of the tables, if there are any.
    fn version(&self, client: &mut impl GenericClient) -> Result<Option<i32>, Failure> {
        // Not by to_regclass: a connection remembers what was not there before it waited for the lock.
        let statement = "SELECT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = 'collection')";
        let row = client.query_typed(statement, &[(&self.name, Type::TEXT)])?;
        if !row.first().map_or(Ok(false), |row| row.try_get(0))? {
            return Ok(None);
        }
        let rows = client.query_typed(&self.sql("SELECT version FROM earmark.collection"), &[])?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    /// The analysis of the collection.
    pub fn config(&self, client: &mut Client) -> Result<Config, Failure> {
        let version = self.version(client)?;
        match version {
            Some(VERSION) => {}
            Some(found) => return Err(other_version(found).into()),
            None => {
                return Err(Failure::Here(Error::Postgres {
                    action: "open the collection",
                    reason: format!("there is none in the schema {:?}", self.name),
                    advice: "call Store::migrate first, or name another schema or database",
                    sqlstate: None,
                }));
            }
        }
        let statement = self
            .sql("SELECT config_id, config FROM earmark.collection WHERE length(config) < 65536");
        let rows = client.query_typed(&statement, &[])?;
        let corrupt = || corrupt("its analysis cannot be");
        let row = rows.first().ok_or_else(corrupt)?;
        let (id, bytes): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        let config: Config = sealed::decode(bytes).map_err(|_| corrupt())?;
        if config.id().0 != id as u64 || config.validate().is_err() {
            return Err(corrupt().into());
        }
        Ok(config)
    }
}

fn other_version(found: i32) -> Error {
    let found = u32::try_from(found).unwrap_or(0);
    Error::Version { what: WHAT, found, supported: VERSION as u32, path: None }
}

/// The error for rows that cannot be.
pub(super) fn corrupt(detail: impl Into<String>) -> Error {
    Error::Corrupt { what: WHAT, detail: detail.into(), path: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_part_of_a_statement() {
        for name in ["", "1st", "A", "a b", "a;drop", "a\"", "é", "pg_x", &"a".repeat(41)] {
            assert!(Schema::named(name).is_err(), "{name}");
        }
        let schema = Schema::named("other_1").unwrap();
        let all = schema.sql(TABLES);
        assert!(all.contains("SCHEMA IF NOT EXISTS other_1;") && all.contains("other_1.postings"));
        assert!(!all.contains("earmark"));
    }
}
