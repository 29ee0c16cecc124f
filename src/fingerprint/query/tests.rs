use super::*;
use crate::calibration::Calibration;
use crate::fingerprint::{Fingerprint, Fingerprinter};
use crate::search::{MatchConfig, explain};
use crate::spectrogram::Stft;
use crate::store::Index;
use crate::tags::TrackInfo;
use crate::testing::{music, noise};
use crate::units::{BinSteps, SampleRate, TimeSteps};

/// A track, and a noisy clip from its 10th second on.
fn pair() -> (Fingerprint, Vec<f32>) {
    let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
    let song = music(30.0, 3);
    let track = fingerprinter.fingerprint(&song, SampleRate::default()).unwrap();
    let clip = song[80_000..120_000].iter().zip(noise(40_000, 9)).map(|(x, n)| x + 0.02 * n);
    (track, clip.collect())
}

/// The rows of a clip: levels and phases.
fn rows(samples: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let (mut levels_db, mut phases) = (Vec::new(), Vec::new());
    Stft::new(&Config::default().stft).unwrap().push(samples, |frame| {
        levels_db.extend_from_slice(frame.levels_db);
        phases.extend_from_slice(frame.phases);
    });
    (levels_db, phases)
}

#[test]
fn the_parts_of_a_query_make_it_again() {
    let (config, (_, clip)) = (Config::default(), pair());
    let query =
        Fingerprinter::new(config.clone()).unwrap().query(&clip, SampleRate::default()).unwrap();
    let (levels_db, phases) = rows(&clip);
    let rows = Some(QueryRows { levels_db: &levels_db, phases: &phases });
    let again = Query::from_parts(query.peaks().to_vec(), rows, 5.0, &config).unwrap();
    assert_eq!(again, query);
    // Without phases, the same but for these.
    let rows = Some(QueryRows { levels_db: &levels_db, phases: &[] });
    let again = Query::from_parts(query.peaks().to_vec(), rows, 5.0, &config).unwrap();
    assert_eq!((again.levels(), again.bands()), (query.levels(), query.bands()));
    assert_eq!(again.clarity(), query.clarity());
}

#[test]
fn peaks_alone_are_found_and_other_evidence_is_neutral() {
    let (config, (track, clip)) = (Config::default(), pair());
    let index = Index::in_memory(config.clone()).unwrap();
    let mut writer = index.writer().unwrap();
    let id = writer.add(TrackInfo::named("a"), &track).unwrap();
    writer.commit().unwrap();
    let index = index.reader();
    let query =
        Fingerprinter::new(config.clone()).unwrap().query(&clip, SampleRate::default()).unwrap();
    let alone = Query::from_parts(query.peaks().to_vec(), None, 5.0, &config).unwrap();
    assert_eq!(alone.landmarks(), query.landmarks());
    let search = MatchConfig::default();
    let found = index.search(&alone, &search).unwrap();
    assert!((found[0].offset_s - 10.0).abs() < 0.05);
    let evidence = explain(&index, &alone, id, &search).unwrap().place.unwrap().evidence;
    assert!(evidence.peaks_z > 5.0, "{evidence:?}");
    assert_eq!(
        (evidence.bands_z, evidence.phases_z, evidence.missing_ratio),
        (0.0, Some(0.0), 0.0)
    );
    assert_eq!(alone.clarity(), 1.0);
    // Those of other music are not.
    let other = Fingerprinter::new(config.clone())
        .unwrap()
        .query(&music(5.0, 77), SampleRate::default())
        .unwrap();
    let other = Query::from_parts(other.peaks().to_vec(), None, 5.0, &config).unwrap();
    assert_eq!(index.search(&other, &search).unwrap(), []);
}

#[test]
fn a_peak_is_the_only_maximum_around_it() {
    let config = Config::default();
    let peak = |time, bin| Peak {
        time: TimeSteps(time),
        bin: BinSteps(bin),
        contrast: 40,
        ..Peak::default()
    };
    // One on the grid, one between, one at the corner, and one beyond the band.
    let peaks =
        [peak(0, 0), peak(40 * 16, 300 * 16), peak(60 * 16 + 5, 400 * 16 + 8), peak(999, 65_000)];
    let map = LevelMap::of_peaks(&peaks, 100, &config, Calibration::default().into());
    let code = |half_frame: u32, half_bin: u16| {
        let mut found = 0;
        let under = peak(8 * half_frame, 8 * half_bin);
        map.codes_under(&[under], TimeSteps(0), 0..100, |_, _, _, code| found = code);
        found
    };
    assert_eq!(code(80, 600), 8 * 5 + 7);
    assert_eq!((code(79, 600), code(80, 601), code(77, 597)), (8 * 5 + 7, 8 * 5 + 5, 8 * 5 + 2));
    assert_eq!((code(76, 600), code(80, 604), code(0, 0)), (0, 0, 8 * 5 + 7));
    assert_eq!(code(121, 801), 8 * 5 + 7);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let config = Config::default();
    let peak =
        |time| Peak { time: TimeSteps(time), bin: BinSteps(800), contrast: 40, ..Peak::default() };
    let pair = || vec![peak(160), peak(320)];
    let make = |peaks, rows, duration_s| Query::from_parts(peaks, rows, duration_s, &config);
    make(pair(), None, 5.0).unwrap();
    for duration_s in [-1.0, f64::NAN, f64::INFINITY, 0.1, 0.5] {
        assert!(matches!(make(pair(), None, duration_s), Err(Error::QueryParts { .. })));
    }
    let backwards = vec![peak(320), peak(160)];
    assert!(matches!(make(backwards, None, 5.0), Err(Error::QueryParts { .. })));
    assert!(matches!(make(vec![peak(u32::MAX)], None, 5.0), Err(Error::QueryParts { .. })));
    assert!(matches!(make(vec![peak(1)], None, 5.0), Err(Error::Featureless { .. })));
    assert!(matches!(make(pair(), None, 601.0), Err(Error::TooLong { .. })));
    let (levels_db, phases) = (vec![-50.0; 149 * 883], vec![0; 149 * 883]);
    let mut broken = levels_db.clone();
    broken[7] = f32::NAN;
    for (levels_db, phases, fits) in [
        (&levels_db[..], &phases[..], true),
        (&levels_db[..], &[][..], true),
        (&levels_db[..100 * 883], &phases[..100 * 883], false),
        (&levels_db[1..], &phases[1..], false),
        (&levels_db[..], &phases[1..], false),
        (&broken[..], &phases[..], false),
    ] {
        let made = make(pair(), Some(QueryRows { levels_db, phases }), 5.0);
        assert_eq!(made.is_ok(), fits);
    }
}
