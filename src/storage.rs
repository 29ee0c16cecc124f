//! The file of an index: the only place that knows its layout.
//!
//! Three envelopes (see `sealed`), one after the other: the configuration, the tracks with their
//! peaks and sub-fingerprints, the postings. Damage to the postings alone loses nothing, for the peaks
//! give them back.

use crate::catalog::{Catalog, Track, TrackInfo};
use crate::error::{Error, Result};
use crate::packing::{pack_peaks, pack_words, unpack_peaks, unpack_words};
use crate::replacing::{Place, require_file};
use crate::sealed::{self, Content, Kind, Sealing};
use crate::segment::Segment;
use crate::source::{Input, Source};
use crate::tags::Tags;
use crate::units::{FrameIndex, TrackId};
use bincode::{BorrowDecode, Encode};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;

const VERSION: u32 = 5;
const CONFIG: Kind = Kind { name: "index", magic: b"EARMARKI", version: VERSION };
const TRACKS: Kind = Kind { name: "index (tracks)", magic: b"EARMARKT", version: VERSION };
const POSTINGS: Kind = Kind { name: "index (postings)", magic: b"EARMARKP", version: VERSION };

/// What is stored of a track beside its peaks and sub-fingerprints.
#[derive(Encode, BorrowDecode)]
struct Head<'a> {
    id: TrackId,
    name: &'a str,
    title: Option<&'a str>,
    artist: Option<&'a str>,
    album: Option<&'a str>,
    duration_s: f64,
    landmarks: u32,
    first_frame: FrameIndex,
    frames: u32,
}

/// Writes the file as a whole, in place of the one that is there.
pub fn save(path: &Path, catalog: &Catalog, segment: &Segment) -> Result<()> {
    Place::of(path)?.replace(|file| write(file, catalog, segment))
}

fn write(file: &mut File, catalog: &Catalog, segment: &Segment) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    CONFIG.seal(&mut out, |content| content.record(catalog.config()))?;
    TRACKS.seal(&mut out, |content| write_tracks(content, catalog))?;
    POSTINGS.seal(&mut out, |content| {
        content.record(&(segment.len() as u64))?;
        content.list(&segment.lengths())?;
        content.list(segment.bytes())
    })?;
    out.flush()
}

fn write_tracks<W: Write>(content: &mut Sealing<W>, catalog: &Catalog) -> io::Result<()> {
    content.record(&catalog.next_id())?;
    let mut packed = Vec::new();
    for track in catalog.tracks() {
        let Track { id, info, duration_s, landmarks, first_frame, frames, peaks, sub_fingerprints } =
            track;
        let TrackInfo { name, tags: Tags { title, artist, album, .. } } = info;
        content.record(&Head {
            id: *id,
            name,
            title: title.as_deref(),
            artist: artist.as_deref(),
            album: album.as_deref(),
            duration_s: *duration_s,
            landmarks: *landmarks,
            first_frame: *first_frame,
            frames: *frames,
        })?;
        packed.clear();
        pack_peaks(peaks, &mut packed)?;
        content.list(&packed)?;
        packed.clear();
        pack_words(sub_fingerprints, &mut packed);
        content.list(&packed)?;
    }
    Ok(())
}

/// Reads a file. Postings that are damaged come back as `None`.
pub fn open(path: &Path) -> Result<(Catalog, Option<Segment>)> {
    let fail = |source| Error::Io { action: "read", path: path.into(), source };
    // Before it is opened, for a pipe would wait for someone to write to it.
    path.metadata().and_then(|found| require_file(&found)).map_err(fail)?;
    let file = Mutex::new(File::open(path).map_err(fail)?);
    read(Source::of_file(&file).map_err(fail)?).map_err(|e| e.of_file(path))
}

fn read<I: Input + Send>(mut source: Source<I>) -> Result<(Catalog, Option<Segment>)> {
    let mut catalog = CONFIG.open(&mut source, |content| {
        let mut bytes = Vec::new();
        content.list(&mut bytes)?;
        Catalog::new(sealed::decode(&bytes)?).map_err(|e| sealed::invalid(e.to_string()))
    })?;
    let after_tracks = sealed::after_next(source);
    let mut segment = None;
    let read = at_once(
        || TRACKS.open(&mut source, |content| read_tracks(content, &mut catalog)),
        || segment = after_tracks.ok().and_then(open_postings),
    );
    read.map(|()| (catalog, segment))
}

/// Does both at the same time, with the feature `parallel`. Many small allocations belong `here`: a
/// thread of the pool pays more for them.
fn at_once<T>(here: impl FnOnce() -> T, elsewhere: impl FnOnce() + Send) -> T {
    #[cfg(feature = "parallel")]
    return rayon::in_place_scope(|scope| {
        scope.spawn(|_| elsewhere());
        here()
    });
    #[cfg(not(feature = "parallel"))]
    {
        let made = here();
        elsewhere();
        made
    }
}

fn open_postings<I: Input>(mut source: Source<I>) -> Option<Segment> {
    let segment = POSTINGS.open(&mut source, |content| {
        let (mut len, mut lengths, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        content.list(&mut len)?;
        content.list(&mut lengths)?;
        content.list(&mut lists)?;
        Ok(Segment::from_parts(sealed::decode(&len)?, &lengths, lists))
    });
    segment.ok().flatten()
}

fn read_tracks<I: Input>(content: &mut Content<I>, catalog: &mut Catalog) -> io::Result<()> {
    let (mut head, mut packed) = (Vec::new(), Vec::new());
    content.list(&mut head)?;
    let next_id = sealed::decode(&head)?;
    while !content.is_empty() {
        content.list(&mut head)?;
        content.list(&mut packed)?;
        let peaks = unpack_peaks(&packed)?;
        content.list(&mut packed)?;
        let sub_fingerprints = unpack_words(&packed)?;
        let Head { id, name, title, artist, album, duration_s, landmarks, first_frame, frames } =
            sealed::decode(&head)?;
        let [title, artist, album] = [title, artist, album].map(|tag| tag.map(String::from));
        let info =
            TrackInfo { name: name.into(), tags: Tags { title, artist, album, ..Tags::default() } };
        let track =
            Track { id, info, duration_s, landmarks, first_frame, frames, peaks, sub_fingerprints };
        catalog.restore(track).map_err(sealed::invalid)?;
    }
    catalog.reserve_ids(next_id);
    Ok(())
}
