//! Some hundreds of mutated audio and index files, each in a process with limits of memory and time:
//! the long run is `examples/torture`. In the children, no single request for memory may exceed
//! 256 MB.
#![cfg(all(feature = "decode", target_os = "linux"))]

#[path = "../examples/torture/audio.rs"]
mod audio;
mod common;
#[path = "../examples/torture/containers.rs"]
mod containers;
#[path = "../examples/torture/index.rs"]
mod index;
#[path = "../examples/torture/mutate.rs"]
mod mutate;
#[path = "../examples/torture/trials.rs"]
mod trials;

use common::{Refusing, fixture};
use trials::{Limits, Outcome, Tally, Trials, run_all, supervise};

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

const LIMITS: Limits = Limits { memory_mb: 1_024, seconds_each: 30 };
/// Which trials a child is to run.
const TASK: &str = "EARMARK_TORTURE";

/// What must be noticed.
struct Bad;

impl Trials for Bad {
    fn make(&self, number: u64) -> Vec<u8> {
        vec![number as u8]
    }

    fn run(&mut self, _: u64, bytes: Vec<u8>) -> Outcome {
        match bytes[0] {
            1 => drop(std::hint::black_box(vec![0_u8; 300 << 20])),
            2 => loop {
                std::thread::park();
            },
            4 => panic!("as it should"),
            6 => drop(std::hint::black_box([(); 12].map(|()| Vec::<u8>::with_capacity(100 << 20)))),
            _ => {}
        }
        Outcome::Whole
    }
}

fn trials(kind: &str) -> Box<dyn Trials> {
    match kind {
        "bad" => Box::new(Bad),
        "audio" => Box::new(audio::Audio::new(&fixture(""), 7).unwrap()),
        _ => Box::new(index::Index::new(7, kind == "index-sealed").unwrap()),
    }
}

fn torture(kind: &str, count: u64, limits: Limits) -> Tally {
    supervise(count, limits, |first| {
        let arguments = ["child", "--exact", "--ignored", "--nocapture"].map(String::from);
        let mut command = limits.command(&arguments);
        command.env(TASK, format!("{kind} {first} {count}"));
        command
    })
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [kind, first, end] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let numbers = first.parse().unwrap()..end.parse().unwrap();
    run_all(trials(kind).as_mut(), numbers);
}

#[test]
fn the_files_to_begin_with_are_sound() {
    for (extension, bytes) in containers::all(&fixture("")) {
        let stft = earmark::config::StftConfig::default();
        let mut reader = earmark::AudioReader::from_bytes(bytes, Some(&extension), &stft)
            .unwrap_or_else(|error| panic!("{extension}: {error}"));
        while reader.next_block().unwrap().is_some() {}
        let report = reader.report();
        assert!(report.is_complete() && report.decoded_s > 0.2, "{:?}: {report}", reader.info());
    }
}

#[test]
fn what_goes_wrong_is_noticed() {
    let tally = torture("bad", 8, Limits { seconds_each: 1, ..LIMITS });
    let (abort, timeout, panic) = (Outcome::Abort, Outcome::Timeout, Outcome::Panic);
    assert_eq!(tally.failures, [(1, abort), (2, timeout), (4, panic), (6, abort)]);
    assert_eq!(tally.count(Outcome::Whole), 4);
}

#[test]
fn no_audio_file_ends_the_process() {
    let tally = torture("audio", 600, LIMITS);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    assert!(Outcome::ALL[..3].iter().all(|&outcome| tally.count(outcome) > 20));
}

#[test]
fn no_damaged_index_gives_another_answer() {
    let tally = torture("index", 300, LIMITS);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    assert_eq!(tally.count(Outcome::Other), 0);
    assert!(tally.count(Outcome::Whole) > 0 && tally.count(Outcome::Refused) > 100);
}

/// What has a right checksum may answer otherwise.
#[test]
fn no_forged_index_ends_the_process() {
    let tally = torture("index-sealed", 300, LIMITS);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
}
