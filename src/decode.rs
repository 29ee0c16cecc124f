//! Reading audio files: any container and codec of symphonia, to mono at the analysis rate.

use crate::config::StftConfig;
use crate::error::{Error, Result};
use crate::resample::Resampler;
use crate::tags::Tags;
use crate::units::SampleRate;
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use symphonia::core::audio::conv::IntoSample;
use symphonia::core::audio::sample::Sample;
use symphonia::core::audio::{Audio, AudioBuffer, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known as codecs;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO,
};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{
    FormatOptions, FormatReader, Track, TrackType, well_known as formats,
};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::{MetadataOptions, RawValue, StandardTag, Tag};
use symphonia::core::packet::Packet;

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
/// The first block of AAC is half a transform, never audio.
const AAC_DELAY_FRAMES: u64 = 1_024;
/// A shorter difference between the length declared and that decoded is no loss.
const MISSING_S: f64 = 0.1;
/// Longer tags are cut.
const MAX_TAG_CHARS: usize = 1_024;

/// What is known of a file once its first packet has been decoded.
#[derive(Clone, Debug, PartialEq)]
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

/// How much of a file could be decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecodeReport {
    /// Seconds of audio that were decoded, without the silence that stands in for lost packets.
    pub decoded_s: f64,
    /// Packets that could not be decoded, and gaps between the others. Where the container keeps
    /// time, silence stands in for them, so that what follows is in its place.
    pub lost_packets: u64,
    /// Whether the stream broke off before its end.
    pub truncated: bool,
    /// Seconds that the file declares beyond those decoded; 0 if fewer than 0.1, unknown, or
    /// estimated.
    pub missing_s: f64,
    /// The first complaint of demuxer or decoder.
    pub error: Option<String>,
}

impl DecodeReport {
    /// Whether everything that the file declares was decoded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.truncated && self.lost_packets == 0 && self.missing_s == 0.0
    }
}

