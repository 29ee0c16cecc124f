//! The writer is killed at any time: what was committed is there, and nothing else.

use super::*;
use crate::Fingerprint;
use crate::testing::rng;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The child's index,
const INDEX: &str = "EARMARK_TEST_INDEX";
/// and the step at which it dies: its name and how often it was reached.
const STEP: &str = "EARMARK_TEST_STEP";

/// All steps of a writer.
const STEPS: [&str; 13] = [
    "segment begun",
    "segment written",
    "segment synced",
    "manifest",
    "manifest begun",
    "manifest half written",
    "manifest written",
    "manifest synced",
    "manifest renamed",
    "committed",
    "old segment removed",
    "background begun",
    "merge taken up",
];

/// Ends the process at a step that the environment names.
pub(crate) fn step(name: &str) {
    static LAST: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static REACHED: AtomicU32 = AtomicU32::new(0);
    let last = LAST.get_or_init(|| {
        let last = std::env::var(STEP).ok()?;
        let (name, count) = last.split_once(':')?;
        Some((name.into(), count.parse().ok()?))
    });
    let Some((last, count)) = last else { return };
    if last == name && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count {
        // As a kill does, this runs nothing.
        std::process::abort();
    }
}

fn recording(number: u32) -> (TrackInfo, Fingerprint) {
    static ALL: OnceLock<Vec<(TrackInfo, Fingerprint)>> = OnceLock::new();
    let all = ALL.get_or_init(|| conformance::recordings(&Config::default(), 20, 3));
    all[number as usize % all.len()].clone()
}

/// Tracks stay for so many commits.
const KEPT: u32 = 6;

/// What is added under two names by a commit; the marker says which one was the last.
fn added(commit: u32) -> [(String, Fingerprint); 2] {
    let name = |letter| format!("{letter}/{commit}");
    [(name("a"), recording(commit).1), (name("b"), recording(commit + 7).1)]
}

fn marker(commit: u32) -> (TrackInfo, Fingerprint) {
    let (mut info, fingerprint) = recording(commit + 13);
    info.name = "marker".into();
    info.tags.title = Some(commit.to_string());
    (info, fingerprint)
}

/// The last commit of an index, 0 for none.
fn last(index: &Index) -> u32 {
    let marker = index.reader().find("marker").unwrap();
    marker.map_or(0, |marker| marker.tags.title.unwrap().parse().unwrap())
}

/// Commits until it is killed, and says so.
#[test]
#[ignore = "is killed by others"]
fn child() {
    let path = std::env::var_os(INDEX).unwrap();
    let options = OpenOptions::new().memory_bytes(0);
    let index = options.open_or_create(path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    println!("\nfound {}", last(&index));
    for commit in last(&index) + 1.. {
        for (name, fingerprint) in added(commit) {
            writer.add(TrackInfo::named(name), &fingerprint).unwrap();
        }
        let (info, fingerprint) = marker(commit);
        writer.replace(info, &fingerprint).unwrap();
        if commit > KEPT {
            for (name, _) in added(commit - KEPT) {
                let id = writer.find(&name).unwrap().unwrap();
                writer.remove(id).unwrap();
            }
        }
        writer.commit().unwrap();
        println!("\ncommitted {commit}");
        if commit % 4 == 0 {
            writer.compact().unwrap();
        }
    }
}

/// Runs the child until it dies, or is killed after some milliseconds from its first commit on. Checks that
/// the index is in the state of the last commit that it told of, or the one after.
fn kill(path: &Path, step: Option<String>, after_ms: u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::kills::child", "--ignored", "--nocapture"]);
    command.env(INDEX, path).stdout(Stdio::piped()).stderr(Stdio::null());
    step.as_ref().map(|step| command.env(STEP, step));
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| {
        let number = line.strip_prefix("committed ").or(line.strip_prefix("found "));
        number.map(|number| number.parse::<u32>().unwrap())
    };
    let begun = lines.by_ref().find_map(number);
    if step.is_none() {
        std::thread::sleep(Duration::from_millis(after_ms));
        child.kill().unwrap();
    }
    let told = lines.filter_map(number).last().or(begun).unwrap_or(0);
    assert!(!child.wait().unwrap().success());
    if !path.join("manifest").exists() {
        assert_eq!(told, 0, "nothing was committed");
        return;
    }
    let index = Index::open(path).unwrap();
    let last = last(&index);
    assert!((told..=told + 1).contains(&last), "{step:?}: {told} was told, {last} is there");
    let mut want = BTreeMap::new();
    for commit in last.saturating_sub(KEPT - 1).max(1)..=last {
        want.extend(
            added(commit).map(|(name, print)| (name.clone(), (TrackInfo::named(name), print))),
        );
    }
    if last > 0 {
        want.insert("marker".into(), marker(last));
    }
    let reader = index.reader();
    let tracks: Vec<Track> = (reader.tracks())
        .map(|track| {
            let track = track.unwrap();
            let (info, fingerprint) = want.remove(&track.name).unwrap();
            (track.id, info, fingerprint)
        })
        .collect();
    assert!(want.is_empty(), "{step:?}: {:?} are not there", want.keys());
    conformance::check(&reader, &tracks).unwrap();
    assert_eq!(reader.verify(), []);
    // The lock is gone with the child.
    drop(index.writer().unwrap());
}

#[test]
fn a_writer_that_is_killed_at_any_step_leaves_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    for count in [1, 2, 3, 5] {
        for step in STEPS {
            kill(&path, Some(format!("{step}:{count}")), 0);
        }
    }
}

#[test]
fn a_writer_that_is_killed_at_any_moment_leaves_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut random = rng(77);
    for _ in 0..200 {
        kill(&path, None, (random() * random() * 60.0) as u64);
    }
}
