//! Reads files ahead, and hashes what is read.

use super::options::MediaRead;
use super::pipeline::{Failed, Job, Shared, Slot, lock};
use super::report::FailureKind;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// So much is read at a time: disks and networks that answer slowly are asked seldom.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is open.
pub(super) enum Audio {
    /// All of it, and its hash.
    Whole(Vec<u8>, u128),
    /// It is hashed while it is read.
    Stream(Hashing),
}

/// What opening a file gave.
pub(super) enum Opened {
    Audio(Audio),
    /// It is known by this hash.
    Known(u128),
    /// It was asked to stop.
    Stopped,
}

/// Opens a file; reads it, if it is not too large.
pub(super) fn open(shared: &Shared, slot: &Slot, job: &Job) -> Result<Opened, Failed> {
    let fail = |action: &str| {
        let action = action.to_owned();
        move |e: io::Error| Failed {
            kind: FailureKind::Unreadable,
            reason: format!("cannot {action} it: {e}"),
            decoded_s: 0.0,
            hash: None,
        }
    };
    let known = |hash: u128| {
        let of_own = job.own_hash == Some(hash);
        !job.decode && (of_own || lock(&shared.setup.known).contains_key(&hash))
    };
    let mut file = (shared.setup.opener)(&job.path).map_err(fail("open"))?;
    slot.beat(shared);
    if job.size <= shared.most_in_memory() {
        let Some(bytes) = read_all(shared, slot, &mut *file, job.size).map_err(fail("read"))?
        else {
            return Ok(Opened::Stopped);
        };
        let hash = xxh3_128(&bytes);
        return Ok(if known(hash) {
            Opened::Known(hash)
        } else {
            Opened::Audio(Audio::Whole(bytes, hash))
        });
    }
    if job.hash_first && !job.decode {
        let mut hashing = Hashing::new(file);
        let Some(hash) = hashing.finish(|| slot.beat(shared)).map_err(fail("read"))? else {
            return Ok(Opened::Stopped);
        };
        if known(hash) {
            return Ok(Opened::Known(hash));
        }
        file = (shared.setup.opener)(&job.path).map_err(fail("open"))?;
    }
    Ok(Opened::Audio(Audio::Stream(Hashing::new(file))))
}

/// All of a file, but not more than it had when it was found.
fn read_all(
    shared: &Shared,
    slot: &Slot,
    file: &mut dyn MediaRead,
    size: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // The size is the system's, and within the budget.
    bytes.try_reserve_exact(size as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut rest = file.take(size);
    loop {
        let read = rest.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
        if !slot.beat(shared) {
            return Ok(None);
        }
        if read == 0 {
            return Ok(Some(bytes));
        }
    }
}

struct State {
    file: Box<dyn MediaRead>,
    at: u64,
    hash: Xxh3,
    hashed: u64,
}

/// A file that is hashed while it is read, if most of it is read in order.
#[derive(Clone)]
pub(super) struct Hashing {
    state: Arc<Mutex<State>>,
}

impl Hashing {
    fn new(file: Box<dyn MediaRead>) -> Self {
        let state = State { file, at: 0, hash: Xxh3::new(), hashed: 0 };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The same for a decoder, which reads in large pieces. What is read for the first time is progress.
    pub fn buffered(&self, slot: &Arc<Slot>) -> io::BufReader<Beating> {
        let beating = Beating { hashing: self.clone(), slot: Arc::clone(slot) };
        io::BufReader::with_capacity(PIECE_BYTES, beating)
    }

    /// Reads what was not hashed yet, and gives the hash of all; `None` once `goes_on` says no.
    pub fn finish(&mut self, goes_on: impl Fn() -> bool) -> io::Result<Option<u128>> {
        let from = lock(&self.state).hashed;
        self.seek(SeekFrom::Start(from))?;
        let mut piece = vec![0; PIECE_BYTES];
        while self.read(&mut piece)? > 0 {
            if !goes_on() {
                return Ok(None);
            }
        }
        Ok(Some(lock(&self.state).hash.digest128()))
    }
}

impl Read for Hashing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.state);
        let read = state.file.read(bytes)?;
        let end = state.at + read as u64;
        if state.at <= state.hashed && end > state.hashed {
            let new = (state.hashed - state.at) as usize;
            state.hash.update(&bytes[new..read]);
            state.hashed = end;
        }
        state.at = end;
        Ok(read)
    }
}

impl Seek for Hashing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut state = lock(&self.state);
        let at = state.file.seek(to)?;
        state.at = at;
        Ok(at)
    }
}

/// A file that is hashed, and of which it is told that it goes on.
pub(super) struct Beating {
    hashing: Hashing,
    slot: Arc<Slot>,
}

impl Read for Beating {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let before = lock(&self.hashing.state).hashed;
        let read = self.hashing.read(bytes)?;
        if lock(&self.hashing.state).hashed > before {
            self.slot.touch();
        }
        Ok(read)
    }
}

impl Seek for Beating {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.hashing.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// However a decoder jumps about, the hash is that of the file from its beginning to its end.
    #[test]
    fn the_hash_is_that_of_the_whole_whatever_is_read_when() {
        let bytes: Vec<u8> =
            (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let want = xxh3_128(&bytes);
        let orders: [&[(u64, usize)]; 4] = [
            &[],
            &[(0, 3_000_000)],
            &[(2_900_000, 100_000), (0, 1000), (500, 1_500_000), (0, 10)],
            &[(0, 1), (2, 5), (1, 1), (2, 1_000_000), (2_999_999, 1)],
        ];
        for order in orders {
            let mut hashing = Hashing::new(Box::new(Cursor::new(bytes.clone())));
            for &(at, length) in order {
                hashing.seek(SeekFrom::Start(at)).unwrap();
                let mut read = vec![0; length];
                hashing.read_exact(&mut read).unwrap();
                assert_eq!(read, bytes[at as usize..at as usize + length]);
            }
            assert_eq!(hashing.finish(|| true).unwrap(), Some(want), "{order:?}");
            assert_eq!(hashing.finish(|| true).unwrap(), Some(want), "again");
        }
    }
}
