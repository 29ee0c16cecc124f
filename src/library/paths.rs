//! Paths as the names of tracks, and as bytes in a file.

use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

/// The name under which a file is a track: its path without what says nothing (`./`, doubled
/// separators), with `/` between the parts on every system.
///
/// Different paths have different names. Where a path is not UTF-8, its bytes that are not become
/// `\xFF`, each backslash `\\`, and what no other name begins with stands before it: `./`, or a
/// second `/` where it begins with one.
#[must_use]
pub fn track_name(path: &Path) -> String {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let path: PathBuf = parts.collect();
    let Some(name) = path.to_str() else {
        return escaped(&path);
    };
    if MAIN_SEPARATOR == '\\' { name.replace('\\', "/") } else { name.into() }
}

fn escaped(path: &Path) -> String {
    let mut name = String::from(if path.has_root() { "/" } else { "./" });
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        name += &chunk.valid().replace('\\', "\\\\");
        chunk.invalid().iter().for_each(|byte| name += &format!("\\x{byte:02X}"));
    }
    name
}

/// A path as text for reports, with bytes that are not UTF-8 as `\xFF`.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += chunk.valid();
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02X}"));
    }
    text
}

/// A path as bytes from which [`from_bytes`] makes it again.
#[cfg(unix)]
pub(crate) fn to_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().into()
}

#[cfg(unix)]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(windows)]
pub(crate) fn to_bytes(path: &Path) -> Vec<u8> {
    use std::os::windows::ffi::OsStrExt;
    path.as_os_str().encode_wide().flat_map(u16::to_le_bytes).collect()
}

#[cfg(windows)]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::windows::ffi::OsStringExt;
    let wide: Vec<u16> = bytes.as_chunks().0.iter().map(|&two| u16::from_le_bytes(two)).collect();
    Some(std::ffi::OsString::from_wide(&wide).into())
}

/// Elsewhere, paths that are not UTF-8 are forgotten, and done again.
#[cfg(not(any(unix, windows)))]
pub(crate) fn to_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into()
}

#[cfg(not(any(unix, windows)))]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_from_their_bytes() {
        for path in ["/a/b.mp3", "ü/ä ö.flac", ""] {
            assert_eq!(from_bytes(to_bytes(Path::new(path))).unwrap(), Path::new(path));
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let path = Path::new(std::ffi::OsStr::from_bytes(b"/a\xff\\b"));
            assert_eq!(from_bytes(to_bytes(path)).unwrap(), path);
            assert_eq!(track_name(path), "//a\\xFF\\\\b");
            assert_eq!(shown(path), "/a\\xFF\\b");
        }
        assert_eq!(track_name(Path::new("./a//b/./c")), "a/b/c");
    }
}
