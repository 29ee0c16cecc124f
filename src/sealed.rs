//! The envelope of fingerprints, findings and calibrations as bytes: magic bytes, version, length,
//! content, checksum.
//!
//! The checksum is of the content followed by what stands before it.

use crate::error::{Error, Result};
use std::io::{self, ErrorKind};
use xxhash_rust::xxh3::Xxh3;

/// No string or structure of a content is longer.
const MAX_RECORD_BYTES: usize = 1 << 30;
const HEADER_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: usize = 8;

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

/// An envelope that is being filled.
pub struct Sealing {
    envelope: Vec<u8>,
}

impl Sealing {
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.envelope.extend_from_slice(bytes);
    }

    /// Writes a structure after its length.
    pub fn record<T: bincode::Encode>(&mut self, value: &T) -> io::Result<()> {
        self.list(&encode(value)?);
        Ok(())
    }

    /// Writes bytes after their number.
    pub fn list(&mut self, bytes: &[u8]) {
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }
}

/// A content that is yet to be read.
pub struct Content<'a> {
    rest: &'a [u8],
}

impl<'a> Content<'a> {
    #[cfg(feature = "library")]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> io::Result<&'a [u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ErrorKind::UnexpectedEof)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads what [`Sealing::list`] or [`Sealing::record`] wrote.
    pub fn list(&mut self) -> io::Result<&'a [u8]> {
        let length = usize::try_from(u64::from_le_bytes(*self.array()?)).ok();
        let split = length.and_then(|length| self.rest.split_at_checked(length));
        let (list, rest) = split.ok_or(ErrorKind::UnexpectedEof)?;
        self.rest = rest;
        Ok(list)
    }
}

impl Kind {
    /// What `fill` writes, in an envelope.
    pub fn seal(&self, fill: impl FnOnce(&mut Sealing) -> io::Result<()>) -> io::Result<Vec<u8>> {
        let mut sealing = Sealing { envelope: self.header(0).to_vec() };
        fill(&mut sealing)?;
        let mut envelope = sealing.envelope;
        let header = self.header((envelope.len() - HEADER_BYTES) as u64);
        envelope[..HEADER_BYTES].copy_from_slice(&header);
        let checksum = checksum(&envelope[HEADER_BYTES..], &header);
        envelope.extend_from_slice(&checksum);
        Ok(envelope)
    }

    /// Reads an envelope that takes up all of `bytes`. Its content is handed to `take` once its checksum
    /// has been found right, and must be read to its end.
    pub fn open<'a, T>(
        &self,
        bytes: &'a [u8],
        take: impl FnOnce(&mut Content<'a>) -> io::Result<T>,
    ) -> Result<T> {
        let what = self.name;
        let corrupt = |detail: String| Error::Corrupt { what, detail, path: None };
        if !bytes.starts_with(self.magic) {
            return Err(Error::BadMagic { what, path: None });
        }
        let cut = || corrupt("it ends too early".into());
        let (version, rest) = bytes[self.magic.len()..].split_first_chunk().ok_or_else(cut)?;
        let version = u32::from_le_bytes(*version);
        if version != self.version {
            let supported = self.version;
            return Err(Error::Version { what, found: version, supported, path: None });
        }
        let (length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let length = u64::from_le_bytes(*length);
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (content, found) = split.ok_or_else(cut)?;
        if found.len() < CHECKSUM_BYTES {
            return Err(cut());
        }
        if found.len() > CHECKSUM_BYTES {
            return Err(corrupt("there is more behind it than there should be".into()));
        }
        if found != checksum(content, &self.header(length)) {
            return Err(corrupt("its checksum differs".into()));
        }
        let mut content = Content { rest: content };
        let taken = take(&mut content).and_then(|taken| match content.rest.is_empty() {
            true => Ok(taken),
            false => Err(invalid("there is more in it than there should be")),
        });
        taken.map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => cut(),
            _ => corrupt(e.to_string()),
        })
    }

    fn header(&self, length: u64) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(self.magic);
        header[8..12].copy_from_slice(&self.version.to_le_bytes());
        header[12..].copy_from_slice(&length.to_le_bytes());
        header
    }
}

fn checksum(content: &[u8], header: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut checksum = Xxh3::new();
    checksum.update(content);
    checksum.update(header);
    checksum.digest().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: Kind = Kind { name: "test", magic: b"EARMTEST", version: 3 };

    /// A content with one of everything.
    fn sealed(kind: &Kind, list: &[u8]) -> Vec<u8> {
        let sealed = kind.seal(|content| {
            content.record(&(7u32, "seven"))?;
            content.list(list);
            content.list(b"end");
            Ok(())
        });
        sealed.unwrap()
    }

    fn open(bytes: &[u8]) -> Result<(String, Vec<u8>, Vec<u8>)> {
        KIND.open(bytes, |content| {
            let (_, name): (u32, String) = decode(content.list()?)?;
            Ok((name, content.list()?.to_vec(), content.list()?.to_vec()))
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
        let longer = [&bytes[..], b"x"].concat();
        let error = open(&longer).unwrap_err().to_string();
        assert!(error.contains("more behind it"), "{error}");
    }

    #[test]
    fn newer_versions_are_refused_by_name() {
        let bytes = sealed(&Kind { version: 4, ..KIND }, &[]);
        let error = open(&bytes).unwrap_err().to_string();
        assert_eq!(error, "test format version 4, but this build reads version 3: update earmark");
    }

    #[test]
    fn lengths_beyond_the_content_are_damage() {
        for length in [0, 9, u64::MAX] {
            let bytes = KIND.seal(|content| {
                content.bytes(&length.to_le_bytes());
                content.bytes(&[1; 8]);
                Ok(())
            });
            let bytes = bytes.unwrap();
            let error = KIND.open(&bytes, |content| content.list().map(drop)).unwrap_err();
            let told = if length == 0 { "more in it" } else { "ends too early" };
            assert!(error.to_string().contains(told), "{length}: {error}");
        }
    }

    proptest! {
        #[test]
        fn lists_of_any_length_come_back(list in prop::collection::vec(any::<u8>(), 0..1000)) {
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
