//! Trials in processes of their own, so that one that aborts or hangs is seen and ends no other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As if nothing were wrong.
    Whole,
    /// Something is lost, or another answer given.
    Other,
    /// With an error.
    Refused,
    Panic,
    /// The process died.
    Abort,
    /// It took too long.
    Timeout,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Whole, Self::Other, Self::Refused, Self::Panic, Self::Abort, Self::Timeout];

    /// Whether nothing from outside may make it happen.
    pub fn is_failure(self) -> bool {
        self >= Self::Panic
    }
}

/// Files that are made from a number, and what is done with them.
pub trait Trials {
    fn make(&self, number: u64) -> Vec<u8>;
    fn run(&mut self, number: u64, bytes: Vec<u8>) -> Outcome;
}

/// Within the child: does the trials from a number on, and tells of each on standard output.
pub fn run_all(trials: &mut dyn Trials, numbers: std::ops::Range<u64>) {
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = std::io::stdout();
    let _ = writeln!(out, "\nready").and_then(|()| out.flush());
    for number in numbers {
        let bytes = trials.make(number);
        let ran = catch_unwind(AssertUnwindSafe(|| trials.run(number, bytes)));
        let outcome = ran.unwrap_or(Outcome::Panic);
        let _ = writeln!(out, "trial {number} {outcome:?}").and_then(|()| out.flush());
    }
}

/// What a child may take.
#[derive(Clone, Copy)]
pub struct Limits {
    pub memory_mb: u64,
    pub seconds_each: u64,
}

impl Limits {
    /// A command that runs this program again, within the limit of memory.
    pub fn command(self, arguments: &[String]) -> Command {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -v {}; exec \"$0\" \"$@\"", 1024 * self.memory_mb));
        command.arg(program).args(arguments);
        // Each further arena reserves 64 MB of addresses, which count.
        command.env("MALLOC_ARENA_MAX", "1").env("RAYON_NUM_THREADS", "1");
        command
    }
}

/// How many trials ended in each way, and the numbers of those that failed.
#[derive(Default)]
pub struct Tally {
    pub counts: BTreeMap<Outcome, u64>,
    pub failures: Vec<(u64, Outcome)>,
}

impl Tally {
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or(0)
    }

    fn add(&mut self, number: u64, outcome: Outcome) {
        *self.counts.entry(outcome).or_default() += 1;
        if outcome.is_failure() {
            self.failures.push((number, outcome));
        }
    }
}

/// Runs all trials below `end` in children that `command` begins at a number.
pub fn supervise(end: u64, limits: Limits, command: impl Fn(u64) -> Command) -> Tally {
    let mut tally = Tally::default();
    let mut next = 0;
    while next < end {
        let (mut child, lines) = begin(command(next));
        // Time to make ready is not that of a trial.
        let ready = lines.recv_timeout(Duration::from_secs(120));
        assert!(matches!(ready, Ok(Line::Ready)), "a child does not begin");
        while next < end {
            let seconds = limits.seconds_each;
            let outcome = match lines.recv_timeout(Duration::from_secs(seconds)) {
                Ok(Line::Trial(number, outcome)) if number == next => outcome,
                Ok(_) => panic!("another trial than {next}"),
                Err(RecvTimeoutError::Timeout) => Outcome::Timeout,
                Err(RecvTimeoutError::Disconnected) => Outcome::Abort,
            };
            tally.add(next, outcome);
            next += 1;
            if matches!(outcome, Outcome::Timeout | Outcome::Abort) {
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    tally
}

/// What a child tells.
enum Line {
    Ready,
    Trial(u64, Outcome),
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        if line == "ready" {
            return Some(Self::Ready);
        }
        let (number, name) = line.strip_prefix("trial ")?.split_once(' ')?;
        let named = |outcome: &Outcome| format!("{outcome:?}") == name;
        Some(Self::Trial(number.parse().ok()?, Outcome::ALL.into_iter().find(named)?))
    }
}

/// Begins a child, whose lines arrive one by one.
fn begin(mut command: Command) -> (Child, Receiver<Line>) {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a child");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        // Others are those of the test harness.
        for line in lines.filter_map(|line| Line::parse(&line)) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    (child, receiver)
}
