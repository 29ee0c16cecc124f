//! The hash index: which tracks have a landmark with this hash, and when.
//!
//! Postings live in sorted, immutable segments. Adding a track makes a small segment, and segments
//! of like size are merged, so that adding stays cheap and looking up stays possible at any time.
//! A removed track is forgotten at once; its postings go at the next save.

use crate::catalog::{Catalog, Track, TrackInfo};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, Query};
use crate::landmark::Landmark;
use crate::search::candidates::{Hits, LandmarkIndex, MAX_HITS};
use crate::search::{Match, MatchConfig};
use crate::segment::{Entry, Postings, Segment};
use crate::storage;
use crate::units::TrackId;
use std::ops::Range;
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
            let before: Vec<Range<u32>> = self.catalog.tracks().iter().map(Track::line).collect();
            if close_holes {
                self.catalog.close_holes();
            }
            let tracks = self.catalog.tracks();
            whole.move_postings(|frame| {
                let at = before.partition_point(|line| line.start <= frame).checked_sub(1)?;
                let moved = before[at].start - tracks[at].first_frame.0;
                before[at].contains(&frame).then(|| frame - moved)
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
        let config = self.catalog.config().landmarks.clone();
        let mut track = self.catalog.place(info, fingerprint);
        let landmarks = fingerprint.landmarks().iter();
        let entry = |l: &Landmark| Entry::new(l.hash(&config), track.posting(l));
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

impl LandmarkIndex for HashIndex {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn find(&self, landmarks: &[Landmark], config: &MatchConfig, hits: &mut Hits) {
        let pairing = &self.catalog.config().landmarks;
        let (mut lists, mut found) = (Vec::new(), Vec::new());
        for (i, landmark) in landmarks.iter().enumerate() {
            landmark.probe(pairing, config.probe_steps, |hash| {
                let first = lists.len();
                let of_hash = self.segments.iter().map(|segment| segment.find(hash));
                lists.extend(of_hash.filter(|postings| postings.len() > 0));
                let postings = lists[first..].iter().map(Postings::len).sum();
                if postings > 0 {
                    found.push(Found { landmark: i, postings, lists: first..lists.len() });
                }
            });
        }
        let longest = longest(&found);
        let all: usize = found.iter().map(|f| f.postings).filter(|n| *n <= longest).sum();
        // Where there are too many hits, some landmarks all over the clip stand for the others.
        let each = all.div_ceil(MAX_HITS).max(1);
        for Found { landmark, postings, lists: of_hash } in found {
            if postings <= longest && landmark.is_multiple_of(each) {
                hits.begin(landmark, postings);
                lists[of_hash].iter().for_each(|postings| hits.extend(postings.clone()));
            }
        }
    }
}

/// What a hash of a query's landmark is found at.
struct Found {
    landmark: usize,
    postings: usize,
    /// One for each segment that has any.
    lists: Range<usize>,
}

/// Fewer hits than this are all taken.
const FEW_HITS: usize = 10_000;

/// The commonest hashes, which hold half of all hits, say least and cost most: lists longer than
/// this are left out. No clip was lost by it in experiments, and some at three quarters.
fn longest(found: &[Found]) -> usize {
    let mut lengths: Vec<usize> = found.iter().map(|found| found.postings).collect();
    lengths.sort_unstable();
    let enough = (lengths.iter().sum::<usize>() / 2).max(FEW_HITS);
    let mut hits = 0;
    let last = lengths.into_iter().find(|length| {
        hits += length;
        hits >= enough
    });
    last.unwrap_or(usize::MAX)
}

fn entries(track: &Track, config: &Config) -> Vec<Entry> {
    let landmarks = track.pair(config);
    landmarks.iter().map(|l| Entry::new(l.hash(&config.landmarks), track.posting(l))).collect()
}
