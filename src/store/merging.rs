//! Which segments are merged, and when.

use crate::error::Result;
use crate::store::index::{Place, Shared};
use crate::store::segment::{Source, merge};
use crate::store::snapshot::Part;
use crate::store::writer::{remove_from, write_to};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) use background::Background;
use background::Stoppable;

mod background;

/// Segments are not merged beyond this: places among the postings are 32 bits, and postings take less
/// than half of a segment.
const MOST_BYTES: u64 = 6 << 30;
/// So many are merged at once, at most.
const MOST_SOURCES: usize = 16;

/// Who merges segments that are due, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merging {
    /// [`Writer::commit`](crate::store::Writer::commit) merges what is small against what it commits. Larger
    /// merges go on in a thread of the writer, one at a time; a later commit takes them up.
    #[default]
    InBackground,
    /// Each commit does all merges that are due.
    OnCommit,
    /// None does: that is left to [`Writer::plan_merge`](crate::store::Writer::plan_merge) and
    /// [`Writer::finish_merges`](crate::store::Writer::finish_merges).
    ByHand,
}

/// A merge that is to be done.
#[derive(Debug)]
pub struct MergeTask {
    shared: Arc<Shared>,
    number: u64,
    parts: Vec<Part>,
}

/// What a merge has made. Dropped, it leaves a file that the next writer removes.
#[derive(Debug)]
pub struct Merged {
    shared: Arc<Shared>,
    old: Vec<Part>,
    /// None where nothing is left.
    part: Option<Part>,
}

impl MergeTask {
    pub(super) fn new(shared: Arc<Shared>, number: u64, parts: Vec<Part>) -> Self {
        Self { shared, number, parts }
    }

    /// Number of segments that become one.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.parts.len()
    }

    /// Does it. Memory is taken for tables of tracks and slots only: some 100 bytes a track, and as much as
    /// 2 % of the segments' length.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) where a segment is damaged, [`Error::Io`](crate::Error::Io)
    /// where the new one cannot be written. The index is as it was.
    pub fn run(self) -> Result<Merged> {
        self.run_until(&AtomicBool::new(false))
    }

    /// Does it, or fails soon after it is told to stop.
    pub(in crate::store) fn run_until(self, stop: &AtomicBool) -> Result<Merged> {
        let Self { shared, number, parts: old } = self;
        let config = shared.current().config.clone();
        if old.iter().all(|part| part.tracks() == 0) {
            return Ok(Merged { shared, old, part: None });
        }
        let removed: Vec<Vec<u32>> = (old.iter())
            .map(|part| part.removed.iter().map(|removed| removed.number).collect())
            .collect();
        let sources = old.iter().zip(&removed).map(|(part, removed)| {
            let segment = &**part.segment()?;
            Ok(Source { segment, removed })
        });
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let bytes = write_to(&shared.place, number, |out| {
            merge(&sources, &config, Stoppable { out, stop })
        })?;
        let part = Some(shared.open_part(&config, number, bytes)?);
        Ok(Merged { shared, old, part })
    }
}

impl Merged {
    /// Removes its file: nobody takes it up.
    fn remove(self) {
        let number = self.part.as_ref().map(|part| part.known.number);
        // A file that is mapped cannot be removed everywhere.
        drop(self.part);
        if let (Place::Folder(folder), Some(number)) = (&self.shared.place, number) {
            folder.remove_segment(number);
        }
    }

    /// The parts that are replaced, and what by: tracks that were removed meanwhile are removed there, too.
    pub(super) fn take_up(self, parts: &[Part]) -> Result<(Range<usize>, Option<Part>)> {
        let Self { old, part, .. } = self;
        let is_old = |part: &&Part| old.iter().any(|old| old.known.number == part.known.number);
        let first = parts.iter().position(|part| is_old(&part)).unwrap_or(parts.len());
        let now: Vec<&Part> = parts[first..].iter().take_while(is_old).collect();
        let range = first..first + now.len();
        let Some(mut part) = part.filter(|_| now.len() == old.len()) else {
            // Planned with another writer, or nothing is left.
            let range = if now.len() == old.len() { range } else { 0..0 };
            return Ok((range, None));
        };
        for (old, now) in old.iter().zip(now) {
            let segment = old.segment()?;
            for removed in now.removed.iter().filter(|r| !old.is_removed(r.number)) {
                let id = segment.placed(removed.number)?.id;
                if let Some((number, placed)) = part.find(id)? {
                    remove_from(&mut part, number, &placed);
                }
            }
        }
        Ok((range, Some(part)))
    }
}

