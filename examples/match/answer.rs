//! Looking one clip up.

use crate::opening::open_audio;
use crate::pieces;
use crate::text::reason;
use earmark::search::{Explanation, explain};
use earmark::store::{Store, TrackEntry};
use earmark::{DecodeReport, Fingerprinter, KdIndex, Match, MatchConfig, Query, Reader, TrackId};
use std::path::{Path, PathBuf};

/// What looks landmarks up.
pub enum Matcher {
    Hash(Reader),
    Kd(KdIndex<Reader>),
}

impl Matcher {
    pub fn kd(reader: Reader) -> earmark::Result<Self> {
        Ok(Self::Kd(KdIndex::new(reader)?))
    }

    pub fn reader(&self) -> &Reader {
        match self {
            Self::Hash(reader) => reader,
            Self::Kd(tree) => tree.store(),
        }
    }

    pub fn search(&self, query: &Query, config: &MatchConfig) -> earmark::Result<Vec<Match>> {
        match self {
            Self::Hash(index) => index.search(query, config),
            Self::Kd(index) => index.search(query, config),
        }
    }

    pub fn explain(
        &self,
        query: &Query,
        track: TrackId,
        config: &MatchConfig,
    ) -> earmark::Result<Explanation> {
        match self {
            Self::Hash(index) => explain(index, query, track, config),
            Self::Kd(index) => explain(index, query, track, config),
        }
    }
}

/// What is known of a clip in the end.
pub struct Answer {
    pub clip: PathBuf,
    /// Length of what was read of it, if it could be read.
    pub duration_s: Option<f64>,
    /// How much of it was read, if not all.
    pub loss: Option<DecodeReport>,
    /// Its matches, or why there was no looking for any.
    pub found: Result<Vec<Match>, String>,
    /// Whether there are more matches than were asked for.
    pub more: bool,
    /// The tracks that the matches name as the same.
    pub others: Vec<TrackEntry>,
}

impl Answer {
    /// The track whose audio is the same as that of a match.
    pub fn same_as(&self, m: &Match) -> Option<&TrackEntry> {
        let id = m.same_as?;
        self.others.iter().find(|other| other.id == id)
    }

    /// Whether it is so long that what plays when is a question of its own.
    pub fn is_long(&self) -> bool {
        self.duration_s.is_some_and(|duration_s| duration_s > pieces::WHOLE_S)
    }

    /// What the user should know besides the matches.
    pub fn warning(&self) -> Option<String> {
        let loss = self.loss.as_ref().map(ToString::to_string);
        match &self.found {
            Ok(_) => loss,
            Err(why) => Some(match loss {
                Some(loss) => format!("{why} ({loss})"),
                None => why.clone(),
            }),
        }
    }
}

/// Reads a clip and looks it up.
pub fn ask(
    matcher: &Matcher,
    fingerprinter: &mut Fingerprinter,
    clip: &Path,
    config: &MatchConfig,
) -> Answer {
    let found = Ok(Vec::new());
    let others = Vec::new();
    let mut answer =
        Answer { clip: clip.into(), duration_s: None, loss: None, found, more: false, others };
    let one_more = MatchConfig { max_matches: config.max_matches + 1, ..config.clone() };
    let mut search = || {
        let mut reader = open_audio(clip, &fingerprinter.config().stft)?;
        let found = pieces::search(matcher, fingerprinter, &mut reader, &one_more);
        answer.loss = Some(reader.report()).filter(|report| !report.is_complete());
        let (duration_s, found) = found?;
        answer.duration_s = Some(duration_s);
        Ok(found)
    };
    answer.found = search().map_err(|e: earmark::Error| reason(&e));
    if let Ok(found) = &mut answer.found {
        answer.more = found.len() > config.max_matches;
        found.truncate(config.max_matches);
        let same: Vec<TrackId> = found.iter().filter_map(|m| m.same_as).collect();
        match Store::tracks(matcher.reader(), &same) {
            Ok(others) => answer.others = others.into_iter().flatten().collect(),
            Err(e) => answer.found = Err(reason(&e)),
        }
    }
    answer
}
