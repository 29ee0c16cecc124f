//! What was done with each file: kept beside the index, so that the next sync does only what is new.
//!
//! The index is the truth. It is committed first, this list is written afterwards; so where a run is
//! killed in between, tracks are there of which the list does not know, and their files are done again. An
//! entry that names a track that is not there is dropped.

use super::paths::{from_bytes, to_bytes};
use crate::error::{Error, Result};
use crate::sealed::{self, Kind};
use crate::store::Reader;
use crate::tags::track_name;
use crate::units::TrackId;
use bincode::{Decode, Encode};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const KIND: Kind = Kind { name: "list of files", magic: b"EARMARKL", version: 1 };
/// So many entries are encoded at a time.
const CHUNK: usize = 4096;
/// A file that was changed so shortly before it was read may be changed again without a sign.
const CLOCK: Duration = Duration::from_secs(2);

/// A time of modification, as the file system tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(super) struct Stamp {
    seconds: i64,
    nanos: u32,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        metadata.modified().map_or(Self::default(), Self::at)
    }

    fn at(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { seconds: after.as_secs() as i64, nanos: after.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                Self { seconds: -(before.as_secs() as i64) - 1, nanos: before.subsec_nanos() }
            }
        }
    }

    /// In nanoseconds since 1970; the nearest there is for times beyond the years 1678 to 2262.
    #[cfg(feature = "postgres")]
    pub fn nanoseconds(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(self.nanos.into())
    }

    /// Whether a file with this time could be changed at `now` and have the same time afterwards.
    pub fn is_fresh(self, now: SystemTime) -> bool {
        now.checked_sub(CLOCK).is_none_or(|then| self >= Self::at(then))
    }
}

/// What a file is and how well it could be read, by which copies are compared.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub struct Quality {
    /// Name of the codec.
    pub codec: String,
    /// The rate at which the file is sampled.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u16,
    /// Packets that were lost in decoding.
    pub lost_packets: u64,
    /// Seconds that the file declares beyond those decoded.
    pub missing_s: f64,
    /// Whether it broke off before its end.
    pub truncated: bool,
}

impl Quality {
    /// Whether the codec keeps every sample.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        let codec = self.codec.to_ascii_lowercase();
        let lossless = ["pcm", "pulse code", "lossless", "flac", "alac", "wavpack", "monkey"];
        lossless.iter().any(|name| codec.contains(name))
    }

    /// Whether everything that the file declares was decoded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.truncated && self.lost_packets == 0 && self.missing_s == 0.0
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) enum Outcome {
    /// It is a track, or has the same content as the file that is.
    Track(TrackId, Quality),
    /// Why it is none, the kind of failure, and seconds that were decoded.
    Failed { reason: String, kind: u8, decoded_s: f64 },
    /// It was taken out on purpose, and is left out until it changes.
    Removed,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Entry {
    pub size: u64,
    pub modified: Stamp,
    /// Whether it was so young when it was read that its time cannot be trusted.
    pub fresh: bool,
    /// xxh3 of its content.
    pub hash: Option<u128>,
    pub outcome: Outcome,
}

impl Entry {
    pub fn track(&self) -> Option<TrackId> {
        match self.outcome {
            Outcome::Track(id, _) => Some(id),
            _ => None,
        }
    }
}

/// The files of a library, by their absolute paths.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ledger {
    pub files: HashMap<PathBuf, Entry>,
}

impl Ledger {
    /// Reads what was saved; nothing where nothing was.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadMagic`], [`Error::Version`], [`Error::Corrupt`].
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::Io { action: "read", path: path.into(), source }),
        };
        let read = KIND.open(&bytes, |content| {
            let mut files = HashMap::new();
            while !content.is_empty() {
                let entries: Vec<(Vec<u8>, Entry)> = sealed::decode(content.list()?)?;
                files.reserve(entries.len());
                let named = |(path, entry)| Some((from_bytes(path)?, entry));
                files.extend(entries.into_iter().filter_map(named));
            }
            Ok(files)
        });
        let named = |mut error: Error| {
            if let Error::BadMagic { path: of, .. }
            | Error::Version { path: of, .. }
            | Error::Corrupt { path: of, .. } = &mut error
            {
                *of = Some(path.into());
            }
            error
        };
        Ok(Self { files: read.map_err(named)? })
    }

    /// Writes it in place of what was saved.
    ///
    /// # Errors
    /// [`Error::Io`]; what was saved stays.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut entries: Vec<(&PathBuf, &Entry)> = self.files.iter().collect();
        entries.sort_unstable_by_key(|(path, _)| *path);
        let bytes = KIND.seal(|content| {
            for chunk in entries.chunks(CHUNK) {
                let encoded =
                    |(path, entry): &(&PathBuf, &Entry)| (to_bytes(path), (*entry).clone());
                content.record(&chunk.iter().map(encoded).collect::<Vec<_>>())?;
            }
            Ok(())
        });
        let fail = |action| move |source| Error::Io { action, path: path.into(), source };
        let new = path.with_extension("new");
        let written = bytes.and_then(|bytes| {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(fail("write"))?;
        fs::rename(&new, path).map_err(fail("replace"))
    }

    /// Drops the entries of tracks that are not there; gives the names of tracks that have no entry.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the index is damaged.
    pub fn reconcile(&mut self, reader: &Reader) -> Result<HashMap<String, TrackId>> {
        let mut by_name: HashMap<String, TrackId> = HashMap::new();
        for track in reader.tracks() {
            let track = track?;
            by_name.insert(track.name, track.id);
        }
        // A track stands for a file of its name; others may have the same content.
        let mut sound: HashSet<TrackId> = HashSet::new();
        for (path, entry) in &self.files {
            if let Some(id) = entry.track()
                && by_name.get(&track_name(path)) == Some(&id)
            {
                sound.insert(id);
            }
        }
        self.files.retain(|_, entry| entry.track().is_none_or(|id| sound.contains(&id)));
        by_name.retain(|_, id| !sound.contains(id));
        Ok(by_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Ledger {
        let entry = |outcome| Entry {
            size: 7,
            modified: Stamp { seconds: -3, nanos: 9 },
            fresh: true,
            hash: Some(u128::MAX - 5),
            outcome,
        };
        let failed = Outcome::Failed { reason: "no".into(), kind: 2, decoded_s: 0.5 };
        let outcomes = [Outcome::Track(TrackId(3), Quality::default()), failed, Outcome::Removed];
        let mut files = HashMap::new();
        for i in 0..10_000 {
            files.insert(format!("/music/{i}").into(), entry(outcomes[i % 3].clone()));
        }
        Ledger { files }
    }

    #[test]
    fn a_ledger_comes_back_and_any_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("files");
        assert_eq!(Ledger::load(&path).unwrap(), Ledger::default());
        some().save(&path).unwrap();
        assert_eq!(Ledger::load(&path).unwrap(), some());
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(997) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            assert!(Ledger::load(&path).is_err(), "at {at}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(Ledger::load(&path).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn times_are_in_order_and_young_ones_are_told() {
        let at = |seconds: i64, millis: u64| {
            let base = match seconds < 0 {
                true => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()),
                false => UNIX_EPOCH + Duration::from_secs(seconds as u64),
            };
            base + Duration::from_millis(millis)
        };
        let now = at(1000, 500);
        assert!(Stamp::at(at(999, 0)).is_fresh(now));
        assert!(Stamp::at(at(2000, 0)).is_fresh(now));
        assert!(!Stamp::at(at(998, 400)).is_fresh(now));
        assert!(!Stamp::at(at(-5, 400)).is_fresh(now));
    }
}
