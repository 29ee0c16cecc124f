//! What every [`Store`] must do, as a test that any store can be put to.
//!
//! ```
//! use earmark::store::{Index, conformance};
//! use earmark::{Config, TrackId};
//! # use earmark::Error;
//! let recordings = conformance::recordings(&Config::default(), 20, 7);
//!
//! let index = Index::in_memory(Config::default())?;
//! let mut writer = index.writer()?;
//! let mut tracks = Vec::new();
//! for (info, fingerprint) in recordings {
//!     tracks.push((writer.add(info.clone(), &fingerprint)?, info, fingerprint));
//! }
//! writer.commit()?;
//! conformance::check(&index.reader(), &tracks).unwrap();
//! # Ok::<(), Error>(())
//! ```

use crate::bands::FRAMES;
use crate::config::Config;
use crate::fingerprint::Fingerprint;
use crate::landmark::{Landmark, LandmarkHash};
use crate::peaks::Peak;
use crate::store::{Excerpt, Excerpted, Found, Store, Totals};
use crate::tags::TrackInfo;
use crate::units::{BinSteps, STEPS, TimeSteps, TrackId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;

/// A track that a store should hold, with the id that the store gave it.
pub type Track = (TrackId, TrackInfo, Fingerprint);

/// Compares all that a store answers with what can be worked out, slowly, from the tracks that it should
/// hold, in the order of their places on the line.
///
/// # Errors
/// What differs, in words.
pub fn check(store: &impl Store, tracks: &[Track]) -> Result<(), String> {
    let totals = told(store.totals())?;
    let oracle = Oracle::new(store, &totals, tracks)?;
    oracle.first_look(store)?;
    oracle.entries(store)?;
    oracle.postings(store)?;
    oracle.excerpts(store)
}

/// Made-up recordings to put in a store, of 1 to 200 blocks: peaks and sub-fingerprints at random, a part of
/// which is alike in all of them, silence, and names and tags of all kinds.
#[must_use]
pub fn recordings(config: &Config, count: usize, seed: u64) -> Vec<(TrackInfo, Fingerprint)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = move |limit: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (((state >> 32) * u64::from(limit)) >> 32) as u32
    };
    let bins = config.stft.bins() as u32 * STEPS;
    let recording = |i: usize| {
        let seconds = if i % 7 == 3 { below(200) } else { below(12) };
        let frames = seconds * 31 + 40;
        let mut peaks = Vec::new();
        for frame in 1..frames {
            // Some have long silence.
            if i % 5 == 4 && (50..frames - 20).contains(&frame) {
                continue;
            }
            for _ in 0..below(4) {
                // A loop that all have in common.
                let bin = if frame % 3 == 0 { (frame % 40) * 300 % bins } else { below(bins) };
                peaks.push(Peak {
                    time: TimeSteps(frame * STEPS + below(16) - 7),
                    bin: BinSteps(bin as u16),
                    contrast: 24 + below(140) as u8,
                    rank: below(config.peaks.reference_rank.into()) as u8,
                    level: below(256) as u8,
                    phase: below(256) as u8,
                });
            }
        }
        let words = (frames / FRAMES as u32 + i as u32 % 3 * 9).saturating_sub(i as u32 % 4);
        let words =
            (0..words).map(|_| u64::from(below(u32::MAX)) << 32 | u64::from(below(u32::MAX)));
        let words = if i % 11 == 10 { Vec::new() } else { words.collect() };
        let mut info = TrackInfo::named(format!("{seed}/{i} \u{e9}\u{1f3b5}"));
        info.tags.title = i.is_multiple_of(2).then(|| "t".repeat(i));
        info.tags.artist = i.is_multiple_of(3).then(String::new);
        info.tags.album = i.is_multiple_of(5).then(|| format!("album {i}"));
        let duration_s = f64::from(frames) * config.stft.hop_s();
        (info, Fingerprint::from_parts(peaks, words, duration_s, config))
    };
    (0..count).map(recording).collect()
}

fn told<T>(result: crate::Result<T>) -> Result<T, String> {
    result.map_err(|e| format!("the store fails: {e}"))
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: impl Display,
    got: &T,
    want: &T,
) -> Result<(), String> {
    match got == want {
        true => Ok(()),
        false => Err(format!("{what}: {got:?}, where {want:?} should be")),
    }
}

/// Everything that the tracks give, by their places on the line.
struct Oracle<'t> {
    totals: &'t Totals,
    tracks: &'t [Track],
    /// Where each of them lies.
    line: Vec<Range<u32>>,
    block_frames: u32,
    postings: BTreeMap<LandmarkHash, BTreeSet<u32>>,
}

