//! Looking up a clip of any length: short ones as a whole, long ones piece by piece, so that memory
//! does not grow with them.

use crate::answer::Matcher;
use earmark::search::Joined;
use earmark::{AudioReader, Error, Fingerprinter, Match, MatchConfig};

/// Clips up to this length are searched as a whole,
pub const WHOLE_S: f64 = 300.0;
/// longer ones in pieces of this length (the last is 70 to 180 s),
const PIECE_S: f64 = 120.0;
/// each of which begins so long before the end of the one before: what is as short lies in one of
/// them wholly.
const OVERLAP_S: f64 = 10.0;
/// Matches of a piece at least, so that none is missing between two others that go together.
const MATCHES_PER_PIECE: usize = 16;

/// Finds where all that a reader decodes comes from, best match first. Also gives its length in
/// seconds.
///
/// # Errors
/// As [`Fingerprinter::query_audio`].
pub fn search(
    matcher: &Matcher,
    fingerprinter: &mut Fingerprinter,
    reader: &mut AudioReader,
    config: &MatchConfig,
) -> earmark::Result<(f64, Vec<Match>)> {
    let rate = fingerprinter.config().stft.sample_rate;
    let in_samples = |seconds: f64| (seconds * f64::from(rate.hz())) as usize;
    let (piece, overlap) = (in_samples(PIECE_S), in_samples(OVERLAP_S));
    let mut samples = Vec::new();
    if fill(&mut samples, in_samples(WHOLE_S), reader)? {
        let query = fingerprinter.query(&samples, rate)?;
        return Ok((query.duration_s(), matcher.search(&query, config)?));
    }

    let of_piece =
        MatchConfig { max_matches: config.max_matches.max(MATCHES_PER_PIECE), ..config.clone() };
    let mut joined = Joined::new();
    let (mut begin, mut searched, mut fault) = (0, false, None);
    loop {
        let ended = fill(&mut samples, piece + piece / 2, reader)?;
        let len = if ended { samples.len() } else { piece };
        let found = fingerprinter.query(&samples[..len], rate);
        match found.and_then(|query| matcher.search(&query, &of_piece)) {
            Ok(found) => {
                joined.add(found, rate.seconds(begin));
                searched = true;
            }
            // One piece without music says nothing of the others.
            Err(e @ (Error::Silent { .. } | Error::Featureless { .. })) => {
                joined.add(Vec::new(), rate.seconds(begin));
                fault = Some(e);
            }
            Err(e) => return Err(e),
        }
        if ended {
            break;
        }
        samples.drain(..len - overlap);
        begin += (len - overlap) as u64;
    }
    let duration_s = rate.seconds(begin + samples.len() as u64);
    match fault {
        Some(Error::Silent { .. }) if !searched => Err(Error::Silent { duration_s }),
        Some(_) if !searched => Err(Error::Featureless { duration_s }),
        _ => Ok((duration_s, joined.finish(config))),
    }
}

/// Reads on until there are more samples than so many; whether the audio ends before.
fn fill(samples: &mut Vec<f32>, most: usize, reader: &mut AudioReader) -> earmark::Result<bool> {
    while samples.len() <= most {
        match reader.next_block()? {
            Some(block) => samples.extend_from_slice(block),
            None => return Ok(true),
        }
    }
    Ok(false)
}
