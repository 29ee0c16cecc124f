//! A small index, and clips of what is in it.

use super::{cut, fingerprint, music, query};
use earmark::{Config, Fingerprint, Index, Match, MatchConfig, Query, Tags, TrackInfo};
use std::sync::OnceLock;

/// Three pieces and a clip of the second.
pub struct Example {
    pub songs: [Vec<f32>; 3],
    pub prints: [Fingerprint; 3],
    pub clip: Query,
}

pub fn example() -> &'static Example {
    static EXAMPLE: OnceLock<Example> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let songs = [1, 2, 3].map(|seed| music(10.0, 100 * seed));
        let prints = songs.each_ref().map(|s| fingerprint(s));
        let clip = query(cut(&songs[1], 3.1, 7.1));
        Example { songs, prints, clip }
    })
}

/// An index of them in memory.
pub fn index() -> Index {
    let index = Index::in_memory(Config::default()).unwrap();
    fill(&index);
    index
}

/// An index of them in a folder.
pub fn stored() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    fill(&Index::create(&path, Config::default()).unwrap());
    (folder, path)
}

fn fill(index: &Index) {
    let mut writer = index.writer().unwrap();
    for (name, print) in ["a", "b", "c"].iter().zip(&example().prints) {
        let tags = Tags { title: Some(format!("Title of {name}")), ..Tags::default() };
        writer.add(TrackInfo { name: (*name).into(), tags }, print).unwrap();
    }
    writer.commit().unwrap();
}

pub fn search(index: &Index, clip: &Query) -> Vec<Match> {
    index.search(clip, &MatchConfig::default()).unwrap()
}

/// A clip of each piece.
pub fn clip_of_each() -> [Query; 3] {
    example().songs.each_ref().map(|song| query(cut(song, 2.3, 6.3)))
}
