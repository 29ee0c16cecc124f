//! The envelope of everything that is stored: magic bytes, version, length, content, checksum.
//!
//! Contents are written and read piece by piece, so that a large one is in memory only as what is
//! made of it. The checksum is of the content followed by what stands before it.

use crate::error::{Error, Result};
use crate::source::{Input, Source};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use xxhash_rust::xxh3::Xxh3;

/// No string or structure of a content is longer.
const MAX_RECORD_BYTES: usize = 1 << 30;
const HEADER_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: u64 = 8;
/// Contents are read in pieces of this size.
const PIECE_BYTES: usize = 1 << 18;

/// What kind of thing an envelope holds.
pub struct Kind {
    /// As error messages call it.
    pub name: &'static str,
    pub magic: &'static [u8; 8],
    pub version: u32,
}

/// How structures are encoded. No other module encodes or decodes any.
fn encoding() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_RECORD_BYTES>()
}

/// Encodes a structure.
#[expect(clippy::disallowed_methods, reason = "everything is encoded here")]
pub fn encode<T: bincode::Encode>(value: &T) -> io::Result<Vec<u8>> {
    bincode::encode_to_vec(value, encoding()).map_err(|e| invalid(e.to_string()))
}

/// Decodes a structure that takes up all of `bytes`.
#[expect(clippy::disallowed_methods, reason = "everything is decoded here")]
pub fn decode<'a, T: bincode::BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> io::Result<T> {
    match bincode::borrow_decode_from_slice(bytes, encoding()) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok(_) => Err(invalid("there is more in it than there should be")),
        Err(e) => Err(invalid(e.to_string())),
    }
}

/// The error for content that cannot be, which [`Kind::open`] reports as damage.
pub fn invalid(detail: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, detail)
}

/// A content that is being written.
pub struct Sealing<'a, W> {
    out: &'a mut W,
    checksum: Xxh3,
    length: u64,
}

impl<W: Write> Sealing<'_, W> {
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.length += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Writes a structure after its length.
    pub fn record<T: bincode::Encode>(&mut self, value: &T) -> io::Result<()> {
        self.list(&encode(value)?)
    }

    /// Writes bytes after their number.
    pub fn list(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes(&(bytes.len() as u64).to_le_bytes())?;
        self.bytes(bytes)
    }
}

/// What comes after the next envelope, whatever that holds, so that both can be read at the same time.
pub fn after_next<I: Input>(mut source: Source<I>) -> io::Result<Source<I>> {
    source.cut(HEADER_BYTES as u64 - 8)?;
    let length = u64::from_le_bytes(source.array()?);
    source.cut(length)?;
    source.cut(CHECKSUM_BYTES)?;
    Ok(source)
}

/// A content that is being read: nothing is allocated beyond what is there.
pub struct Content<I> {
    source: Source<I>,
    checksum: Xxh3,
    /// The piece that was read last.
    piece: Vec<u8>,
    /// So much of it was taken.
    taken: usize,
}

impl<I: Input> Content<I> {
    fn new(source: Source<I>) -> Self {
        Self { source, checksum: Xxh3::new(), piece: Vec::new(), taken: 0 }
    }

    fn left(&self) -> u64 {
        self.source.left() + (self.piece.len() - self.taken) as u64
    }

    pub fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// Reads what [`Sealing::list`] or [`Sealing::record`] wrote into `bytes`.
    pub fn list(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut length = [0; 8];
        self.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let fits = length <= self.left();
        let capacity = usize::try_from(length).ok().filter(|_| fits);
        bytes.clear();
        bytes.reserve_exact(capacity.ok_or(ErrorKind::UnexpectedEof)?);
        self.take(length).read_to_end(bytes)?;
        Ok(())
    }

