//! Says what is playing, and what played when.
//!
//! ```text
//! cargo run --release --example monitor -- fixtures/library fixtures/clips/01-melody_at_7.313s_quiet.wav
//! ```

#[cfg(feature = "device")]
mod device;
mod formats;
mod input;
mod live;
mod picture;

#[path = "../common/audio_files.rs"]
mod audio_files;
#[path = "../common/distinct.rs"]
mod distinct;
#[path = "../common/in_memory.rs"]
mod in_memory;
#[path = "../common/ingest.rs"]
mod ingest;
#[path = "../common/interruption.rs"]
mod interruption;
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

use clap::{Parser, ValueEnum};
use earmark::monitor::{MonitorConfig, ScanConfig, Timeline, scan_audio};
use earmark::{Reader, SampleRate, SpeedRange};
use interruption::Interruption;
use number::at_least_one;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use text::{complain, reason, shown};

const AFTER_HELP: &str = "\
Examples:
  monitor library.earmark broadcast.mp3
      What played when in a recording of any length?
  monitor library.earmark broadcast.mp3 --speed 5 --format tsv > timeline.tsv
      The same for other programs. Songs may be played up to 5 % faster or slower.
  ffmpeg -v error -i http://… -f wav - | monitor library.earmark -
      What is playing now on a radio stream? It goes on until Ctrl-C.
  cargo run --release --features device --example monitor -- library.earmark --device default
      What does the microphone hear?
  arecord -q -f S16_LE -r 44100 | monitor library.earmark - --raw s16 --rate 44100
      The same with raw samples.

The columns of --format tsv, after a header, one line per event, in the order of
their starts:
  start_s            when the track begins to be heard, in seconds from the beginning
  end_s              when it ceases
  track              the track's name: its path as it was indexed
  reference_start_s  the time in the track that is heard at start_s
  speed              tempo as a multiple of the track's
  score              -log10 of the events with as much evidence that are expected in
                     an hour of unknown sound
In a stream, a line comes when no event can begin before it any more: a minute after
the event's start, at least.

Exit status: 0 if all was heard to the end, 1 if the audio could not be read or broke
off, 2 if nothing could be done; 130 after Ctrl-C, once all is printed.";

/// Says what is playing, and what played when
#[derive(Parser)]
#[command(name = "monitor", version, after_help = AFTER_HELP)]
struct Options {
    /// An index made by the example `fingerprint`, or a folder of audio files
    #[arg(value_name = "INDEX_OR_FOLDER")]
    library: PathBuf,
    /// An audio file; `-` for audio on standard input, encoded or raw
    #[arg(value_name = "AUDIO", required_unless_present = "device")]
    audio: Option<PathBuf>,
    /// Listen to the device that has this in its name, or to `default` (with the feature `device`)
    #[arg(long, value_name = "NAME", conflicts_with = "audio")]
    device: Option<String>,
    /// How the timeline is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also find tracks that are played up to so many per cent faster or slower, higher or lower
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = speed_range)]
    speed: SpeedRange,
    /// False events that are allowed in an hour of unknown sound
    #[arg(long, value_name = "X", default_value_t = 0.001)]
    false_per_hour: f64,
    /// Tracks that are not heard for less than this were interrupted: that is one event
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    patience: f64,
    /// So often the index is searched
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    step: f64,
    /// Events that are shorter than this are left out
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    least: f64,
    /// Leave out tracks that have this in their names; may be given several times
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Say every so many seconds what still goes on, in a stream
    #[arg(long, value_name = "SECONDS")]
    update: Option<f64>,
    /// Standard input has raw samples of one channel, in the order of bytes of the processor
    #[arg(long, value_enum, value_name = "TYPE")]
    raw: Option<input::Raw>,
    /// Their rate
    #[arg(long, value_name = "HZ", default_value_t = 44_100, requires = "raw")]
    rate: u32,
    /// A timeline to be drawn above: a TSV with the columns start_s, end_s and track
    #[arg(long, value_name = "TSV")]
    truth: Option<PathBuf>,
    /// Number of threads, for a file [default: one per core]
    #[arg(long, short, value_name = "N", value_parser = at_least_one)]
    jobs: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For other programs, as events end
    Tsv,
    /// All that is known, at the end
    Json,
    /// For spreadsheets, at the end
    Csv,
    /// A cue sheet, at the end
    Cue,
    /// A picture, at the end
    Svg,
}

