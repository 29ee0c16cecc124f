//! One immutable part of an index: some tracks, their features, and the postings of their landmarks.
//!
//! A segment is read in place, from a file that is mapped or from bytes in memory: nothing is parsed when
//! it is opened but its footer. What the footer says is checked then; everything else is checked when it is
//! read, page by page, the first time only ([`checked`]). `FORMAT.md` gives the layout.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::hash_bits;
use crate::peaks::Peak;
use crate::store::block::BlockCoder;
use crate::store::{Excerpt, TrackEntry, varint};
use crate::tags::Tags;
use crate::units::TrackId;
use checked::Checked;
use layout::{Footer, GROUP_BLOCKS, NameRecord, SECTIONS, TrackRecord};
use slots::{HASHES_OF_SLOT, Slots};
use std::ops::Range;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::FromBytes;

pub(crate) use build::SegmentBuilder;
pub(crate) use layout::Section;
pub(crate) use merge::{Source, merge};

#[cfg(test)]
pub(crate) use writing::reseal;

mod build;
mod checked;
mod directory;
mod layout;
mod merge;
pub(crate) mod slots;
mod writing;

/// A segment in bytes of any kind.
#[derive(Debug)]
pub(crate) struct Segment<D> {
    data: Checked<D>,
    footer: Footer,
    coder: BlockCoder,
    slots: Slots,
}

/// Where a track lies in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub id: TrackId,
    /// Its first block in the segment, and the end of them.
    pub blocks: (u32, u32),
    pub frames: u32,
    pub words: u32,
    pub duration_s: f64,
    text: (u64, u64),
}

impl Placed {
    pub fn block_count(&self) -> u32 {
        self.blocks.1 - self.blocks.0
    }
}

impl<D: AsRef<[u8]>> Segment<D> {
    /// Opens a segment of tracks that were made with `config`. `path` is for errors.
    ///
    /// # Errors
    /// [`Error::BadMagic`], [`Error::Version`], [`Error::Corrupt`], [`Error::ConfigMismatch`].
    pub fn open(data: D, config: &Config, path: &Path) -> Result<Self> {
        let footer = Footer::read(data.as_ref(), path)?;
        if footer.config_id() != config.id() {
            let (expected, found) = (config.id(), footer.config_id());
            return Err(Error::ConfigMismatch { expected, found });
        }
        let this = Self {
            data: Checked::new(data, footer.pages_end(), path),
            slots: Slots::new(
                footer.blocks(),
                footer.key_bits(),
                footer.slot_shift(),
                HASHES_OF_SLOT,
            ),
            footer,
            coder: BlockCoder::new(config),
        };
        match this.footer.key_bits() == hash_bits(&config.stft) {
            true => Ok(this),
            false => Err(this.corrupt("its keys have another number of bits")),
        }
    }

    pub fn tracks(&self) -> u32 {
        self.footer.tracks()
    }

    pub fn blocks(&self) -> u32 {
        self.footer.blocks()
    }

    pub fn frames(&self) -> u64 {
        self.footer.frames()
    }

    pub fn duration_s(&self) -> f64 {
        self.footer.duration_s()
    }

    pub fn postings(&self) -> u64 {
        self.footer.postings()
    }

    pub fn hashes(&self) -> u64 {
        self.footer.hashes()
    }

    /// Ids of the first track and the last.
    pub fn ids(&self) -> (TrackId, TrackId) {
        self.footer.ids()
    }

    /// Number of bytes of the whole segment.
    pub fn len_bytes(&self) -> u64 {
        self.data.len() as u64
    }

