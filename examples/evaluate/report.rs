//! What was found, counted and printed.

use crate::degrade::Kind;
use crate::plan::{Design, Source};
use crate::text::printable;
use crate::trade_off::TradeOff;
use crate::trial::{Outcome, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Result, Write};

/// Rates of false alarms that are promised and measured.
pub const PROMISES: [f64; 3] = [0.1, 0.01, 0.001];
/// So many of the confusions are named.
const CONFUSIONS: usize = 5;

/// With fewer held-out tracks, one that sounds like an indexed track decides the figures.
const FEWEST_HELD_OUT: usize = 20;
/// A promise counts as kept if the measured rate is within this factor of it.
const KEPT_FACTOR: f64 = 3.0;
/// So many false alarms must be expected to narrow the interval to that factor.
const EXPECTED_ALARMS: f64 = 10.0;

/// Clips of one kind and length that are in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    pub clips: usize,
    pub hits: usize,
    pub elsewhere: usize,
    pub wrong: usize,
}

impl Cell {
    fn add(&mut self, other: Self) {
        self.clips += other.clips;
        self.hits += other.hits;
        self.elsewhere += other.elsewhere;
        self.wrong += other.wrong;
    }

    /// Hits, right tracks and wrong answers per hundred clips.
    fn percentages(&self) -> [f64; 3] {
        let of = |n: usize| 100.0 * n as f64 / self.clips.max(1) as f64;
        [of(self.hits), of(self.hits + self.elsewhere), of(self.wrong)]
    }
}

/// The outcomes of all clips.
pub struct Tally<'a> {
    pub design: &'a Design,
    pub max_false_alarms: f64,
    /// Of clips that are in the index, by kind and length.
    pub cells: Vec<Vec<Cell>>,
    /// Of each clip that is not in the index, the false alarms of its best match.
    pub chance: Vec<f64>,
    /// The tracks that these clips come from.
    held_out: BTreeSet<String>,
    /// Clips that are not in the index and those with an answer, by kind.
    absent: Vec<[usize; 2]>,
    /// Answers to clips that are not in the index: which track, taken for which?
    confusions: BTreeMap<(String, String), usize>,
    trade_off: TradeOff,
    pub seconds: [f64; 2],
}

impl<'a> Tally<'a> {
    pub fn new(design: &'a Design, max_false_alarms: f64) -> Self {
        let (kinds, lengths) = (design.kinds.len(), design.lengths_s.len());
        Self {
            design,
            max_false_alarms,
            cells: vec![vec![Cell::default(); lengths]; kinds],
            chance: Vec::new(),
            held_out: BTreeSet::new(),
            absent: vec![[0; 2]; kinds],
            confusions: BTreeMap::new(),
            trade_off: TradeOff::default(),
            seconds: [0.0; 2],
        }
    }

    pub fn count(&mut self, source: &Source, outcome: &Outcome) {
        for (sum, took) in self.seconds.iter_mut().zip(outcome.took) {
            *sum += took.as_secs_f64();
        }
        let (kind, verdict) = (outcome.clip.kind, outcome.verdict);
        let best = outcome.answer.as_ref();
        let false_alarms = best.map_or(f64::INFINITY, |answer| answer.false_alarms);
        if source.track.is_some() {
            self.trade_off.present(false_alarms, best.is_some_and(|answer| answer.right));
            self.cells[kind][outcome.clip.length].add(Cell {
                clips: 1,
                hits: usize::from(verdict == Verdict::Hit),
                elsewhere: usize::from(verdict == Verdict::Elsewhere),
                wrong: usize::from(verdict == Verdict::Wrong),
            });
            return;
        }
        self.held_out.insert(source.name.clone());
        self.chance.push(false_alarms);
        self.trade_off.absent(false_alarms);
        let answered = verdict != Verdict::Nothing;
        self.absent[kind][0] += 1;
        self.absent[kind][1] += usize::from(answered);
        if let (true, Some(answer)) = (answered, best) {
            let pair = (source.name.clone(), answer.name.clone());
            *self.confusions.entry(pair).or_default() += 1;
        }
    }

    /// Clips of all kinds.
    pub fn clips(&self) -> usize {
        self.cells.iter().flatten().map(|cell| cell.clips).sum::<usize>() + self.chance.len()
    }

