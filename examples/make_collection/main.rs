//! Makes a collection whose duplicates are known, and counts how many of them were found.
//!
//! ```text
//! cargo run --release --example make_collection -- make MUSIC collection
//! cargo run --release --example library -- sync collection.earmark collection
//! cargo run --release --example library -- duplicates --format json collection.earmark > found.json
//! cargo run --release --example make_collection -- check collection found.json
//! ```
//!
//! Needs ffmpeg. Pieces are cut from each recording of a folder; of each piece, files are made that differ in
//! encoding, loudness, speed, beginning or end. Pieces of one recording are not compared with each other:
//! music repeats itself.

mod check;
mod truth;

use clap::Parser;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use truth::{Made, write_truth};

/// Length of a piece in seconds.
const PIECE_S: f64 = 40.0;
/// A beginning that pieces of several recordings have in common.
const JINGLE_S: f64 = 8.0;

/// Makes a collection with known duplicates, or checks what was found in it
#[derive(Parser)]
enum Options {
    /// Make the collection
    Make {
        /// A folder of music
        music: PathBuf,
        /// The folder to be made
        out: PathBuf,
        /// Pieces of each recording, at most
        #[arg(long, default_value_t = 3)]
        pieces: usize,
        /// Files of each piece, of those kinds that there are
        #[arg(long, default_value_t = 8)]
        kinds: usize,
    },
    /// Compare what `library duplicates --format json` says with the truth
    Check {
        /// The folder that was made
        out: PathBuf,
        /// What was found
        found: PathBuf,
        /// Two recordings of the music that are the same, as in `menu=menu_enhanced`
        #[arg(long, value_name = "A=B")]
        same: Vec<String>,
    },
}

/// A way in which files differ from their piece.
struct Kind {
    name: &'static str,
    extension: &'static str,
    /// Filters of ffmpeg, and options of its encoder.
    filter: &'static str,
    encoder: &'static [&'static str],
    /// The part of the piece, and the speed at which it is played.
    from_s: f64,
    to_s: f64,
    speed: f64,
    /// Seconds before it.
    lead_s: f64,
}

const fn kind(
    name: &'static str,
    extension: &'static str,
    filter: &'static str,
    encoder: &'static [&'static str],
) -> Kind {
    Kind { name, extension, filter, encoder, from_s: 0.0, to_s: PIECE_S, speed: 1.0, lead_s: 0.0 }
}

const KINDS: [Kind; 17] = [
    kind("flac", "flac", "anull", &[]),
    kind("wav", "wav", "anull", &[]),
    kind("mp3", "mp3", "anull", &["-b:a", "128k"]),
    kind("mp3_low", "mp3", "aformat=channel_layouts=mono", &["-b:a", "56k"]),
    kind("ogg", "ogg", "anull", &["-c:a", "libvorbis", "-q:a", "3"]),
    kind("m4a", "m4a", "anull", &["-c:a", "aac", "-b:a", "96k"]),
    kind("quiet", "mp3", "volume=-15dB", &["-b:a", "96k"]),
    kind("loud", "flac", "volume=6dB", &[]),
    kind("low_rate", "wav", "aformat=sample_rates=22050:channel_layouts=mono", &[]),
    Kind { speed: 1.03, ..kind("faster", "flac", "asetrate=45423,aresample=44100", &[]) },
    Kind {
        speed: 0.97,
        ..kind("slower", "mp3", "asetrate=42777,aresample=44100", &["-b:a", "128k"])
    },
    Kind {
        speed: 1.01,
        ..kind("bit_faster", "ogg", "asetrate=44541,aresample=44100", &["-c:a", "libvorbis"])
    },
    Kind { from_s: 12.0, ..kind("no_intro", "mp3", "atrim=start=12", &["-b:a", "128k"]) },
    Kind { to_s: 27.0, ..kind("no_end", "m4a", "atrim=end=27", &["-c:a", "aac", "-b:a", "96k"]) },
    Kind { from_s: 10.0, to_s: 30.0, ..kind("inside", "flac", "atrim=start=10:end=30", &[]) },
    Kind { lead_s: 5.0, ..kind("late", "ogg", "adelay=5000:all=1", &["-c:a", "libvorbis"]) },
    Kind { lead_s: JINGLE_S, ..kind("jingle", "mp3", "", &["-b:a", "128k"]) },
];

