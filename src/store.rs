//! What a search needs of a collection, and nothing else: the seam behind which an index lies.
//!
//! A [`Store`] is one consistent snapshot of a collection. It lays its tracks end to end on a *line* of
//! blocks, each of about a second ([`Config::block_frames`]). A posting names the block in which a
//! landmark's anchor stands, no more: the exact place comes from the peaks of the best blocks. So a
//! search asks for little: the posting lists of many hashes at once, then the excerpts of a few
//! hundred stretches of the line, then the names of the few tracks that it answers with.
//!
//! Every call takes all that is wanted at once, so that a store behind a network needs one round trip
//! for each, and every call may fail. An [`Index`] is one such store. For another, [`LaidOut`] says what to keep of
//! a track, and [`conformance`] whether it is right; the example `own_store` is a small one.

use crate::calibration::Calibration;
use crate::config::Config;
use crate::error::Result;
use crate::landmark::{Landmark, LandmarkHash};
use crate::peaks::Peak;
use crate::tags::Tags;
use crate::units::TrackId;
use std::ops::Range;
use std::sync::Arc;

pub use health::{Damage, SegmentStats, Stats};
pub use index::{Index, OpenOptions};
pub use laid_out::LaidOut;
pub use merging::{MergeTask, Merged, Merging};
pub use postings::{Blocks, PostingList, Widths};
pub use reader::Reader;
pub use writer::Writer;

pub mod conformance;

mod bits;
pub(crate) mod block;
mod folder;
mod health;
mod index;
mod laid_out;
mod manifest;
mod merging;
mod mmap;
mod postings;
mod reader;
pub(crate) mod segment;
mod snapshot;
mod varint;
mod writer;

#[cfg(test)]
mod tests;

/// One snapshot of a collection, as a search reads it.
pub trait Store {
    /// What the whole collection holds.
    ///
    /// # Errors
    /// Those of the store, as for all functions here.
    fn totals(&self) -> Result<Totals>;

    /// The analysis that made all fingerprints.
    fn config(&self) -> Result<Arc<Config>> {
        Ok(self.totals()?.config)
    }

    /// What a search asks first: the [totals](Self::totals), what is found for the landmarks that say most
    /// ([`look_up`](Self::look_up)), and where the tracks lie to which it is limited
    /// ([`blocks_of`](Self::blocks_of)). A store behind a network answers all of it at once.
    fn first_look<'s>(
        &'s self,
        landmarks: &[Landmark],
        probe_steps: u32,
        tracks: &[TrackId],
    ) -> Result<FirstLook<'s>> {
        let totals = self.totals()?;
        let blocks = if tracks.is_empty() { Vec::new() } else { self.blocks_of(tracks)? };
        Ok(FirstLook { totals, blocks, found: self.look_up(landmarks, probe_steps)? })
    }

    /// The posting lists of some hashes: none for a hash that is nowhere, several for one that stands in
    /// several parts of the store. In the order of `hashes`; those of one hash in the order of their
    /// blocks.
    fn postings(&self, hashes: &[LandmarkHash]) -> Result<Vec<PostingList<'_>>>;

    /// The posting lists of a clip's landmarks: those of the hashes of each and, where a coordinate is no
    /// farther than `probe_steps` sixteenths of a cell from its edge, of the hashes across it. In the
    /// order of `landmarks`.
    ///
    /// This is what a search calls. A store that has other means than hashes has its own.
    fn look_up<'s>(&'s self, landmarks: &[Landmark], probe_steps: u32) -> Result<Vec<Found<'s>>> {
        let config = self.config()?;
        let (mut hashes, mut landmark_of) = (Vec::new(), Vec::new());
        for (i, landmark) in landmarks.iter().enumerate() {
            landmark.probe(&config.landmarks, probe_steps, |hash| {
                hashes.push(hash);
                landmark_of.push(i as u32);
            });
        }
        let found = |list: PostingList<'s>| {
            let landmark = *landmark_of.get(list.of as usize)?;
            Some(Found { landmark, list })
        };
        Ok(self.postings(&hashes)?.into_iter().filter_map(found).collect())
    }

    /// What lies in some stretches of the line, each given by its blocks: one excerpt for each track
    /// that has a part of it, in the order of `wanted`. Parts of the line where nothing lies, or a track
    /// that was removed, give none.
    fn excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>>;

    /// What is known of some tracks; `None` for those that are not there.
    fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<TrackEntry>>>;

    /// The blocks of the line in which some tracks lie, for searches that are limited to them. An empty
    /// range for those that are not there.
    fn blocks_of(&self, ids: &[TrackId]) -> Result<Vec<Range<u32>>>;
}

