//! Where stored bytes are read from: any place of a file, or of bytes in memory, by several readers at
//! the same time.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

/// What has bytes at places.
pub trait Input: Copy {
    /// Fills `bytes` with what is there from `at` on.
    fn read_at(self, at: u64, bytes: &mut [u8]) -> io::Result<()>;
}

impl Input for &[u8] {
    fn read_at(self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let there = rest.and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(there.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file stands at one place at a time: who reads keeps it from being moved on in between. It is
/// opened once, for the next opening may find another file that has taken its place.
impl Input for &Mutex<File> {
    fn read_at(self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = lock(self);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(bytes)
    }
}

/// Whoever panicked while reading left no more than another place behind.
fn lock(file: &Mutex<File>) -> std::sync::MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stretch of an input that is yet to be read.
#[derive(Clone, Copy)]
pub struct Source<I> {
    input: I,
    at: u64,
    end: u64,
}

impl<'a> Source<&'a [u8]> {
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { input: bytes, at: 0, end: bytes.len() as u64 }
    }
}

impl<'a> Source<&'a Mutex<File>> {
    pub fn of_file(file: &'a Mutex<File>) -> io::Result<Self> {
        Ok(Self { input: file, at: 0, end: lock(file).metadata()?.len() })
    }
}

impl<I: Input> Source<I> {
    /// How many bytes there are.
    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Takes the next so many bytes, as a stretch that is yet to be read.
    pub fn cut(&mut self, length: u64) -> io::Result<Self> {
        if length > self.left() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let stretch = Self { end: self.at + length, ..*self };
        self.at = stretch.end;
        Ok(stretch)
    }

    /// Reads the next bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let stretch = self.cut(bytes.len() as u64)?;
        self.input.read_at(stretch.at, bytes)
    }

    /// Reads the next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Takes `bytes` as two stretches, read in turns.
    fn check<I: Input>(mut source: Source<I>, bytes: &[u8]) {
        for half in 0..=bytes.len() {
            let mut second = source;
            let mut first = second.cut(half as u64).unwrap();
            assert_eq!((first.left(), second.left()), (half as u64, (bytes.len() - half) as u64));
            for at in 0..bytes.len() {
                let [a, b] = [&mut first, &mut second].map(|half| half.array().ok());
                assert_eq!(a, bytes[..half].get(at).map(|&byte| [byte]));
                assert_eq!(b, bytes[half..].get(at).map(|&byte| [byte]));
            }
        }
        let mut whole = vec![0; bytes.len()];
        assert!(source.cut(bytes.len() as u64 + 1).is_err());
        assert!(source.cut(u64::MAX).is_err());
        source.fill(&mut whole).unwrap();
        assert_eq!(whole, bytes);
        assert!(source.array::<1>().is_err());
    }

    #[test]
    fn stretches_are_read_in_turns_and_not_beyond_their_ends() {
        let bytes = b"0123456789";
        check(Source::of_bytes(bytes), bytes);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let file = Mutex::new(file);
        check(Source::of_file(&file).unwrap(), bytes);
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_ends_too_early() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = Mutex::new(file);
        let mut source = Source::of_file(&file).unwrap();
        lock(&file).set_len(5).unwrap();
        assert_eq!(&source.array::<5>().unwrap(), b"01234");
        assert_eq!(source.array::<5>().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
