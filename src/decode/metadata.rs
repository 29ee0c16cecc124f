//! Title, artist, album and so on from whatever tags there are.

use crate::tags::Tags;
use std::io::Cursor;
use std::panic::catch_unwind;
use symphonia::core::formats::FormatReader;
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::{MetadataReader, MetadataRevision, RawValue, StandardTag, Tag};
use symphonia::default::meta::Id3v2Reader;

/// Longer tags are cut.
pub(super) const MAX_TAG_CHARS: usize = 1_024;

/// Reads the tags: later revisions of the metadata override earlier ones, the file's own those of
/// its track, and within a revision the first value counts.
pub(super) fn read_tags(format: &mut dyn FormatReader, track_id: u32) -> Tags {
    let single = format.tracks().len() == 1;
    let of_track = |id: u64| single || id == u64::from(track_id);
    let mut tags = Tags::default();
    let mut log = format.metadata();
    loop {
        if let Some(revision) = log.current() {
            tags = or(of_revision(revision, of_track), tags);
        }
        if log.pop().is_none() {
            return tags;
        }
    }
}

/// What `first` says, and what `second` says beyond that.
pub(super) fn or(first: Tags, second: Tags) -> Tags {
    Tags {
        title: first.title.or(second.title),
        artist: first.artist.or(second.artist),
        album: first.album.or(second.album),
        track_number: first.track_number.or(second.track_number),
        isrc: first.isrc.or(second.isrc),
        musicbrainz_id: first.musicbrainz_id.or(second.musicbrainz_id),
    }
}

/// Reads an ID3v2 tag.
pub(super) fn read_id3(tag: Vec<u8>) -> Tags {
    let read = catch_unwind(|| {
        let stream = MediaSourceStream::new(Box::new(Cursor::new(tag)), Default::default());
        Id3v2Reader::try_new(stream, Default::default()).and_then(|mut reader| reader.read_all())
    });
    let read = read.ok().and_then(Result::ok);
    read.map(|read| of_revision(&read.revision, |_| true)).unwrap_or_default()
}

fn of_revision(revision: &MetadataRevision, of_track: impl Fn(u64) -> bool) -> Tags {
    let mut found = Tags::default();
    let mut album_artist = None;
    let own = revision.per_track.iter().filter(|own| of_track(own.track_id));
    let own = own.flat_map(|own| &own.metadata.tags);
    for tag in revision.media.tags.iter().chain(own) {
        let (slot, value) = match &tag.std {
            Some(StandardTag::TrackTitle(value)) => (&mut found.title, value.as_str()),
            Some(StandardTag::Artist(value)) => (&mut found.artist, value.as_str()),
            Some(StandardTag::Album(value)) => (&mut found.album, value.as_str()),
            Some(StandardTag::AlbumArtist(value)) => (&mut album_artist, value.as_str()),
            Some(StandardTag::IdentIsrc(value)) => (&mut found.isrc, value.as_str()),
            Some(StandardTag::MusicBrainzRecordingId(value)) => {
                (&mut found.musicbrainz_id, value.as_str())
            }
            Some(StandardTag::TrackNumber(number)) => {
                let number = u32::try_from(*number).ok();
                found.track_number = found.track_number.or(number);
                continue;
            }
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
    found.artist = found.artist.or(album_artist);
    found
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
