//! Sub-fingerprints: which bands are louder than they usually are, eight times a second.
//!
//! Peaks are few and sharp: they say where a recording stands to a hundredth of a second, but in
//! noise and in echoes most of them are gone. How the sound is spread over the bands, and how that
//! changes, is blurred and robust. A sub-fingerprint keeps one bit of it for each of [`BANDS`] bands
//! (J. Haitsma and T. Kalker, "A highly robust audio fingerprinting system", ISMIR 2002, have bits
//! for differences between neighbours): whether the band's share of the sound, over four frames, is
//! larger than its average over the four seconds around them.
//!
//! They find nothing by themselves. [`evidence::bands`](crate::evidence::bands) asks how well those of a track
//! go with a clip where the peaks put it.

use crate::arithmetic::greater;
use crate::config::StftConfig;
use std::collections::VecDeque;
use std::ops::Range;

/// Number of bands, of equal width in octaves, between 300 and 3,400 Hz: what telephones carry.
pub const BANDS: usize = 64;
/// Frames of a sub-fingerprint.
pub const FRAMES: usize = 4;

const MIN_HZ: f32 = 300.0;
const MAX_HZ: f32 = 3400.0;
/// Sub-fingerprints to each side of one that its levels are compared with.
const SURROUNDINGS: usize = 16;
/// Levels below this, in dB re a full-scale sine, are silence to whoever made the recording.
pub(crate) const SILENCE_DB: f32 = -110.0;
/// Levels are counted in parts of a dB, so that their sums are exact.
const PARTS_OF_DB: f32 = 16.0;

/// A number for each band.
pub(crate) type OfBands = [i32; BANDS];

/// Where the bands lie.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bands {
    /// Edges between bands, as bins of a whole transform.
    edges: [f32; BANDS + 1],
    first_bin: usize,
    /// Number of bins of the analysis band.
    bins: usize,
}

impl Bands {
    /// Bands of frames that are made with `config`. Where these have little of what telephones
    /// carry, the bands are spread over all they have.
    pub fn new(config: &StftConfig) -> Self {
        let (low, high) = (config.min_hz.max(MIN_HZ), config.max_hz.min(MAX_HZ));
        let narrow = high < 2.0 * low;
        let (low, high) = if narrow { (config.min_hz, config.max_hz) } else { (low, high) };
        // Not the platform's logarithm, which may round an edge to another bin.
        let octaves = libm::log2(f64::from(high / low));
        let edge = |i: usize| {
            let ratio = libm::exp2(octaves * i as f64 / BANDS as f64);
            f64::from(low / config.bin_hz()) * ratio
        };
        Self {
            edges: std::array::from_fn(|i| edge(i) as f32),
            first_bin: config.first_bin(),
            bins: config.bins().max(1),
        }
    }

    /// The bins of each band, with all frequencies multiplied by `pitch`.
    pub fn bins(&self, pitch: f64) -> BinsOfBands {
        let bin = |edge: f32| (f64::from(edge) * pitch + 0.5) as usize;
        let bin = |i: usize| bin(self.edges[i]).saturating_sub(self.first_bin);
        BinsOfBands(std::array::from_fn(|band| {
            let first = bin(band).min(self.bins - 1);
            first..bin(band + 1).min(self.bins).max(first + 1)
        }))
    }
}

/// The bins of the analysis band that make up each band: one at least.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BinsOfBands([Range<usize>; BANDS]);

impl BinsOfBands {
    /// The level of each band in a row of levels in dB: the highest in it, in parts of a dB.
    pub fn levels(&self, levels_db: &[f32]) -> OfBands {
        let mut levels = [0; BANDS];
        for (level, bins) in levels.iter_mut().zip(&self.0) {
            let row = levels_db.get(bins.clone()).unwrap_or_default();
            *level = (row.iter().fold(SILENCE_DB, |a, &b| greater(a, b)) * PARTS_OF_DB) as i32;
        }
        levels
    }

    /// The same of levels [in parts](in_parts) of a dB.
    pub fn of_parts(&self, cells: &[i16]) -> OfBands {
        let mut levels = [in_parts(SILENCE_DB).into(); BANDS];
        for (level, bins) in levels.iter_mut().zip(&self.0) {
            let row = cells.get(bins.clone()).unwrap_or_default();
            *level = row.iter().copied().max().map_or(*level, i32::from);
        }
        levels
    }
}

/// A level in parts of a dB, silence at least. The highest of some levels has the highest of their
/// parts, so that nothing is lost by it.
#[inline(always)]
pub(crate) fn in_parts(level_db: f32) -> i16 {
    (greater(SILENCE_DB, level_db) * PARTS_OF_DB) as i16
}

