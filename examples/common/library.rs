//! What is searched: an index, or a folder that becomes one on the way.

use crate::audio_files::expand;
use crate::in_memory::index_in_memory;
use crate::text::shown;
use earmark::{Config, Error, Index, Reader};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Opens an index, or fingerprints the audio files of a folder.
///
/// # Errors
/// There is no such thing, it is no index of this version, or there is no audio in it.
pub fn open_library(path: &Path, jobs: usize) -> Result<Reader, String> {
    match Index::open(path) {
        Ok(index) => Ok(index.reader()),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound && path.is_dir() => {
            fingerprint_folder(path, jobs)
        }
        Err(Error::Io { source, .. }) => Err(format!("cannot open {}: {source}", shown(path))),
        Err(e @ Error::BadMagic { .. }) => Err(format!(
            "{e}; give a folder of audio files, or an index made by the example `fingerprint`"
        )),
        Err(e) => Err(e.to_string()),
    }
}

fn fingerprint_folder(path: &Path, jobs: usize) -> Result<Reader, String> {
    let files: Vec<PathBuf> = expand(&[path.into()])?;
    let reader = index_in_memory(&Config::default(), &files, jobs)?.reader();
    if reader.is_empty() {
        return Err(format!("{}: not one of its files could be fingerprinted", shown(path)));
    }
    Ok(reader)
}