    /// Bytes of each section.
    pub fn sizes(&self) -> [(&'static str, u64); SECTIONS] {
        std::array::from_fn(|i| {
            let section = Section::ALL[i];
            let range = self.footer.section(section);
            (section.name(), (range.end - range.start) as u64)
        })
    }

    /// Reads every page; gives the sections that have damaged ones.
    pub fn damaged_sections(&self) -> impl Iterator<Item = Section> {
        let is_damaged = |section: &Section| !self.data.is_good(self.footer.section(*section));
        Section::ALL.into_iter().filter(is_damaged)
    }

    pub fn corrupt(&self, detail: &str) -> Error {
        self.data.corrupt(detail)
    }

    /// Bytes of a section, counted from its beginning.
    #[inline]
    fn bytes(&self, section: Section, range: Range<usize>) -> Result<&[u8]> {
        let all = self.footer.section(section);
        if range.start > range.end || range.end > all.len() {
            return Err(self.corrupt("a place in it lies outside it"));
        }
        self.data.get(all.start + range.start..all.start + range.end)
    }

    /// The entry of a table.
    fn entry<T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable>(
        &self,
        section: Section,
        at: usize,
    ) -> Result<T> {
        let size = size_of::<T>();
        let begin = at.checked_mul(size).unwrap_or(usize::MAX - size);
        let bytes = self.bytes(section, begin..begin + size)?;
        T::read_from_bytes(bytes).map_err(|_| self.corrupt("a table is cut"))
    }

    /// The track with that number in the segment.
    pub fn placed(&self, number: u32) -> Result<Placed> {
        if number >= self.tracks() {
            return Err(self.corrupt("it has no such track"));
        }
        let at = number as usize;
        let [this, next]: [TrackRecord; 2] =
            [self.entry(Section::Tracks, at)?, self.entry(Section::Tracks, at + 1)?];
        let blocks = (this.first_block.get(), next.first_block.get());
        let needed = self.coder.blocks(this.frames.get(), this.words.get());
        let (first, last) = self.ids();
        let id = TrackId(this.id.get());
        let fits = blocks.0.checked_add(needed) == Some(blocks.1) && blocks.1 <= self.blocks();
        if !fits || id < first || id > last || this.text_at.get() > next.text_at.get() {
            return Err(self.corrupt("the place of a track cannot be"));
        }
        Ok(Placed {
            id,
            blocks,
            frames: this.frames.get(),
            words: this.words.get(),
            duration_s: this.duration_s.get(),
            text: (this.text_at.get(), next.text_at.get()),
        })
    }

    /// The number of the first track for which `before` does not hold, tracks for which it does coming
    /// first.
    fn partition(&self, before: impl Fn(&TrackRecord) -> bool) -> Result<u32> {
        let (mut low, mut high) = (0, self.tracks());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.entry(Section::Tracks, middle as usize)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The number in the segment of the track with that id.
    pub fn number_of(&self, id: TrackId) -> Result<Option<u32>> {
        let (first, last) = self.ids();
        if self.tracks() == 0 || id < first || id > last {
            return Ok(None);
        }
        let number = self.partition(|record| record.id.get() < id.0)?;
        if number == self.tracks() {
            return Ok(None);
        }
        let record: TrackRecord = self.entry(Section::Tracks, number as usize)?;
        Ok((record.id.get() == id.0).then_some(number))
    }

    /// The numbers of the tracks that lie in some blocks of the segment.
    pub fn numbers_in(&self, blocks: Range<u32>) -> Result<Range<u32>> {
        if blocks.is_empty() {
            return Ok(0..0);
        }
        let after = self.partition(|record| record.first_block.get() <= blocks.start)?;
        let end = self.partition(|record| record.first_block.get() < blocks.end)?;
        Ok(after.saturating_sub(1)..end)
    }

    /// The numbers of the tracks with that name: one, unless tables of names are damaged or hostile.
    pub fn numbers_named(&self, name: &str) -> Result<Vec<u32>> {
        let hash = name_hash(name);
        let (mut low, mut high) = (0, self.tracks() as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            let record: NameRecord = self.entry(Section::Names, middle)?;
            if record.hash.get() < hash { low = middle + 1 } else { high = middle }
        }
        let mut numbers = Vec::new();
        for at in low..self.tracks() as usize {
            let record: NameRecord = self.entry(Section::Names, at)?;
            if record.hash.get() != hash {
                break;
            }
            let number = record.number.get();
            if self.name(&self.placed(number)?)? == name {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// The text of a track: its name, and what follows.
    fn text(&self, placed: &Placed) -> Result<(&str, &[u8])> {
        let [start, end] = [placed.text.0, placed.text.1].map(|at| usize::try_from(at).ok());
        let (Some(start), Some(end)) = (start, end) else {
            return Err(self.corrupt("a text lies outside it"));
        };
        let mut bytes = self.bytes(Section::Text, start..end)?;
        let name = self.string(&mut bytes)?;
        Ok((name.unwrap_or_default(), bytes))
    }

    /// Takes a text off bytes: 0 for none, or its length and 1, and then the text.
    fn string<'s>(&'s self, bytes: &mut &'s [u8]) -> Result<Option<&'s str>> {
        let cut = || self.corrupt("a text is cut");
        let Some(length) = varint::take(bytes).ok_or_else(cut)?.checked_sub(1) else {
            return Ok(None);
        };
        let (text, rest) = bytes.split_at_checked(length as usize).ok_or_else(cut)?;
        *bytes = rest;
        str::from_utf8(text).map(Some).map_err(|_| self.corrupt("a text is not UTF-8"))
    }

    pub fn name(&self, placed: &Placed) -> Result<&str> {
        Ok(self.text(placed)?.0)
    }

    /// What is known of a track.
    pub fn track(&self, placed: &Placed) -> Result<TrackEntry> {
        let (name, mut rest) = self.text(placed)?;
        let mut tag = || Ok::<_, Error>(self.string(&mut rest)?.map(String::from));
        let mut tags = Tags { title: tag()?, artist: tag()?, album: tag()?, ..Tags::default() };
        // Tracks without any of these end here.
        if !rest.is_empty() {
            let mut tag = || Ok::<_, Error>(self.string(&mut rest)?.map(String::from));
            tags.track_number = tag()?.and_then(|number| number.parse().ok());
            (tags.isrc, tags.musicbrainz_id) = (tag()?, tag()?);
        }
        Ok(TrackEntry::new(placed.id, name, tags, placed.duration_s))
    }

    /// How long the coded features of some blocks of the segment are.
    fn lengths(&self, blocks: Range<u32>) -> Result<&[[u8; 2]]> {
        let [first, end] = [blocks.start, blocks.end.max(blocks.start)].map(|at| 2 * at as usize);
        Ok(self.bytes(Section::BlockLengths, first..end)?.as_chunks().0)
    }

    /// The coded features of some blocks of the segment, and how long each of them is.
    fn features(&self, blocks: Range<u32>) -> Result<(&[u8], &[[u8; 2]])> {
        let outside = || self.corrupt("a block lies outside it");
        let first = blocks.start as usize;
        let group = first / GROUP_BLOCKS;
        let start: zerocopy::little_endian::U64 = self.entry(Section::BlockGroups, group)?;
        let lengths = self.lengths((group * GROUP_BLOCKS) as u32..blocks.end.max(blocks.start))?;
        let (before, of_blocks) = lengths.split_at(first - group * GROUP_BLOCKS);
        let sum = |lengths: &[[u8; 2]]| {
            lengths.iter().map(|&length| u64::from(u16::from_le_bytes(length))).sum::<u64>()
        };
        let start = start.get().checked_add(sum(before)).ok_or_else(outside)?;
        let end = start.checked_add(sum(of_blocks)).ok_or_else(outside)?;
        let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        Ok((self.bytes(Section::Features, start..end)?, of_blocks))
    }

    /// Decodes some blocks of a track, counted from its beginning.
    pub fn decode(
        &self,
        placed: &Placed,
        blocks: Range<u32>,
        peaks: &mut Vec<Peak>,
        words: &mut Vec<u64>,
    ) -> Result<()> {
        let first = placed.blocks.0;
        let (mut bytes, lengths) = self.features(first + blocks.start..first + blocks.end)?;
        peaks.reserve(self.coder.most_peaks(bytes.len()));
        words.reserve(lengths.len() * self.coder.words() as usize);
        for (block, &length) in blocks.zip(lengths) {
            let (this, rest) = bytes.split_at(usize::from(u16::from_le_bytes(length)));
            bytes = rest;
            let of_block = self.coder.words_of(block, placed.words);
            let decoded = self.coder.decode(this, block, of_block, peaks, words);
            decoded.ok_or_else(|| self.corrupt("a block of features cannot be"))?;
        }
        Ok(())
    }

    /// The part of a track that lies in some blocks of the segment. `base` is where the segment begins on
    /// the line.
    pub fn excerpt(&self, placed: &Placed, blocks: Range<u32>, base: u32) -> Result<Excerpt> {
        let first = placed.blocks.0;
        let start = blocks.start.clamp(first, placed.blocks.1) - first;
        let end = blocks.end.clamp(first + start, placed.blocks.1) - first;
        let mut excerpt = Excerpt::new(
            placed.id,
            base + first,
            placed.frames,
            Vec::new(),
            (start * self.coder.words()).min(placed.words),
            Vec::new(),
        );
        let (peaks, words) = (&mut excerpt.peaks, &mut excerpt.sub_fingerprints);
        self.decode(placed, start..end, peaks, words)?;
        Ok(excerpt)
    }
}

/// The hash under which a name is found.
pub(crate) fn name_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}
