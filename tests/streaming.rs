//! The same audio gives the same fingerprint, however it arrives.

mod common;

use common::*;
use earmark::landmark::Landmark;
use earmark::peaks::{Peak, STEPS};
use earmark::units::{BinSteps, TimeSteps};
use earmark::{Config, Fingerprint, Fingerprinter, Result};
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Some music at one of the rates, and its fingerprint when pushed as a whole.
fn example(which: usize) -> &'static (Vec<f32>, Fingerprint) {
    static EXAMPLES: [OnceLock<(Vec<f32>, Fingerprint)>; RATES_HZ.len()] =
        [const { OnceLock::new() }; RATES_HZ.len()];
    EXAMPLES[which].get_or_init(|| {
        let samples = music_at(RATES_HZ[which], 3.0, 5);
        let whole = fingerprinter().fingerprint(&samples, rate(RATES_HZ[which])).unwrap();
        (samples, whole)
    })
}

/// Pushes a signal in pieces of the given lengths, over and over, and ends it.
fn push_in_pieces(
    fingerprinter: &mut Fingerprinter,
    samples: &[f32],
    rate_hz: usize,
    pieces: &[usize],
) -> Result<Fingerprint> {
    let mut rest = samples;
    for &piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        fingerprinter.push(now, rate(rate_hz));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    fingerprinter.finish()
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_chunking_gives_the_same_fingerprint(
        which in 0..RATES_HZ.len(),
        // From single samples to more than the signal; some calls bring nothing at all.
        pieces in prop::collection::vec(
            prop_oneof![Just(0_usize), 1_usize..4, 1_usize..3_000, 1_usize..400_000],
            1..8,
        ),
    ) {
        prop_assume!(pieces.iter().any(|&piece| piece > 0));
        let (samples, whole) = example(which);
        let pieced =
            push_in_pieces(&mut fingerprinter(), samples, RATES_HZ[which], &pieces).unwrap();
        prop_assert_eq!(&pieced, whole);
    }

    #[test]
    fn audio_that_begins_some_hops_later_has_the_same_landmarks_later(
        hops in 1_usize..200, seed in 0_u64..1_000,
    ) {
        let config = Config::default();
        let (later, earlier) = (music(8.0, seed), music(8.0, seed + 1_000));
        let before = &earlier[..hops * config.stft.hop_samples];
        let alone = fingerprint(&later);
        let moved = fingerprint(&[before, &later[..]].concat());
        let shift = TimeSteps::of_frame(hops as u32);
        // What lies before the join has a say in the frames that reach over it, in the peaks that
        // are compared with these, and in the ranks of peaks near those.
        let edge = config.peaks.time_radius_frames + config.peaks.rank_radius_frames + 2;
        let edge = TimeSteps::of_frame(edge as u32);
        let interior = |f: &Fingerprint, from: TimeSteps<u32>| -> Vec<Landmark> {
            let later = f.landmarks().iter().map(|l| Landmark { time: l.time.since(from), ..*l });
            later.filter(|l| l.time >= edge).collect()
        };
        let (alone, moved) = (interior(&alone, TimeSteps(0)), interior(&moved, shift));
        prop_assert!(alone.len() > 100, "only {} landmarks", alone.len());
        prop_assert_eq!(alone, moved);
    }
}

#[test]
fn one_sample_at_a_time_is_enough() {
    for (which, &rate_hz) in RATES_HZ.iter().enumerate() {
        let (samples, whole) = example(which);
        let pieced = push_in_pieces(&mut fingerprinter(), samples, rate_hz, &[1]).unwrap();
        assert_eq!(&pieced, whole, "{rate_hz} Hz");
    }
}

#[test]
fn every_rate_hears_the_same_music() {
    // The same notes at other rates: not the same bits, but most of the same peaks.
    let [reference, others @ ..] = [0, 1, 2, 3, 4].map(|which| &example(which).1);
    for (other, rate_hz) in others.iter().zip(&RATES_HZ[1..]) {
        assert!((other.duration_s() - reference.duration_s()).abs() < 1e-3);
        let near = |p: &&Peak| other.peaks().iter().any(|o| is_close(o, p));
        let (shared, all) =
            (reference.peaks().iter().filter(near).count(), reference.peaks().len());
        assert!(shared * 10 >= all * 7, "{rate_hz} Hz: {shared} of {all} peaks");
    }
}

