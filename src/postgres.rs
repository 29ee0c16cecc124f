//! A collection in PostgreSQL: the same answers as from an [`Index`](crate::Index), with as many writers
//! and readers as one likes, on as many machines.
//!
//! ```no_run
//! use earmark::postgres::Store;
//! use earmark::{Config, Fingerprint, MatchConfig, Query, TrackInfo};
//! # fn song() -> Fingerprint { unimplemented!() }
//! # fn clip() -> Query { unimplemented!() }
//! let store = Store::connect("postgres://me:secret@host/music")?;
//! store.migrate(&Config::default())?;
//! store.add([(TrackInfo::named("song"), &song())])?;
//! for found in store.search(&clip(), &MatchConfig::default())? {
//!     println!("{} at {:.1} s", found.name, found.offset_s);
//! }
//! # Ok::<(), earmark::Error>(())
//! ```
//!
//! Tracks are added in [batches](Batch), each in one transaction. A search reads a [`Snapshot`], which is a
//! [`store::Store`](crate::store::Store): the list of batches that there were. Batches never change;
//! [compacting](Store::compact) makes few of many. The tables are described in `FORMAT.md`, how one starts in
//! `docs/postgres.md`.

use crate::calibration::Calibration;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::search::{Match, MatchConfig};
use ::postgres::types::Type;
use connection::{Connections, Own, Shared};
use schema::Schema;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use batch::Batch;
pub use compact::{CompactOptions, Compacted};
pub use connection::Traffic;
pub use health::{BatchStats, Damage, Stats};
#[cfg(feature = "library")]
pub use queue::{Finished, Lease, Queue, QueueFailure, QueueFile, QueueProgress, QueuePut};
pub use snapshot::Snapshot;

mod asking;
mod batch;
mod compact;
mod connection;
mod failure;
mod health;
#[cfg(feature = "library")]
mod queue;
mod rows;
mod schema;
mod snapshot;
mod tracks;

/// The states of a batch: being written by a merge; counting; merged, and kept for snapshots that have it;
/// being deleted.
const BUILDING: i16 = 0;
const LIVE: i16 = 1;
const OBSOLETE: i16 = 2;
const DROPPING: i16 = 3;

/// A collection in a PostgreSQL database.
///
/// A clone is as cheap as that of an [`Arc`], and many threads may use one: each takes a connection
/// while it needs one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Box<dyn Connections>,
    traffic: Traffic,
    schema: Schema,
    known: OnceLock<Known>,
    calibration: Mutex<(i64, Option<Arc<Calibration>>)>,
}

/// What never changes in a collection.
#[derive(Clone, Debug)]
struct Known {
    config: Arc<Config>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the connection, which has a password.
        f.debug_struct("Store").field("schema", &self.inner.schema.name()).finish_non_exhaustive()
    }
}

impl Store {
    /// The schema of the tables unless another is [named](Self::in_schema).
    pub const SCHEMA: &'static str = "earmark";

