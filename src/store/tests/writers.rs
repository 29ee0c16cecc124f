//! Who may write, and what if nothing can be written.

use super::*;
use std::fs;
use std::process::{Command, Stdio};

const INDEX: &str = "EARMARK_TEST_FULL_INDEX";

#[test]
fn there_is_one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let writer = index.writer().unwrap();
    for other in [index.clone(), Index::open(&path).unwrap()] {
        let error = other.writer().unwrap_err();
        assert!(matches!(&error, Error::Locked { path: locked } if *locked == path), "{error}");
    }
    drop(writer);
    drop(Index::open(&path).unwrap().writer().unwrap());
    let memory = Index::in_memory(Config::default()).unwrap();
    let _writer = memory.writer().unwrap();
    assert!(matches!(memory.writer(), Err(Error::Locked { .. })));
}

#[test]
fn a_writer_takes_up_what_others_have_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let [first, second] =
        [Index::create(&path, Config::default()), Index::open(&path)].map(Result::unwrap);
    let mut recordings = conformance::recordings(&Config::default(), 6, 2).into_iter();
    let mut tracks = Vec::new();
    for index in [&first, &second, &first, &second] {
        let before = index.reader();
        let mut trial = Trial { writer: index.writer().unwrap(), tracks };
        trial.add(recordings.next().unwrap());
        trial.writer.commit().unwrap();
        tracks = trial.tracks;
        drop(trial.writer);
        check(index, &tracks);
        // A reader stays at its state, though its segments were merged away.
        assert!(before.len() < index.reader().len());
        assert_eq!(before.tracks().filter(|track| track.is_ok()).count() as u64, before.len());
    }
    assert!(first.reader().len() < second.reader().len());
    first.reload().unwrap();
    check(&first, &tracks);
}

#[test]
fn an_index_is_made_only_where_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    Index::create(&path, Config::default()).unwrap();
    let error = Index::create(&path, Config::default()).unwrap_err().to_string();
    assert!(error.contains("there is an index"), "{error}");
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("holiday.jpg"), "").unwrap();
    let error = Index::create(&other, Config::default()).unwrap_err().to_string();
    assert!(error.contains("other files"), "{error}");
    let file = folder.path().join("file");
    fs::write(&file, "EARMARKI\x04\0\0\0").unwrap();
    let error = Index::open(&file).unwrap_err().to_string();
    assert!(error.contains("an index is a folder now"), "{error}");
    fs::write(&file, "RIFF").unwrap();
    assert!(matches!(Index::open(&file), Err(Error::BadMagic { .. })));
    assert!(matches!(
        Index::open(folder.path().join("none")),
        Err(Error::Io { action: "open", .. })
    ));
    assert!(matches!(Index::create(file, Config::default()), Err(Error::Io { .. })));
    // What was killed before it was made is made.
    fs::remove_file(path.join("manifest")).unwrap();
    let mut config = Config::default();
    Index::create(&path, config.clone()).unwrap();
    config.peaks.reference_rank = 5;
    let other = OpenOptions::new().open_or_create(&path, config);
    assert!(matches!(other, Err(Error::ConfigMismatch { .. })));
}

