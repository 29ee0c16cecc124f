//! The folder that an index is: its files, and how they are made so that none is ever seen half-written.
//!
//! | file | is |
//! |---|---|
//! | `manifest` | what the index is ([`manifest`](crate::store::manifest)); replaced by renaming |
//! | `manifest.new` | a manifest that is being written |
//! | `00000007.seg` | a segment; written once, read by whoever finds it in the manifest |
//! | `lock` | is locked by the one writer |

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const MANIFEST: &str = "manifest";
const NEW_MANIFEST: &str = "manifest.new";
const LOCK: &str = "lock";
/// A manifest beyond this is none: it names removed tracks in 24 bytes each.
const MOST_MANIFEST_BYTES: u64 = 1 << 30;

/// The right to write to a folder, until it is dropped. The system ends it with the process.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would leave it to a child process that another thread is just about to start.
        let _ = self.file.unlock();
    }
}

fn fail<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.into(), source }
}

/// Where something is killed in tests.
#[cfg(test)]
pub(crate) fn step(name: &str) {
    super::tests::kills::step(name);
}

#[cfg(not(test))]
pub(crate) fn step(_name: &str) {}

/// An index's folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(segment_name(number))
    }

    /// Makes the folder, if it is not there.
    pub fn make(&self) -> Result<()> {
        match fs::create_dir(&self.path) {
            Ok(()) => {
                let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty());
                sync_folder(parent.unwrap_or(Path::new("."))).map_err(fail("write", &self.path))
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists && self.path.is_dir() => Ok(()),
            Err(e) => Err(fail("create", &self.path)(e)),
        }
    }

    pub fn has_manifest(&self) -> bool {
        self.path.join(MANIFEST).exists()
    }

    /// Whether there is anything that is not an index's.
    pub fn has_others(&self) -> Result<bool> {
        let entries = fs::read_dir(&self.path).map_err(fail("read", &self.path))?;
        for entry in entries {
            let name = entry.map_err(fail("read", &self.path))?.file_name();
            let ours = [MANIFEST, NEW_MANIFEST, LOCK].iter().any(|ours| name == *ours);
            if !ours && segment_number(&name).is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the lock, without waiting for it.
    ///
    /// # Errors
    /// [`Error::Locked`] while another writer has it; [`Error::Io`] where nothing can be written, or the
    /// file system has no locks.
    pub fn lock(&self) -> Result<FolderLock> {
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(fail("lock", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: self.path.clone() }),
            Err(TryLockError::Error(e)) => Err(fail("lock", &path)(e)),
        }
    }

    /// The bytes of the manifest.
    ///
    /// # Errors
    /// [`Error::Io`] where there is none; [`Error::IndexFile`] for a file of earlier versions.
    pub fn read_manifest(&self) -> Result<(Vec<u8>, PathBuf)> {
        if self.path.is_file() {
            return Err(self.not_a_folder());
        }
        let path = self.path.join(MANIFEST);
        let file = File::open(&path).map_err(fail("open", &path))?;
        let mut bytes = Vec::new();
        file.take(MOST_MANIFEST_BYTES).read_to_end(&mut bytes).map_err(fail("read", &path))?;
        Ok((bytes, path))
    }

    /// The error for a file where a folder should be.
    fn not_a_folder(&self) -> Error {
        let mut head = [0; 8];
        let read = File::open(&self.path).and_then(|mut file| file.read_exact(&mut head));
        let path = self.path.clone();
        match (read, &head) {
            (Ok(()), b"EARMARKI") => Error::IndexFile { path },
            _ => Error::BadMagic { what: "index", path: Some(path) },
        }
    }

    /// Replaces the manifest: the commit.
    pub fn write_manifest(&self, bytes: &[u8]) -> Result<()> {
        let (new, path) = (self.path.join(NEW_MANIFEST), self.path.join(MANIFEST));
        let written = File::create(&new).and_then(|mut file| {
            step("manifest begun");
            let (half, rest) = bytes.split_at(bytes.len() / 2);
            file.write_all(half)?;
            step("manifest half written");
            file.write_all(rest)?;
            step("manifest written");
            file.sync_all()
        });
        written.map_err(fail("write", &new))?;
        step("manifest synced");
        fs::rename(&new, &path).map_err(fail("replace", &path))?;
        step("manifest renamed");
        sync_folder(&self.path).map_err(fail("write", &self.path))
    }

    /// Writes a segment, and makes sure that it is on disk.
    pub fn write_segment<T>(
        &self,
        number: u64,
        write: impl FnOnce(&mut io::BufWriter<SegmentFile>) -> Result<T>,
    ) -> Result<T> {
        let path = self.segment_path(number);
        // What a writer left behind that was killed.
        let _ = fs::remove_file(&path);
        let file = File::create_new(&path).map_err(fail("create", &path))?;
        step("segment begun");
        let mut out = io::BufWriter::with_capacity(1 << 18, SegmentFile { file, unsynced: 0 });
        let written = write(&mut out).and_then(|written| {
            step("segment written");
            let out = out.into_inner().map_err(|e| fail("write", &path)(e.into_error()))?;
            out.file.sync_all().map_err(fail("write", &path))?;
            step("segment synced");
            Ok(written)
        });
        written.inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })
    }

    /// Opens the file of a segment.
    pub fn open_segment(&self, number: u64) -> io::Result<File> {
        File::open(self.segment_path(number))
    }

    /// Removes a segment. Best effort: the next writer tries again, and where files that are mapped cannot
    /// be removed, they do no harm.
    pub fn remove_segment(&self, number: u64) {
        let _ = fs::remove_file(self.segment_path(number));
    }

    /// Removes the segments that are not in the manifest, and a manifest that was not completed.
    pub fn sweep(&self, keep: impl Fn(u64) -> bool) {
        let _ = fs::remove_file(self.path.join(NEW_MANIFEST));
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            if segment_number(&entry.file_name()).is_some_and(|number| !keep(number)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A segment that is being written. It is synced now and then, so that no sync takes long: who stops a merge
/// waits for one.
pub(crate) struct SegmentFile {
    file: File,
    /// Bytes since then.
    unsynced: u64,
}

impl SegmentFile {
    const SYNCED_BYTES: u64 = 64 << 20;
}

impl Write for SegmentFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unsynced >= Self::SYNCED_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        let written = self.file.write(bytes)?;
        self.unsynced += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:08}.seg")
}

/// The number of a segment's file, if a file is one by its name.
fn segment_number(name: &std::ffi::OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(".seg")?;
    let digits = Some(digits).filter(|d| d.len() >= 8 && d.bytes().all(|b| b.is_ascii_digit()));
    digits?.parse().ok()
}

/// Makes sure that what was created and renamed in a folder stays so.
fn sync_folder(path: &Path) -> io::Result<()> {
    // Only there are folders opened as files.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
