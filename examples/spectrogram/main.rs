//! Draws a spectrogram, its peaks, and what of them is recognised.
//!
//! ```text
//! cargo run --release --example spectrogram -- --index fixtures/library \
//!     fixtures/clips/10-band_at_3.389s_room.m4a -o constellation.svg
//! ```

mod agreement;
mod image;
mod panel;
mod picture;

#[path = "../common/audio_files.rs"]
mod audio_files;
#[path = "../common/distinct.rs"]
mod distinct;
#[path = "../common/in_memory.rs"]
mod in_memory;
#[path = "../common/ingest.rs"]
mod ingest;
#[path = "../common/label.rs"]
mod label;
#[path = "../common/library.rs"]
mod library;
#[path = "../common/opening.rs"]
mod opening;
#[path = "../common/ordered.rs"]
mod ordered;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/text.rs"]
mod text;

use agreement::Agreement;
use clap::Parser;
use earmark::config::StftConfig;
use earmark::spectrogram::Spectrogram;
use earmark::{
    Config, Error, Fingerprint, Fingerprinter, Index, Match, MatchConfig, Query, Reader,
};
use label::{clock, label};
use opening::open_audio;
use panel::{Panel, Window};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use text::{complain, count, printable, printed, reason, shown};

const AFTER_HELP: &str = "\
Examples:
  spectrogram song.mp3 --start 60 --duration 10
      Draw ten seconds and their peaks, to song.svg.
  spectrogram clip.wav --index library.earmark -o match.svg
      Draw a clip above the part of the track that it comes from. Lines are the
      landmarks (pairs of peaks) that both have at the same place.
  spectrogram clip.wav --index Music -o - | rsvg-convert > match.png
      The same with a folder in place of an index, and as a PNG image.

The track is drawn from its file if that is still where it was indexed, else
only its peaks are, which the index holds.

Exit status: 0 if the picture was drawn (with a match or without), else 2.";

/// Draws the spectrogram of a recording with its peaks and, given an index, what they match
#[derive(Parser)]
#[command(name = "spectrogram", version, after_help = AFTER_HELP)]
struct Options {
    /// The audio file to draw
    audio: PathBuf,
    /// Look it up in this index, or in this folder of audio files
    #[arg(long, value_name = "INDEX_OR_FOLDER")]
    index: Option<PathBuf>,
    /// Where to begin, in seconds
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = seconds)]
    start: f64,
    /// How much to draw, in seconds
    #[arg(long, value_name = "S", default_value_t = 15.0, value_parser = seconds)]
    duration: f64,
    /// The picture to write, `-` for standard output [default: the audio file's name with .svg]
    #[arg(long, short, value_name = "OUT.svg")]
    output: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..1e6).contains(&number) { Ok(number) } else { Err("it must be 0 to 1000000".into()) }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&format!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let output = output(options)?;
    let named = |e: Error| format!("{}: {}", shown(&options.audio), reason(&e));
    let jobs = ordered::jobs_or_all_cores(None);
    let reader = match &options.index {
        Some(path) => library::open_library(path, jobs)?,
        None => Index::in_memory(Config::default()).map_err(named)?.reader(),
    };
    let config = reader.config().clone();

    let samples = read(&options.audio, &config.stft, options.start, options.duration);
    let samples = samples.map_err(named)?;
    let spectrogram = Spectrogram::new(&samples, &config.stft).map_err(named)?;
    if spectrogram.levels_db.is_empty() {
        return Err(format!("{}: no audio from there on", shown(&options.audio)));
    }
    let duration_s = config.stft.sample_rate.seconds(samples.len() as u64);
    let mut fingerprinter = Fingerprinter::new(config.clone()).map_err(named)?;
    let query = match fingerprinter.query(&samples, config.stft.sample_rate) {
        Ok(query) => Some(query),
        Err(e) => {
            complain(&format!("warning: {}", named(e)));
            None
        }
    };

    let window = Window { start_s: options.start, length_s: duration_s };
    let mut clip = Panel::new(&config.stft, window);
    clip.title = printable(&file_name(&options.audio));
    clip.spectrogram = Some(spectrogram);
    clip.peaks = query.as_ref().map(|q| q.peaks().to_vec()).unwrap_or_default();
    clip.peaks_from_s = options.start;
    let found = query.as_ref().map(|q| best(&reader, q)).transpose().map_err(named)?.flatten();
    let mut panels = Vec::new();
    if let (Some(query), Some((best, track))) = (&query, found) {
        let agreement = Agreement::new(query, &track, best.offset_s, best.speed, &config);
        let from = format!("from {} on", clock(best.offset_s));
        let agreeing = count(agreement.clip.len(), "landmark");
        let mut reference = reference(&track, &best, duration_s, &config);
        reference.title =
            format!("{}, {from}: {agreeing} in agreement", label(&best.name, &best.tags));
        (clip.pairs, reference.pairs) = (agreement.clip, agreement.reference);
        panels.push(reference);
    } else if options.index.is_some() {
        clip.title += ": no match";
    }
    panels.insert(0, clip);
    let svg = picture::svg(&panels)?;
    let Some(path) = output else {
        let mut out = std::io::stdout().lock();
        return printed(out.write_all(svg.as_bytes()).and_then(|()| out.flush()));
    };
    std::fs::write(&path, &svg).map_err(|e| format!("cannot write to {}: {e}", shown(&path)))
}

