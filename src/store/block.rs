//! The features of one block of a track as bytes: its peaks and its sub-fingerprints.
//!
//! A block can be decoded by itself. Its peaks are in the order of their frequencies, since little more than the
//! step from each to the next must be said then, and neighbours have nearly one level. A block is, bit after bit:
//!
//! | part | bits |
//! |---|---|
//! | number of peaks *n*, a varint | 8 or more |
//! | for each peak what takes a fixed number of bits: time within the block, rank, phase, the lowest bit of the class of its step | 15 *n* in the default configuration |
//! | for each peak three numbers in unary: the rest of that class; contrast; level, as what it differs from the one before | 6.5 *n*, about |
//! | for each peak its step within the class | 5.3 *n*, about |
//! | zeros up to a whole byte | 0 to 7 |
//! | the sub-fingerprints | 64 each |

use crate::bands::FRAMES;
use crate::config::Config;
use crate::peaks::Peak;
use crate::peaks::kept::{self, Kept, LEVELS, PHASE_BITS, Steps, TIME_STEPS};
use crate::store::bits::{BitWriter, load, ones};
use crate::store::varint::{put, varint};

/// Bits of unary code that are looked at together.
const CHUNK_BITS: usize = 56;
/// Numbers in unary for each peak.
const UNARY: usize = 3;
/// No block is longer.
pub(crate) const MOST_BYTES: usize = u16::MAX as usize;
/// Frames of a block, mostly no more.
const FEW_FRAMES: usize = 64;
/// The classes of steps, from the commonest to the rarest. In a class *c* are 2^*c* steps, 2^*c* − 1 the least.
const CLASSES: [u8; 16] = [7, 6, 8, 5, 1, 2, 3, 4, 9, 0, 10, 11, 12, 13, 14, 15];
/// The level, in steps, that the first is told from.
const USUAL_LEVEL: u32 = 6;

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
            time_bits: u32::BITS - (frames * TIME_STEPS - 1).leading_zeros(),
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
        self.time_bits + self.rank_bits + PHASE_BITS + 1
    }

    /// No more peaks are in blocks of so many bytes.
    pub fn most_peaks(&self, bytes: usize) -> usize {
        8 * bytes / (self.fixed_bits() as usize + UNARY)
    }

    /// The block in which a peak stands, counted from the beginning of its track.
    pub fn block(&self, peak: &Peak) -> u32 {
        kept::frame(peak) / self.frames
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
        let of_frame = |a: &Peak, b: &Peak| kept::frame(a) == kept::frame(b);
        let too_many = |frame: &[Peak]| frame.len() > self.of_frame as usize;
        if !peaks.is_sorted_by_key(kept::order) || peaks.chunk_by(of_frame).any(too_many) {
            return None;
        }
        let mut all: Vec<(u32, Steps)> = Vec::with_capacity(peaks.len());
        for peak in peaks {
            let frame = kept::frame(peak).checked_sub(first_frame)?;
            let steps = self.kept.steps(peak);
            let time = Some(frame).filter(|&frame| frame < self.frames)? * TIME_STEPS + steps.time;
            all.push((time, steps));
        }
        all.sort_by_key(|(time, steps)| (steps.bin, *time));
        let mut before = 0;
        let classes = all.iter().map(|(_, steps)| {
            let step = steps.bin - before + 1;
            before = steps.bin;
            let class = step.ilog2();
            let at = CLASSES.iter().position(|&c| u32::from(c) == class)? as u32;
            Some((at, u64::from(step) & ones(class), class))
        });
        let classes = classes.collect::<Option<Vec<_>>>()?;
        let mut writer = BitWriter::new(&mut *bytes);
        for ((time, steps), (at, ..)) in all.iter().zip(&classes) {
            writer.put((*time).into(), self.time_bits);
            writer.put(steps.rank.into(), self.rank_bits);
            writer.put(steps.phase.into(), PHASE_BITS);
            writer.put((at & 1).into(), 1);
        }
        let mut level = USUAL_LEVEL;
        for ((_, steps), (at, ..)) in all.iter().zip(&classes) {
            for number in [at / 2, contrast(steps.contrast), difference(steps.level, level)] {
                writer.zeros(number);
                writer.put(1, 1);
            }
            level = steps.level;
        }
        classes.iter().for_each(|&(_, step, class)| writer.put(step, class));
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
        let (bytes, tail) = bytes.split_at_checked(bytes.len().checked_sub(8 * words)?)?;
        let (count, used) = varint(bytes)?;
        let count = count as usize;
        let first_frame = block.checked_mul(self.frames)?;
        if count > self.most_peaks(bytes.len()) {
            return None;
        }
        let begun = peaks.len();
        peaks.resize(begun + count, Peak::default());
        let these = &mut peaks[begun..];
        let (fixed, fixed_bits) = (8 * used, self.fixed_bits() as usize);
        // Where the next peak of each frame belongs.
        let (mut few, mut many) = ([0; FEW_FRAMES], Vec::new());
        let next = match few.get_mut(..self.frames as usize) {
            Some(few) => few,
            None => {
                many.resize(self.frames as usize, 0);
                &mut many[..]
            }
        };
        for i in 0..count {
            let time = load(bytes, fixed + i * fixed_bits) & ones(self.time_bits);
            *next.get_mut(time as usize / TIME_STEPS as usize)? += 1u32;
        }
        let mut at = 0;
        for next in &mut *next {
            let of_frame = *next;
            if of_frame > self.of_frame {
                return None;
            }
            *next = at;
            at += of_frame;
        }
        let unary = fixed + count * fixed_bits;
        let mut step_at = after_ones(bytes, unary, UNARY * count)?;
        let mut numbers = Unary::new(bytes, unary);
        let (mut level, mut bin) = (USUAL_LEVEL, 0u32);
        for i in 0..count {
            let mut fields = load(bytes, fixed + i * fixed_bits);
            let mut take = |bits: u32| {
                let field = fields & ones(bits);
                fields >>= bits;
                field as u32
            };
            let (time, rank, phase) =
                (take(self.time_bits), take(self.rank_bits), take(PHASE_BITS));
            let class = 2 * numbers.take() + take(1) as usize;
            let class = u32::from(CLASSES[class.min(CLASSES.len() - 1)]);
            let contrast = contrast(numbers.take() as u32);
            level = with_difference(level, numbers.take() as u32);
            let step = (load(bytes, step_at) & ones(class)) as u32;
            bin = bin.wrapping_add(step + (1 << class) - 1);
            step_at += class as usize;
            let steps = Steps { time: time % TIME_STEPS, bin, contrast, rank, level, phase };
            let frame = time / TIME_STEPS;
            let place = next.get_mut(frame as usize)?;
            *these.get_mut(*place as usize)? =
                self.kept.peak(&steps, first_frame.wrapping_add(frame));
            *place += 1;
        }
        if step_at.div_ceil(8) != bytes.len() {
            return None;
        }
        all_words.extend(tail.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)));
        Some(())
    }
}

