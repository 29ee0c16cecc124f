//! Lines against the number of tracks, both axes logarithmic, as SVG.

use crate::figures::{Figures, grouped};
use std::fmt::Write;

const INK: &str = "#222";
const FAINT: &str = "#ddd";
const TOP: f64 = 44.0;
const BOTTOM: f64 = 340.0;
const WIDTH: f64 = 340.0;
/// From one panel's left edge to the next one's, and room to the left of the first.
const PANEL: f64 = 560.0;
const MARGIN: f64 = 64.0;

/// A panel of the picture.
pub struct Panel {
    pub title: &'static str,
    /// Powers of ten at the bottom and at the top.
    pub decades: [i32; 2],
    /// The measure, what it is called, and its colour.
    pub lines: &'static [(&'static str, &'static str, &'static str)],
}

/// Draws panels side by side. `sizes` are the powers of ten at the ends of the axis of tracks.
pub fn svg(figures: &Figures, sizes: [i32; 2], panels: &[Panel]) -> String {
    let (width, height) = (PANEL * panels.len() as f64, BOTTOM + 48.0);
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = draw(&mut page, figures, sizes, panel, MARGIN + PANEL * i as f64);
    }
    page + "</svg>\n"
}

fn draw(
    page: &mut String,
    figures: &Figures,
    sizes: [i32; 2],
    panel: &Panel,
    left: f64,
) -> std::fmt::Result {
    let share = |value: f64, [low, high]: [i32; 2]| {
        (value.log10() - f64::from(low)) / f64::from(high - low)
    };
    let x = |tracks: f64| left + WIDTH * share(tracks, sizes);
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * share(value, panel.decades).clamp(0.0, 1.0);
    let right = left + WIDTH;
    writeln!(
        page,
        "<text x=\"{left}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>",
        panel.title
    )?;
    for decade in panel.decades[0]..=panel.decades[1] {
        let value = 10f64.powi(decade);
        let (y, label) = (y(value), grouped(value, decade.min(0).unsigned_abs() as usize));
        writeln!(
            page,
            "<path d=\"M{left} {y:.1}H{right}\" stroke=\"{FAINT}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 8.0,
            y + 4.0
        )?;
    }
    for decade in sizes[0]..=sizes[1] {
        let tracks = 10f64.powi(decade);
        let (x, label) = (x(tracks), grouped(tracks, 0));
        writeln!(
            page,
            "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"{FAINT}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            BOTTOM + 18.0
        )?;
    }
    let middle = left + WIDTH / 2.0;
    writeln!(
        page,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">tracks</text>",
        BOTTOM + 36.0
    )?;
    let mut labels: Vec<(f64, &str, &str)> = Vec::new();
    for &(key, name, colour) in panel.lines {
        let line = figures.line(key);
        let points: Vec<(f64, f64, f64)> =
            line.iter().map(|&(tracks, value)| (x(tracks as f64), y(value), value)).collect();
        let corners: Vec<String> =
            points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        writeln!(
            page,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            corners.join(" ")
        )?;
        for (x, y, value) in &points {
            writeln!(
                page,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\">\
                 <title>{name}: {value:.2}</title></circle>"
            )?;
        }
        labels.extend(points.last().map(|&(_, y, _)| (y, name, colour)));
    }
    // A name stands beside the end of its line, or as near to it as those above leave room.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = TOP;
    for (y, name, colour) in labels {
        let at = y.max(free);
        free = at + 16.0;
        writeln!(
            page,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            right + 10.0,
            at + 4.0
        )?;
    }
    Ok(())
}
