//! Which audio files are there.

use super::ledger::Stamp;
use super::progress::Progress;
use crate::decode::has_audio_extension;
use std::collections::{HashMap, HashSet};
use std::fs::{self, FileType, Metadata};
use std::path::{Path, PathBuf};

/// How often progress is told.
const TELL_EVERY: usize = 256;

/// A file that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    pub size: u64,
    pub modified: Stamp,
    is_link: bool,
    identity: Option<(u64, u64)>,
}

/// What is there below some roots.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Each file once, by one of its paths.
    pub files: Vec<Found>,
    /// Absolute paths of the roots that could be read.
    pub roots: Vec<PathBuf>,
    /// Roots and folders that could not be read, with the reason. Nothing is known of what is below.
    pub unread: Vec<(PathBuf, String)>,
    /// Other paths of files that are taken by one path, with that.
    pub other_names: Vec<(PathBuf, PathBuf)>,
    /// Pipes, sockets and devices, which are passed over.
    pub special: Vec<PathBuf>,
    /// It was asked to stop.
    pub cancelled: bool,
}

/// Looks at all that is below some roots. Of several paths to one file (links, or roots within roots),
/// that one is taken which is `known`, else one that is no link, else the first.
pub(super) fn scan(
    roots: &[PathBuf],
    known: impl Fn(&Path) -> bool,
    progress: &dyn Progress,
) -> Scan {
    let mut walk = Walk { scan: Scan::default(), progress, above: HashSet::new() };
    for root in roots {
        let path = std::path::absolute(root).unwrap_or_else(|_| root.clone());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                walk.folder(&path);
            }
            Ok(metadata) if is_special(metadata.file_type()) => {
                walk.scan.special.push(path.clone());
            }
            Ok(metadata) => {
                let is_link = path.is_symlink();
                walk.take(path.clone(), &metadata, is_link);
            }
            Err(e) => {
                walk.scan.unread.push((path, e.to_string()));
                continue;
            }
        }
        walk.scan.roots.push(path);
    }
    let mut scan = walk.scan;
    progress.scanned(scan.files.len() as u64);
    each_once(&mut scan, known);
    scan
}

struct Walk<'a> {
    scan: Scan,
    progress: &'a dyn Progress,
    /// The folders on the way down, against links that go round in circles.
    above: HashSet<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => return self.scan.unread.push((folder.into(), e.to_string())),
        };
        let Ok(real) = folder.canonicalize() else {
            return self.scan.unread.push((folder.into(), "it is gone".into()));
        };
        if !self.above.insert(real.clone()) {
            return;
        }
        let mut all = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => all.push((entry.file_name(), entry)),
                Err(e) => {
                    self.scan.unread.push((folder.into(), e.to_string()));
                    break;
                }
            }
        }
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, entry) in all {
            if self.scan.cancelled || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                self.folder(&path);
                continue;
            }
            let is_link = kind.is_symlink();
            if !is_link && !has_audio_extension(&path) {
                continue;
            }
            // Links that lead nowhere are none of our business.
            let metadata = if is_link { fs::metadata(&path) } else { entry.metadata() };
            let Ok(metadata) = metadata else { continue };
            if metadata.is_dir() {
                self.folder(&path);
            } else if has_audio_extension(&path) {
                match is_special(metadata.file_type()) {
                    true => self.scan.special.push(path),
                    false => self.take(path, &metadata, is_link),
                }
            }
        }
        self.above.remove(&real);
    }

    fn take(&mut self, path: PathBuf, metadata: &Metadata, is_link: bool) {
        self.scan.files.push(Found {
            path,
            size: metadata.len(),
            modified: Stamp::of(metadata),
            is_link,
            identity: identity(metadata),
        });
        if self.scan.files.len().is_multiple_of(TELL_EVERY) {
            self.progress.scanned(self.scan.files.len() as u64);
            self.scan.cancelled |= self.progress.is_cancelled();
        }
    }
}

/// Leaves one path of each file.
fn each_once(scan: &mut Scan, known: impl Fn(&Path) -> bool) {
    let mut first: HashMap<(u64, u64), usize> = HashMap::with_capacity(scan.files.len());
    let mut by_path: HashSet<PathBuf> = HashSet::new();
    let mut kept: Vec<Found> = Vec::with_capacity(scan.files.len());
    for file in scan.files.drain(..) {
        let Some(identity) = file.identity else {
            if by_path.insert(file.path.clone()) {
                kept.push(file);
            }
            continue;
        };
        let at = *first.entry(identity).or_insert(kept.len());
        let Some(other) = kept.get_mut(at) else {
            kept.push(file);
            continue;
        };
        if other.path == file.path {
            continue;
        }
        let preference = |file: &Found| (!known(&file.path), file.is_link);
        let left_out = match preference(&file) < preference(other) {
            true => std::mem::replace(other, file),
            false => file,
        };
        scan.other_names.push((left_out.path, other.path.clone()));
    }
    scan.files = kept;
}

fn is_special(kind: FileType) -> bool {
    !kind.is_file() && !kind.is_dir()
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}
