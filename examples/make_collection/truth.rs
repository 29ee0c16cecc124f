//! What each file of the collection is.

use std::fs;
use std::path::Path;

/// A file: a part of a piece, played at a speed, after something else.
#[derive(Clone, Debug)]
pub struct Made {
    pub name: String,
    pub source: String,
    pub piece: usize,
    pub kind: String,
    pub from_s: f64,
    pub to_s: f64,
    pub speed: f64,
    pub lead_s: f64,
}

impl Made {
    /// The time in the file at which a time of the piece is heard.
    pub fn at(&self, piece_s: f64) -> f64 {
        self.lead_s + (piece_s - self.from_s) / self.speed
    }
}

const FILE: &str = "truth.tsv";

pub fn write_truth(out: &Path, all: &[Made]) -> Result<(), String> {
    let mut text = String::from("name\tsource\tpiece\tkind\tfrom_s\tto_s\tspeed\tlead_s\n");
    for m in all {
        let Made { name, source, piece, kind, from_s, to_s, speed, lead_s } = m;
        text +=
            &format!("{name}\t{source}\t{piece}\t{kind}\t{from_s}\t{to_s}\t{speed}\t{lead_s}\n");
    }
    fs::write(out.join(FILE), text).map_err(|e| e.to_string())
}

pub fn read_truth(out: &Path) -> Result<Vec<Made>, String> {
    let text = fs::read_to_string(out.join(FILE)).map_err(|e| format!("{FILE}: {e}"))?;
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |i: usize| fields.get(i)?.parse::<f64>().ok();
        Some(Made {
            name: fields.first()?.to_string(),
            source: fields.get(1)?.to_string(),
            piece: fields.get(2)?.parse().ok()?,
            kind: fields.get(3)?.to_string(),
            from_s: number(4)?,
            to_s: number(5)?,
            speed: number(6)?,
            lead_s: number(7)?,
        })
    };
    text.lines().skip(1).map(|l| line(l).ok_or_else(|| format!("{FILE}: {l}"))).collect()
}
