//! A collection in parts is searched as one, and a search may be limited to some tracks.

mod common;
#[path = "parts/shards.rs"]
mod shards;

use common::*;
use earmark::search::{Findings, TrackFilter, decide, find};
use earmark::{Error, Fingerprint, Match, MatchConfig, Query, Reader, SpeedRange};

/// Twelve tracks, two of which are the same and two of which share their second half.
fn tracks() -> Vec<(String, Vec<f32>)> {
    let mut tracks: Vec<(String, Vec<f32>)> =
        (0..10).map(|i| (format!("track {i}"), music(20.0, 70 + i))).collect();
    tracks.push(("copy of 3".into(), tracks[3].1.clone()));
    let half = tracks[5].1.len() / 2;
    let joined = [&music(10.0, 99), &tracks[5].1[half..]].concat();
    tracks.push(("half of 5".into(), joined));
    tracks
}

fn split(tracks: &[(String, Vec<f32>)], k: usize, of: impl Fn(usize) -> usize) -> Vec<Reader> {
    let prints: Vec<Fingerprint> = tracks.iter().map(|(_, samples)| fingerprint(samples)).collect();
    let part = |part: usize| {
        let tracks = tracks.iter().zip(&prints).enumerate().filter(|(i, _)| of(*i) % k == part);
        index_of_prints(tracks.map(|(_, ((name, _), print))| (name, print))).reader()
    };
    (0..k).map(part).collect()
}

fn search_parts(parts: &[Reader], query: &Query, config: &MatchConfig) -> Vec<Match> {
    // Each part's findings travel as bytes.
    let findings: Vec<Findings> = (parts.iter())
        .map(|part| Findings::from_bytes(&find(part, query, config).unwrap().to_bytes()).unwrap())
        .collect();
    decide(&findings, config).unwrap()
}

#[test]
fn any_split_gives_the_same_tracks_and_places_in_the_same_order() {
    let tracks = tracks();
    let whole = split(&tracks, 1, |_| 0).remove(0);
    let plain = MatchConfig::default();
    let any_speed =
        MatchConfig { speed: SpeedRange::percent(4.0).unwrap(), ..MatchConfig::default() };
    type PartOf = fn(usize) -> usize;
    let splits: [(usize, PartOf); 4] = [(2, |i| i), (3, |i| i / 4), (5, |i| i * 7), (12, |i| i)];
    for (number, query) in clips_of(&tracks).iter().enumerate() {
        for config in [&plain, &any_speed] {
            let one = whole.search(query, config).unwrap();
            assert_eq!(one.is_empty(), number == 5, "{number}");
            for (k, of) in splits {
                let many = search_parts(&split(&tracks, k, of), query, config);
                // Copies are equally good: either may come first.
                let told = |matches: &[Match]| {
                    let mut told: Vec<(i64, String)> = matches
                        .iter()
                        .map(|m| {
                            ((m.offset_s * 50.0).round() as i64, m.name.replace("copy of", "track"))
                        })
                        .collect();
                    told.dedup();
                    told
                };
                assert_eq!(told(&many), told(&one), "clip {number} in {k} parts");
                for (a, b) in many.iter().zip(&one) {
                    // A clear clip is found by fewer candidates where all tracks are together.
                    let off = if b.score() < 8.0 { 0.1 } else { 0.1 * b.score() };
                    assert!((a.score() - b.score()).abs() < off, "{number}, {k}: {a:?} {b:?}");
                    assert_eq!(a.same_as.is_some(), b.same_as.is_some());
                }
            }
        }
    }
}

#[test]
fn findings_of_different_clips_are_refused() {
    let tracks = tracks();
    let index = split(&tracks, 1, |_| 0).remove(0);
    let config = MatchConfig::default();
    let clips = clips_of(&tracks);
    let [a, b] = [0, 1].map(|i| find(&index, &clips[i], &config).unwrap());
    assert!(matches!(decide(&[a.clone(), b], &config), Err(Error::OtherClip)));
    assert!(decide(&[], &config).unwrap().is_empty());
    let bytes = a.to_bytes();
    for at in (0..bytes.len()).step_by(bytes.len() / 200) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Findings::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(Findings::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_search_may_be_limited_to_some_tracks() {
    let tracks = tracks();
    let index = split(&tracks, 1, |_| 0).remove(0);
    let id = |name: &str| index.find(name).unwrap().unwrap().id;
    let clip = &clips_of(&tracks)[0];
    let search = |filter: TrackFilter| {
        let config = MatchConfig { filter, ..MatchConfig::default() };
        index.search(clip, &config).unwrap().into_iter().map(|m| m.name).collect::<Vec<_>>()
    };
    let mut both = search(TrackFilter::All);
    both.sort();
    assert_eq!(both, ["copy of 3", "track 3"]);
    assert_eq!(search(TrackFilter::Only([id("copy of 3"), id("track 1")].into())), ["copy of 3"]);
    assert_eq!(search(TrackFilter::Except([id("copy of 3")].into())), ["track 3"]);
    assert!(search(TrackFilter::Only([id("track 1")].into())).is_empty());
    assert!(search(TrackFilter::Only([].into())).is_empty());
    assert!(search(TrackFilter::Except([id("copy of 3"), id("track 3")].into())).is_empty());
}
