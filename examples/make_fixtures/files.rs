//! Writing audio files: the plain ones here, byte by byte, the compressed
//! ones by handing a WAV file to ffmpeg.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::synth::Pcm;

#[derive(Clone, Copy, PartialEq)]
pub enum Format {
    WavU8,
    WavAlaw,
    Wav16,
    Wav24,
    WavFloat,
    Aiff,
    Caf,
    Flac,
    Alac,
    /// Kilobits per second.
    Mp3(u32),
    /// libvorbis quality.
    Vorbis(i32),
    /// Kilobits per second.
    Aac(u32),
}

impl Format {
    pub fn extension(self) -> &'static str {
        match self {
            Format::WavU8 | Format::WavAlaw | Format::Wav16 | Format::Wav24 | Format::WavFloat => {
                "wav"
            }
            Format::Aiff => "aiff",
            Format::Caf => "caf",
            Format::Flac => "flac",
            Format::Alac | Format::Aac(_) => "m4a",
            Format::Mp3(_) => "mp3",
            Format::Vorbis(_) => "ogg",
        }
    }

    pub fn describe(self) -> String {
        match self {
            Format::WavU8 => "WAV, 8-bit".into(),
            Format::WavAlaw => "WAV, A-law".into(),
            Format::Wav16 => "WAV, 16-bit".into(),
            Format::Wav24 => "WAV, 24-bit".into(),
            Format::WavFloat => "WAV, 32-bit float".into(),
            Format::Aiff => "AIFF, 16-bit".into(),
            Format::Caf => "CAF, 16-bit PCM".into(),
            Format::Flac => "FLAC".into(),
            Format::Alac => "ALAC in M4A".into(),
            Format::Mp3(k) => format!("MP3, {k} kb/s"),
            Format::Vorbis(q) => format!("Ogg Vorbis, quality {q}"),
            Format::Aac(k) => format!("AAC in M4A, {k} kb/s"),
        }
    }

    /// What ffmpeg is told, or nothing for the formats written here.
    fn codec(self) -> Option<Vec<String>> {
        let line = match self {
            Format::Flac => "-c:a flac -compression_level 12 -sample_fmt s16".into(),
            Format::Alac => "-c:a alac -sample_fmt s16p".into(),
            Format::Mp3(k) => format!("-c:a libmp3lame -b:a {k}k -id3v2_version 3"),
            Format::Vorbis(q) => format!("-c:a libvorbis -q:a {q}"),
            Format::Aac(k) => format!("-c:a aac -b:a {k}k"),
            _ => return None,
        };
        Some(line.split(' ').map(String::from).collect())
    }
}

pub struct Tags<'a> {
    pub title: &'a str,
    pub artist: &'a str,
    pub album: &'a str,
}

/// Writes a file. `Ok(false)` says that it would take ffmpeg, and that there
/// is none.
pub fn write(path: &Path, pcm: &Pcm, format: Format, tags: Option<&Tags>) -> io::Result<bool> {
    let bytes = match format {
        Format::Aiff => aiff(pcm, tags),
        Format::Caf => caf(pcm, tags),
        _ if format.codec().is_some() => return encode(path, pcm, format, tags),
        _ => wav(pcm, format, tags),
    };
    std::fs::write(path, bytes)?;
    Ok(true)
}

fn encode(path: &Path, pcm: &Pcm, format: Format, tags: Option<&Tags>) -> io::Result<bool> {
    let temp = std::env::temp_dir().join(format!("make-fixtures-{}.wav", std::process::id()));
    std::fs::write(&temp, wav(pcm, Format::Wav16, None))?;
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-i"]).arg(&temp);
    command.args(["-threads", "1", "-map_metadata", "-1"]);
    if let Some(tags) = tags {
        let pairs = [("title", tags.title), ("artist", tags.artist), ("album", tags.album)];
        for (name, value) in pairs {
            command.arg("-metadata").arg(format!("{name}={value}"));
        }
    }
    command.args(format.codec().unwrap_or_default());
    command.args(["-flags", "+bitexact", "-fflags", "+bitexact"]).arg(path);
    let status = command.status();
    std::fs::remove_file(&temp)?;
    match status {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(status) if status.success() && path.metadata()?.len() > 0 => Ok(true),
        Ok(status) => Err(io::Error::other(format!("ffmpeg on {}: {status}", path.display()))),
    }
}

/// Everything a file holds, as one channel at so many samples a second, read
/// by ffmpeg. Nothing if there is no ffmpeg or it can make nothing of it.
pub fn decode(path: &Path, rate: u32) -> Option<Vec<f64>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(path);
    command.args(["-ac", "1", "-ar", &rate.to_string(), "-f", "f32le", "-"]);
    let output = command.output().ok().filter(|output| output.status.success())?;
    let samples = output.stdout.chunks_exact(4);
    Some(samples.map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect())
}

