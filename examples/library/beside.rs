//! Two recordings beside each other.

use crate::commands::print;
use crate::text::reason;
use crate::{Compare, Format};
use earmark::library::{Comparison, compare as beside};
use earmark::{Config, Fingerprint, Fingerprinter, Span, SpeedRange};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

pub fn compare(options: &Compare) -> Result<u8, String> {
    let config = Config::default();
    let mut fingerprinter = Fingerprinter::new(config.clone()).map_err(|e| e.to_string())?;
    let mut read = |path: &Path| -> Result<Fingerprint, String> {
        let read = fingerprinter.fingerprint_file(path);
        read.map(|read| read.value).map_err(|e| format!("{}: {}", path.display(), reason(&e)))
    };
    let (a, b) = (read(&options.first)?, read(&options.second)?);
    let speed = SpeedRange::percent(options.speed).map_err(|e| e.to_string())?;
    let found = beside(&a, &b, &config, speed).map_err(|e| e.to_string())?;
    match options.format {
        Format::Text => print(&found.to_string())?,
        Format::Json => print(&object(&found).to_string())?,
    }
    if let Some(path) = &options.picture {
        std::fs::write(path, picture(&found)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(u8::from(found.pieces.is_empty()))
}

fn span(span: Span) -> Value {
    json!({ "start_s": span.start_s, "end_s": span.end_s })
}

fn object(found: &Comparison) -> Value {
    let pieces: Vec<Value> = (found.pieces.iter())
        .map(|p| {
            json!({
                "first": span(p.a), "second": span(p.b), "offset_s": p.offset_s,
                "drift_ppm": p.drift_ppm, "agreement": p.agreement,
            })
        })
        .collect();
    let gaps: Vec<Value> =
        found.gaps().iter().map(|g| json!({ "first": span(g.a), "second": span(g.b) })).collect();
    json!({ "first_s": found.a_s, "second_s": found.b_s, "pieces": pieces, "gaps": gaps })
}

/// Two bars, and what goes together in both.
fn picture(found: &Comparison) -> String {
    const WIDTH: f64 = 900.0;
    let scale = WIDTH / found.a_s.max(found.b_s).max(1.0);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"940\" height=\"200\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"940\" height=\"200\" fill=\"white\"/>\n",
    );
    for (y, length_s) in [(40, found.a_s), (140, found.b_s)] {
        let width = length_s * scale;
        let _ = writeln!(
            svg,
            "<rect x=\"20\" y=\"{y}\" width=\"{width:.1}\" height=\"20\" fill=\"#ddd\"/>"
        );
    }
    for p in &found.pieces {
        let [a0, a1, b0, b1] =
            [p.a.start_s, p.a.end_s, p.b.start_s, p.b.end_s].map(|s| 20.0 + s * scale);
        let _ = writeln!(
            svg,
            "<polygon points=\"{a0:.1},60 {a1:.1},60 {b1:.1},140 {b0:.1},140\" fill=\"#6baed6\" fill-opacity=\"0.4\"/>"
        );
        for (y, from, to) in [(40, a0, a1), (140, b0, b1)] {
            let width = to - from;
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"20\" fill=\"#08519c\"/>"
            );
        }
        let (x, offset_s, ppm) = ((a0 + a1) / 2.0, p.offset_s, p.drift_ppm);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"30\" text-anchor=\"middle\">{offset_s:+.3} s, {ppm:+.0} ppm</text>"
        );
    }
    let _ = writeln!(svg, "<text x=\"20\" y=\"15\">first: {:.1} s</text>", found.a_s);
    let _ = writeln!(svg, "<text x=\"20\" y=\"180\">second: {:.1} s</text>", found.b_s);
    svg + "</svg>\n"
}