    /// Connects to a database: `postgres://user:password@host:port/database`, or
    /// `host=… user=… password=…`. What is left out comes from the usual variables: `PGHOST`, `PGPORT`,
    /// `PGUSER`, `PGPASSWORD`, `PGDATABASE`.
    ///
    /// The connection is not encrypted: see [`connect_with`](Self::connect_with). Connections are made as
    /// threads need them, some are kept, and one that is lost is made again by the next call.
    ///
    /// # Errors
    /// [`Error::Postgres`] for a URL that cannot be understood, and where the server cannot be reached or
    /// refuses.
    pub fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, ::postgres::NoTls)
    }

    /// As [`connect`](Self::connect), with TLS by a crate such as `postgres-native-tls` or
    /// `tokio-postgres-rustls`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with<T>(url: &str, tls: T) -> Result<Self>
    where
        T: ::postgres::tls::MakeTlsConnect<::postgres::Socket> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send,
        <T::TlsConnect as ::postgres::tls::TlsConnect<::postgres::Socket>>::Future: Send,
    {
        Ok(Self::over(Box::new(Own::connect(url, tls)?)))
    }

    /// Takes connections from a pool of the caller's: `take` gives one, such as
    /// `move || pool.get()` of an `r2d2` pool does, and what it gives goes back when it is dropped.
    ///
    /// Each call takes one connection for one statement or one transaction, so poolers in front of the
    /// server may hand out another each time.
    pub fn with_pool<C, E>(take: impl Fn() -> Result<C, E> + Send + Sync + 'static) -> Self
    where
        C: std::ops::DerefMut<Target = ::postgres::Client>,
        E: fmt::Display,
    {
        Self::over(Box::new(Shared::new(take)))
    }

    fn over(connections: Box<dyn Connections>) -> Self {
        Self::with_schema(connections, Traffic::default(), Schema::default())
    }

    fn with_schema(connections: Box<dyn Connections>, traffic: Traffic, schema: Schema) -> Self {
        let (known, calibration) = (OnceLock::new(), Mutex::default());
        Self { inner: Arc::new(Inner { connections, traffic, schema, known, calibration }) }
    }

    /// The collection in another schema of the same database, so that one database may have several.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is not of small letters, digits and `_`, or longer than 40.
    pub fn in_schema(self, name: &str) -> Result<Self> {
        let schema = Schema::named(name)?;
        let (connections, traffic) = (self.inner.connections.share(), self.inner.traffic.clone());
        Ok(Self::with_schema(connections, traffic, schema))
    }

    /// Makes the tables of a collection of tracks that are analysed by `config`. Does nothing where they
    /// are there.
    ///
    /// # Errors
    /// [`Error::Version`] for tables of a later version, [`Error::ConfigMismatch`] where the tracks there
    /// are made by another analysis, [`Error::Config`], [`Error::Postgres`].
    pub fn migrate(&self, config: &Config) -> Result<()> {
        config.validate()?;
        self.run("make the tables", |client| self.inner.schema.migrate(client, config))?;
        let (expected, found) = (config.id(), self.known()?.config.id());
        if expected == found { Ok(()) } else { Err(Error::ConfigMismatch { expected, found }) }
    }

    /// The analysis of all fingerprints.
    ///
    /// # Errors
    /// [`Error::Postgres`] where there is no collection yet, [`Error::Version`], [`Error::Corrupt`].
    pub fn config(&self) -> Result<Arc<Config>> {
        Ok(self.known()?.config.clone())
    }

    /// Stores a calibration with the collection, or none. Searches go by it, unless they are given another;
    /// with none, by the one that is built in for the analysis.
    ///
    /// # Errors
    /// [`Error::CalibrationMismatch`] for that of another analysis, [`Error::Config`] where a number in it
    /// is out of range, [`Error::Postgres`].
    pub fn set_calibration(&self, calibration: Option<&Calibration>) -> Result<()> {
        if let Some(calibration) = calibration {
            calibration.check_for(self.config()?.id())?;
        }
        let bytes = calibration.map(Calibration::to_bytes);
        let statement = self.sql(
            "UPDATE earmark.collection
             SET calibration = $1, calibration_number = calibration_number + 1",
        );
        self.run("store a calibration", |client| {
            Ok(client.execute_typed(&statement, &[(&bytes, Type::BYTEA)]).map(drop)?)
        })
    }

    /// The calibration of the collection, which has that number now.
    fn calibration_numbered(&self, number: i64) -> Result<Option<Arc<Calibration>>> {
        let known = || self.inner.calibration.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let known = known();
            if known.0 == number {
                return Ok(known.1.clone());
            }
        }
        let statement = self.sql(
            "SELECT calibration_number, calibration FROM earmark.collection
             WHERE calibration IS NULL OR octet_length(calibration) <= 1048576",
        );
        let damaged = || schema::corrupt("its calibration cannot be");
        let rows = self.ask("read the calibration", &statement, [])?;
        let row = rows.first().ok_or_else(damaged)?;
        let number: i64 = row.try_get(0).map_err(|_| damaged())?;
        let bytes: Option<&[u8]> = row.try_get(1).map_err(|_| damaged())?;
        let calibration = bytes.map(Calibration::from_bytes).transpose()?.map(Arc::new);
        if let Some(calibration) = &calibration {
            calibration.check_for(self.config()?.id())?;
        }
        *known() = (number, calibration.clone());
        Ok(calibration)
    }

    /// Finds where a clip comes from, best match first: see [`search`](crate::search::search).
    ///
    /// # Errors
    /// Those of [`find`](crate::search::find).
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        crate::search::search(&self.snapshot()?, query, config)
    }

    /// What was asked of the server so far, and what came.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.inner.traffic
    }

    fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    fn sql<'a>(&self, statement: &'a str) -> std::borrow::Cow<'a, str> {
        self.inner.schema.sql(statement)
    }

    fn known(&self) -> Result<&Known> {
        if let Some(known) = self.inner.known.get() {
            return Ok(known);
        }
        let config = self.run("open the collection", |client| self.inner.schema.config(client))?;
        Ok(self.inner.known.get_or_init(|| Known { config: Arc::new(config) }))
    }

    /// Runs something on a connection that is there for sure. `action` is for errors.
    fn run<T>(
        &self,
        action: &'static str,
        run: impl FnOnce(&mut ::postgres::Client) -> Result<T, failure::Failure>,
    ) -> Result<T> {
        self.run_on(true, run)?.map_err(|failure| failure.when(action))
    }

    /// Runs what changes nothing: once more, if the connection was lost.
    fn read<T>(
        &self,
        action: &'static str,
        mut run: impl FnMut(&mut ::postgres::Client) -> Result<T, failure::Failure>,
    ) -> Result<T> {
        match self.run_on(false, &mut run)? {
            Err(failure) if failure.is_lost() => self.run(action, run),
            done => done.map_err(|failure| failure.when(action)),
        }
    }

    fn run_on<T>(
        &self,
        sure: bool,
        run: impl FnOnce(&mut ::postgres::Client) -> Result<T, failure::Failure>,
    ) -> Result<Result<T, failure::Failure>> {
        let (mut run, mut done) = (Some(run), None);
        self.inner.connections.with(sure, &mut |client| {
            if let Some(run) = run.take() {
                done = Some(run(client));
            }
        })?;
        done.ok_or_else(|| Error::Postgres {
            action: "take a connection",
            reason: "none was given".into(),
            advice: "try again",
            sqlstate: None,
        })
    }
}