fn to_i16(x: f64) -> i16 {
    (x * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

/// The samples channel by channel within each frame, each made into bytes.
fn interleave(pcm: &Pcm, mut sample: impl FnMut(f64, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..pcm.len() {
        pcm.channels.iter().for_each(|channel| sample(channel[i], &mut out));
    }
    out
}

/// A chunk of RIFF: a name, a length, the contents, padded to even length.
fn riff_chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

pub fn wav(pcm: &Pcm, format: Format, tags: Option<&Tags>) -> Vec<u8> {
    let (code, width) = match format {
        Format::WavU8 => (1u16, 1u16),
        Format::WavAlaw => (6, 1),
        Format::Wav24 => (1, 3),
        Format::WavFloat => (3, 4),
        _ => (1, 2),
    };
    let data = interleave(pcm, |x, out| match format {
        Format::WavU8 => out.push((x * 128.0 + 128.0).round().clamp(0.0, 255.0) as u8),
        Format::WavAlaw => out.push(alaw(to_i16(x))),
        Format::Wav24 => {
            let value = (x * 8_388_608.0).round().clamp(-8_388_608.0, 8_388_607.0) as i32;
            out.extend(&value.to_le_bytes()[..3]);
        }
        Format::WavFloat => out.extend((x as f32).to_le_bytes()),
        _ => out.extend(to_i16(x).to_le_bytes()),
    });
    let channels = pcm.channels.len() as u16;
    // More than two channels have to say which loudspeakers they are for.
    let extended = channels > 2;
    let mut head = Vec::new();
    head.extend(if extended { 0xFFFEu16 } else { code }.to_le_bytes());
    head.extend(channels.to_le_bytes());
    head.extend(pcm.rate.to_le_bytes());
    head.extend((pcm.rate * u32::from(channels * width)).to_le_bytes());
    head.extend((channels * width).to_le_bytes());
    head.extend((width * 8).to_le_bytes());
    if extended {
        head.extend(22u16.to_le_bytes());
        head.extend((width * 8).to_le_bytes());
        head.extend(((1u32 << channels) - 1).to_le_bytes());
        head.extend(code.to_le_bytes());
        head.extend(*b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71");
    } else if code != 1 {
        head.extend(0u16.to_le_bytes());
    }
    let mut body = b"WAVE".to_vec();
    body.extend(riff_chunk(b"fmt ", &head));
    if code != 1 {
        body.extend(riff_chunk(b"fact", &(pcm.len() as u32).to_le_bytes()));
    }
    if let Some(tags) = tags {
        let mut list = b"INFO".to_vec();
        for (name, value) in [(b"INAM", tags.title), (b"IART", tags.artist), (b"IPRD", tags.album)]
        {
            list.extend(riff_chunk(name, format!("{value}\0").as_bytes()));
        }
        body.extend(riff_chunk(b"LIST", &list));
    }
    body.extend(riff_chunk(b"data", &data));
    riff_chunk(b"RIFF", &body)
}

/// One sample by the European telephone's logarithmic law, G.711.
fn alaw(sample: i16) -> u8 {
    let positive = sample >= 0;
    let size = if positive { sample >> 3 } else { -1 - (sample >> 3) } as u16;
    let code = if size < 32 {
        size >> 1
    } else {
        let segment = 11 - size.leading_zeros() as u16;
        (segment << 4) | ((size >> segment) & 15)
    };
    (code as u8 | if positive { 0x80 } else { 0 }) ^ 0x55
}

fn aiff_chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn aiff(pcm: &Pcm, tags: Option<&Tags>) -> Vec<u8> {
    let mut common = (pcm.channels.len() as u16).to_be_bytes().to_vec();
    common.extend((pcm.len() as u32).to_be_bytes());
    common.extend(16u16.to_be_bytes());
    // The rate, as an 80-bit float.
    let shift = pcm.rate.leading_zeros();
    common.extend((16383 + 31 - shift as u16).to_be_bytes());
    common.extend((u64::from(pcm.rate << shift) << 32).to_be_bytes());
    let mut body = b"AIFF".to_vec();
    body.extend(aiff_chunk(b"COMM", &common));
    if let Some(tags) = tags {
        body.extend(aiff_chunk(b"NAME", tags.title.as_bytes()));
        body.extend(aiff_chunk(b"ID3 ", &id3(tags)));
    }
    let mut sound = vec![0; 8];
    sound.extend(interleave(pcm, |x, out| out.extend(to_i16(x).to_be_bytes())));
    body.extend(aiff_chunk(b"SSND", &sound));
    aiff_chunk(b"FORM", &body)
}

/// A tag of ID3v2.3, which is how AIFF carries more than a name.
fn id3(tags: &Tags) -> Vec<u8> {
    let mut frames = Vec::new();
    for (name, value) in [(b"TIT2", tags.title), (b"TPE1", tags.artist), (b"TALB", tags.album)] {
        frames.extend(name);
        frames.extend((value.len() as u32 + 1).to_be_bytes());
        frames.extend([0, 0, 0]); // No flags; Latin-1.
        frames.extend(value.as_bytes());
    }
    let size = frames.len() as u32;
    let mut out = b"ID3\x03\x00\x00".to_vec();
    out.extend([0u8, 0, (size >> 7) as u8 & 127, size as u8 & 127]);
    out.extend(frames);
    out
}

fn caf(pcm: &Pcm, tags: Option<&Tags>) -> Vec<u8> {
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let mut out = name.to_vec();
        out.extend((body.len() as u64).to_be_bytes());
        out.extend(body);
        out
    };
    let channels = pcm.channels.len() as u32;
    let mut about = f64::from(pcm.rate).to_be_bytes().to_vec();
    about.extend(b"lpcm");
    // Flags (integer, big-endian), bytes and frames a packet, channels, bits.
    for field in [0, 2 * channels, 1, channels, 16] {
        about.extend(field.to_be_bytes());
    }
    let mut out = b"caff\x00\x01\x00\x00".to_vec();
    out.extend(chunk(b"desc", &about));
    if let Some(tags) = tags {
        let mut info = 3u32.to_be_bytes().to_vec();
        for (name, value) in [("title", tags.title), ("artist", tags.artist), ("album", tags.album)]
        {
            info.extend(format!("{name}\0{value}\0").as_bytes());
        }
        out.extend(chunk(b"info", &info));
    }
    let mut data = vec![0; 4];
    data.extend(interleave(pcm, |x, out| out.extend(to_i16(x).to_be_bytes())));
    out.extend(chunk(b"data", &data));
    out
}
