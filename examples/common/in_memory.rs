//! An index that is made of files and is gone with the program.

use crate::ingest::{Ingestion, ingest};
use crate::text::reason;
use earmark::{Config, Index};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Fingerprints files into an index in memory.
///
/// # Errors
/// There is no memory for it.
pub fn index_in_memory(config: &Config, files: &[PathBuf], jobs: usize) -> Result<Index, String> {
    let index = Index::in_memory(config.clone()).map_err(|e| reason(&e))?;
    let mut writer = index.writer().map_err(|e| reason(&e))?;
    let how = Ingestion { config, jobs, replace: false, stop: &AtomicBool::new(false) };
    ingest(&mut writer, files, &how, |_| Ok(()))?;
    writer.commit().map_err(|e| reason(&e))?;
    Ok(index)
}