/// Not for root, who may write everywhere.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_to_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    let mut trial = Trial { writer: index.writer().unwrap(), tracks: Vec::new() };
    conformance::recordings(&Config::default(), 2, 1).into_iter().for_each(|r| trial.add(r));
    trial.writer.commit().unwrap();
    let tracks = trial.tracks;
    drop(trial.writer);
    fs::remove_file(path.join("lock")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(path.join("allowed"), "").is_err() {
        let index = Index::open(&path).unwrap();
        check(&index, &tracks);
        assert!(matches!(index.writer(), Err(Error::Io { action: "lock", .. })));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Adds until nothing can be written any more.
#[test]
#[ignore = "is run by another, with a limit on files"]
fn full() {
    let index = Index::open(std::env::var_os(INDEX).unwrap()).unwrap();
    let mut writer = index.writer().unwrap();
    let recordings = conformance::recordings(&Config::default(), 60, 1);
    for (i, (info, fingerprint)) in recordings.into_iter().enumerate() {
        writer.add(info, &fingerprint).unwrap();
        if let Err(error) = writer.commit() {
            assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
            // It was committed, and then could not be merged; or it was not, and may be tried again.
            let there = index.reader().len() as usize;
            assert!((i..=i + 1).contains(&there));
            assert!(writer.commit().is_err());
            println!("\nfull after {there}");
            return;
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_what_was_committed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    Index::create(&path, Config::default()).unwrap();
    // Files beyond the limit cannot be written, as if the disk were full.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 60; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::writers::full", "--ignored", "--nocapture"]);
    let output = command.env(INDEX, &path).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let count =
        told.lines().find_map(|line| line.strip_prefix("full after ")?.parse::<usize>().ok());
    let count =
        count.unwrap_or_else(|| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(count > 2);
    let index = Index::open(&path).unwrap();
    let reader = index.reader();
    let ids: Vec<_> = reader.tracks().map(|track| track.unwrap().id).collect();
    let recordings = conformance::recordings(&Config::default(), 60, 1).into_iter();
    let tracks: Vec<Track> =
        ids.into_iter().zip(recordings).map(|(id, (i, f))| (id, i, f)).collect();
    assert_eq!(tracks.len(), count);
    check(&index, &tracks);
    // Room again.
    let mut trial = Trial { writer: index.writer().unwrap(), tracks };
    trial.add(conformance::recordings(&Config::default(), 1, 99).remove(0));
    trial.writer.commit().unwrap();
    check(&index, &trial.tracks);
}

/// Adds 300 recordings of three minutes with 8 MB of memory, and makes one segment of all.
#[test]
#[ignore = "is run by another, with a limit on memory"]
fn large() {
    let path = std::env::var_os(INDEX).unwrap();
    let options = OpenOptions::new().memory_bytes(8_000_000);
    let index = options.create(path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    let recordings = conformance::recordings(&Config::default(), 40, 1);
    let mut long = recordings.iter().filter(|(_, print)| print.duration_s() > 100.0).cycle();
    let mut landmarks = 0;
    for i in 0..300 {
        let (_, fingerprint) = long.next().unwrap();
        landmarks += fingerprint.landmarks().len();
        writer.add(TrackInfo::named(i.to_string()), fingerprint).unwrap();
    }
    writer.commit().unwrap();
    let segments = index.reader().stats().segments;
    // Each is written when memory is full, and not before; and those that are alike are merged.
    let name = segments.last().unwrap().path.file_stem().unwrap().to_str().unwrap();
    let written = name.parse::<u32>().unwrap() + 1;
    assert!((10..40).contains(&written) && segments.len() < 5, "{written} segments were written");
    writer.compact().unwrap();
    assert_eq!(index.reader().stats().segments.len(), 1);
    println!("\nall {}", landmarks * 8);
}

/// Without maps, segments are in memory as a whole.
#[cfg(all(target_os = "linux", feature = "mmap"))]
#[test]
fn memory_for_adding_and_merging_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let run = |limit_kb: u32| {
        let _ = fs::remove_dir_all(&path);
        let mut command = Command::new("sh");
        // All but files that are mapped.
        command.args(["-c", &format!("ulimit -d {limit_kb}; exec \"$0\" \"$@\"")]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["--exact", "store::tests::writers::large", "--ignored", "--nocapture"]);
        command.args(["--test-threads", "1"]).env("RAYON_NUM_THREADS", "1").env(INDEX, &path);
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        told.lines().find_map(|line| line.strip_prefix("all ")?.parse::<u64>().ok())
    };
    // What must be sorted does not fit into the memory that there is.
    let limit_kb = 16_000;
    let all = run(limit_kb).expect("it takes more memory than it may");
    assert!(all > 1000 * u64::from(limit_kb), "{all} bytes fit into it");
    let reader = Index::open(&path).unwrap().reader();
    assert!((0..300).all(|i| reader.find(&i.to_string()).unwrap().is_some()));
    assert_eq!(reader.verify(), []);
    assert_eq!(run(4_000), None, "the limit is none");
}
