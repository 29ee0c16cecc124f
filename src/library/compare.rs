//! How two recordings go together: pieces that are in both, and what is between them.

use super::joining::{Joiner, STRETCH_S};
use super::line::{Aligner, Line, Part, Side};
use crate::config::Config;
use crate::error::Result;
use crate::fingerprint::Fingerprint;
use crate::search::{Span, SpeedRange};
use crate::store::Index;
use crate::tags::TrackInfo;
use crate::units::{TimeSteps, TrackId};
use std::fmt;

/// Stretches begin so far apart.
const STEP_S: f64 = 5.0;
/// Pieces that share so much of either recording are alternatives: the one with less evidence is left out.
const OVERLAP: f64 = 0.5;
/// A speed that is closer to 1 than this is none, as far as a piece of its length can tell.
const FRAME_SHARE: f64 = 0.02;

/// A piece that is in both recordings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Piece {
    /// Where it is in the first,
    pub a: Span,
    /// and in the second.
    pub b: Span,
    /// Time in the second less that in the first, in seconds, at the middle of the piece.
    pub offset_s: f64,
    /// How much faster the first is played than the second, in millionths: 1000 is 0.1 %. Recorders whose
    /// clocks differ are off by some tens.
    pub drift_ppm: f64,
    /// Share of the peaks of both that agree, 0 to 1.
    pub agreement: f64,
    evidence: f64,
}

/// How two recordings go together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// Length of the first in seconds,
    pub a_s: f64,
    /// and of the second.
    pub b_s: f64,
    /// The pieces that are in both, in the order of the first.
    pub pieces: Vec<Piece>,
}

/// What lies between two pieces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// In the first recording: nothing where the second has something inserted.
    pub a: Span,
    /// In the second: nothing where it was cut.
    pub b: Span,
}

impl Comparison {
    /// What is between the pieces, before the first and behind the last: the cuts and insertions. Pieces that are
    /// in another order in the second recording have lengths below 0 between them there.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let (mut a, mut b) = (0.0, 0.0);
        for piece in &self.pieces {
            gaps.push(Gap {
                a: Span { start_s: a, end_s: piece.a.start_s },
                b: Span { start_s: b, end_s: piece.b.start_s },
            });
            (a, b) = (piece.a.end_s, piece.b.end_s);
        }
        gaps.push(Gap {
            a: Span { start_s: a, end_s: self.a_s },
            b: Span { start_s: b, end_s: self.b_s },
        });
        gaps
    }
}

/// Lines for people.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pieces.is_empty() {
            return f.write_str("nothing in common");
        }
        let gaps = self.gaps();
        for (i, gap) in gaps.iter().enumerate() {
            for (what, span) in [("first", gap.a), ("second", gap.b)] {
                if span.length_s() > 0.3 {
                    writeln!(f, "only in the {what}: {:.2} – {:.2} s", span.start_s, span.end_s)?;
                }
            }
            let Some(p) = self.pieces.get(i) else { break };
            write!(f, "{:.2} – {:.2} s is {:.2}", p.a.start_s, p.a.end_s, p.b.start_s)?;
            write!(f, " – {:.2} s of the second: {:+.4} s", p.b.end_s, p.offset_s)?;
            writeln!(f, ", {:+.0} ppm ({:.0} % agree)", p.drift_ppm, 100.0 * p.agreement)?;
        }
        Ok(())
    }
}

