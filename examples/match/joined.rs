//! The matches of a long clip's pieces, joined to those of the whole clip.

use earmark::{Match, MatchConfig, Span, TrackId};
use std::collections::HashSet;

/// A track that is played on is at most so far from where it is expected, and at a tempo that
/// differs by no more than this share.
const AT_MOST_OFF_S: f64 = 0.5;
const AT_MOST_FASTER: f64 = 0.005;

/// What was found so far.
#[derive(Default)]
pub struct Joined {
    /// Each with the number of the last piece in which it was found.
    lines: Vec<(usize, Match)>,
    pieces: usize,
    /// Tracks whose audio is the same somewhere, both ways round.
    alike: HashSet<(TrackId, TrackId)>,
}

impl Joined {
    /// Takes the matches of the next piece, which begins there in the clip.
    pub fn add(&mut self, found: Vec<Match>, begin_s: f64) {
        self.pieces += 1;
        for mut m in found {
            if let Some(other) = m.same_as {
                self.alike.extend([(m.track, other), (other, m.track)]);
            }
            m.query = Span { start_s: m.query.start_s + begin_s, end_s: m.query.end_s + begin_s };
            m.offset_s -= m.speed * begin_s;
            let line = self
                .lines
                .iter_mut()
                .rev()
                .find(|(piece, line)| self.pieces - piece <= 1 && goes_on(line, &m, begin_s));
            match line {
                Some((piece, line)) => {
                    *piece = self.pieces;
                    join(line, m);
                }
                None => self.lines.push((self.pieces, m)),
            }
        }
    }

    /// The matches of the whole clip. Chance had as many opportunities as there are pieces: so often
    /// are false alarms to be expected.
    pub fn finish(self, config: &MatchConfig) -> Vec<Match> {
        let mut lines: Vec<Match> = self.lines.into_iter().map(|(_, line)| line).collect();
        lines.iter_mut().for_each(|m| m.false_alarms *= self.pieces as f64);
        lines.retain(|m| m.false_alarms <= config.max_false_alarms);
        lines.sort_by(|a, b| a.false_alarms.total_cmp(&b.false_alarms));
        let mut kept: Vec<Match> = Vec::new();
        for mut m in lines {
            if kept.len() >= config.max_matches {
                break;
            }
            let overlapping: Vec<&Match> = kept.iter().filter(|k| overlap(k, &m)).collect();
            // A track that repeats itself.
            if overlapping.iter().any(|k| k.track == m.track) {
                continue;
            }
            let mut better = overlapping.iter();
            let same = better.find(|k| self.alike.contains(&(k.track, m.track)));
            let same_as = same.map(|k| k.same_as.unwrap_or(k.track));
            m.same_as = same_as;
            kept.push(m);
        }
        kept
    }
}

/// Whether two matches are of mostly the same part of the clip.
fn overlap(a: &Match, b: &Match) -> bool {
    a.query.overlap_s(&b.query) > 0.5 * a.query.length_s().min(b.query.length_s())
}

/// Whether a match goes on with what another one found, at the time in the clip where they meet.
fn goes_on(line: &Match, m: &Match, at_s: f64) -> bool {
    let in_track_s = |m: &Match| m.offset_s + m.speed * at_s;
    line.track == m.track
        && (in_track_s(line) - in_track_s(m)).abs() <= AT_MOST_OFF_S
        && (line.speed / m.speed - 1.0).abs() <= AT_MOST_FASTER
}

fn join(line: &mut Match, m: Match) {
    let union =
        |a: Span, b: Span| Span { start_s: a.start_s.min(b.start_s), end_s: a.end_s.max(b.end_s) };
    let (query, reference) = (union(line.query, m.query), union(line.reference, m.reference));
    let votes = line.votes.saturating_add(m.votes);
    if m.false_alarms < line.false_alarms {
        *line = m;
    }
    (line.query, line.reference, line.votes) = (query, reference, votes);
}
