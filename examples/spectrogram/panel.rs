//! One spectrogram with its axes, peaks and landmarks.

use crate::image::{band_hz, data_url};
use earmark::config::StftConfig;
use earmark::landmark::Landmark;
use earmark::peaks::Peak;
use earmark::spectrogram::Axes;
use earmark::spectrogram::Spectrogram;
use earmark::units::{BinSteps, TimeSteps};
use std::collections::HashSet;
use std::fmt::Write;

pub const WIDTH: f64 = 900.0;
pub const HEIGHT: f64 = 300.0;
/// At most so many labels are on the time axis.
const MAX_LABELS: f64 = 12.0;
/// The labels of the frequency axis, which is logarithmic, as peaks are spread.
const LABELS_HZ: [f64; 10] =
    [50.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 3000.0, 5000.0, 10_000.0];

/// The stretch of time that a panel shows.
#[derive(Clone, Copy)]
pub struct Window {
    pub start_s: f64,
    pub length_s: f64,
}

/// A panel. Times are in seconds of the recording that it shows.
pub struct Panel {
    pub title: String,
    pub window: Window,
    pub spectrogram: Option<Spectrogram>,
    /// Where the spectrogram begins, after the window's start.
    pub spectrogram_from_s: f64,
    pub peaks: Vec<Peak>,
    /// Where the audio begins from which peaks and landmarks were made.
    pub peaks_from_s: f64,
    /// The landmarks to draw.
    pub pairs: Vec<Landmark>,
    axes: Axes,
    min_hz: f64,
    max_hz: f64,
}

impl Panel {
    /// A panel of that stretch that shows nothing yet.
    pub fn new(stft: &StftConfig, window: Window) -> Self {
        Self {
            title: String::new(),
            window,
            spectrogram: None,
            spectrogram_from_s: 0.0,
            peaks: Vec::new(),
            peaks_from_s: 0.0,
            pairs: Vec::new(),
            axes: Axes::new(stft),
            min_hz: f64::from(stft.min_hz),
            max_hz: f64::from(stft.max_hz),
        }
    }

    fn x(&self, time_s: f64) -> f64 {
        (time_s - self.window.start_s) / self.window.length_s * WIDTH
    }

    fn y(&self, hz: f64) -> f64 {
        (self.max_hz / hz).ln() / (self.max_hz / self.min_hz).ln() * HEIGHT
    }

    /// Where a peak stands.
    fn place(&self, (time, bin): (TimeSteps<u32>, BinSteps)) -> (f64, f64) {
        let peak = Peak { time, bin, ..Peak::default() };
        let time_s = self.peaks_from_s + peak.time_s(&self.axes);
        (self.x(time_s), self.y(peak.frequency_hz(&self.axes).into()))
    }

    /// Draws the panel with its upper left corner at the origin.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn draw(&self, svg: &mut String) -> Result<(), String> {
        if let Some(spectrogram) = &self.spectrogram {
            self.draw_image(svg, spectrogram)?;
        }
        let mut lines = String::new();
        let mut ends = HashSet::new();
        for l in &self.pairs {
            let (anchor, target) = ((l.time, l.bin), l.target());
            ends.extend([anchor, target]);
            let ((x, y), (x2, y2)) = (self.place(anchor), self.place(target));
            lines += &format!("M{x:.1} {y:.1}L{x2:.1} {y2:.1}");
        }
        add(svg, format_args!("<path class=\"pair\" d=\"{lines}\"/>\n"));
        for peak in &self.peaks {
            let (x, y) = self.place((peak.time, peak.bin));
            if (0.0..=WIDTH).contains(&x) {
                let matched = ends.contains(&(peak.time, peak.bin));
                let class = if matched { "match" } else { "peak" };
                let r = if matched { 2.4 } else { 1.8 };
                add(
                    svg,
                    format_args!(
                        "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"/>\n"
                    ),
                );
            }
        }
        self.draw_axes(svg);
        Ok(())
    }

    fn draw_image(&self, svg: &mut String, spectrogram: &Spectrogram) -> Result<(), String> {
        let Axes { hop_s, first_frame_s, .. } = self.axes;
        // A cell reaches half a step to each side of its centre.
        let begin_s = self.window.start_s + self.spectrogram_from_s + first_frame_s - hop_s / 2.0;
        let frames = spectrogram.levels_db.nrows();
        let (x, right) = (self.x(begin_s), self.x(begin_s + frames as f64 * hop_s));
        let (low_hz, high_hz) = band_hz(spectrogram);
        let (y, bottom) = (self.y(high_hz), self.y(low_hz));
        add(
            svg,
            format_args!(
                "<image clip-path=\"url(#inside)\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" \
                 preserveAspectRatio=\"none\" href=\"{}\"/>\n",
                right - x,
                bottom - y,
                data_url(spectrogram)?
            ),
        );
        Ok(())
    }

    fn draw_axes(&self, svg: &mut String) {
        add(svg, format_args!("<rect class=\"frame\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"));
        let title = escaped(&self.title);
        add(svg, format_args!("<text class=\"title\" x=\"0\" y=\"-9\">{title}</text>\n"));

        let mut ticks = String::new();
        let step_s = time_step(self.window.length_s);
        let end_s = self.window.start_s + self.window.length_s;
        let first = (self.window.start_s / step_s).ceil() as i64;
        for n in (first..).take_while(|&n| n as f64 * step_s <= end_s) {
            let time_s = n as f64 * step_s;
            let x = self.x(time_s);
            ticks += &format!("M{x:.1} {HEIGHT}v5");
            let decimals = usize::from(step_s < 1.0);
            let y = HEIGHT + 18.0;
            add(
                svg,
                format_args!(
                    "<text class=\"time\" x=\"{x:.1}\" y=\"{y}\">{time_s:.decimals$}{}</text>\n",
                    if n == first { " s" } else { "" }
                ),
            );
        }
        let shown = |hz: &f64| (self.min_hz..=self.max_hz).contains(hz);
        for hz in LABELS_HZ.into_iter().filter(shown) {
            let y = self.y(hz);
            ticks += &format!("M0 {y:.1}h-5");
            let below = y + 4.0;
            add(svg, format_args!("<text class=\"hz\" x=\"-9\" y=\"{below:.1}\">{hz} Hz</text>\n"));
        }
        add(svg, format_args!("<path class=\"frame\" d=\"{ticks}\"/>\n"));
    }
}

/// The least of the round steps that gives no more labels than there is room for.
fn time_step(length_s: f64) -> f64 {
    let mut power = 0.1;
    loop {
        for round in [1.0, 2.0, 5.0] {
            if length_s / (round * power) <= MAX_LABELS {
                return round * power;
            }
        }
        power *= 10.0;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn add(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = svg.write_fmt(what);
}
