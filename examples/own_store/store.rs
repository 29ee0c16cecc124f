//! A collection in a database that knows nothing of audio: redb, a key-value store in one file.
//!
//! Four tables are all that a search needs. Nothing of it is in memory but what is being read.

use earmark::landmark::LandmarkHash;
use earmark::store::{Excerpted, LaidOut, PostingList, Store, Totals, TrackEntry};
use earmark::{Config, Error, Fingerprint, Result, Tags, TrackId, TrackInfo};
use redb::{
    Database, MultimapTableDefinition, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, TableDefinition,
};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Name, tags and duration of each track, as JSON.
const INFOS: TableDefinition<u32, &str> = TableDefinition::new("infos");
/// What [`Fingerprint::to_bytes`] gives.
const FINGERPRINTS: TableDefinition<u32, &[u8]> = TableDefinition::new("fingerprints");
/// For each track the first of its blocks on the line, the block after its last, and its frames.
const PLACES: TableDefinition<u32, (u32, u32, u32)> = TableDefinition::new("places");
/// For each hash the blocks of the line in which it stands.
const POSTINGS: MultimapTableDefinition<u32, u32> = MultimapTableDefinition::new("postings");

/// A collection in a file.
pub struct OwnStore {
    database: Database,
    config: Arc<Config>,
}

/// What the database says of its errors is told as it is.
fn told(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Store(Box::new(error))
}

impl OwnStore {
    /// Opens a file, or makes one.
    pub fn open(path: &Path, config: Config) -> Result<Self> {
        let database = Database::create(path).map_err(told)?;
        let begun = database.begin_write().map_err(told)?;
        begun.open_table(INFOS).map_err(told)?;
        begun.open_table(FINGERPRINTS).map_err(told)?;
        begun.open_table(PLACES).map_err(told)?;
        begun.open_multimap_table(POSTINGS).map_err(told)?;
        begun.commit().map_err(told)?;
        Ok(Self { database, config: Arc::new(config) })
    }

    /// Adds a track at the end of the line, in one transaction.
    pub fn add(&self, info: &TrackInfo, fingerprint: &Fingerprint) -> Result<TrackId> {
        let track = LaidOut::new(fingerprint, &self.config);
        let begun = self.database.begin_write().map_err(told)?;
        let id = {
            let mut infos = begun.open_table(INFOS).map_err(told)?;
            let mut fingerprints = begun.open_table(FINGERPRINTS).map_err(told)?;
            let mut places = begun.open_table(PLACES).map_err(told)?;
            let mut postings = begun.open_multimap_table(POSTINGS).map_err(told)?;
            let last =
                places.last().map_err(told)?.map(|(id, place)| (id.value(), place.value().1));
            let (id, first) = last.map_or((0, 0), |(id, end)| (id + 1, end));
            let end = first.checked_add(track.blocks()).ok_or(Error::IndexFull)?;
            let text = to_json(info, fingerprint.duration_s()).to_string();
            infos.insert(id, text.as_str()).map_err(told)?;
            fingerprints.insert(id, &fingerprint.to_bytes()?[..]).map_err(told)?;
            places.insert(id, (first, end, track.frames())).map_err(told)?;
            for (hash, block) in track.postings() {
                postings.insert(hash.0, first + block).map_err(told)?;
            }
            TrackId(id)
        };
        begun.commit().map_err(told)?;
        Ok(id)
    }

    /// The collection as it is now, whatever is added meanwhile.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let transaction = self.database.begin_read().map_err(told)?;
        Ok(Snapshot { transaction, config: Arc::clone(&self.config) })
    }
}

/// One state of the collection: what a search reads.
pub struct Snapshot {
    transaction: ReadTransaction,
    config: Arc<Config>,
}

impl Snapshot {
    /// The tracks that have a part of some blocks, with the first of their own.
    fn tracks_in(&self, blocks: &Range<u32>) -> Result<Vec<(TrackId, u32)>> {
        let places = self.transaction.open_table(PLACES).map_err(told)?;
        // Ids are given in the order of the line, without gaps: look for the first by halving.
        let (mut low, mut high) = (0, places.len().map_err(told)? as u32);
        let place = |id: u32| -> Result<(u32, u32)> {
            let place = places.get(id).map_err(told)?;
            let gap = || Error::Store("a track is missing".into());
            place.map(|place| (place.value().0, place.value().1)).ok_or_else(gap)
        };
        let count = high;
        while low < high {
            let middle = low + (high - low) / 2;
            if place(middle)?.1 <= blocks.start { low = middle + 1 } else { high = middle }
        }
        let mut found = Vec::new();
        for id in low..count {
            let (first, _) = place(id)?;
            if first >= blocks.end {
                break;
            }
            found.push((TrackId(id), first));
        }
        Ok(found)
    }