fn main() -> ExitCode {
    let done = match Options::parse() {
        Options::Make { music, out, pieces, kinds } => make(&music, &out, pieces, kinds),
        Options::Check { out, found, same } => check::check(&out, &found, &same),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn ffmpeg(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-threads", "1"]).args(arguments);
    let status = command.stdout(Stdio::null()).status().map_err(|e| format!("ffmpeg: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("ffmpeg {}: {status}", arguments.join(" "))) }
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))
}

fn length_s(path: &Path) -> Result<f64, String> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]).arg(path);
    let out = command.output().map_err(|e| format!("ffprobe: {e}"))?;
    let seconds = String::from_utf8_lossy(&out.stdout).trim().parse();
    seconds.map_err(|_| format!("{}: no length", path.display()))
}

fn make(music: &Path, out: &Path, pieces: usize, kinds: usize) -> Result<(), String> {
    let fail = |e: std::io::Error| e.to_string();
    let mut sources: Vec<PathBuf> =
        fs::read_dir(music).map_err(fail)?.flatten().map(|entry| entry.path()).collect();
    sources.sort();
    let work = tempfile::tempdir().map_err(fail)?;
    let piece_path = work.path().join("piece.wav");
    let jingle_path = work.path().join("jingle.wav");
    let mut all = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let length_s = length_s(source)?;
        if number == 0 {
            let start = format!("{}", length_s / 2.0);
            let to = text(&jingle_path)?;
            ffmpeg(&["-ss", &start, "-t", &JINGLE_S.to_string(), "-i", text(source)?, to])?;
        }
        let stem = source.file_stem().and_then(|s| s.to_str()).unwrap_or("unnamed").to_owned();
        // Without what fades in and out.
        let room = ((length_s - 20.0) / PIECE_S).floor().max(0.0) as usize;
        for piece in 0..pieces.min(room) {
            let start_s = 10.0 + piece as f64 * PIECE_S;
            let (start, length) = (start_s.to_string(), PIECE_S.to_string());
            let to = text(&piece_path)?;
            let cut =
                ["-ss", &start, "-t", &length, "-i", text(source)?, "-ar", "44100", "-ac", "2", to];
            ffmpeg(&cut)?;
            let mut chosen: Vec<&Kind> = KINDS.iter().collect();
            chosen.sort_by_key(|kind| {
                let mut hash = DefaultHasher::new();
                (&stem, piece, kind.name).hash(&mut hash);
                hash.finish()
            });
            for kind in chosen.into_iter().take(kinds) {
                let name = format!("{stem}/{piece}-{}.{}", kind.name, kind.extension);
                let path = out.join(&name);
                fs::create_dir_all(path.parent().unwrap_or(out)).map_err(fail)?;
                let mut arguments = Vec::new();
                let joined = "[0:a]aformat=sample_rates=44100:channel_layouts=stereo[j];[j][1:a]concat=n=2:v=0:a=1";
                if kind.name == "jingle" {
                    arguments.extend(["-i", text(&jingle_path)?, "-i", text(&piece_path)?]);
                    arguments.extend(["-filter_complex", joined]);
                } else {
                    arguments.extend(["-i", text(&piece_path)?, "-af", kind.filter]);
                }
                arguments.extend(kind.encoder);
                let metadata = format!("title={stem} {piece}");
                arguments.extend(["-metadata", &metadata, text(&path)?]);
                ffmpeg(&arguments)?;
                all.push(Made {
                    name,
                    source: stem.clone(),
                    piece,
                    kind: kind.name.into(),
                    from_s: kind.from_s,
                    to_s: kind.to_s,
                    speed: kind.speed,
                    lead_s: kind.lead_s,
                });
            }
        }
        eprintln!("{} of {}: {} files", number + 1, sources.len(), all.len());
    }
    write_truth(out, &all)
}
