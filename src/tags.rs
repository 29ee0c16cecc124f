//! What is said of a recording: by its file, and by who adds it to an index.

use crate::error::{Error, Result};
use bincode::{Decode, Encode};

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
