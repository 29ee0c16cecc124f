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
/// Evidence of a frame, in nats, that is usual at least: some noise has as much by chance.
const LEAST_USUAL: f64 = 0.1;
/// Share of the usual evidence from which on a frame speaks for the run.
const SHARE: f64 = 0.35;

/// How much more evidence one trail has than another from some frame on, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lead {
    pub from: u64,
    pub nats: f64,
    /// What the other one has there.
    pub theirs: f64,
}

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

    /// How much more evidence it has than another of the same frames, from `since` on.
    pub fn lead_since(&self, other: &Self, since: u64) -> Lead {
        let from = since.max(self.first);
        self.leads(other, from).last().unwrap_or_default()
    }

    /// The same from where on it has most more, which is `since` or later.
    pub fn longest_lead(&self, other: &Self, since: u64) -> Lead {
        let none = Lead::default();
        self.leads(other, since)
            .fold(none, |most, lead| if lead.nats > most.nats { lead } else { most })
    }

    /// The leads from each frame on, from the last back to `since`.
    fn leads<'t>(&'t self, other: &'t Self, since: u64) -> impl Iterator<Item = Lead> + 't {
        let at = self.index(since);
        let both = self.frames[at..].iter().zip(&other.frames[at.min(other.frames.len())..]);
        let both: Vec<_> = both.map(|(a, b)| (f64::from(a.excess), f64::from(b.excess))).collect();
        let mut lead = Lead { from: self.first + (at + both.len()) as u64, ..Lead::default() };
        both.into_iter().rev().map(move |(own, theirs)| {
            lead.from -= 1;
            lead.nats += own - theirs;
            lead.theirs += theirs;
            lead
        })
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
    (sum / frames.len().max(1) as f64).max(LEAST_USUAL)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    /// Frames of a second's 31, each with two peaks: as chance gives them, and so much more.
    fn frames(lengths_and_more: &[(usize, f32)], seed: u64) -> Vec<FrameEvidence> {
        let mut random = rng(seed);
        let mut made = Vec::new();
        for &(length, more) in lengths_and_more {
            for _ in 0..length {
                let mut frame = FrameEvidence::default();
                (frame.peaks, frame.variance) = (2, 1.0);
                // Evenly spread from −√3 to √3: variance 1.
                frame.excess = more + 3.46 * (random() - 0.5);
                made.push(frame);
            }
        }
        made
    }

    fn trail(lengths_and_more: &[(usize, f32)], seed: u64) -> Trail {
        let mut trail = Trail::new(1000);
        trail.extend_from(1000, &frames(lengths_and_more, seed));
        trail
    }

    #[test]
    fn borders_are_where_the_evidence_changes() {
        for seed in 0..20 {
            // Clear, and as faint as music under speech.
            for (more, off) in [(3.0, 5), (1.0, 45)] {
                let trail = trail(&[(400, 0.0), (500, more), (400, 0.0)], seed);
                let inside = trail.middle_since(1000);
                assert!((1400..1900).contains(&inside), "{seed} {inside}");
                let (start, end) = (trail.start_of_run(inside), trail.end_of_run(inside));
                assert!(start.abs_diff(1400) <= off && end.abs_diff(1900) <= off, "{start} {end}");
            }
        }
    }

    #[test]
    fn what_grows_faint_still_belongs_to_it() {
        for seed in 0..20 {
            let trail = trail(&[(300, 0.0), (250, 1.3), (300, 5.0), (250, 1.3), (300, 0.0)], seed);
            let (start, end) = (trail.start_of_run(1700), trail.end_of_run(1700));
            assert!(start.abs_diff(1300) < 45 && end.abs_diff(2100) < 45, "{start} {end}");
        }
    }

    #[test]
    fn leads_are_sums_over_the_frames_of_both() {
        let (own, other) = (trail(&[(100, 1.0), (200, 3.0)], 7), trail(&[(300, 2.0)], 8));
        let sum = |trail: &Trail, from: usize| -> f64 {
            trail.frames[from..].iter().map(|f| f64::from(f.excess)).sum()
        };
        for from in [0, 30, 299] {
            let lead = own.lead_since(&other, 1000 + from as u64);
            let expected = sum(&own, from) - sum(&other, from);
            assert!((lead.nats - expected).abs() < 1e-6, "{from}");
            assert!((lead.theirs - sum(&other, from)).abs() < 1e-6, "{from}");
            assert_eq!(lead.from, 1000 + from as u64);
        }
        // It falls behind at first.
        let longest = own.longest_lead(&other, 0);
        let leads = (0..300).map(|from| sum(&own, from) - sum(&other, from));
        assert!((longest.nats - leads.fold(0.0, f64::max)).abs() < 1e-6);
        assert!(longest.from.abs_diff(1100) < 20, "{longest:?}");
        assert_eq!(own.lead_since(&Trail::new(1000), 1000), Lead::default());
    }

    #[test]
    fn borders_do_not_go_beyond_what_is_there() {
        let whole = trail(&[(300, 3.0)], 4);
        assert_eq!((whole.start_of_run(1150), whole.end_of_run(1150)), (1000, 1300));
        let none = Trail::new(50);
        assert_eq!(
            (none.middle_since(0), none.start_of_run(60), none.end_of_run(60)),
            (50, 50, 50)
        );
        let mut gap = Trail::new(0);
        gap.extend_from(200, &frames(&[(100, 3.0)], 1));
        assert_eq!((gap.start_of_run(250), gap.end_of_run(250)), (200, 300));
        gap.forget_before(230);
        assert_eq!((gap.start_of_run(250), gap.end_of_run(250)), (230, 300));
        gap.forget_before(1000);
        assert_eq!(gap.end_of_run(2000), 300);
    }
}
