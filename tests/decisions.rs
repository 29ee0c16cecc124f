//! What is decided of places: matches come in one order, and each by its own evidence.

mod common;

use common::*;
use earmark::search::{Outcome, explain, weigh_place, weighed_places};
use earmark::{Error, Index, Match, MatchConfig, Query, Reader, TrackId};

/// Pieces of 8 s at once, one for each gain, and an index of four.
fn mixture_of(gains: &[f32]) -> (Index, Query) {
    let tracks = [1, 2, 3, 4].map(|seed| music(30.0, 40 + seed));
    let named = ["a", "b", "c", "d"].into_iter().zip(tracks.iter().map(|t| &t[..]));
    let index = index_of(&named.collect::<Vec<_>>());
    let mut mixed = vec![0.0; cut(&tracks[0], 0.0, 8.0).len()];
    for ((track, start_s), gain) in tracks.iter().zip([8.0, 3.0, 12.0, 20.0]).zip(gains) {
        let piece = cut(track, start_s, start_s + 8.0);
        mixed.iter_mut().zip(piece).for_each(|(sum, sample)| *sum += gain * sample);
    }
    (index, query(&mixed))
}

/// Two pieces at once.
fn mixture() -> (Index, Query) {
    mixture_of(&[1.0, 0.8])
}

fn search(index: &Reader, query: &Query, max_matches: usize, max_alarms: f64) -> Vec<Match> {
    let config =
        MatchConfig { max_matches, max_false_alarms: max_alarms, ..MatchConfig::default() };
    index.search(query, &config).unwrap()
}

#[test]
fn fewer_or_stricter_matches_are_the_first_of_more() {
    let (index, query) = mixture_of(&[1.0, 0.8, 0.7, 0.6]);
    let index = index.reader();
    let all = search(&index, &query, usize::MAX, f64::INFINITY);
    assert!(all.len() > 3, "{all:?}");
    assert!(all.is_sorted_by(|a, b| a.false_alarms <= b.false_alarms));
    for most in 1..all.len() {
        assert_eq!(search(&index, &query, most, f64::INFINITY), all[..most]);
    }
    for m in &all {
        let stricter = search(&index, &query, usize::MAX, m.false_alarms);
        let n = all.partition_point(|other| other.false_alarms <= m.false_alarms);
        assert_eq!(stricter, all[..n]);
    }
}

#[cfg(feature = "decode")]
#[test]
fn the_overlaid_clip_of_the_fixtures_gives_the_same_for_any_number_of_matches() {
    let clip = "01-melody_at_10.663s_over_08-bells_at_7.907s.m4a";
    let mut reader = open(fixture("clips").join(clip));
    let query = fingerprinter().query_audio(&mut reader).unwrap();
    let index = &indexes().hash;
    let five = search(index, &query, 5, 0.001);
    assert_eq!(five.len(), 2, "{five:?}");
    assert_eq!(search(index, &query, 1, 0.001), five[..1]);
    // Stricter than the weaker of both: the stronger one stays.
    let between = (five[0].false_alarms * five[1].false_alarms).sqrt();
    assert_eq!(search(index, &query, 5, between), five[..1]);
}

#[test]
fn what_else_is_in_the_clip_does_not_hold_a_match_down() {
    let (index, query) = mixture();
    let both = search(&index.reader(), &query, 5, 0.001);
    let mut found = names(&both);
    found.sort_unstable();
    assert_eq!(found, ["a", "b"]);
    for (alone, other) in [("a", "b"), ("b", "a")] {
        let (index, _) = mixture();
        remove(&index, id_of(&index, other).unwrap()).unwrap();
        let found = search(&index.reader(), &query, 5, 0.001);
        let before = both.iter().find(|m| m.name == alone).unwrap();
        assert_eq!(names(&found), [alone]);
        // Chance differs a little, for other places are tried.
        assert!((found[0].score() - before.score()).abs() < 1.0, "{found:?} {before:?}");
    }
}

#[test]
fn configurations_out_of_range_are_refused() {
    let (index, query) = mixture();
    let config = MatchConfig { max_false_alarms: -1.0, ..MatchConfig::default() };
    match index.search(&query, &config) {
        Err(Error::Config { field: "max_false_alarms", .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn removed_tracks_take_no_places() {
    let song = music(20.0, 11);
    let print = fingerprint(&song);
    let copies = (0..6).map(|copy| format!("copy {copy}"));
    let names_of_all = copies.clone().chain(["kept".to_string()]);
    let index = index_of_prints(names_of_all.zip(std::iter::repeat(&print)));
    for copy in copies {
        remove(&index, id_of(&index, &copy).unwrap()).unwrap();
    }
    let config = MatchConfig { candidates: 1, ..MatchConfig::default() };
    let clip = query(cut(&song, 5.0, 10.0));
    assert_eq!(names(&index.search(&clip, &config).unwrap()), ["kept"]);
}

#[test]
fn it_is_explained_why_a_track_was_found_or_not() {
    let (index, query) = mixture();
    let index = index.reader();
    let config = MatchConfig::default();
    let why = |name: &str, config: &MatchConfig| {
        let id = index.find(name).unwrap().unwrap().id;
        explain(&index, &query, id, config).unwrap()
    };
    let found = why("a", &config);
    assert_eq!(found.outcome, Outcome::Match);
    let place = found.place.unwrap();
    assert!((place.offset_s - 8.0).abs() < 0.05, "{place:?}");
    assert!(place.score >= found.needed_score);
    let matches = index.search(&query, &config).unwrap();
    let m = matches.iter().find(|m| m.name == "a").unwrap();
    assert!((m.score() - place.score).abs() < 1e-9);

    let strict = MatchConfig { max_false_alarms: m.false_alarms / 2.0, ..config.clone() };
    assert_eq!(why("a", &strict).outcome, Outcome::BelowThreshold);
    let few = MatchConfig { candidates: 1, ..config.clone() };
    let first = index.search(&query, &few).unwrap().remove(0).name;
    let other = if first == "a" { "b" } else { "a" };
    assert_eq!(why(other, &few).outcome, Outcome::FewVotes);
    assert!(why(other, &few).places_with_more_votes >= 1);
    assert_ne!(why("d", &config).outcome, Outcome::Match);

    let places = weighed_places(&index, &query, &config).unwrap();
    assert!(places.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(places[0].name, matches[0].name);
}

#[test]
fn one_place_is_weighed_as_a_search_weighs_it() {
    let (index, query) = mixture();
    let config = MatchConfig::default();
    let index = index.reader();
    let id = index.find("a").unwrap().unwrap().id;
    let place = |offset_s: f64| weigh_place(&index, &query, id, offset_s, &config).unwrap();
    let right = place(8.02).unwrap();
    let searched = weighed_places(&index, &query, &config).unwrap();
    let searched = searched.iter().find(|p| p.name == "a").unwrap();
    assert!((right.offset_s - searched.offset_s).abs() < 0.02, "{right:?} {searched:?}");
    assert!((right.strength - searched.strength).abs() < 0.5, "{right:?} {searched:?}");
    assert!(place(13.0).unwrap().strength < 0.5 * right.strength);
    // Half of the clip lies before the track; then all of it.
    assert!(place(-4.0).is_some());
    for outside in [-100.0, 1e6, -1e300, f64::INFINITY, f64::NAN] {
        assert!(place(outside).is_none_or(|p| p.strength < 5.0), "{outside}");
    }
    let nobody = TrackId(999);
    let error = weigh_place(&index, &query, nobody, 0.0, &config).unwrap_err();
    assert!(matches!(error, Error::NoSuchTrack { id } if id == nobody));
}