/// The number that stands for a contrast, or the other way round: the second is the commonest.
#[inline(always)]
fn contrast(number: u32) -> u32 {
    number ^ u32::from(number < 2)
}

/// The number that stands for a level after another one.
fn difference(level: u32, before: u32) -> u32 {
    match level > before {
        true => 2 * (level - before) - 1,
        false => 2 * (before - level),
    }
}

/// The level after another one that a number stands for.
#[inline(always)]
fn with_difference(before: u32, number: u32) -> u32 {
    let half = number.div_ceil(2);
    let level = if number % 2 == 1 { before.wrapping_add(half) } else { before.wrapping_sub(half) };
    level % LEVELS
}

/// The bit after so many ones. `None` where there are fewer.
fn after_ones(bytes: &[u8], begin: usize, mut count: usize) -> Option<usize> {
    let mut at = begin;
    while count > 0 {
        if at > 8 * bytes.len() {
            return None;
        }
        let mut word = load(bytes, at) & ones(CHUNK_BITS as u32);
        let here = word.count_ones() as usize;
        if here >= count {
            for _ in 1..count {
                word &= word - 1;
            }
            return Some(at + word.trailing_zeros() as usize + 1);
        }
        count -= here;
        at += CHUNK_BITS;
    }
    Some(at)
}

/// Reads numbers in unary.
struct Unary<'s> {
    bytes: &'s [u8],
    /// The bit at which a chunk begins,
    chunk: usize,
    /// the ones of it that were not read,
    ones: u64,
    /// the bit at which the next one begins,
    next_chunk: usize,
    /// and the bit after the one that was read last.
    after: usize,
}

impl<'s> Unary<'s> {
    fn new(bytes: &'s [u8], begin: usize) -> Self {
        Self { bytes, chunk: begin, ones: 0, next_chunk: begin, after: begin }
    }

    /// The next number, which must be there: else 0.
    #[inline(always)]
    fn take(&mut self) -> usize {
        while self.ones == 0 {
            if self.next_chunk > 8 * self.bytes.len() {
                return 0;
            }
            self.chunk = self.next_chunk;
            self.next_chunk += CHUNK_BITS;
            self.ones = load(self.bytes, self.chunk) & ones(CHUNK_BITS as u32);
        }
        let at = self.chunk + self.ones.trailing_zeros() as usize;
        self.ones &= self.ones - 1;
        let number = at - self.after;
        self.after = at + 1;
        number
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
            // A length that may be right.
            bytes.resize(1 + (usize::from(count) * 27).div_ceil(8) + 8 * words, 0x55);
            prop_assert!(check(&bytes));
        }
    }
}
