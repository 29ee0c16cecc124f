//! Which files are meant by the paths that a user gives.

use crate::opening::special;
use crate::text::{complain, shown};
use earmark::decode::{EXTENSIONS, has_audio_extension};
use std::collections::HashSet;
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

/// The files themselves and, in place of each folder, the audio files in it and below, sorted.
///
/// Files that are named are always taken, whatever they are called, and also if they are missing:
/// opening them says why. So are folders below that cannot be listed. Hidden files and folders are
/// passed over, and so are pipes, sockets and devices in folders, which is said.
///
/// # Errors
/// A folder that is named and holds no audio file.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        walk(path, &mut HashSet::new(), &mut files);
        if files.len() == before {
            return Err(format!(
                "{}: no audio file in this folder (looked for {})",
                shown(path),
                EXTENSIONS.join(", ")
            ));
        }
    }
    Ok(files)
}

/// Appends what is in a folder. `above` holds the folders on the way down, against links that go
/// round in circles.
fn walk(folder: &Path, above: &mut HashSet<PathBuf>, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        files.push(folder.into());
        return;
    };
    let real = folder.canonicalize().unwrap_or_else(|_| folder.into());
    if !above.insert(real.clone()) {
        return;
    }
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        let kind = path.metadata().map(|data| data.file_type());
        if kind.as_ref().is_ok_and(FileType::is_dir) {
            walk(&path, above, files);
        } else if has_audio_extension(&path) {
            match kind.ok().and_then(special) {
                Some(what) => {
                    complain(&format!("note: {} is left out: it is {what}", shown(&path)))
                }
                None => files.push(path),
            }
        }
    }
    above.remove(&real);
}
