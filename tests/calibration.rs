//! Which calibration a search takes, and when it refuses.

mod common;

use common::{music, rate};
use earmark::Monitor;
use earmark::monitor::MonitorConfig;
use earmark::search::{Findings, decide, find};
use earmark::{Calibration, Config, Error, Fingerprinter, Index, MatchConfig, Query, TrackInfo};
use std::sync::Arc;

/// An index of two tracks and a clip of the first.
fn index_and_clip(config: &Config) -> (Index, Query) {
    let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
    let index = Index::in_memory(config.clone()).unwrap();
    let mut writer = index.writer().unwrap();
    for seed in 0..2 {
        let track = fingerprinter.fingerprint(&music(30.0, seed), rate(8000)).unwrap();
        writer.add(TrackInfo::named(format!("{seed}")), &track).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    let clip = fingerprinter.query(&music(30.0, 0)[80_000..120_000], rate(8000)).unwrap();
    (index, clip)
}

fn other() -> Config {
    let mut config = Config::default();
    config.peaks.reference_rank = 9;
    config
}

#[test]
fn an_analysis_without_a_calibration_is_refused_until_the_caller_takes_anothers() {
    let (index, clip) = index_and_clip(&other());
    match index.search(&clip, &MatchConfig::default()) {
        Err(error @ Error::NoCalibration { config_id }) => {
            assert_eq!(config_id, other().id());
            assert!(error.to_string().contains("--example calibrate"), "{error}");
        }
        found => panic!("{found:?}"),
    }
    let with = |calibration: Calibration| MatchConfig {
        calibration: Some(Arc::new(calibration)),
        ..MatchConfig::default()
    };
    match index.search(&clip, &with(Calibration::default())) {
        Err(Error::CalibrationMismatch { expected, found }) => {
            assert_eq!((expected, found), (other().id(), Config::default().id()));
        }
        found => panic!("{found:?}"),
    }
    let taken = Calibration::default().for_analysis(other().id());
    let found = index.search(&clip, &with(taken)).unwrap();
    assert_eq!(found[0].name, "0");
}

#[test]
fn a_search_goes_by_the_calibration_that_it_is_given() {
    let (index, clip) = index_and_clip(&Config::default());
    let search = |calibration: Option<Calibration>| {
        let calibration = calibration.map(Arc::new);
        let config = MatchConfig { calibration, max_false_alarms: 1e9, ..MatchConfig::default() };
        index.search(&clip, &config)
    };
    let usual = search(None).unwrap();
    // A copy of the usual one changes nothing.
    let copy = Calibration::from_bytes(&Calibration::default().to_bytes()).unwrap();
    assert_eq!(search(Some(copy)).unwrap(), usual);

    // A hundred times as many false alarms by both terms.
    let mut wary = Calibration::default();
    wary.law.chance += 2.0;
    wary.law.related += 2.0;
    let warier = search(Some(wary)).unwrap();
    let ratio = warier[0].false_alarms / usual[0].false_alarms;
    assert!((ratio / 100.0 - 1.0).abs() < 1e-9, "{ratio}");

    // Peaks that say nothing leave nothing of the peaks' evidence.
    let mut deaf = Calibration::default();
    deaf.log_likelihood_ratio.iter_mut().for_each(|row| row.fill(0.0));
    let heard = search(Some(deaf)).unwrap();
    assert!(heard[0].false_alarms > usual[0].false_alarms);

    let mut wrong = Calibration::default();
    wrong.law.related_slope = f64::NAN;
    assert!(matches!(search(Some(wrong)), Err(Error::Config { field: "law.related_slope", .. })));
}

/// The best match's false alarms, in an index as it is.
fn alarms(index: &Index, clip: &Query) -> f64 {
    index.search(clip, &MatchConfig::default()).unwrap()[0].false_alarms
}

#[test]
fn an_index_keeps_its_own_calibration_and_searches_go_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let config = Config::default();
    let (made, clip) = index_and_clip(&config);
    let usual = alarms(&made, &clip);
    let index = Index::create(&path, config.clone()).unwrap();
    let mut writer = index.writer().unwrap();
    writer.add_all(&made.reader(), |_| ()).unwrap();
    writer.commit().unwrap();
    let mut wary = Calibration::default();
    wary.law.chance += 2.0;
    wary.law.related += 2.0;

    // What cannot be used is not stored.
    let others = Calibration::default().for_analysis(other().id());
    let refused = writer.set_calibration(Some(others.into()));
    assert!(matches!(refused, Err(Error::CalibrationMismatch { .. })), "{refused:?}");
    let mut wrong = Calibration::default();
    wrong.law.related_slope = f64::NAN;
    assert!(matches!(writer.set_calibration(Some(wrong.into())), Err(Error::Config { .. })));

    writer.set_calibration(Some(Arc::new(wary.clone()))).unwrap();
    assert_eq!(alarms(&index, &clip), usual, "it is not committed yet");
    writer.commit().unwrap();
    drop(writer);
    for index in [&index, &Index::open(&path).unwrap()] {
        assert_eq!(**index.reader().calibration().unwrap(), wary);
        let ratio = alarms(index, &clip) / usual;
        assert!((ratio / 100.0 - 1.0).abs() < 1e-9, "{ratio}");
        // One that the caller gives comes first.
        let given = Some(Arc::new(Calibration::default()));
        let config = MatchConfig { calibration: given, ..MatchConfig::default() };
        assert_eq!(index.search(&clip, &config).unwrap()[0].false_alarms, usual);
    }

    // What was found by different laws is not decided together.
    let reader = index.reader();
    let found = find(&reader, &clip, &MatchConfig::default()).unwrap();
    let found = Findings::from_bytes(&found.to_bytes()).unwrap();
    let ours = decide(std::slice::from_ref(&found), &MatchConfig::default()).unwrap();
    assert_eq!(ours, index.search(&clip, &MatchConfig::default()).unwrap());
    let others = find(&made.reader(), &clip, &MatchConfig::default()).unwrap();
    let both = decide(&[found, others], &MatchConfig::default());
    assert!(matches!(both, Err(Error::OtherClip)), "{both:?}");

    let mut writer = index.writer().unwrap();
    writer.set_calibration(None).unwrap();
    writer.commit().unwrap();
    assert!(index.reader().calibration().is_none());
    assert_eq!(alarms(&index, &clip), usual);
}

/// Without a calibration, a monitor would promise what nobody knows.
#[test]
fn a_monitor_wants_a_calibration_too() {
    let (index, _) = index_and_clip(&other());
    let reader = index.reader();
    let refused = Monitor::new(&reader, MonitorConfig::default()).map(drop);
    assert!(matches!(refused, Err(Error::NoCalibration { .. })), "{refused:?}");
    let mut config = MonitorConfig::default();
    config.calibration = Some(Calibration::default().for_analysis(other().id()).into());
    assert!(Monitor::new(&reader, config).is_ok());
    // One that is stored with the index does.
    let mut writer = index.writer().unwrap();
    writer.set_calibration(Some(Calibration::default().for_analysis(other().id()).into())).unwrap();
    writer.commit().unwrap();
    assert!(Monitor::new(&index.reader(), MonitorConfig::default()).is_ok());
}
