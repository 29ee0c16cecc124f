//! Where each number of a stored calibration stands: little-endian, one after the other.

use super::numbers::{Dispersion, LawModel, QualityModel, StrengthModel};
use super::{CLASSES, CODES, Calibration};
use crate::units::ConfigId;

const NUMBERS: usize =
    Dispersion::COUNT + QualityModel::COUNT + StrengthModel::COUNT + LawModel::COUNT;
/// Length of the content: the analysis, the table, the numbers.
pub(super) const LENGTH: usize = 8 + 4 * CLASSES * CODES + 8 * NUMBERS;
/// Magic bytes, version and length stand before the content, the checksum behind it.
const HEADER: usize = 8 + 4 + 8;
const CHECKSUM: usize = 8;

/// Takes numbers in their order. It can be used while the crate is compiled.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Of a file that is built in. The compiler checks its length, a test the rest.
    pub const fn new(file: &'a [u8; HEADER + LENGTH + CHECKSUM]) -> Self {
        Self { bytes: file, at: HEADER }
    }

    pub const fn of_content(content: &'a [u8; LENGTH]) -> Self {
        Self { bytes: content, at: 0 }
    }

    const fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let mut i = 0;
        while i < N {
            array[i] = self.bytes[self.at + i];
            i += 1;
        }
        self.at += N;
        array
    }

    pub const fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.array())
    }
}

impl Calibration {
    pub(super) const fn read(mut reader: Reader<'_>) -> Self {
        let config_id = ConfigId(u64::from_le_bytes(reader.array()));
        let mut log_likelihood_ratio = [[0.0; CODES]; CLASSES];
        let mut i = 0;
        while i < CLASSES * CODES {
            log_likelihood_ratio[i / CODES][i % CODES] = f32::from_le_bytes(reader.array());
            i += 1;
        }
        Self {
            config_id,
            log_likelihood_ratio,
            dispersion: Dispersion::read(&mut reader),
            quality: QualityModel::read(&mut reader),
            strength: StrengthModel::read(&mut reader),
            law: LawModel::read(&mut reader),
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(self.config_id.0.to_le_bytes());
        let table = self.log_likelihood_ratio.as_flattened();
        bytes.extend(table.iter().flat_map(|ratio| ratio.to_le_bytes()));
        bytes.extend(self.numbers().flat_map(|(_, number, ..)| number.to_le_bytes()));
        bytes
    }
}