/// One and the same sound, sampled at any rate: notes with harmonics up to 19 kHz over a bed of soft
/// tones, each a formula of time.
fn recording_at(rate_hz: usize, seconds: f64) -> Vec<f32> {
    let mut random = rng(11);
    let mut random = move || f64::from(random());
    let mut out = vec![0.0_f64; (seconds * rate_hz as f64) as usize];
    let mut add = |from_s: f64, to_s: f64, hz: f64, amplitude: f64, decay: f64| {
        let (first, last) = (from_s * rate_hz as f64, to_s * rate_hz as f64);
        let step = std::f64::consts::TAU * hz / rate_hz as f64;
        for (n, x) in out.iter_mut().enumerate().take(last as usize).skip(first.ceil() as usize) {
            let since = n as f64 - first;
            let t = since / rate_hz as f64;
            // Smooth at both ends, or there would be clicks that no rate holds in full.
            let rise = (t / 0.02).min(1.0) * ((to_s - from_s - t) / 0.02).clamp(0.0, 1.0);
            let smooth = rise * rise * (3.0 - 2.0 * rise);
            *x += amplitude * smooth * (-decay * t).exp() * (step * since).sin();
        }
    };
    for _ in 0..(seconds * 8.0) as usize {
        let (from_s, length_s) = (random() * seconds, 0.15 + 0.5 * random());
        let f0 = 110.0 * (random() * 3.0).exp2();
        for harmonic in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 14.0, 22.0] {
            let amplitude = 0.1 * (0.3 + random()) / harmonic;
            if f0 * harmonic < 19_000.0 {
                add(from_s, (from_s + length_s).min(seconds), f0 * harmonic, amplitude, 3.0);
            }
        }
    }
    for _ in 0..(seconds * 15.0) as usize {
        let from_s = random() * seconds;
        let hz = 150.0 * (random() * 6.0).exp2();
        add(from_s, (from_s + 1.0).min(seconds), hz, 0.001, 1.0);
    }
    out.iter().map(|&x| x as f32).collect()
}

#[test]
fn a_recording_has_the_same_landmarks_at_every_rate() {
    let seconds = 6.0;
    let config = Config::default().landmarks;
    let found = [44_100, 48_000, 96_000, 192_000].map(|rate_hz| {
        let samples = recording_at(rate_hz, seconds);
        fingerprinter().fingerprint(&samples, rate(rate_hz)).unwrap()
    });
    for (one, other) in found.iter().flat_map(|one| found.iter().map(move |other| (one, other))) {
        let same = |a: &&Landmark| {
            let late = |b: &Landmark| a.time.abs_diff(b.time);
            let twin = |b: &Landmark| late(b) <= TimeSteps(2) && a.hash(&config) == b.hash(&config);
            other.landmarks().iter().any(twin)
        };
        let (shared, all) = (one.landmarks().iter().filter(same).count(), one.landmarks().len());
        println!("{shared} of {all}");
        assert!(all > 300, "only {all} landmarks");
        assert!(shared * 100 >= all * 95, "{shared} of {all}");
    }
}

#[test]
fn threads_agree() {
    let (samples, whole) = example(1);
    std::thread::scope(|scope| {
        for i in 0..4 {
            scope.spawn(move || {
                let mut fingerprinter = fingerprinter();
                for _ in 0..2 {
                    let pieces = [1 + 7_919 * i];
                    let again = push_in_pieces(&mut fingerprinter, samples, RATES_HZ[1], &pieces);
                    assert_eq!(&again.unwrap(), whole);
                }
            });
        }
    });
}

#[test]
fn fingerprinters_can_be_sent_and_indexes_shared() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    sent::<Fingerprinter>();
    shared::<Fingerprint>();
    shared::<earmark::Query>();
    shared::<earmark::Index>();
    shared::<earmark::KdIndex<earmark::Reader>>();
}