/// A posting list that was found for a landmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'s> {
    /// Number of the landmark among those that were looked up.
    pub landmark: u32,
    /// The list. Those of one hash have the same [`of`](PostingList::of), and follow each other.
    pub list: PostingList<'s>,
}

/// What a search asks first.
#[derive(Clone, Debug)]
pub struct FirstLook<'s> {
    /// What the whole collection holds.
    pub totals: Totals,
    /// The blocks of the tracks that were asked for, in their order.
    pub blocks: Vec<Range<u32>>,
    /// What was found for the landmarks.
    pub found: Vec<Found<'s>>,
}

/// What a whole collection holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Totals {
    /// The analysis that made all its fingerprints.
    pub config: Arc<Config>,
    /// Number of tracks.
    pub tracks: u64,
    /// Number of their frames.
    pub frames: u64,
    /// Length of the line in blocks.
    pub blocks: u32,
    /// The parts of the line where tracks were removed, ascending: nothing is found there.
    pub removed: Arc<[Range<u32>]>,
    /// The calibration that is stored with the collection. Searches go by it unless they are given another.
    pub calibration: Option<Arc<Calibration>>,
}

impl Totals {
    /// Of a collection in which nothing was removed.
    #[must_use]
    pub fn new(config: Arc<Config>, tracks: u64, frames: u64, blocks: u32) -> Self {
        Self { config, tracks, frames, blocks, removed: Arc::new([]), calibration: None }
    }

    /// Names the parts of the line where tracks were removed, in ascending order.
    #[must_use]
    pub fn with_removed(self, removed: impl Into<Arc<[Range<u32>]>>) -> Self {
        Self { removed: removed.into(), ..self }
    }

    /// Names the calibration that is stored with the collection.
    #[must_use]
    pub fn with_calibration(self, calibration: Option<Arc<Calibration>>) -> Self {
        Self { calibration, ..self }
    }
}

/// What is known of a track beside its features.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrackEntry {
    /// Its id.
    pub id: TrackId,
    /// Its name, unique in the collection.
    pub name: String,
    /// Title, artist, album.
    pub tags: Tags,
    /// Length of the audio in seconds.
    pub duration_s: f64,
}

impl TrackEntry {
    /// A track with all that must be known of it.
    #[must_use]
    pub fn new(id: TrackId, name: impl Into<String>, tags: Tags, duration_s: f64) -> Self {
        Self { id, name: name.into(), tags, duration_s }
    }
}

/// An excerpt that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Excerpted {
    /// Number of the stretch among those that were asked for.
    pub wanted: u32,
    /// What of one track lies there.
    pub excerpt: Excerpt,
}

/// A part of a track: whole blocks of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Excerpt {
    /// The track.
    pub track: TrackId,
    /// Where the track begins on the line.
    pub first_block: u32,
    /// Number of the track's frames, up to its last peak.
    pub track_frames: u32,
    /// The track's peaks in the excerpt, in the order of their frames, with their times in the track.
    pub peaks: Vec<Peak>,
    /// Number of the first of the [sub-fingerprints](crate::bands), counted from the track's beginning.
    pub first_sub_fingerprint: u32,
    /// The track's sub-fingerprints in the excerpt.
    pub sub_fingerprints: Vec<u64>,
}

impl Excerpt {
    /// A part of a track.
    #[must_use]
    pub fn new(
        track: TrackId,
        first_block: u32,
        track_frames: u32,
        peaks: Vec<Peak>,
        first_sub_fingerprint: u32,
        sub_fingerprints: Vec<u64>,
    ) -> Self {
        Self { track, first_block, track_frames, peaks, first_sub_fingerprint, sub_fingerprints }
    }
}

/// Number of blocks that so many frames take up on the line: one at least.
#[must_use]
pub fn blocks_of_frames(frames: u32, config: &Config) -> u32 {
    frames.div_ceil(config.block_frames()).max(1)
}
