//! Connecting, and making the tables.

use crate::common::server::{PASSWORD, Server};
use earmark::postgres::Store;
use earmark::{Config, Error};

/// A configuration with another id.
fn other() -> Config {
    let mut config = Config::default();
    config.peaks.reference_rank = 5;
    config
}

#[test]
fn tables_are_made_once_for_one_analysis() {
    let Some(server) = Server::shared() else { return };
    let store = server.store();
    assert!(matches!(store.config(), Err(Error::Postgres { .. })));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || store.migrate(&Config::default()))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    assert_eq!(store.config().unwrap().id(), Config::default().id());
    assert_ne!(other().id(), Config::default().id());
    assert!(matches!(store.migrate(&other()), Err(Error::ConfigMismatch { .. })));
}

#[test]
fn tables_of_a_later_version_are_refused() {
    let Some(server) = Server::shared() else { return };
    let store = server.store().in_schema("later").unwrap();
    store.migrate(&Config::default()).unwrap();
    server.client().batch_execute("UPDATE later.collection SET version = 9").unwrap();
    let fresh = Store::connect(&server.url()).unwrap().in_schema("later").unwrap();
    for error in [fresh.migrate(&Config::default()).unwrap_err(), fresh.config().unwrap_err()] {
        assert!(matches!(error, Error::Version { found: 9, supported: 1, .. }), "{error}");
    }
}

#[test]
fn what_keeps_one_from_connecting_is_told_and_the_password_is_not() {
    let Some(server) = Server::shared() else { return };
    let right = server.url();
    let wrong = right.replace("%20", "-");
    let no_database = right.replace("/postgres", "/nothing");
    let port = format!(":{}", server.port());
    let nobody_there = right.replace(&port, ":1");
    let states = [(wrong, Some("28P01")), (no_database, Some("3D000")), (nobody_there, None)];
    for (url, state) in states {
        let Err(Error::Postgres { sqlstate, .. }) = Store::connect(&url) else { panic!("{url}") };
        assert_eq!(sqlstate.as_deref(), state);
        let error = Store::connect(&url).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(PASSWORD) && !text.contains("not-to-be-printed"), "{text}");
        }
    }
    assert!(!format!("{:?}", server.store()).contains("printed"));
}
