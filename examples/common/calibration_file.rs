//! Calibrations in files.

use crate::text::{reason, shown};
use earmark::Calibration;
use std::path::Path;
use std::sync::Arc;

/// Reads a calibration that the program `calibrate` wrote.
pub fn read_calibration(path: &Path) -> Result<Arc<Calibration>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", shown(path)))?;
    let calibration = Calibration::from_bytes(&bytes);
    Ok(Arc::new(calibration.map_err(|e| format!("{}: {}", shown(path), reason(&e)))?))
}
