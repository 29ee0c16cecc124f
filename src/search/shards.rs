//! A collection that is split by track over several stores, searched as one.
//!
//! Each shard is searched in a thread of its own. First, all of them take a quick look, then (unless other speeds
//! are asked for) a look at the likeliest stretches. If one of these gives a certain match in one shard, it is enough for all, as it would
//! be in one store. Otherwise all look at everything. What they found is decided once, with the totals of all.

use super::config::{MatchConfig, TrackFilter};
use super::decision::decide;
use super::find::{certain_after_looks, is_certain};
use super::findings::Findings;
use super::matches::Match;
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::store::Store;
use asking::{Asked, Late};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

mod asking;

/// Opens a snapshot of a store.
type Opener = Arc<dyn Fn() -> Result<Box<dyn Store>> + Send + Sync>;

/// Where a shard's snapshot comes from.
#[derive(Clone)]
enum Source {
    Held(Arc<dyn Store + Send + Sync>),
    Opened(Opener),
}

/// A part of a collection: a store, with a name by which messages call it.
pub struct Shard {
    name: String,
    source: Source,
    time_limit: Option<Duration>,
    late: Late,
}

impl Shard {
    /// One snapshot: all searches see the same state.
    ///
    /// The name stands in messages. It should not be a URL with a password.
    #[must_use]
    pub fn new(name: impl Into<String>, store: impl Store + Send + Sync + 'static) -> Self {
        Self::from_source(name.into(), Source::Held(Arc::new(store)))
    }

    /// A store that is opened for each search, in the thread that searches it: one that others write to, or
    /// one behind a connection that comes from a pool. What fails there fails the shard, in one search.
    ///
    /// ```
    /// use earmark::search::Shard;
    /// use earmark::{Config, Index};
    /// let index = Index::in_memory(Config::default())?;
    /// let shard = Shard::opened_by("new releases", move || Ok(index.reader()));
    /// # Ok::<(), earmark::Error>(())
    /// ```
    #[must_use]
    pub fn opened_by<S: Store + 'static>(
        name: impl Into<String>,
        open: impl Fn() -> Result<S> + Send + Sync + 'static,
    ) -> Self {
        let open: Opener = Arc::new(move || Ok(Box::new(open()?)));
        Self::from_source(name.into(), Source::Opened(open))
    }

    fn from_source(name: String, source: Source) -> Self {
        Self { name, source, time_limit: None, late: Late::default() }
    }

    /// How long a search of it may take. Time in which it waits for others does not count. Default: as long
    /// as it takes.
    ///
    /// A search that takes longer is given up. Its thread ends when the store answers. While four of them have
    /// not ended, the shard is not searched, so that one that hangs does not take all threads there are. A
    /// time-out of the store itself, where it has one, should be shorter.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { time_limit: Some(limit), ..self }
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("name", &self.name)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// A collection in several stores, each of which holds some of its tracks.
///
/// The stores may be of any kinds, but their fingerprints are of one analysis, and they are searched by one
/// calibration: what goes by another than the first that answers counts as failed. A track is in one of them
/// only: in two, it is two tracks of the same audio. Ids are of one shard each. [`Match::part`] says of which,
/// and [`Match::same_as_part`] of which the other track is. `monitor`, `search_fingerprint` and `explain` take
/// one store at a time.
///
/// ```
/// use earmark::search::{Shard, Shards};
/// use earmark::{Config, Fingerprinter, Index, MatchConfig, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// # let rate = SampleRate::new(8000)?;
/// # let mut fingerprinter = Fingerprinter::new(Config::default())?;
/// let (one, other) = (Index::in_memory(Config::default())?, Index::in_memory(Config::default())?);
/// let mut writer = other.writer()?;
/// writer.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
/// writer.commit()?;
///
/// let shards = Shards::new([
///     Shard::new("archive", one.reader()),
///     Shard::opened_by("new releases", move || Ok(other.reader())),
/// ]);
/// let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
/// let matches = shards.search(&clip, &MatchConfig::default())?;
/// assert_eq!(matches[0].name, "song");
/// assert_eq!(shards.name(matches[0].part), Some("new releases"));
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Shards {
    shards: Vec<Shard>,
}

