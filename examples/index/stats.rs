//! How large an index is.

use crate::text::shown;
use earmark::Result;
use earmark::store::Reader;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Width of the longest bar.
const BAR: f64 = 40.0;

pub fn table(reader: &Reader) -> Result<String> {
    let stats = reader.stats();
    let per_s = |bytes: u64| bytes as f64 / stats.duration_s.max(1e-9);
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("{} tracks, {:.1} hours", stats.tracks, stats.duration_s / 3600.0));
    let megabytes = stats.bytes as f64 * 1e-6;
    line(format!("{megabytes:.1} MB, {:.0} bytes per second of audio", per_s(stats.bytes)));
    line(format!("\n{:>10}  {:>7}  {:>7}  segment", "MB", "tracks", "removed"));
    let mut sections = BTreeMap::new();
    for segment in &stats.segments {
        let (bytes, path) = (segment.bytes as f64 * 1e-6, shown(&segment.path));
        line(format!("{bytes:10.2}  {:7}  {:7}  {path}", segment.tracks, segment.removed));
        for (name, bytes) in &segment.sections {
            *sections.entry(*name).or_insert(0) += bytes;
        }
    }
    line(format!("\n{:>10}  bytes per second of audio", ""));
    let mut sections: Vec<_> = sections.into_iter().collect();
    sections.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    for (name, bytes) in sections {
        line(format!("{:10.2}  {name}", per_s(bytes)));
    }
    let lengths = reader.list_lengths()?;
    let most = lengths.iter().copied().max().unwrap_or(0).max(1);
    line(format!("\n{:>10}  postings in lists of such a length", "blocks"));
    for (magnitude, postings) in lengths.iter().enumerate() {
        let bar = "#".repeat((*postings as f64 / most as f64 * BAR).round() as usize);
        line(format!("{:10}  {postings:12} {bar}", format!("{}+", 1u64 << magnitude)));
    }
    Ok(out)
}
