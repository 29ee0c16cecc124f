//! What is in a library more than once.

use crate::bar::counting;
use crate::commands::{open, print};
use crate::text::{count, shown};
use crate::{Duplicates, Format, ListFormat, Repeats};
use earmark::library::{
    DuplicateCopy, DuplicateGroup, DuplicateOptions, DuplicatePair, RepeatOptions,
};
use earmark::{Span, SpeedRange};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub fn duplicates(options: &Duplicates) -> Result<u8, String> {
    let library = open(&options.library)?;
    let mut how = DuplicateOptions::default();
    how.speed = SpeedRange::percent(options.speed).map_err(|e| e.to_string())?;
    how.workers = options.jobs;
    let (bar, tell) = counting("tracks");
    let groups = library.duplicates(&how, &tell).map_err(|e| e.to_string())?;
    bar.finish_and_clear();
    match options.format {
        ListFormat::Text => print(&text(&groups))?,
        ListFormat::Json => {
            let groups: Vec<Value> = groups.iter().map(object).collect();
            print(&json!({ "groups": groups }).to_string())?;
        }
        ListFormat::Csv => print(&csv(&groups))?,
    }
    Ok(0)
}

pub fn repeats(options: &Repeats) -> Result<u8, String> {
    let library = open(&options.library)?;
    let mut how = RepeatOptions::default();
    how.least_s = options.least;
    let repeats = library.repeats(&how).map_err(|e| e.to_string())?;
    let mut values = Vec::new();
    for repeat in &repeats {
        let times = repeat.occurrences.len();
        if options.format == Format::Text {
            print(&format!("{:.1} s, {times} times", repeat.length_s))?;
        }
        let mut places = Vec::new();
        for (track, at) in &repeat.occurrences {
            match options.format {
                Format::Text => print(&format!("  {}  {}", clock(*at), track.name))?,
                Format::Json => places.push(json!({ "path": track.name, "span": span(*at) })),
            }
        }
        values.push(json!({ "length_s": repeat.length_s, "occurrences": places }));
    }
    if options.format == Format::Json {
        print(&json!({ "repeats": values }).to_string())?;
    }
    Ok(0)
}

fn clock(span: Span) -> String {
    let at = |s: f64| format!("{}:{:04.1}", (s / 60.0) as u64, s % 60.0);
    format!("{} – {}", at(span.start_s), at(span.end_s))
}

fn pair_of<'a>(group: &'a DuplicateGroup, copy: &DuplicateCopy) -> Option<&'a DuplicatePair> {
    group.pairs.iter().find(|pair| pair.other == copy.track.id)
}

fn text(groups: &[DuplicateGroup]) -> String {
    let mut text = String::new();
    for (i, group) in groups.iter().enumerate() {
        let _ = writeln!(text, "{}. {}", i + 1, count(group.copies.len(), "recording"));
        for (j, copy) in group.copies.iter().enumerate() {
            let quality = &copy.quality;
            let _ = write!(text, "   {} ", if j == 0 { "*" } else { " " });
            let _ = write!(
                text,
                "{}  {:.1} s, {}",
                copy.track.name, copy.track.duration_s, quality.codec
            );
            let _ =
                write!(text, ", {} Hz, {:.1} MB", quality.sample_rate_hz, copy.bytes as f64 / 1e6);
            if let Some(pair) = pair_of(group, copy) {
                let _ = write!(text, "; {} is {}", clock(pair.span_other), clock(pair.span_best));
                if (pair.speed - 1.0).abs() > 2e-4 {
                    let _ = write!(text, ", speed {:+.2} %", 100.0 * (pair.speed - 1.0));
                }
                let score = -pair.false_alarms.max(1e-300).log10();
                let _ = write!(text, " (1 in 10^{score:.0})");
            }
            text.push('\n');
            let others = copy.files.iter().filter(|file| shown(file) != copy.track.name);
            for file in others {
                let _ = writeln!(text, "     = {}", shown(file));
            }
        }
        let _ = writeln!(text, "   best: {}", group.why);
    }
    let _ = writeln!(text, "{}; nothing was changed", count(groups.len(), "group"));
    text
}

fn span(span: Span) -> Value {
    json!({ "start_s": span.start_s, "end_s": span.end_s })
}

fn object(group: &DuplicateGroup) -> Value {
    let copies: Vec<Value> = (group.copies.iter())
        .map(|copy| {
            let files: Vec<String> = copy.files.iter().map(|file| shown(file)).collect();
            json!({
                "path": copy.track.name, "track_id": copy.track.id.0, "files": files,
                "title": copy.track.tags.title, "artist": copy.track.tags.artist,
                "duration_s": copy.track.duration_s, "bytes": copy.bytes,
                "codec": copy.quality.codec, "lossless": copy.quality.is_lossless(),
                "complete": copy.quality.is_complete(),
                "sample_rate_hz": copy.quality.sample_rate_hz, "channels": copy.quality.channels,
            })
        })
        .collect();
    let name = |id| group.copies.iter().find(|c| c.track.id == id).map(|c| c.track.name.as_str());
    let pairs: Vec<Value> = (group.pairs.iter())
        .map(|pair| {
            json!({
                "a": name(pair.best), "b": name(pair.other), "span_a": span(pair.span_best),
                "span_b": span(pair.span_other), "speed": pair.speed,
                "agreement": pair.agreement, "false_alarms": pair.false_alarms,
            })
        })
        .collect();
    json!({ "best": group.copies[0].track.name, "why": group.why, "copies": copies, "pairs": pairs })
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

fn csv(groups: &[DuplicateGroup]) -> String {
    let mut text = String::from(
        "group,best,path,duration_s,codec,sample_rate_hz,bytes,start_s,end_s,best_start_s,best_end_s,speed,false_alarms\n",
    );
    for (i, group) in groups.iter().enumerate() {
        for (j, copy) in group.copies.iter().enumerate() {
            let quality = &copy.quality;
            let _ = write!(
                text,
                "{},{},{},{:.2},{},{},{}",
                i + 1,
                u8::from(j == 0),
                quoted(&copy.track.name),
                copy.track.duration_s,
                quoted(&quality.codec),
                quality.sample_rate_hz,
                copy.bytes
            );
            match pair_of(group, copy) {
                Some(pair) => {
                    let (o, b) = (pair.span_other, pair.span_best);
                    let _ = writeln!(
                        text,
                        ",{:.2},{:.2},{:.2},{:.2},{:.5},{:e}",
                        o.start_s, o.end_s, b.start_s, b.end_s, pair.speed, pair.false_alarms
                    );
                }
                None => text.push_str(",,,,,,\n"),
            }
        }
    }
    text
}