impl<'t> Oracle<'t> {
    fn new(store: &impl Store, totals: &'t Totals, tracks: &'t [Track]) -> Result<Self, String> {
        let config = &totals.config;
        let block_frames = config.block_frames();
        let ids: Vec<TrackId> = tracks.iter().map(|track| track.0).collect();
        let line = told(store.blocks_of(&ids))?;
        same("number of places", &line.len(), &ids.len())?;
        same("number of tracks", &totals.tracks, &(tracks.len() as u64))?;
        let mut end = 0;
        let mut frames = 0;
        let mut postings: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        for ((id, _, fingerprint), place) in tracks.iter().zip(&line) {
            same(format!("analysis of {id}"), &config.id(), &fingerprint.config_id())?;
            frames += u64::from(frames_of(fingerprint));
            if place.start < end || place.end > totals.blocks {
                return Err(format!("{id} lies at {place:?}, where another is or the line ends"));
            }
            end = place.end;
            same(
                format!("blocks of {id}"),
                &(place.end - place.start),
                &blocks_of(fingerprint, config),
            )?;
            for landmark in fingerprint.landmarks() {
                let block = landmark.time.nearest_frame() / block_frames;
                let block = place.start + block.min(place.end - place.start - 1);
                postings.entry(landmark.hash(&config.landmarks)).or_default().insert(block);
            }
        }
        same("number of frames", &totals.frames, &frames)?;
        let removed = &totals.removed;
        let apart = removed.windows(2).all(|pair| pair[0].end <= pair[1].start);
        if !apart || removed.iter().any(|gap| gap.is_empty() || gap.end > totals.blocks) {
            return Err(format!("what was removed is out of order: {removed:?}"));
        }
        let taken = |gap: &Range<u32>| line.iter().any(|t| t.start < gap.end && gap.start < t.end);
        if let Some(gap) = removed.iter().find(|gap| taken(gap)) {
            return Err(format!("{gap:?} is said to be removed, and there is a track"));
        }
        Ok(Self { totals, tracks, line, block_frames, postings })
    }

    /// What is asked at once is what is asked one by one.
    fn first_look(&self, store: &impl Store) -> Result<(), String> {
        let landmarks = self.tracks.iter().flat_map(|track| track.2.landmarks().iter().take(20));
        let landmarks: Vec<Landmark> = landmarks.copied().collect();
        let mut ids: Vec<TrackId> = self.tracks.iter().rev().map(|track| track.0).collect();
        ids.push(TrackId(u32::MAX - 1));
        let first = told(store.first_look(&landmarks, 5, &ids))?;
        same("analysis", &told(store.config())?.id(), &self.totals.config.id())?;
        let of = |totals: &Totals| {
            (totals.tracks, totals.frames, totals.blocks, totals.removed.to_vec())
        };
        same("what is told first of it all", &of(&first.totals), &of(self.totals))?;
        same("places told first", &first.blocks, &told(store.blocks_of(&ids))?)?;
        let found = told(store.look_up(&landmarks, 5))?;
        same("number of lists told first", &first.found.len(), &found.len())?;
        for (got, want) in first.found.iter().zip(&found) {
            let blocks =
                |found: &Found<'_>| (found.landmark, found.list.blocks().collect::<Vec<_>>());
            same("a list told first", &blocks(got), &blocks(want))?;
        }
        Ok(())
    }

    fn entries(&self, store: &impl Store) -> Result<(), String> {
        let unknown = TrackId(u32::MAX - 1);
        // Backwards, one twice, and one that is not there.
        let ids = self.tracks.iter().rev().map(|track| track.0);
        let ids: Vec<TrackId> =
            ids.chain([unknown]).chain(self.tracks.first().map(|t| t.0)).collect();
        let found = told(store.tracks(&ids))?;
        same("number of tracks told", &found.len(), &ids.len())?;
        for (id, entry) in ids.iter().zip(found) {
            let track = self.tracks.iter().find(|track| track.0 == *id);
            let got = entry.map(|e| (e.id, e.name, e.tags, e.duration_s.to_bits()));
            let want = track.map(|(id, info, fingerprint)| {
                let duration_s = fingerprint.duration_s().to_bits();
                (*id, info.name.clone(), info.tags.clone(), duration_s)
            });
            same(format!("what is known of {id}"), &got, &want)?;
        }
        let places = told(store.blocks_of(&[unknown]))?;
        match &places[..] {
            [place] if place.is_empty() => Ok(()),
            other => Err(format!("a track that is not there lies at {other:?}")),
        }
    }

