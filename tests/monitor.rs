//! Streams that are made up, with a truth that is known.

mod common;

use common::*;
use earmark::monitor::{Event, Heard, Monitor, MonitorConfig, ScanConfig, Timeline, scan};
use earmark::{Config, Index, Reader, SpeedRange};

/// Three songs, and one that is in no index.
fn songs() -> [Vec<f32>; 4] {
    [1, 2, 3, 4].map(|seed| music(60.0, seed))
}

fn index(songs: &[Vec<f32>; 4]) -> Reader {
    index_of(&[("a", &songs[0]), ("b", &songs[1]), ("c", &songs[2])]).reader()
}

/// All events of a stream, pushed in pieces of the given lengths over and over.
fn listen(index: &Reader, samples: &[f32], config: MonitorConfig, pieces: &[usize]) -> Vec<Event> {
    let mut monitor = Monitor::new(index, config).unwrap();
    let (mut events, mut rest) = (Vec::new(), samples);
    for &piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        events.extend(monitor.push(now, rate(RATE_HZ)).unwrap());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    events.extend(monitor.finish().unwrap());
    events
}

fn ended(events: &[Event]) -> Vec<Heard> {
    let ended = events.iter().filter_map(|event| match event {
        Event::Ended(heard) if !heard.withdrawn => Some(heard.clone()),
        _ => None,
    });
    let mut ended: Vec<Heard> = ended.collect();
    ended.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    ended
}

fn timeline(index: &Reader, samples: &[f32]) -> Timeline {
    scan(index, samples, rate(RATE_HZ), &ScanConfig::default()).unwrap()
}

/// Checks names and borders, in seconds, of the stream and of the track, to within half a second.
fn check(heard: &[Heard], truth: &[(&str, f64, f64, f64)]) {
    let shown = || heard.iter().map(|h| (&h.name[..], h.start_s, h.end_s, h.reference_start_s));
    assert_eq!(heard.len(), truth.len(), "{:?}", shown().collect::<Vec<_>>());
    for ((name, start_s, end_s, reference_s), truth) in shown().zip(truth) {
        let near = |a: f64, b: f64| (a - b).abs() < 0.5;
        assert!(
            name == truth.0 && near(start_s, truth.1) && near(end_s, truth.2),
            "{:?} {truth:?}",
            shown().collect::<Vec<_>>()
        );
        let late_s = start_s - truth.1;
        assert!((reference_s - truth.3 - late_s).abs() < 0.1, "{reference_s} {truth:?}");
    }
}

fn silence(seconds: f64) -> Vec<f32> {
    noise((seconds * RATE_HZ as f64) as usize, 0.003, 99)
}

#[test]
fn what_plays_is_told_with_its_borders_and_its_place() {
    let songs = songs();
    let index = index(&songs);
    let stream = [
        &silence(5.0)[..],
        cut(&songs[0], 10.0, 30.0),
        cut(&songs[3], 0.0, 20.0),
        cut(&songs[1], 5.0, 12.0),
        cut(&songs[2], 20.0, 50.0),
        &silence(3.0),
    ]
    .concat();
    let truth = [("a", 5.0, 25.0, 10.0), ("b", 45.0, 52.0, 5.0), ("c", 52.0, 82.0, 20.0)];
    let events = listen(&index, &stream, MonitorConfig::default(), &[stream.len()]);
    check(&ended(&events), &truth);
    // Each event starts once, soon, and ends once.
    let mut last_s = 0.0;
    for (number, (_, start_s, ..)) in truth.iter().enumerate() {
        let of = |event: &&Event| matches!(event, Event::Started(h) if h.number == number as u64);
        let Some(Event::Started(heard)) = events.iter().find(of) else { panic!("{events:?}") };
        assert!(heard.end_s - start_s < 8.0 && heard.score >= 3.0);
        assert!(heard.start_s >= last_s);
        last_s = heard.start_s;
    }
    assert_eq!(events.len(), 6);
    // A scan of the whole tells the same.
    check(&timeline(&index, &stream).events, &truth);
    assert!((timeline(&index, &stream).duration_s - stream.len() as f64 / 8000.0).abs() < 0.1);
}