/// What each band has beyond the average band, times their number.
pub(crate) fn shares(levels: &OfBands) -> OfBands {
    let sum: i32 = levels.iter().sum();
    levels.map(|level| BANDS as i32 * level - sum)
}

/// Makes sub-fingerprints of frames, one by one.
///
/// ```
/// use earmark::{bands::SubFingerprinter, config::StftConfig, spectrogram::Stft};
/// let config = StftConfig::default();
/// let (mut stft, mut maker) = (Stft::new(&config)?, SubFingerprinter::new(&config));
/// let mut words = Vec::new();
/// stft.push(&vec![0.1; 80_000], |frame| maker.push(frame.levels_db, |word| words.push(word)));
/// maker.finish(|word| words.push(word));
/// assert_eq!(words.len(), ((80_000 - 2048) / 256 + 1) / 4);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SubFingerprinter {
    bins: BinsOfBands,
    /// Sum of the levels of the frames that are not yet a sub-fingerprint,
    sum: OfBands,
    /// and how many they are.
    frames: usize,
    /// Shares of the sub-fingerprints that may still be compared with another.
    shares: VecDeque<OfBands>,
    /// Their sums.
    total: OfBands,
    /// How many of them have been told.
    told: usize,
}

impl SubFingerprinter {
    /// For frames that are made with `config`.
    #[must_use]
    pub fn new(config: &StftConfig) -> Self {
        Self {
            bins: Bands::new(config).bins(1.0),
            sum: [0; BANDS],
            frames: 0,
            shares: VecDeque::with_capacity(2 * SURROUNDINGS + 2),
            total: [0; BANDS],
            told: 0,
        }
    }

    /// Takes the next frame's levels in dB; calls `each` with a sub-fingerprint once it is known,
    /// two seconds later. Its lowest bit is the lowest band.
    pub fn push(&mut self, levels_db: &[f32], each: impl FnMut(u64)) {
        add(&mut self.sum, &self.bins.levels(levels_db));
        self.frames += 1;
        if self.frames < FRAMES {
            return;
        }
        let shares = shares(&self.sum);
        (self.sum, self.frames) = ([0; BANDS], 0);
        add(&mut self.total, &shares);
        self.shares.push_back(shares);
        if self.shares.len() > 2 * SURROUNDINGS + 1 {
            self.leave();
        }
        if self.shares.len() - self.told > SURROUNDINGS {
            self.tell(each);
        }
    }

    /// Tells the sub-fingerprints that are left, and begins another signal. Frames that do not make
    /// up one are dropped.
    pub fn finish(&mut self, mut each: impl FnMut(u64)) {
        while self.told < self.shares.len() {
            if self.told > SURROUNDINGS {
                self.leave();
            }
            self.tell(&mut each);
        }
        self.reset();
    }

    /// Begins another signal.
    pub fn reset(&mut self) {
        (self.sum, self.frames) = ([0; BANDS], 0);
        self.shares.clear();
        (self.total, self.told) = ([0; BANDS], 0);
    }

    /// Drops the oldest.
    fn leave(&mut self) {
        if let Some(oldest) = self.shares.pop_front() {
            self.total.iter_mut().zip(oldest).for_each(|(total, share)| *total -= share);
            self.told -= 1;
        }
    }

    /// Tells the next one: all that it is compared with are here.
    fn tell(&mut self, mut each: impl FnMut(u64)) {
        let count = self.shares.len() as i32;
        let louder = self.shares[self.told].iter().zip(&self.total);
        let bits = louder.map(|(share, total)| u64::from(count * share > *total));
        each(bits.rev().fold(0, |word, bit| word << 1 | bit));
        self.told += 1;
    }
}

