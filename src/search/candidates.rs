//! The first stage of a search: over which stretches of the line do many landmarks of the clip agree?
//!
//! Every posting says "this landmark of the clip also stands in that block", which puts the clip's
//! beginning somewhere in two blocks: the landmark's time before it. Postings of a true match agree on
//! these, postings by chance scatter. This is the offset histogram of A. Wang (ISMIR 2003), but a
//! coarse one: a cell of it is a block of about a second. Its cells are so few that they fit the
//! processor's cache even for a large collection, and rooms and halls, which move peaks by a few frames,
//! lose no vote. Where in the two blocks the clip begins is found from the track's peaks afterwards.

use super::config::MatchConfig;
use crate::error::Result;
use crate::landmark::Landmark;
use crate::peaks::STEPS;
use crate::store::{Found, PostingList, Store, Totals};
use std::hint::black_box;

pub(crate) use scope::Scope;

mod scope;

/// Weight of a landmark that stands in one block only. Sums of a cell stay below 2^16 mostly, and stop
/// there.
const HEAVIEST: f32 = 256.0;
/// In a clip of more landmarks than this, all weigh less, so that sums stay that small.
const USUAL_LANDMARKS: f32 = 8_000.0;
/// Fewer votes than this are all counted.
const FEW_VOTES: u64 = 10_000;
/// Votes are sorted where they are so many times fewer than there are blocks, else counted in a table.
const SPARSE: u64 = 16;
/// Cells of a part of the table: their numbers are of 16 bits, and their sums take up 128 KB.
const PART: usize = 1 << 16;
/// Cells of the table that are looked at together.
const CHUNK: usize = 32;
/// Lists that are fetched together.
const TOGETHER: usize = 64;

/// Two neighbouring blocks of the line in one of which the clip may begin.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The first of them. Below 0 where the clip may begin before the line.
    pub block: i64,
    /// Weight of the votes for it. Landmarks that stand in many blocks say little, and weigh less.
    pub weight: u32,
}

/// Proposes places: the stretches of a store's line on which most weight of a clip's landmarks agrees,
/// `most` at the most, the heaviest first.
///
/// # Errors
/// Those of the store.
pub fn candidates(
    store: &(impl Store + ?Sized),
    landmarks: &[Landmark],
    config: &MatchConfig,
    most: usize,
) -> Result<Vec<Candidate>> {
    rarest(store, landmarks, config, u64::MAX, most)
}

/// As [`candidates`], by the rarest landmarks only, which hold at most so many votes.
pub(crate) fn rarest(
    store: &(impl Store + ?Sized),
    landmarks: &[Landmark],
    config: &MatchConfig,
    votes: u64,
    most: usize,
) -> Result<Vec<Candidate>> {
    let totals = store.totals()?;
    let found = store.look_up(landmarks, config.probe_steps)?;
    let votes = Votes::new(landmarks, &found, &totals, votes);
    Ok(votes.heaviest(&Scope::all(&totals), most))
}

/// The posting lists of a clip's landmarks, with the weight and the shift of each.
pub(crate) struct Votes<'s> {
    lists: Vec<(&'s PostingList<'s>, Vote)>,
    /// Blocks before the line in which a clip may begin.
    lead: u32,
    blocks: u32,
    votes: u64,
}

#[derive(Clone, Copy)]
struct Vote {
    /// What is taken off a posting's block, less the lead, to get the block where the clip begins.
    shift: u32,
    weight: u16,
}

