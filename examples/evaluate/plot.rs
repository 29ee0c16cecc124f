//! The figures as a picture: hits by kind and length, and false alarms promised and measured.

use crate::report::{PROMISES, Tally, interval};
use std::fmt::Write;

const INK: &str = "#222";
const FAINT: &str = "#ddd";
const BAND: &str = "#e8f1ea";
const DOTS: &str = "#1b7837";
/// Bars of the shortest clips are the lightest.
const LIGHT: [f64; 3] = [189.0, 215.0, 231.0];
const DARK: [f64; 3] = [8.0, 69.0, 138.0];

const TOP: f64 = 64.0;
const BAR: f64 = 8.0;
const GAP: f64 = 7.0;
/// The left panel, and the right one, which is square.
const BARS: [f64; 2] = [150.0, 540.0];
const RATES: [f64; 2] = [640.0, 1000.0];
const WIDTH: f64 = 1030.0;
/// Decades of the right panel.
const LEAST: f64 = -4.0;

/// Draws both panels.
pub fn svg(tally: &Tally<'_>) -> String {
    let lengths = tally.design.lengths_s.len() as f64;
    let kinds = tally.design.kinds.len() as f64;
    let bars_end = TOP + kinds * (lengths * BAR + GAP);
    let height = bars_end.max(TOP + RATES[1] - RATES[0]) + 56.0;
    let mut page = Page::default();
    page.bars(tally, bars_end);
    page.rates(tally);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        page.0
    )
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{element}");
    }

    fn text(&mut self, [x, y]: [f64; 2], anchor: &str, text: &str) {
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn title(&mut self, x: f64, text: &str) {
        self.put(format_args!(
            "<text x=\"{x}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{text}</text>"
        ));
    }

    fn line(&mut self, from: [f64; 2], to: [f64; 2], style: &str) {
        let ([x1, y1], [x2, y2]) = (from, to);
        self.put(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
        ));
    }

    fn bars(&mut self, tally: &Tally<'_>, end: f64) {
        let [left, right] = BARS;
        let at = |share: f64| left + share * (right - left);
        self.title(left, "Hits (right place of the right track), %");
        for tenths in (0..=10).step_by(2) {
            let x = at(f64::from(tenths) / 10.0);
            self.line([x, TOP - 6.0], [x, end], &format!("stroke=\"{FAINT}\""));
            self.text([x, end + 16.0], "middle", &(tenths * 10).to_string());
        }
        let lengths = tally.design.lengths_s.len();
        for (i, seconds) in tally.design.lengths_s.iter().enumerate() {
            let x = left + 62.0 * i as f64;
            let colour = shade(i, lengths);
            self.put(format_args!(
                "<rect x=\"{x:.1}\" y=\"36\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
            ));
            self.text([x + 15.0, 45.0], "start", &format!("{seconds} s"));
        }
        let mut y = TOP;
        for (kind, cells) in tally.design.kinds.iter().zip(&tally.cells) {
            let middle = y + BAR * lengths as f64 / 2.0 + 4.0;
            self.text([left - 8.0, middle], "end", &kind.name());
            for (i, cell) in cells.iter().enumerate() {
                if cell.clips > 0 {
                    let width = at(cell.hits as f64 / cell.clips as f64) - left;
                    let (thick, colour) = (BAR - 1.0, shade(i, lengths));
                    self.put(format_args!(
                        "<rect x=\"{left}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{thick}\" \
                         fill=\"{colour}\"><title>{} of {}</title></rect>",
                        cell.hits, cell.clips
                    ));
                }
                y += BAR;
            }
            y += GAP;
        }
        self.line([left, TOP - 6.0], [left, end], &format!("stroke=\"{INK}\""));
    }

    fn rates(&mut self, tally: &Tally<'_>) {
        let [left, right] = RATES;
        let bottom = TOP + right - left;
        let n = tally.chance.len();
        self.title(left, &format!("False alarms of {n} clips that are not indexed"));
        self.put(format_args!(
            "<rect x=\"{left}\" y=\"36\" width=\"10\" height=\"10\" fill=\"{BAND}\"/>"
        ));
        self.text([left + 15.0, 45.0], "start", "within a factor of 3; bars: 95 % intervals");
        let along = |rate: f64| (rate.log10().max(LEAST) - LEAST) / -LEAST * (right - left);
        let point =
            |promised: f64, measured: f64| [left + along(promised), bottom - along(measured)];

        let least = 10f64.powf(LEAST);
        let corners = [
            (least, least),
            (least, 3.0 * least),
            (1.0 / 3.0, 1.0),
            (1.0, 1.0),
            (1.0, 1.0 / 3.0),
            (3.0 * least, least),
        ];
        let outline: Vec<String> = corners
            .map(|(promised, measured)| point(promised, measured))
            .map(|[x, y]| format!("{x:.1},{y:.1}"))
            .into();
        self.put(format_args!("<polygon points=\"{}\" fill=\"{BAND}\"/>", outline.join(" ")));
        for (decade, label) in ["0.0001", "0.001", "0.01", "0.1", "1"].into_iter().enumerate() {
            let rate = 10f64.powf(LEAST + decade as f64);
            let faint = format!("stroke=\"{FAINT}\"");
            self.line(point(rate, least), point(rate, 1.0), &faint);
            self.line(point(least, rate), point(1.0, rate), &faint);
            let [x, y] = point(rate, rate);
            self.text([x, bottom + 18.0], "middle", label);
            self.text([left - 8.0, y + if decade == 0 { 0.0 } else { 4.0 }], "end", label);
        }
        let dashes = format!("stroke=\"{INK}\" stroke-dasharray=\"4 3\"");
        self.line(point(least, least), point(1.0, 1.0), &dashes);
        self.text(
            [(left + right) / 2.0, bottom + 36.0],
            "middle",
            "false alarms per clip, promised",
        );
        let (x, y) = (left - 52.0, (TOP + bottom) / 2.0);
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 {x} {y:.1})\">false alarms per clip, measured</text>"
        ));
        if n == 0 {
            return;
        }
        let measured = |promised: f64| tally.alarms(promised) as f64 / n as f64;
        let curve: Vec<String> = (0..=80)
            .map(|i| 10f64.powf(LEAST * (1.0 - f64::from(i) / 80.0)))
            .filter(|&promised| measured(promised) >= least)
            .map(|promised| point(promised, measured(promised)))
            .map(|[x, y]| format!("{x:.1},{y:.1}"))
            .collect();
        self.put(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{DOTS}\" stroke-width=\"1.5\"/>",
            curve.join(" ")
        ));
        for promised in PROMISES {
            let (low, high) = interval(tally.alarms(promised), n);
            let bar = format!("stroke=\"{DOTS}\" stroke-width=\"3\" stroke-opacity=\"0.45\"");
            self.line(point(promised, low.max(least)), point(promised, high), &bar);
            let [x, y] = point(promised, measured(promised).max(least));
            let (fill, alarms) =
                (if measured(promised) > 0.0 { DOTS } else { "#fff" }, tally.alarms(promised));
            self.put(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{fill}\" stroke=\"{DOTS}\">\
                 <title>{alarms} of {n}</title></circle>"
            ));
        }
    }
}

