//! Files in memory, as they are and decoded.

use earmark::{Resampler, SampleRate};
use std::error::Error;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Rate of the samples that all crates are given.
pub const RATE_HZ: u32 = 44_100;

pub struct Audio {
    pub name: String,
    pub extension: String,
    pub bytes: Arc<[u8]>,
    /// Interleaved stereo.
    pub stereo: Vec<f32>,
    /// The same as integers.
    pub stereo_i16: Vec<i16>,
}

impl Audio {
    /// Reads and decodes a file. What is no stereo at 44.1 kHz is made so: mono is doubled, of more
    /// channels the first two are taken.
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text =
            |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into();
        let (name, extension): (String, String) = (text(path.file_name()), text(path.extension()));
        let bytes: Arc<[u8]> = std::fs::read(path)?.into();
        let (mut channels, mut rate_hz) = ([Vec::new(), Vec::new()], 0);
        let mut scratch: Vec<f32> = Vec::new();
        decode(Arc::clone(&bytes), &extension, |buffer| {
            let planes = buffer.num_planes();
            buffer.copy_to_vec_interleaved(&mut scratch);
            for frame in scratch.chunks_exact(planes) {
                channels[0].push(frame[0]);
                channels[1].push(frame[1.min(planes - 1)]);
            }
            rate_hz = buffer.spec().rate();
        })?;
        let [left, right] = channels.map(|channel| {
            let (from, to) = (SampleRate::new(rate_hz)?, SampleRate::new(RATE_HZ)?);
            let mut out = Vec::new();
            let mut resampler = Resampler::new(from, to, 20_000.0);
            resampler.push(&channel, &mut out);
            resampler.finish(&mut out);
            Ok::<_, earmark::Error>(out)
        });
        let stereo: Vec<f32> = left?.iter().zip(&right?).flat_map(|(&l, &r)| [l, r]).collect();
        let integer = |x: &f32| (x * 32_767.0).round() as i16;
        let stereo_i16 = stereo.iter().map(integer).collect();
        Ok(Self { name, extension, bytes, stereo, stereo_i16 })
    }

    pub fn seconds(&self) -> f64 {
        self.stereo.len() as f64 / 2.0 / f64::from(RATE_HZ)
    }

    /// The channels' mean, piece by piece.
    pub fn mono_blocks(&self, mut take: impl FnMut(&[f32])) {
        let mut block = Vec::with_capacity(4_096);
        for piece in self.stereo.chunks(2 * 4_096) {
            block.clear();
            block.extend(piece.chunks_exact(2).map(|both| 0.5 * (both[0] + both[1])));
            take(&block);
        }
    }
}

/// The bare decode loop: every packet of the first audio track, nothing done with it.
pub fn decode(
    bytes: Arc<[u8]>,
    extension: &str,
    mut take: impl FnMut(&GenericAudioBufferRef<'_>),
) -> Result<(), Box<dyn Error>> {
    let mut hint = Hint::new();
    hint.with_extension(extension);
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut format = symphonia::default::get_probe().probe(
        &hint,
        stream,
        FormatOptions::default(),
        MetadataOptions::default(),
    )?;
    let track = format.default_track(TrackType::Audio).ok_or("no audio track")?;
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("no audio track")?;
    let id = track.id;
    let options = AudioDecoderOptions::default().gapless(true);
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options)?;
    loop {
        match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == id => match decoder.decode(&packet) {
                Ok(buffer) => take(&buffer),
                Err(Fault::DecodeError(_)) => {}
                Err(fault) => return Err(fault.into()),
            },
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(fault) => return Err(fault.into()),
        }
    }
}
