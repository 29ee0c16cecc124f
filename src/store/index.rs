//! The index: a collection of fingerprints in a folder, or in memory.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::search::{Match, MatchConfig};
use crate::store::folder::{Folder, segment_name};
use crate::store::manifest;
use crate::store::merging::Merging;
use crate::store::mmap::Bytes;
use crate::store::reader::Reader;
use crate::store::segment::Segment;
use crate::store::snapshot::{Known, Part, Snapshot};
use crate::store::writer::Writer;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

/// Fingerprints, to find clips in: in a folder, or in memory.
///
/// An index grows by segments that never change, so that it opens at once whatever its size, is searched
/// while it is written, and survives being killed at any time. Any number of [`Reader`]s look at it, each
/// at the state that was there when it was made. One [`Writer`] at a time changes it.
///
/// ```
/// use earmark::{Config, Fingerprinter, Index, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("library.earmark");
/// let rate = SampleRate::new(8000)?;
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// # let samples = song;
/// let song = fingerprinter.fingerprint(&samples, rate)?;
///
/// let index = Index::create(&path, Config::default())?;
/// let mut writer = index.writer()?;
/// let id = writer.add(TrackInfo::named("song"), &song)?;
/// writer.commit()?; // From here on it is there, whatever happens.
///
/// let index = Index::open(&path)?;
/// let clip = fingerprinter.query(&samples[40_000..80_000], rate)?;
/// assert_eq!(index.search(&clip, &MatchConfig::default())?[0].track, id);
///
/// let reader = index.reader();
/// assert_eq!(reader.find("song")?.map(|track| track.id), Some(id));
/// assert_eq!(reader.fingerprint(id)?, song);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Index {
    shared: Arc<Shared>,
}

/// Where an index is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Memory,
    Folder(Folder),
}

#[derive(Debug)]
pub(super) struct Shared {
    pub place: Place,
    pub options: OpenOptions,
    /// The state that readers get. Held only to be copied or replaced.
    current: RwLock<Arc<Snapshot>>,
    /// Whether there is a writer here.
    pub writing: AtomicBool,
}

/// How an index is opened.
///
/// ```
/// # use earmark::{Config, store::{Index, OpenOptions}};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("library.earmark");
/// # Index::create(&path, Config::default())?;
/// let index = OpenOptions::new().memory_bytes(64 << 20).open(&path)?;
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    mapped: bool,
    skip_damaged: bool,
    memory_bytes: usize,
    merging: Merging,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            mapped: true,
            skip_damaged: false,
            memory_bytes: Self::DEFAULT_MEMORY_BYTES,
            merging: Merging::default(),
        }
    }
}

impl OpenOptions {
    /// Memory that a writer takes unless set otherwise: 256 MB.
    pub const DEFAULT_MEMORY_BYTES: usize = 256_000_000;

    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether segments are mapped into memory, rather than read as a whole. Default: yes, with the
    /// feature `mmap`.
    ///
    /// The operating system then reads what is used and keeps it while there is room. It relies on that
    /// nobody overwrites or cuts the files meanwhile: a process that reads beyond the end of a file that was
    /// cut is ended by the system (`SIGBUS`). This crate only adds and removes files, which does no harm.
    /// Where others may write to the folder, or where it lies on a network file system that may go away,
    /// do without.
    #[must_use]
    pub fn mapped(self, mapped: bool) -> Self {
        Self { mapped, ..self }
    }

    /// Whether damage is passed over: what is good still answers, as if the rest had never been added, and
    /// [`Reader::damage`] tells what was left out. Default: no; whatever needs a damaged page or a missing
    /// segment is an error.
    #[must_use]
    pub fn skip_damaged(self, skip_damaged: bool) -> Self {
        Self { skip_damaged, ..self }
    }

    /// Memory that a [`Writer`] takes for adding and merging, in bytes; at least 1 MB. A fingerprint of
    /// many hours may take more by itself. Default: [`DEFAULT_MEMORY_BYTES`](Self::DEFAULT_MEMORY_BYTES).
    #[must_use]
    pub fn memory_bytes(self, memory_bytes: usize) -> Self {
        Self { memory_bytes: memory_bytes.max(1_000_000), ..self }
    }

    /// Who merges segments that are due, and when. Default: [`Merging::InBackground`].
    #[must_use]
    pub fn merging(self, merging: Merging) -> Self {
        Self { merging, ..self }
    }

