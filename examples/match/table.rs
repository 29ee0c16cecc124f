//! Matches for people.

use crate::Printer;
use crate::answer::Answer;
use crate::label::{clock, label};
use crate::text::{count, printable, shown};
use earmark::{Catalog, Match, TrackInfo};
use std::collections::HashSet;
use std::io::{Result, Write};
use std::time::Instant;

/// Titles are cut to this many characters.
const MAX_LABEL: usize = 44;

pub struct Table<'a> {
    catalog: &'a Catalog,
    /// Titles and artists that several tracks have.
    shared: HashSet<(&'a str, Option<&'a str>)>,
    width: usize,
    begun: Instant,
    clips: usize,
    recognised: usize,
}

impl<'a> Table<'a> {
    pub fn new(catalog: &'a Catalog) -> Self {
        let tracks = catalog.tracks();
        let widest = tracks.iter().map(|t| label(&t.info).chars().count()).max();
        let mut seen = HashSet::new();
        let titles = tracks.iter().filter_map(|t| title(&t.info));
        Self {
            catalog,
            shared: titles.filter(|title| !seen.insert(*title)).collect(),
            width: widest.unwrap_or(0).clamp(10, MAX_LABEL),
            begun: Instant::now(),
            clips: 0,
            recognised: 0,
        }
    }

    fn line(&self, m: &Match, rank: usize) -> String {
        let info = self.catalog.get(m.track).map(|track| &track.info);
        let track = info.map_or_else(|| printable(&m.name), label);
        let track = shortened(&track, self.width);
        let part = format!("{} – {}", clock(m.query.start_s), clock(m.query.end_s));
        let mut line = format!(
            "  {rank:>2}  {track:<width$}  {:>9}  {part:>16}  {:>6}  {:<12}",
            clock(m.offset_s),
            m.votes,
            odds(m.false_alarms),
            width = self.width,
        );
        for (what, ratio) in changes(m) {
            line += &format!("  {what} {:+.1} %", 100.0 * (ratio - 1.0));
        }
        if info.is_some_and(|info| self.is_ambiguous(info)) {
            line += &format!("  ({})", printable(&m.name));
        }
        if let Some(other) = m.same_as.and_then(|id| self.catalog.get(id)) {
            line += &format!("  same audio as {}", self.unambiguous(&other.info));
        }
        line.trim_end().into()
    }

    fn is_ambiguous(&self, info: &'a TrackInfo) -> bool {
        title(info).is_some_and(|title| self.shared.contains(&title))
    }

    fn unambiguous(&self, info: &'a TrackInfo) -> String {
        if self.is_ambiguous(info) { printable(&info.name) } else { label(info) }
    }
}

/// What a [`label`] is made of, where it is not the name.
fn title(info: &TrackInfo) -> Option<(&str, Option<&str>)> {
    Some((info.tags.title.as_deref()?, info.tags.artist.as_deref()))
}

impl Printer for Table<'_> {
    fn begin(&mut self, out: &mut dyn Write) -> Result<()> {
        let width = self.width;
        let columns = ["track", "clip is at", "part of clip", "votes", "by chance"];
        let [track, at, part, votes, odds] = columns;
        writeln!(out, "   #  {track:<width$} {at:>10}  {part:>16}  {votes:>6}  {odds}")
    }

    fn answer(&mut self, out: &mut dyn Write, answer: &Answer, _: &Catalog) -> Result<()> {
        self.clips += 1;
        write!(out, "{}", shown(&answer.clip))?;
        match answer.duration_s {
            Some(duration_s) => writeln!(out, " ({duration_s:.1} s)")?,
            None => writeln!(out)?,
        }
        match &answer.found {
            Err(_) => writeln!(out, "   –  not searched"),
            Ok(matches) if matches.is_empty() => writeln!(out, "   –  no match"),
            Ok(matches) => {
                self.recognised += 1;
                for (m, rank) in matches.iter().zip(1..) {
                    writeln!(out, "{}", self.line(m, rank))?;
                }
                if answer.more {
                    writeln!(out, "   …  and more: raise --top to see them")?;
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        let (clips, tracks) =
            (count(self.clips, "clip"), count(self.catalog.tracks().len(), "track"));
        let seconds = self.begun.elapsed().as_secs_f64();
        writeln!(out, "{} of {clips} found among {tracks}, in {seconds:.1} s", self.recognised)
    }
}

/// How the clip is played, where it is not played as the track is.
fn changes(m: &Match) -> Vec<(&'static str, f64)> {
    let changed = |ratio: f64| (ratio - 1.0).abs() >= 0.0005;
    match (changed(m.speed), changed(m.pitch)) {
        (true, true) => vec![("speed", m.speed)],
        (true, false) => vec![("tempo", m.speed)],
        (false, true) => vec![("pitch", m.pitch)],
        (false, false) => vec![],
    }
}

/// How often chance would give such a match.
fn odds(false_alarms: f64) -> String {
    if false_alarms >= 0.1 {
        return format!("{false_alarms:.1} expected");
    }
    format!("1 in 10^{:.0}", -false_alarms.max(1e-300).log10())
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    // The end of a path says more than its beginning, of a title the other way round; either way
    // the middle says least.
    let chars: Vec<char> = text.chars().collect();
    let head = width / 2;
    let tail = chars.len() - (width - head - 1);
    chars[..head].iter().chain(&['…']).chain(&chars[tail..]).collect()
}