    /// Reads the next piece. It is checked at once, while it is in the processor's cache.
    fn next_piece(&mut self) -> io::Result<()> {
        let length = self.source.left().min(PIECE_BYTES as u64) as usize;
        self.piece.resize(length, 0);
        // Until it is read, there is nothing to be had of it.
        self.taken = length;
        self.source.fill(&mut self.piece)?;
        self.checksum.update(&self.piece);
        self.taken = 0;
        Ok(())
    }

    /// Reads on to the end.
    fn finish(&mut self) -> io::Result<()> {
        while self.source.left() > 0 {
            self.next_piece()?;
        }
        Ok(())
    }
}

impl<I: Input> Read for Content<I> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            self.next_piece()?;
        }
        let read = (&self.piece[self.taken..]).read(bytes)?;
        self.taken += read;
        Ok(read)
    }
}

impl Kind {
    /// Writes what `fill` writes, in an envelope.
    pub fn seal<W: Write + Seek>(
        &self,
        out: &mut W,
        fill: impl FnOnce(&mut Sealing<W>) -> io::Result<()>,
    ) -> io::Result<()> {
        let begin = out.stream_position()?;
        out.write_all(&self.header(0))?;
        let mut content = Sealing { out, checksum: Xxh3::new(), length: 0 };
        fill(&mut content)?;
        let Sealing { mut checksum, length, .. } = content;
        let header = self.header(length);
        checksum.update(&header);
        out.write_all(&checksum.digest().to_le_bytes())?;
        let end = out.stream_position()?;
        out.seek(SeekFrom::Start(begin))?;
        out.write_all(&header)?;
        out.seek(SeekFrom::Start(end))?;
        Ok(())
    }

    /// Reads the next envelope, whose content `take` reads. What that makes of damaged content is
    /// not returned.
    pub fn open<I: Input, T>(
        &self,
        source: &mut Source<I>,
        take: impl FnOnce(&mut Content<I>) -> io::Result<T>,
    ) -> Result<T> {
        let what = self.name;
        let damaged = |e: io::Error| match e.kind() {
            ErrorKind::InvalidData => Error::Corrupt { what, detail: e.to_string(), path: None },
            ErrorKind::UnexpectedEof => {
                Error::Corrupt { what, detail: "it ends too early".into(), path: None }
            }
            _ => Error::Read(e),
        };
        match source.array().map_err(damaged) {
            Ok(magic) if &magic == self.magic => {}
            Ok(_) | Err(Error::Corrupt { .. }) => return Err(Error::BadMagic { what, path: None }),
            Err(error) => return Err(error),
        }
        let version = u32::from_le_bytes(source.array().map_err(damaged)?);
        if version != self.version {
            let supported = self.version;
            return Err(Error::Version { what, found: version, supported, path: None });
        }
        let length = u64::from_le_bytes(source.array().map_err(damaged)?);
        let mut content = Content::new(source.cut(length).map_err(damaged)?);
        let taken = take(&mut content).and_then(|taken| match content.is_empty() {
            true => Ok(taken),
            false => Err(invalid("there is more in it than there should be")),
        });
        content.finish().map_err(damaged)?;
        content.checksum.update(&self.header(length));
        let checksum = content.checksum.digest();
        if source.array().map_err(damaged)? != checksum.to_le_bytes() {
            return Err(damaged(invalid("its checksum differs")));
        }
        taken.map_err(damaged)
    }

