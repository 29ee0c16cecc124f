//! Matches for other programs, with all that is known of them, as one JSON array.

use crate::Printer;
use crate::answer::Answer;
use crate::text::{lossless, steers};
use earmark::{Match, Span};
use serde_json::{Value, json};
use std::io::{Result, Write};

#[derive(Default)]
pub struct Json {
    answers: usize,
}

impl Printer for Json {
    fn begin(&mut self, out: &mut dyn Write) -> Result<()> {
        write!(out, "[")
    }

    fn answer(&mut self, out: &mut dyn Write, answer: &Answer) -> Result<()> {
        let matches = answer.found.as_deref().unwrap_or_default();
        let matches: Vec<Value> =
            matches.iter().zip(1..).map(|(m, rank)| object(m, rank, answer)).collect();
        let value = json!({
            "query": lossless(&answer.clip),
            "duration_s": answer.duration_s,
            "error": answer.found.as_ref().err(),
            "incomplete": answer.loss.as_ref().map(ToString::to_string),
            "matches": matches,
            "more": answer.more,
        });
        let separator = if self.answers == 0 { "" } else { "," };
        self.answers += 1;
        write!(out, "{separator}\n{}", escaped(&format!("{value:#}")))
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "\n]")
    }
}

fn object(m: &Match, rank: usize, answer: &Answer) -> Value {
    json!({
        "rank": rank,
        "track": m.name,
        "track_id": m.track.0,
        "title": m.tags.title,
        "artist": m.tags.artist,
        "album": m.tags.album,
        "query": span(m.query),
        "reference": span(m.reference),
        "offset_s": m.offset_s,
        "speed": m.speed,
        "pitch": m.pitch,
        "votes": m.votes,
        "false_alarms": m.false_alarms,
        "score": m.score(),
        "same_as": answer.same_as(m).map(|other| &other.name),
        "same_as_id": m.same_as.map(|id| id.0),
    })
}

fn span(span: Span) -> Value {
    json!({ "start_s": span.start_s, "end_s": span.end_s })
}

/// JSON with escapes for what would steer a terminal and is allowed in strings all the same.
/// (serde_json escapes the controls that are not; line feeds are its own.)
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c != '\n' {
            text += &format!("\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}
