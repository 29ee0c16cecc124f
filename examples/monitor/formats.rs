//! Timelines as text.

use crate::label::{clock, label};
use crate::text::{count, printable, steers};
use earmark::monitor::Heard;
use earmark::store::TrackEntry;
use earmark::{Reader, Tags, TrackId};
use serde_json::{Value, json};
use std::io::{Result, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Names are cut to this many characters.
const MAX_LABEL: usize = 44;

/// For people.
pub fn table(out: &mut dyn Write, events: &[Heard], reader: &Reader) -> Result<()> {
    writeln!(out, "{:>9} – {:<9}  {:<MAX_LABEL$}  {:>9}  score", "from", "to", "track", "at")?;
    for event in events {
        writeln!(out, "{}", line(event, reader))?;
    }
    writeln!(out, "{}", count(events.len(), "event"))
}

/// An event as a line of the table.
pub fn line(event: &Heard, reader: &Reader) -> String {
    let shown: String = name(event, reader).chars().take(MAX_LABEL).collect();
    let mut line = format!(
        "{:>9} – {:<9}  {shown:<MAX_LABEL$}  {:>9}  {:.1}",
        clock(event.start_s),
        clock(event.end_s),
        clock(event.reference_start_s),
        event.score
    );
    for (what, ratio) in [("speed", event.speed), ("pitch", event.pitch)] {
        let percent = 100.0 * (ratio - 1.0);
        if percent.abs() >= 0.05 && (what == "speed" || event.pitch != event.speed) {
            line += &format!("  {what} {percent:+.1} %");
        }
    }
    for twin in event.same_as.iter().filter_map(|id| track(reader, *id)) {
        line += &format!("  same audio as {}", label(&twin.name, &twin.tags));
    }
    line
}

/// What the index knows of a track, if it can be read.
fn track(reader: &Reader, id: TrackId) -> Option<TrackEntry> {
    reader.track(id).ok().flatten()
}

fn tags(reader: &Reader, event: &Heard) -> Tags {
    track(reader, event.track).map(|track| track.tags).unwrap_or_default()
}

pub fn name(event: &Heard, reader: &Reader) -> String {
    let track = track(reader, event.track);
    track.map_or_else(|| printable(&event.name), |track| label(&track.name, &track.tags))
}

/// The contract with other programs.
pub fn tsv_header(out: &mut dyn Write) -> Result<()> {
    writeln!(out, "start_s\tend_s\ttrack\treference_start_s\tspeed\tscore")
}

pub fn tsv(out: &mut dyn Write, event: &Heard) -> Result<()> {
    let Heard { start_s, end_s, reference_start_s, speed, score, .. } = event;
    let name = printable(&event.name.replace(['\t', '\n', '\r'], " "));
    writeln!(
        out,
        "{start_s:.3}\t{end_s:.3}\t{name}\t{reference_start_s:.3}\t{speed:.4}\t{score:.2}"
    )
}

/// All that is known.
pub fn json(out: &mut dyn Write, events: &[Heard], reader: &Reader) -> Result<()> {
    let values: Vec<Value> = events.iter().map(|event| object(event, reader)).collect();
    let text = format!("{:#}", Value::Array(values));
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Line feeds are those between values: in strings they are escaped already.
        if steers(c) && c != '\n' {
            safe += &format!("\\u{:04x}", u32::from(c))
        } else {
            safe.push(c)
        }
    }
    writeln!(out, "{safe}")
}

fn object(event: &Heard, reader: &Reader) -> Value {
    let tags = tags(reader, event);
    let twins = event.same_as.iter().filter_map(|id| track(reader, *id));
    let time = |time: Option<SystemTime>| {
        time.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map(|t| t.as_secs_f64())
    };
    json!({
        "start_s": event.start_s,
        "end_s": event.end_s,
        "track": event.name,
        "track_id": event.track.0,
        "title": tags.title,
        "artist": tags.artist,
        "album": tags.album,
        "reference_start_s": event.reference_start_s,
        "reference_end_s": event.reference_end_s,
        "speed": event.speed,
        "pitch": event.pitch,
        "score": event.score,
        "same_as": twins.map(|twin| twin.name).collect::<Vec<_>>(),
        "started_at_unix_s": time(event.started_at),
        "ended_at_unix_s": time(event.ended_at),
    })
}

/// For spreadsheets.
pub fn csv(out: &mut dyn Write, events: &[Heard], reader: &Reader) -> Result<()> {
    writeln!(out, "start,end,length_s,title,artist,album,track,reference_start_s,speed,score\r")?;
    for event in events {
        let Tags { title, artist, album, .. } = tags(reader, event);
        let texts = [title, artist, album].map(|text| cell(&text.unwrap_or_default()));
        write!(out, "{},{},", hours(event.start_s), hours(event.end_s))?;
        write!(out, "{:.2},{},{}", event.length_s(), texts.join(","), cell(&event.name))?;
        writeln!(out, ",{:.2},{:.4},{:.2}\r", event.reference_start_s, event.speed, event.score)?;
    }
    Ok(())
}

/// A text in quotes. What a spreadsheet would take for a formula becomes a text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = printable(text).replace('"', "\"\"");
    format!("\"{}{text}\"", if formula { "'" } else { "" })
}

/// As in `1:02:03.45`.
fn hours(seconds: f64) -> String {
    let hundredths = (seconds.max(0.0) * 100.0).round() as u64;
    let (s, rest) = (hundredths / 100, hundredths % 100);
    format!("{}:{:02}:{:02}.{rest:02}", s / 3600, s / 60 % 60, s % 60)
}

/// A cue sheet: at which minute, second and frame (of 75 a second) each track begins.
pub fn cue(
    out: &mut dyn Write,
    events: &[Heard],
    reader: &Reader,
    audio: Option<&Path>,
) -> Result<()> {
    let quoted = |text: &str| format!("\"{}\"", printable(text).replace('"', "'"));
    let audio = audio.unwrap_or(Path::new("stream"));
    let file = audio.file_name().unwrap_or_default().to_string_lossy();
    let kind = match audio.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if extension.eq_ignore_ascii_case("mp3") => "MP3",
        Some(extension) if extension.to_ascii_lowercase().starts_with("aif") => "AIFF",
        _ => "WAVE",
    };
    writeln!(out, "FILE {} {kind}", quoted(&file))?;
    for (event, number) in events.iter().zip(1..) {
        let tags = tags(reader, event);
        let frames = (event.start_s.max(0.0) * 75.0).round() as u64;
        writeln!(out, "  TRACK {number:02} AUDIO")?;
        writeln!(out, "    TITLE {}", quoted(tags.title.as_deref().unwrap_or(&event.name)))?;
        if let Some(artist) = &tags.artist {
            writeln!(out, "    PERFORMER {}", quoted(artist))?;
        }
        let (minutes, seconds) = (frames / 4500, frames / 75 % 60);
        writeln!(out, "    INDEX 01 {minutes:02}:{seconds:02}:{:02}", frames % 75)?;
    }
    Ok(())
}
