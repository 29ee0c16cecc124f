//! What an audio file says about itself.

use bincode::{Decode, Encode};

/// Title, artist and album, as far as a file names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Tags {
    /// Title of the track.
    pub title: Option<String>,
    /// Artist of the track, or else of the album.
    pub artist: Option<String>,
    /// Title of the album.
    pub album: Option<String>,
}
