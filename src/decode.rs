//! Reading audio files: any container and codec of symphonia, to mono at the analysis rate.

mod layout;
mod limits;
mod link;
mod metadata;
mod mix;
mod opening;
mod report;
mod source;

pub use report::DecodeReport;

use crate::config::StftConfig;
use crate::error::{Error, Result};
use crate::resample::Resampler;
use crate::tags::Tags;
use crate::units::SampleRate;
use layout::{Layout, MARK_BYTES, cut_off};
use limits::MAX_PACKET_BYTES;
use link::{Link, describe, is_end};
use mix::mix;
use source::Watch;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::FormatReader;
use symphonia::core::packet::Packet;

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
/// Consecutive packets without a byte, resets, or complaints of the demuxer, after which a stream
/// is given up.
const MAX_FRUITLESS: u32 = 64;
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
    decoder: Box<dyn AudioDecoder>,
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

    /// Reads and decodes one packet, or ends.
    fn advance(&mut self) -> Result<()> {
        match self.next_packet()? {
            Some(packet) => self.decode(&packet),
            None => {
                self.end(None);
                Ok(())
            }
        }
    }

    fn end(&mut self, truncated_by: Option<String>) {
        if let Some(error) = truncated_by {
            self.report.truncated = true;
            self.report.error.get_or_insert(error);
        }
        if !self.ended {
            self.ended = true;
            self.resampler.finish(&mut self.block);
        }
    }

    /// The next packet of the track, over the joints of a chain.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        let mut fruitless = 0;
        while !self.ended && fruitless < MAX_FRUITLESS {
            let format = &mut self.format;
            self.watch.allow(MAX_PACKET_BYTES);
            match catch_unwind(AssertUnwindSafe(|| format.next_packet())) {
                Ok(Ok(Some(packet))) if packet.data.is_empty() => fruitless += 1,
                Ok(Ok(Some(packet))) if packet.track_id == self.track_id => {
                    if let Some((mark, bytes)) = &mut self.last_frame {
                        mark.clear();
                        mark.extend(packet.data.iter().take(MARK_BYTES));
                        *bytes = packet.data.len();
                    }
                    return Ok(Some(packet));
                }
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => {
                    let cut = |(mark, bytes): &(Vec<u8>, usize)| {
                        cut_off(mark, *bytes, &self.watch.tail())
                    };
                    if self.last_frame.as_ref().is_some_and(cut) {
                        self.end(Some("unexpected end of file".into()));
                    }
                    return Ok(None);
                }
                Ok(Err(Fault::ResetRequired)) => {
                    fruitless += 1;
                    self.next_link();
                }
                Ok(Err(Fault::DecodeError(reason))) => {
                    fruitless += 1;
                    self.lose(reason.into());
                }
                Ok(Err(Fault::IoError(source))) if self.watch.failed() => {
                    self.end(Some(source.to_string()));
                    return Err(match self.path.clone() {
                        Some(path) => Error::Io { action: "read", path, source },
                        None => Error::Read(source),
                    });
                }
                Ok(Err(_)) if self.watch.exceeded() => {
                    let megabytes = MAX_PACKET_BYTES >> 20;
                    self.end(Some(format!("{megabytes} MB without a packet")));
                }
                Ok(Err(fault)) if is_end(&fault) && self.ends_here() => return Ok(None),
                Ok(Err(fault)) => self.end(Some(describe(&fault))),
                Err(_) => self.end(Some("the demuxer panicked".into())),
            }
        }
        if !self.ended {
            self.end(Some("the stream goes nowhere".into()));
        }
        Ok(None)
    }

    /// Whether the end of the source is that of the audio, where the demuxer cannot know.
    fn ends_here(&self) -> bool {
        let open = self.layout.wave.as_ref().filter(|wave| wave.open);
        open.is_some_and(|wave| !wave.end_known || self.watch.at_end())
    }

    /// Goes on with the next stream of a chain.
    fn next_link(&mut self) {
        self.resampler.finish(&mut self.block);
        // Tags of later streams are not asked for, and would pile up.
        while self.format.metadata().pop().is_some() {}
        match Link::new(self.format.as_ref(), &self.layout) {
            Ok(link) => {
                self.decoder = link.decoder;
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
    fn decode(&mut self, packet: &Packet) -> Result<()> {
        let (decoder, mono) = (&mut self.decoder, &mut self.mono);
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            decoder.decode(packet).map(|buffer| {
                mix(&buffer, mono);
                (buffer.spec().rate(), buffer.num_planes())
            })
        }));
        match decoded {
            Ok(Ok((rate_hz, channels))) => {
                if !self.mono.is_empty() {
                    self.take(packet, rate_hz, channels)?;
                }
            }
            Ok(Err(Fault::ResetRequired)) => self.next_link(),
            Ok(Err(fault)) => self.lose(describe(&fault)),
            Err(_) => {
                self.lose("the decoder panicked".into());
                self.end(Some("the decoder panicked".into()));
            }
        }
        Ok(())
    }

    /// Resamples what was decoded.
    fn take(&mut self, packet: &Packet, rate_hz: u32, channels: usize) -> Result<()> {
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
        self.fill_gap(packet);
        let skip = self.to_skip.min(self.mono.len() as u64);
        self.to_skip -= skip;
        self.skipped_s += rate.seconds(skip);
        let audio = &self.mono[skip as usize..];
        self.report.decoded_s += rate.seconds(audio.len() as u64);
        self.resampler.push(audio, &mut self.block);
        Ok(())
    }

    /// Puts silence in the place of what is missing before a packet, by its timestamp.
    fn fill_gap(&mut self, packet: &Packet) {
        let rate = self.resampler.from();
        let track = self.format.tracks().iter().find(|track| track.id == self.track_id);
        let Some(base) = track.and_then(|track| track.time_base) else { return };
        let start_s = base.calc_time_saturating(packet.pts).as_secs_f64();
        let length_s = base.calc_duration_saturating(packet.block_dur()).as_secs_f64();
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
