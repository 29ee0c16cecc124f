//! The hash index: which tracks have a landmark with this hash, and when.
//!
//! Postings live in sorted, immutable segments. Adding a track makes a small segment, and segments
//! of like size are merged, so that adding stays cheap and looking up stays possible at any time.
//! A removed track is forgotten at once; its postings go at the next save.

use crate::alignment::{Hits, LandmarkIndex};
use crate::catalog::{Catalog, Track, TrackInfo};
use crate::config::Config;
use crate::error::Result;
use crate::fingerprint::{Fingerprint, Query};
use crate::landmark::Landmark;
use crate::matching::{Match, MatchConfig};
use crate::segment::{Entry, Segment};
use crate::storage;
use crate::units::TrackId;
use std::path::Path;

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
    /// [`Error::Config`](crate::Error::Config) where it is out of range.
    pub fn new(config: Config) -> Result<Self> {
        Ok(Self { catalog: Catalog::new(config)?, segments: Vec::new(), stale: false })
    }

    /// Reads an index from a file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::BadMagic`](crate::Error::BadMagic),
    /// [`Error::Version`](crate::Error::Version) and [`Error::Corrupt`](crate::Error::Corrupt)
    /// for files that are not an index, of another version, or damaged. Damage to the postings
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
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let catalog = &self.catalog;
        let present = |frame| catalog.locate(frame).is_some();
        let segments = self.segments.drain(..).rev();
        let whole = segments.reduce(|new, old| Segment::merge(&old, &new, |_| true));
        let mut whole = whole.unwrap_or_default();
        if std::mem::take(&mut self.stale) {
            whole = Segment::merge(&whole, &Segment::default(), present);
        }
        let saved = storage::save(path.as_ref(), catalog, &whole);
        self.segments.push(whole);
        saved
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
    /// [`Error::ConfigMismatch`](crate::Error::ConfigMismatch) for a fingerprint made in another way,
    /// [`Error::DuplicateTrack`](crate::Error::DuplicateTrack) for a name that is taken,
    /// [`Error::IndexFull`](crate::Error::IndexFull) beyond about four years of audio.
    pub fn add(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        let config = self.catalog.config().landmarks.clone();
        let mut track = self.catalog.place(info, fingerprint)?;
        let landmarks = fingerprint.landmarks().iter();
        let entry = |l: &Landmark| Entry::new(l.hash(&config), track.posting(l));
        let mut newest = Segment::new(landmarks.map(entry).collect());
        let id = track.id;
        while let Some(older) =
            self.segments.pop_if(|s| s.postings.len() <= 2 * newest.postings.len())
        {
            newest = Segment::merge(&older, &newest, |_| true);
        }
        self.segments.push(newest);
        // Copied only now, so that a long track's peaks are not in memory beside the sorting.
        track.peaks = fingerprint.peaks().to_vec();
        self.catalog.add(track);
        Ok(id)
    }

    /// Removes a track.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`](crate::Error::NoSuchTrack).
    pub fn remove(&mut self, id: TrackId) -> Result<TrackInfo> {
        let track = self.catalog.remove(id)?;
        self.stale = true;
        Ok(track.info)
    }

    /// Adds a track in place of the one with the same name, if there is one. It gets a new id.
    ///
    /// # Errors
    /// As [`add`](Self::add), the old track being kept.
    pub fn replace(&mut self, info: TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        let old = self.catalog.find(&info.name).map(|t| t.id);
        match old {
            Some(id) if fingerprint.config_id() == self.catalog.config().id() => self.remove(id)?,
            _ => return self.add(info, fingerprint),
        };
        self.add(info, fingerprint)
    }

    /// Finds the tracks that a clip comes from, best first.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`](crate::Error::ConfigMismatch) for a query made in another way.
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        crate::matching::search(self, query, config)
    }
}

impl LandmarkIndex for HashIndex {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn find(&self, query: &Query, config: &MatchConfig, hits: &mut Hits) {
        let landmarks = &self.catalog.config().landmarks;
        for (i, landmark) in query.landmarks().iter().enumerate() {
            landmark.probe(landmarks, config.probe_steps, |hash| {
                let length: usize = self.segments.iter().map(|s| s.find(hash).len()).sum();
                if length > 0 {
                    hits.begin(i, length);
                    for segment in &self.segments {
                        hits.extend(segment.find(hash).iter().copied());
                    }
                }
            });
        }
    }
}

fn entries(track: &Track, config: &Config) -> Vec<Entry> {
    let landmarks = track.pair(config);
    landmarks.iter().map(|l| Entry::new(l.hash(&config.landmarks), track.posting(l))).collect()
}
