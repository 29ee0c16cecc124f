//! What the demuxer gives, one thing at a time.

use super::AudioReader;
use super::layout::{MARK_BYTES, cut_off};
use super::limits::MAX_PACKET_BYTES;
use super::link::{describe, is_end};
use super::packet::Timed;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use symphonia::core::errors::Error as Fault;
use symphonia::core::packet::Packet;

/// Consecutive packets without a byte, resets, or complaints of the demuxer, after which a stream
/// is given up.
const MAX_FRUITLESS: u32 = 64;

/// What comes next in a file.
pub(super) enum Next {
    Packet(Timed),
    /// The next stream of a chain.
    Link,
    /// Something that makes no sense.
    Damage(String),
    End,
    /// It breaks off.
    Cut(String),
    /// The source failed.
    Failed(io::Error),
}

impl AudioReader {
    /// Reads what comes next. This changes nothing of what is known of what came before.
    pub(super) fn read(&mut self) -> Next {
        while self.fruitless < MAX_FRUITLESS {
            let format = &mut self.format;
            self.watch.allow(MAX_PACKET_BYTES);
            match catch_unwind(AssertUnwindSafe(|| format.next_packet())) {
                Ok(Ok(Some(packet))) if packet.data.is_empty() => self.fruitless += 1,
                Ok(Ok(Some(packet))) if packet.track_id == self.track_id => {
                    self.fruitless = 0;
                    if let Some((mark, bytes)) = &mut self.last_frame {
                        mark.clear();
                        mark.extend(packet.data.iter().take(MARK_BYTES));
                        *bytes = packet.data.len();
                    }
                    return Next::Packet(self.timed(packet));
                }
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => {
                    let cut = |(mark, bytes): &(Vec<u8>, usize)| {
                        cut_off(mark, *bytes, &self.watch.tail())
                    };
                    if self.last_frame.as_ref().is_some_and(cut) {
                        return Next::Cut("unexpected end of file".into());
                    }
                    return Next::End;
                }
                Ok(Err(Fault::ResetRequired)) => {
                    self.fruitless += 1;
                    return Next::Link;
                }
                Ok(Err(Fault::DecodeError(reason))) => {
                    self.fruitless += 1;
                    return Next::Damage(reason.into());
                }
                Ok(Err(Fault::IoError(source))) if self.watch.failed() => {
                    return Next::Failed(source);
                }
                Ok(Err(_)) if self.watch.exceeded() => {
                    let megabytes = MAX_PACKET_BYTES >> 20;
                    return Next::Cut(format!("{megabytes} MB without a packet"));
                }
                Ok(Err(fault)) if is_end(&fault) && self.ends_here() => return Next::End,
                Ok(Err(fault)) => return Next::Cut(describe(&fault)),
                Err(_) => return Next::Cut("the demuxer panicked".into()),
            }
        }
        Next::Cut("the stream goes nowhere".into())
    }

    /// Whether the end of the source is that of the audio, where the demuxer cannot know.
    fn ends_here(&self) -> bool {
        let open = self.layout.wave.as_ref().filter(|wave| wave.open);
        open.is_some_and(|wave| !wave.end_known || self.watch.at_end())
    }

    fn timed(&self, packet: Packet) -> Timed {
        let track = self.format.tracks().iter().find(|track| track.id == self.track_id);
        let time_s = track.and_then(|track| track.time_base).map(|base| {
            let start = base.calc_time_saturating(packet.pts);
            let length = base.calc_duration_saturating(packet.block_dur());
            (start.as_secs_f64(), length.as_secs_f64())
        });
        Timed { packet, time_s }
    }
}
