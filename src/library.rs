//! A whole collection: what is in it, kept up to date with folders, and clips found in it.
//!
//! A [`Library`] is an [`Index`] and a list of the files that are in it, in one folder.
//!
//! ```no_run
//! use earmark::library::{Library, SyncOptions};
//! let library = Library::open_or_create("music.earmark")?; // Send + Sync: share it with Arc.
//! let report = library.sync(["Music"], &SyncOptions::default(), &())?; // Only what changed.
//! println!("{report}");
//! for m in library.identify("clip.mp3")? {
//!     println!("{m}"); // "Title – Artist, from 0:25.0 (1 in 10^10)"
//! }
//! # Ok::<(), earmark::Error>(())
//! ```
//!
//! # What a sync does
//!
//! It looks at all files below some roots, and takes up what is not as it was:
//!
//! | a file | is |
//! |---|---|
//! | with the same size and time as before | skipped |
//! | of which only the time changed | looked at, and not decoded |
//! | that is new | decoded, and added |
//! | that changed | decoded, and its track replaced |
//! | whose content was at another path, which is gone | followed: the track gets its path, and is not decoded |
//! | whose content is also at another path | one track with two files |
//! | that fails | told, and tried again when it changes, or with [`retry`](SyncOptions::retry) |
//! | that cannot be read | told, and tried again by the next sync; what was known of it stays |
//! | that is gone | removed with [`prune`](SyncOptions::prune), else kept |
//!
//! Nothing is removed below a root that cannot be read or suddenly holds no audio file at all. A track's
//! name is the absolute [path](crate::tags::track_name) of its file.
//!
//! The index is committed now and then, and the list of files after it. A run that is killed at any time
//! loses what was done since the last commit, and no more; the next one goes on. Segments of the index are merged
//! in the background; a sync that is not cancelled waits for that at its end. Time and memory: see
//! `docs/library.md`.

use crate::config::Config;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::fingerprint::Fingerprinter;
use crate::search::Match;
use crate::store::{Index, Reader, TrackEntry};
use crate::units::TrackId;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use clip::Clip;
pub use compare::{Comparison, Gap, Piece, compare};
pub use duplicates::{DuplicateCopy, DuplicateGroup, DuplicateOptions, DuplicatePair};
pub use files::{FileState, LibraryFile, LibraryStats};
pub use ledger::Quality;
pub use options::{IdentifyOptions, LibraryOptions, MediaRead, Opener, SyncOptions};
#[cfg(feature = "postgres")]
pub(crate) use paths::{from_bytes as path_of_bytes, to_bytes as path_bytes};
pub use progress::Progress;
pub use repeats::{Repeat, RepeatOptions};
pub use report::{Action, Failure, FailureKind, FileDone, Plan, SyncReport};
#[cfg(feature = "postgres")]
pub use shared::SharedSync;

use ledger::Ledger;

mod clip;
mod compare;
mod decoding;
mod duplicates;
mod files;
mod grouping;
mod joining;
mod ledger;
mod line;
mod options;
mod paths;
mod pipeline;
mod progress;
mod reading;
mod repeats;
mod report;
mod scan;
#[cfg(feature = "postgres")]
mod shared;
mod sync;

/// The list of files, beside the index.
const LEDGER: &str = "files";
/// So many fingerprinters are kept.
const MOST_IDLE: usize = 16;

/// A collection of recordings: an index, and the files that are in it.
///
/// Any number of threads may use one, and any number of processes open it. One at a time changes it.
pub struct Library {
    index: Index,
    path: PathBuf,
    memory_bytes: usize,
    idle: Mutex<Vec<Fingerprinter>>,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Library {
    pub(crate) fn new(index: Index, path: &Path, memory_bytes: usize) -> Self {
        Self { index, path: path.into(), memory_bytes, idle: Mutex::default() }
    }

    /// Opens the library in a folder.
    ///
    /// # Errors
    /// Those of [`Index::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        LibraryOptions::default().open(path)
    }

