//! Paths from the command line and from lists.

use crate::audio_files::expand;
use crate::opening::open;
use crate::text::shown;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files meant by `paths` and by the lines of the list.
///
/// # Errors
/// There is none; a folder is without audio; the list cannot be read.
pub fn gather(paths: &[PathBuf], list: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let mut paths = paths.to_vec();
    if let Some(list) = list {
        paths.extend(read_list(list)?);
    }
    if paths.is_empty() {
        return Err("nothing to do: the list names no file".into());
    }
    expand(&paths)
}

/// One path a line, from a file or (`-`) from standard input. Empty lines are passed over.
fn read_list(list: &Path) -> Result<Vec<PathBuf>, String> {
    let mut bytes = Vec::new();
    let read = if list == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        open(list).and_then(|mut file| file.read_to_end(&mut bytes)).map(drop)
    };
    read.map_err(|e| format!("cannot read the list {}: {e}", shown(list)))?;
    let lines = bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines.filter(|line| !line.is_empty()).map(to_path).collect())
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