impl<'s> Votes<'s> {
    /// Takes what was found for a clip's landmarks: the shortest lists, as long as they hold no more than
    /// `most` votes. The commonest landmarks, which hold a fifth of all votes, are left out: they say least
    /// and cost most.
    pub fn new(landmarks: &[Landmark], found: &'s [Found<'s>], totals: &Totals, most: u64) -> Self {
        let block_steps = totals.config.block_frames() * STEPS;
        let last = landmarks.iter().map(|l| l.time.0).max().unwrap_or(0);
        let lead = last / block_steps + 1;
        let same_hash = |a: &Found<'_>, b: &Found<'_>| a.list.of == b.list.of;
        let groups: Vec<(&[Found<'_>], u32)> = (found.chunk_by(same_hash))
            .map(|group| {
                (group, group.iter().fold(0, |sum: u32, f| sum.saturating_add(f.list.len)))
            })
            .collect();
        let longest = longest(groups.iter().map(|group| group.1).collect(), most);
        let scale = HEAVIEST * (USUAL_LANDMARKS / landmarks.len() as f32).min(1.0);
        let (mut lists, mut votes) = (Vec::with_capacity(found.len()), 0);
        for (group, len) in groups {
            let landmark = landmarks.get(group[0].landmark as usize);
            let weight = (scale / (1.0 + len as f32 / 4.0).sqrt() + 0.5) as u16;
            let Some(landmark) = landmark.filter(|_| len <= longest && weight > 0) else {
                continue;
            };
            // By how many blocks the middle of a block is after the landmark's time, rounded down.
            let before = (landmark.time.0 + block_steps / 2 - 1) / block_steps;
            let vote = Vote { shift: lead - before, weight };
            lists.extend(group.iter().map(|found| (&found.list, vote)));
            votes += u64::from(len);
        }
        Self { lists, lead, blocks: totals.blocks, votes }
    }

    /// The heaviest pairs of neighbouring cells, `most` at the most, no two of which overlap.
    pub fn heaviest(&self, scope: &Scope, most: usize) -> Vec<Candidate> {
        let mut best = Best { kept: Vec::new(), most, least: 0 };
        if self.votes < u64::from(self.blocks) / SPARSE {
            self.sparse(scope, &mut best);
        } else {
            self.dense(scope, &mut best);
        }
        let mut kept = best.finish();
        kept.iter_mut().for_each(|candidate| candidate.block -= i64::from(self.lead));
        kept
    }

    /// Calls `each` with cell and weight of every vote.
    #[inline]
    fn visit(&self, scope: &Scope, mut each: impl FnMut(u32, u16)) {
        for lists in self.lists.chunks(TOGETHER) {
            // Lists lie anywhere in the store. Where none waits for another, the processor fetches many at a time.
            black_box(lists.iter().fold(0, |all, (list, _)| all ^ list.touch()));
            for &(list, Vote { shift, weight }) in lists {
                list.blocks().for_each(|block| {
                    if block < self.blocks && scope.has(block) {
                        each(block + shift, weight);
                    }
                });
            }
        }
    }

    /// Counts in a table of all cells.
    fn dense(&self, scope: &Scope, best: &mut Best) {
        // One more before and behind, and whole chunks.
        let cells = (self.blocks + self.lead) as usize + 2;
        let mut table = vec![0u16; cells.next_multiple_of(CHUNK) + CHUNK];
        // Votes for one part of the table are counted together: all of it is more than a cache holds.
        let mut parts: Vec<Vec<u32>> = vec![Vec::new(); cells.div_ceil(PART)];
        self.visit(scope, |cell, weight| {
            if let Some(votes) = parts.get_mut(cell as usize / PART) {
                votes.push((cell % PART as u32) << 16 | u32::from(weight));
            }
        });
        for (votes, sums) in parts.into_iter().zip(table.chunks_mut(PART)) {
            for vote in votes {
                if let Some(sum) = sums.get_mut((vote >> 16) as usize) {
                    *sum = sum.saturating_add(vote as u16);
                }
            }
        }
        let pair = |cell: usize| u32::from(table[cell]) + u32::from(table[cell + 1]);
        for (chunk, cells) in table[..table.len() - CHUNK].chunks_exact(CHUNK).enumerate() {
            let highest = cells.iter().fold(0, |a, &b| a.max(b));
            // The pair of a chunk's last cell has one of the next.
            let next = table[(chunk + 1) * CHUNK];
            if u32::from(highest) + u32::from(highest.max(next)) <= best.least {
                continue;
            }
            for cell in chunk * CHUNK..(chunk + 1) * CHUNK {
                let weight = pair(cell);
                if weight > best.least
                    && weight > pair(cell + 1)
                    && cell.checked_sub(1).is_none_or(|before| weight >= pair(before))
                {
                    best.push(Candidate { block: cell as i64, weight });
                }
            }
        }
    }

    /// Sorts all votes.
    fn sparse(&self, scope: &Scope, best: &mut Best) {
        let mut votes = Vec::with_capacity(self.votes as usize);
        self.visit(scope, |cell, weight| votes.push(u64::from(cell) << 16 | u64::from(weight)));
        votes.sort_unstable();
        let cells: Vec<(u32, u32)> = (votes.chunk_by(|a, b| a >> 16 == b >> 16))
            .map(|votes| {
                let sum = votes.iter().map(|vote| vote & 0xffff).sum::<u64>();
                ((votes[0] >> 16) as u32, sum.min(u16::MAX.into()) as u32)
            })
            .collect();
        let at = |i: usize, cell: u32| cells.get(i).filter(|c| c.0 == cell).map_or(0, |c| c.1);
        for (i, &(cell, weight)) in cells.iter().enumerate() {
            let after = at(i + 1, cell + 1);
            let after_that = at(i + 1 + usize::from(after > 0), cell + 2);
            let before = i.checked_sub(1).map_or(0, |i| at(i, cell.wrapping_sub(1)));
            let own = weight + after;
            // A cell without votes may come before or after.
            if own > best.least && own > after + after_that && own >= before + weight {
                best.push(Candidate { block: cell.into(), weight: own });
            }
        }
    }
}

/// The heaviest candidates.
struct Best {
    kept: Vec<Candidate>,
    most: usize,
    /// Lighter ones, and as light ones, are not among them.
    least: u32,
}

impl Best {
    fn push(&mut self, candidate: Candidate) {
        self.kept.push(candidate);
        if self.kept.len() >= self.most.max(16).saturating_mul(4) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.kept.len() > self.most {
            let at = self.most.max(1) - 1;
            let (_, last, _) = self.kept.select_nth_unstable_by(at, heavier);
            // Of equal ones the first on the line are kept, and those to come are farther on.
            self.least = last.weight;
            self.kept.truncate(self.most);
        }
    }

    fn finish(mut self) -> Vec<Candidate> {
        self.cut();
        self.kept.sort_unstable_by(heavier);
        self.kept
    }
}

fn heavier(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.weight.cmp(&a.weight).then(a.block.cmp(&b.block))
}

/// The longest lists that are counted: the shorter ones hold four fifths of all votes, or `most`.
fn longest(mut lengths: Vec<u32>, most: u64) -> u32 {
    lengths.sort_unstable();
    let all: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    let enough = (all / 5 * 4).max(FEW_VOTES);
    let mut votes = 0;
    let mut longest = 0;
    for length in lengths {
        let before = votes;
        votes += u64::from(length);
        if before >= enough || votes > most {
            break;
        }
        longest = length;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::testing::rng;
    use crate::units::{BinSteps, TimeSteps};
    use std::sync::Arc;

    const BLOCK_STEPS: i64 = 32 * STEPS as i64;

    /// The definition, written down as it reads: each vote counts in the cell that holds the middle of
    /// its block, less the landmark's time; a candidate is two cells that weigh more than the two pairs
    /// beside them.
    fn naive(
        landmarks: &[Landmark],
        found: &[Found<'_>],
        present: impl Fn(u32) -> bool,
        most: usize,
    ) -> Vec<Candidate> {
        let mut cells = std::collections::BTreeMap::<i64, u32>::new();
        for f in found {
            let len: u32 =
                found.iter().filter(|g| g.list.of == f.list.of).map(|g| g.list.len).sum();
            let weight = (256.0 / (1.0 + len as f32 / 4.0).sqrt() + 0.5) as u32;
            for block in f.list.blocks().filter(|block| present(*block)) {
                let middle = i64::from(block) * BLOCK_STEPS + BLOCK_STEPS / 2;
                let time = i64::from(landmarks[f.landmark as usize].time.0);
                let sum = cells.entry((middle - time).div_euclid(BLOCK_STEPS)).or_default();
                *sum = (*sum + weight).min(u16::MAX.into());
            }
        }
        let at = |cell: i64| cells.get(&cell).copied().unwrap_or(0);
        let pair = |cell: i64| at(cell) + at(cell + 1);
        let best = |cell: i64| pair(cell) > pair(cell + 1) && pair(cell) >= pair(cell - 1);
        let mut all: Vec<Candidate> = (-40..2000)
            .filter(|&cell| pair(cell) > 0 && best(cell))
            .map(|block| Candidate { block, weight: pair(block) })
            .collect();
        all.sort_by_key(|c| (std::cmp::Reverse(c.weight), c.block));
        all.truncate(most);
        all
    }

    #[test]
    fn candidates_agree_with_their_definition_sorted_or_in_a_table() {
        let mut random = rng(21);
        let mut number = |below: u32| (random() * below as f32) as u32;
        for round in 0..30 {
            let blocks = 1500;
            let landmarks: Vec<Landmark> = (0..40)
                .map(|_| Landmark {
                    time: TimeSteps(number(9000)),
                    bin: BinSteps(0),
                    delta_bin: BinSteps(0),
                    delta_time: TimeSteps(0),
                })
                .collect();
            let mut found = Vec::new();
            for landmark in 0..40 {
                for of in 0..2 {
                    let mut list: Vec<u32> =
                        (0..number(1 + 4 * round)).map(|_| number(blocks)).collect();
                    list.sort_unstable();
                    let list = PostingList::encode(2 * landmark + of, list);
                    if list.len > 0 {
                        found.push(Found { landmark, list });
                    }
                }
            }
            let removed = [100..130, 700..1100];
            let totals = Totals::new(Arc::new(Config::default()), 1, 1, blocks);
            let totals = totals.with_removed(removed.clone());
            let votes = Votes::new(&landmarks, &found, &totals, u64::MAX);
            let scope = Scope::all(&totals);
            let present = |block| !removed.iter().any(|gone| gone.contains(&block));
            for most in [1, 7, 20, 300] {
                let want = naive(&landmarks, &found, present, most);
                for count in [Votes::sparse, Votes::dense] {
                    let mut best = Best { kept: Vec::new(), most, least: 0 };
                    count(&votes, &scope, &mut best);
                    let mut kept = best.finish();
                    kept.iter_mut().for_each(|c| c.block -= i64::from(votes.lead));
                    assert_eq!(kept, want, "round {round}, {most}");
                }
            }
            // Only what is left counts, as if nothing else were there.
            let scope = Scope::all(&totals).without(&totals, &[0..60, 1400..1500]);
            let want = naive(&landmarks, &found, |b| present(b) && (60..1400).contains(&b), 9);
            assert_eq!(votes.heaviest(&scope, 9), want);
            let scope = Scope::only(&totals, std::slice::from_ref(&(200..500)));
            let want = naive(&landmarks, &found, |b| (200..500).contains(&b), 9);
            assert_eq!(votes.heaviest(&scope, 9), want);
        }
    }

    #[test]
    fn the_commonest_fifth_of_all_votes_is_left_out() {
        // Eight of them hold a little less than four fifths, so that the ninth is counted.
        assert_eq!(longest((10_001..=10_010).collect(), u64::MAX), 10_009);
        assert_eq!(longest((10_001..=10_010).collect(), 30_000), 10_002);
        // One that holds more than a fifth is counted whole.
        assert_eq!(longest(vec![9_000, 40_000, 1_000, 30_000], u64::MAX), 40_000);
        assert_eq!(longest(vec![5, 9, 3], u64::MAX), 9);
        assert_eq!(longest(vec![5, 9, 3], 8), 5);
        assert_eq!(longest(vec![], 8), 0);
    }
}
