//! How the copies of a group go together with the best one.

use super::best::why;
use super::collection::Collection;
use super::{DuplicateCopy, DuplicateGroup, DuplicateOptions, DuplicatePair};
use crate::error::Result;
use crate::fingerprint::Query;
use crate::library::grouping::Edge;
use crate::library::joining::{Joiner, Recording};
use crate::library::line::Line;
use crate::peaks::Peak;
use crate::search::{MatchConfig, Span, SpeedRange, decide, find_placed};
use crate::store::Reader;
use crate::units::{TimeSteps, TrackId};

/// So many ways in which two may go together are tried.
const MOST_LINES: usize = 4;
/// The E-value is that of so much of what two have in common.
const JUDGED_S: f64 = 30.0;
/// Logarithm of a ratio that counts as the own speed.
const OWN_SPEED: f64 = 0.003;

impl Collection<'_> {
    /// Groups of copies, the best first, each of which goes together with the best by itself, and not by way of
    /// others only. Where music repeats itself, one may go with several: the strongest counts.
    pub(super) fn stars(
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
                (y, x) if (x, y) == (from, to) => Some(edge.joint.line.reversed()),
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
        let (ours, theirs) =
            (Recording::of(self.reader, best)?, Recording::of(self.reader, other)?);
        let mut edge: Option<Edge> = None;
        for line in lines {
            // The middle of what can be in both.
            let back = line.reversed();
            let from_s = joiner.aligner.across_s(back, 0.0).max(0.0);
            let end_s = joiner.aligner.across_s(back, theirs.duration_s);
            let at_s = (from_s + end_s.min(ours.duration_s)) / 2.0;
            let joint = joiner.aligner.extend(ours.side(), theirs.side(), line, at_s);
            let new = Edge::new(a, b, joint, ours.duration_s, theirs.duration_s);
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
        let back = (joint.line.reversed(), options.speed);
        let false_alarms = self.judge(joiner, &theirs, longest.b, best, back)?;
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

    /// The E-value of a stretch of a recording in another, a track, to which it goes along a line.
    fn judge(
        &self,
        joiner: &Joiner<'_, Reader>,
        recording: &Recording,
        span: Span,
        track: TrackId,
        (line, speed): (Line, SpeedRange),
    ) -> Result<f64> {
        let middle_s = (span.start_s + span.end_s) / 2.0;
        let half_s = (span.length_s() / 2.0).min(JUDGED_S / 2.0);
        let peak_time = |s: f64| TimeSteps(joiner.aligner.steps(s).0.max(0.0) as u32);
        let (from, to) = (peak_time(middle_s - half_s), peak_time(middle_s + half_s));
        let inside = |p: &&Peak| (from..to).contains(&p.time);
        let shift = TimeSteps::of_frame(from.whole_frame());
        let peaks: Vec<Peak> = (recording.peaks.iter().filter(inside))
            .map(|p| Peak { time: p.time.since(shift), ..*p })
            .collect();
        let config = self.reader.config();
        let Ok(query) = Query::from_parts(peaks, None, 2.0 * half_s + 0.5, config) else {
            return Ok(f64::INFINITY);
        };
        let matching =
            MatchConfig { speed, max_false_alarms: f64::INFINITY, ..MatchConfig::default() };
        // A speed so little off is the same for as long as is judged.
        let ratio = if line.ratio.ln().abs() < OWN_SPEED { 1.0 } else { line.ratio };
        // What stands in the middle of the stretch stays where it is.
        let middle = f64::from(to.0 - from.0) / 2.0;
        let there = line.at(TimeSteps(middle + f64::from(shift.0)));
        let offset = TimeSteps(there.0 - ratio * middle);
        let found = find_placed(self.reader, &query, track, (offset, ratio), &matching)?;
        let found = decide(&[found], &matching)?;
        Ok(found.first().map_or(f64::INFINITY, |m| m.false_alarms))
    }
}
