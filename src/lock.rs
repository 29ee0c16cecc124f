//! One writer at a time.

use crate::error::{Error, Result};
use crate::replacing::Place;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The lock file may be removed by its last holder so many times before it is ours.
const TRIES: usize = 100;

/// The right to write to an index file, until it is dropped.
///
/// Whoever opens an index to add to it takes the lock first, and keeps it until the index is saved for
/// the last time. Two that open, add and save at the same time would each overwrite what the other
/// added. Who only reads needs no lock.
///
/// The lock is the operating system's, on a file beside the index, whose name ends in `.lock`. It
/// ends with the process that holds it, however that ends. On Unix the file is removed with the lock.
///
/// ```
/// use earmark::{Config, Error, HashIndex, IndexLock};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("library.earmark");
/// let lock = IndexLock::acquire(&path)?;
/// assert!(matches!(IndexLock::acquire(&path), Err(Error::Locked { .. })));
/// let mut index = HashIndex::new(Config::default())?; // or `open`, and then `add`
/// index.save(&path)?;
/// drop(lock);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct IndexLock {
    /// Holds the lock until it is closed.
    _file: File,
    path: PathBuf,
}

impl IndexLock {
    /// Takes the lock of an index file, which need not be there yet, without waiting for it.
    ///
    /// This also finds out whether the index can be saved: that its folder is there and can be written
    /// to, and that its path does not lead to something else. What a killed run left half-written
    /// beside the index is removed.
    ///
    /// # Errors
    /// [`Error::Locked`] while someone else has it. [`Error::Io`] where the index could not be saved;
    /// and where the file system has no locks, the source's kind being
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    pub fn acquire(index_path: impl AsRef<Path>) -> Result<Self> {
        let index_path = index_path.as_ref();
        let place = Place::of(index_path)?;
        // Fails where saving would.
        drop(place.temporary()?);
        let path = place.beside(".lock");
        let fail = |source| Error::Io { action: "lock", path: path.clone(), source };
        for _ in 0..TRIES {
            let mut options = OpenOptions::new();
            let file = options.create(true).truncate(false).write(true).open(&path);
            let file = file.map_err(fail)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(e)) => {
                    if e.kind() == ErrorKind::Unsupported {
                        let _ = fs::remove_file(&path);
                    }
                    return Err(fail(e));
                }
            }
            if stands_at(&file, &path) {
                place.remove_stale();
                return Ok(Self { _file: file, path });
            }
        }
        Err(Error::Locked { path: index_path.into() })
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        // While the lock is held: who opened the file before will find that it is gone.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a file that was opened at `path` is still there, and not removed since by who held it.
fn stands_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let (opened, there) = (file.metadata().map(id), fs::metadata(path).map(id));
        opened.is_ok_and(|opened| there.is_ok_and(|there| opened == there))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}
