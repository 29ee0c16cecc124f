//! Fits everything that a search goes by to your music, and says how good the result is.
//!
//! ```text
//! cargo run --release --example calibrate -- Music --out mine.calibration
//! ```

mod dispersion;
mod fit;
mod manifest;
mod material;
mod music;
mod objective;
mod pairs;
mod parts;
mod quality;
mod readings;
mod report;
mod start;

#[path = "../common/analysis.rs"]
mod analysis;
#[path = "../common/audio_files.rs"]
mod audio_files;
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
use clap::{Parser, ValueEnum};
use dispersion::Density;
use earmark::Calibration;
use material::{Bench, Group, Trial};
use music::Music;
use parts::Part;
use plan::Design;
use report::Report;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use text::{complain, printed, shown};

const AFTER_HELP: &str = "\
The tracks are dealt out by chance: most are indexed, some are held out, and of
some, loops are mixed into others. Each of these is parted by track: half is fitted
to, a fifth decides between the fits, and of the rest, which nothing has seen, the
report tells. From all, clips are cut and degraded as the program `evaluate` does.

What is fitted, in this order: how likely each level under a peak is (--fit table);
what tells clear clips from others, and how often chance goes so far (--fit law); how
far evidence spreads by chance, and how much each kind of it counts (--fit weights).
Each goes on from the one before. What is not fitted stays as it is in the crate's
default, which was made with --fit table: on music and in rooms that it has not seen,
a fitted law kept its promise worse.

Examples:
  calibrate Music --out mine.calibration
      Some six minutes on two idle cores, twenty with --fit law. mine.calibration.txt tells what was used and how
      good the result is. Then: match Music clip.mp3 --calibration mine.calibration
  calibrate Music --out mine.calibration --quick
      A minute or two: to see whether it works at all.

Give music that has nothing to do with what you will measure with, and 100 tracks
at least. Give each maker or series a folder of its own: the law is fitted to the
folder whose music is answered falsely most often. The same seed and files give the same result.

Exit status: 0, 2 if nothing could be fitted.";

/// Fits the numbers that searches go by to your music
#[derive(Parser)]
#[command(name = "calibrate", version, after_help = AFTER_HELP)]
pub struct Options {
    /// Folders of music, or audio files
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// The calibration that is written; what was used and how good it is goes to FILE.txt
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The analysis that it is for
    #[arg(long, value_enum, default_value_t = Analysis::Default)]
    analysis: Analysis,
    /// Where the music comes from, for the list of what was used: a package and its version, say
    #[arg(long, value_name = "TEXT")]
    from: Vec<String>,
    /// Clips of indexed tracks, of each kind and length
    #[arg(long, value_name = "N", default_value_t = 36)]
    clips: usize,
    /// Clips of held-out tracks, of each kind and length
    #[arg(long, value_name = "N", default_value_t = 48)]
    absent_clips: usize,
    /// Pairs of pieces over one loop, of which one is indexed
    #[arg(long, value_name = "N", default_value_t = 120)]
    pairs: usize,
    /// Shorter files are left out, in seconds
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    shortest: f64,
    /// From which all that is random follows
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// How much is fitted: the more, the better on music and degradations like those of the fit, and the less
    /// sure on others
    #[arg(long, value_enum, default_value_t = Extent::Table)]
    fit: Extent,
    /// A twelfth of the clips
    #[arg(long)]
    quick: bool,
    /// Number of threads [default: one per core]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// How much is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Extent {
    /// How likely each level under a peak is
    Table,
    /// Also what tells clear clips from others, and the law of false alarms
    Law,
    /// Also how far evidence spreads, and how much each kind of it counts
    Weights,
}

impl Extent {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Law => "law",
            Self::Weights => "weights",
        }
    }
}