    fn postings(&self, store: &impl Store) -> Result<(), String> {
        // All that are there, their neighbours, most of which are not, the ends of what can be.
        let mut hashes: Vec<LandmarkHash> = self.postings.keys().copied().collect();
        hashes.extend(self.postings.keys().map(|hash| LandmarkHash(hash.0 ^ 1)));
        hashes.extend([0, u32::MAX, (1 << 25) - 1, 1 << 25].map(LandmarkHash));
        // In an order of their own, some twice.
        hashes.sort_by_key(|hash| hash.0.wrapping_mul(0x9e37_79b9));
        hashes.extend_from_within(..hashes.len() / 3);
        for batch in [&hashes[..], &hashes[..hashes.len().min(1)], &[]] {
            let mut found = vec![BTreeSet::new(); batch.len()];
            let mut before = 0;
            for list in told(store.postings(batch))? {
                let of_hash = found.get_mut(list.of as usize).filter(|_| list.of >= before);
                let of_hash = of_hash.ok_or("lists are not in the order of hashes")?;
                before = list.of;
                let mut count = 0;
                for block in list.blocks() {
                    count += 1;
                    if of_hash.last().is_some_and(|&last| last >= block)
                        || block >= self.totals.blocks
                    {
                        return Err(format!("block {block} is out of order, or beyond the line"));
                    }
                    of_hash.insert(block);
                }
                same("length of a list", &list.len, &count)?;
            }
            for (hash, mut got) in batch.iter().zip(found) {
                got.retain(|block| !self.totals.removed.iter().any(|gap| gap.contains(block)));
                let want = self.postings.get(hash).cloned().unwrap_or_default();
                same(format!("blocks of hash {}", hash.0), &got, &want)?;
            }
        }
        Ok(())
    }

    fn excerpts(&self, store: &impl Store) -> Result<(), String> {
        let blocks = self.totals.blocks;
        let mut wanted = vec![0..blocks, 0..0, blocks..blocks.saturating_add(5), 3..3];
        for (i, place) in self.line.iter().enumerate() {
            let middle = place.start + (place.end - place.start) / 2;
            wanted.push(place.clone());
            wanted.push(middle..middle + 1);
            wanted.push(place.end - 1..(place.end + 3).min(blocks));
            wanted.push(middle.saturating_sub(4)..(middle + 5).min(blocks));
            if i % 10 == 0 {
                wanted.push(place.start..blocks);
            }
        }
        let mut want = Vec::new();
        for (wanted, range) in (0..).zip(&wanted) {
            let excerpts = (0..self.line.len()).filter_map(|i| self.excerpt(i, range));
            want.extend(excerpts.map(|excerpt| Excerpted { wanted, excerpt }));
        }
        let got = told(store.excerpts(&wanted))?;
        same("number of excerpts", &got.len(), &want.len())?;
        for (got, want) in got.iter().zip(&want) {
            same("an excerpt", got, want)?;
        }
        Ok(())
    }

    /// What a track has in a range of the line.
    fn excerpt(&self, at: usize, range: &Range<u32>) -> Option<Excerpt> {
        let ((id, _, fingerprint), place) = (&self.tracks[at], &self.line[at]);
        let blocks = range.start.max(place.start)..range.end.min(place.end);
        if blocks.is_empty() {
            return None;
        }
        let blocks = blocks.start - place.start..blocks.end - place.start;
        let inside =
            |peak: &&Peak| blocks.contains(&(peak.time.nearest_frame() / self.block_frames));
        let peaks = fingerprint.peaks().iter().filter(inside).copied().collect();
        let words = fingerprint.sub_fingerprints();
        let word = |block: u32| ((block * self.block_frames) as usize / FRAMES).min(words.len());
        let (first, end) = (word(blocks.start), word(blocks.end));
        let frames = frames_of(fingerprint);
        let of_excerpt = words[first..end].to_vec();
        Some(Excerpt::new(*id, place.start, frames, peaks, first as u32, of_excerpt))
    }
}

/// Frames of a track, up to its last peak and one more.
fn frames_of(fingerprint: &Fingerprint) -> u32 {
    fingerprint.peaks().iter().map(|peak| peak.time.whole_frame() + 2).max().unwrap_or(0)
}

/// Blocks that have a frame or a sub-fingerprint: one at least.
fn blocks_of(fingerprint: &Fingerprint, config: &Config) -> u32 {
    let words = (fingerprint.sub_fingerprints().len() * FRAMES) as u32;
    frames_of(fingerprint).max(words).div_ceil(config.block_frames()).max(1)
}
