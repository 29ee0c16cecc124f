//! Makes one segment of several, without the tracks that were removed.
//!
//! Everything is streamed: each section is written in one pass over the same section of the sources, so
//! that only tables of the tracks, slots and checksums are in memory.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::landmark::hash_bits;
use crate::store::segment::build::end_record;
use crate::store::segment::layout::{FooterRecord, GROUP_BLOCKS, NameRecord, Section, TrackRecord};
use crate::store::segment::slots::{Entries, List};
use crate::store::segment::writing::{PostingsWriter, SegmentWriter};
use crate::store::segment::{Placed, Segment, name_hash};
use crate::store::snapshot::counted_s;
use std::io::{self, Write};
use std::ops::Range;
use zerocopy::IntoBytes;

/// A segment, and the tracks of it that were removed, in the order of their numbers.
pub(crate) struct Source<'s, D> {
    pub segment: &'s Segment<D>,
    pub removed: &'s [u32],
}

/// Blocks of a source that stay together, and where they go.
struct Run {
    first: u32,
    end: u32,
    to: u32,
}

impl<'s, D: AsRef<[u8]>> Source<'s, D> {
    /// The tracks that are kept.
    fn kept(&self) -> impl Iterator<Item = Result<Placed>> {
        let mut removed = self.removed.iter().peekable();
        let kept = (0..self.segment.tracks()).filter(move |number| {
            while removed.next_if(|&&r| r < *number).is_some() {}
            removed.peek() != Some(&number)
        });
        kept.map(|number| self.segment.placed(number))
    }
}

/// Appends a block to runs, if it goes on where they end, or begins a new one.
fn append(runs: &mut Vec<Run>, placed: &Placed, to: u32) {
    let (first, end) = placed.blocks;
    match runs.last_mut() {
        Some(run) if run.end == first && run.to + (run.end - run.first) == to => run.end = end,
        _ => runs.push(Run { first, end, to }),
    }
}