#[test]
fn what_was_fingerprinted_before_leaves_no_trace() {
    let (samples, whole) = example(0);
    let other = music(2.7, 99);
    let loud = noise(12_345, 1.0, 3);
    let broken = [f32::NAN, f32::INFINITY, -1e30, 0.3].repeat(5_000);
    let query = query(samples);
    let mut used = fingerprinter();
    for (dirt, rate_hz) in [(&other, 8_000), (&loud, 44_100), (&broken, 8_000), (&loud, 8_000)] {
        // Finished, well or with an error.
        let _ = used.fingerprint(dirt, rate(rate_hz));
        assert_eq!(&push_in_pieces(&mut used, samples, RATE_HZ, &[5_000]).unwrap(), whole);
        // Finished as a query.
        let _ = used.query(dirt, rate(rate_hz));
        assert_eq!(&push_in_pieces(&mut used, samples, RATE_HZ, &[5_000]).unwrap(), whole);
        // Left off in the middle.
        used.push(dirt, rate(rate_hz));
        used.reset();
        assert_eq!(&push_in_pieces(&mut used, samples, RATE_HZ, &[5_000]).unwrap(), whole);
        used.push(dirt, rate(rate_hz));
        assert_eq!(&used.fingerprint(samples, rate(RATE_HZ)).unwrap(), whole);
        used.push(dirt, rate(rate_hz));
        assert_eq!(used.query(samples, rate(RATE_HZ)).unwrap(), query);
    }
}

#[test]
fn a_query_that_fails_leaves_no_trace_in_a_stream() {
    let (samples, whole) = example(0);
    let mut used = fingerprinter();
    used.query(&[0.0; 20_000], rate(RATE_HZ)).unwrap_err();
    assert_eq!(&push_in_pieces(&mut used, samples, RATE_HZ, &[999]).unwrap(), whole);
}

#[test]
fn a_change_of_rate_goes_on_in_time() {
    let [low, high] = [RATE_HZ, 44_100].map(|hz| music_at(hz, 6.0, 8));
    let mut fingerprinter = fingerprinter();
    fingerprinter.push(&low[..3 * RATE_HZ], rate(RATE_HZ));
    fingerprinter.push(&high[3 * 44_100..], rate(44_100));
    let changed = fingerprinter.finish().unwrap();
    assert!((changed.duration_s() - 6.0).abs() < 1e-3, "{}", changed.duration_s());
    let steady = fingerprint(&low);
    // The first half is untouched by what follows, but for its end.
    let hop_s = Config::default().stft.hop_s();
    let until = TimeSteps::of_frame((1.5 / hop_s) as u32);
    let first = |f: &Fingerprint| -> Vec<Landmark> {
        f.landmarks().iter().take_while(|l| l.time < until).copied().collect()
    };
    assert_eq!(first(&changed), first(&steady));
    // The second is in its place: most of its peaks are where they are without the change.
    let from = TimeSteps::of_frame((3.5 / hop_s) as u32);
    let second = steady.peaks().iter().filter(|p| p.time >= from);
    let near = |p: &&Peak| changed.peaks().iter().any(|o| is_close(o, p));
    let (shared, all) = (second.clone().filter(near).count(), second.count());
    assert!(shared * 10 >= all * 7, "{shared} of {all} peaks");
}

#[test]
fn peaks_give_the_landmarks_back() {
    let (_, whole) = example(0);
    let (peaks, words) = (whole.peaks().to_vec(), whole.sub_fingerprints().to_vec());
    let again = Fingerprint::from_parts(peaks, words, whole.duration_s(), &Config::default());
    assert_eq!(&again, whole);
    assert_eq!(whole.config_id(), Config::default().id());
}

#[test]
fn bytes_give_the_fingerprint_back() {
    for which in 0..RATES_HZ.len() {
        let (_, whole) = example(which);
        let bytes = whole.to_bytes().unwrap();
        assert_eq!(&Fingerprint::from_bytes(&bytes, &Config::default()).unwrap(), whole);
        let stored = 7 * whole.peaks().len() + 8 * whole.sub_fingerprints().len();
        assert!(bytes.len() < stored + 100, "{} bytes for {stored}", bytes.len());
    }
}

