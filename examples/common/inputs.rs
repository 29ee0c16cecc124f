//! Paths from the command line and from lists.

use crate::audio_files::expand;
use crate::opening::open;
use crate::text::shown;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files meant by `paths`, among which `-` is a list on standard input, and by the entries of
/// the list.
///
/// # Errors
/// There is none; a folder is without audio; a list cannot be read.
pub fn gather(paths: &[PathBuf], list: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let stdin = Path::new("-");
    if paths.iter().map(PathBuf::as_path).chain(list).filter(|path| *path == stdin).count() > 1 {
        return Err("standard input (`-`) is named twice, but can be read once only".into());
    }
    let mut all = Vec::new();
    for path in paths {
        if path == stdin { all.extend(read_list(path)?) } else { all.push(path.clone()) }
    }
    if let Some(list) = list {
        all.extend(read_list(list)?);
    }
    if all.is_empty() {
        return Err("nothing to do: the list names no file".into());
    }
    expand(&all)
}

/// One path a line, or between NULs if there are any, from a file or (`-`) from standard input. Empty
/// entries are passed over.
fn read_list(list: &Path) -> Result<Vec<PathBuf>, String> {
    let mut bytes = Vec::new();
    let read = if list == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        open(list).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|e| format!("cannot read the list {}: {e}", shown(list)))?;
    let entries: Vec<&[u8]> = if bytes.contains(&0) {
        bytes.split(|&b| b == 0).collect()
    } else {
        bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
    };
    Ok(entries.into_iter().filter(|entry| !entry.is_empty()).map(to_path).collect())
}

#[cfg(unix)]
fn to_path(line: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(line).into()
}

#[cfg(not(unix))]
fn to_path(line: &[u8]) -> PathBuf {
    String::from_utf8_lossy(line).into_owned().into()
}
