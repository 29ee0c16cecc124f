//! What a calibration was made from, with what settings, and how good it is.

use crate::Options;
use crate::music::Music;
use crate::report::{Report, last_of};
use crate::text::printable;
use earmark::Calibration;
use std::fmt::Write;
use xxhash_rust::xxh3::Xxh3;

/// The text that is written beside a calibration.
pub fn text(
    options: &Options,
    music: &Music,
    calibration: &Calibration,
    report: &Report<'_>,
) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        // A string does not refuse what is written to it.
        let _ = text.write_fmt(format_args!("{args}\n"));
    };
    line(format_args!("Calibration of the analysis {}", calibration.config_id()));
    line(format_args!("made by calibrate {}", env!("CARGO_PKG_VERSION")));
    let quick = if options.quick { "a twelfth of " } else { "" };
    line(format_args!("--fit {}, seed {}", options.fit.name(), options.seed));
    line(format_args!(
        "of each kind and length {quick}{} clips of indexed tracks and {} of others, {} pairs over one loop",
        options.clips,
        options.absent_clips,
        music.pairs.len()
    ));
    line(format_args!("\nMusic from:"));
    options.from.iter().for_each(|from| line(format_args!("  {}", printable(from))));
    line(format_args!("\nHow good it is\n"));
    let mut printed = Vec::new();
    if report.print(&mut printed).is_ok() {
        line(format_args!("{}", String::from_utf8_lossy(&printed)));
    }
    line(format_args!("Numbers\n"));
    for (name, value, ..) in calibration.numbers() {
        line(format_args!("{name:<32} {value}"));
    }
    line(format_args!("\nLeft out, because what they hold is indexed, too\n"));
    for (name, of) in &music.left_out {
        line(format_args!("{}: {}", printable(last_of(name)), printable(last_of(of))));
    }
    line(format_args!("\nTracks: what was done with each, the part, xxh3 of the file, name\n"));
    let mut tracks: Vec<_> = music.parts.iter().collect();
    tracks.sort_by_key(|(name, _)| name.as_str());
    for (name, (role, part)) in tracks {
        let sum = music.paths.get(name).and_then(|path| checksum(path));
        let sum = sum.map_or_else(|| "unreadable".into(), |sum| format!("{sum:016x}"));
        line(format_args!("{role:?}\t{part:?}\t{sum}\t{}", printable(last_of(name))));
    }
    text
}

fn checksum(path: &std::path::Path) -> Option<u64> {
    let mut file = std::fs::File::open(path).ok()?;
    let (mut hash, mut piece) = (Xxh3::new(), vec![0; 1 << 16]);
    loop {
        match std::io::Read::read(&mut file, &mut piece).ok()? {
            0 => return Some(hash.digest()),
            n => hash.update(&piece[..n]),
        }
    }
}