    /// Clips that are not in the index and have a match that chance gives at most so often.
    pub fn alarms(&self, promised: f64) -> usize {
        self.chance.iter().filter(|&&x| x <= promised).count()
    }

    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        self.print_hits(out)?;
        self.print_alarms(out)?;
        self.trade_off.print(out)
    }

    /// Why these clips cannot tell whether the promises are kept, and what could.
    fn no_verdict(&self) -> Option<String> {
        let (tracks, clips) = (self.held_out.len(), self.chance.len());
        if tracks < FEWEST_HELD_OUT {
            return Some(format!(
                "No verdict on the promises: the {clips} clips come from only {tracks} held-out tracks.\n\
                 Clips of one track are alike. One track that sounds like an indexed one decides the\n\
                 figures, and the intervals are too narrow. Give enough music to hold out\n\
                 {FEWEST_HELD_OUT} tracks: 80 in all by default, or {FEWEST_HELD_OUT} of other origin with --outside."
            ));
        }
        let open = |promised: &f64| {
            let (low, high) = interval(self.alarms(*promised), clips);
            let agrees = (low..=high).contains(promised);
            agrees && (high > KEPT_FACTOR * promised || low < promised / KEPT_FACTOR)
        };
        let rarest = PROMISES.into_iter().filter(open).reduce(f64::min)?;
        let open: Vec<String> = PROMISES.iter().filter(|p| open(p)).map(f64::to_string).collect();
        Some(format!(
            "No verdict on {}: {clips} clips are too few to see such rare false alarms.\n\
             Give --absent-clips {:.0} or more.",
            open.join(" and "),
            EXPECTED_ALARMS / rarest
        ))
    }

    fn print_hits(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(
            out,
            "Clips of tracks in the index, at most {} false alarms",
            self.max_false_alarms
        )?;
        writeln!(out, "hit: the right place of the right track; track: any place of it, %\n")?;
        write!(out, "{:<18}", "")?;
        for seconds in &self.design.lengths_s {
            write!(out, " │ {:^27}", format!("{seconds} s"))?;
        }
        write!(out, "\n{:<18}", "kind")?;
        for _ in &self.design.lengths_s {
            write!(out, " │ {:>6}{:>7}{:>7}{:>7}", "n", "hit", "track", "wrong")?;
        }
        writeln!(out)?;
        let mut sums = vec![Cell::default(); self.design.lengths_s.len()];
        for (kind, cells) in self.design.kinds.iter().zip(&self.cells) {
            row(out, &kind.name(), cells)?;
            sums.iter_mut().zip(cells).for_each(|(sum, cell)| sum.add(*cell));
        }
        row(out, "all", &sums)
    }

    fn print_alarms(&self, out: &mut dyn Write) -> Result<()> {
        let n = self.chance.len();
        writeln!(out, "\nClips of tracks that are not in the index: {n}\n")?;
        if n == 0 {
            return Ok(());
        }
        writeln!(out, "promised  measured  (95 % interval)        clips  of promised")?;
        for promised in PROMISES {
            let alarms = self.alarms(promised);
            let (measured, (low, high)) = (alarms as f64 / n as f64, interval(alarms, n));
            let range = format!("({low:.5} – {high:.5})");
            let ratio = measured / promised;
            writeln!(out, "{promised:<8}  {measured:<8.5}  {range:<21} {alarms:>6}  × {ratio:.2}")?;
        }
        if let Some(why) = self.no_verdict() {
            writeln!(out, "\n{why}")?;
        }
        let answered: usize = self.absent.iter().map(|[_, answered]| answered).sum();
        if answered == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "\nFalse answers, at most {} false alarms: {answered}",
            self.max_false_alarms
        )?;
        for (kind, [clips, answered]) in self.design.kinds.iter().zip(&self.absent) {
            if *answered > 0 {
                writeln!(out, "  {:<18} {answered} of {clips}", kind.name())?;
            }
        }
        writeln!(out, "\nMost often (is it another copy of the same recording?)")?;
        let mut pairs: Vec<_> = self.confusions.iter().collect();
        pairs.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        for ((from, to), n) in pairs.into_iter().take(CONFUSIONS) {
            let (from, to) = (printable(from), printable(to));
            writeln!(out, "  {n} × {from}\n    taken for {to}")?;
        }
        Ok(())
    }
}

