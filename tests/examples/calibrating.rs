//! `calibrate`, on synthetic pieces: too few and too much alike to fit anything to, enough to see that
//! what it writes can be used.

use crate::common::music;
use crate::running::*;
use std::fs;
use tempfile::TempDir;

#[test]
fn a_calibration_is_made_and_used() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("music")).unwrap();
    for seed in 0..60 {
        write_wav(&path(&format!("music/{seed:02}.wav")), &music(32.0, 900 + seed));
    }
    let made = |out: &str| {
        let mut command = example("calibrate");
        command.arg(path("music")).arg("--out").arg(path(out)).arg("--quick");
        command.args(["--fit", "law", "--clips", "1", "--absent-clips", "1", "--pairs", "24"]);
        run(command.args(["--from", "made by this test"]))
    };
    let (code, out, err) = made("one.calibration");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("On tracks that no fit has seen"), "{out}");
    let manifest = fs::read_to_string(path("one.calibration.txt")).unwrap();
    for part in ["made by this test", "law.chance ", "Indexed\tFit\t", "HeldOut\tReport\t"] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
    assert!(!manifest.contains("unreadable"), "{manifest}");
    // The same music and seed give the same numbers.
    assert_eq!(made("two.calibration").0, 0);
    let [one, two] = ["one", "two"].map(|n| fs::read(path(&format!("{n}.calibration"))).unwrap());
    assert!(one == two);

    // A search takes it, and refuses what is none.
    let clip = path("music/07.wav");
    let search = |calibration: &str| {
        let mut command = example("match");
        command.arg(path("music")).arg(&clip).arg("--calibration").arg(path(calibration));
        run(command.args(["--format", "tsv", "--top", "1"]))
    };
    let (code, out, err) = search("one.calibration");
    assert_eq!((code, &rows(&out)[0][2]), (0, &clip.to_str().unwrap()), "{err}");
    let (code, _, err) = search("one.calibration.txt");
    assert_eq!(code, 2);
    assert!(err.contains("not an earmark calibration"), "{err}");
}

#[test]
fn too_little_music_is_refused() {
    let mut command = example("calibrate");
    command.arg(fixture("library")).args(["--shortest", "1", "--out"]);
    let folder = TempDir::new().unwrap();
    let (code, _, err) = run(command.arg(folder.path().join("x")));
    assert_eq!(code, 2);
    assert!(err.contains("it takes 60 at least"), "{err}");
}
