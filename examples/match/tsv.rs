//! Matches for other programs, as tab-separated values.

use crate::Printer;
use crate::answer::Answer;
use crate::text::{lossless, printable};
use std::io::{Result, Write};

const HEADER: &str = "query\trank\ttrack\treference_start_s\tquery_start_s\tquery_end_s\tspeed\tvotes\tscore\tsame_as";

pub struct Tsv;

impl Printer for Tsv {
    fn begin(&mut self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "{HEADER}")
    }

    fn answer(&mut self, out: &mut dyn Write, answer: &Answer) -> Result<()> {
        let clip = field(&lossless(&answer.clip));
        let matches = answer.found.as_deref().unwrap_or_default();
        if matches.is_empty() {
            writeln!(out, "{clip}\t0\t\t\t\t\t\t\t\t")?;
        }
        for (m, rank) in matches.iter().zip(1..) {
            let (track, start_s, part) = (field(&m.name), m.offset_s, m.query);
            write!(out, "{clip}\t{rank}\t{track}\t{start_s:.3}")?;
            write!(out, "\t{:.3}\t{:.3}", part.start_s, part.end_s)?;
            write!(out, "\t{:.4}\t{}\t{:.2}", m.speed, m.votes, m.score())?;
            let other = answer.same_as(m);
            writeln!(out, "\t{}", other.map_or_else(String::new, |track| field(&track.name)))?;
        }
        Ok(())
    }
}

/// What would end a field or a line becomes a space; what would steer a terminal, an escape.
fn field(text: &str) -> String {
    printable(&text.replace(['\t', '\n', '\r'], " "))
}