/// Finds how two recordings go together: by the fingerprints of both, without any index.
///
/// Each piece is a stretch that both have at one constant speed. Its offset is that of the peaks of the whole
/// piece, and is exact to about a millisecond where it is longer than some ten seconds.
///
/// ```no_run
/// use earmark::{Config, Fingerprinter, SpeedRange, library::compare};
/// let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let camera = fingerprinter.fingerprint_file("camera.mp4")?.value;
/// let recorder = fingerprinter.fingerprint_file("recorder.wav")?.value;
/// let found = compare(&camera, &recorder, &Config::default(), SpeedRange::percent(1.0)?)?;
/// println!("{found}");
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// # Errors
/// [`Error::ConfigMismatch`](crate::Error::ConfigMismatch) where `config` made neither.
pub fn compare(
    a: &Fingerprint,
    b: &Fingerprint,
    config: &Config,
    speed: SpeedRange,
) -> Result<Comparison> {
    let index = Index::in_memory(config.clone())?;
    let mut writer = index.writer()?;
    let id = writer.add(TrackInfo::named("second"), b)?;
    writer.commit()?;
    let reader = index.reader();
    let joiner = Joiner::new(&reader, &[id], speed)?;
    let sides = [a, b].map(|f| Side { peaks: f.peaks(), duration_s: f.duration_s() });
    let mut pieces: Vec<Piece> = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    let none = |_: TrackId| false;
    for at_others in [false, true] {
        let mut start_s = 0.0;
        while start_s == 0.0 || start_s + STRETCH_S / 2.0 < a.duration_s() {
            let middle_s = start_s + STRETCH_S / 2.0;
            let known = pieces.iter().any(|p| (p.a.start_s..p.a.end_s).contains(&middle_s));
            if !known {
                for found in joiner.find(a.peaks(), start_s, at_others, &none)? {
                    let at = joiner.aligner.steps(found.at_s);
                    let is_known = |l: &Line| {
                        l.apart(found.line, at) < TimeSteps(16.0)
                            && (l.ratio - found.line.ratio).abs() < 1e-3
                    };
                    if lines.iter().any(is_known) {
                        continue;
                    }
                    let joint = joiner.aligner.extend(sides[0], sides[1], found.line, found.at_s);
                    lines.push(joint.line);
                    let of = |part: &Part| piece(&joiner.aligner, joint.line, part);
                    pieces.extend(joint.parts.iter().map(of));
                }
            }
            start_s += STEP_S;
        }
        if !pieces.is_empty() || speed.is_off() {
            break;
        }
    }
    Ok(Comparison { a_s: a.duration_s(), b_s: b.duration_s(), pieces: chosen(pieces) })
}

fn piece(aligner: &Aligner, line: Line, part: &Part) -> Piece {
    let middle_s = (part.a.start_s + part.a.end_s) / 2.0;
    let ratio = line.ratio - 1.0;
    // Less than a small share of a frame over its length cannot be told from nothing.
    let least = FRAME_SHARE * aligner.hop_s() / part.a.length_s().max(0.1);
    Piece {
        a: part.a,
        b: part.b,
        offset_s: aligner.across_s(line, middle_s) - middle_s,
        drift_ppm: if ratio.abs() < least { 0.0 } else { 1e6 * ratio },
        agreement: part.agreement,
        evidence: part.evidence,
    }
}

/// The pieces with most evidence, none of which repeats another.
fn chosen(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_by(|x, y| y.evidence.total_cmp(&x.evidence));
    let mut kept: Vec<Piece> = Vec::new();
    for piece in pieces {
        let repeats = |other: &Piece| {
            let [in_a, in_b] = [(piece.a, other.a), (piece.b, other.b)]
                .map(|(x, y)| x.overlap_s(&y) / x.length_s().max(0.1));
            in_a > OVERLAP || in_b > OVERLAP
        };
        if !kept.iter().any(repeats) {
            kept.push(piece);
        }
    }
    kept.sort_by(|x, y| x.a.start_s.total_cmp(&y.a.start_s));
    // Where two overlap by a little, they meet in the middle.
    for i in 1..kept.len() {
        let (before, after) = kept.split_at_mut(i);
        let (Some(x), Some(y)) = (before.last_mut(), after.first_mut()) else { continue };
        let over_s = x.a.end_s - y.a.start_s;
        if over_s > 0.0 {
            let half_s = over_s / 2.0;
            x.a.end_s -= half_s;
            x.b.end_s -= half_s;
            y.a.start_s += half_s;
            y.b.start_s += half_s;
        }
    }
    kept
}
