//! The features of one block of a track as bytes: its peaks and its sub-fingerprints.
//!
//! A block can be decoded by itself. Its peaks are in the order of their frequencies, since little more than the
//! step from each to the next must be said then, and neighbours have nearly one level. A block is, bit after bit:
//!
//! | part | bits |
//! |---|---|
//! | number of peaks *n*, a varint | 8 or more |
//! | for each peak the class of its step, its contrast, and its level, as what it differs from the one before: [`Code`] | 7.7 *n*, about |
//! | for each peak its time within the block, its rank, its phase, its step within the class | 18.4 *n* in the default configuration, about |
//! | zeros up to a whole byte | 0 to 7 |
//! | the sub-fingerprints | 64 each |

use crate::bands::FRAMES;
use crate::config::Config;
use crate::peaks::Peak;
use crate::peaks::kept::{self, Kept, LEVELS, PHASE_BITS, Steps, TIMES};
use crate::store::bits::{BitWriter, MOST_BITS, load, ones};
use crate::store::varint::{put, varint};
use crate::units::{BinSteps, TimeSteps};
use code::{CLASSES, CODES, Code, LEAST_CODE_BITS, TABLE_BITS};

mod code;

/// No block is longer.
pub(crate) const MOST_BYTES: usize = u16::MAX as usize;
/// Frames and peaks of a block: mostly no more.
const FEW_FRAMES: usize = 64;
const FEW_PEAKS: usize = 64;
/// The level, in steps, that the first is told from.
const USUAL_LEVEL: u32 = 6;
/// Codes of the table that a load has at least.
const CODES_OF_LOAD: usize = (MOST_BITS / TABLE_BITS) as usize;

/// Encodes and decodes the blocks of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct BlockCoder {
    kept: Kept,
    frames: u32,
    /// No frame has more peaks: those of a picker are farther apart than its radius, and half of two
    /// frames' may be refined into one.
    of_frame: u32,
    time_bits: u32,
    rank_bits: u32,
}

