//! How a library is opened, synced and asked.

use super::Library;
use crate::config::Config;
use crate::error::Result;
use crate::search::MatchConfig;
use crate::store;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a library is opened.
///
/// ```
/// use earmark::library::LibraryOptions;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("music.earmark");
/// let library = LibraryOptions::default().memory_bytes(128_000_000).open_or_create(&path)?;
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LibraryOptions {
    config: Config,
    memory_bytes: usize,
    mapped: bool,
}

impl Default for LibraryOptions {
    fn default() -> Self {
        Self { config: Config::default(), memory_bytes: Self::DEFAULT_MEMORY_BYTES, mapped: true }
    }
}

impl LibraryOptions {
    /// Memory that a sync takes unless set otherwise: 256 MB.
    pub const DEFAULT_MEMORY_BYTES: usize = 256_000_000;

    /// The analysis of a library that is made. One that is there keeps its own.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Memory that a sync may take, in bytes; at least 32 MB. A quarter is for files that were read ahead, a
    /// quarter for what is to be written to the index, the rest for decoders and fingerprints. When a
    /// part is full, the sync waits. Default:
    /// [`DEFAULT_MEMORY_BYTES`](Self::DEFAULT_MEMORY_BYTES).
    #[must_use]
    pub fn memory_bytes(self, memory_bytes: usize) -> Self {
        Self { memory_bytes: memory_bytes.max(32_000_000), ..self }
    }

    /// Whether the index is mapped into memory: see
    /// [`OpenOptions::mapped`](crate::store::OpenOptions::mapped). Default: yes.
    #[must_use]
    pub fn mapped(self, mapped: bool) -> Self {
        Self { mapped, ..self }
    }

    /// Opens the library that is in a folder.
    ///
    /// # Errors
    /// Those of [`Index::open`](crate::store::Index::open).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Library> {
        let index = self.store().open(path.as_ref())?;
        Ok(Library::new(index, path.as_ref(), self.memory_bytes))
    }

    /// Opens the library that is in a folder, or makes one.
    ///
    /// # Errors
    /// Those of [`Index::open`](crate::store::Index::open) and
    /// [`Index::create`](crate::store::Index::create).
    pub fn open_or_create(self, path: impl AsRef<Path>) -> Result<Library> {
        let there = path.as_ref().is_file() || path.as_ref().join("manifest").exists();
        if there {
            return self.open(path);
        }
        let index = self.store().create(path.as_ref(), self.config.clone())?;
        Ok(Library::new(index, path.as_ref(), self.memory_bytes))
    }

    fn store(&self) -> store::OpenOptions {
        store::OpenOptions::new().memory_bytes(self.memory_bytes / 4).mapped(self.mapped)
    }
}

/// What audio is read from: a file, or what stands for one.
pub trait MediaRead: Read + Seek + Send {}

impl<T: Read + Seek + Send> MediaRead for T {}

/// Opens a file of the collection for reading.
pub type Opener = Arc<dyn Fn(&Path) -> io::Result<Box<dyn MediaRead>> + Send + Sync>;

/// How a library is brought up to date with folders.
///
/// ```
/// use earmark::library::SyncOptions;
/// let mut options = SyncOptions::default();
/// options.prune = true;
/// options.workers = 2;
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Whether tracks are removed whose files are gone. Default: no. Nothing is removed below a root or
    /// folder that cannot be read or suddenly holds no audio file at all.
    pub prune: bool,
    /// Whether files are taken for unchanged only if their content is (by xxh3), rather than their size and
    /// time of modification. Reads every file. Default: no.
    pub verify_content: bool,
    /// Whether files that failed, or were removed on purpose, are tried again though they have not changed.
    /// Default: no.
    pub retry: bool,
    /// Threads that decode and fingerprint; 0 for one per core. Default 0.
    pub workers: usize,
    /// Threads that read files ahead of the workers. Default 2. More help where a disk or network answers
    /// slowly.
    pub readers: usize,
    /// What was done is committed after so many files, default 500,
    pub commit_files: usize,
    /// and after so long. Default one minute.
    pub commit_every: Duration,
    /// A file of which nothing was read or decoded for so long has failed: its thread is given up, and another
    /// takes its place. Default one minute.
    pub stuck_after: Duration,
    /// Opens the files. Default: [`File::open`].
    pub opener: Opener,
}

impl Default for SyncOptions {
    fn default() -> Self {
        let opener: Opener = Arc::new(|path| Ok(Box::new(File::open(path)?)));
        Self {
            prune: false,
            verify_content: false,
            retry: false,
            workers: 0,
            readers: 2,
            commit_files: 500,
            commit_every: Duration::from_secs(60),
            stuck_after: Duration::from_secs(60),
            opener,
        }
    }
}

impl fmt::Debug for SyncOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncOptions")
            .field("prune", &self.prune)
            .field("verify_content", &self.verify_content)
            .field("retry", &self.retry)
            .field("workers", &self.workers)
            .field("readers", &self.readers)
            .field("commit_files", &self.commit_files)
            .field("commit_every", &self.commit_every)
            .field("stuck_after", &self.stuck_after)
            .finish_non_exhaustive()
    }
}

impl SyncOptions {
    /// Number of threads that decode.
    pub(super) fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

/// How a clip is looked up.
///
/// A clip is looked at stretch by stretch, until one is found or so much was listened to: an upload of two
/// hours takes no more memory than one of a minute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IdentifyOptions {
    /// How the index is searched.
    pub matching: MatchConfig,
    /// Length of a stretch in seconds, 5 to 600. A query takes 400 kB per second. Default 60.
    pub stretch_s: f64,
    /// Seconds of a clip that are listened to at most. Default 600.
    pub listen_s: f64,
    /// Time after which no other stretch is begun: a clip that was not found by then is
    /// [`Error::OutOfTime`](crate::Error::OutOfTime). What a reader or a search has begun is not cut off.
    /// Default: none.
    pub time_limit: Option<Duration>,
}

impl Default for IdentifyOptions {
    fn default() -> Self {
        Self {
            matching: MatchConfig::default(),
            stretch_s: 60.0,
            listen_s: 600.0,
            time_limit: None,
        }
    }
}
