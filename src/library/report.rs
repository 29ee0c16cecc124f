//! What a sync did, as numbers, text and JSON.

use super::paths::shown;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// So many of the slowest files are named.
const SLOWEST: usize = 10;
/// So many failures are named in the text; all are in the JSON.
const SHOWN: usize = 20;

/// What a sync is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Files that were found.
    pub found: u64,
    /// Files that are as they were.
    pub skipped: u64,
    /// Files that must be read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It was new, and became a track.
    Added,
    /// It had changed, and its track was made again.
    Replaced,
    /// It is a file that was elsewhere before: the track has its new path now.
    Moved,
    /// It has the same content as another file, and no track of its own.
    Copied,
    /// Its content is as it was: only its time had changed, or it was to be looked at.
    Touched,
}

impl Action {
    /// As it stands in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Replaced => "replaced",
            Self::Moved => "moved",
            Self::Copied => "copied",
            Self::Touched => "touched",
        }
    }
}

/// A file that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FileDone {
    /// What was done with it.
    pub action: Action,
    /// Its size.
    pub bytes: u64,
    /// Seconds of audio that were decoded.
    pub audio_s: f64,
    /// How long decoding and fingerprinting took.
    pub took: Duration,
}

impl FileDone {
    pub(super) fn new(action: Action, bytes: u64) -> Self {
        Self { action, bytes, audio_s: 0.0, took: Duration::ZERO }
    }
}

/// Why a file failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It could not be opened or read. It is tried again by the next sync.
    Unreadable,
    /// Nothing could be decoded: it is no audio file, or one that is not known here.
    Undecodable,
    /// It is too short, silent, or has nothing that changes.
    Featureless,
    /// The decoder made no progress for too long, and was given up.
    Stuck,
    /// The decoder panicked.
    Panicked,
    /// Anything else.
    Other,
}

impl FailureKind {
    const ALL: [Self; 6] = [
        Self::Unreadable,
        Self::Undecodable,
        Self::Featureless,
        Self::Stuck,
        Self::Panicked,
        Self::Other,
    ];

    /// As it stands in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Undecodable => "undecodable",
            Self::Featureless => "featureless",
            Self::Stuck => "stuck",
            Self::Panicked => "panicked",
            Self::Other => "other",
        }
    }

    /// The kind of a name; other names are another kind.
    #[cfg(feature = "postgres")]
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Other)
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn of_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|kind| kind.number() == number).unwrap_or(Self::Other)
    }
}

/// A file that failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// The file.
    pub path: PathBuf,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What went wrong.
    pub reason: String,
    /// Seconds that could be decoded before.
    pub decoded_s: f64,
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SyncReport {
    /// Files that were found.
    pub found: u64,
    /// Files that were as they were, and not read. Of these, so many
    pub skipped: u64,
    /// had failed before,
    pub skipped_failed: u64,
    /// Files that are tracks now and were not.
    pub added: u64,
    /// Files that had changed, and were done again.
    pub replaced: u64,
    /// Files that were elsewhere before: followed without decoding.
    pub moved: u64,
    /// Files with the same content as another.
    pub copied: u64,
    /// Files that were read, and whose content is as it was.
    pub touched: u64,
    /// Files that were done, but could be read in part only; among the others.
    pub partial: u64,
    /// Files whose tracks were removed, because they are gone.
    pub pruned: u64,
    /// Files that are gone, and whose tracks are kept.
    pub gone: u64,
    /// Files that were left, because it was asked to stop.
    pub left: u64,
    /// Whether it was asked to stop.
    pub cancelled: bool,
    /// What failed now.
    pub failures: Vec<Failure>,
    /// Roots and folders that could not be read or are suddenly empty, with the reason. What is known of files
    /// below them is kept.
    pub unavailable: Vec<(PathBuf, String)>,
    /// Seconds of audio that were decoded.
    pub audio_s: f64,
    /// Bytes of the files that were read.
    pub bytes: u64,
    /// How long the scan took,
    pub scan_took: Duration,
    /// and all of it.
    pub took: Duration,
    /// Tracks in the library afterwards.
    pub tracks: u64,
    /// Length of all tracks in seconds.
    pub tracks_s: f64,
    /// The files that took longest, with the time that decoding took and seconds of audio.
    pub slowest: Vec<(PathBuf, Duration, f64)>,
}