/// The end of the longest run of parts that are merged into one, from `first` on.
pub(super) fn end_of_largest(parts: &[Part], first: usize) -> usize {
    let mut length = 0;
    let fits = |part: &&Part| {
        length += part.known.length;
        length <= MOST_BYTES
    };
    let fitting = parts[first..].iter().take(MOST_SOURCES).take_while(fits).count();
    first + fitting.max(1)
}

/// The merge that is due: of a part that is at most twice as large as all after it, and of these; or of a part
/// that has more removed than not. Of several, the oldest comes first, so that few parts are left.
pub(super) fn due(parts: &[Part]) -> Option<Range<usize>> {
    let sound = parts.iter().rposition(|part| part.segment().is_err()).map_or(0, |at| at + 1);
    let sizes: Vec<Size> = parts[sound..]
        .iter()
        .map(|part| Size { blocks: part.live_blocks(), bytes: part.known.length })
        .collect();
    if let Some(range) = alike(&sizes) {
        return Some(sound + range.start..sound + range.end);
    }
    let hollow = |part: &Part| 2 * part.live_blocks() < u64::from(part.known.blocks);
    let at = parts.iter().position(|part| part.segment().is_ok() && hollow(part))?;
    Some(at..at + 1)
}

/// Size of a part.
#[derive(Clone, Copy)]
struct Size {
    blocks: u64,
    bytes: u64,
}

/// The oldest part that is at most twice as large as all after it, and as many of these as are merged at once.
fn alike(sizes: &[Size]) -> Option<Range<usize>> {
    let (mut after, mut bytes, mut first) = (0u64, 0u64, None);
    for (i, size) in sizes.iter().enumerate().rev() {
        bytes = bytes.saturating_add(size.bytes);
        if bytes > MOST_BYTES {
            break;
        }
        if i + 1 < sizes.len() && size.blocks <= 2 * after {
            first = Some(i);
        }
        after += size.blocks;
    }
    first.map(|first| first..sizes.len().min(first + MOST_SOURCES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_parts_are_left_whatever_their_sizes(blocks in prop::collection::vec(1u64..2000, 1..80)) {
            let mut sizes: Vec<Size> =
                blocks.iter().map(|&blocks| Size { blocks, bytes: 400 * blocks }).collect();
            let all: u64 = blocks.iter().sum();
            while let Some(range) = alike(&sizes) {
                prop_assert!((2..=MOST_SOURCES).contains(&range.len()));
                let of = |of: fn(&Size) -> u64| sizes[range.clone()].iter().map(of).sum();
                let merged = Size { blocks: of(|s| s.blocks), bytes: of(|s| s.bytes) };
                sizes.splice(range, [merged]);
            }
            prop_assert_eq!(sizes.iter().map(|size| size.blocks).sum::<u64>(), all);
            // Each is more than twice as large as all after it: sums grow threefold with each.
            prop_assert!(3u64.pow(sizes.len() as u32 - 1) <= all, "{} parts of {all}", sizes.len());
        }

        #[test]
        fn no_part_becomes_too_large(bytes in prop::collection::vec(1u64..MOST_BYTES, 1..20)) {
            let sizes: Vec<Size> =
                bytes.iter().map(|&bytes| Size { blocks: bytes / 400, bytes }).collect();
            if let Some(range) = alike(&sizes) {
                prop_assert!(bytes[range].iter().sum::<u64>() <= MOST_BYTES);
            }
        }
    }
}
