//! Makes the recordings that the tests and the benchmarks use.
//!
//! ```text
//! cargo run --release --example make_fixtures [FOLDER]
//! ```
//!
//! writes `fixtures/` (or `FOLDER`): a library of synthesised pieces, clips
//! of them that have suffered in known ways, and broken files. Every sample
//! comes from a seed, so running it again gives the same files. Compressed
//! files take `ffmpeg`; without it they are left as they are, and named at
//! the end. What was made is then looked over, and the program fails if a
//! piece is too poor or too repetitive to be of use.

mod broken;
mod catalogue;
mod check;
mod degrade;
mod files;
mod pieces;
mod readme;
mod synth;

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use catalogue::{ABSENT, CLIPS, Clip, Effect, TRACKS, Track};
use check::Peaks;
use synth::Pcm;

/// Strong spectral peaks that a piece must have on average each second.
const ENOUGH_PEAKS: f64 = 30.0;
/// The share of its peaks that a piece may repeat at any one distance.
const MUCH_REPEATED: f64 = 0.35;
/// Bytes that the folder may take.
const MOST_BYTES: u64 = 5_500_000;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "fixtures".into()));
    let mut missing = Vec::new();

    println!("composing");
    let pieces: Vec<Pcm> = TRACKS.iter().chain([&ABSENT]).enumerate().map(compose).collect();

    println!("writing");
    let library = folder.join("library");
    fs::create_dir_all(&library)?;
    for (track, pcm) in TRACKS.iter().zip(&pieces) {
        if !files::write(&library.join(track.file()), pcm, track.format, Some(&track.tags()))? {
            missing.push(track.file());
        }
    }

    let clips = folder.join("clips");
    fs::create_dir_all(&clips)?;
    for (clip, seed) in CLIPS.iter().zip(1000..) {
        let pcm = perform(clip, &pieces, seed);
        if !files::write(&clips.join(clip.file()), &pcm, clip.format, None)? {
            missing.push(clip.file());
        }
    }

    let absent = &pieces[TRACKS.len()];
    let plain = Pcm::mono(8000, degrade::cut(&absent.mixdown(), absent.rate, 8000, 0.0, 6.0));
    let unmade = broken::make(&folder.join("broken"), &plain)?;
    missing.extend(unmade.into_iter().map(String::from));

    fs::write(folder.join("clips.tsv"), table())?;
    fs::write(folder.join("README.md"), readme::text())?;
    if !missing.is_empty() {
        println!("could not be made for want of ffmpeg: {}", missing.join(", "));
    }

    let good = look_over(&folder, &pieces, missing.is_empty())?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compose((i, track): (usize, &Track)) -> Pcm {
    let mut pcm = track.piece.compose(track.rate, track.channels, track.seconds, i as u64 + 1);
    pcm.coarsen(track.bits);
    pcm
}

/// Part of a track, as one channel at another rate.
fn part(name: &str, pieces: &[Pcm], rate: u32, start: f64, seconds: f64) -> Vec<f64> {
    let index = TRACKS.iter().position(|t| t.name == name).unwrap_or(TRACKS.len());
    let pcm = &pieces[index];
    degrade::cut(&pcm.mixdown(), pcm.rate, rate, start, seconds)
}

fn perform(clip: &Clip, pieces: &[Pcm], seed: u64) -> Pcm {
    let mut samples = part(clip.track, pieces, clip.rate, clip.start, clip.seconds);
    let mut peak = 0.7;
    match clip.effect {
        Effect::None => {}
        Effect::Quieter(db) => peak *= degrade::decibels(db),
        Effect::White(snr) => degrade::white_noise(&mut samples, snr, seed),
        Effect::Pink(snr) => degrade::pink_noise(&mut samples, snr, seed),
        Effect::Telephone => samples = degrade::telephone(&samples, clip.rate),
        Effect::Overdrive(db) => {
            degrade::overdrive(&mut samples, db);
            peak = 1.0;
        }
        Effect::Overlay(other, start, below) => {
            let other = part(other, pieces, clip.rate, start, clip.seconds);
            degrade::overlay(&mut samples, &other, below);
        }
        Effect::Room => samples = degrade::room(&samples, clip.rate, seed),
    }
    let mut pcm = Pcm::mono(clip.rate, samples);
    pcm.set_peak(peak);
    pcm
}