#[test]
fn nothing_is_told_of_what_is_in_no_index() {
    let songs = songs();
    let index = index(&songs);
    let stream = [&songs[3][..], &music(60.0, 77), &silence(10.0), &vec![0.0; 80_000]].concat();
    assert_eq!(listen(&index, &stream, MonitorConfig::default(), &[8000]), []);
    assert_eq!(timeline(&index, &stream).events, []);
    // Nor of nothing.
    assert_eq!(listen(&index, &[], MonitorConfig::default(), &[1]), []);
    assert_eq!(timeline(&index, &[]), Timeline::default());
    let empty = Index::in_memory(Config::default()).unwrap().reader();
    assert_eq!(timeline(&empty, &stream).events, []);
}

#[test]
fn events_do_not_depend_on_how_samples_are_cut() {
    let songs = songs();
    let index = index(&songs);
    let stream =
        [&silence(3.3)[..], cut(&songs[0], 7.0, 19.0), &silence(14.0), cut(&songs[1], 0.0, 9.0)];
    let stream = stream.concat();
    let mut config = MonitorConfig::default();
    config.update_s = Some(3.0);
    config.max_load = f64::INFINITY;
    let whole = listen(&index, &stream, config.clone(), &[stream.len()]);
    assert!(whole.len() > 6, "{whole:?}");
    for pieces in [&[1000][..], &[1, 70_000, 313], &[255]] {
        assert_eq!(listen(&index, &stream, config.clone(), pieces), whole, "{pieces:?}");
    }
}

#[test]
fn an_interruption_is_one_event_and_another_start_is_two() {
    let songs = songs();
    let index = index(&songs);
    // Something else for five seconds, while the song goes on unheard.
    let interrupted =
        [cut(&songs[0], 5.0, 20.0), cut(&songs[3], 0.0, 5.0), cut(&songs[0], 25.0, 40.0)].concat();
    check(&timeline(&index, &interrupted).events, &[("a", 0.0, 35.0, 5.0)]);
    let mut impatient = MonitorConfig::default();
    impatient.patience_s = 2.0;
    let events = listen(&index, &interrupted, impatient, &[8000]);
    check(&ended(&events), &[("a", 0.0, 15.0, 5.0), ("a", 20.0, 35.0, 25.0)]);
    // The song breaks off and begins again.
    let again = [cut(&songs[0], 0.0, 15.0), &songs[0][..]].concat();
    let truth = [("a", 0.0, 15.0, 0.0), ("a", 15.0, 75.0, 0.0)];
    check(&timeline(&index, &again).events, &truth);
    check(&ended(&listen(&index, &again, MonitorConfig::default(), &[8000])), &truth);
}

#[test]
fn two_at_once_are_both_there() {
    let songs = songs();
    let index = index(&songs);
    let mut stream = silence(50.0);
    for (song, from_s, at_s) in [(&songs[0], 5.0, 2.0), (&songs[1], 10.0, 14.0)] {
        let at = (at_s * RATE_HZ as f64) as usize;
        let part = cut(song, from_s, from_s + 20.0);
        stream[at..].iter_mut().zip(part).for_each(|(out, x)| *out += x);
    }
    check(&timeline(&index, &stream).events, &[("a", 2.0, 22.0, 5.0), ("b", 14.0, 34.0, 10.0)]);
}

#[test]
fn a_loop_is_one_event_and_copies_are_told_once() {
    let songs = songs();
    // A song that repeats eight seconds over and over.
    let bar = cut(&songs[0], 10.0, 18.0);
    let repeating = bar.repeat(7);
    let index =
        index_of(&[("loop", &repeating), ("b", &songs[1]), ("copy of b", &songs[1])]).reader();
    let stream =
        [&silence(4.0)[..], &bar.repeat(4), &silence(15.0), cut(&songs[1], 10.0, 30.0)].concat();
    let heard = timeline(&index, &stream).events;
    let names: Vec<&str> = heard.iter().map(|h| &h.name[..]).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0] == "loop" && names[1].ends_with('b'));
    let lasts = |h: &Heard, start_s: f64, end_s: f64| {
        (h.start_s - start_s).abs() < 0.5 && (h.end_s - end_s).abs() < 0.5
    };
    assert!(lasts(&heard[0], 4.0, 36.0) && lasts(&heard[1], 51.0, 71.0), "{heard:?}");
    assert_eq!(heard[1].same_as.len(), 1);
}

