//! Matches for people.

use crate::Printer;
use crate::answer::Answer;
use crate::label::{clock, label};
use crate::text::{count, printable, shown};
use earmark::{Match, Reader, Tags};
use std::collections::HashSet;
use std::io::{Result, Write};
use std::time::Instant;

/// Titles are cut to this many characters.
const MAX_LABEL: usize = 44;

pub struct Table {
    /// Number of tracks in the index.
    tracks: usize,
    /// Titles and artists that several tracks have.
    shared: HashSet<(String, Option<String>)>,
    width: usize,
    begun: Instant,
    clips: usize,
    recognised: usize,
}

impl Table {
    /// # Errors
    /// What of the tracks is damaged.
    pub fn new(reader: &Reader) -> earmark::Result<Self> {
        let (mut seen, mut shared, mut widest) = (HashSet::new(), HashSet::new(), 0);
        for track in reader.tracks() {
            let track = track?;
            widest = widest.max(label(&track.name, &track.tags).chars().count());
            if let Some(title) = title(&track.tags)
                && let Some(title) = seen.replace(title)
            {
                shared.insert(title);
            }
        }
        Ok(Self {
            tracks: reader.len() as usize,
            shared,
            width: widest.clamp(10, MAX_LABEL),
            begun: Instant::now(),
            clips: 0,
            recognised: 0,
        })
    }

    fn line(&self, m: &Match, rank: usize, answer: &Answer) -> String {
        let track = shortened(&label(&m.name, &m.tags), self.width);
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
        if self.is_ambiguous(&m.tags) {
            line += &format!("  ({})", printable(&m.name));
        }
        if let Some(other) = answer.same_as(m) {
            let ambiguous = self.is_ambiguous(&other.tags);
            let other =
                if ambiguous { printable(&other.name) } else { label(&other.name, &other.tags) };
            line += &format!("  same audio as {other}");
        }
        line.trim_end().into()
    }

    fn is_ambiguous(&self, tags: &Tags) -> bool {
        title(tags).is_some_and(|title| self.shared.contains(&title))
    }
}

/// What a [`label`] is made of, where it is not the name.
fn title(tags: &Tags) -> Option<(String, Option<String>)> {
    Some((tags.title.clone()?, tags.artist.clone()))
}

impl Printer for Table {
    fn begin(&mut self, out: &mut dyn Write) -> Result<()> {
        let width = self.width;
        let columns = ["track", "clip is at", "part of clip", "votes", "by chance"];
        let [track, at, part, votes, odds] = columns;
        writeln!(out, "   #  {track:<width$} {at:>10}  {part:>16}  {votes:>6}  {odds}")
    }

    fn answer(&mut self, out: &mut dyn Write, answer: &Answer) -> Result<()> {
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
                    writeln!(out, "{}", self.line(m, rank, answer))?;
                }
                if answer.more {
                    writeln!(out, "   …  and more: raise --top to see them")?;
                }
                Ok(())
            }
        }?;
        if answer.is_long() {
            writeln!(out, "   …  a long clip: the program `monitor` tells what plays when in it")?;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        let (clips, tracks) = (count(self.clips, "clip"), count(self.tracks, "track"));
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