    fn header(&self, length: u64) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(self.magic);
        header[8..12].copy_from_slice(&self.version.to_le_bytes());
        header[12..].copy_from_slice(&length.to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    const KIND: Kind = Kind { name: "test", magic: b"EARMTEST", version: 3 };

    /// A content with one of everything.
    fn sealed(kind: &Kind, list: &[u8]) -> Vec<u8> {
        let mut out = Cursor::new(b"before".to_vec());
        out.seek(SeekFrom::End(0)).unwrap();
        kind.seal(&mut out, |content| {
            content.record(&(7u32, "seven"))?;
            content.list(list)?;
            content.list(b"end")
        })
        .unwrap();
        out.into_inner().split_off(6)
    }

    fn open(bytes: &[u8]) -> Result<(String, Vec<u8>, Vec<u8>)> {
        KIND.open(&mut Source::of_bytes(bytes), |content| {
            let mut bytes = Vec::new();
            content.list(&mut bytes)?;
            let (_, name): (u32, String) = decode(&bytes)?;
            let (mut list, mut end) = (Vec::new(), Vec::new());
            content.list(&mut list)?;
            content.list(&mut end)?;
            Ok((name, list, end))
        })
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let bytes = sealed(&KIND, b"list");
        assert_eq!(open(&bytes).unwrap(), ("seven".into(), b"list".to_vec(), b"end".to_vec()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged).is_err());
        }
        for end in 0..bytes.len() {
            assert!(open(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn newer_versions_are_refused_by_name() {
        let bytes = sealed(&Kind { version: 4, ..KIND }, &[]);
        let error = open(&bytes).unwrap_err().to_string();
        assert_eq!(error, "test format version 4, but this build reads version 3: update earmark");
    }

    fn numbers(n: usize) -> Vec<u8> {
        (0..n as u32).map(|x| (x.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
    }

    /// Whatever a piece ends in (a length, a list, the checksum), it goes on with the next.
    #[test]
    fn contents_of_several_pieces_come_back() {
        for n in (PIECE_BYTES - 50..PIECE_BYTES + 2).chain([3 * PIECE_BYTES]) {
            let list = numbers(n);
            let bytes = sealed(&KIND, &list);
            let (name, read, end) = open(&bytes).unwrap();
            assert!(name == "seven" && read == list && end == b"end", "{n} bytes");
            for at in [20, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 20, bytes.len() - 9] {
                let at = at.min(bytes.len() - 9);
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                let error = open(&damaged).unwrap_err().to_string();
                assert!(error.contains("its checksum differs"), "{n} bytes, at {at}: {error}");
                assert!(open(&bytes[..at]).is_err());
            }
        }
    }

    #[test]
    fn no_memory_is_taken_for_what_is_not_there() {
        let list = u64::MAX.to_le_bytes();
        let mut out = Cursor::new(Vec::new());
        KIND.seal(&mut out, |content| content.bytes(&list)).unwrap();
        let mut bytes = Vec::new();
        let mut source = Source::of_bytes(out.get_ref());
        assert!(KIND.open(&mut source, |content| content.list(&mut bytes)).is_err());
        assert_eq!(bytes.capacity(), 0);
    }

    #[test]
    fn what_comes_after_an_envelope_is_found_without_reading_it() {
        let [a, b] = [sealed(&KIND, b"first"), sealed(&KIND, b"second")];
        let mut both = [a.clone(), b].concat();
        both[30] ^= 1;
        let source = Source::of_bytes(&both);
        let mut after = after_next(source).unwrap();
        let lists = KIND.open(&mut after, |content| {
            let mut list = Vec::new();
            content.list(&mut list)?;
            content.list(&mut list)?;
            content.list(&mut Vec::new())?;
            Ok(list)
        });
        assert_eq!(lists.unwrap(), b"second");
        assert_eq!(after.left(), 0);
        assert!(after_next(after).is_err());
        for end in 0..a.len() {
            assert!(after_next(Source::of_bytes(&a[..end])).is_err(), "cut at {end}");
        }
        both[12..20].fill(u8::MAX);
        assert!(after_next(Source::of_bytes(&both)).is_err());
    }

    proptest! {
        #[test]
        fn lists_of_any_length_come_back(n in 0usize..100_000) {
            let list = numbers(n);
            prop_assert_eq!(open(&sealed(&KIND, &list)).unwrap().1, list);
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&bytes).is_err());
            bytes.splice(0..0, b"EARMTEST\x03\0\0\0".iter().copied());
            prop_assert!(open(&bytes).is_err());
        }
    }
}
