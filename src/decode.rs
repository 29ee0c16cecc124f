//! Reading audio files: any container and codec of symphonia, to mono at the analysis rate.

mod ahead;
mod demux;
mod layout;
mod limits;
mod link;
mod metadata;
mod mix;
mod opening;
mod packet;
mod report;
mod source;

pub use report::DecodeReport;

use crate::config::StftConfig;
use crate::error::{Error, Result};
use crate::resample::Resampler;
use crate::tags::Tags;
use crate::units::SampleRate;
use ahead::{Ahead, Decoder};
use demux::Next;
use layout::Layout;
use link::{Link, Recipe};
use packet::{Outcome, Timed};
use source::Watch;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use symphonia::core::formats::FormatReader;

/// Extensions of the names of audio files that can be read here, in small letters.
pub const EXTENSIONS: [&str; 24] = [
    "wav", "wave", "rf64", "bw64", "w64", "aif", "aiff", "aifc", "caf", "flac", "mp1", "mp2",
    "mp3", "m4a", "m4b", "mp4", "aac", "alac", "ogg", "oga", "opus", "mka", "mkv", "webm",
];

/// Whether the name of a file ends as those of audio files do: with one of [`EXTENSIONS`], in large or small
/// letters.
#[must_use]
pub fn has_audio_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// At most so many samples are in a block,
const MAX_BLOCK_SAMPLES: usize = 16_384;
/// and so many at least, but for the last.
const MIN_BLOCK_SAMPLES: usize = 2_048;
/// Silence stands in for what is missing between two packets, if it is longer than the rounding of
/// timestamps but no more than could be a few damaged packets,
const GAP_S: std::ops::RangeInclusive<f64> = 0.01..=30.0;
/// and no more than this in all.
const MAX_GAPS_S: f64 = 600.0;
/// A shorter difference between the length declared and that decoded is no loss.
const MISSING_S: f64 = 0.1;

/// What was made of an audio file, and what is known of the file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decoded<T> {
    /// What was made of it: a fingerprint or a query.
    pub value: T,
    /// What the file is, and its tags.
    pub info: AudioInfo,
    /// How much of it could be decoded.
    pub report: DecodeReport,
}

impl<T> Decoded<T> {
    /// `value` was made of all that `reader` gave.
    pub(crate) fn new(value: T, reader: &AudioReader) -> Self {
        Self { value, info: reader.info.clone(), report: reader.report() }
    }
}

/// What is known of a file once its first packet has been decoded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AudioInfo {
    /// The rate at which the file is sampled.
    pub sample_rate: SampleRate,
    /// Number of channels, all of which are averaged.
    pub channels: usize,
    /// Name of the codec ("MPEG Audio Layer 3").
    pub codec: String,
    /// Name of the container ("Ogg").
    pub container: String,
    /// Length in seconds that the file declares, or that was estimated from its size. Not verified.
    pub declared_duration_s: Option<f64>,
    /// Title, artist and album.
    pub tags: Tags,
}

/// Decodes an audio file, block by block, to mono at the rate of the analysis.
///
/// The channels are averaged. Delay and padding that encoders add are removed as far as the file
/// tells of them. Damaged packets are skipped and counted, a stream that breaks off simply ends:
/// see [`AudioReader::report`]. Panics within a decoder are caught and end the stream as well
/// (unless built with `panic = "abort"`).
///
/// ```no_run
/// use earmark::{config::StftConfig, decode::AudioReader};
/// let mut reader = AudioReader::open("track.mp3", &StftConfig::default())?;
/// let mut samples = Vec::new();
/// while let Some(block) = reader.next_block()? {
///     samples.extend_from_slice(block);
/// }
/// println!("{}: {}", reader.info().codec, reader.report());
/// # Ok::<(), earmark::Error>(())
/// ```
pub struct AudioReader {
    format: Box<dyn FormatReader>,
    decoder: Decoder,
    recipe: Arc<Recipe>,
    ahead: Ahead,
    /// Threads that decode.
    threads: usize,
    /// What was read and must wait until all before it was decoded.
    held: Option<Next>,
    /// Packets without a byte, resets and complaints since the last packet.
    fruitless: u32,
    track_id: u32,
    resampler: Resampler,
    stft: StftConfig,
    info: AudioInfo,
    path: Option<PathBuf>,
    layout: Arc<Layout>,
    watch: Arc<Watch>,
    /// How the last packet begins, and its size, where a file may break off without a trace.
    last_frame: Option<(Vec<u8>, usize)>,
    /// Frames of encoder delay that are still to be dropped, and all that were.
    to_skip: u64,
    skipped_s: f64,
    /// By the timestamps: when the last packet that could be decoded ended.
    expected_s: Option<f64>,
    /// Silence put in so far.
    gaps_s: f64,
    /// Whether a loss since then has been reported.
    loss_reported: bool,
    /// Length that the file declares, summed over the links of a chain; unknown if estimated.
    declared_s: Option<f64>,
    report: DecodeReport,
    ended: bool,
    /// Audio at the file's rate, reused.
    mono: Vec<f32>,
    /// Audio at the rate of the analysis, of which `served` samples were handed out.
    block: Vec<f32>,
    served: usize,
}

