//! Recordings that are in a library more than once.

use super::Library;
use super::grouping::{Edge, groups};
use super::joining::{Found, Joiner, STRETCH_S};
use super::ledger::{Outcome, Quality};
use super::line::{Joint, Line, Side};
use super::pipeline::lock;
use crate::error::Result;
use crate::fingerprint::{Fingerprint, Query};
use crate::peaks::Peak;
use crate::search::{MatchConfig, Span, SpeedRange, TrackFilter, decide, find};
use crate::store::{Reader, TrackEntry};
use crate::units::TrackId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One stretch is looked up in so much of a recording,
const STRETCH_EVERY_S: f64 = 50.0;
/// and so many at most.
const MOST_STRETCHES: usize = 8;
/// of which so many are looked up at other speeds.
const MOST_AT_OTHER_SPEEDS: usize = 1;
/// So many ways in which two may go together are tried.
const MOST_LINES: usize = 4;
/// The E-value is that of so much of what two have in common.
const JUDGED_S: f64 = 30.0;

/// What counts as a duplicate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicateOptions {
    /// How much faster or slower a copy may be. Default 4 %.
    pub speed: SpeedRange,
    /// Two recordings are the same if this share of each is in the other, 0 to 1. Default 0.6.
    pub share_same: f64,
    /// One is inside another if this share of it is in that, 0 to 1. Default 0.75.
    pub share_inside: f64,
    /// They have so many seconds in common at least. Default 5.
    pub least_s: f64,
    /// And this share of the peaks there, 0 to 1. Default 0.35.
    pub least_agreement: f64,
    /// Groups of a greater [E-value](DuplicatePair::false_alarms) are left out. Default 10⁻⁶.
    pub max_false_alarms: f64,
    /// Threads; 0 for one per core. Default 0.
    pub workers: usize,
}

impl Default for DuplicateOptions {
    fn default() -> Self {
        Self {
            speed: SpeedRange::percent(4.0).unwrap_or(SpeedRange::OFF),
            share_same: 0.6,
            share_inside: 0.75,
            least_s: 5.0,
            least_agreement: 0.35,
            max_false_alarms: 1e-6,
            workers: 0,
        }
    }
}

impl DuplicateOptions {
    fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

/// Recordings that are the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicateGroup {
    /// The copies, the best first.
    pub copies: Vec<DuplicateCopy>,
    /// Why the first is the best.
    pub why: String,
    /// How each of the others goes together with the best.
    pub pairs: Vec<DuplicatePair>,
}

/// One of several recordings that are the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicateCopy {
    /// The track.
    pub track: TrackEntry,
    /// Its files: several, if their contents are the same.
    pub files: Vec<PathBuf>,
    /// Bytes of a file.
    pub bytes: u64,
    /// What the file is.
    pub quality: Quality,
}

/// What two recordings have in common.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DuplicatePair {
    /// The best copy,
    pub best: TrackId,
    /// and another.
    pub other: TrackId,
    /// What of the best is in the other,
    pub span_best: Span,
    /// and where.
    pub span_other: Span,
    /// Speed of the other as a multiple of the best's.
    pub speed: f64,
    /// Share of the peaks of both that agree, 0 to 1.
    pub agreement: f64,
    /// How many matches at least as strong chance is expected to give, when a clip of this is searched in
    /// the library.
    pub false_alarms: f64,
}

/// All tracks with what is needed of them.
struct Collection<'a> {
    reader: &'a Reader,
    tracks: Vec<TrackEntry>,
    number: HashMap<TrackId, usize>,
}

