//! From pairs that go together to groups that are the same.
//!
//! To be the same is passed on: if A is B and B is C, then A is C. To be inside is not: two songs that are both
//! in one mix are two songs. So recordings that are mostly the same are joined first. Those that are inside a
//! longer one join it, if they are the same stretch of it; otherwise each stretch makes a group of its own
//! with the longer one.

use super::line::{Joint, Part};
use crate::search::Span;
use std::collections::BTreeMap;

/// Two recordings with something in common.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub a: usize,
    pub b: usize,
    /// Share of each that is in the other.
    pub share_a: f64,
    pub share_b: f64,
    pub joint: Joint,
}

impl Edge {
    /// The same, from the other side.
    pub fn reversed(self) -> Self {
        let turned = |part: &Part| Part { a: part.b, b: part.a, ..*part };
        let parts = self.joint.parts.iter().map(turned).collect();
        let joint = Joint { line: self.joint.line.reversed(), parts };
        Self { a: self.b, b: self.a, share_a: self.share_b, share_b: self.share_a, joint }
    }
}

/// Sets that are joined.
struct Sets(BTreeMap<usize, usize>);

impl Sets {
    fn root(&mut self, mut of: usize) -> usize {
        while let Some(&above) = self.0.get(&of) {
            if above == of {
                break;
            }
            of = above;
        }
        self.0.entry(of).or_insert(of);
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0.insert(a.max(b), a.min(b));
    }
}

/// The groups of recordings, by their numbers. One may be in several.
pub(super) fn groups(edges: &[Edge], share_same: f64) -> Vec<Vec<usize>> {
    let mut sets = Sets(BTreeMap::new());
    let is_same = |edge: &Edge| edge.share_a.min(edge.share_b) >= share_same;
    for edge in edges {
        sets.root(edge.a);
        sets.root(edge.b);
        if is_same(edge) {
            sets.join(edge.a, edge.b);
        }
    }
    // For each longer one, which shorter ones are inside it, and where.
    let mut inside: BTreeMap<usize, BTreeMap<usize, Span>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| !is_same(edge)) {
        let (long, short, span) = match edge.share_a > edge.share_b {
            true => (edge.b, edge.a, hull(edge.joint.parts.iter().map(|part| part.b))),
            false => (edge.a, edge.b, hull(edge.joint.parts.iter().map(|part| part.a))),
        };
        let (long, short) = (sets.root(long), sets.root(short));
        if long != short {
            inside.entry(long).or_default().entry(short).or_insert(span);
        }
    }
    let all: Vec<usize> = sets.0.keys().copied().collect();
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for one in all {
        members.entry(sets.root(one)).or_default().push(one);
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut taken: Vec<usize> = Vec::new();
    for (long, shorts) in &inside {
        let mut spans: Vec<(Span, usize)> = shorts.iter().map(|(&s, &span)| (span, s)).collect();
        spans.sort_by(|x, y| x.0.start_s.total_cmp(&y.0.start_s).then(x.1.cmp(&y.1)));
        let mut clusters: Vec<(Span, Vec<usize>)> = Vec::new();
        for (span, short) in spans {
            let shares =
                |other: &Span| span.overlap_s(other) >= 0.5 * span.length_s().min(other.length_s());
            match clusters.iter_mut().find(|(other, _)| shares(other)) {
                Some((other, shorts)) => {
                    *other = hull([*other, span].into_iter());
                    shorts.push(short);
                }
                None => clusters.push((span, vec![short])),
            }
        }
        for (_, shorts) in clusters {
            let mut group = members.get(long).cloned().unwrap_or_default();
            for short in shorts {
                group.extend(members.get(&short).into_iter().flatten());
                taken.push(short);
            }
            taken.push(*long);
            group.sort_unstable();
            group.dedup();
            groups.push(group);
        }
    }
    for (root, of_set) in &members {
        if of_set.len() > 1 && !taken.contains(root) {
            groups.push(of_set.clone());
        }
    }
    // A group within another says nothing new.
    let within =
        |x: &Vec<usize>, y: &Vec<usize>| x.len() < y.len() && x.iter().all(|i| y.contains(i));
    let kept: Vec<Vec<usize>> = (groups.iter())
        .filter(|group| !groups.iter().any(|other| within(group, other)))
        .cloned()
        .collect();
    let mut kept = kept;
    kept.sort();
    kept.dedup();
    kept
}

fn hull(spans: impl Iterator<Item = Span>) -> Span {
    spans
        .reduce(|x, y| Span { start_s: x.start_s.min(y.start_s), end_s: x.end_s.max(y.end_s) })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::line::Line;

    fn edge(a: usize, b: usize, shares: (f64, f64), in_a: (f64, f64)) -> Edge {
        let span = |(start_s, end_s): (f64, f64)| Span { start_s, end_s };
        let part = Part { a: span(in_a), b: span((0.0, 10.0)), agreement: 0.8, evidence: 99.0 };
        let joint = Joint { line: Line { ratio: 1.0, offset: 0.0 }, parts: vec![part] };
        Edge { a, b, share_a: shares.0, share_b: shares.1, joint }
    }

    #[test]
    fn the_same_is_passed_on_and_inside_is_not() {
        let same = |a, b| edge(a, b, (0.9, 0.9), (0.0, 100.0));
        assert_eq!(groups(&[same(1, 2), same(2, 5), same(7, 8)], 0.6), [vec![1, 2, 5], vec![7, 8]]);
        // A mix, 1, with two songs, of one of which there are two copies.
        let mix = [
            edge(1, 2, (0.3, 0.95), (0.0, 100.0)),
            edge(1, 3, (0.3, 0.95), (110.0, 200.0)),
            same(3, 4),
        ];
        assert_eq!(groups(&mix, 0.6), [vec![1, 2], vec![1, 3, 4]]);
        // Two cuts of the same stretch are one group with the whole.
        let cuts = [
            edge(1, 2, (0.3, 0.95), (0.0, 100.0)),
            edge(1, 3, (0.2, 0.95), (20.0, 90.0)),
            same(1, 9),
        ];
        assert_eq!(groups(&cuts, 0.6), [vec![1, 2, 3, 9]]);
        // A jingle in two songs does not join them.
        let jingle = [edge(1, 5, (0.1, 0.95), (0.0, 10.0)), edge(2, 5, (0.1, 0.95), (30.0, 40.0))];
        assert_eq!(groups(&jingle, 0.6), [vec![1, 5], vec![2, 5]]);
    }
}
