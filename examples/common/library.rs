//! What is searched: an index, or a folder that becomes one on the way.

use crate::audio_files::expand;
use crate::ingest::ingest;
use crate::text::{reason, shown};
use earmark::{Config, Error, HashIndex};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Opens an index, or fingerprints the audio files of a folder.
///
/// # Errors
/// There is no such thing, it is no index of this version, or there is no audio in it.
pub fn open_library(path: &Path, jobs: usize) -> Result<HashIndex, String> {
    if !path.is_dir() {
        return HashIndex::open(path).map_err(|e| match e {
            Error::BadMagic { .. } => format!(
                "{e}; give a folder of audio files, or an index made by the example `fingerprint`"
            ),
            e => e.to_string(),
        });
    }
    let files: Vec<PathBuf> = expand(&[path.into()])?;
    let mut index = HashIndex::new(Config::default()).map_err(|e| reason(&e))?;
    ingest(&mut index, &files, jobs, &AtomicBool::new(false), |_| Ok(()))?;
    if index.catalog().tracks().is_empty() {
        return Err(format!("{}: not one of its files could be fingerprinted", shown(path)));
    }
    Ok(index)
}
