//! Packets that are decoded one after the other, by one decoder.

use super::super::link::Recipe;
use super::super::packet::{Outcome, Timed, decode};
use super::roll::CHECKED;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::packet::Packet;

/// A run ends with the packet that reaches one of these: packets, their bytes, and the samples that they are
/// said to hold.
pub(super) const MOST_PACKETS: usize = 512;
pub(super) const MOST_BYTES: usize = 1 << 20;
const MOST_DECLARED: f64 = 400_000.0;
/// Decoding pauses once there are so many samples: packets may hold more than they say.
const MOST_SAMPLES: usize = 1 << 19;

/// Where the decoder of a run comes from.
pub(super) enum Start {
    /// It is that of the run before, when its turn comes.
    Turn,
    /// As soon as the run before was decoded.
    Chain,
    /// It is a new one, which is given these packets first.
    Apart(Vec<Packet>),
}

/// Packets, and what became of them.
pub(super) struct Run {
    pub(super) packets: Vec<Timed>,
    pub(super) bytes: usize,
    declared: f64,
    pub(super) start: Start,
    /// So many packets were the pre-roll.
    pub(super) rolled: usize,
    /// What became of each packet from `first` on, with its number of samples.
    outcomes: Vec<(Outcome, usize)>,
    first: usize,
    samples: Vec<f32>,
    /// So many outcomes and samples were taken.
    taken: (usize, usize),
    /// The decoder, as the last outcome left it.
    pub(super) decoder: Option<Box<dyn AudioDecoder>>,
    /// What a new decoder gave for the last packets before the run; `None` if it failed.
    pub(super) checked: Option<Vec<f32>>,
}

impl Run {
    pub(super) fn new(start: Start) -> Self {
        Self {
            packets: Vec::new(),
            bytes: 0,
            declared: 0.0,
            rolled: if let Start::Apart(before) = &start { before.len() } else { 0 },
            start,
            outcomes: Vec::new(),
            first: 0,
            samples: Vec::new(),
            taken: (0, 0),
            decoder: None,
            checked: None,
        }
    }

    /// Appends a packet; whether there is room for more.
    pub(super) fn push(&mut self, packet: Timed, rate_hz: f64, most_packets: usize) -> bool {
        self.bytes += packet.packet.data.len();
        self.declared += packet.time_s.map_or(0.0, |(_, length_s)| length_s * rate_hz);
        self.packets.push(packet);
        self.packets.len() < most_packets
            && self.bytes < MOST_BYTES
            && self.declared < MOST_DECLARED
    }

    /// Decodes it by a new decoder.
    pub(super) fn decode_apart(&mut self, recipe: &Recipe) {
        let Start::Apart(before) = &mut self.start else { return };
        let before = std::mem::take(before);
        let Some(mut decoder) = recipe.make() else { return };
        let (mut mono, mut checked) = (Vec::new(), Vec::new());
        for (n, packet) in before.iter().enumerate() {
            match decode(&mut *decoder, recipe.flac_channels, packet, &mut mono) {
                Outcome::Audio(..) if n + CHECKED >= before.len() => checked.append(&mut mono),
                Outcome::Audio(..) => {}
                // It is of no use, for the other one may not have failed.
                Outcome::Lost(_) | Outcome::Panicked => return,
            }
        }
        self.checked = Some(checked);
        self.decode(decoder, recipe.flac_channels);
    }

    /// Decodes what was not decoded yet, or as much as there is room for. What was before is forgotten.
    pub(super) fn decode(
        &mut self,
        mut decoder: Box<dyn AudioDecoder>,
        flac_channels: Option<usize>,
    ) {
        self.first += self.outcomes.len();
        self.outcomes.clear();
        self.samples.clear();
        self.taken = (0, 0);
        let mut mono = Vec::new();
        for timed in &self.packets[self.first..] {
            let outcome = decode(&mut *decoder, flac_channels, &timed.packet, &mut mono);
            let panicked = matches!(outcome, Outcome::Panicked);
            self.outcomes.push((outcome, mono.len()));
            self.samples.extend_from_slice(&mono);
            if panicked || self.samples.len() >= MOST_SAMPLES {
                break;
            }
        }
        self.decoder = Some(decoder);
    }

    /// Forgets what was decoded.
    pub(super) fn forget(&mut self) {
        (self.decoder, self.first) = (None, 0);
        self.outcomes.clear();
    }

    /// Whether every packet was decoded.
    pub(super) fn is_complete(&self) -> bool {
        self.first + self.outcomes.len() == self.packets.len()
    }

    /// The next outcome, its packet's times, and its samples into `mono`.
    pub(super) fn next(&mut self, mono: &mut Vec<f32>) -> Option<(Outcome, Option<(f64, f64)>)> {
        let (outcomes, samples) = self.taken;
        let (outcome, length) = self.outcomes.get_mut(outcomes)?;
        mono.clear();
        mono.extend_from_slice(&self.samples[samples..samples + *length]);
        self.taken = (outcomes + 1, samples + *length);
        let time_s = self.packets[self.first + outcomes].time_s;
        Some((std::mem::replace(outcome, Outcome::Panicked), time_s))
    }

    /// What the last packets that are checked gave.
    pub(super) fn tail(&self) -> &[f32] {
        let last = self.outcomes.iter().rev().take(CHECKED);
        let length: usize = last.map(|(_, length)| length).sum();
        &self.samples[self.samples.len() - length..]
    }

    /// How many packets were decoded without a failure, up to the last one; whether that is all.
    pub(super) fn good(&self) -> (usize, bool) {
        let good = |(outcome, _): &&(Outcome, usize)| matches!(outcome, Outcome::Audio(..));
        let count = self.outcomes.iter().rev().take_while(good).count();
        (count, count == self.outcomes.len())
    }
}
