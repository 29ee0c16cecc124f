//! Where an index file stands, and how it is replaced as a whole.
//!
//! The new file is written beside the old one and moved over it once it is complete and on disk, so
//! that a crash at any time leaves the old file or the new one.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

/// Longer chains of symbolic links are taken for loops, as Linux does.
const MOST_LINKS: usize = 40;

/// The place of a file that is there, or is to be made.
pub struct Place {
    /// As the caller gave it, for error messages.
    given: PathBuf,
    /// What it leads to once links are followed. This is what is replaced.
    target: PathBuf,
    /// The file that is there.
    existing: Option<Metadata>,
}

impl Place {
    /// # Errors
    /// [`Error::Io`] where the path leads in a circle, or to something that is no regular file.
    pub fn of(path: &Path) -> Result<Self> {
        let fail = |source| Error::Io { action: "replace", path: path.into(), source };
        let target = follow_links(path).map_err(fail)?;
        let existing = match fs::symlink_metadata(&target) {
            Ok(metadata) => Some(metadata),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(fail(e)),
        };
        existing.as_ref().map_or(Ok(()), require_file).map_err(fail)?;
        Ok(Self { given: path.into(), target, existing })
    }

    fn folder(&self) -> &Path {
        folder_of(&self.target)
    }

    /// A file beside the target, whose name is the target's with `extension` added.
    pub fn beside(&self, extension: &str) -> PathBuf {
        let mut name = OsString::from(&self.target);
        name.push(extension);
        name.into()
    }

    pub fn fail(&self, action: &'static str) -> impl Fn(io::Error) -> Error {
        let path = self.given.clone();
        move |source| Error::Io { action, path: path.clone(), source }
    }

    /// What the names of this file's temporaries begin with. A hash of its name keeps them short and
    /// apart from those of other files in the folder.
    fn prefix(&self) -> String {
        let name = self.target.file_name().unwrap_or_default();
        format!(".earmark-{:016x}-", xxh3_64(name.as_encoded_bytes()))
    }

    /// Makes a temporary file, locked so that nobody takes it for a stale one.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is missing or cannot be written to.
    pub fn temporary(&self) -> Result<NamedTempFile> {
        // A temporary file is private by default; an index is as readable as any other new file.
        let file = tempfile::Builder::new()
            .prefix(&self.prefix())
            .make_in(self.folder(), |path| File::create_new(path))
            .map_err(self.fail("write beside"))?;
        // Where there are no locks, nothing is taken for stale either.
        let _ = file.as_file().try_lock();
        Ok(file)
    }

    /// Replaces the file by what `write` writes. Mode, owner and group stay as they were, as far as
    /// the system lets them.
    ///
    /// # Errors
    /// [`Error::Io`]; what was there stays.
    pub fn replace(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
        let mut temporary = self.temporary()?;
        let file = temporary.as_file_mut();
        if let Some(existing) = &self.existing {
            // First of all, so that what is private is never written to a file that is not.
            keep_permissions(file, existing).map_err(self.fail("write"))?;
        }
        write(file).map_err(self.fail("write"))?;
        file.sync_all().map_err(self.fail("write"))?;
        // On Windows, nobody could read a file that is locked.
        let _ = file.unlock();
        temporary.persist(&self.target).map_err(|e| self.fail("replace")(e.error))?;
        Ok(())
    }

    /// Removes the temporaries of this file that a killed run left behind. Best effort: what cannot
    /// be removed does no harm.
    pub fn remove_stale(&self) {
        let prefix = self.prefix();
        let Ok(entries) = fs::read_dir(self.folder()) else { return };
        for entry in entries.flatten() {
            let ours = entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
            if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let unlocked = |file: File| file.try_lock().is_ok();
            if File::open(entry.path()).is_ok_and(unlocked) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Refuses folders, pipes and devices where an index file is wanted.
pub fn require_file(metadata: &Metadata) -> io::Result<()> {
    let (kind, what) = match metadata.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => (ErrorKind::IsADirectory, "it is a folder: give the index file"),
        _ => (ErrorKind::InvalidInput, "it is not a regular file: give the index file"),
    };
    Err(io::Error::new(kind, what))
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The path that a chain of links ends at, whether there is anything or not.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = folder_of(&path).join(link),
            // It is no link, or not there.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its symbolic links lead in a circle"))
}

fn keep_permissions(file: &File, existing: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let made = file.metadata()?;
        let mut mode = existing.mode() & 0o777;
        if made.uid() != existing.uid() {
            // Only root may; others go on as the new owner.
            let _ = fchown(file, Some(existing.uid()), None);
        }
        if made.gid() != existing.gid() && fchown(file, None, Some(existing.gid())).is_err() {
            // Another group must not be able to do what the old one could.
            mode = mode & 0o707 | (mode & 0o007) << 3;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, existing);
        Ok(())
    }
}
