//! The recordings in `fixtures/`.

use super::{RATE_HZ, fingerprinter, index_of_prints};
use earmark::config::StftConfig;
use earmark::decode::AudioReader;
use earmark::{KdIndex, Match, MatchConfig, Query, Reader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The path of something in `fixtures/`.
pub fn fixture(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// Opens a file for the default analysis.
pub fn open(path: impl AsRef<Path>) -> AudioReader {
    let path = path.as_ref();
    AudioReader::open(path, &StftConfig::default())
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All samples of a file at the rate of the analysis.
pub fn decode(path: impl AsRef<Path>) -> Vec<f32> {
    let mut reader = open(path);
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        samples.extend_from_slice(block);
    }
    samples
}

/// File names of the library, in order.
pub fn library() -> Vec<String> {
    let entries = std::fs::read_dir(fixture("library")).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 12);
    names
}

/// The decoded samples of every piece of the library, decoded once per test binary.
pub fn pieces() -> &'static [(String, Vec<f32>)] {
    static PIECES: OnceLock<Vec<(String, Vec<f32>)>> = OnceLock::new();
    PIECES.get_or_init(|| {
        let read = |name: String| {
            let samples = decode(fixture("library").join(&name));
            (name, samples)
        };
        library().into_iter().map(read).collect()
    })
}

/// The decoded samples of the piece whose name begins so.
pub fn piece(prefix: &str) -> &'static [f32] {
    let found = pieces().iter().find(|(name, _)| name.starts_with(prefix));
    &found.unwrap_or_else(|| panic!("no piece {prefix}")).1
}

/// A line of `clips.tsv`, or several that name the same clip.
#[derive(Debug)]
pub struct Clip {
    pub file: String,
    /// Track and the time in it at which the clip begins.
    pub truth: Vec<(String, f64)>,
}

/// The clips as `clips.tsv` describes them.
pub fn clips() -> Vec<Clip> {
    let mut clips: Vec<Clip> = Vec::new();
    for line in std::fs::read_to_string(fixture("clips.tsv")).unwrap().lines().skip(1) {
        let [file, track, start_s, _kind] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        if clips.last().is_none_or(|c| c.file != file) {
            clips.push(Clip { file: file.into(), truth: Vec::new() });
        }
        if !track.is_empty() {
            clips.last_mut().unwrap().truth.push((track.into(), start_s.parse().unwrap()));
        }
    }
    clips
}

/// An index of the whole library, and a KD-tree of it.
pub struct Indexes {
    pub hash: Reader,
    pub kd: KdIndex<Reader>,
}

impl Indexes {
    /// What each of them finds with the default configuration, under its name.
    pub fn search(&self, query: &Query) -> [(&'static str, Vec<Match>); 2] {
        let config = MatchConfig::default();
        [
            ("hash", self.hash.search(query, &config).unwrap()),
            ("kd", self.kd.search(query, &config).unwrap()),
        ]
    }
}

/// Indexes of the given pieces.
pub fn indexes_of<'a>(tracks: impl IntoIterator<Item = (&'a str, &'a [f32])>) -> Indexes {
    let mut fingerprinter = fingerprinter();
    let print =
        |(name, samples)| (name, fingerprinter.fingerprint(samples, super::rate(RATE_HZ)).unwrap());
    let prints: Vec<_> = tracks.into_iter().map(print).collect();
    let hash = index_of_prints(prints.iter().map(|(name, print)| (*name, print))).reader();
    let kd = KdIndex::new(hash.clone()).unwrap();
    Indexes { hash, kd }
}

/// Both indexes of the whole library, made once per test binary.
pub fn indexes() -> &'static Indexes {
    static INDEXES: OnceLock<Indexes> = OnceLock::new();
    INDEXES.get_or_init(|| indexes_of(pieces().iter().map(|(name, s)| (name.as_str(), &s[..]))))
}
