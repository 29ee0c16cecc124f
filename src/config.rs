//! How audio is analysed: plain structs with defaults, units in the names, checked once.
//!
//! A [`Config`] is stored in every index and its [`ConfigId`] in every fingerprint, so that things
//! made in different ways are never compared by accident.

use crate::bands::FRAMES;
use crate::error::{Error, Result};
use crate::sealed;
use crate::units::{ConfigId, SampleRate};
use bincode::{Decode, Encode};
use xxhash_rust::xxh3::xxh3_64;

/// Raised whenever the same [`Config`] would give other fingerprints than before.
pub const FINGERPRINT_VERSION: u32 = 5;

/// What a block lasts, about.
const BLOCK_S: f64 = 1.024;

/// The whole analysis, stage by stage. The default is what the README's figures were measured with.
///
/// ```
/// use earmark::{Config, Fingerprinter};
/// let mut config = Config::default();
/// config.peaks.reference_rank = 9; // denser references: larger index, better short clips
/// let fingerprinter = Fingerprinter::new(config)?;
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// Searches with another analysis than the default one need a
/// [calibration](crate::Calibration) of it.
#[derive(Clone, Debug, PartialEq, Default, Encode, Decode)]
pub struct Config {
    /// Time–frequency analysis.
    pub stft: StftConfig,
    /// Peak picking.
    pub peaks: PeakConfig,
    /// Pairing of peaks.
    pub landmarks: LandmarkConfig,
}

/// Short-time Fourier transform.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct StftConfig {
    /// Rate at which audio is analysed; whatever comes in is resampled to it.
    pub sample_rate: SampleRate,
    /// Length of the Hann window and of the transform. Even, 64 to 65,536. Default 2,048 (256 ms).
    pub window_samples: usize,
    /// Step between frames. 1 to `window_samples`. Default 256 (32 ms).
    pub hop_samples: usize,
    /// Lower edge of the analysis band. Default 150 Hz.
    pub min_hz: f32,
    /// Upper edge of the analysis band, at most 0.46 of the sample rate. Default 3,600 Hz.
    pub max_hz: f32,
}

impl Default for StftConfig {
    fn default() -> Self {
        Self {
            sample_rate: SampleRate::default(),
            window_samples: 2048,
            hop_samples: 256,
            min_hz: 150.0,
            max_hz: 3600.0,
        }
    }
}

impl StftConfig {
    /// Width of a bin in Hz.
    #[must_use]
    pub fn bin_hz(&self) -> f32 {
        self.sample_rate.hz() as f32 / self.window_samples as f32
    }

    /// Step between frames in seconds.
    #[must_use]
    pub fn hop_s(&self) -> f64 {
        self.hop_samples as f64 / f64::from(self.sample_rate.hz())
    }

    /// Length of the window in seconds.
    #[must_use]
    pub fn window_s(&self) -> f64 {
        self.window_samples as f64 / f64::from(self.sample_rate.hz())
    }

    /// The first bin of the analysis band.
    #[must_use]
    pub fn first_bin(&self) -> usize {
        (self.min_hz / self.bin_hz()).ceil() as usize
    }

    /// Number of bins in the analysis band.
    #[must_use]
    pub fn bins(&self) -> usize {
        ((self.max_hz / self.bin_hz()).floor() as usize + 1).saturating_sub(self.first_bin())
    }
}

/// Peak picking and its density.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct PeakConfig {
    /// A peak is the highest within ± this many frames. 1 to 64. Default 3 (96 ms).
    pub time_radius_frames: usize,
    /// … and within ± this many bins. 1 to 256. Default 10 (39 Hz).
    pub freq_radius_bins: usize,
    /// A peak stands at least this far above the mean level around it. 0 to 60 dB. Default 6 dB.
    pub min_contrast_db: f32,
    /// Half-width in bins of the surroundings over which that mean is taken. Default 40 (156 Hz).
    pub contrast_radius_bins: usize,
    /// Frames whose power in the band is below this give no peak (dB re a full-scale sine). Default −85.
    pub silence_db: f32,
    /// Cells farther than this below the loudest of their frame give no peak: what stands there is
    /// rounding noise or a codec's. 20 to 140 dB. Default 70 dB.
    pub range_db: f32,
    /// Number of frequency bands, of equal width in octaves, among which peaks are spread. 1 to 32.
    /// Default 8.
    pub bands: usize,
    /// A peak's rank is the number of peaks in its band with more contrast within ± this many
    /// frames. 1 to 1,024. Default 16 (0.5 s).
    pub rank_radius_frames: usize,
    /// References keep peaks of a rank below this, 1 to 255. Default 7.
    pub reference_rank: u8,
    /// Queries keep peaks of a rank below this, `reference_rank` to 255. Default 10.
    pub query_rank: u8,
}

impl Default for PeakConfig {
    fn default() -> Self {
        Self {
            time_radius_frames: 3,
            freq_radius_bins: 10,
            min_contrast_db: 6.0,
            contrast_radius_bins: 40,
            silence_db: -85.0,
            range_db: 70.0,
            bands: 8,
            rank_radius_frames: 16,
            reference_rank: 7,
            query_rank: 10,
        }
    }
}

/// Pairing of an anchor peak with peaks of its target zone.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct LandmarkConfig {
    /// The target zone begins this many frames after the anchor. At least 1. Default 2 (64 ms).
    pub min_dt_frames: u32,
    /// … and ends with this frame, 31 more than `min_dt_frames` at most. Default 32 (1.02 s).
    pub max_dt_frames: u32,
    /// It reaches this many bins to each side, 1 to 127. Default 127 (496 Hz).
    pub max_df_bins: u32,
    /// Targets taken per anchor in references, 1 to 64. Default 2.
    pub reference_fan_out: usize,
    /// Targets taken per anchor in queries, 1 to 64. Default 15.
    pub query_fan_out: usize,
}

