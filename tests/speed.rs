//! Clips in another speed, tempo or pitch than the track. They are synthesised so: no resampler, and
//! nothing else of this crate, makes them.

mod common;

use common::*;
use earmark::{Index, KdIndex, Match, MatchConfig, Query, SpeedRange};

const SECONDS: f32 = 40.0;

/// Three tracks, of which the clips come from the one named "2".
fn index() -> Index {
    let tracks = [1, 2, 3].map(|seed| music(SECONDS, 100 + seed));
    index_of(&[("1", &tracks[0]), ("2", &tracks[1]), ("3", &tracks[2])])
}

/// The part of track "2" from one time of the track to another, as it is played.
fn clip(from_s: f64, to_s: f64, tempo: f64, pitch: f64) -> Query {
    let played = music_played(RATE_HZ, SECONDS, 102, tempo as f32, pitch as f32);
    query(cut(&played, from_s / tempo, to_s / tempo))
}

fn within(percent: f64) -> MatchConfig {
    MatchConfig { speed: SpeedRange::percent(percent).unwrap(), ..MatchConfig::default() }
}

fn check(m: &Match, from_s: f64, tempo: f64, pitch: f64) {
    let context = format!("tempo {tempo}, pitch {pitch}: {m:?}");
    assert_eq!(m.name, "2", "{context}");
    assert!((m.speed / tempo - 1.0).abs() <= 0.002, "{context}");
    assert!((m.pitch / pitch - 1.0).abs() <= 0.002, "{context}");
    assert!((m.offset_s - from_s).abs() <= 0.03, "{context}");
    let at = |query_s: f64| m.offset_s + m.speed * query_s;
    assert!((m.reference.start_s - at(m.query.start_s)).abs() < 1e-9, "{context}");
    assert!((m.reference.end_s - at(m.query.end_s)).abs() < 1e-9, "{context}");
}

/// Tempo and pitch for each kind of change.
fn changes(ratio: f64) -> [(f64, f64); 3] {
    [(ratio, ratio), (ratio, 1.0), (1.0, ratio)]
}

#[test]
fn speed_tempo_and_pitch_are_found_and_measured() {
    let hash = index();
    let kd = KdIndex::new(hash.reader()).unwrap();
    for ratio in [0.913, 0.96, 1.02, 1.054, 1.095] {
        for (tempo, pitch) in changes(ratio) {
            let query = clip(11.7, 11.7 + 5.0 * tempo, tempo, pitch);
            let found = [hash.search(&query, &within(10.0)), kd.search(&query, &within(10.0))];
            for matches in found.map(Result::unwrap) {
                assert_eq!(matches.len(), 1, "{ratio}: {matches:?}");
                check(&matches[0], 11.7, tempo, pitch);
                assert!(matches[0].query.length_s() > 4.5, "{ratio}: {matches:?}");
            }
        }
    }
}

#[test]
fn a_wide_range_reaches_its_ends() {
    let index = index();
    for ratio in [0.8, 1.25] {
        for (tempo, pitch) in changes(ratio) {
            let query = clip(20.2, 20.2 + 5.0 * tempo, tempo, pitch);
            let matches = index.search(&query, &within(25.0)).unwrap();
            check(&matches[0], 20.2, tempo, pitch);
        }
    }
}

#[test]
fn without_a_range_no_other_speed_is_assumed() {
    let query = clip(11.7, 17.0, 1.03, 1.03);
    assert_eq!(names(&index().search(&query, &MatchConfig::default()).unwrap()), [""; 0]);
}

#[test]
fn what_is_played_as_it_is_stays_what_it_was() {
    let index = index();
    for from_s in [3.1, 17.77, 30.0] {
        let query = clip(from_s, from_s + 5.0, 1.0, 1.0);
        let plain = index.search(&query, &MatchConfig::default()).unwrap();
        let ranged = index.search(&query, &within(25.0)).unwrap();
        assert_eq!((ranged[0].speed, ranged[0].pitch), (1.0, 1.0));
        assert_eq!((ranged[0].query, ranged[0].offset_s), (plain[0].query, plain[0].offset_s));
    }
}

/// The plain search finds the stretch over which so small a difference does not matter yet.
#[test]
fn a_tempo_is_measured_where_the_plain_search_has_a_match() {
    let index = index();
    for tempo in [0.97, 0.99, 1.01, 1.02] {
        let query = clip(11.7, 11.7 + 5.0 * tempo, tempo, 1.0);
        let plain = index.search(&query, &MatchConfig::default()).unwrap();
        assert_eq!((names(&plain), plain[0].speed), (vec!["2"], 1.0), "{tempo}");
        check(&index.search(&query, &within(5.0)).unwrap()[0], 11.7, tempo, 1.0);
    }
}

/// Over a minute, half a rung of tempo is a third of a second.
#[test]
fn a_long_clip_is_followed_from_end_to_end() {
    let index = index();
    for (tempo, pitch) in changes(1.031) {
        let query = clip(0.5, 39.5, tempo, pitch);
        let matches = index.search(&query, &within(5.0)).unwrap();
        check(&matches[0], 0.5, tempo, pitch);
        assert!(matches[0].query.length_s() > query.duration_s() - 1.0, "{matches:?}");
    }
}

#[test]
fn what_is_in_no_track_is_found_at_no_speed() {
    let index = index();
    for seed in 0..6 {
        let query = query(&music(5.0, 500 + seed));
        assert_eq!(names(&index.search(&query, &within(25.0)).unwrap()), [""; 0], "{seed}");
    }
}

#[test]
fn ranges_are_checked() {
    assert!(SpeedRange::percent(0.0).unwrap().is_off());
    assert!(!SpeedRange::percent(0.5).unwrap().is_off());
    for percent in [-1.0, 50.1, f64::NAN, f64::INFINITY] {
        let message = SpeedRange::percent(percent).unwrap_err().to_string();
        assert!(message.contains("speed range") && message.contains("0 to 50"), "{message}");
    }
}
