//! The evidence of a run, frame by frame, and where it begins and ends.
//!
//! While a track plays, its frames have more evidence than chance gives; before and after, as much. Where
//! the one becomes the other, the sum of the evidence less a share of what is usual while it plays is
//! greatest (E. S. Page, "Continuous inspection schemes", 1954). How much is usual changes when someone
//! speaks over the music, so it is measured close to the border. Beyond it, farther stretches are
//! tried: music that grows faint has less in each frame, but no less on the whole.

use crate::evidence::peaks::FrameEvidence;

/// Frames close to a border by which is told what is usual: three seconds,
const CLOSE_FRAMES: usize = 94;
/// Stretches beyond a border that may belong to the run, in frames: one second to half a minute.
const STRETCHES: [usize; 6] = [32, 64, 128, 256, 512, 1024];
/// z-score from which on such a stretch does.
const BELONGS_Z: f64 = 4.0;
/// Share of the usual evidence from which on a frame speaks for the run.
const SHARE: f64 = 0.35;

/// Evidence of consecutive frames of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    /// The number of the first frame.
    first: u64,
    frames: Vec<FrameEvidence>,
}

impl Trail {
    /// None as yet; the first frame to come is this one.
    pub fn new(first: u64) -> Self {
        Self { first, frames: Vec::new() }
    }

    /// Adds the evidence of frames from `first` on. Between what is there and these, there is nothing.
    pub fn extend_from(&mut self, first: u64, frames: &[FrameEvidence]) {
        let silent = first.saturating_sub(self.first + self.frames.len() as u64);
        self.frames.resize(self.frames.len() + silent as usize, FrameEvidence::default());
        self.frames.extend_from_slice(frames);
    }

    /// Forgets the frames before this one.
    pub fn forget_before(&mut self, frame: u64) {
        let gone = frame.saturating_sub(self.first).min(self.frames.len() as u64);
        self.frames.drain(..gone as usize);
        self.first += gone;
    }

    /// The middle of the stretch of the last frames, from `since` on, that has most evidence.
    pub fn middle_since(&self, since: u64) -> u64 {
        let at = self.index(since);
        let recent = &self.frames[at..];
        let less = SHARE * usual(recent);
        let (mut begin, mut sum, mut most, mut best) = (0, 0.0, 0.0, 0..recent.len());
        for (i, frame) in recent.iter().enumerate() {
            if sum <= 0.0 {
                (begin, sum) = (i, 0.0);
            }
            sum += f64::from(frame.excess) - less;
            if sum > most {
                (most, best) = (sum, begin..i + 1);
            }
        }
        self.first + (at + best.start.midpoint(best.end)) as u64
    }

    /// The last frame of the run + 1, which goes on at `inside` at least.
    pub fn end_of_run(&self, inside: u64) -> u64 {
        let at = self.index(inside);
        self.first + (at + outward(&self.frames[..at], &self.frames[at..])) as u64
    }

    /// The first frame of the run, which has begun by `inside`.
    pub fn start_of_run(&self, inside: u64) -> u64 {
        let at = self.index(inside);
        let reversed: Vec<FrameEvidence> = self.frames.iter().rev().copied().collect();
        let (after, before) = reversed.split_at(reversed.len() - at);
        self.first + (at - outward(after, before)) as u64
    }

    fn index(&self, frame: u64) -> usize {
        frame.saturating_sub(self.first).min(self.frames.len() as u64) as usize
    }
}

/// How many of the frames beyond belong to a run. It is known to hold those `inside`, the last of which
/// comes before the first beyond.
fn outward(inside: &[FrameEvidence], beyond: &[FrameEvidence]) -> usize {
    let mut held = 0;
    loop {
        let close: Vec<FrameEvidence> =
            inside.iter().chain(&beyond[..held]).rev().take(CLOSE_FRAMES).copied().collect();
        held += climb(&beyond[held..], usual(&close));
        let rest = &beyond[held..];
        let belongs = |&&length: &&usize| {
            length <= rest.len() && FrameEvidence::deviations(&rest[..length]) > BELONGS_Z
        };
        let Some(&length) = STRETCHES.iter().find(belongs) else { return held };
        let stretch = &rest[..length];
        held += climb(stretch, usual(stretch)).max(1);
    }
}

/// The evidence of a frame, on average.
fn usual(frames: &[FrameEvidence]) -> f64 {
    let sum: f64 = frames.iter().map(|f| f64::from(f.excess)).sum();
    (sum / frames.len().max(1) as f64).max(0.01)
}

/// Up to where the sum of evidence, less a share of what is usual, is greatest.
fn climb(frames: &[FrameEvidence], usual: f64) -> usize {
    let (mut best, mut most, mut sum) = (0, 0.0, 0.0);
    for (i, frame) in frames.iter().enumerate() {
        sum += f64::from(frame.excess) - SHARE * usual;
        if sum > most {
            (best, most) = (i + 1, sum);
        }
    }
    best
}
