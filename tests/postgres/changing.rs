//! Adding, removing, replacing and merging.

use crate::common::server::Server;
use earmark::postgres::{CompactOptions, Store};
use earmark::store::{Store as _, conformance};
use earmark::{Config, Error, Fingerprint, TrackId, TrackInfo};
use std::time::Duration;

type Track = (TrackId, TrackInfo, Fingerprint);

pub fn recordings(count: usize, seed: u64) -> Vec<(TrackInfo, Fingerprint)> {
    conformance::recordings(&Config::default(), count, seed)
}

pub fn add(store: &Store, recordings: &[(TrackInfo, Fingerprint)]) -> Vec<Track> {
    let ids = store.add(recordings.iter().map(|(info, print)| (info.clone(), print))).unwrap();
    let tracks = ids.into_iter().zip(recordings);
    tracks.map(|(id, (info, print))| (id, info.clone(), print.clone())).collect()
}

/// A store with tables.
pub fn store(server: &Server) -> Store {
    let store = server.store();
    store.migrate(&Config::default()).unwrap();
    store
}

pub fn check(store: &Store, tracks: &[Track]) {
    conformance::check(&store.snapshot().unwrap(), tracks).unwrap();
    assert_eq!(store.verify().unwrap(), []);
}

fn now() -> CompactOptions {
    CompactOptions::default().grace(Duration::ZERO).lease(Duration::ZERO)
}

#[test]
fn what_is_removed_replaced_and_merged_is_answered_as_it_should_be() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    let recordings = recordings(40, 3);
    let mut tracks: Vec<Track> = recordings.chunks(9).flat_map(|some| add(&store, some)).collect();
    check(&store, &tracks);
    for at in [30, 17, 16, 0] {
        let (id, info, _) = tracks.remove(at);
        assert_eq!(store.remove(id).unwrap().name, info.name);
        assert!(matches!(store.remove(id), Err(Error::NoSuchTrack { .. })));
        assert!(matches!(store.fingerprint(id), Err(Error::NoSuchTrack { .. })));
        assert_eq!(store.find(&info.name).unwrap(), None);
    }
    check(&store, &tracks);
    // In place of one that is there, of one that was removed, and of one removed in the same moment.
    for (at, print) in [(5, 12), (20, 3)] {
        let (_, info, _) = tracks.remove(at);
        let print = &recordings[print].1;
        let id = store.replace(info.clone(), print).unwrap();
        tracks.push((id, info, print.clone()));
    }
    tracks.extend(add(&store, &recordings[..1]));
    check(&store, &tracks);
    let before = store.snapshot().unwrap();
    conformance::check(&before, &tracks).unwrap();
    let batches = store.stats().unwrap().batches.len();
    let done = store.compact_with(&CompactOptions::default().all()).unwrap();
    assert_eq!((done.merged, done.made, done.deleted), (batches as u64, 1, 0));
    // Old snapshots go on until what they have is deleted.
    conformance::check(&before, &tracks).unwrap();
    check(&store, &tracks);
    let all: Vec<_> = tracks.iter().map(|track| track.0).collect();
    assert_eq!(store.compact_with(&now()).unwrap().tracks, 6);
    match before.blocks_of(&all).and(before.excerpts(std::slice::from_ref(&(0..9)))) {
        Err(Error::Postgres { advice, .. }) => assert!(advice.contains("new snapshot")),
        other => panic!("{other:?}"),
    }
    check(&store, &tracks);
    let stats = store.stats().unwrap();
    assert_eq!((stats.tracks, stats.batches.len(), stats.others), (37, 1, 0));
    let seconds: f64 = tracks.iter().map(|track| track.2.duration_s()).sum();
    assert!((stats.duration_s - seconds).abs() < 1e-6);
    for (id, info, print) in &tracks {
        assert_eq!(store.fingerprint(*id).unwrap(), *print);
        assert_eq!(store.find(&info.name).unwrap().unwrap().id, *id);
    }
    let (first, rest) = (store.list(None, 7).unwrap(), all[6]);
    let listed: Vec<_> = first.into_iter().chain(store.list(Some(rest), 1000).unwrap()).collect();
    assert_eq!(listed.iter().map(|track| track.id).collect::<Vec<_>>(), all);
    // Until nothing is left.
    all.iter().for_each(|id| drop(store.remove(*id).unwrap()));
    check(&store, &[]);
    store.compact_with(&now().all()).unwrap();
    store.compact_with(&now()).unwrap();
    check(&store, &[]);
    let rows = "SELECT count(*) FROM features UNION ALL SELECT count(*) FROM postings
         UNION ALL SELECT count(*) FROM places UNION ALL SELECT count(*) FROM tracks
         UNION ALL SELECT count(*) FROM names UNION ALL SELECT count(*) FROM batches";
    let mut client = server.client();
    client.batch_execute(&format!("SET search_path = {}", schema(&store))).unwrap();
    assert!(client.query(rows, &[]).unwrap().iter().all(|row| row.get::<_, i64>(0) == 0));
}

