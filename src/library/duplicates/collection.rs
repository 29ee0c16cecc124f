//! All pairs of recordings that have enough in common.

use super::DuplicateOptions;
use crate::error::Result;
use crate::library::grouping::Edge;
use crate::library::joining::{Found, Joiner, Recording, STRETCH_S};
use crate::library::line::{Joint, Line, Part};
use crate::library::pipeline::lock;
use crate::store::{Reader, TrackEntry};
use crate::units::{TimeSteps, TrackId};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// One stretch is looked up in so much of a recording,
const STRETCH_EVERY_S: f64 = 50.0;
/// and so many at most.
const MOST_STRETCHES: usize = 8;
/// of which so many are looked up at other speeds.
const MOST_AT_OTHER_SPEEDS: usize = 1;

/// What is asked of a whole is asked of a stretch to this share, for its line is known less well.
const LEAST_OF_STRETCH: f64 = 0.5;

/// All tracks with what is needed of them.
pub(super) struct Collection<'a> {
    pub(super) reader: &'a Reader,
    pub(super) tracks: Vec<TrackEntry>,
    pub(super) number: HashMap<TrackId, usize>,
}

impl Collection<'_> {
    /// Looks parts of all recordings up among the others.
    pub(super) fn join(
        &self,
        joiner: &Joiner<'_, Reader>,
        options: &DuplicateOptions,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Vec<Edge>> {
        let workers = options.threads();
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let edges: Mutex<BTreeMap<(usize, usize), Edge>> = Mutex::default();
        let failed = Mutex::new(None);
        let work = || {
            while lock(&failed).is_none() {
                let i = next.fetch_add(1, Relaxed);
                if i >= self.tracks.len() {
                    break;
                }
                if let Err(error) = self.join_one(i, joiner, options, &edges) {
                    lock(&failed).get_or_insert(error);
                }
                progress(done.fetch_add(1, Relaxed) as u64 + 1, self.tracks.len() as u64);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..workers.min(self.tracks.len()) {
                scope.spawn(work);
            }
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let edges = edges.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(edges.into_values().collect())
    }

    fn join_one(
        &self,
        i: usize,
        joiner: &Joiner<'_, Reader>,
        options: &DuplicateOptions,
        edges: &Mutex<BTreeMap<(usize, usize), Edge>>,
    ) -> Result<()> {
        let track = &self.tracks[i];
        let own = Recording::of(self.reader, track.id)?;
        let mut tried: HashMap<TrackId, Vec<Line>> = HashMap::new();
        let all = stretches(track.duration_s);
        // Other speeds cost most, and go through the whole of a recording: a few stretches do.
        let every = all.len().div_ceil(MOST_AT_OTHER_SPEEDS);
        for (k, &start_s) in all.iter().enumerate() {
            let skip = |id: TrackId| match self.number.get(&id) {
                Some(&j) if j != i => {
                    lock(edges).get(&(i.min(j), i.max(j))).is_some_and(Edge::is_whole)
                }
                _ => true,
            };
            let at_others = k % every == every / 2;
            let found = joiner.find(&own.peaks, start_s, at_others, &skip)?;
            let least = LEAST_OF_STRETCH * options.least_agreement;
            for Found { track: other, line, at_s, .. } in
                found.into_iter().filter(|found| found.agreement >= least)
            {
                let Some(&j) = self.number.get(&other) else { continue };
                // The same line again, as other stretches find it.
                let at = joiner.aligner.steps(at_s);
                let lines = tried.entry(other).or_default();
                if lines.len() >= 4 || lines.iter().any(|l| l.apart(line, at) < TimeSteps(64.0)) {
                    continue;
                }
                let theirs = Recording::of(self.reader, other)?;
                let joint = joiner.aligner.extend(own.side(), theirs.side(), line, at_s);
                lines.push(joint.line);
                let edge = Edge::new(i, j, joint, track.duration_s, self.tracks[j].duration_s);
                if edge.is_strong(options) {
                    // Of what both sides find, that is kept which does not depend on who comes first.
                    let edge = if i < j { edge } else { edge.reversed() };
                    let mut edges = lock(edges);
                    let known = edges.entry((edge.a, edge.b)).or_insert_with(|| edge.clone());
                    if edge.evidence() > known.evidence() {
                        *known = edge;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Edge {
    pub(super) fn new(a: usize, b: usize, joint: Joint, a_s: f64, b_s: f64) -> Self {
        let length = |of: fn(&Part) -> f64| joint.parts.iter().map(of).sum::<f64>();
        let (in_a, in_b) = (length(|part| part.a.length_s()), length(|part| part.b.length_s()));
        Self { a, b, share_a: in_a / a_s.max(0.1), share_b: in_b / b_s.max(0.1), joint }
    }

    pub(super) fn evidence(&self) -> f64 {
        self.joint.parts.iter().map(|part| part.evidence).sum()
    }

    /// Whether nothing better is to be found: where music repeats itself, other lines are strong as well.
    fn is_whole(&self) -> bool {
        self.share_a.min(self.share_b) > 0.9 || self.share_a.max(self.share_b) > 0.98
    }

    pub(super) fn is_strong(&self, options: &DuplicateOptions) -> bool {
        let common_s: f64 = self.joint.parts.iter().map(|part| part.a.length_s()).sum();
        let weighted: f64 =
            (self.joint.parts.iter()).map(|part| part.agreement * part.a.length_s()).sum();
        let (low, high) = (self.share_a.min(self.share_b), self.share_a.max(self.share_b));
        common_s >= options.least_s
            && weighted / common_s >= options.least_agreement
            && (low >= options.share_same || high >= options.share_inside)
    }
}

/// Where stretches of a recording begin that stand for all of it.
fn stretches(duration_s: f64) -> Vec<f64> {
    let room_s = (duration_s - STRETCH_S).max(0.0);
    let count = ((duration_s / STRETCH_EVERY_S).ceil() as usize + 1).clamp(2, MOST_STRETCHES);
    if room_s < 5.0 {
        return vec![room_s / 2.0];
    }
    (0..count).map(|i| room_s * (i as f64 + 0.5) / count as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_inside_and_spread() {
        for duration_s in [1.0, 15.0, 19.0, 21.0, 60.0, 3600.0] {
            let all = stretches(duration_s);
            assert!(!all.is_empty() && all.len() <= MOST_STRETCHES);
            assert!(all.iter().all(|s| *s >= 0.0 && (s + STRETCH_S <= duration_s || *s == 0.0)));
            assert!(all.is_sorted());
        }
    }
}