    pub(super) fn memory(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn who_merges(&self) -> Merging {
        self.merging
    }

    /// Opens an index.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Index> {
        let folder = Folder::new(path.as_ref());
        let snapshot = self.load(&folder)?;
        Ok(Index::new(Place::Folder(folder), self, snapshot))
    }

    /// Makes an empty index.
    ///
    /// # Errors
    /// As [`Index::create`].
    pub fn create(self, path: impl AsRef<Path>, config: Config) -> Result<Index> {
        config.validate()?;
        let folder = Folder::new(path.as_ref());
        let exists = |reason: &str| Error::Io {
            action: "create",
            path: path.as_ref().into(),
            source: io::Error::new(ErrorKind::AlreadyExists, reason),
        };
        folder.make()?;
        if folder.has_manifest() {
            return Err(exists("there is an index: open it"));
        }
        if folder.has_others()? {
            return Err(exists("the folder holds other files: give one that is new or empty"));
        }
        let _lock = folder.lock()?;
        if folder.has_manifest() {
            return Err(exists("there is an index: open it"));
        }
        let snapshot = self.empty(config)?;
        let bytes = manifest::write(&snapshot).map_err(Error::Read)?;
        folder.write_manifest(&bytes)?;
        Ok(Index::new(Place::Folder(folder), self, snapshot))
    }

    /// Opens the index that is there, or makes one.
    ///
    /// # Errors
    /// As [`Index::open`] and [`Index::create`]; [`Error::ConfigMismatch`] where there is one that was made
    /// with another analysis.
    pub fn open_or_create(self, path: impl AsRef<Path>, config: Config) -> Result<Index> {
        let folder = Folder::new(path.as_ref());
        if !folder.has_manifest() && !folder.path().is_file() {
            return self.create(path, config);
        }
        let index = self.open(path)?;
        let (expected, found) = (config.id(), index.reader().config().id());
        if expected == found { Ok(index) } else { Err(Error::ConfigMismatch { expected, found }) }
    }

    /// Opens an index whose files come from elsewhere: a database, an object store. `manifest` is the file of
    /// that name; `fetch` is called with the name of each segment and gives its bytes. The index is then in
    /// memory, and so is what is written to it.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_with(
        self,
        manifest: &[u8],
        mut fetch: impl FnMut(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Index> {
        let manifest = manifest::read(manifest, Path::new("manifest"))?;
        let config = Arc::new(manifest.config);
        let part = |(known, removed): (Known, Vec<_>)| {
            let name = segment_name(known.number);
            let bytes = fetch(&name).map(Bytes::Owned);
            let path = Path::new(&name);
            let segment = open_bytes(bytes, &config, &known, path);
            Part::new(known, segment.map(Arc::new), path.into(), removed)
        };
        let parts = manifest.segments.into_iter().map(part).collect();
        let numbers = (manifest.generation, manifest.next_id, manifest.next_number);
        let calibration = manifest.calibration;
        let snapshot =
            Snapshot::new(config.clone(), numbers, calibration, parts, self.skip_damaged)?;
        Ok(Index::new(Place::Memory, self, snapshot))
    }

    fn empty(&self, config: Config) -> Result<Snapshot> {
        Snapshot::new(Arc::new(config), (0, 0, 0), None, Vec::new(), self.skip_damaged)
    }

    /// Reads the state that a folder is in.
    fn load(&self, folder: &Folder) -> Result<Snapshot> {
        // While it is read, a writer may have merged segments and removed the old ones.
        const TRIES: usize = 100;
        let mut before = None;
        for _ in 0..TRIES {
            let (bytes, path) = folder.read_manifest()?;
            let manifest = manifest::read(&bytes, &path)?;
            let generation = manifest.generation;
            let config = Arc::new(manifest.config);
            let part = |(known, removed): (Known, Vec<_>)| {
                let path = folder.segment_path(known.number);
                let segment = self.open_segment(folder, &config, &known);
                Part::new(known, segment.map(Arc::new), path, removed)
            };
            let parts: Vec<Part> = manifest.segments.into_iter().map(part).collect();
            let whole = parts.iter().all(|part| part.segment().is_ok());
            if whole || before == Some(generation) {
                let numbers = (generation, manifest.next_id, manifest.next_number);
                let calibration = manifest.calibration;
                return Snapshot::new(config, numbers, calibration, parts, self.skip_damaged);
            }
            before = Some(generation);
        }
        Err(Error::Locked { path: folder.path().into() })
    }

    fn open_segment(
        &self,
        folder: &Folder,
        config: &Config,
        known: &Known,
    ) -> Result<Segment<Bytes>, Arc<str>> {
        let file = folder.open_segment(known.number);
        let bytes = file.and_then(|file| Bytes::of_file(file, known.length, self.mapped));
        open_bytes(bytes, config, known, &folder.segment_path(known.number))
    }
}

/// Opens the segment that a manifest names; or says why not.
fn open_bytes(
    bytes: io::Result<Bytes>,
    config: &Config,
    known: &Known,
    path: &Path,
) -> Result<Segment<Bytes>, Arc<str>> {
    let bytes = bytes.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Arc::from("it is missing"),
        _ => Arc::from(e.to_string()),
    })?;
    let segment = Segment::open(bytes, config, path).map_err(|e| Arc::from(e.to_string()))?;
    if Known::of(known.number, &segment) != *known {
        return Err("it is not the one that the manifest names".into());
    }
    Ok(segment)
}

