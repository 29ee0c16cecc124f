//! Measures, with your own music, how well clips are identified and how often chance is believed.
//!
//! ```text
//! cargo run --release --example evaluate -- Music --plot figures.svg
//! ```

mod hold_out;
mod plot;
mod report;
mod same;
mod trade_off;
mod trial;
mod without;

#[path = "../common/analysis.rs"]
mod analysis;
#[path = "../common/audio_files.rs"]
mod audio_files;
#[path = "../common/calibration_file.rs"]
mod calibration_file;
#[path = "../common/clips.rs"]
mod clips;
#[path = "../common/codec.rs"]
mod codec;
#[path = "../common/degrade.rs"]
mod degrade;
#[path = "../common/distinct.rs"]
mod distinct;
#[path = "../common/in_memory.rs"]
mod in_memory;
#[path = "../common/ingest.rs"]
mod ingest;
#[path = "../common/noise.rs"]
mod noise;
#[path = "../common/opening.rs"]
mod opening;
#[path = "../common/ordered.rs"]
mod ordered;
#[path = "../common/plan.rs"]
mod plan;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/rng.rs"]
mod rng;
#[path = "../common/room.rs"]
mod room;
#[path = "../common/sources.rs"]
mod sources;
#[path = "../common/spectral.rs"]
mod spectral;
#[path = "../common/text.rs"]
mod text;

use analysis::Analysis;
use calibration_file::read_calibration;
use clap::Parser;
use clips::Maker;
use earmark::store::Totals;
use earmark::tags::track_name;
use earmark::{Calibration, MatchConfig};
use plan::{Design, Source};
use progress::Progress;
use report::{TSV_HEADER, Tally, tsv_line};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use text::{complain, count, printed, reason, shown};
use trial::{Bench, Hands};
use without::Evidence;

const FEWEST_TRACKS: usize = 4;
const AFTER_HELP: &str = "\
Some of the tracks are held out, the others indexed. From both, clips are cut at
random places, degraded and looked up. Clips of indexed tracks should be found;
whatever is found for clips of the others is a false alarm.

Degradations, at 16 kHz. Levels of noise are those of its whole power below that
of the music; every clip is also turned up or down.
  clean             nothing else
  white noise, pink noise, traffic, babble
                    at 10, 5, 0 and −5 dB
  room              echo of 0.25 to 0.8 s, direct sound −2 to 6 dB above it, and any
                    of the noises at 10 dB
  hall              echo of 1.5 to 3 s, direct sound −4 to 3 dB above it, and noise
                    at 10 dB
  phone             room, noise at 8 dB, 300 to 3400 Hz, 8 kHz, 8 bits of µ-law
  overdrive         soft clipping, up to 3 dB per octave too bright or too dark
  other music 0 dB  mixed with a held-out track, equally loud
  resampled         to 11.025 or 22.05 kHz and back
  mp3 32k, opus 12k if the program ffmpeg can be run and has their encoders

Examples:
  evaluate Music
      About 1,500 clips and three small tables: some minutes.
  evaluate Music --clips 100 --seconds 5 --plot figures.svg --tsv clips.tsv
      Fewer lengths but more of each; also a picture, and a line for each clip.
  evaluate Music --outside Others --clips 1 --absent-clips 20000
      Are false alarms as rare as promised? One in a thousand takes thousands of
      clips to be seen, of music that shares nothing with what is indexed.

The same seed and files give the same figures, whatever the number of threads.
Files that are equal byte for byte count once. But a held-out track of which the
index has another encoding, a remix or an edit is rightly found, and counted as a
false alarm: the report names the tracks that are taken for others most often.
Clips come from the first half hour of a track. Where the library says of several
tracks that they are the same, the right one among them is a hit.

Exit status: 0, 2 if nothing could be measured.";

