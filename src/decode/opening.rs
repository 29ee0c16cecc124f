//! From a source of bytes to a reader that has decoded the first packet.

use super::ahead::Ahead;
use super::layout::{Layout, Wave};
use super::link::{Link, codec_name, container_name, describe, is_mpeg_audio};
use super::metadata::{or, read_tags};
use super::source::{Source, probe, rewind};
use super::{AudioInfo, AudioReader, DecodeReport};
use crate::config::StftConfig;
use crate::error::{Error, Result};
use crate::resample::Resampler;
use crate::units::SampleRate;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use symphonia::core::errors::Error as Fault;

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
    /// - [`Error::ExcessiveHeader`]: its header asks for more memory than any sound file needs.
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
        let layout = Arc::new(Layout::survey(&mut source, len)?);
        let source = Arc::new(Mutex::new(source));
        let attempt = |len: Option<u64>| {
            let source = Source::new(Arc::clone(&source), Arc::clone(&layout), len);
            Self::attempt(source, extension, stft, path.clone())
        };
        let opened = if len.is_none() {
            attempt(None)
        } else {
            rewind(&source)?;
            match attempt(len) {
                // Demuxers refuse files of which the end is missing, unless it is not to be had.
                Err(error @ (Error::UnknownFormat { .. } | Error::Undecodable { .. })) => {
                    rewind(&source)?;
                    attempt(None).map_err(|_| error)
                }
                other => other,
            }
        };
        let codec = layout.wave.as_ref().and_then(Wave::unsupported_codec);
        match (opened, codec) {
            (Err(Error::UnknownFormat { .. }), Some(codec)) => {
                Err(Error::UnsupportedCodec { codec })
            }
            (opened, _) => opened,
        }
    }

    fn attempt<R: Read + Seek + Send + 'static>(
        source: Source<R>,
        extension: Option<&str>,
        stft: &StftConfig,
        path: Option<PathBuf>,
    ) -> Result<Self> {
        let (watch, layout) = (Arc::clone(&source.watch), Arc::clone(&source.layout));
        watch.allow(layout.header_bytes);
        let mut format =
            probe(source, layout.trusting, extension).map_err(|fault| match fault {
                Fault::IoError(source) if watch.failed() => Error::Read(source),
                _ if watch.exceeded() => {
                    let megabytes = layout.header_bytes >> 20;
                    let detail = format!("more than {megabytes} MB come before the audio");
                    Error::ExcessiveHeader { detail }
                }
                Fault::Unsupported(reason) if reason.contains("probe") => {
                    Error::UnknownFormat { reason: "no known header was found".into() }
                }
                other => Error::UnknownFormat { reason: describe(&other) },
            })?;
        let link = Link::new(format.as_ref(), &layout)?;
        let own = read_tags(format.as_mut(), link.track_id);
        let in_front = layout.tags.clone();
        // Behind MPEG audio there may be older ones, which hold less.
        let is_mpeg = is_mpeg_audio(format.as_ref());
        let tags = if is_mpeg { or(in_front, own) } else { or(own, in_front) };
        let info = AudioInfo {
            sample_rate: SampleRate::default(),
            channels: 0,
            codec: codec_name(link.codec),
            container: container_name(format.as_ref(), &layout),
            declared_duration_s: link.declared_s,
            tags,
        };
        let mut reader = Self {
            format,
            decoder: Some(link.decoder),
            ahead: Ahead::new(&link.recipe),
            recipe: link.recipe,
            threads: 1,
            held: None,
            fruitless: 0,
            track_id: link.track_id,
            resampler: Resampler::new(stft.sample_rate, stft.sample_rate, stft.max_hz),
            stft: stft.clone(),
            info,
            path,
            layout,
            watch,
            last_frame: is_mpeg.then(Default::default),
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
}