    fn fingerprint(&self, id: TrackId) -> Result<Option<Fingerprint>> {
        let fingerprints = self.transaction.open_table(FINGERPRINTS).map_err(told)?;
        let bytes = fingerprints.get(id.0).map_err(told)?;
        bytes.map(|bytes| Fingerprint::from_bytes(bytes.value(), &self.config)).transpose()
    }
}

impl Store for Snapshot {
    fn totals(&self) -> Result<Totals> {
        let places = self.transaction.open_table(PLACES).map_err(told)?;
        let (mut frames, mut end) = (0, 0);
        for place in places.iter().map_err(told)? {
            let place = place.map_err(told)?.1.value();
            (end, frames) = (place.1, frames + u64::from(place.2));
        }
        let tracks = places.len().map_err(told)?;
        Ok(Totals::new(Arc::clone(&self.config), tracks, frames, end))
    }

    fn postings(&self, hashes: &[LandmarkHash]) -> Result<Vec<PostingList<'_>>> {
        let postings = self.transaction.open_multimap_table(POSTINGS).map_err(told)?;
        let mut lists = Vec::new();
        for (of, hash) in (0..).zip(hashes) {
            let mut blocks = Vec::new();
            for block in postings.get(hash.0).map_err(told)? {
                blocks.push(block.map_err(told)?.value());
            }
            if !blocks.is_empty() {
                lists.push(PostingList::encode(of, blocks));
            }
        }
        Ok(lists)
    }

    fn excerpts(&self, wanted: &[Range<u32>]) -> Result<Vec<Excerpted>> {
        let mut excerpts = Vec::new();
        for (wanted, blocks) in (0..).zip(wanted) {
            for (id, first_block) in self.tracks_in(blocks)? {
                let Some(fingerprint) = self.fingerprint(id)? else { continue };
                let track = LaidOut::new(&fingerprint, &self.config);
                let excerpt = track.excerpt(id, first_block, blocks);
                excerpts.extend(excerpt.map(|excerpt| Excerpted { wanted, excerpt }));
            }
        }
        Ok(excerpts)
    }

    fn tracks(&self, ids: &[TrackId]) -> Result<Vec<Option<TrackEntry>>> {
        let infos = self.transaction.open_table(INFOS).map_err(told)?;
        let entry = |id: &TrackId| {
            let text = infos.get(id.0).map_err(told)?;
            text.map(|text| entry(*id, text.value())).transpose()
        };
        ids.iter().map(entry).collect()
    }

    fn blocks_of(&self, ids: &[TrackId]) -> Result<Vec<Range<u32>>> {
        let places = self.transaction.open_table(PLACES).map_err(told)?;
        let blocks = |id: &TrackId| {
            let place = places.get(id.0).map_err(told)?;
            Ok(place.map_or(0..0, |place| place.value().0..place.value().1))
        };
        ids.iter().map(blocks).collect()
    }
}

fn to_json(TrackInfo { name, tags }: &TrackInfo, duration_s: f64) -> Value {
    json!({
        "name": name,
        "title": tags.title,
        "artist": tags.artist,
        "album": tags.album,
        "track_number": tags.track_number,
        "isrc": tags.isrc,
        "musicbrainz_id": tags.musicbrainz_id,
        // As bits: text would round it.
        "duration": duration_s.to_bits(),
    })
}

fn entry(id: TrackId, text: &str) -> Result<TrackEntry> {
    let value: Value = serde_json::from_str(text).map_err(told)?;
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let mut tags = Tags::default();
    (tags.title, tags.artist, tags.album) = (text("title"), text("artist"), text("album"));
    (tags.isrc, tags.musicbrainz_id) = (text("isrc"), text("musicbrainz_id"));
    tags.track_number = value["track_number"].as_u64().map(|number| number as u32);
    let duration_s = f64::from_bits(value["duration"].as_u64().unwrap_or_default());
    Ok(TrackEntry::new(id, text("name").unwrap_or_default(), tags, duration_s))
}
