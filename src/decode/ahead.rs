//! Decodes on several threads, with the same result as on one.
//!
//! Packets are read one after the other, and put together to runs. Where all that a decoder keeps from
//! packet to packet is known to be bounded, each run has a new decoder, which is first given packets
//! from before the run: several runs are decoded at once ([`PreRoll`] says what is needed, and why). Where it is
//! not bounded, one decoder goes from run to run. What is decoded is handed out in order.
//!
//! A new decoder is not trusted. It must give the same, bit for bit, as the one before it for the last packets
//! before the run, and neither may have failed since the pre-roll began. Else its run is decoded again by
//! the one before it.

mod crew;
mod roll;
mod run;

use super::link::Recipe;
use super::packet::{Outcome, Timed};
use crew::Crew;
pub(super) use roll::PreRoll;
use run::{Run, Start};
use std::sync::Arc;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::packet::Packet;

/// The decoder, where no run has it.
pub(super) type Decoder = Option<Box<dyn AudioDecoder>>;

/// A run that packets are put into.
pub(super) struct Filling {
    run: Run,
    rate_hz: f64,
    most_packets: usize,
}

impl Filling {
    /// Appends a packet; whether there is room for more.
    pub(super) fn push(&mut self, packet: Timed) -> bool {
        self.run.push(packet, self.rate_hz, self.most_packets)
    }
}

pub(super) struct Ahead {
    crew: Crew,
    recipe: Arc<Recipe>,
    roll: Option<PreRoll>,
    most_packets: usize,
    /// Bytes of the packets that are under way.
    bytes: usize,
    /// Packets that may be the next pre-roll.
    recent: Vec<Packet>,
    /// The run whose outcomes are handed out.
    current: Option<Box<Run>>,
    /// What came of the last packets of the last run,
    tail: Vec<f32>,
    /// and how many were decoded since the last that could not be.
    good: usize,
    /// Runs that were decoded by a new decoder, and of them those that had to be decoded again.
    #[cfg(test)]
    pub(super) apart: (usize, usize),
}

impl Ahead {
    pub(super) fn new(recipe: &Arc<Recipe>) -> Self {
        Self {
            crew: Crew::new(recipe),
            recipe: Arc::clone(recipe),
            roll: recipe.roll,
            most_packets: run::MOST_PACKETS,
            bytes: 0,
            recent: Vec::new(),
            current: None,
            tail: Vec::new(),
            good: 0,
            #[cfg(test)]
            apart: (0, 0),
        }
    }

    /// Whether another run should be handed in, for so many threads.
    pub(super) fn has_room(&self, threads: usize) -> bool {
        let most_bytes = (threads + 1) * run::MOST_BYTES;
        self.recipe.small && self.crew.runs() < threads + 1 && self.bytes < most_bytes
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.crew.runs() == 0
    }

    /// The next outcome, its packet's times, and its samples into `mono`.
    pub(super) fn next(&mut self, mono: &mut Vec<f32>) -> Option<(Outcome, Option<(f64, f64)>)> {
        self.current.as_mut()?.next(mono)
    }

    /// An empty run, to be filled with the packets that come next.
    pub(super) fn begin(&mut self) -> Filling {
        let idle = self.is_idle();
        if idle {
            self.recent.clear();
            (self.good, self.tail) = (0, Vec::new());
        }
        let start = match self.roll {
            None => Start::Chain,
            Some(_) if idle => Start::Turn,
            Some(roll) => match roll.count(self.recent.iter().rev()) {
                Some(count) => Start::Apart(self.recent.split_off(self.recent.len() - count)),
                None => Start::Turn,
            },
        };
        let (rate_hz, most_packets) = (self.recipe.rate_hz, self.most_packets);
        Filling { run: Run::new(start), rate_hz, most_packets }
    }

    /// Hands in a run.
    pub(super) fn hand_in(&mut self, run: Filling, threads: usize, decoder: &mut Decoder) {
        let run = run.run;
        if run.packets.is_empty() {
            return;
        }
        self.bytes += run.bytes;
        self.remember(&run);
        if self.roll.is_none() && self.is_idle() {
            self.crew.set_chain(decoder.take());
        }
        self.crew.hire(threads.saturating_sub(1));
        self.crew.hand_in(run);
    }

    /// Keeps the packets of the pre-roll of the next run.
    fn remember(&mut self, run: &Run) {
        let Some(roll) = self.roll else { return };
        if let Start::Apart(before) = &run.start {
            // As a short run may not be enough.
            self.recent = before.clone();
        }
        let own = run.packets.iter().rev().map(|timed| &timed.packet);
        let count = roll.count(own.clone().chain(self.recent.iter().rev()));
        let count = count.unwrap_or(roll::MOST_PACKETS);
        let mut kept: Vec<Packet> =
            own.chain(self.recent.iter().rev()).take(count).cloned().collect();
        kept.reverse();
        self.recent = kept;
    }

    /// Goes on with the outcomes that come next; whether there are any. If not, the decoder is back.
    pub(super) fn go_on(&mut self, decoder: &mut Decoder) -> bool {
        let chained = self.roll.is_none();
        if let Some(mut run) = self.current.take_if(|run| !run.is_complete())
            && let Some(own) = decoder.take()
        {
            run.decode(own, self.recipe.flac_channels);
            return self.accept(run, decoder);
        }
        self.current = None;
        let Some(mut run) = self.crew.first() else {
            if chained {
                *decoder = self.crew.take_chain().or(decoder.take());
            }
            return false;
        };
        self.bytes -= run.bytes;
        if let Start::Apart(_) = run.start {
            let bits = |samples: &[f32]| samples.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
            let same = |checked: &Vec<f32>| bits(checked) == bits(&self.tail);
            if self.good < run.rolled || !run.checked.as_ref().is_some_and(same) {
                run.forget();
            }
            #[cfg(test)]
            {
                self.apart.0 += 1;
                self.apart.1 += usize::from(run.decoder.is_none());
            }
        }
        if run.decoder.is_none()
            && !chained
            && let Some(own) = decoder.take()
        {
            run.decode(own, self.recipe.flac_channels);
        }
        self.accept(run, decoder)
    }

    /// Takes over what a run left behind.
    fn accept(&mut self, mut run: Box<Run>, decoder: &mut Decoder) -> bool {
        let own = run.decoder.take();
        if self.roll.is_none() && run.is_complete() {
            if own.is_some() {
                self.crew.set_chain(own);
            }
        } else {
            *decoder = own;
        }
        let (count, all) = run.good();
        self.good = if all { self.good + count } else { count };
        self.tail = run.tail().to_vec();
        self.current = Some(run);
        true
    }
}

#[cfg(test)]
mod tests;
