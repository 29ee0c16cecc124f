//! Tags: read from WAV, stored, listed.

use crate::common::{fingerprint, music};
use crate::{Place, options, wav};
use earmark::store::Index;
use earmark::{Config, Tags, TrackInfo};

fn list() -> Vec<u8> {
    let mut list = b"LIST\0\0\0\0INFO".to_vec();
    for (name, value) in
        [(b"INAM", "Title "), (b"IART", "Band\0\0"), (b"IPRD", "Album"), (b"ITRK", "7/9")]
    {
        list.extend(name);
        list.extend((value.len() as u32).to_le_bytes());
        list.extend(value.bytes());
        list.resize(list.len().next_multiple_of(2), 0);
    }
    let size = (list.len() - 8) as u32;
    list[4..8].copy_from_slice(&size.to_le_bytes());
    list
}

#[test]
fn a_wav_tells_its_tags_before_or_behind_the_data() {
    let place = Place::empty();
    let plain = wav(&music(6.0, 1));
    let mut before = plain.clone();
    before.splice(36..36, list());
    let mut behind = wav(&music(6.0, 2));
    behind.extend(list());
    for bytes in [&mut before, &mut behind] {
        let size = (bytes.len() - 8) as u32;
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
    }
    place.write("before.wav", &before);
    place.write("behind.wav", &behind);
    place.write("none.wav", &wav(&music(6.0, 3)));
    place.sync(&options());
    let library = place.open();
    let want = Tags {
        title: Some("Title".into()),
        artist: Some("Band".into()),
        album: Some("Album".into()),
        track_number: Some(7),
        ..Tags::default()
    };
    for (name, want) in [("before", &want), ("behind", &want), ("none", &Tags::default())] {
        let track = &library.tracks(name).unwrap()[0];
        assert_eq!((&track.tags, track.duration_s), (want, 6.0), "{name}");
    }
    assert_eq!(library.tracks("band").unwrap().len(), 2);
}

#[test]
fn an_index_gives_back_all_tags() {
    let print = fingerprint(&music(6.0, 1));
    let some = |text: &str| Some(text.to_owned());
    let all = [
        Tags::default(),
        Tags { title: some("t"), ..Tags::default() },
        Tags { track_number: Some(u32::MAX), ..Tags::default() },
        Tags { isrc: some("USRC17607839"), album: some(""), ..Tags::default() },
        Tags { musicbrainz_id: some("b9ad642e-b012-41c7-b72a-42cf4911f9ff"), ..Tags::default() },
    ];
    let folder = tempfile::tempdir().unwrap();
    let index = Index::create(folder.path().join("index"), Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    for (i, tags) in all.iter().enumerate() {
        writer.add(TrackInfo { name: i.to_string(), tags: tags.clone() }, &print).unwrap();
        // Each in a segment of its own, which are merged.
        writer.commit().unwrap();
    }
    let tags: Vec<Tags> = index.reader().tracks().map(|track| track.unwrap().tags).collect();
    assert_eq!(tags, all);
}