impl Index {
    fn new(place: Place, options: OpenOptions, snapshot: Snapshot) -> Self {
        let current = RwLock::new(Arc::new(snapshot));
        let writing = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { place, options, current, writing }) }
    }

    /// Opens the index in a folder.
    ///
    /// # Errors
    /// [`Error::Io`] where there is none; [`Error::IndexFile`] for one of earlier versions; [`Error::BadMagic`], [`Error::Version`] and [`Error::Corrupt`]
    /// for a manifest that is none, of another version, or damaged. Segments that are missing or damaged are
    /// told when they are needed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// Makes an empty index in a folder that is new or empty, for fingerprints made with `config`.
    ///
    /// # Errors
    /// [`Error::Config`] where that is out of range; [`Error::Io`] where the folder cannot be made or holds
    /// something.
    pub fn create(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        OpenOptions::new().create(path, config)
    }

    /// An empty index in memory.
    ///
    /// # Errors
    /// [`Error::Config`] where `config` is out of range.
    pub fn in_memory(config: Config) -> Result<Self> {
        config.validate()?;
        let options = OpenOptions::new();
        let snapshot = options.empty(config)?;
        Ok(Self::new(Place::Memory, options, snapshot))
    }

    /// Reads the state that the index is in now.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { snapshot: self.shared.current() }
    }

    /// Finds where a clip comes from, best match first, in the state that the index is in now: see
    /// [`search`](crate::search::search). Of several searches that should see the same state, ask one
    /// [`reader`](Self::reader).
    ///
    /// # Errors
    /// Those of [`find`](crate::search::find).
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        self.reader().search(query, config)
    }

    /// The right to change it. Another process may have, since it was opened: then its state is read again.
    ///
    /// # Errors
    /// [`Error::Locked`] while there is another writer, here or in another process; [`Error::Io`] where
    /// nothing can be written.
    pub fn writer(&self) -> Result<Writer> {
        Writer::new(self.shared.clone())
    }

    /// Takes up what another process has committed since the index was opened, for readers that are made
    /// from here on.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reload(&self) -> Result<()> {
        self.shared.reload()
    }
}

impl Shared {
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives readers another state from here on.
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    pub fn reload(&self) -> Result<()> {
        let Place::Folder(folder) = &self.place else { return Ok(()) };
        let (bytes, path) = folder.read_manifest()?;
        let manifest = manifest::read(&bytes, &path)?;
        if manifest.generation != self.current().generation {
            self.publish(self.options.load(folder)?);
        }
        Ok(())
    }

    pub fn skips_damaged(&self) -> bool {
        self.options.skip_damaged
    }

    /// Opens a segment that was written just now.
    pub fn open_part(&self, config: &Config, number: u64, bytes: Option<Vec<u8>>) -> Result<Part> {
        let (segment, path) = match (&self.place, bytes) {
            (Place::Folder(folder), None) => {
                let path = folder.segment_path(number);
                let fail = |source| Error::Io { action: "open", path: path.clone(), source };
                let file = folder.open_segment(number).map_err(fail)?;
                let length = file.metadata().map_err(fail)?.len();
                let bytes = Bytes::of_file(file, length, self.options.mapped).map_err(fail)?;
                (Segment::open(bytes, config, &path)?, path)
            }
            (_, bytes) => {
                let path = Path::new("memory").join(segment_name(number));
                let bytes = Bytes::Owned(bytes.unwrap_or_default());
                (Segment::open(bytes, config, &path)?, path)
            }
        };
        let known = Known::of(number, &segment);
        Ok(Part::new(known, Ok(Arc::new(segment)), path, Vec::new()))
    }
}
