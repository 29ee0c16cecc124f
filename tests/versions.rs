//! Streams of one of two versions of a piece, which share most of their sound.

mod common;

use common::*;
use earmark::Reader;
use earmark::monitor::{Event, Heard, Monitor, MonitorConfig, ScanConfig, scan};

const SECONDS: f32 = 40.0;

/// Some voices at once, each with a gain.
fn mixed(voices: &[(f32, &[f32])]) -> Vec<f32> {
    let mut out = vec![0.0; voices.iter().map(|voice| voice.1.len()).max().unwrap_or(0)];
    for (gain, voice) in voices {
        out.iter_mut().zip(*voice).for_each(|(out, x)| *out += gain * x);
    }
    out
}

/// As many voices as dense music has, at one loudness.
fn dense(voices: u64, seed: u64) -> Vec<f32> {
    let voices: Vec<Vec<f32>> = (0..voices).map(|i| music(SECONDS, seed + 50 * i)).collect();
    let all = mixed(&voices.iter().map(|voice| (1.0, &voice[..])).collect::<Vec<_>>());
    let power = all.iter().map(|x| x * x).sum::<f32>() / all.len() as f32;
    all.iter().map(|x| 0.1 * x / power.sqrt()).collect()
}

/// What is heard of a part of a track after three seconds of next to nothing.
fn heard_of(index: &Reader, track: &[f32], from_s: f64, to_s: f64) -> Vec<Heard> {
    let stream = [&noise(3 * RATE_HZ, 0.003, 9)[..], cut(track, from_s, to_s)].concat();
    scan(index, &stream, rate(RATE_HZ), &ScanConfig::default()).unwrap().events
}

/// Checks that there is one event, of a track from its 5th second on.
fn check(heard: &[Heard], name: &str, end_s: f64) {
    let shown = || heard.iter().map(|h| (&h.name[..], h.start_s, h.end_s)).collect::<Vec<_>>();
    let [one] = heard else { panic!("{name}: {:?}", shown()) };
    assert!(one.name == name, "{name}: {:?}", shown());
    assert!((one.start_s - 3.0).abs() < 0.5 && (one.end_s - end_s).abs() < 0.5, "{:?}", shown());
    assert!((one.reference_start_s - one.start_s - 2.0).abs() < 0.1, "{one:?}");
}

/// The louder voices of the one leave no room for many peaks of the other, but all of its sound is there.
#[test]
fn a_version_is_not_told_beside_the_one_that_plays() {
    for seed in [0, 1] {
        let plain = dense(3, 1000 + seed);
        let enhanced = mixed(&[(1.0, &plain), (2.0, &dense(4, 4000 + seed))]);
        let index = index_of(&[("plain", &plain), ("enhanced", &enhanced)]).reader();
        check(&heard_of(&index, &enhanced, 5.0, 30.0), "enhanced", 28.0);
        check(&heard_of(&index, &plain, 5.0, 30.0), "plain", 28.0);
    }
}

/// Two tracks that begin with the same twenty seconds.
fn same_beginnings(seed: u64) -> [Vec<f32>; 2] {
    [200, 300].map(|own| [music(20.0, 100 + seed), music(20.0, own + seed)].concat())
}

#[test]
fn versions_that_part_later_are_one_event_of_the_right_one() {
    for seed in [0, 1] {
        let tracks = same_beginnings(seed);
        let index = index_of(&[("one", &tracks[0]), ("two", &tracks[1])]).reader();
        for (track, name) in tracks.iter().zip(["one", "two"]) {
            check(&heard_of(&index, track, 5.0, 38.0), name, 36.0);
        }
    }
}

/// A stream cannot know what comes. It takes back what turns out to be wrong.
#[test]
fn a_stream_takes_back_the_wrong_version() {
    let tracks = same_beginnings(0);
    let index = index_of(&[("one", &tracks[0]), ("two", &tracks[1])]).reader();
    let mut withdrawn = 0;
    for (track, name) in tracks.iter().zip(["one", "two"]) {
        let mut monitor = Monitor::new(&index, MonitorConfig::default()).unwrap();
        let mut events = monitor.push(cut(track, 5.0, 38.0), rate(RATE_HZ)).unwrap();
        events.extend(monitor.finish().unwrap());
        let mut kept = Vec::new();
        for (i, event) in events.iter().enumerate() {
            let Event::Ended(heard) = event else { continue };
            // What ended had started, once.
            let started =
                |event: &&Event| matches!(event, Event::Started(h) if h.number == heard.number);
            assert_eq!(events[..i].iter().filter(started).count(), 1, "{events:?}");
            withdrawn += usize::from(heard.withdrawn);
            kept.extend((!heard.withdrawn).then_some(&heard.name[..]));
        }
        assert_eq!(kept, [name], "{events:?}");
    }
    // The first seconds are those of both, so one of the two streams was taken for the other.
    assert_eq!(withdrawn, 1);
}

/// Both really play: one is not explained by the other.
#[test]
fn a_version_and_another_track_at_once_are_both_there() {
    let plain = dense(3, 1000);
    let enhanced = mixed(&[(1.0, &plain), (2.0, &dense(4, 4000))]);
    let other = dense(3, 7000);
    let index = index_of(&[("plain", &plain), ("enhanced", &enhanced), ("other", &other)]).reader();
    let both = mixed(&[(1.0, cut(&plain, 5.0, 30.0)), (1.0, cut(&other, 10.0, 35.0))]);
    let heard = heard_of(&index, &both, 0.0, 25.0);
    let mut names: Vec<&str> = heard.iter().map(|h| &h.name[..]).collect();
    names.sort_unstable();
    assert_eq!(names, ["other", "plain"], "{heard:?}");
    assert!(heard.iter().all(|h| h.length_s() > 23.0), "{heard:?}");
}
