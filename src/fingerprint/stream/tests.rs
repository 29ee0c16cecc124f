use super::*;
use crate::fingerprint::Fingerprinter;
use crate::testing::{music, rng};
use crate::units::{BinSteps, STEPS};

/// Frames at a query's beginning whose peaks may differ, and whose cells may.
const PEAKS_EDGE: usize = 20;
const CELLS_EDGE: i64 = 8;

fn stream(most_s: f64) -> QueryStream {
    QueryStream::new(Config::default(), most_s).unwrap()
}

/// The codes of all cells from a frame on.
fn codes(query: &Query, from: i64) -> Vec<usize> {
    let frames = query.levels().frames();
    let mut codes = Vec::new();
    for half_frame in 2 * from..2 * frames as i64 {
        let time = TimeSteps(half_frame as u32 * STEPS / 2);
        let peaks: Vec<Peak> = (0..1766)
            .map(|half_bin| Peak {
                time,
                bin: BinSteps(8 * half_bin),
                contrast: 40,
                rank: 0,
                level: 0,
                phase: 0,
            })
            .collect();
        query
            .levels()
            .codes_under(&peaks, TimeSteps(0), 0..frames, |_, _, _, code| codes.push(code));
    }
    codes
}

/// All that is the same of a stream's query and of the clip that it is.
fn check_same(query: &Query, clip: &Query) {
    assert_eq!(query.config_id(), clip.config_id());
    assert!((query.duration_s() - clip.duration_s()).abs() < 1e-9);
    assert_eq!(query.bands(), clip.bands());
    assert_eq!(query.phases(), clip.phases());
    assert_eq!(query.levels().frames(), clip.levels().frames());
    assert_eq!(codes(query, CELLS_EDGE), codes(clip, CELLS_EDGE));
    let edge = TimeSteps::of_frame(PEAKS_EDGE as u32);
    let inside =
        |q: &Query| -> Vec<Peak> { q.peaks().iter().copied().filter(|p| p.time >= edge).collect() };
    assert_eq!(inside(query), inside(clip));
    let inside = |q: &Query| -> Vec<_> {
        q.landmarks().iter().copied().filter(|l| l.time >= edge).collect()
    };
    assert_eq!(inside(query), inside(clip));
    assert!((query.clarity() / clip.clarity() - 1.0).abs() < 0.03);
}

#[test]
fn a_query_is_that_of_the_clip_but_for_its_beginning() {
    let (samples, rate) = (music(40.0, 3), SampleRate::default());
    let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
    let (mut stream, mut random, mut pushed) = (stream(9.0), rng(5), 0);
    while pushed < samples.len() {
        let end = (pushed + 1 + (random() * 20_000.0) as usize).min(samples.len());
        stream.push(&samples[pushed..end], rate);
        pushed = end;
        for seconds in [2.0, 5.0, 9.0] {
            if stream.available_s() < seconds - 0.032 {
                continue;
            }
            let query = stream.last(seconds).unwrap();
            let at = |s: f64| (s * 8000.0).round() as usize;
            let (begin, end) = (at(stream.end_s() - query.duration_s()), at(stream.end_s()));
            assert!(end <= pushed && pushed < end + 256);
            check_same(&query, &fingerprinter.query(&samples[begin..end], rate).unwrap());
        }
    }
}

#[test]
fn the_first_query_is_the_clip_to_the_last_bit() {
    let (samples, rate) = (music(6.0, 8), SampleRate::default());
    let mut stream = stream(10.0);
    stream.push(&samples, rate);
    let query = stream.last(10.0).unwrap();
    let end = (stream.end_s() * 8000.0).round() as usize;
    let clip = Fingerprinter::new(Config::default()).unwrap().query(&samples[..end], rate).unwrap();
    assert_eq!(query, clip);
}

#[test]
fn days_of_stream_change_nothing_and_keep_nothing() {
    let (samples, rate) = (music(8.0, 4), SampleRate::default());
    // Whole hops, so that the frames of both streams are the same.
    let before = &music(10.0, 2)[..256 * 300];
    let (mut early, mut late) = (stream(5.0), stream(5.0));
    late.uncounted = 1 << 40;
    let room = late.most_frames + 2 * FORGOTTEN_FRAMES + 64;
    for _ in 0..40 {
        late.push(before, rate);
        assert!(late.clip.frames() < room && late.peaks.len() < 40 * room);
        assert!(late.counted < 3 * room as u32);
    }
    assert!((late.frames() - (1 << 40)).abs_diff(40 * 300) < 10);
    early.push(before, rate);
    for stream in [&mut early, &mut late] {
        stream.push(&samples, rate);
    }
    assert_eq!(early.last(5.0).unwrap(), late.last(5.0).unwrap());
}

#[test]
fn what_cannot_be_had_is_an_error_and_the_stream_goes_on() {
    let rate = SampleRate::new(44_100).unwrap();
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 601.0] {
        assert!(matches!(QueryStream::new(Config::default(), wrong), Err(Error::Config { .. })));
    }
    let mut stream = stream(4.0);
    assert!(matches!(stream.last(4.0), Err(Error::TooShort { .. })));
    assert_eq!((stream.end_s(), stream.available_s()), (0.0, 0.0));
    stream.push(&vec![0.0; 441_000], rate);
    assert!(matches!(stream.last(4.0), Err(Error::Silent { .. })));
    assert!(matches!(stream.last(f64::NAN), Err(Error::TooShort { .. })));
    // Another rate in the midst of it.
    stream.push(&music(5.0, 1), SampleRate::default());
    assert!((stream.end_s() - 15.0).abs() < 0.1, "{}", stream.end_s());
    assert!(stream.last(4.0).unwrap().landmarks().len() > 100);
    assert!(stream.last(f64::INFINITY).unwrap().duration_s() <= 4.0);
}
