//! Why a track was found in a clip, or was not.

use crate::answer::Matcher;
use crate::label::clock;
use crate::opening::open_audio;
use crate::text::{complain, printable, reason, shown};
use earmark::search::{Explanation, Place};
use earmark::{Fingerprinter, MatchConfig, Reader, TrackId};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The one track that is meant by a name, or by a part of one.
///
/// # Errors
/// No track, or several, have that in their names; or the index is damaged.
pub fn find_track(reader: &Reader, text: &str) -> Result<TrackId, String> {
    if let Some(track) = reader.find(text).map_err(|e| reason(&e))? {
        return Ok(track.id);
    }
    let tracks = reader.tracks().collect::<earmark::Result<Vec<_>>>().map_err(|e| reason(&e))?;
    let mut named = tracks.iter().filter(|track| track.name.contains(text));
    match (named.next(), named.next()) {
        (Some(track), None) => Ok(track.id),
        (None, _) => Err(format!("no track has {:?} in its name", printable(text))),
        (Some(a), Some(b)) => Err(format!(
            "several tracks have {:?} in their names, {} and {} among them: give more of it",
            printable(text),
            printable(&a.name),
            printable(&b.name)
        )),
    }
}

/// Explains one track in all clips. Says whether all of them could be read.
pub fn explain_all(
    out: &mut dyn Write,
    matcher: &Matcher,
    clips: &[PathBuf],
    track: TrackId,
    config: &MatchConfig,
) -> io::Result<bool> {
    let config_of_index = matcher.reader().config().clone();
    let mut fingerprinter = Fingerprinter::new(config_of_index).expect("the index has checked it");
    let mut all_read = true;
    for clip in clips {
        match explain(matcher, &mut fingerprinter, clip, track, config) {
            Ok(why) => {
                writeln!(out, "{}", shown(clip))?;
                print(out, &why)?;
            }
            Err(e) => {
                complain(&format!("warning: {}: {}", shown(clip), reason(&e)));
                all_read = false;
            }
        }
    }
    out.flush()?;
    Ok(all_read)
}

fn explain(
    matcher: &Matcher,
    fingerprinter: &mut Fingerprinter,
    clip: &Path,
    track: TrackId,
    config: &MatchConfig,
) -> earmark::Result<Explanation> {
    let mut reader = open_audio(clip, &fingerprinter.config().stft)?;
    let query = fingerprinter.query_audio(&mut reader)?;
    matcher.explain(&query, track, config)
}

fn print(out: &mut dyn Write, why: &Explanation) -> io::Result<()> {
    writeln!(out, "  {}", why.outcome)?;
    let Some(Place { name, offset_s, votes, evidence, score, .. }) = &why.place else {
        return Ok(());
    };
    writeln!(out, "  best place      {} of {}", clock(*offset_s), printable(name))?;
    let needed = why.needed_score;
    writeln!(out, "  score           {score:.2}, {needed:.2} needed")?;
    writeln!(out, "  votes           {votes} landmarks")?;
    if why.places_with_more_votes > 0 {
        writeln!(out, "                  {} places have more", why.places_with_more_votes)?;
    }
    writeln!(out, "  peaks           z-score {:.1}", evidence.peaks_z)?;
    writeln!(out, "  bands           z-score {:.1}", evidence.bands_z)?;
    match evidence.phases_z {
        Some(phases_z) => writeln!(out, "  phases          z-score {phases_z:.1}")?,
        None => writeln!(out, "  phases          not compared at another speed")?,
    }
    let missing = 100.0 * evidence.missing_ratio;
    writeln!(out, "  missing         {missing:.0} % of the track's peaks")
}