fn speed_range(text: &str) -> Result<SpeedRange, String> {
    let percent = text.parse().map_err(|_| "it must be a number")?;
    SpeedRange::percent(percent).map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|message| {
        complain(&format!("error: {message}"));
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Result<ExitCode, String> {
    if let Some(device) = &options.device {
        return hear(options, device);
    }
    let audio = options.audio.as_deref().unwrap_or(Path::new("-"));
    let stdin = audio == Path::new("-");
    let rate = SampleRate::new(options.rate).map_err(|e| reason(&e))?;
    if !stdin {
        if options.raw.is_some() {
            return Err("--raw is for standard input: give `-` in place of a file".into());
        }
        audio.metadata().map_err(|e| format!("{}: {e}", shown(audio)))?;
    }
    let jobs = ordered::jobs_or_all_cores(options.jobs);
    let index = library::open_library(&options.library, jobs)?;
    let config = config(options, &index)?;
    let interruption = Interruption::listen().map_err(|e| e.to_string())?;
    if stdin {
        let input = match options.raw {
            Some(raw) => input::Input::Raw(raw, rate),
            None => input::Input::Encoded,
        };
        let pieces = input::start(input, index.config().stft.clone());
        return live::listen(options, &index, config, &pieces, &interruption);
    }
    let mut reader = opening::open_audio(audio, &index.config().stft)
        .map_err(|e| format!("{}: {}", shown(audio), reason(&e)))?;
    let mut scan = ScanConfig::default();
    (scan.monitor, scan.jobs) = (config, jobs);
    let timeline = scan_audio(&index, &mut reader, &scan).map_err(|e| reason(&e))?;
    let report = reader.report();
    if !report.is_complete() {
        complain(&format!("warning: {}: {report}", shown(audio)));
    }
    text::printed(print(options, &index, &timeline))?;
    Ok(ExitCode::from(u8::from(!report.is_complete())))
}

/// Listens to a device.
#[cfg(feature = "device")]
fn hear(options: &Options, name: &str) -> Result<ExitCode, String> {
    let jobs = ordered::jobs_or_all_cores(options.jobs);
    let index = library::open_library(&options.library, jobs)?;
    let config = config(options, &index)?;
    let interruption = Interruption::listen().map_err(|e| e.to_string())?;
    let (_recording, pieces) = device::start(name)?;
    live::listen(options, &index, config, &pieces, &interruption)
}

#[cfg(not(feature = "device"))]
fn hear(_options: &Options, _name: &str) -> Result<ExitCode, String> {
    Err("built without devices: run it with `cargo run --release --features device --example monitor`".into())
}

fn config(options: &Options, index: &Reader) -> Result<MonitorConfig, String> {
    let mut config = MonitorConfig::default();
    config.max_false_per_hour = options.false_per_hour;
    config.speed = options.speed;
    config.patience_s = options.patience;
    config.step_s = options.step;
    config.least_s = options.least;
    config.update_s = options.update;
    let ignored = |name: &str| options.ignore.iter().any(|part| name.contains(part.as_str()));
    for track in index.tracks() {
        let track = track.map_err(|e| reason(&e))?;
        config.ignored.extend(ignored(&track.name).then_some(track.id));
    }
    config.validate().map_err(|e| reason(&e))?;
    Ok(config)
}

/// Prints a whole timeline.
fn print(options: &Options, reader: &Reader, timeline: &Timeline) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let events = &timeline.events;
    match options.format {
        Format::Table => formats::table(&mut out, events, reader)?,
        Format::Tsv => {
            formats::tsv_header(&mut out)?;
            events.iter().try_for_each(|event| formats::tsv(&mut out, event))?;
        }
        Format::Json => formats::json(&mut out, events, reader)?,
        Format::Csv => formats::csv(&mut out, events, reader)?,
        Format::Cue => formats::cue(&mut out, events, reader, options.audio.as_deref())?,
        Format::Svg => {
            let truth = match &options.truth {
                Some(path) => picture::read(path).map_err(io::Error::other)?,
                None => Vec::new(),
            };
            picture::svg(&mut out, timeline, &truth)?;
        }
    }
    out.flush()
}
