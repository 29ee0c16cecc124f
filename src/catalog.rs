//! The tracks of an index: who they are, their peaks and sub-fingerprints, and where they lie on the
//! global time line.
//!
//! All tracks are laid end to end on one line of frames, with gaps between them, so that a posting
//! is a single number and an alignment of a clip with a track is a single difference.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::landmark::{Landmark, pair_all};
use crate::packing::check_order;
use crate::peaks::{Peak, STEPS};
use crate::tags::Tags;
use crate::units::{FrameIndex, TrackId};
#[cfg(feature = "parallel")]
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;

/// What the caller says of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackInfo {
    /// Unique within an index: a path, a catalogue number, … At most
    /// [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) long.
    pub name: String,
    /// Title, artist, album and so on, each at most [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) long.
    pub tags: Tags,
}

impl TrackInfo {
    /// Greatest length of a name or tag in bytes of UTF-8: 1 MiB.
    pub const MAX_TEXT_BYTES: usize = 1 << 20;

    /// A track with a name and no tags.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), tags: Tags::default() }
    }

    /// Refuses what is too long.
    pub(crate) fn check(&self) -> Result<()> {
        let Tags { title, artist, album, isrc, musicbrainz_id, .. } = &self.tags;
        let tags = [
            ("title", title),
            ("artist", artist),
            ("album", album),
            ("ISRC", isrc),
            ("MusicBrainz id", musicbrainz_id),
        ];
        let tags = tags.map(|(field, tag)| (field, tag.as_deref().unwrap_or_default()));
        for (field, text) in [("name", self.name.as_str())].into_iter().chain(tags) {
            let (bytes, limit) = (text.len(), Self::MAX_TEXT_BYTES);
            if bytes > limit {
                return Err(Error::TextTooLong { field, bytes, limit });
            }
        }
        Ok(())
    }
}

/// One track of a [`Catalog`].
#[derive(Clone, Debug)]
pub struct Track {
    /// Its id.
    pub id: TrackId,
    /// Name and tags.
    pub info: TrackInfo,
    /// Length of the audio in seconds.
    pub duration_s: f64,
    /// Number of landmarks.
    pub landmarks: u32,
    /// Where it begins on the global line.
    pub(crate) first_frame: FrameIndex,
    /// Number of its frames, beyond the last anchor.
    pub(crate) frames: u32,
    /// Its peaks, in the order of their frames.
    pub peaks: Vec<Peak>,
    /// Its [sub-fingerprints](crate::bands).
    pub sub_fingerprints: Vec<u64>,
}

/// All tracks of an index, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Catalog {
    config: Config,
    /// In the order of ids and of frames.
    tracks: Vec<Track>,
    by_name: HashMap<String, TrackId>,
    next_id: u32,
    next_frame: u32,
}

impl Catalog {
    /// An empty catalog for fingerprints made with `config`.
    ///
    /// # Errors
    /// [`Error::Config`] where it is out of range.
    pub fn new(config: Config) -> Result<Self> {
        config.validate()?;
        Ok(Self { config, tracks: Vec::new(), by_name: HashMap::new(), next_id: 0, next_frame: 0 })
    }

