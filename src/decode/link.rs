//! Choosing a track, making its decoder, naming things.

use super::ahead::PreRoll;
use super::layout::Layout;
use super::limits;
use crate::error::{Error, Result};
use std::io;
use std::panic::catch_unwind;
use std::sync::{Arc, OnceLock};
use symphonia::core::codecs::audio::well_known as codecs;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO,
};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::{FormatReader, Track, TrackType, well_known as formats};

/// The first block of AAC is half a transform, never audio.
const AAC_DELAY_FRAMES: u64 = 1_024;

/// What is fixed over one link of a chain; most files are a single one.
pub(super) struct Link {
    pub(super) track_id: u32,
    pub(super) codec: AudioCodecId,
    pub(super) decoder: Box<dyn AudioDecoder>,
    pub(super) recipe: Arc<Recipe>,
    pub(super) delay_frames: u64,
    /// When the first packet is due, where that is certain.
    pub(super) start_s: Option<f64>,
    /// As the file declares, or estimated.
    pub(super) declared_s: Option<f64>,
    /// As the file declares.
    pub(super) measured_s: Option<f64>,
}

/// How to make another decoder for the same stream, and what is known of it.
pub(super) struct Recipe {
    params: AudioCodecParameters,
    /// What it needs to go on like another one; `None`: there can only be one.
    pub(super) roll: Option<PreRoll>,
    /// Whether it takes little enough memory that there can be several, and packets can wait.
    pub(super) small: bool,
    pub(super) flac_channels: Option<usize>,
    pub(super) rate_hz: f64,
}

impl Recipe {
    fn new(params: AudioCodecParameters, decoder: &dyn AudioDecoder) -> Self {
        // A decoder may know more than the container.
        let known = decoder.codec_params();
        let channels = known.channels.as_ref().map(|channels| channels.count());
        Self {
            roll: PreRoll::of(known),
            small: limits::is_small(known),
            flac_channels: channels.filter(|_| params.codec == codecs::CODEC_ID_FLAC),
            rate_hz: f64::from(known.sample_rate.or(params.sample_rate).unwrap_or(48_000)),
            params,
        }
    }

    /// Makes a decoder.
    pub(super) fn make(&self) -> Option<Box<dyn AudioDecoder>> {
        catch_unwind(|| make_decoder(&self.params)).ok()?.ok()
    }
}

fn make_decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Fault> {
    registry().make_audio_decoder(params, &AudioDecoderOptions::default().gapless(true))
}

impl Link {
    /// Picks a track, the default one if it can be decoded, and makes its decoder.
    pub(super) fn new(format: &dyn FormatReader, layout: &Layout) -> Result<Self> {
        let audio = |track: &&Track| track.track_type() == Some(TrackType::Audio);
        let mut first_error = None;
        let default = format.default_track(TrackType::Audio).into_iter();
        for track in default.chain(format.tracks().iter().filter(audio)) {
            match Self::of_track(track) {
                Ok(mut link) => {
                    // WAV cannot tell how long more than 4 GB are.
                    if let Some(wave) = layout.wave.as_ref().filter(|wave| wave.open) {
                        link.declared_s = wave.duration_s;
                    }
                    let estimated = format.format_info().format == formats::FORMAT_ID_ADTS
                        || is_mpeg_audio(format) && track.delay.is_none() && !layout.counts_frames;
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
        limits::check(&params)?;
        if codec == codecs::CODEC_ID_OPUS && registry().get_audio_decoder(codec).is_none() {
            return Err(Error::OpusFeatureOff);
        }
        let made = catch_unwind(|| make_decoder(&params));
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
        let recipe = Arc::new(Recipe::new(params, &*decoder));
        Ok(Self {
            track_id: track.id,
            codec,
            decoder,
            recipe,
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

/// Whether the source ended where the demuxer wanted more.
pub(super) fn is_end(fault: &Fault) -> bool {
    matches!(fault, Fault::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof)
}

pub(super) fn describe(fault: &Fault) -> String {
    match fault {
        fault if is_end(fault) => "unexpected end of file".into(),
        Fault::DecodeError(reason) => (*reason).into(),
        other => other.to_string(),
    }
}

pub(super) fn codec_name(codec: AudioCodecId) -> String {
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

/// Frame after frame of MPEG audio, without a container.
pub(super) fn is_mpeg_audio(format: &dyn FormatReader) -> bool {
    let format = format.format_info().format;
    [formats::FORMAT_ID_MP1, formats::FORMAT_ID_MP2, formats::FORMAT_ID_MP3].contains(&format)
}

pub(super) fn container_name(format: &dyn FormatReader, layout: &Layout) -> String {
    let info = format.format_info();
    match info.format {
        formats::FORMAT_ID_WAVE => layout.wave.as_ref().map_or("WAV", |wave| wave.container),
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
