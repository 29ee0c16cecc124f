//! The hash index: which tracks have a landmark with this hash, and when.
//!
//! Postings live in sorted, immutable segments. Adding a track makes a small segment, and segments
//! of like size are merged, so that adding stays cheap and looking up stays possible at any time.
//! A removed track is forgotten at once; its postings go at the next save.

use crate::bands::FRAMES;
use crate::catalog::{Catalog, Track, TrackInfo};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, Query};
use crate::landmark::{Landmark, LandmarkHash};
use crate::peaks::STEPS;
use crate::search::{Match, MatchConfig};
use crate::segment::{Entry, Segment};
use crate::storage;
use crate::store::{Excerpt, Excerpted, PostingList, Store, Totals, TrackEntry};
use crate::units::TrackId;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Tracks by the hashes of their landmarks.
///
/// ```
/// use earmark::{Config, Fingerprinter, HashIndex, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let rate = SampleRate::new(8000)?;
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let mut index = HashIndex::new(Config::default())?;
/// index.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
///
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// let matches = index.search(&clip, &MatchConfig::default())?;
/// assert_eq!(matches[0].name, "song");
/// assert!((matches[0].offset_s - 5.0).abs() < 0.1);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HashIndex {
    catalog: Catalog,
    /// From old and large to new and small.
    segments: Vec<Segment>,
    /// Whether postings of removed tracks are still in the segments.
    stale: bool,
}

impl HashIndex {
    /// An empty index for fingerprints made with `config`.
    ///
    /// # Errors
    /// [`Error::Config`] where it is out of range.
    pub fn new(config: Config) -> Result<Self> {
        Ok(Self { catalog: Catalog::new(config)?, segments: Vec::new(), stale: false })
    }

    /// Reads an index from a file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadMagic`], [`Error::Version`] and [`Error::Corrupt`] for files that are
    /// not an index, of another version, or damaged. All of them name the path. Damage to the postings
    /// alone is mended from the stored peaks.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (catalog, segment) = storage::open(path.as_ref())?;
        Ok(match segment {
            Some(segment) => Self { catalog, segments: vec![segment], stale: false },
            None => Self::from_catalog(catalog),
        })
    }

    /// Makes the postings of a catalog's tracks again from their peaks.
    #[must_use]
    pub fn from_catalog(catalog: Catalog) -> Self {
        let entries = |track: &Track| entries(track, catalog.config());
        let segment = Segment::new(catalog.flat_map(entries));
        Self { segments: vec![segment], catalog, stale: false }
    }

    /// Writes the index to a file, which is replaced only once the new one is complete.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let whole = self.take_tidied(self.catalog.is_mostly_holes());
        let saved = storage::save(path.as_ref(), &self.catalog, &whole);
        self.segments.push(whole);
        saved
    }

    /// Makes one segment of all, without the postings of removed tracks, and closes the holes that
    /// these left on the global line if that is asked for.
    fn take_tidied(&mut self, close_holes: bool) -> Segment {
        let segments = self.segments.drain(..).rev();
        let mut whole = segments.reduce(|new, old| Segment::merge(&old, &new)).unwrap_or_default();
        if std::mem::take(&mut self.stale) || close_holes {
            let block_frames = self.catalog.config().block_frames();
            let blocks = |catalog: &Catalog| -> Vec<Range<u32>> {
                catalog.tracks().iter().map(|t| t.blocks(block_frames)).collect()
            };
            let before = blocks(&self.catalog);
            if close_holes {
                self.catalog.close_holes();
            }
            let after = blocks(&self.catalog);
            whole.move_postings(|block| {
                let at = before.partition_point(|line| line.start <= block).checked_sub(1)?;
                let moved = before[at].start - after[at].start;
                before[at].contains(&block).then(|| block - moved)
            });
        }
        whole
    }

    /// The tracks.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Gives the tracks away, to build another index from.
    #[must_use]
    pub fn into_catalog(self) -> Catalog {
        self.catalog
    }

    /// Adds a track.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`] for a fingerprint made in another way, [`Error::DuplicateTrack`] for a
    /// name that is taken, [`Error::TextTooLong`] for a name or tag beyond
    /// [`TrackInfo::MAX_TEXT_BYTES`], [`Error::Corrupt`] for a fingerprint whose peaks are not in the
    /// order of their frames, [`Error::IndexFull`] beyond about four years of audio. Nothing is changed
    /// then.
    pub fn add(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        if let Some(&Track { id, .. }) = self.catalog.find(&info.name) {
            return Err(Error::DuplicateTrack { name: info.name, id });
        }
        self.replace(info, fingerprint)
    }

    /// Removes a track.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`].
    pub fn remove(&mut self, id: TrackId) -> Result<TrackInfo> {
        let track = self.catalog.remove(id)?;
        self.stale = true;
        Ok(track.info)
    }

    /// Adds a track in place of the one with the same name, if there is one. It gets a new id.
    ///
    /// # Errors
    /// As [`add`](Self::add), but for the name that is taken. The old track is kept then.
    pub fn replace(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        // From here on, nothing fails.
        let close_holes = self.catalog.check(&info, fingerprint)?;
        if let Some(&Track { id, .. }) = self.catalog.find(&info.name) {
            self.remove(id)?;
        }
        if close_holes {
            let whole = self.take_tidied(true);
            self.segments.push(whole);
        }
        Ok(self.put(info, fingerprint))
    }

    /// Adds a track that has been checked.
    fn put(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> TrackId {
        let block_frames = self.catalog.config().block_frames();
        let config = self.catalog.config().landmarks.clone();
        let mut track = self.catalog.place(info, fingerprint);
        let landmarks = fingerprint.landmarks().iter();
        let entry = |l: &Landmark| Entry::new(l.hash(&config), track.posting(l, block_frames));
        let mut newest = Segment::new(landmarks.map(entry).collect());
        let id = track.id;
        while let Some(older) = self.segments.pop_if(|s| s.len() <= 2 * newest.len()) {
            newest = Segment::merge(&older, &newest);
        }
        self.segments.push(newest);
        // Copied only now, so that a long track's peaks are not in memory beside the sorting.
        track.peaks = fingerprint.peaks().to_vec();
        track.sub_fingerprints = fingerprint.sub_fingerprints().to_vec();
        self.catalog.add(track);
        id
    }

    /// Finds the tracks that a clip comes from, best first.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`] for a query made in another way.
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        crate::search::search(self, query, config)
    }
}

