//! The same answers as an index in memory of the same tracks.

use crate::common::server::Server;
use crate::common::*;
use earmark::postgres::Store;
use earmark::search::{TrackFilter, find};
use earmark::store::{Store as _, conformance};
use earmark::{Config, Fingerprint, Index, MatchConfig, Query, SpeedRange, TrackInfo};

/// What the conformance suite asks, of tracks added in batches of several sizes.
#[test]
fn the_store_does_what_every_store_must() {
    let Some(server) = Server::shared() else { return };
    for (count, batch) in [(0, 1), (1, 1), (30, 7), (40, 40)] {
        let store = server.store();
        store.migrate(&Config::default()).unwrap();
        let recordings = conformance::recordings(&Config::default(), count, 5 + count as u64);
        let mut tracks = Vec::new();
        for some in recordings.chunks(batch) {
            let ids = store.add(some.iter().map(|(info, print)| (info.clone(), print))).unwrap();
            let with_ids = ids.into_iter().zip(some);
            tracks.extend(with_ids.map(|(id, (info, print))| (id, info.clone(), print.clone())));
        }
        conformance::check(&store.snapshot().unwrap(), &tracks).unwrap();
        // As it is after the first call, too.
        let snapshot = store.snapshot().unwrap();
        snapshot.totals().unwrap();
        conformance::check(&snapshot, &tracks).unwrap();
    }
}

/// Twelve tracks, two of which are the same and two of which share their second half.
pub fn tracks() -> Vec<(String, Vec<f32>)> {
    let mut tracks: Vec<(String, Vec<f32>)> =
        (0..10).map(|i| (format!("track {i}"), music(20.0, 70 + i))).collect();
    tracks.push(("copy of 3".into(), tracks[3].1.clone()));
    let half = tracks[5].1.len() / 2;
    let joined = [&music(10.0, 99), &tracks[5].1[half..]].concat();
    tracks.push(("half of 5".into(), joined));
    tracks
}

pub fn prints(tracks: &[(String, Vec<f32>)]) -> Vec<(TrackInfo, Fingerprint)> {
    tracks.iter().map(|(name, samples)| (TrackInfo::named(name), fingerprint(samples))).collect()
}

/// The clips of all stores and one that is played faster.
pub fn clips_and_fast(tracks: &[(String, Vec<f32>)]) -> Vec<Query> {
    let fast = music_played(RATE_HZ, 20.0, 74, 1.03, 1.03);
    let mut all = clips_of(tracks);
    all.push(query(cut(&fast, 2.0, 10.0)));
    all
}

fn add(store: &Store, prints: &[(TrackInfo, Fingerprint)], batch: usize) {
    store.migrate(&Config::default()).unwrap();
    for some in prints.chunks(batch) {
        store.add(some.iter().map(|(info, print)| (info.clone(), print))).unwrap();
    }
}

#[test]
fn clips_of_all_kinds_get_the_same_matches_bit_for_bit_in_few_round_trips() {
    let Some(server) = Server::shared() else { return };
    let tracks = tracks();
    let prints = prints(&tracks);
    let index = Index::in_memory(Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    for (info, print) in &prints {
        writer.add(info.clone(), print).unwrap();
    }
    writer.commit().unwrap();
    let reader = index.reader();
    let id = |name: &str| reader.find(name).unwrap().unwrap().id;
    let plain = MatchConfig::default();
    let any_speed = MatchConfig { speed: SpeedRange::percent(4.0).unwrap(), ..plain.clone() };
    let only = TrackFilter::Only([id("copy of 3"), id("track 5")].into());
    let only = MatchConfig { filter: only, ..any_speed.clone() };
    let except = TrackFilter::Except([id("copy of 3")].into());
    let except = MatchConfig { filter: except, ..plain.clone() };
    let mut matched = 0;
    for batch in [12, 5, 1] {
        let store = server.store();
        add(&store, &prints, batch);
        for (number, clip) in clips_and_fast(&tracks).iter().enumerate() {
            for (kind, config) in [&plain, &any_speed, &only, &except].into_iter().enumerate() {
                let before = store.traffic().round_trips();
                let got = store.search(clip, config).unwrap();
                let trips = store.traffic().round_trips() - before;
                let want = reader.search(clip, config).unwrap();
                assert_eq!(format!("{got:?}"), format!("{want:?}"), "{number}, {kind}, {batch}");
                assert_eq!(got, want);
                let most = if number < 3 && kind == 0 { 2 } else { 6 };
                assert!((2..=most).contains(&trips), "{number}, {kind}: {trips} round trips");
                matched += got.len();
                // All evidence, not only what was decided.
                if batch != 5 {
                    continue;
                }
                let want = find(&reader, clip, config).unwrap().to_bytes();
                assert_eq!(
                    find(&store.snapshot().unwrap(), clip, config).unwrap().to_bytes(),
                    want
                );
            }
        }
    }
    assert!(matched > 60, "{matched} matches");
}

#[test]
fn a_calibration_is_kept_with_the_collection() {
    let Some(server) = Server::shared() else { return };
    let store = server.store();
    let tracks = tracks();
    add(&store, &prints(&tracks[..3]), 3);
    let known = |store: &Store| store.snapshot().unwrap().totals().unwrap().calibration;
    assert_eq!(known(&store), None);
    let calibration = earmark::Calibration::built_in(Config::default().id()).unwrap();
    store.set_calibration(Some(&calibration)).unwrap();
    let clip = query(cut(&tracks[1].1, 4.0, 9.0));
    for _ in 0..2 {
        assert_eq!(known(&store), Some(calibration.clone()));
        assert_eq!(store.search(&clip, &MatchConfig::default()).unwrap()[0].name, "track 1");
    }
    store.set_calibration(None).unwrap();
    assert_eq!(known(&store), None);
    let other = calibration.as_ref().clone().for_analysis(earmark::ConfigId(7));
    assert!(matches!(
        store.set_calibration(Some(&other)),
        Err(earmark::Error::CalibrationMismatch { .. })
    ));
}
