//! Files that something is wrong with.

use std::fs;
use std::io;
use std::path::Path;

use crate::files::{Format, wav, write};
use crate::synth::{Pcm, Rng};

/// What is wrong with each, for the README.
pub const TABLE: [(&str, &str); 11] = [
    ("truncated.mp3", "MP3, cut off in the middle of a frame at 55 % of its bytes"),
    ("truncated.flac", "FLAC, cut off in the middle of a frame at 55 % of its bytes"),
    ("truncated.wav", "WAV of 3 s by its header, cut off in the middle of a sample after 1.7 s"),
    ("empty.wav", "no bytes at all"),
    ("text.mp3", "plain text under a name that says MP3"),
    ("mp3-named.wav", "a sound MP3 under a name that says WAV; it can be decoded"),
    ("lying-header.wav", "WAV whose header says 10 minutes; there are 3 s"),
    ("silence.wav", "sound WAV, 2 s of digital silence"),
    ("dc.wav", "sound WAV, 2 s of the constant 0.5"),
    ("one-sample.wav", "sound WAV of a single sample"),
    ("garbage.ogg", "4096 random bytes"),
];

/// Makes them all of the beginning of `music`, and returns the names of those
/// that would have taken ffmpeg.
pub fn make(folder: &Path, music: &Pcm) -> io::Result<Vec<&'static str>> {
    fs::create_dir_all(folder)?;
    let second = music.rate as usize;
    let part = |seconds: usize| Pcm::mono(music.rate, music.mixdown()[..seconds * second].to_vec());
    let mut missing = Vec::new();
    for (name, format, keep) in [
        ("truncated.mp3", Format::Mp3(32), 55),
        ("truncated.flac", Format::Flac, 55),
        ("mp3-named.wav", Format::Mp3(32), 100),
    ] {
        // Under a name of its own format, since ffmpeg goes by the name.
        let temp = folder.join(format!("part.{}", format.extension()));
        if write(&temp, &part(4), format, None)? {
            let bytes = fs::read(&temp)?;
            fs::write(folder.join(name), &bytes[..bytes.len() * keep / 100])?;
            fs::remove_file(&temp)?;
        } else {
            missing.push(name);
        }
    }

    let three = wav(&part(3), Format::Wav16, None);
    fs::write(folder.join("truncated.wav"), &three[..44 + second * 17 / 10 * 2 + 1])?;
    let mut lying = three;
    let claimed = music.rate * 600 * 2;
    lying[4..8].copy_from_slice(&(claimed + 36).to_le_bytes());
    lying[40..44].copy_from_slice(&claimed.to_le_bytes());
    fs::write(folder.join("lying-header.wav"), lying)?;

    let constant = |value: f64, count: usize| {
        wav(&Pcm::mono(music.rate, vec![value; count]), Format::Wav16, None)
    };
    fs::write(folder.join("silence.wav"), constant(0.0, 2 * second))?;
    fs::write(folder.join("dc.wav"), constant(0.5, 2 * second))?;
    fs::write(folder.join("one-sample.wav"), constant(0.25, 1))?;
    fs::write(folder.join("empty.wav"), [])?;
    let text = "This is not music. It is a few lines of plain text,\n\
                saved under a name that promises an MP3 file.\n";
    fs::write(folder.join("text.mp3"), text.repeat(20))?;
    let mut rng = Rng::new(404);
    let garbage: Vec<u8> = (0..4096).map(|_| rng.next_u64() as u8).collect();
    fs::write(folder.join("garbage.ogg"), garbage)?;
    Ok(missing)
}
