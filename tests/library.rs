//! Libraries: what a sync does with files that come, change, move and go, and what is found in them.
#![cfg(feature = "library")]

mod common;

#[path = "library/comparing.rs"]
mod comparing;
#[path = "library/identifying.rs"]
mod identifying;
#[path = "library/killing.rs"]
mod killing;
#[path = "library/syncing.rs"]
mod syncing;
#[path = "library/tagging.rs"]
mod tagging;
#[path = "library/trouble.rs"]
mod trouble;
#[path = "library/twice.rs"]
mod twice;

use common::music;
pub use common::wav;
use earmark::library::{
    Failure, FileDone, FileState, Library, Plan, Progress, SyncOptions, SyncReport,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A folder of music, and a library of it.
pub struct Place {
    _folder: TempDir,
    pub root: PathBuf,
    pub library: PathBuf,
    /// Files are made to look older than they are, each by another time.
    age_s: Cell<u64>,
}

impl Place {
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("music");
        fs::create_dir(&root).unwrap();
        let library = folder.path().join("library.earmark");
        Self { root, library, _folder: folder, age_s: Cell::new(10_000) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes bytes that were there for a while.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        self.touch(name);
    }

    /// Gives a file a time of its own, some time ago.
    pub fn touch(&self, name: &str) {
        self.age_s.set(self.age_s.get() - 10);
        let then = SystemTime::now() - Duration::from_secs(self.age_s.get());
        File::options().write(true).open(self.path(name)).unwrap().set_modified(then).unwrap();
    }

    /// A piece of its own for each seed.
    pub fn song(&self, name: &str, seed: u64) {
        self.write(name, &wav(&music(6.0, seed)));
    }

    pub fn open(&self) -> Library {
        Library::open_or_create(&self.library).unwrap()
    }

    pub fn sync(&self, options: &SyncOptions) -> (SyncReport, Heard) {
        let heard = Heard::default();
        let report = self.open().sync([&self.root], options, &heard).unwrap();
        (report, heard)
    }

    /// What is in the library: the fingerprints of tracks by the names of files below the root, `None` for
    /// files that are no track; copies have the track of another.
    pub fn content(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let library = self.open();
        let reader = library.reader();
        let mut tracks: BTreeMap<u32, String> =
            reader.tracks().map(|t| t.unwrap()).map(|t| (t.id.0, t.name)).collect();
        let mut content = BTreeMap::new();
        for file in library.files().unwrap() {
            let name = file.path.strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
            let print = match file.state {
                FileState::Track(id, _) => {
                    tracks.remove(&id.0);
                    Some(reader.fingerprint(id).unwrap().to_bytes().unwrap())
                }
                _ => None,
            };
            content.insert(name, print);
        }
        assert!(tracks.is_empty(), "tracks without a file: {tracks:?}");
        content
    }

    pub fn names(&self) -> Vec<String> {
        let library = self.open();
        let mut names: Vec<String> = library.reader().tracks().map(|t| t.unwrap().name).collect();
        names.sort();
        let root = format!("{}/", self.root.display());
        names.iter().map(|name| name.strip_prefix(&root).unwrap().to_owned()).collect()
    }
}

/// Counts what it hears.
#[derive(Default)]
pub struct Heard {
    pub plan: Cell<Plan>,
    pub decoded: RefCell<Vec<PathBuf>>,
    pub done: Cell<u64>,
    pub failed: RefCell<Vec<PathBuf>>,
    pub noted: RefCell<Vec<String>>,
    pub commits: Cell<u64>,
    /// It asks to stop after so many.
    pub stop_after: Cell<u64>,
}

impl Progress for Heard {
    fn planned(&self, plan: &Plan) {
        self.plan.set(*plan);
    }
    fn decoding(&self, path: &Path) {
        self.decoded.borrow_mut().push(path.into());
    }
    fn done(&self, _path: &Path, _file: &FileDone) {
        self.done.set(self.done.get() + 1);
    }
    fn failed(&self, failure: &Failure) {
        self.failed.borrow_mut().push(failure.path.clone());
    }
    fn noted(&self, path: &Path, note: &str) {
        self.noted.borrow_mut().push(format!("{}: {note}", path.display()));
    }
    fn committed(&self, _tracks: u64) {
        self.commits.set(self.commits.get() + 1);
    }
    fn is_cancelled(&self) -> bool {
        self.stop_after.get() > 0 && self.done.get() >= self.stop_after.get()
    }
}

pub fn options() -> SyncOptions {
    let mut options = SyncOptions::default();
    options.workers = 2;
    options
}

pub fn pruning() -> SyncOptions {
    let mut options = options();
    options.prune = true;
    options
}
