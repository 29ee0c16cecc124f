//! What an audio file says about itself.

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