impl SyncReport {
    /// Files that were read.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.added + self.replaced + self.moved + self.copied + self.touched
    }

    /// Files per second, those that were skipped included.
    #[must_use]
    pub fn files_per_s(&self) -> f64 {
        (self.skipped + self.done() + self.failures.len() as u64) as f64
            / self.took.as_secs_f64().max(1e-9)
    }

    /// Seconds of audio that were decoded per second.
    #[must_use]
    pub fn times_real_time(&self) -> f64 {
        self.audio_s / self.took.as_secs_f64().max(1e-9)
    }

    /// Number of failures of each kind.
    #[must_use]
    pub fn failures_by_kind(&self) -> Vec<(FailureKind, u64)> {
        let mut counts = BTreeMap::new();
        for failure in &self.failures {
            *counts.entry(failure.kind).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    pub(super) fn count(&mut self, path: &std::path::Path, file: &FileDone) {
        *match file.action {
            Action::Added => &mut self.added,
            Action::Replaced => &mut self.replaced,
            Action::Moved => &mut self.moved,
            Action::Copied => &mut self.copied,
            Action::Touched => &mut self.touched,
        } += 1;
        self.bytes += file.bytes;
        self.audio_s += file.audio_s;
        let at = self.slowest.partition_point(|(_, took, _)| *took >= file.took);
        if at < SLOWEST && file.took > Duration::ZERO {
            self.slowest.insert(at, (path.into(), file.took, file.audio_s));
            self.slowest.truncate(SLOWEST);
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let failure = |failure: &Failure| {
            json!({
                "path": shown(&failure.path), "kind": failure.kind.name(),
                "reason": failure.reason, "decoded_s": failure.decoded_s,
            })
        };
        let kinds: serde_json::Map<String, Value> = (self.failures_by_kind().into_iter())
            .map(|(kind, count)| (kind.name().into(), count.into()))
            .collect();
        let unavailable =
            |(path, why): &(PathBuf, String)| json!({"path": shown(path), "reason": why});
        let slow = |(path, took, audio_s): &(PathBuf, Duration, f64)| json!({"path": shown(path), "took_s": took.as_secs_f64(), "audio_s": audio_s});
        json!({
            "found": self.found, "skipped": self.skipped, "skipped_failed": self.skipped_failed,
            "added": self.added, "replaced": self.replaced, "moved": self.moved,
            "copied": self.copied, "touched": self.touched, "partial": self.partial,
            "pruned": self.pruned, "gone": self.gone, "left": self.left,
            "cancelled": self.cancelled, "failed": self.failures.len(),
            "failures_by_kind": kinds,
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
            "unavailable": self.unavailable.iter().map(unavailable).collect::<Vec<_>>(),
            "audio_s": self.audio_s, "bytes": self.bytes,
            "scan_took_s": self.scan_took.as_secs_f64(), "took_s": self.took.as_secs_f64(),
            "files_per_s": self.files_per_s(), "times_real_time": self.times_real_time(),
            "tracks": self.tracks, "tracks_s": self.tracks_s,
            "slowest": self.slowest.iter().map(slow).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// Several lines for people.
impl fmt::Display for SyncReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.skipped as f64 / (self.found.max(1)) as f64;
        write!(f, "{} files found, {} unchanged ({share:.0} %)", self.found, self.skipped)?;
        if self.skipped_failed > 0 {
            write!(f, ", {} of which failed before", self.skipped_failed)?;
        }
        let counts = [
            (self.added, "added"),
            (self.replaced, "done again"),
            (self.moved, "moved"),
            (self.copied, "copies"),
            (self.touched, "read and found unchanged"),
            (self.partial, "read in part"),
            (self.pruned, "pruned"),
            (self.gone, "gone and kept (remove them with prune)"),
            (self.failures.len() as u64, "failed"),
            (self.left, "left for the next time"),
        ];
        writeln!(f)?;
        let said: Vec<String> = (counts.iter().filter(|(count, _)| *count > 0))
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        writeln!(f, "{}", if said.is_empty() { "nothing to do".into() } else { said.join(", ") })?;
        let took_s = self.took.as_secs_f64();
        write!(f, "{took_s:.1} s, {:.0} files/s", self.files_per_s())?;
        if self.audio_s > 0.0 {
            write!(f, ", {:.1} h of audio", self.audio_s / 3600.0)?;
            write!(f, ", {:.0} × real time", self.times_real_time())?;
        }
        writeln!(f)?;
        for (path, why) in &self.unavailable {
            writeln!(f, "not available: {}: {why}", shown(path))?;
        }
        for (kind, count) in self.failures_by_kind() {
            writeln!(f, "failed, {}: {count}", kind.name())?;
        }
        for failure in self.failures.iter().take(SHOWN) {
            write!(f, "  {}: {}", shown(&failure.path), failure.reason)?;
            match failure.decoded_s > 0.0 {
                true => writeln!(f, " (after {:.1} s)", failure.decoded_s)?,
                false => writeln!(f)?,
            }
        }
        if self.failures.len() > SHOWN {
            writeln!(f, "  and {} more", self.failures.len() - SHOWN)?;
        }
        write!(f, "the library holds {} tracks, {:.1} h", self.tracks, self.tracks_s / 3600.0)
    }
}
