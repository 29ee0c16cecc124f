//! Recordings that are there more than once, with known truth.

use crate::common::{RATE_HZ, music, music_played, noise};
use crate::{Place, options, wav};
use earmark::library::{DuplicateGroup, DuplicateOptions, RepeatOptions};

fn names(place: &Place, group: &DuplicateGroup) -> Vec<String> {
    let root = format!("{}/", place.root.display());
    let name = |name: &str| name.strip_prefix(&root).unwrap().to_owned();
    let mut names: Vec<String> = group.copies.iter().map(|c| name(&c.track.name)).collect();
    names.sort();
    names
}

fn seconds(samples: &[f32], from_s: f64, to_s: f64) -> Vec<f32> {
    crate::common::cut(samples, from_s, to_s).to_vec()
}

#[test]
fn copies_are_grouped_with_their_spans_and_different_songs_are_not() {
    let place = Place::empty();
    let (song, other) = (music(60.0, 100), music(60.0, 200));
    let intro = music(8.0, 300);
    let quiet: Vec<f32> =
        song.iter().zip(noise(song.len(), 0.003, 7)).map(|(x, n)| 0.2 * x + n).collect();
    place.write("a/song.wav", &wav(&song));
    place.write("a/quiet.wav", &wav(&quiet));
    place.write("a/no_intro.wav", &wav(&seconds(&song, 11.0, 60.0)));
    place.write("a/inside.wav", &wav(&seconds(&song, 20.0, 40.0)));
    place.write("a/faster.wav", &wav(&music_played(RATE_HZ, 60.0, 100, 1.02, 1.02)));
    place.write("b/other.wav", &wav(&other));
    // Two more songs that begin alike, with silence behind.
    for seed in [400, 500] {
        let mut mixed = intro.clone();
        mixed.extend(music(50.0, seed));
        mixed.extend(vec![0.0; 20 * RATE_HZ]);
        place.write(&format!("c/{seed}.wav"), &wav(&mixed));
    }
    // A mix of two songs.
    let mut mix = seconds(&other, 5.0, 50.0);
    mix.extend(music(50.0, 600));
    mix.extend(music(90.0, 601));
    place.write("d/mix.wav", &wav(&mix));
    place.write("d/second.wav", &wav(&music(50.0, 600)));
    // Of copies that are as good as each other, the first to be done is the best.
    let mut options = options();
    options.workers = 1;
    place.sync(&options);
    let library = place.open();
    let groups = library.duplicates(&DuplicateOptions::default(), &|_, _| {}).unwrap();
    let mut found: Vec<Vec<String>> = groups.iter().map(|group| names(&place, group)).collect();
    found.sort();
    let song_group =
        ["a/faster.wav", "a/inside.wav", "a/no_intro.wav", "a/quiet.wav", "a/song.wav"];
    let want = [&song_group[..], &["b/other.wav", "d/mix.wav"], &["d/mix.wav", "d/second.wav"]];
    assert_eq!(found, want);
    // The song and its quiet copy are as good as each other. Spans in both.
    let song = groups.iter().find(|group| group.copies.len() == 5).unwrap();
    for (name, best, other, speed) in [
        ("no_intro", (11.0, 60.0), (0.0, 49.0), 1.0),
        ("inside", (20.0, 40.0), (0.0, 20.0), 1.0),
        ("faster", (0.0, 60.0), (0.0, 60.0 / 1.02), 1.02),
    ] {
        let copy = song.copies.iter().find(|c| c.track.name.contains(name)).unwrap();
        let pair = song.pairs.iter().find(|p| p.other == copy.track.id).unwrap();
        let (b, o) = (pair.span_best, pair.span_other);
        let found = [b.start_s, b.end_s, o.start_s, o.end_s];
        for (found, want) in found.into_iter().zip([best.0, best.1, other.0, other.1]) {
            assert!((found - want).abs() < 0.2, "{name}: {pair:?}");
        }
        assert!((pair.speed - speed).abs() < 3e-4, "{name}: {}", pair.speed);
        assert!((1e-60..1e-6).contains(&pair.false_alarms), "{name}: {pair:?}");
        assert!(pair.agreement > 0.35, "{name}: {pair:?}");
    }
}

#[test]
fn files_of_the_same_content_are_a_group_without_a_second_track() {
    let place = Place::empty();
    place.song("a.wav", 1);
    std::fs::copy(place.path("a.wav"), place.path("b.wav")).unwrap();
    place.touch("b.wav");
    place.song("c.wav", 3);
    place.sync(&options());
    let groups = place.open().duplicates(&DuplicateOptions::default(), &|_, _| {}).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].copies.len(), groups[0].copies[0].files.len()), (1, 2));
    assert!(groups[0].why.contains("same content"));
}

#[test]
fn the_best_copy_is_the_one_that_lost_least() {
    let place = Place::empty();
    let song = music(30.0, 100);
    let whole = wav(&song);
    // The header promises more than there is.
    let mut cut = wav(&music(40.0, 100)[..30 * RATE_HZ]);
    cut.truncate(cut.len() - 9000);
    place.write("1-cut.wav", &cut);
    place.write("2-whole.wav", &whole);
    place.write("3-short.wav", &wav(&seconds(&song, 0.0, 24.0)));
    place.sync(&options());
    let groups = place.open().duplicates(&DuplicateOptions::default(), &|_, _| {}).unwrap();
    // The notes of 40 s are others than those of 30 s: only the two that are the same go together.
    let found: Vec<_> = groups.iter().map(|group| names(&place, group)).collect();
    assert_eq!(found, [["2-whole.wav", "3-short.wav"]]);
    assert!(groups[0].why.starts_with("it is longer: 30.0 s, not 24.0 s"), "{}", groups[0].why);
}

#[test]
fn a_jingle_is_found_wherever_it_is_and_copies_are_none() {
    let place = Place::empty();
    let jingle = music(9.0, 50);
    let with = |seed: u64, at_s: &[f64]| {
        let mut song = music(60.0, seed);
        for at_s in at_s.iter().rev() {
            let at = (at_s * RATE_HZ as f64) as usize;
            song.splice(at..at, jingle.iter().copied());
        }
        song
    };
    place.write("1.wav", &wav(&with(700, &[10.0, 40.0])));
    place.write("2.wav", &wav(&with(701, &[25.3])));
    place.write("3.wav", &wav(&music(60.0, 702)));
    place.write("4.wav", &wav(&seconds(&music(60.0, 702), 0.0, 59.0)));
    place.sync(&options());
    let repeats = place.open().repeats(&RepeatOptions::default()).unwrap();
    assert_eq!(repeats.len(), 1, "{repeats:?}");
    let mut found: Vec<(char, f64, f64)> = (repeats[0].occurrences.iter())
        .map(|(track, at)| {
            let number = track.name.chars().rev().nth(4).unwrap();
            (number, at.start_s, at.end_s)
        })
        .collect();
    found.sort_by(|x, y| x.partial_cmp(y).unwrap());
    let want = [('1', 10.0, 19.0), ('1', 49.0, 58.0), ('2', 25.3, 34.3)];
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, want) in found.iter().zip(&want) {
        assert_eq!(found.0, want.0);
        assert!((found.1 - want.1).abs() < 0.3 && (found.2 - want.2).abs() < 0.3, "{found:?}");
    }
}