    /// Opens the library in a folder, or makes one in a folder that is new or empty.
    ///
    /// # Errors
    /// Those of [`Index::open`] and [`Index::create`].
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        LibraryOptions::default().open_or_create(path)
    }

    /// The folder that it is in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The index, for all that is not here.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The state that the index is in now.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.index.reader()
    }

    /// The analysis of all its fingerprints.
    #[must_use]
    pub fn config(&self) -> Config {
        self.index.reader().config().clone()
    }

    /// Takes up what another process has done since. What this one does is seen at once.
    ///
    /// # Errors
    /// Those of [`Index::reload`].
    pub fn reload(&self) -> Result<()> {
        self.index.reload()
    }

    /// Brings the library up to date with folders and files: see [what a sync does](self#what-a-sync-does).
    /// Files that fail are in the report; they stop nothing.
    ///
    /// # Errors
    /// [`Error::Locked`] while it is changed elsewhere; [`Error::Corrupt`] for an index or a list of files
    /// that is damaged; [`Error::Io`] where nothing can be written. What was committed stays, and the next
    /// sync goes on.
    pub fn sync(
        &self,
        roots: impl IntoIterator<Item = impl AsRef<Path>>,
        options: &SyncOptions,
        progress: &dyn Progress,
    ) -> Result<SyncReport> {
        let roots: Vec<PathBuf> = roots.into_iter().map(|root| root.as_ref().into()).collect();
        sync::sync(self, &roots, options, progress)
    }

    /// Finds where a clip comes from, best match first: a file, bytes, a reader or samples.
    ///
    /// ```no_run
    /// # use earmark::library::{Clip, Library};
    /// # let library = Library::open("music.earmark")?;
    /// # let (upload, samples, rate) = (vec![0u8], vec![0f32], earmark::SampleRate::new(8000)?);
    /// library.identify("clip.mp3")?;
    /// library.identify(Clip::bytes(upload))?;
    /// library.identify(Clip::samples(&samples, rate))?;
    /// # Ok::<(), earmark::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`identify_with`](Self::identify_with).
    pub fn identify<'a>(&self, clip: impl Into<Clip<'a>>) -> Result<Vec<Match>> {
        self.identify_with(clip, &IdentifyOptions::default())
    }

    /// The same in another way. Times count from the beginning of the clip.
    ///
    /// # Errors
    /// Those of [`AudioReader::open`](crate::AudioReader::open) and
    /// [`Fingerprinter::query`]; [`Error::Config`] for options that are out of range;
    /// [`Error::OutOfTime`] after the [time limit](IdentifyOptions::time_limit); and those of
    /// [`find`](crate::search::find()).
    pub fn identify_with<'a>(
        &self,
        clip: impl Into<Clip<'a>>,
        options: &IdentifyOptions,
    ) -> Result<Vec<Match>> {
        clip::identify(self, clip.into(), options)
    }

    /// All files, in the order of their paths, with what became of them.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Corrupt`] where the list of files cannot be read.
    pub fn files(&self) -> Result<Vec<LibraryFile>> {
        files::files(self)
    }

    /// The tracks whose path, title, artist or album holds some text, in the order of their ids; all for an
    /// empty one. Large and small letters are the same.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the index is damaged.
    pub fn tracks(&self, text: &str) -> Result<Vec<TrackEntry>> {
        files::tracks(&self.reader(), text)
    }

    /// Takes files out of the library, with their tracks: those at some paths and below. They are left out
    /// by later syncs, until they change or these are told to [retry](SyncOptions::retry). Gives the tracks
    /// that were removed. No file is touched.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn remove(
        &self,
        paths: impl IntoIterator<Item = impl AsRef<Path>>,
    ) -> Result<Vec<TrackEntry>> {
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| path.as_ref().into()).collect();
        files::remove(self, &paths)
    }

    /// What is in it.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn stats(&self) -> Result<LibraryStats> {
        files::stats(self)
    }

    /// Finds recordings that are in the library more than once: in other encodings, louder or softer, at
    /// another speed, cut, or one inside another. What two songs have in common by the way (an intro, a
    /// jingle, silence) makes no group. `progress` is called with the number of tracks that were looked at,
    /// and of all; from several threads. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the index is damaged, [`Error::NoCalibration`] where nothing was fitted for
    /// its analysis, and as [`files`](Self::files).
    pub fn duplicates(
        &self,
        options: &DuplicateOptions,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Vec<DuplicateGroup>> {
        duplicates::duplicates(self, options, progress)
    }

    /// Finds stretches that occur several times, in one recording or across them, at the same speed: jingles,
    /// advertisements, intros, loops. What is longest and most frequent comes first. Recordings that are the
    /// same as a whole are [duplicates](Self::duplicates), and left out.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the index is damaged.
    pub fn repeats(&self, options: &RepeatOptions) -> Result<Vec<Repeat>> {
        repeats::repeats(self, options)
    }

    /// The track of a file.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn track_of(&self, path: impl AsRef<Path>) -> Result<Option<TrackId>> {
        let path = std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().into());
        Ok(self.load_ledger()?.files.get(&path).and_then(ledger::Entry::track))
    }

    /// A fingerprinter for its analysis. [Given back](Self::give_back), it is used again.
    fn fingerprinter(&self) -> Result<Fingerprinter> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Fingerprinter::new(self.config()), Ok)
    }

    fn give_back(&self, fingerprinter: Fingerprinter) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(fingerprinter);
        }
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn load_ledger(&self) -> Result<Ledger> {
        Ledger::load(&self.path.join(LEDGER))
    }

    fn save_ledger(&self, ledger: &Ledger) -> Result<()> {
        ledger.save(&self.path.join(LEDGER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_can_share_a_library() {
        fn shared<T: Send + Sync>() {}
        shared::<(Library, SyncOptions, IdentifyOptions, SyncReport)>();
    }
}