const LENGTHS_S: [f64; 3] = [2.0, 5.0, 10.0];
/// Codecs delay, and frames do not begin where clips do: so often, the table tells where clips lie exactly,
/// and is counted anew. The first table is of the places that are known, so that none is needed before.
const ALIGNMENTS: usize = 2;
/// A share of the clips for `--quick`.
const QUICK: usize = 12;

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
    let begun = Instant::now();
    let say = |what: &str| complain(&format!("{:5.0} s  {what}", begun.elapsed().as_secs_f64()));
    // What cannot be written is better known before hours of work.
    let written = |path: &PathBuf, bytes: &[u8]| {
        std::fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", shown(path)))
    };
    let manifest_path = {
        let mut path = options.out.clone().into_os_string();
        path.push(".txt");
        PathBuf::from(path)
    };
    written(&manifest_path, b"")?;
    let jobs = ordered::jobs_or_all_cores(options.jobs);
    let smaller = |n: usize| if options.quick { n.div_ceil(QUICK) } else { n };

    let config = options.analysis.config();
    // Where no calibration is known, the fit begins with that of the default analysis.
    let known = Calibration::built_in(config.id());
    let before =
        known.unwrap_or_else(|| Arc::new(Calibration::default().for_analysis(config.id())));
    say("indexing");
    let mut music = Music::read(options, &config, &before, jobs)?;
    let kinds = sources::kinds(music.others.len());
    let design = Design { kinds, lengths_s: LENGTHS_S.to_vec(), seed: options.seed };
    music.mix_pairs(smaller(options.pairs), &design, jobs)?;
    let cells = design.cells();
    design.deal(&mut music.present, smaller(options.clips * cells), true);
    design.deal(&mut music.absent, smaller(options.absent_clips * cells), false);
    let bench = Bench::new(&music, &design, jobs);

    say("reading what stands under peaks");
    let mut calibration = (*before).clone();
    start::begin(&mut calibration);
    let (mut readings, peaks_per_s) = bench.readings(None)?;
    calibration.log_likelihood_ratio = readings.table();
    for _ in 0..ALIGNMENTS {
        (readings, _) = bench.readings(Some(&Arc::new(calibration.clone())))?;
        calibration.log_likelihood_ratio = readings.table();
    }

    if options.fit >= Extent::Law {
        let density = Density::new(peaks_per_s, &config.stft);
        calibration = fit_law(options, calibration, density, &bench, &design, &say)?;
    }
    calibration.validate().map_err(|e| e.to_string())?;
    written(&options.out, &calibration.to_bytes())?;

    say("searching with what was not used");
    let report = Report {
        design: &design,
        hours: music.hours(),
        before: bench.search(&before, &[Part::Report])?,
        after: bench.search(&calibration, &[Part::Report])?,
    };
    let text = manifest::text(options, &music, &calibration, &report);
    written(&manifest_path, text.as_bytes())?;
    let mut out = std::io::stdout().lock();
    printed(report.print(&mut out).and_then(|()| out.flush()))?;
    let clips = |group: Group| report.after.iter().filter(|t| t.group == group).count();
    say(&format!(
        "done: reported are {} clips of indexed tracks, {} of others, {} that share a loop",
        clips(Group::Present),
        clips(Group::Absent),
        clips(Group::Shared)
    ));
    Ok(())
}

/// Fits what stands behind the table: first how evidence is weighed, if that is wanted, then the law.
fn fit_law(
    options: &Options,
    mut calibration: Calibration,
    density: Density,
    bench: &Bench<'_>,
    design: &Design,
    say: &impl Fn(&str),
) -> Result<Calibration, String> {
    say("searching, to weigh the evidence");
    let seen = [Part::Fit, Part::Choose];
    let mut trials = bench.search(&calibration, &seen)?;
    let sharing = material::sharing(&trials);
    sharing.iter().for_each(|name| say(&format!("  {name} shares sound with an indexed track")));
    let fair = |t: &Trial| t.group != Group::Absent || !sharing.contains(&t.names[0]);
    trials.retain(fair);
    calibration.quality = quality::fit(&calibration, &trials);
    if options.fit >= Extent::Weights {
        dispersion::fit(&mut calibration, &mut trials, density, &design.lengths_s);
        calibration.quality = quality::fit(&calibration, &trials);
        calibration = fit::fit(&calibration, &trials, &design.kinds, true, say);
        say("searching again, to fit the law");
        trials = bench.search(&calibration, &seen)?;
        trials.retain(fair);
        calibration.quality = quality::fit(&calibration, &trials);
    }
    Ok(fit::fit(&calibration, &trials, &design.kinds, false, say))
}