impl fmt::Display for DecodeReport {
    /// As in "12.3 of 30.0 s decoded, 2 packets lost: unexpected end of file".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missing_s > 0.0 {
            write!(f, "{:.1} of {:.1} s decoded", self.decoded_s, self.decoded_s + self.missing_s)?;
        } else {
            write!(f, "{:.1} s decoded", self.decoded_s)?;
        }
        match self.lost_packets {
            0 => {}
            1 => write!(f, ", 1 packet lost")?,
            lost => write!(f, ", {lost} packets lost")?,
        }
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None if self.missing_s > 0.0 => write!(f, ": the file ends early"),
            None => Ok(()),
        }
    }
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
    /// Set by the source when reading it fails, as opposed to what is read making no sense.
    source_failed: Arc<AtomicBool>,
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
    /// Opens a file and decodes its beginning.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, else as [`AudioReader::from_reader`].
    pub fn open(path: impl AsRef<Path>, stft: &StftConfig) -> Result<Self> {
        let path = path.as_ref();
        let failed = |action, source| Error::Io { action, path: path.to_path_buf(), source };
        let file = File::open(path).map_err(|source| failed("open", source))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(failed("read", io::ErrorKind::IsADirectory.into()));
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        match Self::start(file, extension, stft, Some(path.to_path_buf())) {
            Err(Error::Read(source)) => Err(failed("read", source)),
            other => other,
        }
    }

    /// As [`AudioReader::from_reader`], for a file in memory.
    ///
    /// # Errors
    /// Those of [`AudioReader::from_reader`], but for [`Error::Read`].
    pub fn from_bytes(
        bytes: impl Into<Arc<[u8]>>,
        extension: Option<&str>,
        stft: &StftConfig,
    ) -> Result<Self> {
        Self::from_reader(Cursor::new(bytes.into()), extension, stft)
    }

    /// Reads `source` from its beginning and decodes until there is audio.
    ///
    /// `extension`, that of a file's name, is a hint only. A source whose `seek` fails is read from
    /// where it stands, once through.
    ///
    /// # Errors
    /// - [`Error::Read`]: the source failed.
    /// - [`Error::UnknownFormat`]: no container was found, or the source is empty.
    /// - [`Error::NoAudioTrack`], [`Error::UnsupportedCodec`], [`Error::OpusFeatureOff`]: a
    ///   container with nothing that can be decoded.
    /// - [`Error::Undecodable`]: not one sample came out of it.
    /// - [`Error::SampleRate`]: its rate is out of range.
    pub fn from_reader(
        source: impl Read + Seek + Send + 'static,
        extension: Option<&str>,
        stft: &StftConfig,
    ) -> Result<Self> {
        Self::start(source, extension, stft, None)
    }

    fn start(
        mut source: impl Read + Seek + Send + 'static,
        extension: Option<&str>,
        stft: &StftConfig,
        path: Option<PathBuf>,
    ) -> Result<Self> {
        let len = source.seek(SeekFrom::End(0)).ok();
        if len == Some(0) {
            return Err(Error::UnknownFormat { reason: "the file is empty".into() });
        }
        let source = Arc::new(Mutex::new(source));
        let attempt = |len: Option<u64>| {
            let source = Source { inner: Arc::clone(&source), len, failed: Arc::default() };
            Self::attempt(source, extension, stft, path.clone())
        };
        if len.is_none() {
            return attempt(None);
        }
        rewind(&source)?;
        match attempt(len) {
            // Demuxers refuse files of which the end is missing, unless it is not to be had.
            Err(error @ (Error::UnknownFormat { .. } | Error::Undecodable { .. })) => {
                rewind(&source)?;
                attempt(None).map_err(|_| error)
            }
            other => other,
        }
    }

    fn attempt<R: Read + Seek + Send + 'static>(
        source: Source<R>,
        extension: Option<&str>,
        stft: &StftConfig,
        path: Option<PathBuf>,
    ) -> Result<Self> {
        let source_failed = Arc::clone(&source.failed);
        let mut format = probe(source, extension).map_err(|fault| match fault {
            Fault::IoError(source) if source_failed.load(Ordering::Relaxed) => Error::Read(source),
            Fault::Unsupported(reason) if reason.contains("probe") => {
                Error::UnknownFormat { reason: "no known header was found".into() }
            }
            other => Error::UnknownFormat { reason: describe(&other) },
        })?;
        let link = Link::new(format.as_ref())?;
        let tags = read_tags(format.as_mut(), link.track_id);
        let info = AudioInfo {
            sample_rate: SampleRate::default(),
            channels: 0,
            codec: codec_name(link.codec),
            container: container_name(format.as_ref()),
            declared_duration_s: link.declared_s,
            tags,
        };
        let mut reader = Self {
            format,
            decoder: link.decoder,
            track_id: link.track_id,
            resampler: Resampler::new(stft.sample_rate, stft.sample_rate, stft.max_hz),
            stft: stft.clone(),
            info,
            path,
            source_failed,
            to_skip: link.delay_frames,
            skipped_s: 0.0,
            expected_s: link.start_s,
            gaps_s: 0.0,
            loss_reported: false,
            declared_s: link.measured_s,
            report: DecodeReport::default(),
            ended: false,
            mono: Vec::new(),
            block: Vec::new(),
            served: 0,
        };
        while !reader.ended && reader.info.channels == 0 {
            reader.advance()?;
        }
        if reader.info.channels == 0 {
            let reason = reader.report.error.unwrap_or_else(|| "it holds no samples".into());
            return Err(Error::Undecodable { reason });
        }
        Ok(reader)
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
            match catch_unwind(AssertUnwindSafe(|| format.next_packet())) {
                Ok(Ok(Some(packet))) if packet.data.is_empty() => fruitless += 1,
                Ok(Ok(Some(packet))) if packet.track_id == self.track_id => {
                    return Ok(Some(packet));
                }
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(Fault::ResetRequired)) => {
                    fruitless += 1;
                    self.next_link();
                }
                Ok(Err(Fault::DecodeError(reason))) => {
                    fruitless += 1;
                    self.lose(reason.into());
                }
                Ok(Err(Fault::IoError(source))) if self.source_failed.load(Ordering::Relaxed) => {
                    self.end(Some(source.to_string()));
                    return Err(match self.path.clone() {
                        Some(path) => Error::Io { action: "read", path, source },
                        None => Error::Read(source),
                    });
                }
                Ok(Err(fault)) => self.end(Some(describe(&fault))),
                Err(_) => self.end(Some("the demuxer panicked".into())),
            }
        }
        if !self.ended {
            self.end(Some("the stream goes nowhere".into()));
        }
        Ok(None)
    }

    /// Goes on with the next stream of a chain.
    fn next_link(&mut self) {
        self.resampler.finish(&mut self.block);
        match Link::new(self.format.as_ref()) {
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

/// What is fixed over one link of a chain; most files are a single one.
struct Link {
    track_id: u32,
    codec: AudioCodecId,
    decoder: Box<dyn AudioDecoder>,
    delay_frames: u64,
    /// When the first packet is due, where that is certain.
    start_s: Option<f64>,
    /// As the file declares, or estimated.
    declared_s: Option<f64>,
    /// As the file declares.
    measured_s: Option<f64>,
}

impl Link {
    /// Picks a track, the default one if it can be decoded, and makes its decoder.
    fn new(format: &dyn FormatReader) -> Result<Self> {
        let audio = |track: &&Track| track.track_type() == Some(TrackType::Audio);
        let mut first_error = None;
        let default = format.default_track(TrackType::Audio).into_iter();
        for track in default.chain(format.tracks().iter().filter(audio)) {
            match Self::of_track(track) {
                Ok(mut link) => {
                    // Of MPEG audio, only an encoder that tells of its delay tells the length.
                    let estimated = match format.format_info().format {
                        formats::FORMAT_ID_ADTS => true,
                        formats::FORMAT_ID_MP1
                        | formats::FORMAT_ID_MP2
                        | formats::FORMAT_ID_MP3 => track.delay.is_none(),
                        _ => false,
                    };
                    link.measured_s = link.declared_s.filter(|_| !estimated);
                    return Ok(link);
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(Error::NoAudioTrack))
    }

    fn of_track(track: &Track) -> Result<Self> {
        let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else {
            return Err(Error::NoAudioTrack);
        };
        let mut params = params.clone();
        let delay_frames = take_delay(&mut params);
        let codec = params.codec;
        if codec == codecs::CODEC_ID_OPUS && registry().get_audio_decoder(codec).is_none() {
            return Err(Error::OpusFeatureOff);
        }
        let options = AudioDecoderOptions::default().gapless(true);
        let made = catch_unwind(|| registry().make_audio_decoder(&params, &options));
        let decoder = match made {
            Ok(Ok(decoder)) => decoder,
            Ok(Err(Fault::Unsupported(reason))) => {
                let name = codec_name(codec);
                let known = registry().get_audio_decoder(codec).is_some();
                let codec = if known { format!("{name} ({reason})") } else { name };
                return Err(Error::UnsupportedCodec { codec });
            }
            Ok(Err(fault)) => return Err(Error::Undecodable { reason: describe(&fault) }),
            Err(_) => return Err(Error::Undecodable { reason: "the decoder panicked".into() }),
        };
        let duration = track.time_base.zip(track.duration);
        let declared_s = duration
            .and_then(|(base, duration)| base.calc_duration(duration))
            .map(|time| time.as_secs_f64());
        let start_s = Some(0.0).filter(|_| codec == codecs::CODEC_ID_FLAC);
        let measured_s = None;
        Ok(Self {
            track_id: track.id,
            codec,
            decoder,
            delay_frames,
            start_s,
            declared_s,
            measured_s,
        })
    }
}

/// The delay in frames that neither demuxer nor decoder makes up for.
fn take_delay(params: &mut AudioCodecParameters) -> u64 {
    match params.codec {
        codecs::CODEC_ID_AAC => AAC_DELAY_FRAMES,
        codecs::CODEC_ID_OPUS => {
            // The decoder would take the pre-skip off its first packet only, however short. It is
            // in the 11th and 12th byte of the header and counts 48 kHz.
            let rate_hz = u64::from(params.sample_rate.unwrap_or(48_000));
            let header = params.extra_data.as_deref_mut().and_then(|data| data.get_mut(10..12));
            header.map_or(0, |pre_skip| {
                let frames = u64::from(pre_skip[0]) | u64::from(pre_skip[1]) << 8;
                pre_skip.fill(0);
                frames * rate_hz / 48_000
            })
        }
        _ => 0,
    }
}

/// Every decoder there is.
fn registry() -> &'static CodecRegistry {
    static REGISTRY: OnceLock<CodecRegistry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        #[cfg(feature = "opus")]
        registry.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
        registry
    })
}

/// Finds and opens the container.
fn probe(
    source: impl MediaSource + 'static,
    extension: Option<&str>,
) -> Result<Box<dyn FormatReader>, Fault> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let probe = symphonia::default::get_probe();
    catch_unwind(AssertUnwindSafe(|| {
        probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
    }))
    .unwrap_or(Err(Fault::DecodeError("the demuxer panicked")))
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            "unexpected end of file".into()
        }
        Fault::DecodeError(reason) => (*reason).into(),
        other => other.to_string(),
    }
}

