//! What is told while a library is synced.

use super::report::{Failure, FileDone, Plan};
use std::path::Path;

/// Hears how a [sync](super::Library::sync) goes. Every function has a default that does nothing, and `()`
/// is one that hears nothing. All are called on the thread that called `sync`.
///
/// ```
/// use earmark::library::{FileDone, Progress};
/// use std::{cell::Cell, path::Path};
/// #[derive(Default)]
/// struct Hours(Cell<f64>);
/// impl Progress for Hours {
///     fn done(&self, _path: &Path, file: &FileDone) {
///         self.0.set(self.0.get() + file.audio_s / 3600.0);
///     }
/// }
/// ```
pub trait Progress {
    /// So many files were found so far.
    fn scanned(&self, _files: u64) {}

    /// The scan has ended: what is to be done.
    fn planned(&self, _plan: &Plan) {}

    /// A file is being read.
    fn started(&self, _path: &Path, _bytes: u64) {}

    /// A file is being decoded. Files that were moved, copied or touched are not.
    fn decoding(&self, _path: &Path) {}

    /// A file is done.
    fn done(&self, _path: &Path, _file: &FileDone) {}

    /// A file failed. The others go on.
    fn failed(&self, _failure: &Failure) {}

    /// Something about a file or folder that is no failure: it was read in part, is another name of a file
    /// that is there, or cannot be listed.
    fn noted(&self, _path: &Path, _note: &str) {}

    /// What was done so far is in the index, which now has so many tracks.
    fn committed(&self, _tracks: u64) {}

    /// How far all machines are that share a list of files. Heard about every second.
    #[cfg(feature = "postgres")]
    fn shared(&self, _progress: &crate::postgres::QueueProgress) {}

    /// Whether to stop. Files that are under way are left, what is done is committed, and the next sync goes
    /// on.
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Progress for () {}
