//! Files that answer slowly, like those on a network.

use earmark::library::{MediaRead, Opener};
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

struct Slow {
    file: File,
    delay: Duration,
}

impl Read for Slow {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        sleep(self.delay);
        self.file.read(bytes)
    }
}

impl Seek for Slow {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.file.seek(to)
    }
}

/// Opens files of which each read waits so long.
pub fn opener(delay: Duration) -> Opener {
    Arc::new(move |path: &Path| {
        let file = File::open(path)?;
        Ok(Box::new(Slow { file, delay }) as Box<dyn MediaRead>)
    })
}