#[test]
fn faint_music_is_found_by_what_adds_up() {
    let songs = songs();
    let index = index(&songs);
    let mut stream = cut(&songs[0], 5.0, 55.0).to_vec();
    // Louder music of no index, the power of which is that many times as great.
    let power = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>();
    let over = &music(50.0, 31)[..stream.len()];
    let gain = (power(&stream) / power(over)).sqrt() * 10f32.powf(12.0 / 20.0);
    stream.iter_mut().zip(over).for_each(|(out, x)| *out += gain * x);
    let heard = timeline(&index, &stream).events;
    assert_eq!(heard.len(), 1);
    assert!(heard[0].length_s() > 40.0, "{heard:?}");
}

#[test]
fn other_speeds_are_found_if_they_are_asked_for() {
    let index = index_of(&[("a", &music(60.0, 1)), ("b", &music(60.0, 2))]).reader();
    let fast = music_played(RATE_HZ, 60.0, 1, 1.03, 1.03);
    let mut config = ScanConfig::default();
    assert_eq!(scan(&index, &fast, rate(RATE_HZ), &config).unwrap().events, []);
    config.monitor.speed = SpeedRange::percent(5.0).unwrap();
    let heard = scan(&index, &fast, rate(RATE_HZ), &config).unwrap().events;
    assert_eq!(heard.len(), 1);
    assert!((heard[0].speed - 1.03).abs() < 0.001 && heard[0].length_s() > 55.0, "{heard:?}");
}

#[test]
fn ignored_and_short_ones_are_not_told() {
    let songs = songs();
    let index = index(&songs);
    let stream =
        [cut(&songs[0], 10.0, 30.0), cut(&songs[1], 5.0, 10.0), cut(&songs[2], 0.0, 20.0)].concat();
    let mut config = MonitorConfig::default();
    config.ignored = vec![index.find("a").unwrap().unwrap().id];
    config.least_s = 8.0;
    let events = listen(&index, &stream, config, &[8000]);
    check(&ended(&events), &[("c", 25.0, 45.0, 0.0)]);
    assert_eq!(events.len(), 2);
}

#[test]
fn the_time_of_day_is_told() {
    let songs = songs();
    let index = index(&songs);
    let mut monitor = Monitor::new(&index, MonitorConfig::default()).unwrap();
    let noon = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(43_200);
    monitor.set_clock(noon);
    let stream = [&silence(5.0)[..], cut(&songs[0], 10.0, 20.0)].concat();
    let mut events = monitor.push(&stream, rate(RATE_HZ)).unwrap();
    events.extend(monitor.finish().unwrap());
    let heard = &ended(&events)[0];
    let late = heard.started_at.unwrap().duration_since(noon).unwrap().as_secs_f64();
    assert!((late - heard.start_s).abs() < 0.001);
}

#[test]
fn values_out_of_range_are_refused() {
    let index = index_of(&[]).reader();
    let wrong: [fn(&mut MonitorConfig); 6] = [
        |c| c.max_false_per_hour = 0.0,
        |c| c.patience_s = f64::NAN,
        |c| c.window_s = 1.0,
        |c| c.step_s = 5.9,
        |c| c.least_s = -1.0,
        |c| c.max_load = 0.0,
    ];
    for spoil in wrong {
        let mut config = MonitorConfig::default();
        spoil(&mut config);
        assert!(matches!(Monitor::new(&index, config.clone()), Err(earmark::Error::Config { .. })));
        let mut scanned = ScanConfig::default();
        scanned.monitor = config;
        assert!(scan(&index, &[], rate(RATE_HZ), &scanned).is_err());
    }
}

/// The monitors of two streams, in two threads on one index.
#[test]
fn several_streams_on_one_index_do_not_know_of_each_other() {
    let songs = songs();
    let index = index(&songs);
    let streams = [cut(&songs[0], 0.0, 20.0), cut(&songs[1], 10.0, 35.0)];
    let alone = streams.map(|stream| listen(&index, stream, MonitorConfig::default(), &[9000]));
    let together = std::thread::scope(|scope| {
        let index = &index;
        let listen =
            |stream| scope.spawn(move || listen(index, stream, MonitorConfig::default(), &[9000]));
        streams.map(listen).map(|thread| thread.join().unwrap())
    });
    assert_eq!(together, alone);
}
