//! Servers that are killed, disks that are full, queries that are cancelled, connections that are lost.

use crate::changing::{add, check, recordings, schema, store};
use crate::common::rng;
use crate::common::server::{Server, is_root, user};
use earmark::postgres::{CompactOptions, Store};
use earmark::store::conformance;
use earmark::{Config, Error, Fingerprint, TrackId, TrackInfo};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

const KILLS: u64 = 50;

/// Names and prints of a batch.
type Batch = Vec<(TrackInfo, Fingerprint)>;

/// What a writer has done, as far as it was told, and what it was doing in the end.
#[derive(Default)]
struct Done {
    added: Vec<(Vec<TrackId>, Batch)>,
    unsure: Option<Batch>,
}

/// Adds batches and merges them, until the server is gone.
fn write_until_it_fails(store: &Store, round: u64, merges: bool) -> Done {
    let mut done = Done::default();
    let options = CompactOptions::default().all().grace(Duration::ZERO).lease(Duration::ZERO);
    for number in 0.. {
        let mut batch = recordings(2, 1 + 1000 * round + number);
        batch
            .iter_mut()
            .for_each(|(info, _)| info.name = format!("{round}/{number}/{}", info.name));
        match store.add(batch.iter().map(|(info, print)| (info.clone(), print))) {
            Ok(ids) => done.added.push((ids, batch)),
            Err(Error::Postgres { .. }) => {
                done.unsure = Some(batch);
                break;
            }
            Err(other) => panic!("{other}"),
        }
        if merges && let Err(error) = store.compact_with(&options) {
            assert!(matches!(error, Error::Postgres { .. }), "{error}");
            break;
        }
    }
    done
}

#[test]
fn a_server_that_is_killed_has_all_that_was_committed_and_nothing_half() {
    // A kill takes nothing from what the system has yet to write, so that it need not be made to.
    let Some(server) = Server::start(&["fsync=off"]) else { return };
    let store = store(&server);
    let name = schema(&store);
    let mut tracks: Vec<(TrackId, TrackInfo, Fingerprint)> = Vec::new();
    let mut random = rng(5);
    let (mut unsure, mut there) = (0, 0);
    for round in 0..KILLS {
        let store = Store::connect(&server.url()).unwrap().in_schema(&name).unwrap();
        let done = std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_until_it_fails(&store, round, round % 2 == 1));
            std::thread::sleep(Duration::from_micros((2_000.0 + random() * 90_000.0) as u64));
            server.end("KILL");
            writer.join().unwrap()
        });
        server.begin();
        let store = Store::connect(&server.url()).unwrap().in_schema(&name).unwrap();
        for (ids, batch) in done.added {
            tracks.extend(ids.into_iter().zip(batch).map(|(id, (info, print))| (id, info, print)));
        }
        // Of what was not answered, all or nothing is there.
        if let Some(batch) = done.unsure {
            unsure += 1;
            let found: Vec<_> =
                batch.iter().filter_map(|(info, _)| store.find(&info.name).unwrap()).collect();
            assert!(found.is_empty() || found.len() == batch.len(), "half a batch");
            there += usize::from(!found.is_empty());
            let with_ids = found.into_iter().zip(batch);
            tracks.extend(with_ids.map(|(entry, (info, print))| (entry.id, info, print)));
        }
        check(&store, &tracks);
        while tracks.len() > 14 {
            let (id, ..) = tracks.remove(0);
            store.remove(id).unwrap();
        }
    }
    assert!(unsure > 10, "{unsure} were cut off in an addition, of which {there} are there");
    // Whatever merges have left is cleared away.
    let now = CompactOptions::default().all().grace(Duration::ZERO).lease(Duration::ZERO);
    let store = Store::connect(&server.url()).unwrap().in_schema(&name).unwrap();
    store.compact_with(&now).unwrap();
    store.compact_with(&now).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.batches.len(), stats.others), (1, 0));
    check(&store, &tracks);
}