/// What the shards of a collection answered, some of which may be missing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The matches in those that answered, best first.
    pub matches: Vec<Match>,
    /// Those that did not, in their order. While there are any, the answer is a partial one: a track of theirs
    /// may be the right one, or a better match.
    pub missing: Vec<Missing>,
}

impl Answer {
    /// Whether shards are missing.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.missing.is_empty()
    }
}

/// A shard that did not answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Missing {
    /// Its number, as in [`Match::part`].
    pub part: usize,
    /// Its name.
    pub name: String,
    /// Why it did not.
    pub reason: Error,
}

/// As in "archive: no answer (…)".
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl From<Missing> for Error {
    fn from(Missing { name, reason, .. }: Missing) -> Self {
        Self::Shard { name, source: Box::new(reason) }
    }
}

impl Shards {
    /// A collection in some shards. Their order is that of [`Match::part`].
    #[must_use]
    pub fn new(shards: impl IntoIterator<Item = Shard>) -> Self {
        Self { shards: shards.into_iter().collect() }
    }

    /// The name of a shard.
    #[must_use]
    pub fn name(&self, part: usize) -> Option<&str> {
        self.shards.get(part).map(|shard| shard.name.as_str())
    }

    /// Number of shards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether there is none. Nothing is found then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Finds where a clip comes from in all shards, best match first, as [`search`](super::search()) does in
    /// one store with all their tracks. Each shard looks at as many candidates as that would of all, so that
    /// what is only just found may differ.
    ///
    /// # Errors
    /// [`Error::Shard`] with the first shard that cannot be searched; [`Error::NoAnswer`] in it for one that
    /// takes too long. [`Error::Config`] for a `config` that is out of range, or one with a
    /// [`filter`](MatchConfig::filter): ids are of one shard only.
    pub fn search(&self, query: &Query, config: &MatchConfig) -> Result<Vec<Match>> {
        let (parts, findings, missing) = self.find(query, config, true)?;
        match missing.into_iter().next() {
            Some(missing) => Err(missing.into()),
            None => decided(&parts, &findings, config),
        }
    }

    /// The same, with what shards answer that can be searched. The [`Answer`] says which are missing, and why.
    ///
    /// # Errors
    /// [`Error::Shard`] with the first shard if none can be searched; [`Error::Config`] as in
    /// [`search`](Self::search).
    pub fn search_available(&self, query: &Query, config: &MatchConfig) -> Result<Answer> {
        let (parts, findings, mut missing) = self.find(query, config, false)?;
        if findings.is_empty() && !missing.is_empty() {
            return Err(missing.swap_remove(0).into());
        }
        Ok(Answer { matches: decided(&parts, &findings, config)?, missing })
    }

    /// What was found, with the numbers of the shards, and what is missing. Where that is an error, nothing
    /// more is asked once a shard has failed.
    fn find(
        &self,
        query: &Query,
        config: &MatchConfig,
        all_needed: bool,
    ) -> Result<(Vec<usize>, Vec<Findings>, Vec<Missing>)> {
        config.validate()?;
        if config.filter != TrackFilter::All {
            let expected = "All where shards are searched: ids are of one of them each".into();
            return Err(Error::Config { field: "filter", value: "not All".into(), expected });
        }
        let mut asked = Asked::new(&self.shards, query, config);
        let (mut parts, mut findings) = asked.collect();
        for &alarms in certain_after_looks(config) {
            if all_needed && asked.has_failed() {
                break;
            }
            let enough = is_certain(&findings, alarms)?;
            asked.tell(enough);
            (parts, findings) = asked.collect();
            if enough {
                break;
            }
        }
        let missing = asked.into_failed().into_iter().map(|(part, reason)| Missing {
            part,
            name: self.shards[part].name.clone(),
            reason,
        });
        Ok((parts, findings, missing.collect()))
    }
}

/// Decides, and numbers the parts as the shards are.
fn decided(parts: &[usize], findings: &[Findings], config: &MatchConfig) -> Result<Vec<Match>> {
    let mut matches = decide(findings, config)?;
    for m in &mut matches {
        m.part = parts[m.part];
        m.same_as_part = m.same_as_part.map(|part| parts[part]);
    }
    Ok(matches)
}