/// The file in the library, or nothing for what is not there.
fn library_file(name: &str) -> String {
    TRACKS.iter().find(|t| t.name == name).map(Track::file).unwrap_or_default()
}

/// `clips.tsv`. Two pieces at once take two lines, the louder first.
fn table() -> String {
    let mut out = String::from("clip\ttrack\tstart_s\tkind\n");
    let mut line = |clip: &Clip, track: &str, start: f64, kind: &str| {
        let track = library_file(track);
        let start = if track.is_empty() { String::new() } else { format!("{start:.3}") };
        let _ = writeln!(out, "{}\t{track}\t{start}\t{kind}", clip.file());
    };
    for clip in &CLIPS {
        let kind = if clip.track == ABSENT.name {
            format!("absent-{}", clip.kind)
        } else {
            clip.kind.to_string()
        };
        line(clip, clip.track, clip.start, &kind);
        if let Effect::Overlay(other, start, _) = clip.effect {
            line(clip, other, start, "overlay-under");
        }
    }
    out
}

/// Prints what the files hold, and says whether they will do. With `all`,
/// every one of them must be readable.
fn look_over(folder: &Path, pieces: &[Pcm], all: bool) -> Result<bool, Box<dyn Error>> {
    let mut good = true;
    println!("\n{:<24}{:>8}{:>10}{:>12}", "piece", "seconds", "peaks/s", "repeated");
    let mut tracks = Vec::new();
    for (track, pcm) in TRACKS.iter().zip(pieces) {
        // As decoded, or else as composed.
        let file = files::decode(&folder.join("library").join(track.file()), check::RATE);
        let readable = file.is_some() || !all;
        let whole = pcm.len() as f64 / f64::from(pcm.rate);
        let samples =
            file.unwrap_or_else(|| degrade::cut(&pcm.mixdown(), pcm.rate, check::RATE, 0.0, whole));
        let peaks = Peaks::of(&samples);
        let (rich, alike) = (peaks.per_second(), peaks.self_likeness());
        let fine = readable
            && rich > ENOUGH_PEAKS
            && alike < MUCH_REPEATED
            && (peaks.seconds() - whole).abs() < 0.3;
        good &= fine;
        let remark = if fine { "" } else { "  not good enough" };
        println!("{:<24}{:>8.2}{rich:>10.1}{alike:>12.2}{remark}", track.file(), peaks.seconds());
        tracks.push(peaks);
    }

    good &= find_clips(&folder.join("clips"), &tracks, all);
    let mut total = 0;
    for part in ["", "library", "clips", "broken"] {
        for entry in fs::read_dir(folder.join(part))? {
            let about = entry?.metadata()?;
            total += if about.is_file() { about.len() } else { 0 };
        }
    }
    println!("\n{total} bytes in all");
    Ok(good && total <= MOST_BYTES)
}

/// Looks for every clip in the whole library, by the peaks they share.
fn find_clips(folder: &Path, tracks: &[Peaks], all: bool) -> bool {
    let mut good = true;
    println!("\n{:<56}{:>12}{:>9}{:>8}{:>8}", "clip", "likeliest", "off by", "shared", "next");
    for clip in &CLIPS {
        let Some(samples) = files::decode(&folder.join(clip.file()), check::RATE) else {
            println!("{:<56}   cannot be decoded here", clip.file());
            good &= !all;
            continue;
        };
        let peaks = Peaks::of(&samples);
        let mut found: Vec<_> = tracks
            .iter()
            .map(|track| peaks.locate(track))
            .zip(TRACKS.iter().map(|t| t.name))
            .collect();
        found.sort_by(|(a, _), (b, _)| b.1.total_cmp(&a.1));
        let mut truths = vec![(clip.track, clip.start)];
        if let Effect::Overlay(other, start, _) = clip.effect {
            truths.push((other, start));
        }
        for (i, (track, start)) in truths.into_iter().enumerate() {
            let ((at, share), likeliest) = found[i];
            let right = likeliest == track;
            let off = if right { format!("{:.3}", at - start) } else { String::new() };
            let next = found[i + 1].0.1;
            println!("{:<56}{likeliest:>12}{off:>9}{share:>8.2}{next:>8.2}", clip.file());
            good &= track == ABSENT.name || right && (at - start).abs() < 0.06;
        }
    }
    good
}