impl fmt::Debug for AudioReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioReader")
            .field("info", &self.info)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

impl AudioReader {
    /// What the samples are made for: their rate, and up to which frequency they are kept.
    #[must_use]
    pub fn stft(&self) -> &StftConfig {
        &self.stft
    }

    /// What the file is.
    #[must_use]
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// What became of it so far; complete once [`AudioReader::next_block`] has returned `None`.
    #[must_use]
    pub fn report(&self) -> DecodeReport {
        let mut report = self.report.clone();
        if let Some(declared_s) = self.declared_s {
            let missing_s = declared_s - report.decoded_s - self.skipped_s;
            // The first comparison fails for a NaN.
            report.missing_s = if missing_s >= MISSING_S { missing_s } else { 0.0 };
        }
        report
    }

    /// The next samples, 1 to 16,384, mono at the rate of the analysis; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Read`] if the file or the source fails. Damaged audio is no error:
    /// it is left out and reported. After an error the stream has ended.
    pub fn next_block(&mut self) -> Result<Option<&[f32]>> {
        if self.served == self.block.len() {
            self.block.clear();
            self.served = 0;
        }
        while !self.ended && self.block.len() - self.served < MIN_BLOCK_SAMPLES {
            self.advance()?;
        }
        let begin = self.served;
        self.served = self.block.len().min(begin + MAX_BLOCK_SAMPLES);
        Ok(Some(&self.block[begin..self.served]).filter(|block| !block.is_empty()))
    }

