//! How good the result is on the part that nothing has seen.

use crate::material::{Group, Trial, sharing};
use crate::objective::{DEFAULT_PROMISE, PROMISES, ratio};
use crate::plan::Design;
use crate::text::printable;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Result, Write};

/// Pairs of tracks that are named.
const MOST_CONFUSIONS: usize = 8;

pub struct Report<'a> {
    pub design: &'a Design,
    pub hours: f64,
    /// What was found with the calibration that it began with,
    pub before: Vec<Trial>,
    /// and with the new one.
    pub after: Vec<Trial>,
}

/// Clips, and shares of them in per cent.
#[derive(Default)]
struct Shares {
    clips: usize,
    /// The right track comes first,
    first: usize,
    /// and is answered at the default promise.
    answered: usize,
    /// Another track is answered.
    wrong: usize,
}

impl Shares {
    fn of<'a>(trials: impl Iterator<Item = &'a Trial>) -> Self {
        let mut shares = Self::default();
        for trial in trials {
            let best = trial.spots.first();
            let right = best.is_some_and(|spot| spot.right);
            let answered = best.is_some_and(|spot| spot.score >= -DEFAULT_PROMISE.log10());
            shares.clips += 1;
            shares.first += usize::from(right);
            shares.answered += usize::from(right && answered);
            shares.wrong += usize::from(!right && answered);
        }
        shares
    }

    fn percent(&self, n: usize) -> f64 {
        100.0 * n as f64 / self.clips.max(1) as f64
    }
}

impl Report<'_> {
    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "On tracks that no fit has seen, in an index of {:.1} hours.", self.hours)?;
        writeln!(out, "Right track first / answered at {DEFAULT_PROMISE} / another answered, %\n")?;
        writeln!(out, "{:<18} {:>6}  {:>22}  {:>22}", "kind", "clips", "before", "after")?;
        let mut names: Vec<String> =
            self.design.kinds.iter().map(|kind| group(&kind.name())).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        for name in &names {
            let of_kind = |t: &&Trial| group(&self.design.kinds[t.kind].name()) == *name;
            self.row(out, name, &of_kind)?;
        }
        for (i, length_s) in self.design.lengths_s.iter().enumerate() {
            self.row(out, &format!("all of {length_s} s"), &|t: &&Trial| t.length == i)?;
        }
        self.row(out, "all", &|_| true)?;
        let sharing = sharing(&self.after);
        let alone = |t: &Trial| !sharing.contains(&t.names[0]);
        self.answers(out, "Clips of tracks that are not indexed", Group::Absent, &|_| true)?;
        let what =
            format!("The same without {} that share sound with an indexed one", sharing.len());
        self.answers(out, &what, Group::Absent, &alone)?;
        self.makers(out, &alone)?;
        let what = "Clips that have a loop in common with an indexed piece";
        self.answers(out, what, Group::Shared, &|_| true)?;
        self.confusions(out)
    }

    /// How many clips of a group are answered.
    fn answers(
        &self,
        out: &mut dyn Write,
        what: &str,
        group: Group,
        of: &dyn Fn(&Trial) -> bool,
    ) -> Result<()> {
        writeln!(out, "\n{what}: answered\n")?;
        writeln!(out, "{:<10} {:>6}  {:>22}  {:>22}", "promised", "clips", "before", "after")?;
        for promise in PROMISES {
            let [before, after] = [&self.before, &self.after]
                .map(|trials| count(trials.iter().filter(|t| t.group == group && of(t)), promise));
            let shown =
                |(n, of): (usize, usize)| format!("{n} ({:.5})", n as f64 / of.max(1) as f64);
            let clips = after.1;
            writeln!(out, "{promise:<10} {clips:>6}  {:>22}  {:>22}", shown(before), shown(after))?;
        }
        Ok(())
    }

    /// How the promise is kept for the maker for whom it is kept worst.
    fn makers(&self, out: &mut dyn Write, of: &dyn Fn(&Trial) -> bool) -> Result<()> {
        writeln!(
            out,
            "\nThe worst of all folders: answered over promised, one more clip in both\n"
        )?;
        for promise in PROMISES {
            let [before, after] = [&self.before, &self.after].map(|trials| {
                let absent = || trials.iter().filter(|t| t.group == Group::Absent && of(t));
                let makers: BTreeSet<&str> = absent().map(|t| t.maker.as_str()).collect();
                let of_maker = makers.into_iter().map(|maker| {
                    let (n, clips) = count(absent().filter(|t| t.maker == maker), promise);
                    (ratio(n as f64, clips as f64, promise), last_of(maker))
                });
                of_maker.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
            });
            let shown = |(ratio, maker): (f64, &str)| format!("{ratio:.1} {}", printable(maker));
            writeln!(out, "{promise:<10}  {:<36}  {}", shown(before), shown(after))?;
        }
        Ok(())
    }

    /// Which tracks are taken for which, at the default promise.
    fn confusions(&self, out: &mut dyn Write) -> Result<()> {
        let mut pairs: BTreeMap<[&str; 2], usize> = BTreeMap::new();
        let absent = self.after.iter().filter(|t| t.group == Group::Absent);
        for trial in absent.filter(|t| Shares::of(std::iter::once(*t)).wrong > 0) {
            let names = trial.names.each_ref().map(|name| last_of(name));
            *pairs.entry(names).or_default() += 1;
        }
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        if !pairs.is_empty() {
            writeln!(out, "\nNot indexed, answered at {DEFAULT_PROMISE}: most often")?;
        }
        for ([from, to], n) in pairs.into_iter().take(MOST_CONFUSIONS) {
            writeln!(out, "  {n} × {}, taken for {}", printable(from), printable(to))?;
        }
        Ok(())
    }

    fn row(&self, out: &mut dyn Write, name: &str, of: &dyn Fn(&&Trial) -> bool) -> Result<()> {
        let [before, after] = [&self.before, &self.after].map(|trials| {
            let present = trials.iter().filter(|t| t.group == Group::Present);
            Shares::of(present.filter(|t| of(t)))
        });
        let shown = |s: &Shares| {
            let [first, answered, wrong] = [s.first, s.answered, s.wrong].map(|n| s.percent(n));
            format!("{first:5.1} / {answered:5.1} / {wrong:4.1}")
        };
        writeln!(
            out,
            "{name:<18} {:>6}  {:>22}  {:>22}",
            after.clips,
            shown(&before),
            shown(&after)
        )
    }
}

/// Clips that are answered, and all of them.
fn count<'a>(trials: impl Iterator<Item = &'a Trial>, promise: f64) -> (usize, usize) {
    trials.fold((0, 0), |(answered, all), trial| {
        let best = trial.spots.first();
        let is_answered = best.is_some_and(|spot| spot.score >= -promise.log10());
        (answered + usize::from(is_answered), all + 1)
    })
}

/// The last parts of a name: where it lies on one machine is of no use to others.
pub fn last_of(name: &str) -> &str {
    let cut = name.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &name[cut..]
}

/// Noises of one level are one kind.
fn group(kind: &str) -> String {
    let noise = kind.strip_suffix(" dB").and_then(|kind| kind.rsplit_once(' '));
    match noise {
        Some((kind, db)) if kind != "other music" => format!("noise {db} dB"),
        _ => kind.into(),
    }
}