/// Writes the segment that sources make up, whose ids ascend from each to the next.
///
/// # Errors
/// [`Error::Corrupt`] where a source is damaged. [`Error::Io`] for `out`, with an empty path.
pub(crate) fn merge<D: AsRef<[u8]>, W: Write>(
    sources: &[Source<'_, D>],
    config: &Config,
    out: W,
) -> Result<()> {
    let failed =
        |source: io::Error| Error::Io { action: "write", path: std::path::PathBuf::new(), source };
    let mut out = SegmentWriter::new(out).map_err(failed)?;
    let mut footer = FooterRecord { config_id: config.id().0.into(), ..FooterRecord::default() };
    let mut runs: Vec<Vec<Run>> = Vec::new();
    let mut names = Vec::new();
    let (mut tracks, mut blocks, mut text, mut frames, mut duration_s) = (0u32, 0u32, 0, 0, 0.0);
    let mut last_id = None;
    for source in sources {
        let mut of_source = Vec::new();
        for placed in source.kept() {
            let placed = placed?;
            if last_id.is_some_and(|last| last >= placed.id) {
                return Err(source.segment.corrupt("its tracks are out of order"));
            }
            if last_id.is_none() {
                footer.first_id = placed.id.0.into();
            }
            last_id = Some(placed.id);
            append(&mut of_source, &placed, blocks);
            let record = TrackRecord {
                id: placed.id.0.into(),
                first_block: blocks.into(),
                frames: placed.frames.into(),
                words: placed.words.into(),
                duration_s: placed.duration_s.into(),
                text_at: text.into(),
            };
            out.put(record.as_bytes()).map_err(failed)?;
            let hash = name_hash(source.segment.name(&placed)?).into();
            names.push(NameRecord { hash, number: tracks.into() });
            tracks += 1;
            blocks = blocks.checked_add(placed.block_count()).ok_or(Error::IndexFull)?;
            text += placed.text.1 - placed.text.0;
            frames += u64::from(placed.frames);
            duration_s += counted_s(placed.duration_s);
        }
        runs.push(of_source);
    }
    footer.last_id = last_id.map_or(0, |id| id.0).into();
    out.put(end_record(blocks, text).as_bytes()).map_err(failed)?;
    out.next_section();
    for source in sources {
        for placed in source.kept() {
            let (start, end) = placed?.text;
            let bytes = source.segment.bytes(Section::Text, start as usize..end as usize)?;
            out.put(bytes).map_err(failed)?;
        }
    }
    out.next_section();
    names.sort_unstable_by_key(|name| (name.hash.get(), name.number.get()));
    out.put(names.as_bytes()).map_err(failed)?;
    drop(names);
    out.next_section();
    features(sources, &runs, &mut out, failed)?;
    // What footers say, and no more than there is room for: a list takes three bits at least.
    let hashes = sources.iter().map(|source| {
        let segment = source.segment;
        segment.hashes().min(3 * segment.footer.section(Section::Postings).len() as u64)
    });
    let key_bits = hash_bits(&config.stft);
    let hashes = hashes.sum::<u64>().min(1 << key_bits);
    let count = sources.iter().map(|source| {
        let segment = source.segment;
        segment.postings().min(8 * segment.footer.section(Section::Postings).len() as u64)
    });
    let mut writer = PostingsWriter::new(blocks, key_bits, hashes, count.sum());
    postings(sources, &runs, &mut writer, &mut out, failed)?;
    writer.finish(&mut out).map_err(failed)?;
    (footer.tracks, footer.blocks) = (tracks.into(), blocks.into());
    (footer.frames, footer.duration_s) = (frames.into(), duration_s.into());
    writer.tell(&mut footer);
    out.finish(footer).map_err(failed)
}

/// So many blocks are looked at together: what was checked is still in the processor's cache when it is
/// written.
const TOGETHER: usize = 512;

/// Calls `each` with blocks of the sources, in the order of the line.
fn each_blocks<D>(
    sources: &[Source<'_, D>],
    runs: &[Vec<Run>],
    mut each: impl FnMut(&Segment<D>, Range<u32>) -> Result<()>,
) -> Result<()> {
    for (source, runs) in sources.iter().zip(runs) {
        for run in runs {
            for first in (run.first..run.end).step_by(TOGETHER) {
                let end = run.end.min(first.saturating_add(TOGETHER as u32));
                each(source.segment, first..end)?;
            }
        }
    }
    Ok(())
}

/// Writes where the features of blocks are, and these themselves, in three passes.
fn features<D: AsRef<[u8]>, W: Write>(
    sources: &[Source<'_, D>],
    runs: &[Vec<Run>],
    out: &mut SegmentWriter<W>,
    failed: impl Fn(io::Error) -> Error + Copy,
) -> Result<()> {
    let (mut at, mut block) = (0u64, 0usize);
    each_blocks(sources, runs, |segment, blocks| {
        for &length in segment.lengths(blocks)? {
            if block.is_multiple_of(GROUP_BLOCKS) {
                out.put(&at.to_le_bytes()).map_err(failed)?;
            }
            block += 1;
            at += u64::from(u16::from_le_bytes(length));
        }
        Ok(())
    })?;
    if block.is_multiple_of(GROUP_BLOCKS) {
        out.put(&at.to_le_bytes()).map_err(failed)?;
    }
    out.next_section();
    each_blocks(sources, runs, |segment, blocks| {
        out.put(segment.lengths(blocks)?.as_flattened()).map_err(failed)
    })?;
    out.next_section();
    each_blocks(sources, runs, |segment, blocks| {
        out.put(segment.features(blocks)?.0).map_err(failed)
    })?;
    out.next_section();
    Ok(())
}

/// Goes through all lists of a segment.
struct Lists<'s, D> {
    segment: &'s Segment<D>,
    slot: u32,
    slots: u32,
    entries: Entries<'s>,
    /// The key that comes next, and its list.
    next: Option<(u32, List<'s>)>,
}

impl<'s, D: AsRef<[u8]>> Lists<'s, D> {
    fn new(segment: &'s Segment<D>) -> Result<Self> {
        let slots = segment.slots.count();
        let entries = segment.slots.entries(&[], 0);
        let mut lists = Self { segment, slot: 0, slots, entries, next: None };
        lists.advance()?;
        Ok(lists)
    }

    fn advance(&mut self) -> Result<()> {
        loop {
            self.next = self.entries.next().map_err(|_| self.segment.no_slot())?;
            if let Some((key, _)) = self.next {
                if key >> self.segment.slots.shift() != self.slot - 1 {
                    return Err(self.segment.corrupt("a hash is in a slot of others"));
                }
                return Ok(());
            }
            if self.slot == self.slots {
                return Ok(());
            }
            let bytes = self.segment.slot(self.slot as usize)?;
            let bytes = self.segment.bytes(Section::Postings, bytes)?;
            self.entries = self.segment.slots.entries(bytes, self.slot);
            self.slot += 1;
        }
    }
}

/// Turns the blocks of a source, which stand in a list from a place on, into those where its runs go. Others
/// are left out.
fn move_to(runs: &[Run], blocks: &mut Vec<u32>, from: usize) {
    let of_source = &mut blocks[from..];
    let (mut run, mut kept) = (0, 0);
    // A whole source, which most are, has one run.
    if let [only] = runs
        && of_source.first().is_some_and(|&block| block >= only.first)
        && of_source.last().is_some_and(|&block| block < only.end)
    {
        of_source.iter_mut().for_each(|block| *block = only.to + (*block - only.first));
        return;
    }
    for i in 0..of_source.len() {
        let block = of_source[i];
        while runs.get(run).is_some_and(|run| run.end <= block) {
            run += 1;
        }
        match runs.get(run) {
            Some(run) if run.first <= block => {
                of_source[kept] = run.to + (block - run.first);
                kept += 1;
            }
            Some(_) => {}
            None => break,
        }
    }
    // Runs are in the order of the line, and so are blocks.
    debug_assert!(of_source[..kept].is_sorted());
    blocks.truncate(from + kept);
}

fn postings<D: AsRef<[u8]>, W: Write>(
    sources: &[Source<'_, D>],
    runs: &[Vec<Run>],
    writer: &mut PostingsWriter,
    out: &mut SegmentWriter<W>,
    failed: impl Fn(io::Error) -> Error + Copy,
) -> Result<()> {
    let lists = sources.iter().map(|source| Lists::new(source.segment));
    let mut lists = lists.collect::<Result<Vec<_>>>()?;
    let mut blocks: Vec<u32> = Vec::new();
    while let Some(key) = lists.iter().filter_map(|l| Some(l.next?.0)).min() {
        blocks.clear();
        for (lists, runs) in lists.iter_mut().zip(runs) {
            let Some((_, list)) = lists.next.filter(|next| next.0 == key) else { continue };
            let before = blocks.len();
            list.blocks().append_to(&mut blocks);
            move_to(runs, &mut blocks, before);
            lists.advance()?;
        }
        if !blocks.is_empty() {
            writer.put(key, &blocks, out).map_err(failed)?;
        }
    }
    Ok(())
}

impl<D: AsRef<[u8]>> Segment<D> {
    /// Calls `each` with the number of blocks in each list.
    pub fn each_length(&self, mut each: impl FnMut(u32)) -> Result<()> {
        let mut lists = Lists::new(self)?;
        while let Some((_, list)) = lists.next {
            each(list.len);
            lists.advance()?;
        }
        Ok(())
    }

    /// Reads all lists of postings.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where one cannot be.
    pub fn check_lists(&self) -> Result<()> {
        let mut lists = Lists::new(self)?;
        let (mut hashes, mut postings) = (0u64, 0u64);
        while let Some((_, list)) = lists.next {
            let (count, last) = list.blocks().fold((0, 0), |(count, _), block| (count + 1, block));
            if count != list.len || last >= self.blocks() {
                return Err(self.corrupt("a list of postings cannot be"));
            }
            hashes += 1;
            postings += u64::from(count);
            lists.advance()?;
        }
        match (hashes, postings) == (self.hashes(), self.postings()) {
            true => Ok(()),
            false => Err(self.corrupt("it has another number of postings than it says")),
        }
    }
}
