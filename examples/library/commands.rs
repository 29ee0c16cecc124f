//! What the commands do.

use crate::bar::Bar;
use crate::interruption::Interruption;
use crate::text::{complain, count, printable, printed, reason, shown};
use crate::{Format, Identify, List, Progress, Remove, Stats, Sync};
use earmark::library::{FileState, IdentifyOptions, Library, LibraryOptions, SyncOptions};
use earmark::store::TrackEntry;
use earmark::{Match, SpeedRange};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

type Done = Result<u8, String>;

pub fn open(path: &Path) -> Result<Library, String> {
    Library::open(path).map_err(|e| format!("{e}; `library sync` makes one"))
}

/// Prints lines, made fit for a terminal.
pub fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    printed(text.lines().try_for_each(|line| writeln!(out, "{}", printable(line))))
}

pub fn sync(options: &Sync) -> Done {
    let mut how = SyncOptions::default();
    (how.prune, how.verify_content, how.retry) = (options.prune, options.verify, options.retry);
    (how.workers, how.readers) = (options.jobs, options.readers.max(1));
    how.commit_files = options.commit;
    if options.delay > 0 {
        how.opener = crate::slow::opener(Duration::from_millis(options.delay));
    }
    if let Some(url) = &options.store {
        return sync_shared(url, options, &how);
    }
    let interruption = Interruption::listen().map_err(|e| e.to_string())?;
    let folder = options.library.as_deref().ok_or("name a folder for the library")?;
    let library = LibraryOptions::default()
        .memory_bytes(options.memory.saturating_mul(1_000_000))
        .open_or_create(folder)
        .map_err(|e| e.to_string())?;
    let bar = Bar::new(&interruption);
    let report = library.sync(&options.paths, &how, &bar).map_err(|e| e.to_string());
    drop(bar);
    let report = report?;
    print(&match options.format {
        Format::Text => report.to_string(),
        Format::Json => report.to_json(),
    })?;
    if report.cancelled {
        complain("interrupted: what was done is kept, and the next sync goes on");
        return Ok(interruption.exit_code());
    }
    Ok(u8::from(!report.failures.is_empty() || !report.unavailable.is_empty()))
}

/// With a store, there is no folder: what stands in its place is the first path.
#[cfg(feature = "postgres")]
fn sync_shared(url: &str, options: &Sync, how: &SyncOptions) -> Done {
    let paths: Vec<&Path> =
        options.library.iter().chain(&options.paths).map(|path| path.as_path()).collect();
    crate::shared::sync(url, &paths, options, how)
}

#[cfg(feature = "postgres")]
pub fn progress(options: &Progress) -> Done {
    crate::shared::progress(options)
}

#[cfg(not(feature = "postgres"))]
const NO_POSTGRES: &str = "this was built without PostgreSQL: run it with `--features postgres`";

#[cfg(not(feature = "postgres"))]
fn sync_shared(_url: &str, _options: &Sync, _how: &SyncOptions) -> Done {
    Err(NO_POSTGRES.into())
}

#[cfg(not(feature = "postgres"))]
pub fn progress(_options: &Progress) -> Done {
    Err(NO_POSTGRES.into())
}

pub fn identify(options: &Identify) -> Done {
    let library = open(&options.library)?;
    let mut how = IdentifyOptions::default();
    how.matching.speed = SpeedRange::percent(options.speed).map_err(|e| e.to_string())?;
    how.listen_s = options.listen.max(how.stretch_s);
    let (mut all_found, mut values) = (true, Vec::new());
    for clip in &options.clips {
        let found = library.identify_with(clip, &how);
        all_found &= found.as_ref().is_ok_and(|found| !found.is_empty());
        match options.format {
            Format::Text => print(&answer(clip, &found))?,
            Format::Json => values.push(answer_json(clip, &found)),
        }
    }
    if options.format == Format::Json {
        print(&Value::Array(values).to_string())?;
    }
    Ok(u8::from(!all_found))
}

