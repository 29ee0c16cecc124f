//! The envelope of everything that is stored: magic bytes, version, length, content, checksum.

use crate::error::{Error, Result};
use bincode::{Decode, Encode};
use xxhash_rust::xxh3::xxh3_64;

/// Content beyond this is refused before anything is allocated for it.
const MAX_CONTENT_BYTES: usize = 1 << 34;
const HEADER_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: usize = 8;

/// What kind of thing an envelope holds.
pub struct Kind {
    /// As error messages call it.
    pub name: &'static str,
    pub magic: &'static [u8; 8],
    pub version: u32,
}

fn encoding() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_CONTENT_BYTES>()
}

impl Kind {
    /// Appends `content` in an envelope.
    pub fn seal<T: Encode>(&self, content: &T, out: &mut Vec<u8>) -> Result<()> {
        let begin = out.len();
        out.extend_from_slice(self.magic);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        bincode::encode_into_std_write(content, out, encoding())
            .map_err(|e| self.corrupt(format!("it cannot be written: {e}")))?;
        let length = (out.len() - begin - HEADER_BYTES) as u64;
        out[begin + 12..begin + HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        let checksum = xxh3_64(&out[begin..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// Takes one envelope off the front of `bytes` and decodes its content.
    pub fn open<T: Decode<()>>(&self, bytes: &mut &[u8]) -> Result<T> {
        let content = self.content(bytes)?;
        match bincode::decode_from_slice(content, encoding()) {
            Ok((value, read)) if read == content.len() => Ok(value),
            Ok(_) => Err(self.corrupt("there is more in it than there should be")),
            Err(e) => Err(self.corrupt(e.to_string())),
        }
    }

    /// Takes one envelope off the front of `bytes` (also where its checksum is wrong, as long as
    /// its length is plausible) and returns the content.
    fn content<'a>(&self, bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
        let all = *bytes;
        if all.get(..8).is_none_or(|magic| magic != self.magic) {
            return Err(Error::BadMagic { what: self.name });
        }
        let cut = || self.corrupt("it ends too early");
        let field = |at: usize, len: usize| all.get(at..at.checked_add(len)?);
        let version = field(8, 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        let version = version.ok_or_else(cut)?;
        if version != self.version {
            return Err(Error::Version {
                what: self.name,
                found: version,
                supported: self.version,
            });
        }
        let length = field(12, 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let length = length.and_then(|l| usize::try_from(l).ok()).ok_or_else(cut)?;
        let content = field(HEADER_BYTES, length).ok_or_else(cut)?;
        let end = HEADER_BYTES + length;
        let checksum = field(end, CHECKSUM_BYTES).ok_or_else(cut)?;
        *bytes = &all[end + CHECKSUM_BYTES..];
        if xxh3_64(&all[..end]).to_le_bytes() != checksum {
            return Err(self.corrupt("its checksum differs"));
        }
        Ok(content)
    }

    fn corrupt(&self, detail: impl Into<String>) -> Error {
        Error::Corrupt { what: self.name, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: Kind = Kind { name: "test", magic: b"EARMTEST", version: 3 };

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let mut bytes = Vec::new();
        KIND.seal(&(7u32, "seven".to_string()), &mut bytes).unwrap();
        assert_eq!(KIND.open::<(u32, String)>(&mut &bytes[..]).unwrap(), (7, "seven".into()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(KIND.open::<(u32, String)>(&mut &damaged[..]).is_err());
        }
        for end in 0..bytes.len() {
            assert!(KIND.open::<(u32, String)>(&mut &bytes[..end]).is_err());
        }
    }

    #[test]
    fn newer_versions_are_refused_by_name() {
        let mut bytes = Vec::new();
        Kind { version: 4, ..KIND }.seal(&1u8, &mut bytes).unwrap();
        let error = KIND.open::<u8>(&mut &bytes[..]).unwrap_err().to_string();
        assert_eq!(error, "test format version 4, but this build reads version 3: update earmark");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(KIND.open::<Vec<String>>(&mut &bytes[..]).is_err());
            bytes.splice(0..0, b"EARMTEST\x03\0\0\0".iter().copied());
            prop_assert!(KIND.open::<Vec<String>>(&mut &bytes[..]).is_err());
        }
    }
}
