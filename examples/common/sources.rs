//! The files from which clips are cut.

use crate::clips;
use crate::codec::Codec;
use crate::degrade::Kind;
use crate::opening::open_audio;
use crate::ordered;
use crate::plan::Source;
use crate::progress::Progress;
use crate::rng::Rng;
use crate::text::{complain, reason, shown};
use earmark::Reader;
use earmark::tags::track_name;
use std::collections::HashMap;
use std::path::PathBuf;

/// Overlaid music is taken from so many held-out tracks at most.
const MOST_OTHERS: usize = 24;

/// Leaves out files that are the same, byte for byte, as one before: half of a pair must not be held
/// out while the other is indexed.
pub fn without_copies(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    let mut by_size: HashMap<u64, Vec<usize>> = HashMap::new();
    for file in files {
        let size = std::fs::metadata(&file).map_or(0, |data| data.len());
        let alike = by_size.entry(size).or_default();
        // Files of equal size are few, and fewer differ.
        let content = if size == 0 || alike.is_empty() { None } else { std::fs::read(&file).ok() };
        let is_copy = |&i: &usize| {
            content.as_ref().is_some_and(|c| std::fs::read(&kept[i]).is_ok_and(|other| other == *c))
        };
        if let Some(&i) = alike.iter().find(|i| is_copy(i)) {
            complain(&format!("note: {} is left out: it is {}", shown(&file), shown(&kept[i])));
            continue;
        }
        alike.push(kept.len());
        kept.push(file);
    }
    kept
}

/// Files that are in an index.
pub fn indexed(reader: &Reader, files: Vec<PathBuf>) -> Vec<Source> {
    let known = |path: PathBuf| {
        let name = track_name(&path);
        let track = reader.find(&name).ok()??;
        let (track, duration_s) = (Some(track.id), Some(track.duration_s));
        Some(Source { path, name, track, duration_s, clips: Vec::new() })
    };
    files.into_iter().filter_map(known).collect()
}

/// Files that are not, as far as they can be opened.
pub fn held_out(files: Vec<PathBuf>) -> Vec<Source> {
    let opened = |path: PathBuf| {
        let name = track_name(&path);
        match open_audio(&path, &clips::analysis()) {
            Ok(reader) => {
                let duration_s = reader.info().declared_duration_s;
                Some(Source { path, name, track: None, duration_s, clips: Vec::new() })
            }
            Err(e) => {
                complain(&format!("failed: {}: {}", shown(&path), reason(&e)));
                None
            }
        }
    };
    files.into_iter().filter_map(opened).collect()
}

/// Stretches of held-out tracks to be mixed with clips of others.
pub fn others<'a>(
    absent: impl Iterator<Item = &'a Source>,
    length_s: f64,
    seed: u64,
    jobs: usize,
) -> Vec<(String, Vec<f32>)> {
    let sources: Vec<(usize, &Source)> = absent.take(MOST_OTHERS).enumerate().collect();
    let mut others = Vec::new();
    let mut progress = Progress::new(sources.len());
    let work = |(): &mut (), (i, source): &(usize, &Source)| {
        clips::stretch(&source.path, length_s, &mut Rng::of(seed, &[3, *i as u64]))
    };
    let take = |(_, source): &(usize, &Source), found: Result<Option<Vec<f32>>, String>| {
        match found {
            Ok(Some(samples)) => others.push((source.name.clone(), samples)),
            Ok(None) => {}
            Err(why) => progress.say(&format!("failed: {}: {why}", shown(&source.path))),
        }
        progress.file_done(length_s);
        Ok::<(), std::convert::Infallible>(())
    };
    let Ok(()) = ordered::in_order(&sources, jobs, || (), work, take);
    others
}

/// The degradations that can be made, with `others` stretches of other music.
pub fn kinds(others: usize) -> Vec<Kind> {
    let mut kinds = Kind::without_codecs();
    if others < 2 {
        complain("note: the held-out tracks are too few or too short to be mixed with others");
        kinds.retain(|kind| *kind != Kind::Overlay);
    }
    for codec in Codec::ALL {
        match codec.check() {
            Ok(()) => kinds.push(Kind::Codec(codec)),
            Err(why) => complain(&format!("note: {} is left out: {why}", codec.name())),
        }
    }
    kinds
}