impl BlockCoder {
    pub fn new(config: &Config) -> Self {
        let of_frame = config.stft.bins() / (config.peaks.freq_radius_bins + 1) + 1;
        let (kept, frames) = (Kept::new(config), config.block_frames());
        Self {
            rank_bits: kept.rank_bits(),
            kept,
            frames,
            of_frame: 2 * of_frame as u32,
            time_bits: u32::BITS - (frames * TIMES - 1).leading_zeros(),
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

    /// Bits of what takes the same number of them for each peak.
    fn fixed_bits(&self) -> u32 {
        self.time_bits + self.rank_bits + PHASE_BITS
    }

    /// No more peaks are in blocks of so many bytes.
    pub fn most_peaks(&self, bytes: usize) -> usize {
        8 * bytes / (self.fixed_bits() + LEAST_CODE_BITS) as usize
    }

    /// The block in which a peak stands, counted from the beginning of its track.
    pub fn block(&self, peak: &Peak) -> u32 {
        peak.time.nearest_frame() / self.frames
    }

    /// Appends a block of a track: its peaks, which stand in it and are in the order that they are kept in, and
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
        let of_frame = |a: &Peak, b: &Peak| a.time.nearest_frame() == b.time.nearest_frame();
        let too_many = |frame: &[Peak]| frame.len() > self.of_frame as usize;
        if !peaks.is_sorted_by_key(kept::order) || peaks.chunk_by(of_frame).any(too_many) {
            return None;
        }
        let mut all: Vec<(u32, Steps)> = Vec::with_capacity(peaks.len());
        for peak in peaks {
            let frame = peak.time.nearest_frame().checked_sub(first_frame)?;
            let steps = self.kept.steps(peak);
            let time = Some(frame).filter(|&frame| frame < self.frames)? * TIMES + steps.time;
            all.push((time, steps));
        }
        all.sort_by_key(|(time, steps)| (steps.bin, *time));
        let (mut bin, mut level) = (0, USUAL_LEVEL);
        let mut writer = BitWriter::new(&mut *bytes);
        let mut of_classes = Vec::with_capacity(all.len());
        for (_, steps) in &all {
            let step = steps.bin - bin + 1;
            let class = step.ilog2();
            let place = CLASSES.iter().position(|&c| u32::from(c) == class)? as u32;
            Code::write(place, steps.contrast, [level, steps.level], &mut writer);
            of_classes.push((u64::from(step) & ones(class), class));
            (bin, level) = (steps.bin, steps.level);
        }
        for ((time, steps), (step, class)) in all.iter().zip(of_classes) {
            writer.put((*time).into(), self.time_bits);
            writer.put(steps.rank.into(), self.rank_bits);
            writer.put(steps.phase.into(), PHASE_BITS);
            writer.put(step, class);
        }
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
        // Widths that are known are compiled in.
        match (self.time_bits, self.rank_bits) {
            (8, 3) => self.decode_with((8, 3), bytes, block, words, peaks, all_words),
            widths => self.decode_with(widths, bytes, block, words, peaks, all_words),
        }
    }

    #[inline(always)]
    fn decode_with(
        &self,
        (time_bits, rank_bits): (u32, u32),
        bytes: &[u8],
        block: u32,
        words: usize,
        peaks: &mut Vec<Peak>,
        all_words: &mut Vec<u64>,
    ) -> Option<()> {
        // What is loaded at the end of the peaks has some of the words behind it.
        let end = bytes.len().checked_sub(8 * words)?;
        let (count, used) = varint(bytes)?;
        let count = count as usize;
        let first_frame = block.checked_mul(self.frames)?;
        if count > self.most_peaks(end) {
            return None;
        }
        let (mut few, mut many) = ([Read::default(); FEW_PEAKS], Vec::new());
        let all = first(&mut few, &mut many, count);
        // The number of peaks in each frame, and then where the next of it belongs.
        let (mut few, mut many) = ([0u32; FEW_FRAMES], Vec::new());
        let next = first(&mut few, &mut many, self.frames as usize);
        let frame_of = |fixed: u32| (fixed & ones(time_bits) as u32) / TIMES;
        // One code after the other, which is what takes the time, and nothing else meanwhile.
        let mut at = 8 * used;
        for together in all.chunks_mut(CODES_OF_LOAD) {
            let mut bits = load(bytes, at);
            for read in together {
                read.code = CODES[(bits & ones(TABLE_BITS)) as usize];
                bits >>= read.code.bits;
                if read.code.bits == 0 {
                    read.code = Code::read(load(bytes, at))?;
                    bits = load(bytes, at + usize::from(read.code.bits));
                }
                at += usize::from(read.code.bits);
            }
        }
        let fixed_bits = (time_bits + rank_bits + PHASE_BITS) as usize;
        let (mut bin, mut level) = (0u32, USUAL_LEVEL);
        for read in &mut *all {
            let bits = load(bytes, at);
            read.fixed = bits as u32;
            let most = ones(read.code.class.into()) as u32;
            bin = bin.wrapping_add(((bits >> fixed_bits) as u32 & most) + most);
            at += fixed_bits + usize::from(read.code.class);
            level = (level + u32::from(read.code.level)) % LEVELS;
            (read.bin, read.code.level) = (bin, level as u8);
            *next.get_mut(frame_of(read.fixed) as usize)? += 1;
        }
        let mut before = 0;
        for next in &mut *next {
            let of_frame = *next;
            if of_frame > self.of_frame {
                return None;
            }
            *next = before;
            before += of_frame;
        }
        let begun = peaks.len();
        for left in (0..count).step_by(FEW_PEAKS) {
            peaks.extend_from_slice(&[NO_PEAK; FEW_PEAKS][..(count - left).min(FEW_PEAKS)]);
        }
        let peaks = &mut peaks[begun..];
        for read in &*all {
            let frame = frame_of(read.fixed);
            let place = next.get_mut(frame as usize)?;
            let steps = Steps {
                time: read.fixed % TIMES,
                bin: read.bin,
                contrast: read.code.contrast.into(),
                rank: read.fixed >> time_bits & ones(rank_bits) as u32,
                level: read.code.level.into(),
                phase: read.fixed >> (time_bits + rank_bits) & ones(PHASE_BITS) as u32,
            };
            *peaks.get_mut(*place as usize)? =
                self.kept.peak(&steps, first_frame.wrapping_add(frame));
            *place += 1;
        }
        let tail = bytes.get(at.div_ceil(8)..).filter(|tail| tail.len() == 8 * words)?;
        all_words.extend(tail.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)));
        Some(())
    }
}

/// A peak as it stands in a block.
#[derive(Clone, Copy, Default)]
struct Read {
    bin: u32,
    /// Time, rank and phase; and what follows them.
    fixed: u32,
    /// With the level itself, once it is known.
    code: Code,
}

const NO_PEAK: Peak =
    Peak { time: TimeSteps(0), bin: BinSteps(0), contrast: 0, rank: 0, level: 0, phase: 0 };

/// So many of a few, if there are so many, else of a list.
fn first<'a, T: Copy + Default>(
    few: &'a mut [T],
    many: &'a mut Vec<T>,
    count: usize,
) -> &'a mut [T] {
    if count <= few.len() {
        return &mut few[..count];
    }
    many.resize(count, T::default());
    many
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
                time: TimeSteps((block * 32 * 16 + byte(512.0)).saturating_sub(8)),
                bin: BinSteps(byte(14_128.0) as u16),
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
                peaks.len() <= bytes.len() && (found.is_none() || peaks.is_sorted_by_key(|p| p.time.nearest_frame()))
            };
            prop_assert!(check(&bytes));
            if let Some(first) = bytes.first_mut() {
                *first = count;
            }
            // A length that may be right.
            bytes.resize(1 + (usize::from(count) * 27).div_ceil(8) + 8 * words, 0x55);
            prop_assert!(check(&bytes));
        }
    }
}