/// The colour of the `i`-th of `n` lengths.
fn shade(i: usize, n: usize) -> String {
    let way = if n < 2 { 0.7 } else { i as f64 / (n - 1) as f64 };
    let part = |k: usize| (LIGHT[k] + way * (DARK[k] - LIGHT[k])).round() as u8;
    format!("#{:02x}{:02x}{:02x}", part(0), part(1), part(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::degrade::Kind;
    use crate::plan::Design;
    use crate::report::Cell;

    #[test]
    fn a_picture_is_drawn_of_much_of_little_and_of_nothing() {
        for lengths_s in [vec![5.0], vec![2.0, 5.0, 10.0]] {
            let design = Design { kinds: Kind::without_codecs(), lengths_s, seed: 1 };
            let mut tally = Tally::new(&design, 0.001);
            for chance in [vec![], vec![1e-9, 0.5, 3.0, f64::INFINITY]] {
                tally.chance = chance;
                tally.cells[0][0] = Cell { clips: 4, hits: 3, elsewhere: 0, wrong: 1 };
                let svg = svg(&tally);
                assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
                assert!(svg.contains("<title>3 of 4</title>"));
                assert!(svg.contains("right place of the right track"), "what are the bars?");
                assert!(!svg.contains("NaN") && !svg.contains("inf"));
            }
        }
    }

    #[test]
    fn lengths_have_their_shades() {
        assert_eq!(shade(0, 3), "#bdd7e7");
        assert_eq!(shade(2, 3), "#08458a");
    }
}
