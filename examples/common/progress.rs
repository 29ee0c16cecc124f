//! A progress bar on terminals, silence elsewhere.

use crate::text::complain;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Shows how far a run over many files is. Drawn on standard error, if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    audio_s: f64,
}

impl Progress {
    /// Begins a run over `files` files.
    pub fn new(files: usize) -> Self {
        let bar = ProgressBar::new(files as u64);
        let template = "{wide_bar} {pos}/{len} files, {per_sec}{msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                // What cannot be drawn is left out.
                let _ = write!(out, "{:.1} files/s", state.per_sec());
            };
            bar.set_style(style.with_key("per_sec", rate));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, begun: Instant::now(), audio_s: 0.0 }
    }

    /// Counts a file, of which so much audio was read.
    pub fn file_done(&mut self, audio_s: f64) {
        self.audio_s += audio_s;
        self.bar.set_message(format!(", {:.0} × real time", self.times_real_time()));
        self.bar.inc(1);
    }

    /// Says something on standard error, bar or not.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| complain(line));
    }

    /// Audio read so far per time taken.
    pub fn times_real_time(&self) -> f64 {
        self.audio_s / self.begun.elapsed().as_secs_f64().max(1e-9)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
