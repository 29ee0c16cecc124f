//! How far a sync is, drawn on standard error if that is a terminal.

use crate::interruption::Interruption;
use crate::text::{complain, shown};
use earmark::library::{Failure, FileDone, Plan, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub struct Bar<'a> {
    bar: ProgressBar,
    interruption: &'a Interruption,
    begun: Cell<Instant>,
    files: Cell<u64>,
    done: Cell<u64>,
    failed: Cell<u64>,
    audio_s: Cell<f64>,
    /// It shows what all machines do, not what this one does.
    shared: Cell<bool>,
}

impl<'a> Bar<'a> {
    pub fn new(interruption: &'a Interruption) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            interruption,
            begun: Cell::new(Instant::now()),
            files: Cell::default(),
            done: Cell::default(),
            failed: Cell::default(),
            audio_s: Cell::default(),
            shared: Cell::default(),
        }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| complain(line));
    }

    /// The bar goes by bytes, so that the time left means something where files differ in size.
    fn advance(&self, bytes: u64) {
        self.done.set(self.done.get() + 1);
        if self.shared.get() {
            return;
        }
        self.bar.inc(bytes);
        let took_s = self.begun.get().elapsed().as_secs_f64().max(1e-9);
        let (done, failed) = (self.done.get(), self.failed.get());
        let mut message =
            format!("{done}/{} files, {:.1} files/s", self.files.get(), done as f64 / took_s);
        message += &format!(", {:.0} × real time", self.audio_s.get() / took_s);
        if failed > 0 {
            message += &format!(", {failed} failed");
        }
        self.bar.set_message(message);
    }
}

impl Progress for Bar<'_> {
    fn scanned(&self, files: u64) {
        self.bar.set_message(format!("{files} files found"));
    }

    fn planned(&self, plan: &Plan) {
        self.bar.set_length(plan.bytes);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}, {eta} left") {
            self.bar.set_style(style);
        }
        self.files.set(plan.files);
        self.begun.set(Instant::now());
    }

    fn done(&self, _path: &Path, file: &FileDone) {
        self.audio_s.set(self.audio_s.get() + file.audio_s);
        self.advance(file.bytes);
    }

    fn failed(&self, failure: &Failure) {
        self.failed.set(self.failed.get() + 1);
        self.say(&format!("failed: {}: {}", shown(&failure.path), failure.reason));
        self.advance(0);
    }

    fn noted(&self, path: &Path, note: &str) {
        self.say(&format!("note: {}: {note}", shown(path)));
    }

    #[cfg(feature = "postgres")]
    fn shared(&self, progress: &earmark::postgres::QueueProgress) {
        if !self.shared.replace(true)
            && let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}")
        {
            self.bar.set_style(style);
        }
        self.bar.set_length(progress.files());
        self.bar.set_position(progress.done + progress.failed);
        self.bar.set_message(progress.to_string());
    }

    fn is_cancelled(&self) -> bool {
        self.interruption.asked().load(Ordering::SeqCst)
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that counts, and what moves it on.
pub fn counting(what: &'static str) -> (ProgressBar, impl Fn(u64, u64) + Sync) {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(what);
    let moved = bar.clone();
    let tell = move |done, all| {
        moved.set_length(all);
        moved.set_position(done);
    };
    (bar, tell)
}