/// Measures how well clips of your music are identified, and how often chance is believed
#[derive(Parser)]
#[command(name = "evaluate", version, after_help = AFTER_HELP)]
struct Options {
    /// Folders of music, or audio files; four tracks at least
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// Clips of indexed tracks, of each kind and length
    #[arg(long, value_name = "N", default_value_t = 20)]
    clips: usize,
    /// Lengths of clips in seconds, 1 to 60
    #[arg(long, value_name = "S,S", value_delimiter = ',', default_value = "2,5,10", value_parser = length)]
    seconds: Vec<f64>,
    /// Share of the tracks that is held out of the index
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = share)]
    absent: f64,
    /// Music of other origin: all of it is held out, and nothing else
    #[arg(long, value_name = "FOLDER", conflicts_with = "absent")]
    outside: Vec<PathBuf>,
    /// Clips of held-out tracks, in all [default: 10 of each kind and length]
    #[arg(long, value_name = "N")]
    absent_clips: Option<usize>,
    /// From which all that is random follows
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Answers that chance would give more often than this per clip are not believed
    #[arg(long, value_name = "X", default_value_t = 0.001, value_parser = positive)]
    false_alarms: f64,
    /// The analysis that is measured
    #[arg(long, value_enum, default_value_t = Analysis::Default)]
    analysis: Analysis,
    /// What was fitted, as the program `calibrate` wrote it [default: that of the library]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Do without some evidence, to see what it brings
    #[arg(long, value_name = "EVIDENCE", value_enum, value_delimiter = ',')]
    without: Vec<Evidence>,
    /// Draw the figures as an SVG
    #[arg(long, value_name = "OUT.svg")]
    plot: Option<PathBuf>,
    /// Write a line for each clip
    #[arg(long, value_name = "OUT.tsv")]
    tsv: Option<PathBuf>,
    /// Number of threads [default: one per core]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

fn within(text: &str, ok: impl Fn(f64) -> bool, rule: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if ok(number) { Ok(number) } else { Err(rule.into()) }
}

fn length(text: &str) -> Result<f64, String> {
    within(text, |x| (1.0..=60.0).contains(&x), "it must be from 1 to 60")
}

fn share(text: &str) -> Result<f64, String> {
    within(text, |x| x > 0.0 && x < 1.0, "it must be above 0 and below 1")
}

