//! A collection that is split over three servers.

use crate::common::server::Server;
use crate::common::*;
use crate::same::{clips_and_fast, prints, tracks};
use earmark::postgres::Store;
use earmark::search::{Shard, Shards};
use earmark::{Config, Error, Index, Match, MatchConfig, SpeedRange};
use std::time::Duration;

/// A shard on a server, whose connections come from a pool of its own.
fn shard(server: &Server, number: usize) -> Shard {
    let store = Store::connect(&server.url()).unwrap().in_schema("sharded").unwrap();
    Shard::opened_by(format!("server {number}"), move || store.snapshot())
        .time_limit(Duration::from_secs(120))
}

/// What is told of a match, wherever its track is.
fn told(matches: &[Match]) -> Vec<(String, i64, bool)> {
    let told = |m: &Match| {
        // The same audio is equally good: either may come first.
        let name = m.name.replace("copy of", "track").replace("half of", "track");
        (name, (m.offset_s * 1000.0).round() as i64, m.same_as.is_some())
    };
    matches.iter().map(told).collect()
}

#[test]
fn three_servers_answer_as_one_index_and_one_that_is_down_is_told() {
    let servers = [(); 3].map(|()| Server::start(&["fsync=off"]));
    let [Some(a), Some(b), Some(c)] = servers else { return };
    let servers = [a, b, c];
    let tracks = tracks();
    let prints = prints(&tracks);
    let index = Index::in_memory(Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    for (number, server) in servers.iter().enumerate() {
        let store = Store::connect(&server.url()).unwrap().in_schema("sharded").unwrap();
        store.migrate(&Config::default()).unwrap();
        let own = prints.iter().skip(number).step_by(3);
        store.add(own.map(|(info, print)| (info.clone(), print))).unwrap();
    }
    for (info, print) in &prints {
        writer.add(info.clone(), print).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    let one = index.reader();
    let shards = || Shards::new(servers.iter().enumerate().map(|(i, server)| shard(server, i)));
    let all = shards();
    let plain = MatchConfig::default();
    let fast = MatchConfig { speed: SpeedRange::percent(4.0).unwrap(), ..MatchConfig::default() };
    let clips = clips_and_fast(&tracks);
    let part_of = |name: &str| prints.iter().position(|(info, _)| info.name == name).unwrap() % 3;
    let mut found = 0;
    for (number, clip) in clips.iter().enumerate() {
        for config in [&plain, &fast] {
            let (want, got) =
                (one.search(clip, config).unwrap(), all.search(clip, config).unwrap());
            assert_eq!(told(&got), told(&want), "clip {number}");
            for (a, b) in got.iter().zip(&want) {
                // At other speeds, so many of the best places of each are tuned, of all or of a shard.
                let off = if config.speed.is_off() { 1e-6 } else { 0.05 * b.score() };
                assert!((a.score() - b.score()).abs() < off, "clip {number}: {a:?} {b:?}");
                assert_eq!(a.part, part_of(&a.name));
            }
            found += got.len();
        }
    }
    assert!(found > 10, "{found}");
    // A clear clip, of a track on the first: none of them looks at everything.
    let stores: Vec<Store> = servers
        .iter()
        .map(|server| Store::connect(&server.url()).unwrap().in_schema("sharded").unwrap())
        .collect();
    let counted = Shards::new(stores.iter().cloned().map(|store| {
        store.config().unwrap();
        Shard::opened_by("counted", move || store.snapshot())
    }));
    assert!(!counted.search(&clips[0], &plain).unwrap().is_empty());
    let trips: Vec<u64> = stores.iter().map(|store| store.traffic().round_trips()).collect();
    assert!(trips.iter().all(|trips| (1..=3).contains(trips)), "{trips:?}");

    // One is down, with connections that were used before, and with new ones.
    servers[1].end("KILL");
    // Tracks 3 and 8 are on the first and the third, track 1 and its copy on the second.
    let on_first = query(cut(&tracks[3].1, 5.0, 10.0));
    let on_second = query(cut(&tracks[4].1, 5.0, 10.0));
    for _ in 0..3 {
        let error = all.search(&on_first, &plain).unwrap_err();
        assert!(matches!(&error, Error::Shard { name, .. } if name == "server 1"), "{error}");
        assert!(error.to_string().starts_with("shard server 1: PostgreSQL: cannot"), "{error}");
        assert!(!error.to_string().contains(server::PASSWORD), "{error}");
        let answer = all.search_available(&on_first, &plain).unwrap();
        assert!(answer.matches.iter().any(|m| m.name == "track 3" && m.part == 0));
        assert_eq!(answer.missing.iter().map(|m| m.part).collect::<Vec<_>>(), [1]);
        assert!(matches!(answer.missing[0].reason, Error::Postgres { .. }));
        let answer = all.search_available(&on_second, &plain).unwrap();
        assert!(answer.matches.is_empty() && answer.is_partial());
    }
    // It is there again, and the same connections to the others were kept.
    servers[1].begin();
    assert_eq!(all.search(&on_second, &plain).unwrap()[0].name, "track 4");
    assert!(!all.search_available(&on_first, &plain).unwrap().is_partial());

    // A server that hangs.
    let stopped = |signal| servers[2].signal(signal);
    stopped("STOP");
    let limited = Shards::new(servers.iter().enumerate().map(|(i, server)| match i {
        2 => {
            let url = server.url();
            let open = move || Store::connect(&url)?.in_schema("sharded")?.snapshot();
            Shard::opened_by("server 2", open).time_limit(Duration::from_millis(500))
        }
        _ => shard(server, i),
    }));
    let answer = limited.search_available(&on_first, &plain).unwrap();
    stopped("CONT");
    assert_eq!(answer.missing[0].to_string().split(" (").next(), Some("server 2: no answer"));
    assert!(answer.matches.iter().any(|m| m.name == "track 3"));
    // And with index files beside databases.
    let beside = Index::in_memory(Config::default()).unwrap();
    add(&beside, "beside", &fingerprint(&music(20.0, 321))).unwrap();
    let mixed = Shards::new([shard(&servers[0], 0), Shard::new("files", beside.reader())]);
    let clip = query(cut(&music(20.0, 321), 3.0, 8.0));
    let found = mixed.search(&clip, &plain).unwrap();
    assert_eq!((found[0].name.as_str(), found[0].part), ("beside", 1));
    assert_eq!(told(&mixed.search(&on_first, &plain).unwrap())[0].0, "track 3");
}
