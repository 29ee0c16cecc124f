//! The whole picture: panels one below the other.

use crate::panel::{HEIGHT, Panel, WIDTH};

const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const ABOVE: f64 = 30.0;
const BELOW: f64 = 30.0;
/// Height of the line that says what the colours mean.
const LEGEND: f64 = 26.0;

const STYLE: &str = "\
text { font: 12px sans-serif; fill: #333 }
.title { font-size: 14px; font-weight: bold }
.time { text-anchor: middle }
.hz { text-anchor: end }
.frame { fill: none; stroke: #333 }
.pair { fill: none; stroke: #d03020; stroke-width: 0.8; stroke-opacity: 0.55 }
.peak { fill: #2060c0; fill-opacity: 0.8 }
.match { fill: #d03020 }
";

/// Draws the panels as an SVG.
///
/// # Errors
/// An image cannot be made.
pub fn svg(panels: &[Panel]) -> Result<String, String> {
    let each = ABOVE + HEIGHT + BELOW;
    let (width, height) = (LEFT + WIDTH + RIGHT, each * panels.len() as f64 + LEGEND);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n<style>\n{STYLE}</style>\n\
         <clipPath id=\"inside\"><rect width=\"{WIDTH}\" height=\"{HEIGHT}\"/></clipPath>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        let y = i as f64 * each + ABOVE;
        svg += &format!("<g transform=\"translate({LEFT} {y})\">\n");
        panel.draw(&mut svg)?;
        svg += "</g>\n";
    }
    let compared = panels.len() > 1;
    svg += &format!("<g transform=\"translate({LEFT} {})\">\n", height - LEGEND + 8.0);
    svg += &legend(compared);
    svg += "</g>\n</svg>\n";
    Ok(svg)
}

/// Says what the dots and lines are; if two recordings are `compared`, also what both have.
fn legend(compared: bool) -> String {
    let parts = [
        (0, "<circle class=\"peak\" cx=\"5\" r=\"3\"/>", "peak"),
        (70, "<circle class=\"match\" cx=\"5\" r=\"3.5\"/>", "peak of a shared landmark"),
        (
            270,
            "<path class=\"pair\" d=\"M-8 0h22\"/>",
            "shared landmark: a pair of peaks that clip and track have at the same place",
        ),
    ];
    let shown = if compared { parts.len() } else { 1 };
    let part = |(x, sign, text): &(u32, &str, &str)| {
        format!(
            "<g transform=\"translate({x} 0)\">{sign}<text x=\"19\" y=\"4\">{text}</text></g>\n"
        )
    };
    parts[..shown].iter().map(part).collect()
}