fn sqlstate<T: std::fmt::Debug>(result: earmark::Result<T>) -> String {
    match result {
        Err(Error::Postgres { sqlstate, .. }) => sqlstate.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cancelled_queries_and_lost_connections_are_told_and_the_next_call_goes_on() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    let tracks = add(&store, &recordings(5, 2));
    let mut other = server.client();
    let lock = format!("BEGIN; LOCK TABLE {}.batches", schema(&store));
    // Who lost a connection tries once more with another.
    let ways = [("pg_cancel_backend", "57014", 2), ("pg_terminate_backend", "57P01", 4)];
    for (function, state, times) in ways {
        other.batch_execute(&lock).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| conformance::check(&store.snapshot().unwrap(), &tracks));
            let stats = scope.spawn(|| store.stats());
            let find = format!(
                "SELECT {function}(pid) FROM pg_stat_activity
                 WHERE application_name = 'earmark' AND wait_event_type = 'Lock' AND query LIKE $1"
            );
            let like = format!("%{}.%", schema(&store));
            let (mut ended, mut tried) = (0, 0);
            while ended < times && tried < 3_000 {
                std::thread::sleep(Duration::from_millis(10));
                ended += server.client().query(&find, &[&like]).unwrap().len();
                tried += 1;
            }
            // Who is thrown out may not hear why.
            let told = sqlstate(stats.join().unwrap());
            assert!(told == state || (times == 4 && told.is_empty()), "{told}");
            assert!(waiting.join().unwrap().unwrap_err().contains("the store fails"));
        });
        other.batch_execute("ROLLBACK").unwrap();
        check(&store, &tracks);
    }
    // All of them lost while nobody looked.
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'earmark' AND query LIKE $1";
    let like = format!("%{}.%", schema(&store));
    for _ in 0..2 {
        assert!(!other.query(ended, &[&like]).unwrap().is_empty());
        check(&store, &tracks);
    }
    assert!(!other.query(ended, &[&like]).unwrap().is_empty());
    let more = add(&store, &recordings(1, 99));
    store.remove(more[0].0).unwrap();
    let limit = format!("{}?options=-c%20statement_timeout%3D1", server.url());
    let hurried = Store::connect(&limit).unwrap().in_schema(&schema(&store)).unwrap();
    let many = recordings(60, 9);
    let added = hurried.add(many.iter().map(|(info, print)| (info.clone(), print)));
    assert_eq!(sqlstate(added), "57014");
    check(&store, &tracks);
    let replica = format!("{}?options=-c%20default_transaction_read_only%3Don", server.url());
    let reading = Store::connect(&replica).unwrap().in_schema(&schema(&store)).unwrap();
    check(&reading, &tracks);
    let error = reading.add([(TrackInfo::named("new"), &many[0].1)]).unwrap_err();
    assert!(error.to_string().contains("replica"), "{error}");
}

/// A small file system, which goes with the value.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=6m", "tmpfs"];
        let mounted = is_root()
            && Command::new("mount").args(mount).arg(folder.path()).output().ok()?.status.success();
        if !mounted {
            std::io::stderr().write_all(b"left out: no small disk can be mounted here\n").unwrap();
            return None;
        }
        let owned = Command::new("chown").arg(user()).arg(folder.path()).status().ok()?;
        owned.success().then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_there_still_answers() {
    let Some(server) = Server::start(&["fsync=off"]) else { return };
    let Some(small) = Small::mount() else { return };
    let place = small.0.path().display();
    server.client().batch_execute(&format!("CREATE TABLESPACE small LOCATION '{place}'")).unwrap();
    let url = format!("{}?options=-c%20default_tablespace%3Dsmall", server.url());
    let store = Store::connect(&url).unwrap();
    store.migrate(&Config::default()).unwrap();
    let mut tracks = Vec::new();
    let state = loop {
        let batch = recordings(40, 1 + tracks.len() as u64);
        match store.add(batch.iter().map(|(info, print)| (info.clone(), print))) {
            Ok(ids) => tracks.extend(ids.into_iter().zip(batch).map(|(id, (i, p))| (id, i, p))),
            other => break sqlstate(other),
        }
        assert!(tracks.len() < 10_000, "the disk is never full");
    };
    assert_eq!(state, "53100");
    assert_eq!(store.verify().unwrap(), []);
    assert_eq!(store.stats().unwrap().tracks, tracks.len() as u64);
    for (id, _, print) in &tracks {
        assert_eq!(store.fingerprint(*id).unwrap(), *print);
    }
    assert!(tracks.len() >= 40);
}
