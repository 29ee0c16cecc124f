//! Clips that are searched in pieces, which may be of any length.

use super::config::MatchConfig;
use super::matches::{Match, Span};
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, Fingerprinter, Query};
use crate::store::Store;
use crate::units::TrackId;
use std::collections::HashSet;

/// Stretches of a long fingerprint have so much in common: what is as short lies in one of them wholly.
const OVERLAP_S: f64 = 10.0;
/// Matches of a stretch at least, so that none is missing between two others that go together.
const MATCHES_PER_STRETCH: usize = 16;

/// Finds where a stored fingerprint is heard, best match first, without its audio: for copies and
/// parts of a track in a collection, or for what a long recording is made of. It may be of any length:
/// beyond [`Fingerprinter::DEFAULT_MAX_QUERY_S`] it is searched in stretches, and their matches are
/// [joined](Joined).
///
/// A fingerprint keeps fewer peaks than a query, and no spectrogram: what is found has less evidence than
/// it would have for the audio. A track that is in the store finds itself, unless a
/// [filter](MatchConfig::filter) leaves it out.
///
/// # Errors
/// [`Error::Featureless`] where nothing in it can be looked up, and those of [`find`](super::find).
pub fn search_fingerprint(
    store: &(impl Store + ?Sized),
    fingerprint: &Fingerprint,
    config: &MatchConfig,
) -> Result<Vec<Match>> {
    let analysis = store.totals()?.config;
    // Not by its duration, which comes from outside.
    let frames = fingerprint.peaks().iter().map(|peak| peak.time.nearest_frame());
    let frames = frames.max().unwrap_or(0) + 1;
    let hop_s = analysis.stft.hop_s();
    let in_frames = |seconds: f64| (seconds / hop_s) as u32;
    let most = in_frames(Fingerprinter::DEFAULT_MAX_QUERY_S - 1.0);
    if frames <= most {
        let query = Query::of_frames(fingerprint, 0..frames, &analysis)?;
        return super::search(store, &query, config);
    }
    let overlap = in_frames(OVERLAP_S);
    let stretches = (frames - overlap).div_ceil(most - overlap);
    let length = (frames - overlap).div_ceil(stretches) + overlap;
    let of_stretch =
        MatchConfig { max_matches: config.max_matches.max(MATCHES_PER_STRETCH), ..config.clone() };
    let (mut joined, mut featureless) = (Joined::new(), None);
    for first in (0..stretches).map(|i| i * (length - overlap)) {
        let end = first.saturating_add(length).min(frames);
        let found = match Query::of_frames(fingerprint, first..end, &analysis) {
            Ok(query) => super::search(store, &query, &of_stretch)?,
            // Silence in one stretch says nothing of the others.
            Err(error @ Error::Featureless { .. }) => {
                featureless = Some(error);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        joined.add(found, f64::from(first) * hop_s);
    }
    let all = fingerprint.landmarks().is_empty();
    featureless.filter(|_| all).map_or_else(|| Ok(joined.finish(config)), Err)
}

/// A track that is played on is at most so far from where it is expected, and at a tempo that
/// differs by no more than this share.
const AT_MOST_OFF_S: f64 = 0.5;
const AT_MOST_FASTER: f64 = 0.005;

/// The matches of a long clip's pieces, joined to those of the whole clip.
///
/// The pieces should have some seconds in common, and each be searched for more matches than are wanted
/// in the end.
///
/// ```
/// use earmark::search::Joined;
/// use earmark::{Match, MatchConfig, Span, TrackId};
/// let found = |start_s, offset_s| {
///     let mut found = Match::new(TrackId(7), "song");
///     (found.query, found.offset_s) = (Span { start_s, end_s: 60.0 }, offset_s);
///     found
/// };
/// let mut joined = Joined::new();
/// joined.add(vec![found(20.0, -20.0)], 0.0); // It begins in the first minute, and goes on
/// joined.add(vec![found(0.0, 30.0)], 50.0); // in the piece that begins at 0:50.
/// let found = joined.finish(&MatchConfig::default());
/// assert_eq!((found.len(), found[0].offset_s), (1, -20.0));
/// assert_eq!((found[0].query.start_s, found[0].query.end_s), (20.0, 110.0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// Each with the number of the last piece in which it was found.
    lines: Vec<(usize, Match)>,
    pieces: usize,
    /// Tracks whose audio is the same somewhere, both ways round.
    alike: HashSet<(InPart, InPart)>,
}

/// A track, and the part of a collection whose id it has.
type InPart = (usize, TrackId);

fn track(m: &Match) -> InPart {
    (m.part, m.track)
}

/// The track of which a match says that it is the same.
fn same_as(m: &Match) -> Option<InPart> {
    Some((m.same_as_part.unwrap_or(m.part), m.same_as?))
}

impl Joined {
    /// Nothing is found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the matches of the next piece, which begins at this time in the clip, in seconds.
    pub fn add(&mut self, found: Vec<Match>, begin_s: f64) {
        self.pieces += 1;
        for mut m in found {
            if let Some(other) = same_as(&m) {
                self.alike.extend([(track(&m), other), (other, track(&m))]);
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
    #[must_use]
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
            if overlapping.iter().any(|k| track(k) == track(&m)) {
                continue;
            }
            let mut better = overlapping.iter();
            let same = better.find(|k| self.alike.contains(&(track(k), track(&m))));
            let original = same.map(|k| same_as(k).unwrap_or(track(k)));
            (m.same_as_part, m.same_as) = original.unzip();
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
    track(line) == track(m)
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
