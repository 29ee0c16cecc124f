//! Which calibration a search takes, and when it refuses.

mod common;

use common::{music, rate};
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
