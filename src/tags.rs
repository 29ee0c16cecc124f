//! What is said of a recording: by its file, and by who adds it to an index.

use crate::error::{Error, Result};
use bincode::{Decode, Encode};
use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

/// Title, artist, album and what identifies a recording, as far as a file names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Tags {
    /// Title of the track.
    pub title: Option<String>,
    /// Artist of the track, or else of the album.
    pub artist: Option<String>,
    /// Title of the album.
    pub album: Option<String>,
    /// Number of the track on its album.
    pub track_number: Option<u32>,
    /// International Standard Recording Code (ISO 3901), as in "USRC17607839"; not checked.
    pub isrc: Option<String>,
    /// MusicBrainz's id of the recording, a UUID; not checked.
    pub musicbrainz_id: Option<String>,
}

/// What the caller says of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackInfo {
    /// Unique within an index: a path, a catalogue number, … At most
    /// [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) long.
    pub name: String,
    /// Title, artist and album, each at most [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) long.
    pub tags: Tags,
}

impl TrackInfo {
    /// Greatest length of a name or tag in bytes of UTF-8: 1 MiB.
    pub const MAX_TEXT_BYTES: usize = 1 << 20;

    /// A track with a name and no tags.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), tags: Tags::default() }
    }

    /// Refuses what is too long.
    pub(crate) fn check(&self) -> Result<()> {
        let Tags { title, artist, album, isrc, musicbrainz_id, .. } = &self.tags;
        let tags = [
            ("title", title),
            ("artist", artist),
            ("album", album),
            ("ISRC", isrc),
            ("MusicBrainz id", musicbrainz_id),
        ];
        let tags = tags.map(|(field, tag)| (field, tag.as_deref().unwrap_or_default()));
        for (field, text) in [("name", self.name.as_str())].into_iter().chain(tags) {
            let (bytes, limit) = (text.len(), Self::MAX_TEXT_BYTES);
            if bytes > limit {
                return Err(Error::TextTooLong { field, bytes, limit });
            }
        }
        Ok(())
    }
}

/// The name under which a file is a track: its path without what says nothing (`./`, doubled
/// separators), with `/` between the parts on every system.
///
/// Different paths have different names. Where a path is not UTF-8, its bytes that are not become
/// `\xFF`, each backslash `\\`, and what no other name begins with stands before it: `./`, or a
/// second `/` where it begins with one.
///
/// ```
/// # use earmark::tags::track_name;
/// assert_eq!(track_name("./Music//song.mp3".as_ref()), "Music/song.mp3");
/// ```
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_path_and_nothing_else() {
        assert_eq!(track_name(Path::new("./a//b/./c")), "a/b/c");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let path = Path::new(std::ffi::OsStr::from_bytes(b"/a\xff\\b"));
            assert_eq!(track_name(path), "//a\\xFF\\\\b");
        }
    }
}