pub(super) fn duplicates(
    library: &Library,
    options: &DuplicateOptions,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Vec<DuplicateGroup>> {
    let reader = library.reader();
    let tracks = reader.tracks().collect::<Result<Vec<_>>>()?;
    let number = tracks.iter().enumerate().map(|(i, track)| (track.id, i)).collect();
    let collection = Collection { reader: &reader, tracks, number };
    let ids: Vec<TrackId> = collection.tracks.iter().map(|track| track.id).collect();
    let joiner = Joiner::new(&reader, &ids, options.speed)?;
    let edges = collection.join(&joiner, options, progress)?;
    let mut files: HashMap<TrackId, (Vec<PathBuf>, u64, Quality)> = HashMap::new();
    let mut known: Vec<_> = library.load_ledger()?.files.into_iter().collect();
    known.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (path, entry) in known {
        if let Outcome::Track(id, quality) = entry.outcome {
            files.entry(id).or_insert_with(|| (Vec::new(), entry.size, quality)).0.push(path);
        }
    }
    let mut all = Vec::new();
    let mut grouped = groups(&edges, options.share_same);
    let in_groups: HashSet<usize> = grouped.iter().flatten().copied().collect();
    // Files of the same content are one track.
    for (i, track) in collection.tracks.iter().enumerate() {
        let several = files.get(&track.id).is_some_and(|(paths, ..)| paths.len() > 1);
        if several && !in_groups.contains(&i) {
            grouped.push(vec![i]);
        }
    }
    let made: Mutex<Vec<Result<Vec<DuplicateGroup>>>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let one = |members: &[usize]| {
        let copy = |&i: &usize| {
            let track = collection.tracks[i].clone();
            let (files, bytes, quality) = files.get(&track.id).cloned().unwrap_or_default();
            DuplicateCopy { track, files, bytes, quality }
        };
        let mut copies: Vec<DuplicateCopy> = members.iter().map(copy).collect();
        copies.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(std::cmp::Ordering::Equal));
        collection.stars(&joiner, &edges, copies, options)
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads() {
            scope.spawn(|| {
                while let Some(members) = grouped.get(next.fetch_add(1, Relaxed)) {
                    let groups = one(members);
                    lock(&made).push(groups);
                }
            });
        }
    });
    for groups in std::mem::take(&mut *lock(&made)) {
        all.extend(groups?);
    }
    // In the order of their tracks, whichever thread was first.
    all.sort_by_key(|group| {
        let mut ids: Vec<TrackId> = group.copies.iter().map(|copy| copy.track.id).collect();
        ids.sort_unstable();
        ids
    });
    Ok(all)
}

/// By which copies are compared: first what is best.
fn rank(copy: &DuplicateCopy) -> (bool, u64, bool, u32, u64, std::cmp::Reverse<u32>) {
    let quality = &copy.quality;
    // Lengths that differ by less than a tenth do not count.
    let length = (copy.track.duration_s.max(1.0).ln() / 1.1f64.ln()).round() as u64;
    let rate = (copy.bytes as f64 / copy.track.duration_s.max(0.1)) as u64;
    let lossless = quality.is_lossless();
    let id = std::cmp::Reverse(copy.track.id.0);
    (quality.is_complete(), length, lossless, quality.sample_rate_hz, rate, id)
}

