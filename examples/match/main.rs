//! Says which recordings clips come from.
//!
//! ```text
//! cargo run --release --example match -- fixtures/library fixtures/clips
//! ```

mod answer;
mod explain;
mod json;
mod pieces;
mod table;
mod tsv;

#[path = "../common/audio_files.rs"]
mod audio_files;
#[path = "../common/calibration_file.rs"]
mod calibration_file;
#[path = "../common/distinct.rs"]
mod distinct;
#[path = "../common/in_memory.rs"]
mod in_memory;
#[path = "../common/ingest.rs"]
mod ingest;
#[path = "../common/inputs.rs"]
mod inputs;
#[path = "../common/label.rs"]
mod label;
#[path = "../common/library.rs"]
mod library;
#[path = "../common/number.rs"]
mod number;
#[path = "../common/opening.rs"]
mod opening;
#[path = "../common/ordered.rs"]
mod ordered;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/text.rs"]
mod text;

use answer::{Answer, Matcher};
use calibration_file::read_calibration;
use clap::{Parser, ValueEnum};
use earmark::store::Store;
use earmark::{Fingerprinter, MatchConfig, SpeedRange};
use number::at_least_one;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use text::shown;

const AFTER_HELP: &str = "\
Examples:
  match Music clip.mp3
      Which recording in the folder Music is the clip from, and from where in it?
      The folder is fingerprinted first; make an index to be spared that.
  match library.earmark clips --format tsv > matches.tsv
      Look all audio files in the folder clips up in an index.
  match library.earmark clip.mp3 --explain song.mp3
      Why was the track song.mp3 not found in the clip? All evidence is shown.
  match library.earmark clip.mp3 --speed 10
      The clip may be played up to 10 % faster or slower, higher or lower.
  ls *.wav | match library.earmark - --top 1
      Look up the files that another program names, the best match of each.

The columns of --format tsv, after a header, one line per match, best first:
  query              the clip
  rank               1 for the best match; 0, and the rest empty, if there is none
  track              the track's name: its path as it was indexed
  reference_start_s  time in the track at which the clip begins; below 0 if the clip
                     begins before the track
  query_start_s      the part of the clip that was recognised: from here
  query_end_s        to here
  speed              tempo of the clip as a multiple of the track's
  votes              landmarks of the clip that agree
  score              -log10 of the matches as good that chance is expected to give
  same_as            the track of a better match whose audio is the same here, if any

A clip of more than five minutes is searched in pieces of two minutes, and what
goes on from one piece to the next is one match. --false-alarms is still meant for
the clip as a whole. What plays when in a long recording is told by the program
`monitor`: monitor library.earmark broadcast.mp3

Exit status: 0 if all clips were searched (found or not), 1 if some could not be
read or hold nothing to search for, 2 if nothing could be done (no clip is there,
the library cannot be read) or nothing be printed.";

/// Says which recordings of a library clips come from, and from where in them
#[derive(Parser)]
#[command(name = "match", version, after_help = AFTER_HELP)]
struct Options {
    /// An index made by the example `fingerprint`, or a folder of audio files
    #[arg(value_name = "INDEX_OR_FOLDER")]
    library: PathBuf,
    /// The clips: audio files, and folders to search for them; `-` for a list on standard input
    #[arg(value_name = "CLIP", required_unless_present = "files_from")]
    clips: Vec<PathBuf>,
    /// A file that lists more clips, one a line or NUL-separated; `-` for standard input
    #[arg(long, value_name = "LIST")]
    files_from: Option<PathBuf>,
    /// How the matches are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Matches per clip at most
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    top: NonZeroUsize,
    /// How landmarks are looked up: by hash, or in a KD-tree (slower, forgives more)
    #[arg(long, value_enum, default_value_t = Lookup::Hash)]
    matcher: Lookup,
    /// Also find clips whose speed, tempo or pitch is up to so many per cent above or below the
    /// track's; a clip that is not found at its own speed then takes about seven times as long
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = speed_range)]
    speed: SpeedRange,
    /// Leave out matches that chance would give more often than this per clip
    #[arg(long, value_name = "X", default_value_t = 0.001, value_parser = positive)]
    false_alarms: f64,
    /// What was fitted for your music, as the program `calibrate` wrote it [default: that of the library]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Say why this track was found in each clip, or why not, in place of the matches: its name
    /// in the index, or a part of it
    #[arg(long, value_name = "TRACK", conflicts_with = "format")]
    explain: Option<String>,
    /// Number of threads [default: one per core]
    #[arg(long, short, value_name = "N", value_parser = at_least_one)]
    jobs: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Tsv,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lookup {
    Hash,
    Kd,
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "it must be a number".into())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if number > 0.0 { Ok(number) } else { Err("it must be above 0".into()) }
}

