//! What is measured at each size: kept in a file, so that sizes may be measured one at a time.

use std::collections::BTreeMap;
use std::path::Path;

/// A row of the table.
pub struct Measure {
    pub key: &'static str,
    title: &'static str,
    decimals: usize,
}

const fn measure(key: &'static str, title: &'static str, decimals: usize) -> Measure {
    Measure { key, title, decimals }
}

/// In the order of the table.
const MEASURES: [Measure; 25] = [
    measure("hours", "music, h", 0),
    measure("index_mb", "index, MB", 0),
    measure("bytes_per_s", "bytes per second of music", 1),
    measure("segments", "segments", 0),
    measure("build_per_s", "build, tracks per second", 0),
    measure("build_real_time", "the same, as a multiple of real time", 0),
    measure("build_cpu_ms", "the same, processor time for each track, ms", 2),
    measure("open_ms", "open, ms", 2),
    measure("clear_ms", "search, clear clips: median, ms", 1),
    measure("clear_slow_ms", "search, clear clips: 90 % within, ms", 1),
    measure("noisy_ms", "search, noisy clips: median, ms", 1),
    measure("noisy_slow_ms", "search, noisy clips: 90 % within, ms", 1),
    measure("absent_ms", "search, absent clips: median, ms", 1),
    measure("absent_slow_ms", "search, absent clips: 90 % within, ms", 1),
    measure("add_ms", "add a track and commit, ms", 1),
    measure("add_cpu_ms", "the same, processor time, ms", 1),
    measure("remove_ms", "remove a track and commit, ms", 1),
    measure("remove_cpu_ms", "the same, processor time, ms", 1),
    measure("compact_s", "compact, s", 1),
    measure("compact_segments", "segments then", 0),
    measure("merge_per_s", "take in another index of 1,000 tracks, tracks per second", 0),
    measure("merge_cpu_ms", "the same, processor time for each track, ms", 2),
    measure("merges_cpu_ms", "the same, mean of eight such indexes with all merges done, ms", 2),
    measure("memory_mb", "memory besides the page cache, MB", 0),
    measure("memory_before_mb", "of which before the index is opened, MB", 0),
];

/// Figures by number of tracks.
#[derive(Default)]
pub struct Figures {
    by_tracks: BTreeMap<u64, BTreeMap<String, f64>>,
}

impl Figures {
    /// Reads what [`write`](Self::write) wrote; nothing where that is not there.
    pub fn read(path: &Path) -> Self {
        let mut figures = Self::default();
        for line in std::fs::read_to_string(path).unwrap_or_default().lines().skip(1) {
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap_or_else(|| panic!("not a figure: {line}"));
            let (tracks, key, value) = (field(), field(), field());
            figures.set(tracks.parse().unwrap(), key, value.parse().unwrap());
        }
        figures
    }

    pub fn write(&self, path: &Path) {
        let mut lines = String::from("tracks\tmeasure\tvalue\n");
        for (tracks, figures) in &self.by_tracks {
            for measure in &MEASURES {
                if let Some(value) = figures.get(measure.key) {
                    lines += &format!("{tracks}\t{}\t{value:.4}\n", measure.key);
                }
            }
        }
        std::fs::write(path, lines).unwrap();
    }

    pub fn set(&mut self, tracks: u64, key: &str, value: f64) {
        assert!(MEASURES.iter().any(|measure| measure.key == key), "no such measure: {key}");
        self.by_tracks.entry(tracks).or_default().insert(key.into(), value);
    }

    /// A measure against the number of tracks.
    pub fn line(&self, key: &str) -> Vec<(u64, f64)> {
        let at =
            |(&tracks, figures): (&u64, &BTreeMap<String, f64>)| Some((tracks, *figures.get(key)?));
        self.by_tracks.iter().filter_map(at).collect()
    }

    /// All figures as a table in Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from("| tracks |");
        for tracks in self.by_tracks.keys() {
            table += &format!(" {} |", grouped(*tracks as f64, 0));
        }
        table += &format!("\n|---|{}\n", "---|".repeat(self.by_tracks.len()));
        for measure in &MEASURES {
            let cell = |figures: &BTreeMap<String, f64>| {
                let value = figures.get(measure.key);
                value.map_or_else(|| "–".into(), |&value| grouped(value, measure.decimals))
            };
            let cells: Vec<String> = self.by_tracks.values().map(cell).collect();
            table += &format!("| {} | {} |\n", measure.title, cells.join(" | "));
        }
        table
    }
}

/// A number with a comma before every three digits of its whole part.
pub fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (i, digit) in text.char_indices() {
        if i > 0 && i < whole && (whole - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