fn positive(text: &str) -> Result<f64, String> {
    within(text, |x| x > 0.0, "it must be above 0")
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
    let mut seen = HashSet::new();
    let mut files = audio_files::expand(&options.folders)?;
    let inside = files.len();
    if !options.outside.is_empty() {
        files.extend(audio_files::expand(&options.outside)?);
    }
    let outside: HashSet<PathBuf> = files[inside..].iter().cloned().collect();
    files.retain(|file| seen.insert(track_name(file)));
    let files = sources::without_copies(files);
    if files.len() < FEWEST_TRACKS {
        let found = count(files.len(), "audio file");
        return Err(format!("{found}: it takes {FEWEST_TRACKS} at least"));
    }
    // What cannot be written is better known before hours of work.
    let mut tsv = options.tsv.as_deref().map(create).transpose()?;
    let mut plot = options.plot.as_deref().map(create).transpose()?;

    let jobs = ordered::jobs_or_all_cores(options.jobs);
    let (held, indexed) = match outside.is_empty() {
        true => hold_out::hold_out(files, options.absent, options.seed),
        false => files.into_iter().partition(|file| outside.contains(file)),
    };
    let mut calibration = options.calibration.as_deref().map(read_calibration).transpose()?;
    if !options.without.is_empty() {
        let built_in = || Calibration::built_in(options.analysis.config().id());
        let mut all = calibration.or_else(built_in).unwrap_or_default();
        let changed = Arc::make_mut(&mut all);
        options.without.iter().for_each(|evidence| evidence.drop_from(changed));
        calibration = Some(all);
    }
    let matching = MatchConfig { calibration, ..MatchConfig::default() };
    let config = options.analysis.config();
    matching
        .calibration_for(&Totals::new(Arc::new(config.clone()), 0, 0, 0))
        .map_err(|e| reason(&e))?;
    let reader = in_memory::index_in_memory(&config, &indexed, jobs)?.reader();
    let mut present = sources::indexed(&reader, indexed);
    let mut absent = sources::held_out(held);
    if present.len() < 2 || absent.len() < 2 {
        return Err("too few of the files can be read".into());
    }

    let mut lengths_s = options.seconds.clone();
    lengths_s.sort_by(f64::total_cmp);
    lengths_s.dedup();
    let longest_s = lengths_s.last().copied().unwrap_or(1.0);
    let others = sources::others(absent.iter(), longest_s, options.seed, jobs);
    let design = Design { kinds: sources::kinds(others.len()), lengths_s, seed: options.seed };
    design.deal(&mut present, options.clips * design.cells(), true);
    design.deal(&mut absent, options.absent_clips.unwrap_or(10 * design.cells()), false);

    let maker = Maker { design: &design, others };
    let bench = Bench { reader: &reader, maker, matching, max_false_alarms: options.false_alarms };
    let mut tally = Tally::new(&design, options.false_alarms);
    let sources: Vec<Source> = present.into_iter().chain(absent).collect();
    measure(&bench, &sources, jobs, &mut tally, tsv.as_mut())?;

    let clips = tally.clips();
    if clips == 0 {
        return Err("no clip could be made".into());
    }
    let failed = |e: std::io::Error| format!("cannot write: {e}");
    let mut out = std::io::stdout().lock();
    printed(tally.print(&mut out).and_then(|()| out.flush()))?;
    if let Some(plot) = &mut plot {
        plot.write_all(plot::svg(&tally).as_bytes()).and_then(|()| plot.flush()).map_err(failed)?;
    }
    let [made_ms, searched_ms] = tally.seconds.map(|s| 1000.0 * s / clips as f64);
    complain(&format!(
        "{clips} clips among {}: {made_ms:.0} ms to degrade one, {searched_ms:.0} ms to look it up",
        count(reader.len() as usize, "track")
    ));
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|e| format!("cannot create {}: {e}", shown(path)))?;
    Ok(BufWriter::new(file))
}

fn measure(
    bench: &Bench<'_>,
    sources: &[Source],
    jobs: usize,
    tally: &mut Tally<'_>,
    mut tsv: Option<&mut BufWriter<File>>,
) -> Result<(), String> {
    let mut progress = Progress::new(sources.len());
    let lengths_s = &bench.maker.design.lengths_s;
    let mut unfit = 0;
    let mut write = |line: &str| match &mut tsv {
        Some(tsv) => writeln!(tsv, "{line}").map_err(|e| format!("cannot write the TSV: {e}")),
        None => Ok(()),
    };
    write(TSV_HEADER)?;
    ordered::in_order(
        sources,
        jobs,
        || Hands::new(bench.reader),
        |hands, source| bench.try_all(hands, source),
        |source, outcomes| {
            unfit += outcomes.unfit;
            if let Some((why, clips)) = outcomes.failed {
                let (path, clips) = (shown(&source.path), count(clips, "clip"));
                progress.say(&format!("warning: {path}: {clips} left out: {why}"));
            }
            for outcome in &outcomes.done {
                let kind = bench.maker.design.kinds[outcome.clip.kind];
                write(&tsv_line(kind, lengths_s[outcome.clip.length], source, outcome))?;
                tally.count(source, outcome);
            }
            let audio_s = outcomes.done.iter().map(|o| lengths_s[o.clip.length]).sum();
            progress.file_done(audio_s);
            Ok::<(), String>(())
        },
    )?;
    if unfit > 0 {
        progress.say(&format!(
            "note: {} left out: their tracks are too short or too soft",
            count(unfit, "clip")
        ));
    }
    if let Some(tsv) = tsv {
        tsv.flush().map_err(|e| format!("cannot write the TSV: {e}"))?;
    }
    Ok(())
}
