//! Paths as text, and as bytes in a file.

use std::path::{Path, PathBuf};

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
            assert_eq!(shown(path), "/a\\xFF\\b");
        }
    }
}
