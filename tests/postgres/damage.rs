//! Whatever is in the tables, also by one who means harm: no panic, no loop, no memory without limit.

use crate::changing::{schema, store};
use crate::common::server::Server;
use crate::common::*;
use crate::same;
use earmark::postgres::{CompactOptions, Store};
use earmark::store::Store as _;
use earmark::{Error, MatchConfig, Query};
use std::collections::BTreeMap;
use std::time::Duration;

const TABLES: [&str; 7] =
    ["collection", "batches", "tracks", "names", "places", "features", "postings"];

/// Does all that reads the tables; gives how many of it failed, and the matches.
fn read_all(store: &Store, clips: &[Query]) -> (usize, usize) {
    let mut failed = 0;
    let mut fails = |result: Result<(), Error>| match result {
        Ok(()) => {}
        Err(
            Error::Corrupt { .. }
            | Error::IndexFull
            | Error::Version { .. }
            | Error::ConfigMismatch { .. }
            | Error::Postgres { .. }
            | Error::BadMagic { .. }
            | Error::CalibrationMismatch { .. }
            | Error::NoSuchTrack { .. },
        ) => failed += 1,
        Err(other) => panic!("{other}"),
    };
    let mut matches = 0;
    for clip in clips {
        let found = store.search(clip, &MatchConfig::default());
        fails(found.map(|found| matches += found.len()));
    }
    let listed = store.list(None, 100).unwrap_or_default();
    for track in &listed {
        fails(store.fingerprint(track.id).map(drop));
        fails(store.find(&track.name).map(drop));
    }
    let whole = store.snapshot().and_then(|snapshot| {
        let blocks = snapshot.totals()?.blocks;
        snapshot.excerpts(&[0..blocks, 3..5, blocks.saturating_sub(9)..blocks]).map(drop)
    });
    fails(whole);
    fails(store.stats().map(drop));
    fails(store.verify().map(drop));
    (failed, matches)
}

#[test]
fn random_bytes_and_numbers_in_any_column_do_no_harm() {
    let Some(server) = Server::shared() else { return };
    let good = store(&server);
    let tracks: Vec<(String, Vec<f32>)> =
        (0..6).map(|i| (format!("track {i}"), music(9.0, 30 + i))).collect();
    let prints = same::prints(&tracks);
    for some in prints.chunks(3) {
        good.add(some.iter().map(|(info, print)| (info.clone(), print))).unwrap();
    }
    good.remove(good.find("track 4").unwrap().unwrap().id).unwrap();
    let clips: Vec<Query> =
        [0, 2, 5].iter().map(|&i: &usize| query(cut(&tracks[i].1, 2.0, 7.0))).collect();
    let (failed, matched) = read_all(&good, &clips);
    assert!(failed == 0 && matched == 3, "{failed} failed, {matched} matches");
    let mut client = server.client();
    client.batch_execute(&format!("SET search_path = {}", schema(&good))).unwrap();
    for table in TABLES {
        client.batch_execute(&format!("CREATE TABLE good_{table} AS TABLE {table}")).unwrap();
    }
    let columns: Vec<(String, String, String)> = client
        .query(
            "SELECT table_name::text, column_name::text, data_type::text
             FROM information_schema.columns
             WHERE table_schema = $1 AND table_name = ANY ($2)",
            &[&schema(&good), &TABLES.map(String::from).to_vec()],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert!(columns.len() > 40);
    let mut random = rng(77);
    let mut below = move |limit: usize| (random() * limit as f32) as usize;
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for round in 0..110 {
        // Each column, then those that hold bytes.
        let (table, column, kind) = if round < columns.len() {
            &columns[round]
        } else {
            let bytes: Vec<_> = columns.iter().filter(|column| column.2 == "bytea").collect();
            bytes[below(bytes.len())]
        };
        let edge = ["-1", "0", "1", "7", "2147483647", "-2147483648", "1073741823"][below(7)];
        let large =
            ["9223372036854775807", "4294967295", "2147483648", "65536", "-5", "0"][below(6)];
        let value = match kind.as_str() {
            "bytea" => match below(5) {
                // Some bytes overwritten, cut off, all random, none, many.
                0 | 1 => format!(
                    "overlay({column} PLACING decode(md5('{round}'), 'hex') FROM {} FOR {})",
                    1 + below(60),
                    below(16)
                ),
                2 => format!("substr({column}, 1, {})", below(200)),
                3 => format!("decode(repeat(md5('{round}'), {}), 'hex')", below(30)),
                _ => format!("decode(repeat('{:02x}', {}), 'hex')", below(256), 1 << below(21)),
            },
            "text" => format!("repeat('x', {})", 1 << below(22)),
            "double precision" => ["'NaN'", "'Infinity'", "-1e308", "1e308"][below(4)].to_owned(),
            "bigint" => large.to_owned(),
            "smallint" => (below(70_000) as i64 - 35_000).clamp(-32_768, 32_767).to_string(),
            "integer" => edge.to_owned(),
            "boolean" => "NOT one".to_owned(),
            _ => "now()".to_owned(),
        };
        let which = match below(3) {
            0 => "true".to_owned(),
            _ => format!("ctid IN (SELECT ctid FROM {table} OFFSET {} LIMIT 1)", below(3)),
        };
        // Keys that are taken and constraints forbid some.
        let update = format!("UPDATE {table} SET {column} = {value} WHERE {which}");
        if client.batch_execute(&update).is_ok() {
            let store = Store::connect(&server.url()).unwrap().in_schema(&schema(&good)).unwrap();
            let (failed, _) = read_all(&store, &clips);
            *seen.entry((table.clone(), column.clone())).or_default() += failed;
            // Merging reads, too, and what it cannot read it leaves as it is.
            let options = CompactOptions::default().all().grace(Duration::ZERO);
            if let Err(error) = store.compact_with(&options) {
                assert!(!matches!(error, Error::Io { .. }), "{error}");
            }
        }
        for table in TABLES {
            let restore = format!("TRUNCATE {table}; INSERT INTO {table} TABLE good_{table}");
            client.batch_execute(&restore).unwrap();
        }
    }
    let told = |table: &str, column: &str| {
        seen.get(&(table.into(), column.into())).is_some_and(|n| *n > 0)
    };
    for (table, column) in
        [("features", "bytes"), ("postings", "lists"), ("places", "blocks"), ("batches", "blocks")]
    {
        assert!(told(table, column), "{table}.{column} can be anything, and nobody says so");
    }
    assert_eq!(read_all(&good, &clips), (0, 3));
}
