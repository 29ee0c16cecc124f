use super::*;
use crate::config::Config;
use xxhash_rust::xxh3::xxh3_64;

#[test]
fn those_that_are_built_in_are_whole_files_of_their_analyses() {
    let (default, compact) = (include_bytes!("default.bin"), include_bytes!("compact.bin"));
    for (file, config) in [(default, Config::default()), (compact, Config::compact())] {
        let read = Calibration::from_bytes(file).unwrap();
        assert_eq!(read.to_bytes(), file);
        assert_eq!(read.config_id(), config.id());
        assert_eq!(*Calibration::built_in(config.id()).unwrap(), read);
    }
    assert_eq!(Calibration::from_bytes(default).unwrap(), Calibration::default());
    assert_eq!(*Calibration::of_default(), Calibration::default());
}

#[test]
fn any_byte_that_differs_is_noticed() {
    let bytes = Calibration::default().to_bytes();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Calibration::from_bytes(&damaged).is_err(), "byte {at}");
    }
    for length in [0, 7, 8, 19, 20, bytes.len() - 1] {
        assert!(Calibration::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(Calibration::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

/// As sealed by someone who means harm.
#[test]
fn numbers_that_cannot_be_are_refused_by_name() {
    let sealed = |change: &dyn Fn(&mut Calibration)| {
        let mut calibration = Calibration::default();
        change(&mut calibration);
        Calibration::from_bytes(&calibration.to_bytes())
    };
    assert!(sealed(&|_| {}).is_ok());
    let refused = |change: &dyn Fn(&mut Calibration)| match sealed(change) {
        Err(Error::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let table = "log_likelihood_ratio";
    assert_eq!(refused(&|c| c.log_likelihood_ratio[7][71] = f32::NAN), table);
    assert_eq!(refused(&|c| c.log_likelihood_ratio[0][0] = 1e9), table);
    assert_eq!(refused(&|c| c.quality.swing_deviation = 0.0), "quality.swing_deviation");
    assert_eq!(refused(&|c| c.law.chance_slope = f64::INFINITY), "law.chance_slope");
    assert_eq!(refused(&|c| c.strength.missing_weight = -1.0), "strength.missing_weight");
    assert_eq!(refused(&|c| c.dispersion.per_peak = f64::NAN), "dispersion.per_peak");
}

/// The right checksum under another version or length.
#[test]
fn sealed_nonsense_is_refused() {
    let seal = |version: u32, content: &[u8]| {
        let mut header = [&b"EARMARKC"[..], &version.to_le_bytes()].concat();
        header.extend((content.len() as u64).to_le_bytes());
        let sum = xxh3_64(&[content, &header].concat());
        [&header[..], content, &sum.to_le_bytes()].concat()
    };
    let content = Calibration::default().write();
    assert!(Calibration::from_bytes(&seal(1, &content)).is_ok());
    assert!(matches!(Calibration::from_bytes(&seal(2, &content)), Err(Error::Version { .. })));
    for wrong in [&content[1..], &[&content[..], &[0; 8]].concat(), &[]] {
        assert!(matches!(Calibration::from_bytes(&seal(1, wrong)), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn names_are_told_apart() {
    let calibration = Calibration::default();
    let mut names: Vec<&str> = calibration.numbers().map(|(name, ..)| name).collect();
    assert!(names.iter().all(|name| name.contains('.')));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), calibration.numbers().count());
}
