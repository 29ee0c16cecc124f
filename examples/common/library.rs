//! What is searched: an index, or a folder that becomes one on the way.

use crate::audio_files::expand;
use crate::ingest::ingest;
use crate::opening::special;
use crate::text::{reason, shown};
use earmark::{Config, HashIndex};
use std::path::{Path, PathBuf};

/// Opens an index, or fingerprints the audio files of a folder.
///
/// # Errors
/// There is no such thing, it is no index of this version, or there is no audio in it.
pub fn open_library(path: &Path, jobs: usize) -> Result<HashIndex, String> {
    let failed = |e: earmark::Error| format!("{}: {}", shown(path), reason(&e));
    let kind = path.metadata().map(|data| data.file_type());
    if let Some(what) = kind.ok().and_then(special) {
        return Err(format!("{}: it is {what}, not an index", shown(path)));
    }
    if !path.is_dir() {
        return HashIndex::open(path).map_err(|e| match e {
            earmark::Error::BadMagic { .. } => format!(
                "{}: {e}; give a folder of audio files, or an index made by the example `fingerprint`",
                shown(path)
            ),
            e => failed(e),
        });
    }
    let files: Vec<PathBuf> = expand(&[path.into()])?;
    let mut index = HashIndex::new(Config::default()).map_err(failed)?;
    ingest(&mut index, &files, jobs, |_| Ok(()))?;
    if index.catalog().tracks().is_empty() {
        return Err(format!("{}: not one of its files could be fingerprinted", shown(path)));
    }
    Ok(index)
}