pub(crate) fn add(sum: &mut OfBands, levels: &OfBands) {
    sum.iter_mut().zip(levels).for_each(|(sum, level)| *sum += level);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{noise, rng};
    use proptest::prelude::*;

    const BINS: usize = 883;

    fn rows(frames: usize, seed: u64) -> Vec<f32> {
        noise(frames * BINS, seed).iter().map(|x| 60.0 * x - 50.0).collect()
    }

    fn sub_fingerprints(rows: &[f32]) -> Vec<u64> {
        let mut maker = SubFingerprinter::new(&StftConfig::default());
        let mut words = Vec::new();
        rows.chunks_exact(BINS).for_each(|row| maker.push(row, |word| words.push(word)));
        maker.finish(|word| words.push(word));
        words
    }

    /// The definition, written down as it reads.
    fn naive(rows: &[f32]) -> Vec<u64> {
        let bins = Bands::new(&StftConfig::default()).bins(1.0);
        let frames: Vec<Vec<i64>> =
            (rows.chunks_exact(BINS)).map(|row| bins.levels(row).map(i64::from).to_vec()).collect();
        // Twice a mean of means is avoided by common denominators.
        let share = |word: usize, band: usize| -> i64 {
            let of =
                |band: usize| (0..FRAMES).map(|f| frames[FRAMES * word + f][band]).sum::<i64>();
            BANDS as i64 * of(band) - (0..BANDS).map(of).sum::<i64>()
        };
        let words = frames.len() / FRAMES;
        let bit = |word: usize, band: usize| {
            let around = word.saturating_sub(SURROUNDINGS)..(word + SURROUNDINGS + 1).min(words);
            let count = around.len() as i64;
            count * share(word, band) > around.map(|w| share(w, band)).sum::<i64>()
        };
        (0..words)
            .map(|word| (0..BANDS).map(|band| u64::from(bit(word, band)) << band).sum())
            .collect()
    }

    #[test]
    fn sub_fingerprints_agree_with_their_definition() {
        for frames in [0, 3, 4, 50, 4 * SURROUNDINGS + 4, 4 * SURROUNDINGS + 9, 211] {
            let rows = rows(frames, 4);
            assert_eq!(sub_fingerprints(&rows), naive(&rows), "{frames} frames");
        }
    }

    #[test]
    fn a_new_signal_has_nothing_of_the_last() {
        let (first, second) = (rows(90, 1), rows(170, 2));
        let mut maker = SubFingerprinter::new(&StftConfig::default());
        first.chunks_exact(BINS).for_each(|row| maker.push(row, |_| ()));
        maker.reset();
        let mut words = Vec::new();
        second.chunks_exact(BINS).for_each(|row| maker.push(row, |word| words.push(word)));
        maker.finish(|word| words.push(word));
        assert_eq!(words, sub_fingerprints(&second));
        words.clear();
        first.chunks_exact(BINS).for_each(|row| maker.push(row, |word| words.push(word)));
        maker.finish(|word| words.push(word));
        assert_eq!(words, sub_fingerprints(&first));
    }

    #[test]
    fn bands_are_equally_wide_in_octaves_and_hold_a_bin_each() {
        let config = StftConfig::default();
        let bands = Bands::new(&config);
        let hz = bands.edges.map(|edge| edge * config.bin_hz());
        assert!((hz[0] - 300.0).abs() < 0.1 && (hz[BANDS] - 3400.0).abs() < 0.1);
        let ratio = (3400.0f32 / 300.0).powf(1.0 / BANDS as f32);
        assert!(hz.windows(2).all(|w| (w[1] / w[0] - ratio).abs() < 1e-4));
        // A tone is loudest in its band, at any pitch.
        let mut random = rng(7);
        for _ in 0..300 {
            let (bin, pitch) = ((random() * 700.0) as usize + 60, 0.8 + 0.4 * f64::from(random()));
            let mut row = vec![-90.0; BINS];
            row[bin] = -20.0;
            let levels = bands.bins(pitch).levels(&row);
            let loud = |band: &usize| levels[*band] == -320;
            let edge =
                |i: usize| (f64::from(bands.edges[i]) * pitch + 0.5) as usize - config.first_bin();
            let want = (0..BANDS).find(|&band| (edge(band)..edge(band + 1)).contains(&bin));
            assert_eq!((0..BANDS).find(loud), want, "bin {bin}, pitch {pitch}");
        }
    }

    proptest! {
        /// Levels of any kind, those that no sound has among them.
        #[test]
        fn parts_of_a_db_are_as_good_as_levels(
            row in prop::collection::vec(prop_oneof![
                -210f32..20.0, -111f32..-109.0, -0.3f32..0.3, -1000f32..800.0, Just(f32::NEG_INFINITY),
            ], BINS),
            pitch in 0.5f64..2.0,
        ) {
            let bins = Bands::new(&StftConfig::default()).bins(pitch);
            let parts: Vec<i16> = row.iter().map(|&level| in_parts(level)).collect();
            prop_assert_eq!(bins.of_parts(&parts), bins.levels(&row));
        }

        #[test]
        fn any_analysis_band_will_do(min_hz in 8.0f32..1800.0, width in 2.0f32..20.0, window in 5u32..16) {
            let config = StftConfig {
                window_samples: 1 << window,
                hop_samples: 16,
                min_hz,
                max_hz: (min_hz * width).min(3600.0),
                ..Default::default()
            };
            let row: Vec<f32> = noise(config.bins(), 3).iter().map(|x| 400.0 * x).collect();
            prop_assume!(!row.is_empty());
            let levels = Bands::new(&config).bins(1.3).levels(&row);
            let floor = (SILENCE_DB * PARTS_OF_DB) as i32;
            prop_assert!(levels.iter().all(|level| (floor..=3200).contains(level)));
        }
    }
}