/// The schema of a store.
pub fn schema(store: &Store) -> String {
    let told = format!("{store:?}");
    told.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn names_are_never_part_of_a_statement_and_unique() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    let print = recordings(1, 8).remove(0).1;
    let long = "long ".repeat(20_000);
    let names = [
        "'; DROP SCHEMA earmark CASCADE; --",
        "\"; DELETE FROM tracks; \"",
        "$1 $$ \\ \\' %s {0}",
        "E'\\x00' || pg_sleep(9)",
        "",
        "é\u{1f3b5}\u{202e}\n\t",
        &long,
    ];
    let mut tracks = Vec::new();
    for name in names {
        let mut info = TrackInfo::named(name);
        info.tags.title = Some(name.into());
        info.tags.artist = Some(format!("'{name}'"));
        tracks.extend(add(&store, &[(info, print.clone())]));
    }
    check(&store, &tracks);
    for (id, info, _) in &tracks {
        assert_eq!(store.find(&info.name).unwrap().unwrap().id, *id);
        let taken = store.add([(info.clone(), &print)]).unwrap_err();
        let Error::DuplicateTrack { name, id: of } = taken else { panic!("{taken}") };
        assert_eq!((name, of), (info.name.clone(), *id));
    }
    let twice = ["a", "b", "a"].map(|name| (TrackInfo::named(name), &print));
    assert!(matches!(store.add(twice), Err(Error::DuplicateTrack { .. })));
    assert!(matches!(
        store.add([(TrackInfo::named("nul \0"), &print)]),
        Err(Error::Postgres { .. })
    ));
    check(&store, &tracks);
}

#[test]
fn many_write_merge_and_search_at_once() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    let recordings = recordings(48, 11);
    let tracks = std::thread::scope(|scope| {
        let writers: Vec<_> = recordings
            .chunks(12)
            .map(|some| {
                let store = &store;
                scope.spawn(move || {
                    let mut tracks = Vec::new();
                    for few in some.chunks(3) {
                        tracks.extend(add(store, few));
                        // Names that all of them want: one gets each.
                        let shared = TrackInfo::named(format!("shared {}", tracks.len()));
                        let id = store.add([(shared.clone(), &few[0].1)]);
                        match id {
                            Ok(ids) => tracks.push((ids[0], shared, few[0].1.clone())),
                            Err(Error::DuplicateTrack { .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    tracks
                })
            })
            .collect();
        let mergers: Vec<_> = (0..2)
            .map(|_| {
                let store = &store;
                let options = CompactOptions::default().grace(Duration::from_secs(5));
                scope.spawn(move || {
                    for _ in 0..8 {
                        store.compact_with(&options).unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..10 {
            // Whole batches, each a whole number of times: what is there can be read to the end.
            let snapshot = store.snapshot().unwrap();
            let totals = snapshot.totals().unwrap();
            let seen = snapshot.excerpts(std::slice::from_ref(&(0..totals.blocks))).unwrap();
            let different: std::collections::BTreeSet<_> =
                seen.iter().map(|found| found.excerpt.track).collect();
            assert_eq!((different.len() as u64, seen.len()), (totals.tracks, different.len()));
        }
        mergers.into_iter().for_each(|merger| merger.join().unwrap());
        let tracks = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        let mut tracks: Vec<Track> = tracks.collect();
        tracks.sort_by_key(|track| track.0);
        tracks
    });
    let shared = tracks.iter().filter(|(_, info, _)| info.name.starts_with("shared")).count();
    assert!(tracks.len() == 48 + shared && shared >= 4, "{shared} shared names");
    store.compact_with(&now().all()).unwrap();
    assert_eq!(store.stats().unwrap().batches.len(), 1);
    check(&store, &tracks);
}

#[test]
fn connections_may_be_the_callers() {
    let Some(server) = Server::shared() else { return };
    let own = store(&server);
    let tracks = add(&own, &recordings(10, 4));
    let url = server.url();
    // The poorest of all pools: a new one each time.
    let connect = move || postgres::Client::connect(&url, postgres::NoTls).map(Box::new);
    let store = Store::with_pool(connect).in_schema(&schema(&own)).unwrap();
    check(&store, &tracks);
    let none = || Err::<Box<postgres::Client>, _>("all are taken");
    let error = Store::with_pool(none).config().unwrap_err();
    assert!(error.to_string().contains("all are taken"), "{error}");
}