fn codec_name(codec: AudioCodecId) -> String {
    if let Some(known) = registry().get_audio_decoder(codec) {
        return known.codec.info.long_name.into();
    }
    match codec {
        CODEC_ID_NULL_AUDIO => "one that its container does not name".into(),
        codecs::CODEC_ID_OPUS => "Opus".into(),
        codecs::CODEC_ID_AC3 => "AC-3".into(),
        codecs::CODEC_ID_EAC3 => "E-AC-3".into(),
        codecs::CODEC_ID_AC4 => "AC-4".into(),
        codecs::CODEC_ID_DCA => "DTS".into(),
        codecs::CODEC_ID_TRUEHD => "Dolby TrueHD".into(),
        codecs::CODEC_ID_SPEEX => "Speex".into(),
        codecs::CODEC_ID_MUSEPACK => "Musepack".into(),
        codecs::CODEC_ID_WAVPACK => "WavPack".into(),
        codecs::CODEC_ID_TTA => "True Audio".into(),
        codecs::CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio".into(),
        codecs::CODEC_ID_WMA => "Windows Media Audio".into(),
        other => format!("codec {other}"),
    }
}

fn container_name(format: &dyn FormatReader) -> String {
    let info = format.format_info();
    match info.format {
        formats::FORMAT_ID_WAVE => "WAV",
        formats::FORMAT_ID_AIFF => "AIFF",
        formats::FORMAT_ID_CAF => "CAF",
        formats::FORMAT_ID_MP1 | formats::FORMAT_ID_MP2 | formats::FORMAT_ID_MP3 => "MPEG audio",
        formats::FORMAT_ID_ADTS => "ADTS",
        formats::FORMAT_ID_FLAC => "FLAC",
        formats::FORMAT_ID_ISOMP4 => "MP4",
        formats::FORMAT_ID_MKV => "Matroska/WebM",
        _ => info.long_name,
    }
    .into()
}

