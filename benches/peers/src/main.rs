//! How fast earmark and other crates make fingerprints of the same audio, and what memory they use.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- [FILE...]
//! ```
//!
//! Files (those of `fixtures/library` if none is given) are read and decoded once, to stereo at
//! 44.1 kHz. Then everything runs in one thread and from memory, in turns, so that whatever else
//! the machine does slows all down alike; the median of each counts. Peak resident memory is that
//! of a process of its own, which holds the decoded file as well.

mod audio;
mod contenders;
mod heap;

use audio::Audio;
use contenders::{CONTENDERS, Contender, RATIOS};
use heap::Use;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Each file is run so many times,
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=25;
/// or, between those, for about this long.
const PER_FILE: Duration = Duration::from_secs(3);
/// Makes this program print its own peak memory: `--alone CONTENDER FILE`.
const ALONE: &str = "--alone";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if let [flag, contender, file] = &arguments[..]
        && flag.as_os_str() == ALONE
    {
        return alone(&contender.to_string_lossy(), file);
    }
    let files = if arguments.is_empty() { library()? } else { arguments };
    let mut audio = Vec::new();
    for file in &files {
        audio.push(Audio::read(file).map_err(|e| format!("{}: {e}", file.display()))?);
    }

    for Contender { name, what, .. } in &CONTENDERS {
        println!("{name:>12}  {what}");
    }
    println!("\nTimes real time:\n{:24} {:>8}{}", "", "seconds", header());
    let mut totals = [Duration::ZERO; CONTENDERS.len()];
    let mut seconds = 0.0;
    let mut rows = Vec::new();
    for audio in &audio {
        let medians = race(audio)?;
        print_speeds(&audio.name, audio.seconds(), &medians);
        seconds += audio.seconds();
        totals.iter_mut().zip(medians).for_each(|(total, median)| *total += median);
        rows.push((audio.name.as_str(), medians));
    }
    print_speeds("all", seconds, &totals);
    rows.push(("all", totals));
    print_ratios(&rows);

    if let Some((longest, path)) =
        audio.iter().zip(&files).max_by(|a, b| a.0.seconds().total_cmp(&b.0.seconds()))
    {
        print_memory(longest, path)?;
    }
    Ok(())
}

/// The recordings that come with the crate.
fn library() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/library");
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    files.sort();
    Ok(files)
}

/// Runs all contenders in turns; returns the median time of each.
fn race(audio: &Audio) -> Result<[Duration; CONTENDERS.len()], Box<dyn Error>> {
    let mut times: [Vec<Duration>; CONTENDERS.len()] = Default::default();
    let begin = Instant::now();
    for round in 0..*ROUNDS.end() {
        if round >= *ROUNDS.start() && begin.elapsed() > PER_FILE {
            break;
        }
        for turn in 0..CONTENDERS.len() {
            // Each goes first now and then.
            let number = (round + turn) % CONTENDERS.len();
            let start = Instant::now();
            let found = (CONTENDERS[number].run)(audio)?;
            times[number].push(start.elapsed());
            if found == 0 {
                return Err(format!("{} found nothing", CONTENDERS[number].name).into());
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    }))
}

fn header() -> String {
    CONTENDERS.iter().map(|c| format!(" {:>12}", c.name)).collect()
}

fn print_speeds(name: &str, seconds: f64, times: &[Duration]) {
    let speeds: String =
        times.iter().map(|time| format!(" {:>12.0}", seconds / time.as_secs_f64())).collect();
    println!("{name:24} {seconds:>8.1}{speeds}");
}

/// One line for each file: what counts, as ratios of times that were taken in turns.
fn print_ratios(rows: &[(&str, [Duration; CONTENDERS.len()])]) {
    let titles: String = RATIOS
        .map(|(over, under)| format!(" {:>26}", format!("{} / {}", name(over), name(under))))
        .concat();
    println!("\nTimes, divided:\n{:24}{titles}", "");
    for (file, times) in rows {
        let ratio =
            |over: usize, under: usize| times[over].as_secs_f64() / times[under].as_secs_f64();
        let ratios: String =
            RATIOS.map(|(over, under)| format!(" {:>26.2}", ratio(over, under))).concat();
        println!("{file:24}{ratios}");
    }
}

fn name(contender: usize) -> &'static str {
    CONTENDERS[contender].name
}

fn print_memory(audio: &Audio, path: &Path) -> Result<(), Box<dyn Error>> {
    println!("\nMemory, {} ({:.0} s):\n{:33}{}", audio.name, audio.seconds(), "", header());
    let mut uses = [Use::default(); CONTENDERS.len()];
    for (used, contender) in uses.iter_mut().zip(&CONTENDERS) {
        let mut outcome = Ok(0);
        *used = heap::measure(|| outcome = (contender.run)(audio));
        outcome?;
    }
    let row = |label: &str, values: Vec<String>| {
        let values: String = values.iter().map(|value| format!(" {value:>12}")).collect();
        println!("{label:33}{values}");
    };
    row("allocations", uses.iter().map(|u| u.allocations.to_string()).collect());
    row("peak of the heap, kB", uses.iter().map(|u| (u.peak_bytes / 1000).to_string()).collect());
    let program = std::env::current_exe()?;
    let resident = CONTENDERS.iter().map(|contender| {
        let mut command = Command::new(&program);
        let output = command.arg(ALONE).arg(contender.name).arg(path).output();
        output.map_or("?".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
    });
    row("peak resident, kB", resident.collect());
    let held = audio.bytes.len() + 4 * audio.stereo.len() + 2 * audio.stereo_i16.len();
    println!("(of these, {} kB are the file and its samples)", held / 1000);
    Ok(())
}

/// Decodes a file, runs one contender once, prints the peak of resident memory.
fn alone(contender: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let contender = CONTENDERS.iter().find(|c| c.name == contender).ok_or("no such contender")?;
    let audio = Audio::read(file)?;
    heap::reset_peak_resident();
    (contender.run)(&audio)?;
    println!("{}", heap::peak_resident_kb().map_or("?".into(), |kb| kb.to_string()));
    Ok(())
}
