//! Compares the duplicates that were found with those that are there.

use crate::truth::{Made, read_truth};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

pub fn check(out: &Path, found: &Path, same_music: &[String]) -> Result<(), String> {
    let truth = read_truth(out)?;
    let by_name: HashMap<&str, &Made> = truth.iter().map(|m| (m.name.as_str(), m)).collect();
    let json = fs::read_to_string(found).map_err(|e| format!("{}: {e}", found.display()))?;
    let json: Value = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    let root = out.canonicalize().map_err(|e| e.to_string())?;
    let made = |value: &Value| {
        let path = Path::new(value.as_str()?);
        let name = path.strip_prefix(&root).or_else(|_| path.strip_prefix(out)).ok()?;
        by_name.get(name.to_str()?).copied()
    };
    let mut same: HashSet<(&str, &str)> = HashSet::new();
    let (mut wrong, mut right, mut one_music) = (0, 0, 0);
    let mut errors_s: Vec<f64> = Vec::new();
    for group in json["groups"].as_array().into_iter().flatten() {
        let files: Vec<&Made> = group["copies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| made(&c["path"]))
            .collect();
        for (i, a) in files.iter().enumerate() {
            for b in &files[i + 1..] {
                same.insert((&a.name, &b.name));
                same.insert((&b.name, &a.name));
                let one =
                    |x: &Made, y: &Made| same_music.contains(&format!("{}={}", x.source, y.source));
                if a.source != b.source && (one(a, b) || one(b, a)) {
                    one_music += 1;
                } else if a.source != b.source {
                    wrong += 1;
                    println!("wrong: {} and {}", a.name, b.name);
                } else if a.piece != b.piece {
                    // Loops, or a chorus: not judged.
                    one_music += 1;
                } else {
                    right += 1;
                }
            }
        }
        for pair in group["pairs"].as_array().into_iter().flatten() {
            let (Some(a), Some(b)) = (made(&pair["a"]), made(&pair["b"])) else { continue };
            if (&a.source, a.piece) != (&b.source, b.piece) {
                continue;
            }
            let (from_s, to_s) = (a.from_s.max(b.from_s), a.to_s.min(b.to_s));
            for (of, span) in [(a, &pair["span_a"]), (b, &pair["span_b"])] {
                let ends = [(from_s, "start_s"), (to_s, "end_s")];
                for (time_s, end) in ends {
                    if let Some(found_s) = span[end].as_f64() {
                        let error_s = (found_s - of.at(time_s)).abs();
                        if error_s > 0.5 {
                            println!(
                                "span: {} with {}: {end} is off by {error_s:.2} s",
                                a.name, b.name
                            );
                        }
                        errors_s.push(error_s);
                    }
                }
            }
        }
    }
    let mut groups: HashMap<(&str, usize), Vec<&Made>> = HashMap::new();
    for m in &truth {
        groups.entry((&m.source, m.piece)).or_default().push(m);
    }
    let (mut pairs, mut found_pairs) = (0, 0);
    let mut missed: HashMap<&str, usize> = HashMap::new();
    for files in groups.values() {
        for (i, a) in files.iter().enumerate() {
            for b in &files[i + 1..] {
                // Parts of a piece that have less than half of the shorter in common are no duplicates.
                let common_s = a.to_s.min(b.to_s) - a.from_s.max(b.from_s);
                if common_s < 0.75 * (a.to_s - a.from_s).min(b.to_s - b.from_s) {
                    continue;
                }
                pairs += 1;
                if same.contains(&(a.name.as_str(), b.name.as_str())) {
                    found_pairs += 1;
                } else {
                    for m in [a, b] {
                        *missed.entry(&m.kind).or_default() += 1;
                    }
                    println!("missed: {} and {}", a.name, b.name);
                }
            }
        }
    }
    errors_s.sort_by(f64::total_cmp);
    let within = errors_s.iter().filter(|&&e| e <= 0.2).count();
    let at = |share: f64| errors_s.get((share * (errors_s.len() as f64 - 1.0)) as usize).copied();
    println!("{} files, {pairs} pairs of duplicates", truth.len());
    println!(
        "recall {:.4} ({found_pairs} pairs)",
        f64::from(found_pairs) / f64::from(pairs.max(1))
    );
    println!(
        "precision {:.4} ({wrong} pairs of different recordings)",
        f64::from(right) / f64::from((right + wrong).max(1))
    );
    println!("{one_music} pairs of different pieces of one recording: not judged");
    println!(
        "ends of spans: {:.4} within 0.2 s, median {:.3} s, 99 % {:.3} s, worst {:.3} s",
        within as f64 / errors_s.len().max(1) as f64,
        at(0.5).unwrap_or(0.0),
        at(0.99).unwrap_or(0.0),
        at(1.0).unwrap_or(0.0),
    );
    let mut missed: Vec<_> = missed.into_iter().collect();
    missed.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
    println!("missed, by kind: {missed:?}");
    Ok(())
}