/// Where two matches would read the same, their paths are said as well.
fn answer(clip: &Path, found: &earmark::Result<Vec<Match>>) -> String {
    let mut text = format!("{}\n", shown(clip));
    let matches = match found {
        Err(error) => return text + "  failed: " + &reason(error),
        Ok(matches) if matches.is_empty() => return text + "  not in the library",
        Ok(matches) => matches,
    };
    let mut labels: HashMap<_, u32> = HashMap::new();
    for m in matches {
        *labels.entry((&m.tags.title, &m.tags.artist)).or_default() += 1;
    }
    for m in matches {
        let _ = write!(text, "  {m}");
        if (m.speed, m.pitch) != (1.0, 1.0) {
            let percent = |ratio: f64| 100.0 * (ratio - 1.0);
            let _ = write!(text, ", speed {:+.1} %", percent(m.speed));
            let _ = write!(text, ", pitch {:+.1} %", percent(m.pitch));
        }
        if m.tags.title.is_some() && labels[&(&m.tags.title, &m.tags.artist)] > 1 {
            let _ = write!(text, " ({})", m.name);
        }
        if let Some(other) = m.same_as {
            let name = matches.iter().find(|n| n.track == other).map(|n| n.name.as_str());
            let _ = write!(text, ", the same audio as {}", name.unwrap_or("another"));
        }
        text.push('\n');
    }
    text
}

fn answer_json(clip: &Path, found: &earmark::Result<Vec<Match>>) -> Value {
    let one = |m: &Match| {
        json!({
            "track": m.name, "track_id": m.track.0, "title": m.tags.title,
            "artist": m.tags.artist, "album": m.tags.album, "offset_s": m.offset_s,
            "query": {"start_s": m.query.start_s, "end_s": m.query.end_s},
            "reference": {"start_s": m.reference.start_s, "end_s": m.reference.end_s},
            "speed": m.speed, "pitch": m.pitch, "false_alarms": m.false_alarms,
            "same_as": m.same_as.map(|id| id.0),
        })
    };
    let matches: Vec<Value> = found.iter().flatten().map(one).collect();
    json!({
        "query": shown(clip), "matches": matches, "error": found.as_ref().err().map(reason),
    })
}

fn track_json(track: &TrackEntry) -> Value {
    json!({
        "id": track.id.0, "name": track.name, "title": track.tags.title,
        "artist": track.tags.artist, "album": track.tags.album, "duration_s": track.duration_s,
    })
}

pub fn list(options: &List) -> Done {
    let library = open(&options.library)?;
    if options.failed {
        let mut values = Vec::new();
        for file in library.files().map_err(|e| e.to_string())? {
            let FileState::Failed(kind, why, decoded_s) = &file.state else { continue };
            if !shown(&file.path).contains(&options.text) {
                continue;
            }
            match options.format {
                Format::Text => print(&format!("{}: {why}", shown(&file.path)))?,
                Format::Json => values.push(json!({
                    "path": shown(&file.path), "kind": kind.name(), "reason": why,
                    "decoded_s": decoded_s,
                })),
            }
        }
        if options.format == Format::Json {
            print(&Value::Array(values).to_string())?;
        }
        return Ok(0);
    }
    let tracks = library.tracks(&options.text).map_err(|e| e.to_string())?;
    if options.format == Format::Json {
        print(&Value::Array(tracks.iter().map(track_json).collect()).to_string())?;
        return Ok(u8::from(tracks.is_empty()));
    }
    for track in &tracks {
        let tags = [&track.tags.artist, &track.tags.album, &track.tags.title];
        let tags: Vec<&str> = tags.into_iter().flatten().map(String::as_str).collect();
        let seconds = track.duration_s.round() as u64;
        let length = format!("{}:{:02}", seconds / 60, seconds % 60);
        print(&format!("{length:>7}  {}  {}", track.name, tags.join(" / ")))?;
    }
    Ok(u8::from(tracks.is_empty()))
}

pub fn remove(options: &Remove) -> Done {
    let removed = open(&options.library)?.remove(&options.paths).map_err(|e| e.to_string())?;
    for track in &removed {
        print(&format!("removed {}", track.name))?;
    }
    complain(&format!("{} removed; the files are as they were", count(removed.len(), "track")));
    Ok(u8::from(removed.is_empty()))
}

pub fn stats(options: &Stats) -> Done {
    let stats = open(&options.library)?.stats().map_err(|e| e.to_string())?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    print(&format!(
        "{} tracks, {:.1} h\n{} files, {:.1} MB; {} failed, {} taken out\nindex: {:.1} MB in {} segments",
        stats.tracks,
        stats.duration_s / 3600.0,
        stats.files,
        megabytes(stats.files_bytes),
        stats.failed,
        stats.removed,
        megabytes(stats.index_bytes),
        stats.segments,
    ))?;
    Ok(0)
}