fn why(best: &DuplicateCopy, second: &DuplicateCopy) -> String {
    let (a, b) = (rank(best), rank(second));
    if a.0 != b.0 {
        "nothing of it was lost in decoding".into()
    } else if a.1 != b.1 {
        format!(
            "it is longer: {:.1} s, not {:.1} s",
            best.track.duration_s, second.track.duration_s
        )
    } else if a.2 != b.2 {
        format!("it is lossless ({})", best.quality.codec)
    } else if a.3 != b.3 {
        let [x, y] = [best, second].map(|copy| copy.quality.sample_rate_hz);
        format!("it has a higher sample rate: {x} Hz, not {y} Hz")
    } else if a.4 != b.4 {
        format!("it has more bytes per second: {}, not {}", a.4, b.4)
    } else {
        "there is no difference; it was there first".into()
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

fn side(fingerprint: &Fingerprint) -> Side<'_> {
    Side { peaks: fingerprint.peaks(), duration_s: fingerprint.duration_s() }
}

impl Collection<'_> {
    /// All pairs that have enough in common.
    fn join(
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
        if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            return Err(error);
        }
        let edges = edges.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
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
        let own = self.reader.fingerprint(track.id)?;
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
            let found = joiner.find(own.peaks(), start_s, at_others, &skip)?;
            for Found { track: other, line, at_s } in found {
                let Some(&j) = self.number.get(&other) else { continue };
                // The same line again, as other stretches find it.
                let at = |l: &Line| l.ratio * joiner.aligner.steps(at_s) + l.offset;
                let lines = tried.entry(other).or_default();
                if lines.len() >= 4 || lines.iter().any(|l| (at(l) - at(&line)).abs() < 64.0) {
                    continue;
                }
                let theirs = self.reader.fingerprint(other)?;
                let joint = joiner.aligner.extend(side(&own), side(&theirs), line, at_s);
                lines.push(joint.line);
                let edge = Edge::new(i, j, joint, track.duration_s, self.tracks[j].duration_s);
                if edge.is_strong(options) {
                    // Of what both sides find, that is kept which does not depend on who comes first.
                    let edge = if i < j { edge } else { edge.reversed(&joiner.aligner) };
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

    /// Groups of copies, the best first, each of which goes together with the best by itself, and not by way of
    /// others only. Where music repeats itself, one may go with several: the strongest counts.
    fn stars(
        &self,
        joiner: &Joiner<'_, Reader>,
        edges: &[Edge],
        copies: Vec<DuplicateCopy>,
        options: &DuplicateOptions,
    ) -> Result<Vec<DuplicateGroup>> {
        let mut of: Vec<Option<(usize, DuplicatePair, f64)>> = vec![None; copies.len()];
        let mut centres: Vec<usize> = Vec::new();
        for i in 0..copies.len() {
            if of[i].is_some() {
                continue;
            }
            centres.push(i);
            for (j, known) in of.iter_mut().enumerate() {
                if centres.contains(&j) {
                    continue;
                }
                let [best, other] = [i, j].map(|i| copies[i].track.id);
                let pair = self.pair(joiner, edges, best, other, options)?;
                if let Some((pair, evidence)) = pair
                    && known.as_ref().is_none_or(|known| known.2 < evidence)
                {
                    *known = Some((i, pair, evidence));
                }
            }
        }
        let mut groups = Vec::new();
        for i in centres {
            let mut group = vec![copies[i].clone()];
            let mut pairs = Vec::new();
            for (copy, of) in copies.iter().zip(&of) {
                if let Some((_, pair, _)) = of.as_ref().filter(|of| of.0 == i) {
                    group.push(copy.clone());
                    pairs.push(pair.clone());
                }
            }
            if group.len() > 1 || group[0].files.len() > 1 {
                let why = group.get(1).map_or_else(
                    || "all files have the same content".to_owned(),
                    |second| why(&group[0], second),
                );
                groups.push(DuplicateGroup { copies: group, why, pairs });
            }
        }
        Ok(groups)
    }

    /// How two recordings of a group go together, if nothing else by way of a third.
    fn pair(
        &self,
        joiner: &Joiner<'_, Reader>,
        edges: &[Edge],
        best: TrackId,
        other: TrackId,
        options: &DuplicateOptions,
    ) -> Result<Option<(DuplicatePair, f64)>> {
        let (Some(&a), Some(&b)) = (self.number.get(&best), self.number.get(&other)) else {
            return Ok(None);
        };
        let line_of = |from: usize, to: usize| {
            edges.iter().find_map(|edge| match (edge.a, edge.b) {
                (x, y) if (x, y) == (from, to) => Some(edge.joint.line),
                (y, x) if (x, y) == (from, to) => {
                    let line = edge.joint.line;
                    Some(Line { ratio: 1.0 / line.ratio, offset: -line.offset / line.ratio })
                }
                _ => None,
            })
        };
        // Where music repeats itself, a pair may have been found at a wrong turn; the way by a third tells.
        let through = |c: usize| {
            let (first, second) = (line_of(a, c)?, line_of(c, b)?);
            let ratio = first.ratio * second.ratio;
            Some(Line { ratio, offset: second.ratio * first.offset + second.offset })
        };
        let mut thirds: Vec<usize> = (edges.iter())
            .filter(|edge| edge.a == a || edge.b == a)
            .map(|edge| if edge.a == a { edge.b } else { edge.a })
            .filter(|&c| c != b)
            .collect();
        thirds.dedup();
        let mut lines: Vec<Line> = Vec::new();
        for line in line_of(a, b).into_iter().chain(thirds.into_iter().filter_map(through)) {
            if lines.len() < MOST_LINES
                && lines.iter().all(|l| (l.offset - line.offset).abs() > 64.0)
            {
                lines.push(line);
            }
        }
        let (ours, theirs) = (self.reader.fingerprint(best)?, self.reader.fingerprint(other)?);
        let mut edge: Option<Edge> = None;
        for line in lines {
            // The middle of what can be in both.
            let back = Line { ratio: 1.0 / line.ratio, offset: -line.offset / line.ratio };
            let from_s = joiner.aligner.across_s(back, 0.0).max(0.0);
            let end_s = joiner.aligner.across_s(back, theirs.duration_s());
            let at_s = (from_s + end_s.min(ours.duration_s())) / 2.0;
            let joint = joiner.aligner.extend(side(&ours), side(&theirs), line, at_s);
            let new = Edge::new(a, b, joint, ours.duration_s(), theirs.duration_s());
            if edge.as_ref().is_none_or(|known| known.evidence() < new.evidence()) {
                edge = Some(new);
            }
        }
        let Some(edge) = edge.filter(|edge| edge.is_strong(options)) else { return Ok(None) };
        let evidence = edge.evidence();
        let joint = edge.joint;
        let Some(first) = joint.parts.first() else { return Ok(None) };
        let last = joint.parts.last().unwrap_or(first);
        let longest = joint
            .parts
            .iter()
            .max_by(|x, y| x.a.length_s().total_cmp(&y.a.length_s()))
            .unwrap_or(first);
        let false_alarms = self.judge(joiner, &theirs, longest.b, best, joint.line.ratio)?;
        if false_alarms > options.max_false_alarms {
            return Ok(None);
        }
        let pair = DuplicatePair {
            best,
            other,
            span_best: Span { start_s: first.a.start_s, end_s: last.a.end_s },
            span_other: Span { start_s: first.b.start_s, end_s: last.b.end_s },
            // What takes less time is faster.
            speed: 1.0 / joint.line.ratio,
            agreement: longest.agreement,
            false_alarms,
        };
        Ok(Some((pair, evidence)))
    }

    /// The E-value of a stretch of a recording in another.
    fn judge(
        &self,
        joiner: &Joiner<'_, Reader>,
        fingerprint: &Fingerprint,
        span: Span,
        track: TrackId,
        ratio: f64,
    ) -> Result<f64> {
        let percent = 100.0 * (ratio.ln().abs().exp() - 1.0);
        let speed = if percent < 0.3 { 0.0 } else { (percent + 0.5).min(50.0) };
        let middle_s = (span.start_s + span.end_s) / 2.0;
        let half_s = (span.length_s() / 2.0).min(JUDGED_S / 2.0);
        let from = joiner.aligner.steps(middle_s - half_s).max(0.0) as u32;
        let to = joiner.aligner.steps(middle_s + half_s).max(0.0) as u32;
        let inside = |p: &&Peak| (from..to).contains(&p.time);
        let shift = from - from % 16;
        let peaks: Vec<Peak> = (fingerprint.peaks().iter().filter(inside))
            .map(|p| Peak { time: p.time - shift, ..*p })
            .collect();
        let config = self.reader.config();
        let Ok(query) = Query::from_parts(peaks, None, 2.0 * half_s + 0.5, config) else {
            return Ok(f64::INFINITY);
        };
        let matching = MatchConfig {
            filter: TrackFilter::Only([track].into()),
            speed: SpeedRange::percent(speed)?,
            max_false_alarms: f64::INFINITY,
            ..MatchConfig::default()
        };
        let found = decide(&[find(self.reader, &query, &matching)?], &matching)?;
        Ok(found.first().map_or(f64::INFINITY, |m| m.false_alarms))
    }
}

impl Edge {
    fn new(a: usize, b: usize, joint: Joint, a_s: f64, b_s: f64) -> Self {
        let length = |of: fn(&super::line::Part) -> f64| joint.parts.iter().map(of).sum::<f64>();
        let (in_a, in_b) = (length(|part| part.a.length_s()), length(|part| part.b.length_s()));
        Self { a, b, share_a: in_a / a_s.max(0.1), share_b: in_b / b_s.max(0.1), joint }
    }

    fn evidence(&self) -> f64 {
        self.joint.parts.iter().map(|part| part.evidence).sum()
    }

    /// Whether nothing better is to be found: where music repeats itself, other lines are strong as well.
    fn is_whole(&self) -> bool {
        self.share_a.min(self.share_b) > 0.9 || self.share_a.max(self.share_b) > 0.98
    }

    fn is_strong(&self, options: &DuplicateOptions) -> bool {
        let common_s: f64 = self.joint.parts.iter().map(|part| part.a.length_s()).sum();
        let weighted: f64 =
            (self.joint.parts.iter()).map(|part| part.agreement * part.a.length_s()).sum();
        let (low, high) = (self.share_a.min(self.share_b), self.share_a.max(self.share_b));
        common_s >= options.least_s
            && weighted / common_s >= options.least_agreement
            && (low >= options.share_same || high >= options.share_inside)
    }
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
