//! Opens mutated audio files and files of indexes, each in a process with limits of memory and time, and counts
//! how it goes.
//!
//! ```text
//! cargo run --release --example torture -- --audio 6000 --index 30000
//! ```
//!
//! Nothing that a file holds may end the process, panic or hang. Half of the files of indexes have stale
//! checksums: of those, none may give another answer. The other half have right ones.

mod audio;
mod containers;
mod index;
mod mutate;
mod trials;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use trials::{Limits, Outcome, Trials, run_all, supervise};

#[derive(Parser)]
struct Options {
    /// Number of mutated audio files.
    #[arg(long, default_value_t = 0)]
    audio: u64,
    /// Number of mutated files of an index: its manifest and its segment.
    #[arg(long, default_value_t = 0)]
    index: u64,
    /// Other seeds give other files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A file that takes longer has failed.
    #[arg(long, default_value_t = 20)]
    seconds_each: u64,
    /// A process that takes more has failed.
    #[arg(long, default_value_t = 512)]
    memory_mb: u64,
    /// The recordings to begin with.
    #[arg(long, default_value = "fixtures")]
    fixtures: PathBuf,
    /// Writes one of the files instead: of audio, index or index-sealed, the one of a number.
    #[arg(long, value_names = ["KIND", "NUMBER", "PATH"], num_args = 3)]
    write: Option<Vec<String>>,
    /// Kind and first number of what this process is to try by itself.
    #[arg(long, hide = true, num_args = 2)]
    child: Option<Vec<String>>,
}

/// Of files of indexes, half have stale checksums and half have new ones.
const KINDS: [&str; 3] = ["audio", "index", "index-sealed"];

impl Options {
    fn count(&self, kind: &str) -> u64 {
        match kind {
            "audio" => self.audio,
            "index" => self.index / 2,
            _ => self.index - self.index / 2,
        }
    }

    fn trials(&self, kind: &str) -> earmark::Result<Box<dyn Trials>> {
        Ok(match kind {
            "audio" => Box::new(audio::Audio::new(&self.fixtures, self.seed)?),
            _ => Box::new(index::Index::new(self.seed, kind == "index-sealed")?),
        })
    }

    /// The arguments of a child.
    fn arguments(&self, kind: &str, first: u64) -> Vec<String> {
        let mut arguments = vec!["--child".into(), kind.into(), first.to_string()];
        for (name, value) in
            [("--audio", self.audio), ("--index", self.index), ("--seed", self.seed)]
        {
            arguments.extend([name.into(), value.to_string()]);
        }
        arguments.extend(["--fixtures".into(), self.fixtures.display().to_string()]);
        arguments
    }
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let options = Options::parse();
    if let Some([kind, first]) = options.child.as_deref() {
        let numbers = first.parse()?..options.count(kind);
        run_all(options.trials(kind)?.as_mut(), numbers);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some([kind, number, path]) = options.write.as_deref() {
        std::fs::write(path, options.trials(kind)?.make(number.parse()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let limits = Limits { memory_mb: options.memory_mb, seconds_each: options.seconds_each };
    let mut failed = false;
    println!(
        "{:14}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "", "whole", "other", "refused", "panic", "abort", "timeout"
    );
    for kind in KINDS.into_iter().filter(|kind| options.count(kind) > 0) {
        let command = |first| limits.command(&options.arguments(kind, first));
        let tally = supervise(options.count(kind), limits, command);
        let counts = Outcome::ALL.map(|outcome| format!("{:8}", tally.count(outcome)));
        println!("{kind:14}{}", counts.concat());
        for (number, outcome) in &tally.failures {
            println!("  {number} {outcome:?}: see it with --write {kind} {number} PATH");
        }
        // Damage that the checksums show changes no answer.
        failed |= !tally.failures.is_empty() || kind == "index" && tally.count(Outcome::Other) > 0;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
