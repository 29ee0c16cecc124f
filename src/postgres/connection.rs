//! Connections: of our own, or from a pool of the caller's.

use super::failure::told;
use crate::error::{Error, Result};
use ::postgres::config::Host;
use ::postgres::tls::{MakeTlsConnect, TlsConnect};
use ::postgres::{Client, Config, Socket};
use std::fmt::Display;
use std::ops::DerefMut;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that are kept while nobody needs them.
const MOST_IDLE: usize = 16;
/// A server that does not answer for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that does not answer for so long is lost.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Where connections come from.
pub(super) trait Connections: Send + Sync {
    /// Calls `run` once with a connection that nobody else uses meanwhile. To be `sure` that it is there
    /// costs a round trip.
    fn with(&self, sure: bool, run: &mut dyn FnMut(&mut Client)) -> Result<()>;

    /// The same ones, once more.
    fn share(&self) -> Box<dyn Connections>;
}

type Opener = dyn Fn() -> Result<Client> + Send + Sync;

/// Connections of our own.
pub(super) struct Own {
    inner: Arc<OwnInner>,
}

struct OwnInner {
    open: Box<Opener>,
    idle: Mutex<Vec<Client>>,
}

impl Own {
    pub fn connect<T>(url: &str, tls: T) -> Result<Self>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let config = config(url, |name| std::env::var(name).ok())?;
        let open = move || config.connect(tls.clone()).map_err(|error| told("connect", &error));
        let first = open()?;
        let inner = OwnInner { open: Box::new(open), idle: Mutex::new(vec![first]) };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Connections for Own {
    fn with(&self, sure: bool, run: &mut dyn FnMut(&mut Client)) -> Result<()> {
        let idle = || self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = idle().pop();
        if sure && kept.as_mut().is_some_and(|client| client.is_valid(CHECK_TIMEOUT).is_err()) {
            // The others are most likely lost, too.
            idle().clear();
            kept = None;
        }
        let mut client = match kept {
            Some(client) => client,
            None => (self.inner.open)()?,
        };
        run(&mut client);
        let mut idle = idle();
        if client.is_closed() {
            idle.clear();
        } else if idle.len() < MOST_IDLE {
            idle.push(client);
        }
        Ok(())
    }

    fn share(&self) -> Box<dyn Connections> {
        Box::new(Self { inner: self.inner.clone() })
    }
}

type With = dyn Fn(&mut dyn FnMut(&mut Client)) -> Result<()> + Send + Sync;

/// Connections of the caller's.
pub(super) struct Shared {
    with: Arc<With>,
}

impl Shared {
    pub fn new<C, E>(take: impl Fn() -> Result<C, E> + Send + Sync + 'static) -> Self
    where
        C: DerefMut<Target = Client>,
        E: Display,
    {
        let with = move |run: &mut dyn FnMut(&mut Client)| {
            let mut client = take().map_err(|error| Error::Postgres {
                action: "take a connection from the pool",
                reason: error.to_string(),
                advice: "is the server there, and is the pool large enough?",
                sqlstate: None,
            })?;
            run(&mut client);
            Ok(())
        };
        Self { with: Arc::new(with) }
    }
}

impl Connections for Shared {
    fn with(&self, _sure: bool, run: &mut dyn FnMut(&mut Client)) -> Result<()> {
        (self.with)(run)
    }

    fn share(&self) -> Box<dyn Connections> {
        Box::new(Self { with: self.with.clone() })
    }
}

/// Reads a URL; what it leaves out comes from the variables of libpq.
fn config(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Config> {
    // What the parser says may quote a password.
    let unclear = || Error::Postgres {
        action: "connect",
        reason: "the URL or a variable such as PGPORT cannot be understood".into(),
        advice: "write postgres://user:password@host:port/database, with %40 for an @ in the password",
        sqlstate: None,
    };
    let mut config = Config::from_str(url).map_err(|_| unclear())?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host(&variable("PGHOST").unwrap_or_else(|| "localhost".into()));
    }
    if config.get_ports().is_empty()
        && let Some(port) = variable("PGPORT")
    {
        config.port(port.parse().map_err(|_| unclear())?);
    }
    if config.get_user().is_none()
        && let Some(user) = variable("PGUSER").or_else(|| variable("USER"))
    {
        config.user(&user);
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_dbname().is_none()
        && let Some(name) = variable("PGDATABASE")
    {
        config.dbname(&name);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("earmark");
    }
    if config.get_tcp_user_timeout().is_none()
        && config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)))
    {
        // So that a server that vanished is noticed within a minute.
        config.tcp_user_timeout(Duration::from_secs(60));
    }
    Ok(config)
}

/// What was asked of a server, and what came: counted since the store was made.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    round_trips: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// Times that a search waited for the server.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.counts.round_trips.load(Relaxed)
    }

    /// Rows that searches got.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.rows.load(Relaxed)
    }

    /// Bytes of features and posting lists in these rows.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Relaxed)
    }

    pub(super) fn add(&self, rows: usize, bytes: usize) {
        self.counts.round_trips.fetch_add(1, Relaxed);
        self.counts.rows.fetch_add(rows as u64, Relaxed);
        self.counts.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_leaves_out_comes_from_the_usual_variables() {
        let variable = |name: &str| match name {
            "PGHOST" => Some("there".into()),
            "PGPORT" => Some("7777".into()),
            "PGUSER" => Some("me".into()),
            "PGPASSWORD" => Some("hidden".into()),
            "PGDATABASE" => Some("music".into()),
            _ => None,
        };
        let all = config("postgres://", variable).unwrap();
        assert_eq!(all.get_hosts(), [Host::Tcp("there".into())]);
        assert_eq!(all.get_ports(), [7777]);
        assert_eq!(all.get_user(), Some("me"));
        assert_eq!(all.get_password(), Some(&b"hidden"[..]));
        assert_eq!(all.get_dbname(), Some("music"));
        let own = config("postgres://you:seen@here:1234/other", variable).unwrap();
        assert_eq!(own.get_hosts(), [Host::Tcp("here".into())]);
        assert_eq!((own.get_user(), own.get_dbname()), (Some("you"), Some("other")));
        assert_eq!(own.get_password(), Some(&b"seen"[..]));
    }

    #[test]
    fn a_url_that_cannot_be_understood_is_not_quoted() {
        for url in [
            "postgres://me:pass word@host:nothing/db",
            "host=x secret",
            "postgres://a:hunter2@h/d?hunter2=1",
        ] {
            let told = config(url, |_| None).unwrap_err();
            for text in [told.to_string(), format!("{told:?}")] {
                assert!(!text.contains("word") || text.contains("password@host"), "{text}");
                assert!(!text.contains("secret") && !text.contains("hunter2"), "{text}");
            }
        }
    }
}