/// Reads the tags: later revisions of the metadata override earlier ones, the file's own those of
/// its track, and within a revision the first value counts.
fn read_tags(format: &mut dyn FormatReader, track_id: u32) -> Tags {
    let single = format.tracks().len() == 1;
    let mut tags = Tags::default();
    let mut log = format.metadata();
    loop {
        if let Some(revision) = log.current() {
            let mut found = Tags::default();
            let mut album_artist = None;
            let of_track = revision
                .per_track
                .iter()
                .filter(|own| single || own.track_id == u64::from(track_id))
                .flat_map(|own| &own.metadata.tags);
            for tag in revision.media.tags.iter().chain(of_track) {
                let (slot, value) = match &tag.std {
                    Some(StandardTag::TrackTitle(value)) => (&mut found.title, value.as_str()),
                    Some(StandardTag::Artist(value)) => (&mut found.artist, value.as_str()),
                    Some(StandardTag::Album(value)) => (&mut found.album, value.as_str()),
                    Some(StandardTag::AlbumArtist(value)) => (&mut album_artist, value.as_str()),
                    Some(_) => continue,
                    None => match raw_tag(tag) {
                        Some(("title", value)) => (&mut found.title, value),
                        Some(("artist", value)) => (&mut found.artist, value),
                        Some(("album", value)) => (&mut found.album, value),
                        _ => continue,
                    },
                };
                let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
                if slot.is_none() && !value.is_empty() {
                    *slot = Some(value.chars().take(MAX_TAG_CHARS).collect());
                }
            }
            tags.title = found.title.or(tags.title);
            tags.artist = found.artist.or(album_artist).or(tags.artist);
            tags.album = found.album.or(tags.album);
        }
        if log.pop().is_none() {
            return tags;
        }
    }
}

