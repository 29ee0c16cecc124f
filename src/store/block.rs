//! The features of one block of a track as bytes: its peaks and its sub-fingerprints.
//!
//! A block can be decoded by itself. It is, bit after bit:
//!
//! | part | bits |
//! |---|---|
//! | number of peaks *n*, a varint | 8 or more |
//! | the frames of the peaks in unary: a one for each peak, a zero for each step to the next frame | *n* + frames − 1 |
//! | for each peak its [code](crate::peaks::kept): time within the frame, frequency, contrast, rank, level, phase | 32 *n* in the default configuration |
//! | zeros up to a whole byte | 0 to 7 |
//! | the sub-fingerprints | 64 each |

use crate::bands::FRAMES;
use crate::config::Config;
use crate::peaks::Peak;
use crate::peaks::kept::{self, Kept};
use crate::store::bits::{BitWriter, load, ones};
use crate::store::varint::{put, varint};

/// Bits of unary code that are looked at together.
const CHUNK_BITS: usize = 56;
/// No block is longer.
pub(crate) const MOST_BYTES: usize = u16::MAX as usize;

/// Encodes and decodes the blocks of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct BlockCoder {
    kept: Kept,
    frames: u32,
    /// No frame has more peaks: those of a picker are farther apart than its radius, and half of two
    /// frames' may be refined into one.
    of_frame: u32,
}

impl BlockCoder {
    pub fn new(config: &Config) -> Self {
        let of_frame = config.stft.bins() / (config.peaks.freq_radius_bins + 1) + 1;
        Self {
            kept: Kept::new(config),
            frames: config.block_frames(),
            of_frame: 2 * of_frame as u32,
        }
    }

    /// Frames of a block.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Sub-fingerprints of a whole block.
    pub fn words(&self) -> u32 {
        self.frames / FRAMES as u32
    }

    /// Blocks of a track of so many frames and sub-fingerprints: one at least.
    pub fn blocks(&self, frames: u32, words: u32) -> u32 {
        frames.div_ceil(self.frames).max(words.div_ceil(self.words())).max(1)
    }

    /// Sub-fingerprints of one block of a track that has so many of them.
    pub fn words_of(&self, block: u32, words: u32) -> usize {
        let first = u64::from(block) * u64::from(self.words());
        u64::from(words).saturating_sub(first).min(self.words().into()) as usize
    }

    /// No more peaks are in blocks of so many bytes.
    pub fn most_peaks(&self, bytes: usize) -> usize {
        8 * bytes / (self.kept.bits() as usize + 1)
    }

    /// The block in which a peak stands, counted from the beginning of its track.
    pub fn block(&self, peak: &Peak) -> u32 {
        kept::frame(peak) / self.frames
    }

    /// Appends a block of a track: its peaks, which stand in it and are in the order of their frames, and
    /// its sub-fingerprints. `None` where there are more than a block can have.
    pub fn encode(
        &self,
        block: u32,
        peaks: &[Peak],
        words: &[u64],
        bytes: &mut Vec<u8>,
    ) -> Option<()> {
        let begin = bytes.len();
        put(bytes, u32::try_from(peaks.len()).ok()?);
        let first_frame = block.checked_mul(self.frames)?;
        let mut writer = BitWriter::new(&mut *bytes);
        let (mut frame, mut of_frame) = (0, 0);
        for peak in peaks {
            let at = kept::frame(peak).checked_sub(first_frame).filter(|&at| at < self.frames)?;
            let later = at.checked_sub(frame)?;
            of_frame = if later == 0 { of_frame + 1 } else { 1 };
            if of_frame > self.of_frame {
                return None;
            }
            writer.zeros(later);
            writer.put(1, 1);
            frame = at;
        }
        writer.zeros(self.frames - 1 - frame);
        peaks.iter().for_each(|peak| writer.put(self.kept.code(peak), self.kept.bits()));
        writer.finish();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        (bytes.len() - begin <= MOST_BYTES).then_some(())
    }