impl Default for LandmarkConfig {
    fn default() -> Self {
        Self {
            min_dt_frames: 2,
            max_dt_frames: 32,
            max_df_bins: 127,
            reference_fan_out: 2,
            query_fan_out: 15,
        }
    }
}

fn check<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    low: T,
    high: T,
) -> Result<()> {
    // A NaN compares false with everything and is refused here too.
    if low <= value && value <= high {
        return Ok(());
    }
    Err(Error::Config { field, value: value.to_string(), expected: format!("{low} to {high}") })
}

impl Config {
    /// An analysis for huge archives: half the frames, and fewer peaks and landmarks of them. An index
    /// takes less than half the room, and recall falls where clips are short or noisy
    /// (docs/calibration.md).
    ///
    /// ```
    /// use earmark::{Calibration, Config};
    /// assert!(Config::compact().validate().is_ok());
    /// ```
    #[must_use]
    pub fn compact() -> Self {
        let stft = StftConfig { hop_samples: 512, ..StftConfig::default() };
        let peaks = PeakConfig {
            time_radius_frames: 2,
            rank_radius_frames: 8,
            reference_rank: 3,
            query_rank: 6,
            ..PeakConfig::default()
        };
        let landmarks = LandmarkConfig {
            min_dt_frames: 1,
            max_dt_frames: 32,
            reference_fan_out: 2,
            ..LandmarkConfig::default()
        };
        Self { stft, peaks, landmarks }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { stft, peaks, landmarks } = self;
        check("stft.window_samples", stft.window_samples, 64, 65_536)?;
        if stft.window_samples % 2 != 0 {
            return Err(Error::Config {
                field: "stft.window_samples",
                value: stft.window_samples.to_string(),
                expected: "even".into(),
            });
        }
        check("stft.hop_samples", stft.hop_samples, 1, stft.window_samples)?;
        check("stft.max_hz", stft.max_hz, 1.0, 0.46 * stft.sample_rate.hz() as f32)?;
        check("stft.min_hz", stft.min_hz, 2.0 * stft.bin_hz(), 0.5 * stft.max_hz)?;
        check("stft: bins in the band", stft.bins(), 16, 4094)?;
        check("peaks.time_radius_frames", peaks.time_radius_frames, 1, 64)?;
        check("peaks.freq_radius_bins", peaks.freq_radius_bins, 1, 256)?;
        check("peaks.min_contrast_db", peaks.min_contrast_db, 0.0, 60.0)?;
        check("peaks.contrast_radius_bins", peaks.contrast_radius_bins, 1, 4096)?;
        check("peaks.silence_db", peaks.silence_db, -140.0, 0.0)?;
        check("peaks.range_db", peaks.range_db, 20.0, 140.0)?;
        check("peaks.bands", peaks.bands, 1, 32)?;
        check("peaks.rank_radius_frames", peaks.rank_radius_frames, 1, 1024)?;
        check("peaks.reference_rank", peaks.reference_rank, 1, 255)?;
        check("peaks.query_rank", peaks.query_rank, peaks.reference_rank, 255)?;
        check("landmarks.min_dt_frames", landmarks.min_dt_frames, 1, 1024)?;
        check(
            "landmarks.max_dt_frames",
            landmarks.max_dt_frames,
            landmarks.min_dt_frames,
            landmarks.min_dt_frames + 31,
        )?;
        check("landmarks.max_df_bins", landmarks.max_df_bins, 1, 127)?;
        check("landmarks.reference_fan_out", landmarks.reference_fan_out, 1, 64)?;
        check("landmarks.query_fan_out", landmarks.query_fan_out, 1, 64)
    }

    /// The id that fingerprints and indexes made with this configuration carry.
    #[must_use]
    pub fn id(&self) -> ConfigId {
        let bytes = sealed::encode(&(FINGERPRINT_VERSION, self)).unwrap_or_default();
        ConfigId(xxh3_64(&bytes))
    }

    /// Frames in a block of the [line](crate::store) on which tracks lie: about a second, and whole
    /// sub-fingerprints.
    #[must_use]
    pub fn block_frames(&self) -> u32 {
        let words = BLOCK_S / (self.stft.hop_s() * FRAMES as f64);
        words.round().clamp(1.0, 1024.0) as u32 * FRAMES as u32
    }

    /// The shortest audio, in seconds, that can give a landmark: two peaks at the target zone's
    /// least distance, each between two other frames.
    #[must_use]
    pub fn shortest_s(&self) -> f64 {
        self.stft.window_s() + f64::from(self.landmarks.min_dt_frames + 2) * self.stft.hop_s()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_every_field_changes_the_id() {
        let base = Config::default();
        base.validate().unwrap();
        let mut other = base.clone();
        other.landmarks.query_fan_out += 1;
        assert_ne!(base.id(), other.id());
        let mut other = base.clone();
        other.stft.max_hz -= 0.5;
        assert_ne!(base.id(), other.id());
    }

    #[test]
    fn errors_name_the_field() {
        let mut config = Config::default();
        config.stft.min_hz = f32::NAN;
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("stft.min_hz is NaN"), "{message}");
        let mut config = Config::default();
        config.landmarks.max_dt_frames = 40;
        assert!(config.validate().unwrap_err().to_string().contains("2 to 33"));
    }
}