/// Key, one of those of interest, and value of a tag that is not recognised as a standard one.
fn raw_tag(tag: &Tag) -> Option<(&'static str, &str)> {
    let known = ["title", "artist", "album"];
    // Matroska has "ALBUM@TITLE".
    let raw_key = tag.raw.key.rsplit('@').next()?;
    let key = known.into_iter().find(|key| raw_key.eq_ignore_ascii_case(key))?;
    match &tag.raw.value {
        RawValue::String(value) => Some((key, value)),
        _ => None,
    }
}

/// Averages the channels of whatever was decoded into `mono`.
fn mix(buffer: &GenericAudioBufferRef<'_>, mono: &mut Vec<f32>) {
    use GenericAudioBufferRef as Ref;
    match buffer {
        Ref::U8(buffer) => mix_planes(buffer, mono),
        Ref::U16(buffer) => mix_planes(buffer, mono),
        Ref::U24(buffer) => mix_planes(buffer, mono),
        Ref::U32(buffer) => mix_planes(buffer, mono),
        Ref::S8(buffer) => mix_planes(buffer, mono),
        Ref::S16(buffer) => mix_planes(buffer, mono),
        Ref::S24(buffer) => mix_planes(buffer, mono),
        Ref::S32(buffer) => mix_planes(buffer, mono),
        Ref::F32(buffer) => mix_planes(buffer, mono),
        Ref::F64(buffer) => mix_planes(buffer, mono),
    }
}

fn mix_planes<S: Sample + IntoSample<f32>>(buffer: &AudioBuffer<S>, mono: &mut Vec<f32>) {
    mono.clear();
    if let (2, Some((left, right))) = (buffer.num_planes(), buffer.plane_pair(0, 1)) {
        let both = left.iter().zip(right);
        mono.extend(both.map(|(&left, &right)| {
            let (left, right): (f32, f32) = (left.into_sample(), right.into_sample());
            0.5 * (left + right)
        }));
        return;
    }
    for (number, plane) in buffer.iter_planes().enumerate() {
        let samples = plane.iter().map(|&sample| -> f32 { sample.into_sample() });
        if number == 0 {
            mono.extend(samples);
        } else {
            mono.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
        }
    }
    if buffer.num_planes() > 1 {
        let share = 1.0 / buffer.num_planes() as f32;
        mono.iter_mut().for_each(|sum| *sum *= share);
    }
}

fn rewind(source: &Mutex<impl Seek>) -> Result<()> {
    source.lock().unwrap_or_else(PoisonError::into_inner).rewind().map_err(Error::Read)
}

/// What symphonia reads from. Remembers whether reading failed.
struct Source<R> {
    inner: Arc<Mutex<R>>,
    /// Length in bytes; unknown: not to be sought in.
    len: Option<u64>,
    failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match inner.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                read => return read,
            }
        }
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).seek(to)
    }
}

impl<R: Read + Seek + Send> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        self.len.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.len
    }
}

#[cfg(test)]
mod tests;