fn speed_range(text: &str) -> Result<SpeedRange, String> {
    SpeedRange::percent(number(text)?).map_err(|e| e.to_string())
}

/// A way to print answers.
trait Printer {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    fn answer(&mut self, out: &mut dyn Write, answer: &Answer) -> io::Result<()>;
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|message| {
        text::complain(&format!("error: {message}"));
        ExitCode::from(2)
    })
}

/// Fails if all clips are missing: no index need be read to say so.
fn one_exists(clips: &[PathBuf]) -> Result<(), String> {
    let mut missing = Vec::new();
    for clip in clips {
        match clip.metadata() {
            Ok(_) => return Ok(()),
            Err(e) => missing.push(format!("{}: cannot open it: {e}", shown(clip))),
        }
    }
    Err(missing.join("\n"))
}

fn run(options: &Options) -> Result<ExitCode, String> {
    // First what is quickly found to be wrong.
    let clips = inputs::gather(&options.clips, options.files_from.as_deref())?;
    one_exists(&clips)?;
    let calibration = options.calibration.as_deref().map(read_calibration).transpose()?;
    let jobs = ordered::jobs_or_all_cores(options.jobs);
    let reader = library::open_library(&options.library, jobs)?;
    let matcher = match options.matcher {
        Lookup::Hash => Matcher::Hash(reader),
        Lookup::Kd => Matcher::kd(reader).map_err(|e| text::reason(&e))?,
    };
    let config = MatchConfig {
        max_matches: options.top.get(),
        max_false_alarms: options.false_alarms,
        speed: options.speed,
        calibration,
        ..MatchConfig::default()
    };
    // Before any clip is read.
    let totals = Store::totals(matcher.reader()).map_err(|e| text::reason(&e))?;
    config.calibration_for(&totals).map_err(|e| text::reason(&e))?;
    if let Some(track) = &options.explain {
        let track = explain::find_track(matcher.reader(), track)?;
        let mut all_read = true;
        let mut out = io::stdout().lock();
        let written = explain::explain_all(&mut out, &matcher, &clips, track, &config);
        text::printed(written.map(|read| all_read = read))?;
        return Ok(ExitCode::from(u8::from(!all_read)));
    }
    let mut printer: Box<dyn Printer> = match options.format {
        Format::Table => {
            Box::new(table::Table::new(matcher.reader()).map_err(|e| text::reason(&e))?)
        }
        Format::Tsv => Box::new(tsv::Tsv),
        Format::Json => Box::new(json::Json::default()),
    };
    let mut out = io::stdout().lock();
    let mut failed = false;
    let fingerprinter =
        || Fingerprinter::new(matcher.reader().config().clone()).expect("the index has checked it");
    let written = printer.begin(&mut out).and_then(|()| {
        ordered::in_order(
            &clips,
            jobs,
            fingerprinter,
            |fingerprinter, clip| answer::ask(&matcher, fingerprinter, clip, &config),
            |_, answer| {
                failed |= answer.found.is_err();
                if let Some(warning) = answer.warning() {
                    text::complain(&format!("warning: {}: {warning}", shown(&answer.clip)));
                }
                if answer.more && answer.is_long() {
                    text::complain(&format!(
                        "note: {}: more tracks are heard in it than --top shows; for a timeline: monitor {} {}",
                        shown(&answer.clip),
                        shown(&options.library),
                        shown(&answer.clip)
                    ));
                }
                printer.answer(&mut out, &answer)
            },
        )?;
        printer.end(&mut out)?;
        out.flush()
    });
    text::printed(written)?;
    Ok(ExitCode::from(u8::from(failed)))
}