    /// Decodes on so many threads from here on, 1 to [`MAX_THREADS`](Self::MAX_THREADS), the one that asks for
    /// blocks among them. Default: 1.
    ///
    /// Samples and report are the same to the last bit. FLAC, ALAC, Vorbis and MPEG audio are decoded in
    /// several places at once; anything else in one, by another thread than the one that asks. It pays for files of
    /// more than a minute. For each thread and two more, some seconds are read and decoded ahead of what is
    /// asked for, which takes up to 4 MB each; so it is not for a source that is still growing. Threads are made
    /// when they are needed. They end soon after the reader is dropped, or where its audio ends.
    ///
    /// ```no_run
    /// use earmark::{config::StftConfig, decode::AudioReader};
    /// let mut reader = AudioReader::open("audiobook.mp3", &StftConfig::default())?;
    /// reader.set_threads(std::thread::available_parallelism().map_or(1, usize::from));
    /// while let Some(block) = reader.next_block()? {
    ///     println!("{} samples", block.len());
    /// }
    /// # Ok::<(), earmark::Error>(())
    /// ```
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads.clamp(1, Self::MAX_THREADS);
    }

    /// More threads than these are of no use: what one thread has to do alone is a fifth of the work.
    pub const MAX_THREADS: usize = 4;

    /// Does the next step: decodes a packet, goes on with another stream, or ends.
    fn advance(&mut self) -> Result<()> {
        if let Some((outcome, time_s)) = self.ahead.next(&mut self.mono) {
            return self.settle(outcome, time_s);
        }
        self.read_ahead();
        if self.ahead.go_on(&mut self.decoder) {
            return Ok(());
        }
        let next = self.held.take().unwrap_or_else(|| self.read());
        self.follow(next)
    }

    /// Reads packets until enough are under way, or something else comes.
    fn read_ahead(&mut self) {
        while self.threads > 1 && self.held.is_none() && self.ahead.has_room(self.threads) {
            let mut run = self.ahead.begin();
            loop {
                match self.read() {
                    Next::Packet(packet) => {
                        if !run.push(packet) {
                            break;
                        }
                    }
                    other => {
                        self.held = Some(other);
                        break;
                    }
                }
            }
            self.ahead.hand_in(run, self.threads, &mut self.decoder);
        }
    }

    /// Does what is to be done about what was read.
    fn follow(&mut self, next: Next) -> Result<()> {
        match next {
            Next::Packet(packet) => return self.decode(&packet),
            Next::Link => self.next_link(),
            Next::Damage(reason) => self.lose(reason),
            Next::End => self.end(None),
            Next::Cut(reason) => self.end(Some(reason)),
            Next::Failed(source) => {
                self.end(Some(source.to_string()));
                return Err(match self.path.clone() {
                    Some(path) => Error::Io { action: "read", path, source },
                    None => Error::Read(source),
                });
            }
        }
        Ok(())
    }

    fn end(&mut self, truncated_by: Option<String>) {
        if let Some(error) = truncated_by {
            self.report.truncated = true;
            self.report.error.get_or_insert(error);
        }
        if !self.ended {
            self.ended = true;
            self.ahead = Ahead::new(&self.recipe);
            self.resampler.finish(&mut self.block);
        }
    }

    /// Goes on with the next stream of a chain.
    fn next_link(&mut self) {
        self.resampler.finish(&mut self.block);
        // Tags of later streams are not asked for, and would pile up.
        while self.format.metadata().pop().is_some() {}
        match Link::new(self.format.as_ref(), &self.layout) {
            Ok(link) => {
                self.decoder = Some(link.decoder);
                self.ahead = Ahead::new(&link.recipe);
                self.recipe = link.recipe;
                self.track_id = link.track_id;
                self.to_skip = link.delay_frames;
                self.expected_s = link.start_s;
                self.declared_s = self.declared_s.zip(link.measured_s).map(|(a, b)| a + b);
            }
            Err(error) => self.end(Some(error.to_string())),
        }
    }

    fn lose(&mut self, reason: String) {
        self.loss_reported = true;
        self.report.lost_packets += 1;
        self.report.error.get_or_insert(reason);
    }

    /// Decodes a packet and appends to the block what it gives.
    fn decode(&mut self, packet: &Timed) -> Result<()> {
        let Some(decoder) = &mut self.decoder else {
            self.end(Some("the decoder is gone".into()));
            return Ok(());
        };
        let channels = self.recipe.flac_channels;
        let outcome = packet::decode(&mut **decoder, channels, &packet.packet, &mut self.mono);
        self.settle(outcome, packet.time_s)
    }

    /// Appends to the block what a packet gave.
    fn settle(&mut self, outcome: Outcome, time_s: Option<(f64, f64)>) -> Result<()> {
        match outcome {
            Outcome::Audio(rate_hz, channels) if !self.mono.is_empty() => {
                self.take(time_s, rate_hz, channels)?;
            }
            Outcome::Audio(..) => {}
            Outcome::Lost(reason) => self.lose(reason),
            Outcome::Panicked => {
                self.lose("the decoder panicked".into());
                self.end(Some("the decoder panicked".into()));
            }
        }
        Ok(())
    }

    /// Resamples what was decoded.
    fn take(&mut self, time_s: Option<(f64, f64)>, rate_hz: u32, channels: usize) -> Result<()> {
        let rate = match SampleRate::new(rate_hz) {
            Ok(rate) => rate,
            Err(error) if self.info.channels == 0 => return Err(error),
            Err(error) => {
                self.end(Some(error.to_string()));
                return Ok(());
            }
        };
        if self.info.channels == 0 {
            self.info.sample_rate = rate;
            self.info.channels = channels;
        }
        if self.resampler.from() != rate {
            self.resampler.finish(&mut self.block);
            self.resampler = Resampler::new(rate, self.stft.sample_rate, self.stft.max_hz);
        }
        self.fill_gap(time_s);
        let skip = self.to_skip.min(self.mono.len() as u64);
        self.to_skip -= skip;
        self.skipped_s += rate.seconds(skip);
        let audio = &self.mono[skip as usize..];
        self.report.decoded_s += rate.seconds(audio.len() as u64);
        self.resampler.push(audio, &mut self.block);
        Ok(())
    }

    /// Puts silence in the place of what is missing before a packet, by its timestamp.
    fn fill_gap(&mut self, time_s: Option<(f64, f64)>) {
        let rate = self.resampler.from();
        let Some((start_s, length_s)) = time_s else { return };
        let decoded_s = rate.seconds(self.mono.len() as u64);
        let gap_s = self.expected_s.map_or(0.0, |expected_s| start_s - expected_s);
        if GAP_S.contains(&gap_s) && self.gaps_s + gap_s <= MAX_GAPS_S {
            if !self.loss_reported {
                self.lose("a gap in the stream".into());
            }
            self.gaps_s += gap_s;
            let mut frames = (gap_s * f64::from(rate.hz())).round() as usize;
            while frames > 0 {
                let piece = frames.min(SILENCE.len());
                self.resampler.push(&SILENCE[..piece], &mut self.block);
                frames -= piece;
            }
        }
        self.loss_reported = false;
        self.expected_s = Some(start_s + length_s.max(decoded_s));
    }
}

static SILENCE: [f32; 1024] = [0.0; 1024];

#[cfg(test)]
mod tests;