    /// Appends the peaks of a block of a track to others, and its sub-fingerprints, of which it has
    /// `words`. `None` where no block is coded so; some may have been appended then.
    pub fn decode(
        &self,
        bytes: &[u8],
        block: u32,
        words: usize,
        peaks: &mut Vec<Peak>,
        all_words: &mut Vec<u64>,
    ) -> Option<()> {
        let (count, used) = varint(bytes)?;
        let count = count as usize;
        let first_frame = block.checked_mul(self.frames)?;
        let unary = 8 * used;
        let codes = unary.checked_add(count)?.checked_add(self.frames as usize - 1)?;
        let width = self.kept.bits();
        let end = count.checked_mul(width as usize)?.checked_add(codes)?.div_ceil(8);
        let tail = bytes.get(end..).filter(|tail| tail.len() == 8 * words)?;
        let begun = peaks.len();
        peaks.resize(begun + count, Peak::default());
        let these = &mut peaks[begun..];
        let (mut read, mut code_at) = (0, codes);
        for at in (unary..codes).step_by(CHUNK_BITS) {
            let mut ones_left = load(bytes, at) & ones((codes - at).min(CHUNK_BITS) as u32);
            while ones_left != 0 {
                // All that is before it but ones is steps.
                let bit = at - unary + ones_left.trailing_zeros() as usize;
                let frame = (bit - read) as u32;
                ones_left &= ones_left - 1;
                let code = load(bytes, code_at);
                *these.get_mut(read)? = self.kept.peak(code, first_frame.wrapping_add(frame));
                code_at += width as usize;
                read += 1;
            }
        }
        let mut far = these.iter().zip(these.iter().skip(self.of_frame as usize));
        if read < count || far.any(|(first, last)| kept::frame(first) == kept::frame(last)) {
            return None;
        }
        all_words.extend(tail.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;
    use proptest::prelude::*;

    fn coder() -> BlockCoder {
        BlockCoder::new(&Config::default())
    }

    fn random_peaks(n: usize, block: u32, seed: u64) -> Vec<Peak> {
        let mut random = rng(seed);
        let mut byte = |below: f32| (random() * below) as u32;
        let mut peaks: Vec<Peak> = (0..n)
            .map(|_| Peak {
                time: (block * 32 * 16 + byte(512.0)).saturating_sub(8),
                bin: byte(14_128.0) as u16,
                contrast: byte(256.0) as u8,
                rank: byte(7.0) as u8,
                level: byte(256.0) as u8,
                phase: byte(256.0) as u8,
            })
            .collect();
        Kept::new(&Config::default()).round_all(&mut peaks);
        peaks
    }

    #[test]
    fn blocks_come_back_as_they_were() {
        let coder = coder();
        for (n, block, words) in [(0, 0, 0), (1, 0, 8), (42, 7, 8), (300, 12_345, 5), (1_000, 1, 8)]
        {
            let peaks = random_peaks(n, block, n as u64 + 1);
            let words: Vec<u64> =
                (0..words).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let mut bytes = vec![7];
            coder.encode(block, &peaks, &words, &mut bytes).unwrap();
            let (mut found, mut all_words) = (Vec::new(), vec![5]);
            let bytes = &bytes[1..];
            coder.decode(bytes, block, words.len(), &mut found, &mut all_words).unwrap();
            assert_eq!(found, peaks);
            assert_eq!(all_words[1..], words);
            for end in 0..bytes.len() {
                let cut =
                    coder.decode(&bytes[..end], block, words.len(), &mut found, &mut all_words);
                assert!(cut.is_none(), "{n} peaks, cut at {end}");
            }
        }
    }

    #[test]
    fn what_does_not_belong_in_a_block_is_refused() {
        let coder = coder();
        let peaks = random_peaks(10, 3, 1);
        let mut bytes = Vec::new();
        assert!(coder.encode(2, &peaks, &[], &mut bytes).is_none());
        assert!(coder.encode(4, &peaks, &[], &mut bytes).is_none());
        let backwards: Vec<Peak> = peaks.iter().rev().copied().collect();
        assert!(coder.encode(3, &backwards, &[], &mut bytes).is_none());
        // Of one frame: as many as may be, and one more.
        let dense = vec![peaks[0]; 162];
        assert!(coder.encode(3, &dense[1..], &[], &mut bytes).is_some());
        assert!(coder.encode(3, &dense, &[], &mut bytes).is_some());
        assert!(coder.encode(3, &[dense, vec![peaks[0]]].concat(), &[], &mut bytes).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_give_few_peaks_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), count in 0u8..127, words in 0usize..9,
            block in any::<u32>(),
        ) {
            let (mut peaks, mut all_words) = (Vec::new(), Vec::new());
            let coder = coder();
            let mut check = |bytes: &[u8]| {
                peaks.clear();
                let found = coder.decode(bytes, block, words, &mut peaks, &mut all_words);
                peaks.len() <= bytes.len() && (found.is_none() || peaks.is_sorted_by_key(kept::frame))
            };
            prop_assert!(check(&bytes));
            if let Some(first) = bytes.first_mut() {
                *first = count;
            }
            // The length that it says.
            bytes.resize(1 + (usize::from(count) * 33 + 31).div_ceil(8) + 8 * words, 0x55);
            prop_assert!(check(&bytes));
        }
    }
}
