//! Title, artist and album from whatever tags there are.

use crate::tags::Tags;
use symphonia::core::formats::FormatReader;
use symphonia::core::meta::{RawValue, StandardTag, Tag};

/// Longer tags are cut.
const MAX_TAG_CHARS: usize = 1_024;

/// Reads the tags: later revisions of the metadata override earlier ones, the file's own those of
/// its track, and within a revision the first value counts.
pub(super) fn read_tags(format: &mut dyn FormatReader, track_id: u32) -> Tags {
    let single = format.tracks().len() == 1;
    let mut tags = Tags::default();
    let mut log = format.metadata();
    loop {
        if let Some(revision) = log.current() {
            let mut found = Tags::default();
            let mut album_artist = None;
            let of_track = revision
                .per_track
                .iter()
                .filter(|own| single || own.track_id == u64::from(track_id))
                .flat_map(|own| &own.metadata.tags);
            for tag in revision.media.tags.iter().chain(of_track) {
                let (slot, value) = match &tag.std {
                    Some(StandardTag::TrackTitle(value)) => (&mut found.title, value.as_str()),
                    Some(StandardTag::Artist(value)) => (&mut found.artist, value.as_str()),
                    Some(StandardTag::Album(value)) => (&mut found.album, value.as_str()),
                    Some(StandardTag::AlbumArtist(value)) => (&mut album_artist, value.as_str()),
                    Some(_) => continue,
                    None => match raw_tag(tag) {
                        Some(("title", value)) => (&mut found.title, value),
                        Some(("artist", value)) => (&mut found.artist, value),
                        Some(("album", value)) => (&mut found.album, value),
                        _ => continue,
                    },
                };
                let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
                if slot.is_none() && !value.is_empty() {
                    *slot = Some(value.chars().take(MAX_TAG_CHARS).collect());
                }
            }
            tags.title = found.title.or(tags.title);
            tags.artist = found.artist.or(album_artist).or(tags.artist);
            tags.album = found.album.or(tags.album);
        }
        if log.pop().is_none() {
            return tags;
        }
    }
}

/// Key, one of those of interest, and value of a tag that is not recognised as a standard one.
fn raw_tag(tag: &Tag) -> Option<(&'static str, &str)> {
    let known = ["title", "artist", "album"];
    // Matroska has "ALBUM@TITLE".
    let raw_key = tag.raw.key.rsplit('@').next()?;
    let key = known.into_iter().find(|key| raw_key.eq_ignore_ascii_case(key))?;
    match &tag.raw.value {
        RawValue::String(value) => Some((key, value)),
        _ => None,
    }
}