fn row(out: &mut dyn Write, name: &str, cells: &[Cell]) -> Result<()> {
    write!(out, "{name:<18}")?;
    for cell in cells {
        let [hit, track, wrong] = cell.percentages();
        if cell.clips == 0 {
            write!(out, " │ {:>6}{:>7}{:>7}{:>7}", 0, "–", "–", "–")?;
        } else {
            write!(out, " │ {:>6}{hit:>7.1}{track:>7.1}{wrong:>7.1}", cell.clips)?;
        }
    }
    writeln!(out)
}

/// Where a rate lies, in 95 of 100 cases, of which `k` in `n` were counted (Wilson).
pub fn interval(k: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (n, p) = (n as f64, k as f64 / n as f64);
    let middle = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let low = if k == 0 { 0.0 } else { (middle - reach) / scale };
    (low, ((middle + reach) / scale).min(1.0))
}

pub const TSV_HEADER: &str =
    "kind\tseconds\tindexed\ttrack\tstart_s\tverdict\tanswer\toffset_s\tvotes\tfalse_alarms";

/// One clip for other programs.
pub fn tsv_line(kind: Kind, seconds: f64, source: &Source, outcome: &Outcome) -> String {
    let verdict = match outcome.verdict {
        Verdict::Hit => "hit",
        Verdict::Elsewhere => "elsewhere",
        Verdict::Wrong => "wrong",
        Verdict::Nothing => "nothing",
    };
    let (indexed, start_s) = (u8::from(source.track.is_some()), outcome.start_s);
    let name = kind.name().replace('−', "-");
    let known = format!("{name}\t{seconds}\t{indexed}\t{}\t{start_s:.3}", printable(&source.name));
    let answer = outcome.answer.as_ref().map_or_else(
        || "\t\t\t".into(),
        |a| {
            format!(
                "{}\t{:.3}\t{}\t{:.3e}",
                printable(&a.name),
                a.offset_s,
                a.votes,
                a.false_alarms
            )
        },
    );
    format!("{known}\t{verdict}\t{answer}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_what_was_counted() {
        let (low, high) = interval(0, 1000);
        assert!(low == 0.0 && (0.003..0.005).contains(&high), "{high}");
        let (low, high) = interval(10, 1000);
        assert!((0.005..0.006).contains(&low) && (0.018..0.019).contains(&high), "{low} {high}");
        assert_eq!(interval(5, 5).1, 1.0);
    }

    #[test]
    fn too_little_music_gives_no_verdict() {
        let design = Design { kinds: Vec::new(), lengths_s: Vec::new(), seed: 1 };
        let verdict = |tracks: usize, clips: usize, alarms: [usize; 3]| {
            let mut tally = Tally::new(&design, 0.001);
            tally.held_out = (0..tracks).map(|i| i.to_string()).collect();
            tally.chance = vec![f64::INFINITY; clips];
            for (n, promised) in alarms.into_iter().zip(PROMISES) {
                tally.chance[..n].fill(promised);
            }
            let mut printed = Vec::new();
            tally.print_alarms(&mut printed).unwrap();
            String::from_utf8(printed).unwrap()
        };
        // Three pieces by one synthesiser say nothing, however many clips are cut from them.
        let three = verdict(3, 10_000, [1000, 300, 10]);
        assert!(three.contains("the 10000 clips come from only 3 held-out tracks"), "{three}");
        let few = verdict(60, 200, [20, 2, 0]);
        assert!(few.contains("No verdict on 0.01 and 0.001: 200 clips are too few"), "{few}");
        assert!(few.contains("--absent-clips 10000 or more"), "{few}");
        for alarms in [[1000, 100, 10], [1000, 300, 100]] {
            let enough = verdict(60, 10_000, alarms);
            assert!(!enough.contains("No verdict"), "{enough}");
        }
    }

    #[test]
    fn shares_are_those_of_the_clips() {
        let mut cell = Cell { clips: 3, hits: 2, elsewhere: 1, wrong: 0 };
        cell.add(Cell { clips: 1, hits: 0, elsewhere: 0, wrong: 1 });
        assert_eq!(cell.percentages(), [50.0, 75.0, 25.0]);
        assert_eq!(Cell::default().percentages(), [0.0; 3]);
    }
}
