//! The file of an index: the only place that knows its layout.
//!
//! Three envelopes (see `sealed`), one after the other: the configuration, the tracks with their
//! peaks, the postings. Damage to the postings alone loses nothing, for the peaks give them back.

use crate::catalog::{Catalog, Track};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::LandmarkHash;
use crate::sealed::Kind;
use crate::segment::Segment;
use bincode::{Decode, Encode};
use std::io::Write;
use std::path::Path;

const VERSION: u32 = 1;
const CONFIG: Kind = Kind { name: "index", magic: b"EARMARKI", version: VERSION };
const TRACKS: Kind = Kind { name: "index (tracks)", magic: b"EARMARKT", version: VERSION };
const POSTINGS: Kind = Kind { name: "index (postings)", magic: b"EARMARKP", version: VERSION };

#[derive(Encode, Decode)]
struct Postings {
    hashes: Fixed,
    lengths: Vec<u32>,
    postings: Fixed,
}

/// Numbers that are stored as they are, four bytes each, to be read at once.
struct Fixed(Vec<u32>);

impl Encode for Fixed {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes.encode(encoder)
    }
}

impl<C> Decode<C> for Fixed {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let bytes = Vec::<u8>::decode(decoder)?;
        Ok(Self(bytes.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect()))
    }
}

bincode::impl_borrow_decode!(Fixed);

/// Writes the file beside its place and moves it there once it is complete and on disk, so that a
/// crash at any time leaves the old file or the new one.
pub fn save(path: &Path, catalog: &Catalog, segment: &Segment) -> Result<()> {
    let mut bytes = Vec::new();
    CONFIG.seal(catalog.config(), &mut bytes)?;
    TRACKS.seal(&(catalog.next_id(), catalog.tracks()), &mut bytes)?;
    let postings = Postings {
        hashes: Fixed(segment.hashes.iter().map(|h| h.0).collect()),
        lengths: segment.starts.windows(2).map(|w| w[1] - w[0]).collect(),
        postings: Fixed(segment.postings.clone()),
    };
    POSTINGS.seal(&postings, &mut bytes)?;
    let fail = |action| move |source| Error::Io { action, path: path.into(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // A temporary file is private by default; an index is as readable as any other new file.
    let mut file = tempfile::Builder::new()
        .prefix(".earmark-")
        .make_in(folder, |path| std::fs::File::create_new(path))
        .map_err(fail("write beside"))?;
    file.write_all(&bytes).map_err(fail("write"))?;
    file.as_file().sync_all().map_err(fail("write"))?;
    file.persist(path).map_err(|e| fail("replace")(e.error))?;
    Ok(())
}

/// Reads a file. Postings that are damaged come back as `None`.
pub fn open(path: &Path) -> Result<(Catalog, Option<Segment>)> {
    let fail = |source| Error::Io { action: "read", path: path.into(), source };
    read(&std::fs::read(path).map_err(fail)?)
}

fn read(mut bytes: &[u8]) -> Result<(Catalog, Option<Segment>)> {
    let config: Config = CONFIG.open(&mut bytes)?;
    let (next_id, tracks): (u32, Vec<Track>) = TRACKS.open(&mut bytes)?;
    let catalog = Catalog::from_tracks(config, tracks, next_id)?;
    let segment = POSTINGS.open::<Postings>(&mut bytes).ok().and_then(|p| {
        let hashes = p.hashes.0.into_iter().map(LandmarkHash).collect();
        Segment::from_parts(hashes, &p.lengths, p.postings.0)
    });
    Ok((catalog, segment))
}