    /// Adds a stored track, or says what the rest relies on that is not so.
    pub(crate) fn restore(&mut self, track: Track) -> Result<(), &'static str> {
        let in_order = track.first_frame.0 >= self.next_frame && track.id.0 >= self.next_id;
        let whole = track.first_frame.0.is_multiple_of(self.config.block_frames());
        let blocks = track.frames.checked_next_multiple_of(self.config.block_frames());
        let end = blocks.and_then(|frames| track.first_frame.0.checked_add(frames));
        if !in_order || !whole || end.is_none() {
            return Err("its tracks overlap");
        }
        let inside = |p: &Peak| p.time / STEPS < track.frames;
        if !track.peaks.iter().all(inside) || track.id.0 == u32::MAX {
            return Err("a track's peaks lie outside it");
        }
        if !self.may_be_picked(&track.peaks) {
            return Err("a track's peaks are closer than peaks can be");
        }
        if self.by_name.contains_key(&track.info.name) {
            return Err("two tracks have the same name");
        }
        self.add(track);
        Ok(())
    }

    /// Whether peaks come on in time as those of a picker do. Pairing, which compares each with all that
    /// are near, would not come to an end of others.
    fn may_be_picked(&self, peaks: &[Peak]) -> bool {
        // Those of a frame are farther apart than the radius.
        let of_frame = self.config.stft.bins() / (self.config.peaks.freq_radius_bins + 1) + 1;
        // So many later, a peak is two frames on, each refined by half of one at most.
        let later = peaks.iter().skip(2 * of_frame);
        peaks.iter().zip(later).all(|(peak, later)| later.time.saturating_sub(peak.time) >= STEPS)
    }

    /// Gives ids from there on only.
    pub(crate) fn reserve_ids(&mut self, next_id: u32) {
        self.next_id = self.next_id.max(next_id);
    }

    /// The configuration of all its fingerprints.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tracks, in the order in which they were added.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track with that id.
    #[must_use]
    pub fn get(&self, id: TrackId) -> Option<&Track> {
        self.tracks.binary_search_by_key(&id, |t| t.id).ok().map(|i| &self.tracks[i])
    }

    /// The track with that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Track> {
        self.by_name.get(name).and_then(|&id| self.get(id))
    }

    /// Length of all tracks in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.tracks.iter().map(|t| t.duration_s).sum()
    }

    /// Whether the holes that removed tracks left on the global line are longer than what is there.
    pub(crate) fn is_mostly_holes(&self) -> bool {
        2 * self.line_frames(None) < u64::from(self.next_frame)
    }

    /// Length of the global line without holes, and without one of the tracks.
    fn line_frames(&self, but: Option<TrackId>) -> u64 {
        let tracks = self.tracks.iter().filter(|t| Some(t.id) != but);
        let block_frames = u64::from(self.config.block_frames());
        tracks.map(|t| u64::from(t.frames).next_multiple_of(block_frames)).sum()
    }

    /// Moves all tracks to where they lie end to end again.
    pub(crate) fn close_holes(&mut self) {
        let block_frames = self.config.block_frames();
        self.next_frame = 0;
        for track in &mut self.tracks {
            track.first_frame = FrameIndex(self.next_frame);
            self.next_frame += track.frames.next_multiple_of(block_frames);
        }
    }

    /// Number of frames of all tracks.
    pub(crate) fn frames(&self) -> u64 {
        self.tracks.iter().map(|t| u64::from(t.frames)).sum()
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Checks all that could keep a track from being added, once the one of the same name is removed,
    /// and from being stored and read again. Says whether the holes of the global line must be closed
    /// for it.
    ///
    /// # Errors
    /// [`Error::ConfigMismatch`], [`Error::Corrupt`], [`Error::TextTooLong`] or [`Error::IndexFull`].
    pub(crate) fn check(&self, info: &TrackInfo, fingerprint: &Fingerprint) -> Result<bool> {
        if fingerprint.config_id() != self.config.id() {
            let (expected, found) = (self.config.id(), fingerprint.config_id());
            return Err(Error::ConfigMismatch { expected, found });
        }
        check_order(fingerprint.peaks()).map_err(|e| fingerprint.corrupt(e))?;
        if !self.may_be_picked(fingerprint.peaks()) {
            return Err(fingerprint.corrupt("its peaks are closer than peaks can be"));
        }
        info.check()?;
        self.next_id.checked_add(1).ok_or(Error::IndexFull)?;
        let needed =
            u64::from(frames(fingerprint)).next_multiple_of(self.config.block_frames().into());
        let fits = |line_frames: u64| line_frames + needed <= u32::MAX.into();
        if fits(self.next_frame.into()) {
            return Ok(false);
        }
        let old = self.find(&info.name).map(|track| track.id);
        if fits(self.line_frames(old)) { Ok(true) } else { Err(Error::IndexFull) }
    }

    /// The track that [`add`](Self::add) takes, as yet without its peaks and sub-fingerprints. It has
    /// been [checked](Self::check).
    pub(crate) fn place(&self, info: TrackInfo, fingerprint: &Fingerprint) -> Track {
        Track {
            id: TrackId(self.next_id),
            info,
            duration_s: fingerprint.duration_s(),
            landmarks: fingerprint.landmarks().len() as u32,
            first_frame: FrameIndex(self.next_frame),
            frames: frames(fingerprint),
            peaks: Vec::new(),
            sub_fingerprints: Vec::new(),
        }
    }

    /// Adds the track that was [placed](Self::place) last.
    pub(crate) fn add(&mut self, track: Track) {
        self.by_name.insert(track.info.name.clone(), track.id);
        self.next_frame =
            track.first_frame.0 + track.frames.next_multiple_of(self.config.block_frames());
        self.next_id = track.id.0 + 1;
        self.tracks.push(track);
    }

    /// Removes a track and returns it.
    ///
    /// # Errors
    /// [`Error::NoSuchTrack`].
    pub(crate) fn remove(&mut self, id: TrackId) -> Result<Track> {
        let at = self.tracks.binary_search_by_key(&id, |t| t.id);
        let track = self.tracks.remove(at.map_err(|_| Error::NoSuchTrack { id })?);
        self.by_name.remove(&track.info.name);
        Ok(track)
    }

    /// What `each` makes of all tracks, in their order; on all cores with the feature `parallel`.
    pub(crate) fn flat_map<T: Send>(
        &self,
        each: impl Fn(&Track) -> Vec<T> + Sync + Send,
    ) -> Vec<T> {
        #[cfg(feature = "parallel")]
        let made = self.tracks.par_iter().flat_map_iter(each).collect();
        #[cfg(not(feature = "parallel"))]
        let made = self.tracks.iter().flat_map(each).collect();
        made
    }

    /// The tracks that have a part of some blocks of the line.
    pub(crate) fn overlapping(&self, blocks: &Range<u32>) -> impl Iterator<Item = &Track> {
        let block_frames = self.config.block_frames();
        let end = blocks.end;
        let first = self.tracks.partition_point(|t| t.blocks(block_frames).end <= blocks.start);
        let rest = self.tracks[first..].iter();
        rest.take_while(move |t| t.blocks(block_frames).start < end)
    }

    /// The blocks of the line that belong to no track.
    pub(crate) fn holes(&self) -> Vec<Range<u32>> {
        let block_frames = self.config.block_frames();
        let mut holes = Vec::new();
        let mut next = 0;
        for blocks in self.tracks.iter().map(|t| t.blocks(block_frames)) {
            if next < blocks.start {
                holes.push(next..blocks.start);
            }
            next = blocks.end;
        }
        holes.extend((next < self.line_blocks()).then(|| next..self.line_blocks()));
        holes
    }

    /// Length of the line in blocks.
    pub(crate) fn line_blocks(&self) -> u32 {
        self.next_frame / self.config.block_frames()
    }
}

/// Frames of the global line that a track takes up: all up to its last peak, and one for rounding.
fn frames(fingerprint: &Fingerprint) -> u32 {
    fingerprint.peaks().iter().map(|p| p.time / STEPS).max().unwrap_or(0) + 2
}

impl Track {
    /// The blocks of the line in which it lies.
    pub(crate) fn blocks(&self, block_frames: u32) -> Range<u32> {
        let first = self.first_frame.0 / block_frames;
        first..first + self.frames.div_ceil(block_frames)
    }

    /// The landmarks of the track, made again from its peaks.
    pub(crate) fn pair(&self, config: &Config) -> Vec<Landmark> {
        pair_all(&self.peaks, &config.landmarks, config.landmarks.reference_fan_out)
    }

    /// The block of the line that a landmark of this track is posted at.
    pub(crate) fn posting(&self, landmark: &Landmark, block_frames: u32) -> u32 {
        (self.first_frame.0 + landmark.time / STEPS) / block_frames
    }
}