/// Within a frame and a bin.
fn is_close(a: &Peak, b: &Peak) -> bool {
    let (late, high) = (a.time.abs_diff(b.time), a.bin.abs_diff(b.bin));
    late <= TimeSteps::of_frame(1) && high <= BinSteps::BIN
}

/// Time, frequency, and those of the target.
fn place(l: &Landmark) -> [i64; 4] {
    let (target_time, target_bin) = l.target();
    [l.time.0.into(), l.bin.0.into(), target_time.0.into(), target_bin.0.into()]
}

/// Whether one of these is rounded to this: times to eighths of a frame, frequencies to quarters of a bin.
fn near(l: &Landmark, of_query: &HashSet<[i64; 4]>) -> bool {
    let [time, bin, target_time, target_bin] = place(l);
    let mut all = (0..2).flat_map(|t| (0..2).map(move |target_t| (t, target_t)));
    all.any(|(t, target_t)| {
        let mut bins = (0..4).flat_map(|b| (0..4).map(move |target_b| (b, target_b)));
        bins.any(|(b, target_b)| {
            of_query.contains(&[time + t, bin + b, target_time + target_t, target_bin + target_b])
        })
    })
}

#[test]
fn peaks_and_landmarks_of_a_reference_are_among_those_of_a_query() {
    let (samples, whole) = example(0);
    let query = query(samples);
    // Rounded as those of a reference; but ranks beyond those that one has would become the last.
    let all = query.peaks().iter().filter(|p| p.rank < Config::default().peaks.reference_rank);
    let rounded = Fingerprint::from_parts(all.copied().collect(), vec![], 1.0, &Config::default());
    assert_eq!(rounded.peaks(), whole.peaks());
    let landmarks: HashSet<_> = query.landmarks().iter().map(place).collect();
    let nested = whole.landmarks().iter().filter(|l| near(l, &landmarks)).count();
    assert!(nested * 1000 > whole.landmarks().len() * 995, "{nested}");
    assert!(query.peaks().len() > whole.peaks().len());
    assert_eq!(query.config_id(), whole.config_id());
    assert_eq!(query.duration_s(), whole.duration_s());
}

#[test]
fn peaks_and_landmarks_come_in_order_and_in_range() {
    let config = Config::default();
    let (samples, whole) = example(0);
    let frames = (samples.len() - config.stft.window_samples) / config.stft.hop_samples + 1;
    for pair in whole.peaks().windows(2) {
        assert!(pair[0].time.since(pair[1].time) <= TimeSteps::of_frame(1), "{pair:?}");
    }
    for peak in whole.peaks() {
        assert!(peak.time.whole_frame() < frames as u32, "{peak:?}");
        assert!(peak.bin.whole_bin() < config.stft.bins(), "{peak:?}");
        assert!(peak.rank < config.peaks.reference_rank, "{peak:?}");
        assert!(peak.contrast_db() >= config.peaks.min_contrast_db - 0.125, "{peak:?}");
    }
    let zone = &config.landmarks;
    for landmark in whole.landmarks() {
        let dt = u32::from(landmark.delta_time.0);
        assert!((zone.min_dt_frames * STEPS..=zone.max_dt_frames * STEPS).contains(&dt));
        assert!(u32::from(landmark.delta_bin.0.unsigned_abs()) <= zone.max_df_bins * STEPS);
    }
}

#[test]
fn loud_and_quiet_audio_have_nearly_the_same_landmarks() {
    let samples = music(6.0, 21);
    let loud = fingerprint(&samples);
    for gain in [0.01, 0.25, 4.0] {
        let scaled: Vec<f32> = samples.iter().map(|x| x * gain).collect();
        let quiet = fingerprint(&scaled);
        let shared = quiet.landmarks().iter().filter(|l| loud.landmarks().contains(l)).count();
        let all = loud.landmarks().len();
        // Levels are rounded differently.
        assert!(shared * 1000 >= all * 980, "gain {gain}: {shared} of {all} landmarks");
    }
}
