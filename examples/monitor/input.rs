//! Audio on standard input, read by a thread of its own, so that a stream that stands still does not keep
//! the program from ending.

use clap::ValueEnum;
use earmark::config::StftConfig;
use earmark::{AudioReader, SampleRate};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Blocks that wait at most.
const WAITING: usize = 64;
/// Samples of a raw block.
const BLOCK: usize = 2048;

/// A decoder that gives no sound for so many bytes is made anew: four seconds of MP3.
const LEAST_LOST_BYTES: usize = 1 << 16;

/// Types of raw samples.
#[derive(Clone, Copy, ValueEnum)]
pub enum Raw {
    /// Whole numbers of 16 bits
    S16,
    /// Floats of 32 bits, from -1 to 1
    F32,
}

/// What standard input holds.
pub enum Input {
    Raw(Raw, SampleRate),
    /// Anything that can be decoded, several times over.
    Encoded,
}

/// What comes of it.
pub enum Piece {
    Samples(Vec<f32>, SampleRate),
    /// Something was wrong with the stream, which goes on.
    Trouble(String),
}

/// Begins to read.
pub fn start(input: Input, stft: StftConfig) -> Receiver<Piece> {
    let (sender, receiver) = sync_channel(WAITING);
    thread::spawn(move || match input {
        Input::Raw(raw, rate) => read_raw(raw, rate, &sender),
        Input::Encoded => read_encoded(&stft, &sender),
    });
    receiver
}

fn read_raw(raw: Raw, rate: SampleRate, sender: &SyncSender<Piece>) {
    let width = match raw {
        Raw::S16 => 2,
        Raw::F32 => 4,
    };
    let (mut stdin, mut bytes, mut held) = (io::stdin().lock(), vec![0; BLOCK * width], 0);
    loop {
        let read = match stdin.read(&mut bytes[held..]) {
            Ok(0) => return,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                // Nobody hears it if the program ends.
                let _ = sender.send(Piece::Trouble(e.to_string()));
                return;
            }
        };
        let whole = (held + read) / width * width;
        let sample = |b: &[u8]| match raw {
            Raw::S16 => f32::from(i16::from_ne_bytes([b[0], b[1]])) / 32_768.0,
            Raw::F32 => f32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
        };
        let samples = bytes[..whole].chunks_exact(width).map(sample).collect();
        bytes.copy_within(whole..held + read, 0);
        held = held + read - whole;
        if sender.send(Piece::Samples(samples, rate)).is_err() {
            return;
        }
    }
}

/// Decodes one stream after the other: a station that begins anew, with another header and another rate,
/// is heard on.
fn read_encoded(stft: &StftConfig, sender: &SyncSender<Piece>) {
    let ended = Arc::new(AtomicBool::new(false));
    let mut heard = false;
    while !ended.load(Ordering::Relaxed) {
        let unheard = Arc::new(Unheard::default());
        let source = Stdin { ended: Arc::clone(&ended), unheard: Arc::clone(&unheard) };
        let trouble = match AudioReader::from_reader(source, None, stft) {
            Ok(mut reader) => loop {
                match reader.next_block() {
                    Ok(Some(block)) => {
                        heard = true;
                        unheard.heard();
                        let piece = Piece::Samples(block.to_vec(), stft.sample_rate);
                        if sender.send(piece).is_err() {
                            return;
                        }
                    }
                    Ok(None) => {
                        let report = reader.report();
                        let lost = report.lost_packets > 0 || report.truncated;
                        break lost.then(|| report.to_string());
                    }
                    Err(e) => break Some(e.to_string()),
                }
            },
            // What is left of a stream that was heard, after its end.
            Err(_) if heard && ended.load(Ordering::Relaxed) => None,
            Err(e) => Some(e.to_string()),
        };
        if trouble.is_some_and(|trouble| sender.send(Piece::Trouble(trouble)).is_err()) {
            return;
        }
    }
}

/// Bytes that were read since there was sound.
#[derive(Default)]
struct Unheard {
    bytes: AtomicUsize,
    /// The most that there were between two blocks of sound.
    most: AtomicUsize,
    blocks: AtomicUsize,
}

impl Unheard {
    fn heard(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        // More is read ahead for the first blocks.
        if self.blocks.fetch_add(1, Ordering::Relaxed) > 2 {
            self.most.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Whether a decoder that found sound finds none any more: the stream has another rate by now.
    fn is_lost(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        most > 0 && self.bytes.load(Ordering::Relaxed) > LEAST_LOST_BYTES.max(4 * most)
    }
}

/// Standard input, which cannot be read twice.
struct Stdin {
    ended: Arc<AtomicBool>,
    unheard: Arc<Unheard>,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unheard.is_lost() {
            return Ok(0);
        }
        let read = io::stdin().lock().read(buffer)?;
        self.unheard.bytes.fetch_add(read, Ordering::Relaxed);
        if read == 0 && !buffer.is_empty() {
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(read)
    }
}

impl Seek for Stdin {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}
