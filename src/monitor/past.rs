//! The last minute of a stream, as far as it is needed to find where an event began.

use super::lookup::{Clip, InCommon, Line, Lookup};
use super::trail::Trail;
use crate::error::Result;
use crate::evidence::peaks::{FrameEvidence, LevelMap};
use crate::store::Store;
use std::collections::VecDeque;

/// The last frames of a window are known for certain in the next only.
const EDGE_FRAMES: u64 = 8;
/// Seconds that can be looked back.
pub(super) const LOOK_BACK_S: f64 = 60.0;

/// Consecutive frames of the stream.
pub(super) struct Part {
    pub first: u64,
    levels: LevelMap,
}

impl Part {
    fn end(&self) -> u64 {
        self.first + self.levels.frames() as u64
    }

    /// The evidence of each frame for a line.
    pub fn evidence(
        &self,
        index: &Lookup<'_, impl Store + ?Sized>,
        line: &Line,
        hop_s: f64,
    ) -> Result<Vec<FrameEvidence>> {
        index.by_frame(&self.levels, self.first as f64 * hop_s, line)
    }
}

/// The last minute.
pub(super) struct Past {
    parts: VecDeque<Part>,
    /// Frames that are known for certain.
    certain: u64,
    hop_s: f64,
}

impl Past {
    pub fn new(hop_s: f64) -> Self {
        Self { parts: VecDeque::new(), certain: 0, hop_s }
    }

    /// Number of the frames that are known for certain, counted from the beginning of the stream.
    pub fn certain(&self) -> u64 {
        self.certain
    }

    /// Takes what a window that ends with frame `end` − 1 adds to what is certain; gives it, if there is
    /// any. At the end of the stream, all is certain.
    pub fn take(&mut self, clip: &Clip, end: u64, is_last: bool) -> Option<&Part> {
        let frames = clip.query.levels().frames() as u64;
        let begin = end - frames;
        let certain = if is_last { end } else { end - EDGE_FRAMES.min(frames) };
        let first = self.certain.max(begin);
        if certain <= first {
            return None;
        }
        let part = (first - begin) as usize..(certain - begin) as usize;
        self.parts.push_back(Part { first, levels: clip.query.levels().part(part) });
        self.certain = certain;
        let oldest = certain.saturating_sub((LOOK_BACK_S / self.hop_s) as u64);
        while self.parts.front().is_some_and(|part| part.end() <= oldest) {
            self.parts.pop_front();
        }
        self.parts.back()
    }

    /// Passes over frames up to `end` in which there is nothing.
    pub fn pass(&mut self, end: u64) {
        self.certain = end.max(self.certain);
    }

    /// What `one` has of the peaks by which `other` is found from frame `begin` to `end`.
    pub fn in_common(
        &self,
        index: &Lookup<'_, impl Store + ?Sized>,
        one: &Line,
        other: &Line,
        (begin, end): (u64, u64),
    ) -> Result<InCommon> {
        let mut common = InCommon::default();
        for part in &self.parts {
            let within = |frame: u64| frame.clamp(part.first, part.end()) - part.first;
            let frames = within(begin) as usize..within(end) as usize;
            if frames.is_empty() {
                continue;
            }
            let begin_s = part.first as f64 * self.hop_s;
            common.add(index.in_common_on(&part.levels, begin_s, one, other, &frames)?);
        }
        Ok(common)
    }

    /// The evidence of all of it for a line.
    pub fn trail(&self, index: &Lookup<'_, impl Store + ?Sized>, line: &Line) -> Result<Trail> {
        let mut trail = Trail::new(self.parts.front().map_or(self.certain, |part| part.first));
        for part in &self.parts {
            trail.extend_from(part.first, &part.evidence(index, line, self.hop_s)?);
        }
        Ok(trail)
    }
}