impl Store for HashIndex {
    fn totals(&self) -> Result<Totals> {
        let catalog = &self.catalog;
        let config = Arc::new(catalog.config().clone());
        let (tracks, frames) = (catalog.tracks().len() as u64, catalog.frames());
        let totals = Totals::new(config, tracks, frames, catalog.line_blocks());
        Ok(totals.with_removed(catalog.holes()))
    }

    fn postings(&self, hashes: &[LandmarkHash]) -> Result<Vec<PostingList<'_>>> {
        let mut lists = Vec::new();
        for (i, &hash) in hashes.iter().enumerate() {
            for segment in &self.segments {
                let found = segment.find(hash);
                if found.len() > 0 {
                    lists.push(PostingList::encode(i as u32, found));
                }
            }
        }
        Ok(lists)
    }

    fn excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>> {
        let block_frames = self.catalog.config().block_frames();
        let mut excerpts = Vec::new();
        for (wanted, blocks) in wanted.iter().enumerate() {
            for track in self.catalog.overlapping(blocks) {
                let own = track.blocks(block_frames);
                let first = (blocks.start.max(own.start) - own.start) * block_frames;
                let end = (blocks.end.min(own.end) - own.start) * block_frames;
                let at = |frame: u32| track.peaks.partition_point(|p| p.time / STEPS < frame);
                let words = &track.sub_fingerprints;
                let word = |frame: u32| (frame as usize / FRAMES).min(words.len());
                let excerpt = Excerpt::new(
                    track.id,
                    own.start,
                    track.frames,
                    track.peaks[at(first)..at(end).max(at(first))].to_vec(),
                    word(first) as u32,
                    words[word(first)..word(end)].to_vec(),
                );
                excerpts.push(Excerpted { wanted: wanted as u32, excerpt });
            }
        }
        Ok(excerpts)
    }

    fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<TrackEntry>>> {
        let entry = |track: &Track| {
            let TrackInfo { name, tags } = track.info.clone();
            TrackEntry::new(track.id, name, tags, track.duration_s)
        };
        Ok(ids.iter().map(|&id| self.catalog.get(id).map(entry)).collect())
    }

    fn blocks_of(&self, ids: &[TrackId]) -> Result<Vec<Range<u32>>> {
        let block_frames = self.catalog.config().block_frames();
        let blocks = |id: &TrackId| self.catalog.get(*id).map(|t| t.blocks(block_frames));
        Ok(ids.iter().map(|id| blocks(id).unwrap_or_default()).collect())
    }
}

fn entries(track: &Track, config: &Config) -> Vec<Entry> {
    let landmarks = track.pair(config);
    let block_frames = config.block_frames();
    let entry =
        |l: &Landmark| Entry::new(l.hash(&config.landmarks), track.posting(l, block_frames));
    landmarks.iter().map(entry).collect()
}
