//! Reads one state of an index.

use crate::calibration::Calibration;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, Query};
use crate::landmark::LandmarkHash;
use crate::peaks::Peak;
use crate::search::{Match, MatchConfig};
use crate::store::snapshot::Snapshot;
use crate::store::{Excerpted, PostingList, Store, Totals, TrackEntry};
use crate::units::TrackId;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

/// One state of an [`Index`](crate::store::Index): what later commits do is not seen.
///
/// A clone is as cheap as that of an [`Arc`], and many threads may use one reader. While there is one, the
/// segments that it reads are kept, even if later commits did without them.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) snapshot: Arc<Snapshot>,
}

impl Reader {
    /// The analysis of all its fingerprints.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// Counts the commits that led to this state.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.snapshot.generation
    }

    /// Number of tracks.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.snapshot.totals.tracks
    }

    /// Whether there is no track.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of all tracks in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.snapshot.duration_s
    }

    /// The calibration that is stored with the index.
    #[must_use]
    pub fn calibration(&self) -> Option<&Arc<Calibration>> {
        self.snapshot.totals.calibration.as_ref()
    }

    /// All tracks, in the order of their ids.
    pub fn tracks(&self) -> impl Iterator<Item = Result<TrackEntry>> {
        self.snapshot.parts.iter().flat_map(move |part| {
            // A part that cannot be opened is told once.
            let open = self.snapshot.try_part(part, |_, _| Ok(()));
            let numbers = matches!(open, Ok(Some(()))).then(|| part.numbers());
            let entries = numbers.into_iter().flatten();
            let entries = entries.filter_map(move |number| {
                self.snapshot.try_part(part, |part, _| part.entry(number)).transpose()
            });
            open.err().map(Err).into_iter().chain(entries)
        })
    }

    /// The track with that name.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where what must be looked at is damaged, as for all functions here.
    pub fn find(&self, name: &str) -> Result<Option<TrackEntry>> {
        let found = self.snapshot.find_name(name)?;
        found.map(|(part, number, _)| part.entry(number)).transpose()
    }

    /// The track with that id.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn track(&self, id: TrackId) -> Result<Option<TrackEntry>> {
        let found = self.snapshot.find(id)?;
        found.map(|(part, number, _)| part.entry(number)).transpose()
    }

    /// The fingerprint of a track, as it was added.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`], [`Error::Corrupt`].
    pub fn fingerprint(&self, id: TrackId) -> Result<Fingerprint> {
        let (peaks, words, duration_s) = self.features(id)?;
        Ok(Fingerprint::from_parts(peaks, words, duration_s, self.config()))
    }

    /// The peaks of a track, its sub-fingerprints, and its duration in seconds.
    pub(crate) fn features(&self, id: TrackId) -> Result<(Vec<Peak>, Vec<u64>, f64)> {
        let (part, _, placed) = self.snapshot.find(id)?.ok_or(Error::NoSuchTrack { id })?;
        let (mut peaks, mut words) = (Vec::new(), Vec::new());
        part.segment()?.decode(&placed, 0..placed.block_count(), &mut peaks, &mut words)?;
        Ok((peaks, words, placed.duration_s))
    }

    /// Finds where a clip comes from, best match first: see [`search`](crate::search::search).
    ///
    /// # Errors
    /// Those of [`find`](crate::search::find).
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        crate::search::search(self, query, config)
    }

    /// Finds where else a stored fingerprint is heard, without its audio: see
    /// [`search_fingerprint`](crate::search::search_fingerprint).
    ///
    /// # Errors
    /// Those of [`search_fingerprint`](crate::search::search_fingerprint).
    pub fn search_fingerprint(
        &self,
        fingerprint: &Fingerprint,
        config: &MatchConfig,
    ) -> Result<Vec<Match>> {
        crate::search::search_fingerprint(self, fingerprint, config)
    }

    /// What was damaged, where that was passed over: see
    /// [`OpenOptions::skip_damaged`](crate::store::OpenOptions::skip_damaged).
    #[must_use]
    pub fn damage(&self) -> Vec<String> {
        let damage = self.snapshot.damage.as_ref();
        damage.map(|d| d.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }
}

impl Store for Reader {
    fn totals(&self) -> Result<Totals> {
        Ok(self.snapshot.totals.clone())
    }

    fn postings(&self, hashes: &[LandmarkHash]) -> Result<Vec<PostingList<'_>>> {
        let mut lists = Vec::new();
        for part in &self.snapshot.parts {
            self.snapshot.try_part(part, |_, _| {
                part.segment()?.look_up(hashes, |hash, list| {
                    let (len, base, bytes) = (list.len, part.base, list.bytes.into());
                    let (widths, first_bit) = (list.widths, list.first_bit);
                    lists.push(PostingList { of: hash, len, base, widths, first_bit, bytes });
                })
            })?;
        }
        // Of each part, they are in order: this merges them, and leaves those of a hash in the order of
        // parts.
        lists.sort_by_key(|list| list.of);
        Ok(lists)
    }

    fn excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>> {
        let mut excerpts = Vec::with_capacity(wanted.len());
        for (wanted, range) in (0..).zip(wanted) {
            for part in self.snapshot.parts_in(range) {
                let line = part.line();
                let blocks = range.start.max(line.start) - line.start
                    ..range.end.min(line.end).saturating_sub(line.start);
                self.snapshot.try_part(part, |part, segment| {
                    for number in segment.numbers_in(blocks.clone())? {
                        if !part.is_removed(number) {
                            let placed = segment.placed(number)?;
                            let excerpt = segment.excerpt(&placed, blocks.clone(), part.base)?;
                            excerpts.push(Excerpted { wanted, excerpt });
                        }
                    }
                    Ok(())
                })?;
            }
        }
        Ok(excerpts)
    }

    fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<TrackEntry>>> {
        ids.iter().map(|&id| self.track(id)).collect()
    }

    fn blocks_of(&self, ids: &[TrackId]) -> Result<Vec<Range<u32>>> {
        let blocks = |id: &TrackId| {
            let found = self.snapshot.find(*id)?;
            Ok(found.map_or(0..0, |(part, _, placed)| {
                part.base + placed.blocks.0..part.base + placed.blocks.1
            }))
        };
        ids.iter().map(blocks).collect()
    }
}
