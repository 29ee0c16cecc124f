//! Stretches that occur several times, in one recording or across them: jingles, advertisements, loops.

use super::Library;
use super::joining::{Joiner, Recording, STRETCH_S};
use super::line::Line;
use super::pipeline::lock;
use crate::error::Result;
use crate::search::{Span, SpeedRange};
use crate::store::TrackEntry;
use crate::units::{TimeSteps, TrackId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Stretches begin so far apart.
const STEP_S: f64 = STRETCH_S / 2.0;
/// A recording goes together with another along so many lines at most.
const MOST_LINES: usize = 64;
/// A recording that goes together with itself less than this much later is just itself.
const SELF_S: f64 = 1.0;

/// What counts as a repeat.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RepeatOptions {
    /// Shorter stretches are left out, in seconds. Default 4.
    pub least_s: f64,
    /// Stretches that are this share of both recordings make these duplicates, and are left out, 0 to 1. Default
    /// 0.6.
    pub share_same: f64,
    /// They have this share of the peaks in common, 0 to 1. Default 0.35.
    pub least_agreement: f64,
    /// Threads; 0 for one per core. Default 0.
    pub workers: usize,
}

impl Default for RepeatOptions {
    fn default() -> Self {
        Self { least_s: 4.0, share_same: 0.6, least_agreement: 0.35, workers: 0 }
    }
}

/// A stretch that occurs several times.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Repeat {
    /// Length in seconds, of the middle one by length.
    pub length_s: f64,
    /// Where it is: the tracks in the order of their ids, with the spans.
    pub occurrences: Vec<(TrackEntry, Span)>,
}

/// A stretch of a track that is elsewhere as well.
type Node = (usize, Span);

pub(super) fn repeats(library: &Library, options: &RepeatOptions) -> Result<Vec<Repeat>> {
    let reader = library.reader();
    let tracks = reader.tracks().collect::<Result<Vec<_>>>()?;
    let number: HashMap<TrackId, usize> =
        tracks.iter().enumerate().map(|(i, track)| (track.id, i)).collect();
    let ids: Vec<TrackId> = tracks.iter().map(|track| track.id).collect();
    let joiner = Joiner::new(&reader, &ids, SpeedRange::OFF)?;
    let pairs: Mutex<Vec<(Node, Node)>> = Mutex::default();
    let failed = Mutex::new(None);
    let next = AtomicUsize::new(0);
    let one = |i: usize| -> Result<()> {
        let own = Recording::of(&reader, tracks[i].id)?;
        let mut lines: HashMap<usize, Vec<Line>> = HashMap::new();
        let mut start_s = 0.0;
        while start_s == 0.0 || start_s + STRETCH_S / 2.0 < own.duration_s {
            for found in joiner.find(&own.peaks, start_s, false, &|_| false)? {
                let Some(&j) = number.get(&found.track) else { continue };
                let at = joiner.aligner.steps(found.at_s);
                let known = lines.entry(j).or_default();
                let shift_s = joiner.aligner.across_s(found.line, found.at_s) - found.at_s;
                // Of two directions, one is enough.
                if j < i
                    || (j == i && shift_s < SELF_S)
                    || known.len() >= MOST_LINES
                    || known.iter().any(|l| l.apart(found.line, at) < TimeSteps(24.0))
                {
                    continue;
                }
                let theirs = Recording::of(&reader, found.track)?;
                let (a, b) = (own.side(), theirs.side());
                let joint = joiner.aligner.extend(a, b, found.line, found.at_s);
                known.push(joint.line);
                let common_s: f64 = joint.parts.iter().map(|part| part.a.length_s()).sum();
                if j != i && common_s / own.duration_s.max(theirs.duration_s) >= options.share_same
                {
                    continue;
                }
                let good = joint.parts.iter().filter(|part| {
                    part.a.length_s() >= options.least_s
                        && part.agreement >= options.least_agreement
                });
                lock(&pairs).extend(good.map(|part| ((i, part.a), (j, part.b))));
            }
            start_s += STEP_S;
        }
        Ok(())
    };
    let workers = match options.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while lock(&failed).is_none() {
                    let i = next.fetch_add(1, Relaxed);
                    if i >= tracks.len() {
                        break;
                    }
                    if let Err(error) = one(i) {
                        lock(&failed).get_or_insert(error);
                    }
                }
            });
        }
    });
    if let Some(error) = lock(&failed).take() {
        return Err(error);
    }
    let mut pairs = std::mem::take(&mut *lock(&pairs));
    // Whichever thread came first.
    let key = |pair: &(Node, Node)| {
        let ms = |s: f64| (1e3 * s) as i64;
        (pair.0.0, pair.1.0, ms(pair.0.1.start_s), ms(pair.1.1.start_s))
    };
    pairs.sort_by_key(key);
    let mut repeats: Vec<Repeat> = clusters(&pairs)
        .into_iter()
        .map(|occurrences| {
            let mut lengths: Vec<f64> = occurrences.iter().map(|o| o.1.length_s()).collect();
            lengths.sort_by(f64::total_cmp);
            let length_s = lengths[lengths.len() / 2];
            let named = |(i, span): Node| (tracks[i].clone(), span);
            Repeat { length_s, occurrences: occurrences.into_iter().map(named).collect() }
        })
        .collect();
    repeats.sort_by(|x, y| {
        let worth = |r: &Repeat| r.length_s * (r.occurrences.len() as f64 - 1.0);
        worth(y).total_cmp(&worth(x))
    });
    Ok(repeats)
}

/// Occurrences of the same, from pairs of them: stretches of one track that are mostly the same are one.
fn clusters(pairs: &[(Node, Node)]) -> Vec<Vec<Node>> {
    let nodes: Vec<Node> = pairs.iter().flat_map(|pair| [pair.0, pair.1]).collect();
    let mut root: Vec<usize> = (0..nodes.len()).collect();
    fn find(root: &mut [usize], mut of: usize) -> usize {
        while root[of] != of {
            root[of] = root[root[of]];
            of = root[of];
        }
        of
    }
    let mut by_track: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, node) in nodes.iter().enumerate() {
        by_track.entry(node.0).or_default().push(n);
    }
    let is_one = |x: &Span, y: &Span| x.overlap_s(y) >= 0.6 * x.length_s().max(y.length_s());
    for of_track in by_track.values() {
        for (k, &x) in of_track.iter().enumerate() {
            for &y in &of_track[k + 1..] {
                if is_one(&nodes[x].1, &nodes[y].1) {
                    let (x, y) = (find(&mut root, x), find(&mut root, y));
                    root[x.max(y)] = x.min(y);
                }
            }
        }
    }
    for n in (0..nodes.len()).step_by(2) {
        let (x, y) = (find(&mut root, n), find(&mut root, n + 1));
        root[x.max(y)] = x.min(y);
    }
    let mut groups: BTreeMap<usize, Vec<Node>> = BTreeMap::new();
    for (n, node) in nodes.iter().enumerate() {
        let root = find(&mut root, n);
        let group = groups.entry(root).or_default();
        let known = group.iter_mut().find(|k| k.0 == node.0 && is_one(&k.1, &node.1));
        if known.is_none() {
            group.push(*node);
        }
    }
    let mut groups: Vec<Vec<Node>> = groups.into_values().filter(|g| g.len() > 1).collect();
    for group in &mut groups {
        group.sort_by(|x, y| x.0.cmp(&y.0).then(x.1.start_s.total_cmp(&y.1.start_s)));
    }
    groups
}
