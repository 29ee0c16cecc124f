//! A timeline as a picture: ten minutes a row, a bar for each event.

use crate::text::{printable, shown};
use earmark::monitor::Timeline;
use std::fs;
use std::io::{Result, Write};
use std::path::Path;

/// Length of a row.
const ROW_S: f64 = 600.0;
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 60.0;
const BAR: f64 = 16.0;
const STYLE: &str = "text { font: 11px sans-serif; fill: #333 } .axis { stroke: #bbb } \
.name { fill: #fff; font-size: 10px }";

/// A bar.
pub struct Bar {
    start_s: f64,
    end_s: f64,
    name: String,
    /// What kind of sound it is, if a truth says so.
    kind: String,
}

/// Reads a timeline from a TSV with a header.
///
/// # Errors
/// It cannot be read, or lacks a column.
pub fn read(path: &Path) -> std::result::Result<Vec<Bar>, String> {
    let failed = |what: String| format!("{}: {what}", shown(path));
    let text = fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let needed = |name: &str| column(name).ok_or_else(|| failed(format!("no column {name}")));
    let (start, end, track) = (needed("start_s")?, needed("end_s")?, needed("track")?);
    let kind = column("kind");
    let bar = |line: &str| -> Option<Bar> {
        let fields: Vec<&str> = line.split('\t').collect();
        Some(Bar {
            start_s: fields.get(start)?.parse().ok()?,
            end_s: fields.get(end)?.parse().ok()?,
            name: (*fields.get(track)?).into(),
            kind: kind.and_then(|kind| fields.get(kind)).map_or_else(String::new, |k| (*k).into()),
        })
    };
    lines.map(|line| bar(line).ok_or_else(|| failed(format!("not a line of it: {line}")))).collect()
}

/// Draws a timeline, below `truth` if there is any.
pub fn svg(out: &mut dyn Write, timeline: &Timeline, truth: &[Bar]) -> Result<()> {
    let heard = timeline.events.iter().map(|event| Bar {
        start_s: event.start_s,
        end_s: event.end_s,
        name: event.name.clone(),
        kind: String::new(),
    });
    let heard: Vec<Bar> = heard.collect();
    let lanes: Vec<(&str, &[Bar])> = if truth.is_empty() {
        vec![("", &heard)]
    } else {
        vec![("truth", truth), ("heard", &heard)]
    };
    let each = 26.0 + lanes.len() as f64 * (2.0 * BAR + 6.0);
    let rows = (timeline.duration_s / ROW_S).ceil().max(1.0);
    let (width, height) = (LEFT + WIDTH + 20.0, rows * each + 10.0);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"
    )?;
    for row in 0..rows as usize {
        let (begin_s, top) = (row as f64 * ROW_S, row as f64 * each);
        for minute in 0..=10 {
            let x = LEFT + f64::from(minute) * WIDTH / 10.0;
            writeln!(
                out,
                "<path class=\"axis\" d=\"M{x} {}V{}\"/><text x=\"{x}\" y=\"{}\">{}:00</text>",
                top + 16.0,
                top + each - 4.0,
                top + 12.0,
                row * 10 + minute as usize
            )?;
        }
        for (lane, (label, bars)) in lanes.iter().enumerate() {
            let y = top + 20.0 + lane as f64 * (2.0 * BAR + 6.0);
            writeln!(out, "<text x=\"4\" y=\"{}\">{label}</text>", y + BAR + 4.0)?;
            draw(out, bars, begin_s, y)?;
        }
    }
    writeln!(out, "</svg>")
}

/// Draws the bars of a row. Those that overlap stand one below the other.
fn draw(out: &mut dyn Write, bars: &[Bar], begin_s: f64, y: f64) -> Result<()> {
    let mut free_s = [f64::NEG_INFINITY; 2];
    for bar in bars {
        let level = usize::from(free_s[0] > bar.start_s + 0.5);
        free_s[level] = free_s[level].max(bar.end_s);
        let (start_s, end_s) = (bar.start_s.max(begin_s), bar.end_s.min(begin_s + ROW_S));
        if start_s >= end_s {
            continue;
        }
        let x = LEFT + (start_s - begin_s) * WIDTH / ROW_S;
        let width = (end_s - start_s) * WIDTH / ROW_S;
        let (y, colour) = (y + level as f64 * BAR, colour(bar));
        let name = Path::new(&bar.name).file_stem().unwrap_or_default().to_string_lossy();
        let name = if bar.kind.is_empty() { name.into() } else { format!("{} {name}", bar.kind) };
        let name = escaped(&printable(&name));
        let room = (width / 5.6) as usize;
        let label: String =
            if room < 3 { String::new() } else { name.chars().take(room).collect() };
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\" \
             fill=\"{colour}\"><title>{name}</title></rect><text class=\"name\" x=\"{:.1}\" \
             y=\"{}\">{label}</text>",
            BAR - 2.0,
            x + 3.0,
            y + 10.5
        )?;
    }
    Ok(())
}

/// A colour for each track; grey for what is in no index.
fn colour(bar: &Bar) -> String {
    if ["absent", "talk", "pause"].contains(&bar.kind.as_str()) {
        return "#bbb".into();
    }
    let stem = Path::new(&bar.name).file_stem().unwrap_or_default().to_string_lossy();
    let hash =
        stem.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    format!("hsl({},55%,42%)", hash.wrapping_mul(47) % 360)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
