//! What a clip comes from: the audio, and how it is looked up.

use super::Library;
use super::options::{IdentifyOptions, MediaRead};
use crate::decode::AudioReader;
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprinter, Query};
use crate::search::Match;
use crate::units::SampleRate;
use std::fmt;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Audio that is to be identified.
///
/// Paths become one by themselves: `library.identify("clip.mp3")`.
#[non_exhaustive]
pub enum Clip<'a> {
    /// A file.
    File(PathBuf),
    /// A file that is open, or in memory; and the extension of its name as a hint.
    Reader(Box<dyn MediaRead>, Option<&'a str>),
    /// Mono samples, and their rate.
    Samples(&'a [f32], SampleRate),
    /// A query that was made before, with the library's [configuration](Library::config).
    Query(&'a Query),
}

impl Clip<'_> {
    /// A file in memory.
    #[must_use]
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Reader(Box::new(Cursor::new(bytes.into())), None)
    }

    /// Anything that is read like a file.
    #[must_use]
    pub fn reader(reader: impl MediaRead + 'static) -> Self {
        Self::Reader(Box::new(reader), None)
    }
}

impl<'a> Clip<'a> {
    /// Mono samples at any rate.
    #[must_use]
    pub fn samples(samples: &'a [f32], rate: SampleRate) -> Self {
        Self::Samples(samples, rate)
    }
}

impl fmt::Debug for Clip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Reader(..) => f.write_str("Reader"),
            Self::Samples(samples, rate) => write!(f, "Samples({}, {rate:?})", samples.len()),
            Self::Query(query) => write!(f, "Query({} s)", query.duration_s()),
        }
    }
}

impl From<&Path> for Clip<'_> {
    fn from(path: &Path) -> Self {
        Self::File(path.into())
    }
}

impl From<PathBuf> for Clip<'_> {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Clip<'_> {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&str> for Clip<'_> {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<String> for Clip<'_> {
    fn from(path: String) -> Self {
        Self::File(path.into())
    }
}

impl<'a> From<&'a Query> for Clip<'a> {
    fn from(query: &'a Query) -> Self {
        Self::Query(query)
    }
}

/// Searches for a clip, stretch by stretch.
pub(super) fn identify(
    library: &Library,
    clip: Clip<'_>,
    options: &IdentifyOptions,
) -> Result<Vec<Match>> {
    options.matching.validate()?;
    let wrong = |field, value: f64, expected: &str| Error::Config {
        field,
        value: value.to_string(),
        expected: expected.into(),
    };
    if !(5.0..=600.0).contains(&options.stretch_s) {
        return Err(wrong("stretch_s", options.stretch_s, "5 to 600"));
    }
    if options.listen_s.is_nan() || options.listen_s < options.stretch_s {
        return Err(wrong("listen_s", options.listen_s, "stretch_s at least"));
    }
    let mut fingerprinter = library.fingerprinter()?;
    let stft = fingerprinter.config().stft.clone();
    let mut listener = Listener {
        library,
        options,
        fingerprinter: &mut fingerprinter,
        begun: Instant::now(),
        start_s: 0.0,
        tries: 0,
    };
    let found = match clip {
        Clip::Query(query) => library.index().reader().search(query, &options.matching),
        Clip::File(path) => listener.listen(&mut AudioReader::open(path, &stft)?),
        Clip::Reader(reader, extension) => {
            listener.listen(&mut AudioReader::from_reader(reader, extension, &stft)?)
        }
        Clip::Samples(samples, rate) => listener.look_at(samples, rate),
    };
    library.give_back(fingerprinter);
    found
}

struct Listener<'a> {
    library: &'a Library,
    options: &'a IdentifyOptions,
    fingerprinter: &'a mut Fingerprinter,
    begun: Instant,
    /// Where the stretch begins in the clip.
    start_s: f64,
    tries: u32,
}

impl Listener<'_> {
    fn listen(&mut self, reader: &mut AudioReader) -> Result<Vec<Match>> {
        let rate = reader.stft().sample_rate;
        let most = (self.options.stretch_s * f64::from(rate.hz())) as usize;
        let mut stretch = Vec::new();
        loop {
            self.in_time()?;
            let block = reader.next_block()?;
            stretch.extend_from_slice(block.unwrap_or_default());
            let ended = block.is_none();
            if !ended && stretch.len() < most {
                continue;
            }
            let found = self.look_up(&stretch, rate)?;
            self.start_s += rate.seconds(stretch.len() as u64);
            if ended || !found.is_empty() || self.start_s >= self.options.listen_s {
                return Ok(found);
            }
            stretch.clear();
        }
    }

    fn look_at(&mut self, samples: &[f32], rate: SampleRate) -> Result<Vec<Match>> {
        let most = (self.options.stretch_s * f64::from(rate.hz())) as usize;
        let mut found = Vec::new();
        // Samples without any are a clip as well: one that is too short.
        let count = samples.len().div_ceil(most.max(1)).max(1);
        for i in 0..count {
            self.in_time()?;
            let stretch =
                &samples[(i * most).min(samples.len())..((i + 1) * most).min(samples.len())];
            found = self.look_up(stretch, rate)?;
            self.start_s += rate.seconds(stretch.len() as u64);
            if !found.is_empty() || self.start_s >= self.options.listen_s {
                break;
            }
        }
        Ok(found)
    }

    fn in_time(&self) -> Result<()> {
        let elapsed = self.begun.elapsed();
        if self.options.time_limit.is_none_or(|limit| elapsed < limit) {
            return Ok(());
        }
        Err(Error::OutOfTime { after_s: elapsed.as_secs_f64(), listened_s: self.start_s })
    }

    fn look_up(&mut self, stretch: &[f32], rate: SampleRate) -> Result<Vec<Match>> {
        let query = match self.fingerprinter.query(stretch, rate) {
            Ok(query) => query,
            // There was something before, or comes afterwards.
            Err(Error::TooShort { .. }) if self.tries > 0 => return Ok(Vec::new()),
            Err(Error::Silent { .. } | Error::Featureless { .. })
                if self.tries > 0
                    || rate.seconds(stretch.len() as u64) >= self.options.stretch_s =>
            {
                self.tries += 1;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        self.tries += 1;
        let mut found = self.library.index().reader().search(&query, &self.options.matching)?;
        for m in &mut found {
            m.query.start_s += self.start_s;
            m.query.end_s += self.start_s;
            m.offset_s -= self.start_s * m.speed;
            // Each stretch is another chance for chance.
            m.false_alarms *= f64::from(self.tries);
        }
        found.retain(|m| m.false_alarms <= self.options.matching.max_false_alarms);
        Ok(found)
    }
}
