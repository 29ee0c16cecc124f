//! Commits, and merges segments: at once, in the background, or by hand.

use super::Writer;
use crate::error::{Error, Result};
use crate::store::folder::step;
use crate::store::index::Place;
use crate::store::merging::{self, MergeTask, Merged, Merging};
use crate::store::snapshot::Part;
use std::ops::Range;

/// From so many uncommitted segments on, those that are alike are merged before the commit.
const MOST_SPILLED: usize = 16;
/// A merge is small, and done by the commit itself, where it has no more than so many times the bytes that the
/// commit adds. Merging a byte takes an eighth of the processor time that adding it takes, so that this costs
/// half of the adding.
const SMALL: u64 = 4;
/// So many segments wait to be merged, at most. With more, a commit waits for the merge in the background: tracks
/// are added faster than that goes on, or each writer is dropped before it has ended.
pub(in crate::store) const MOST_WAITING: usize = 32;

/// Where merges are done.
#[derive(Clone, Copy, PartialEq)]
enum How {
    AtOnce,
    /// Those that are not small.
    InBackground,
}

impl Writer {
    /// Makes what was done so far last, and lets new readers see it. Segments that are due are then merged,
    /// or begin to be ([`OpenOptions::merging`](crate::store::OpenOptions::merging)). Damaged ones are left as
    /// they are, and [`Reader::verify`](crate::store::Reader::verify) tells of them.
    ///
    /// # Errors
    /// [`Error::Io`]. What was committed before is as it was, or all is committed and could not be merged.
    /// This may be tried again.
    pub fn commit(&mut self) -> Result<()> {
        self.flush()?;
        self.settle(false)?;
        let merged = match self.shared.options.who_merges() {
            Merging::InBackground => self.merge_due(How::InBackground, true),
            Merging::OnCommit => self.merge_due(How::AtOnce, true),
            Merging::ByHand => Ok(()),
        };
        self.added_bytes = 0;
        merged
    }

    /// Commits, and then does all merges that are due, also the one that goes on in the background: until
    /// they are done, or a damaged segment is in the way. What comes after may be slower to search if this is
    /// left out, and is right all the same.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn finish_merges(&mut self) -> Result<()> {
        self.commit()?;
        self.settle(true)?;
        self.merge_due(How::AtOnce, true)
    }

    /// Commits, and makes one segment of all, without what was removed; of several if one would be too
    /// large.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Corrupt`] where a segment is damaged.
    pub fn compact(&mut self) -> Result<()> {
        self.flush()?;
        self.settle(true)?;
        self.added_bytes = 0;
        let mut first = 0;
        while first < self.parts.len() {
            let end = merging::end_of_largest(&self.parts, first);
            if end - first == 1 && self.parts[first].removed.is_empty() {
                first += 1;
                continue;
            }
            // What that makes may be joined with those after it: only so many are merged at once.
            let merged = self.task(first..end).run()?;
            self.apply_merge(merged)?;
            self.publish()?;
        }
        Ok(())
    }

    /// The next merge that is due, if one is: of segments that are alike in size, or of one that has more
    /// removed than not. It can run in another thread while this writer goes on. Plan none before it is
    /// [applied](Self::apply_merge). What is merged in the background is left alone.
    pub fn plan_merge(&mut self) -> Option<MergeTask> {
        self.due(0).map(|range| self.task(range))
    }

    /// Takes up what a merge has made. The next commit has it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where tracks that were removed since it was planned cannot be found. Nothing is
    /// changed then.
    pub fn apply_merge(&mut self, merged: Merged) -> Result<()> {
        let (range, part) = merged.take_up(&self.parts)?;
        let committed = self.shared.current();
        let old: Vec<Part> = self.parts.splice(range, part).collect();
        for number in old.iter().map(|part| part.known.number) {
            if committed.parts.iter().any(|part| part.known.number == number) {
                self.obsolete.push(number);
            } else if let Place::Folder(folder) = &self.shared.place {
                folder.remove_segment(number);
            }
        }
        self.changed = true;
        step("merge taken up");
        Ok(())
    }

    /// Merges what is due of uncommitted segments that are many.
    pub(super) fn merge_spilled(&mut self) -> Result<()> {
        let committed = self.shared.current().next_number;
        let spilled = self.parts.iter().rev().take_while(|p| p.known.number >= committed).count();
        if spilled < MOST_SPILLED {
            return Ok(());
        }
        self.take_up(false)?;
        match self.shared.options.who_merges() {
            Merging::InBackground => self.merge_due(How::InBackground, false),
            Merging::OnCommit | Merging::ByHand => self.merge_due(How::AtOnce, false),
        }
    }

    fn task(&mut self, range: Range<usize>) -> MergeTask {
        let number = self.next_number;
        self.next_number += 1;
        MergeTask::new(self.shared.clone(), number, self.parts[range].to_vec())
    }

    /// The merge that is due of the parts from one on, and of those after what is merged in the background.
    fn due(&self, from: usize) -> Option<Range<usize>> {
        let from = self.background.parts(&self.parts).map_or(from, |running| from.max(running.end));
        let range = merging::due(&self.parts[from..])?;
        Some(from + range.start..from + range.end)
    }

    /// Does the merges that are due, or begins them; and publishes each that is done, if nothing else is
    /// changed meanwhile. Where a segment is damaged, no more are done.
    fn merge_due(&mut self, how: How, publish: bool) -> Result<()> {
        let mut from = 0;
        loop {
            let Some(range) = self.due(from) else {
                if self.waiting() <= MOST_WAITING || !self.take_up(true)? {
                    return Ok(());
                }
                if publish {
                    self.publish()?;
                }
                from = 0;
                continue;
            };
            let bytes: u64 = self.parts[range.clone()].iter().map(|part| part.known.length).sum();
            if how == How::InBackground && bytes > SMALL.saturating_mul(self.added_bytes) {
                if self.background.is_running() {
                    // It comes later; perhaps a smaller one after it comes now.
                    from = range.start + 1;
                    continue;
                }
                let task = self.task(range.clone());
                if self.background.start(task).is_ok() {
                    step("background begun");
                    continue;
                }
                // There is no thread to be had.
            }
            match self.task(range).run().and_then(|merged| self.apply_merge(merged)) {
                Ok(()) if publish => self.publish()?,
                Ok(()) => {}
                Err(Error::Corrupt { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
            from = 0;
        }
    }

    /// Number of parts from those on that are merged in the background. None wait where none are.
    fn waiting(&self) -> usize {
        self.background.parts(&self.parts).map_or(0, |running| self.parts.len() - running.start)
    }

    /// Publishes what was done, with what was merged in the background; what was done also where that failed.
    fn settle(&mut self, wait: bool) -> Result<()> {
        let merged = self.take_up(wait);
        if self.changed {
            self.publish()?;
        }
        merged.map(drop)
    }

    /// Takes up what was merged in the background, if that is done, or once it is. False where nothing was: a
    /// segment is damaged, or there is no merge.
    fn take_up(&mut self, wait: bool) -> Result<bool> {
        let Some(merged) = self.background.take(wait) else { return Ok(false) };
        match merged.and_then(|merged| self.apply_merge(merged)) {
            Ok(()) => Ok(true),
            Err(Error::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
