//! Lossy codecs, by way of the program `ffmpeg`, if there is one.

use crate::spectral::RATE;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

/// A codec at a bit rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Mp3,
    Opus,
    /// Of mobile telephones: 13 kbit/s, at a rate of 8 kHz.
    Gsm,
}

impl Codec {
    pub const ALL: [Self; 3] = [Self::Mp3, Self::Opus, Self::Gsm];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3 32k",
            Self::Opus => "opus 12k",
            Self::Gsm => "mobile phone",
        }
    }

    fn encoder(self) -> &'static [&'static str] {
        match self {
            Self::Mp3 => &["-c:a", "libmp3lame", "-b:a", "32k", "-f", "mp3"],
            Self::Opus => &["-c:a", "libopus", "-b:a", "12k", "-f", "ogg"],
            Self::Gsm => &["-ar", "8000", "-c:a", "libgsm", "-f", "gsm"],
        }
    }

    /// What ffmpeg must be told of what it reads: a stream of GSM frames has no header.
    fn decoder(self) -> &'static [&'static str] {
        match self {
            Self::Mp3 | Self::Opus => &[],
            Self::Gsm => &["-f", "gsm"],
        }
    }

    /// Whether it can be used here: encodes a moment of sound and decodes it again.
    pub fn check(self) -> Result<(), String> {
        let sound: Vec<f32> = (0..RATE).map(|i| (i as f32 * 0.2).sin() * 0.3).collect();
        self.pass(&sound).map(drop)
    }

    /// What is left of samples that are encoded and decoded again.
    pub fn pass(self, samples: &[f32]) -> Result<Vec<f32>, String> {
        let rate = RATE.to_string();
        let raw = ["-f", "f32le", "-ar", &rate, "-ac", "1"];
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        let packed = pipe(&raw, self.encoder(), &bytes)?;
        let bytes = pipe(self.decoder(), &raw, &packed)?;
        let mut out: Vec<f32> =
            bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        if out.is_empty() {
            return Err("ffmpeg gave no samples".into());
        }
        out.resize(samples.len(), 0.0);
        Ok(out)
    }
}

/// Sends bytes through ffmpeg.
fn pipe(input: &[&str], output: &[&str], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-threads", "1"])
        .args(input)
        .args(["-i", "pipe:0"])
        .args(output)
        .args(["-threads", "1", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot run ffmpeg: {e}"))?;
    let mut into = child.stdin.take().expect("it was asked for");
    let mut from = child.stdout.take().expect("it was asked for");
    let mut out = Vec::new();
    let read = thread::scope(|scope| {
        // If ffmpeg does not want it, its status says so.
        scope.spawn(move || drop(into.write_all(bytes)));
        from.read_to_end(&mut out)
    });
    let status = child.wait().map_err(|e| format!("ffmpeg: {e}"))?;
    read.map_err(|e| format!("cannot read from ffmpeg: {e}"))?;
    if status.success() { Ok(out) } else { Err(format!("ffmpeg failed ({status})")) }
}
