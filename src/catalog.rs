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

/// Frames left free after each track, so that no alignment can belong to two of them.
const GAP_FRAMES: u32 = 1 << 6;

/// What the caller says of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackInfo {
    /// Unique within an index: a path, a catalogue number, … At most
    /// [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) long.
    pub name: String,
    /// Title, artist and album, each at most [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) long.
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
        let Tags { title, artist, album } = &self.tags;
        let tags = [("title", title), ("artist", artist), ("album", album)];
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
        Ok(Self {
            config,
            tracks: Vec::new(),
            by_name: HashMap::new(),
            next_id: 0,
            next_frame: GAP_FRAMES,
        })
    }

    /// Adds a stored track, or says what the rest relies on that is not so.
    pub(crate) fn restore(&mut self, track: Track) -> Result<(), &'static str> {
        let in_order = track.first_frame.0 >= self.next_frame && track.id.0 >= self.next_id;
        let end = track.first_frame.0.checked_add(track.frames);
        if !in_order || end.and_then(|end| end.checked_add(GAP_FRAMES)).is_none() {
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
        tracks.fold(GAP_FRAMES.into(), |sum, t| sum + u64::from(t.frames) + u64::from(GAP_FRAMES))
    }

    /// Moves all tracks to where they lie end to end again.
    pub(crate) fn close_holes(&mut self) {
        self.next_frame = GAP_FRAMES;
        for track in &mut self.tracks {
            track.first_frame = FrameIndex(self.next_frame);
            self.next_frame += track.frames + GAP_FRAMES;
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
        let needed = u64::from(frames(fingerprint)) + u64::from(GAP_FRAMES);
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
        self.next_frame = track.first_frame.0 + track.frames + GAP_FRAMES;
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

    /// The track that a frame of the global line belongs to (or whose gap it lies in), if it is
    /// still here.
    pub(crate) fn locate(&self, frame: u32) -> Option<&Track> {
        let after = self.tracks.partition_point(|t| t.first_frame.0 <= frame);
        let track = &self.tracks[after.checked_sub(1)?];
        track.line().contains(&frame).then_some(track)
    }
}

/// Frames of the global line that a track takes up: all up to its last peak, and one for rounding.
fn frames(fingerprint: &Fingerprint) -> u32 {
    fingerprint.peaks().iter().map(|p| p.time / STEPS).max().unwrap_or(0) + 2
}

impl Track {
    /// The frames of the global line that belong to it, with the gap that follows.
    pub(crate) fn line(&self) -> Range<u32> {
        self.first_frame.0..self.first_frame.0 + self.frames + GAP_FRAMES
    }

    /// The landmarks of the track, made again from its peaks.
    pub(crate) fn pair(&self, config: &Config) -> Vec<Landmark> {
        pair_all(&self.peaks, &config.landmarks, config.landmarks.reference_fan_out)
    }

    /// The frame on the global line that a landmark of this track is posted at.
    pub(crate) fn posting(&self, landmark: &Landmark) -> u32 {
        self.first_frame.0 + landmark.time.saturating_add(STEPS / 2) / STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track of 10 frames, whose last has a peak.
    fn track(id: u32, first_frame: u32, name: &str) -> Track {
        Track {
            id: TrackId(id),
            info: TrackInfo::named(name),
            duration_s: 1.0,
            landmarks: 0,
            first_frame: FrameIndex(first_frame),
            frames: 10,
            peaks: vec![Peak {
                time: 10 * STEPS - 1,
                bin: 1,
                contrast: 1,
                rank: 1,
                level: 195,
                phase: 0,
            }],
            sub_fingerprints: Vec::new(),
        }
    }

    #[test]
    fn holes_are_closed_in_order() {
        let mut catalog = Catalog::new(Config::default()).unwrap();
        assert!(!catalog.is_mostly_holes());
        let length = 10 + GAP_FRAMES;
        for (id, first_frame) in [(3, 100), (4, 500), (9, u32::MAX - length)] {
            catalog.restore(track(id, first_frame, &id.to_string())).unwrap();
        }
        assert!(catalog.is_mostly_holes());
        catalog.remove(TrackId(4)).unwrap();
        catalog.close_holes();
        assert!(!catalog.is_mostly_holes());
        let lines: Vec<Range<u32>> = catalog.tracks().iter().map(Track::line).collect();
        let [first, second] = [GAP_FRAMES, GAP_FRAMES + length];
        assert_eq!(lines, [first..first + length, second..second + length]);
        assert_eq!(catalog.locate(second).unwrap().id, TrackId(9));
        assert!(catalog.locate(second + length).is_none());
        assert_eq!(catalog.next_id(), 10);
    }

    #[test]
    fn stored_tracks_that_cannot_be_are_refused() {
        let mut catalog = Catalog::new(Config::default()).unwrap();
        catalog.restore(track(3, 100, "a")).unwrap();
        let beside = 110 + GAP_FRAMES;
        let long = |frames| Track { frames, ..track(4, beside, "b") };
        for (refused, why) in [
            (track(4, 100, "b"), "its tracks overlap"),
            (track(4, beside - 1, "b"), "its tracks overlap"),
            (track(3, beside, "b"), "its tracks overlap"),
            (long(u32::MAX - beside), "its tracks overlap"),
            (long(u32::MAX), "its tracks overlap"),
            (long(9), "a track's peaks lie outside it"),
            (track(u32::MAX, beside, "b"), "a track's peaks lie outside it"),
            (track(4, beside, "a"), "two tracks have the same name"),
        ] {
            assert_eq!(catalog.restore(refused), Err(why));
            assert_eq!(catalog.tracks().len(), 1);
        }
        catalog.restore(track(4, beside, "b")).unwrap();
        catalog.reserve_ids(2);
        assert_eq!(catalog.next_id(), 5);
        catalog.reserve_ids(9);
        assert_eq!(catalog.next_id(), 9);
        assert_eq!(catalog.find("b").unwrap().id, TrackId(4));
    }
}
