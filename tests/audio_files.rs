//! From files to fingerprints and queries.
#![cfg(feature = "decode")]

mod common;

use common::*;
use earmark::config::StftConfig;
use earmark::{AudioReader, Config, Error, Fingerprinter, SampleRate};

#[test]
fn a_file_gives_what_its_reader_gives_and_what_is_known_of_it() {
    let mut fingerprinter = fingerprinter();
    for path in [fixture("library/10-band.mp3"), fixture("broken/truncated.flac")] {
        let track = fingerprinter.fingerprint_file(&path).unwrap();
        let mut reader = open(&path);
        assert!(track.value == fingerprinter.fingerprint_audio(&mut reader).unwrap());
        assert_eq!((&track.info, track.report), (reader.info(), reader.report()));
        let clip = fingerprinter.query_file(&path).unwrap();
        assert!(clip.value == fingerprinter.query_audio(&mut open(&path)).unwrap());
        assert_eq!(clip.info, track.info);
    }
    let error = fingerprinter.fingerprint_file("no such file").unwrap_err();
    assert!(error.to_string().starts_with("cannot open no such file: "), "{error}");
}

#[test]
fn a_file_is_read_for_the_configuration_of_the_fingerprinter() {
    let mut config = Config::default();
    config.stft.sample_rate = SampleRate::new(16_000).unwrap();
    config.stft.window_samples *= 2;
    config.stft.hop_samples *= 2;
    let mut fingerprinter = Fingerprinter::new(config).unwrap();
    let track = fingerprinter.fingerprint_file(fixture("library/01-melody.wav")).unwrap();
    assert!((track.value.duration_s() - track.report.decoded_s).abs() < 1e-3);
    assert!(track.value.landmarks().len() > 100);
}

#[test]
fn a_reader_for_another_analysis_is_refused() {
    let path = fixture("library/01-melody.wav");
    let mut fingerprinter = fingerprinter();
    let expected = fingerprinter.fingerprint_file(&path).unwrap().value;
    let stft = StftConfig::default();
    let rate = StftConfig { sample_rate: SampleRate::new(16_000).unwrap(), ..stft.clone() };
    let band = StftConfig { max_hz: 3_000.0, ..stft.clone() };
    for (other, field, value) in [
        (&rate, "stft.sample_rate", "16000 Hz in the reader, but must be 8000 Hz as here: open"),
        (&band, "stft.max_hz", "3000 Hz in the reader, but must be 3600 Hz as here: open"),
    ] {
        let mut reader = AudioReader::open(&path, other).unwrap();
        let errors = [
            fingerprinter.fingerprint_audio(&mut reader).unwrap_err(),
            fingerprinter.query_audio(&mut reader).unwrap_err(),
        ];
        for error in errors {
            let message = error.to_string();
            assert!(message.starts_with(&format!("config: {field} is {value}")), "{message}");
            assert!(matches!(error, Error::Config { .. }));
        }
        // Nothing was read.
        let mut right = Fingerprinter::new(Config { stft: other.clone(), ..Config::default() });
        assert!(right.as_mut().is_ok_and(|right| right.fingerprint_audio(&mut reader).is_ok()));
    }
    // What samples are made for does not depend on the transform.
    let other = StftConfig { hop_samples: 128, window_samples: 1_024, ..stft };
    let mut reader = AudioReader::open(&path, &other).unwrap();
    assert!(fingerprinter.fingerprint_audio(&mut reader).unwrap() == expected);
}
