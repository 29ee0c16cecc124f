//! Two recordings beside each other: offsets to a millisecond, drift, cuts and insertions.

use crate::common::{RATE_HZ, fingerprint, music, music_played, noise};
use earmark::library::compare;
use earmark::{Config, SpeedRange};

fn some_noise(samples: &[f32], seed: u64) -> Vec<f32> {
    samples.iter().zip(noise(samples.len(), 0.004, seed)).map(|(x, n)| 0.7 * x + n).collect()
}

#[test]
fn offsets_are_found_to_a_millisecond() {
    let song = music(60.0, 900);
    let first = fingerprint(&song);
    // Not by whole frames, nor by whole steps of a peak's time.
    for shift in [1usize, 77, 130, 4_321, 80_003] {
        let second = fingerprint(&some_noise(&song[shift..], shift as u64));
        let found = compare(&first, &second, &Config::default(), SpeedRange::OFF).unwrap();
        assert_eq!(found.pieces.len(), 1, "{shift}: {found}");
        let want_s = -(shift as f64) / RATE_HZ as f64;
        let error_s = found.pieces[0].offset_s - want_s;
        assert!(error_s.abs() < 0.001, "{shift}: off by {:.2} ms", 1e3 * error_s);
        assert!(found.pieces[0].drift_ppm.abs() < 30.0, "{shift}: {found}");
    }
}

#[test]
fn cuts_and_insertions_are_found_where_they_are() {
    let song = music(90.0, 901);
    let at = |s: f64| (s * RATE_HZ as f64) as usize;
    // 30 to 37 s are cut, and 5 s of something else come at 60 s.
    let mut edited = song[..at(30.0)].to_vec();
    edited.extend(&song[at(37.0)..at(60.0)]);
    edited.extend(music(5.0, 77));
    edited.extend(&song[at(60.0)..]);
    let (a, b) = (fingerprint(&song), fingerprint(&some_noise(&edited, 5)));
    let found = compare(&a, &b, &Config::default(), SpeedRange::OFF).unwrap();
    let pieces: Vec<[f64; 5]> = (found.pieces.iter())
        .map(|p| [p.a.start_s, p.a.end_s, p.b.start_s, p.b.end_s, p.offset_s])
        .collect();
    let want = [
        [0.0, 30.0, 0.0, 30.0, 0.0],
        [37.0, 60.0, 30.0, 53.0, -7.0],
        [60.0, 90.0, 58.0, 88.0, -2.0],
    ];
    assert_eq!(pieces.len(), 3, "{found}");
    for (found, want) in pieces.iter().zip(&want) {
        for (x, y) in found.iter().zip(want) {
            assert!((x - y).abs() < 0.3, "{found:?}, not {want:?}");
        }
        assert!((found[4] - want[4]).abs() < 0.002, "{found:?}, not {want:?}");
    }
    let gaps = found.gaps();
    assert!((gaps[1].a.length_s() - 7.0).abs() < 0.5 && gaps[1].b.length_s().abs() < 0.5);
    assert!(gaps[2].a.length_s().abs() < 0.5 && (gaps[2].b.length_s() - 5.0).abs() < 0.5);
}

/// A recorder whose clock is wrong by some hundred millionths, and a record that is played too fast.
#[test]
fn drift_and_speed_are_found() {
    let first = fingerprint(&music(100.0, 902));
    for (speed, off_ppm) in [(1.0003f32, 20.0), (0.9998, 20.0), (1.02, 60.0)] {
        let second = fingerprint(&music_played(RATE_HZ, 100.0, 902, speed, speed));
        let range = SpeedRange::percent(3.0).unwrap();
        let found = compare(&first, &second, &Config::default(), range).unwrap();
        assert_eq!(found.pieces.len(), 1, "{speed}: {found}");
        // The first is slower than the second, so that a time in it is less in the second.
        let want_ppm = 1e6 * (1.0 / f64::from(speed) - 1.0);
        assert!((found.pieces[0].drift_ppm - want_ppm).abs() < off_ppm, "{speed}: {found}");
    }
}

#[test]
fn two_songs_have_nothing_in_common() {
    let (a, b) = (fingerprint(&music(60.0, 903)), fingerprint(&music(60.0, 904)));
    let found = compare(&a, &b, &Config::default(), SpeedRange::OFF).unwrap();
    assert!(found.pieces.is_empty(), "{found}");
    assert_eq!(found.to_string(), "nothing in common");
}