/// Where to write to; `None` is standard output.
fn output(options: &Options) -> Result<Option<PathBuf>, String> {
    let default = || Path::new(&file_name(&options.audio)).with_extension("svg");
    let path = options.output.clone().unwrap_or_else(default);
    if path == Path::new("-") {
        return Ok(None);
    }
    if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("svg")) {
        return Err(format!(
            "{}: the picture is an SVG, so its name should end in .svg; to make another kind \
             of it, write it to `-` and into a converter",
            shown(&path)
        ));
    }
    Ok(Some(path))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Decodes a stretch of a file.
fn read(path: &Path, stft: &StftConfig, start_s: f64, length_s: f64) -> earmark::Result<Vec<f32>> {
    let sample = |seconds: f64| (seconds * f64::from(stft.sample_rate.hz())) as usize;
    let (mut skip, wanted) = (sample(start_s), sample(length_s));
    let mut reader = open_audio(path, stft)?;
    let mut samples = Vec::new();
    while samples.len() < wanted
        && let Some(block) = reader.next_block()?
    {
        let skipped = skip.min(block.len());
        skip -= skipped;
        samples.extend_from_slice(&block[skipped..]);
    }
    samples.truncate(wanted);
    Ok(samples)
}

fn best(reader: &Reader, query: &Query) -> earmark::Result<Option<(Match, Fingerprint)>> {
    let config = MatchConfig { max_matches: 1, ..MatchConfig::default() };
    let best = reader.search(query, &config)?.into_iter().next();
    let Some(best) = best else { return Ok(None) };
    let track = reader.fingerprint(best.track)?;
    Ok(Some((best, track)))
}

/// The part of the track that lies under the clip, so that what agrees is one above the other.
fn reference(track: &Fingerprint, m: &Match, clip_s: f64, config: &Config) -> Panel {
    let window = Window { start_s: m.offset_s, length_s: clip_s * m.speed };
    // Frames are centred half a transform after their beginning. Before its own, the track has
    // nothing to show.
    let margin_s = config.stft.window_s() / 2.0;
    let start_s = (window.start_s - margin_s).max(0.0);
    let length_s = window.start_s + window.length_s + margin_s - start_s;
    let samples = read(Path::new(&m.name), &config.stft, start_s, length_s);
    let spectrogram = samples.ok().and_then(|s| Spectrogram::new(&s, &config.stft).ok());
    let mut panel = Panel::new(&config.stft, window);
    panel.spectrogram = spectrogram.filter(|s| !s.levels_db.is_empty());
    panel.spectrogram_from_s = start_s - window.start_s;
    panel.peaks = track.peaks().to_vec();
    panel
}
