//! A track as a store of another make keeps it.

use super::Excerpt;
use crate::bands::FRAMES;
use crate::config::Config;
use crate::fingerprint::Fingerprint;
use crate::landmark::LandmarkHash;
use crate::units::TrackId;
use std::ops::Range;

/// A track as it lies on the [line](super): what a store of one's own must keep, and what it answers.
///
/// A store that keeps each track's fingerprint, its first block on the line and the postings of all tracks has
/// what a search asks for. The example `own_store` is one.
///
/// ```
/// use earmark::store::{LaidOut, conformance};
/// use earmark::{Config, TrackId};
/// let config = Config::default();
/// let (_, fingerprint) = &conformance::recordings(&config, 1, 7)[0];
/// let track = LaidOut::new(fingerprint, &config);
/// // Put behind 100 blocks of other tracks, it takes up these of the line:
/// let place = 100..100 + track.blocks();
/// for (_, block) in track.postings() {
///     assert!(place.contains(&(place.start + block)));
/// }
/// let all = track.excerpt(TrackId(3), place.start, &place).unwrap();
/// assert_eq!(all.peaks, fingerprint.peaks());
/// ```
#[derive(Clone, Debug)]
pub struct LaidOut<'f> {
    fingerprint: &'f Fingerprint,
    config: &'f Config,
    frames: u32,
}

impl<'f> LaidOut<'f> {
    /// A track of a fingerprint, which was made with `config`.
    #[must_use]
    pub fn new(fingerprint: &'f Fingerprint, config: &'f Config) -> Self {
        let last = fingerprint.peaks().iter().map(|peak| peak.time.whole_frame()).max();
        Self { fingerprint, config, frames: last.map_or(0, |last| last.saturating_add(2)) }
    }

    /// Number of frames, up to the last peak and one more: what is counted in
    /// [`Totals::frames`](super::Totals::frames).
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Number of blocks that it takes up on the line: one at least.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        let words = self.fingerprint.sub_fingerprints().len().saturating_mul(FRAMES);
        let frames = self.frames.max(u32::try_from(words).unwrap_or(u32::MAX));
        frames.div_ceil(self.config.block_frames()).max(1)
    }

    /// Its postings: the hash of each landmark and the block in which its anchor stands, counted from the
    /// track's first. In no order, and some several times.
    pub fn postings(&self) -> impl Iterator<Item = (LandmarkHash, u32)> {
        let (config, last) = (self.config, self.blocks() - 1);
        self.fingerprint.landmarks().iter().map(move |landmark| {
            let frame = landmark.time.nearest_frame();
            (landmark.hash(&config.landmarks), (frame / config.block_frames()).min(last))
        })
    }

    /// What it has in some blocks of the line, on which it begins at `first_block`. `None` if it is not there.
    #[must_use]
    pub fn excerpt(&self, id: TrackId, first_block: u32, line: &Range<u32>) -> Option<Excerpt> {
        let end = first_block.saturating_add(self.blocks()).min(line.end);
        let start = line.start.max(first_block);
        if start >= end {
            return None;
        }
        let frames_of =
            |block: u32| (block - first_block).saturating_mul(self.config.block_frames());
        let frames = frames_of(start)..frames_of(end);
        let (peaks, words) = (self.fingerprint.peaks(), self.fingerprint.sub_fingerprints());
        let first = peaks.partition_point(|peak| peak.time.nearest_frame() < frames.start);
        let after = peaks.partition_point(|peak| peak.time.nearest_frame() < frames.end);
        let word = |frame: u32| (frame as usize / FRAMES).min(words.len());
        Some(Excerpt::new(
            id,
            first_block,
            self.frames,
            peaks.get(first..after).unwrap_or_default().to_vec(),
            word(frames.start) as u32,
            words.get(word(frames.start)..word(frames.end)).unwrap_or_default().to_vec(),
        ))
    }
}
