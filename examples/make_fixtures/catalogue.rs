//! What there is to be made.

use crate::files::{Format, Tags};
use crate::pieces::Piece;

pub struct Track {
    pub name: &'static str,
    pub title: &'static str,
    pub piece: Piece,
    pub format: Format,
    pub rate: u32,
    pub channels: usize,
    pub seconds: f64,
    /// Bits per sample kept, where a lossless file would else be large.
    pub bits: u32,
    pub how: &'static str,
}

impl Track {
    pub fn file(&self) -> String {
        format!("{}.{}", self.name, self.format.extension())
    }

    pub fn tags(&self) -> Tags<'static> {
        Tags { title: self.title, artist: "The Synthetics", album: "Test Pieces" }
    }
}

/// The library.
pub const TRACKS: [Track; 12] = [
    Track {
        name: "01-melody",
        title: "Melody for Two Voices",
        piece: Piece::Melody,
        format: Format::Wav16,
        rate: 8000,
        channels: 1,
        seconds: 20.0,
        bits: 16,
        how: "two random walks over a scale, harmonics with vibrato and slides",
    },
    Track {
        name: "02-chords",
        title: "Drifting Chords",
        piece: Piece::Chords,
        format: Format::Wav24,
        rate: 8000,
        channels: 1,
        seconds: 20.0,
        bits: 24,
        how: "chord pads, each note entering and struck again apart",
    },
    Track {
        name: "03-drums",
        title: "Kit Alone",
        piece: Piece::Drums,
        format: Format::Vorbis(1),
        rate: 32000,
        channels: 2,
        seconds: 25.0,
        bits: 16,
        how: "kicks, snares, hats, toms and blocks of random pitch and colour",
    },
    Track {
        name: "04-bass",
        title: "Low End",
        piece: Piece::Bass,
        format: Format::Aiff,
        rate: 11025,
        channels: 1,
        seconds: 20.0,
        bits: 16,
        how: "a bass line of many harmonics with slides and slaps",
    },
    Track {
        name: "05-arpeggio",
        title: "Broken Chords",
        piece: Piece::Arpeggio,
        format: Format::Flac,
        rate: 22050,
        channels: 1,
        seconds: 20.0,
        bits: 11,
        how: "fast decaying notes of chords that change at random",
    },
    Track {
        name: "06-sweeps",
        title: "Wind and Birds",
        piece: Piece::Sweeps,
        format: Format::WavFloat,
        rate: 8000,
        channels: 1,
        seconds: 20.0,
        bits: 24,
        how: "noise through moving resonances, with chirps",
    },
    Track {
        name: "07-speech",
        title: "A Talk in No Language",
        piece: Piece::Speech,
        format: Format::Alac,
        rate: 11025,
        channels: 1,
        seconds: 20.0,
        bits: 16,
        how: "a train of glottal pulses through moving resonances, hisses and pauses",
    },
    Track {
        name: "08-bells",
        title: "Carillon",
        piece: Piece::Bells,
        format: Format::Aac(64),
        rate: 48000,
        channels: 2,
        seconds: 24.0,
        bits: 16,
        how: "frequency modulation with inharmonic partials",
    },
    Track {
        name: "09-plucked",
        title: "Six Strings",
        piece: Piece::Plucked,
        format: Format::Caf,
        rate: 8000,
        channels: 1,
        seconds: 20.0,
        bits: 16,
        how: "strings after Karplus and Strong, single and strummed",
    },
    Track {
        name: "10-band",
        title: "Everybody",
        piece: Piece::Band,
        format: Format::Mp3(64),
        rate: 44100,
        channels: 2,
        seconds: 32.0,
        bits: 16,
        how: "drums, bass, chords and melody together",
    },
    Track {
        name: "11-drone",
        title: "Slow Water",
        piece: Piece::Drone,
        format: Format::Flac,
        rate: 96000,
        channels: 1,
        seconds: 20.0,
        bits: 10,
        how: "twenty-two layers of gliding partials that come and go",
    },
    Track {
        name: "12-waltz",
        title: "Waltz in a Circle",
        piece: Piece::Waltz,
        format: Format::Vorbis(0),
        rate: 16000,
        channels: 6,
        seconds: 20.0,
        bits: 16,
        how: "bass, chords, tune and brushes round the listener, in 5.1",
    },
];

/// A piece that is in no library file.
pub const ABSENT: Track = Track {
    name: "absent",
    title: "March",
    piece: Piece::March,
    format: Format::Wav16,
    rate: 16000,
    channels: 1,
    seconds: 24.0,
    bits: 16,
    how: "drums, plucked strings and a melody",
};

#[derive(Clone, Copy)]
pub enum Effect {
    None,
    /// Decibels.
    Quieter(f64),
    /// Decibels of signal to noise.
    White(f64),
    Pink(f64),
    Telephone,
    /// Decibels over full scale.
    Overdrive(f64),
    /// Another track from so many seconds on, so many decibels below.
    Overlay(&'static str, f64, f64),
    Room,
}

pub struct Clip {
    pub track: &'static str,
    pub start: f64,
    pub seconds: f64,
    pub rate: u32,
    pub kind: &'static str,
    pub effect: Effect,
    pub format: Format,
}

impl Clip {
    pub fn file(&self) -> String {
        let kind = match self.effect {
            Effect::Overlay(other, start, _) => format!("over_{other}_at_{start:.3}s"),
            _ => self.kind.to_string(),
        };
        let extension = self.format.extension();
        format!("{}_at_{:.3}s_{kind}.{extension}", self.track, self.start)
    }
}

/// One line of the table of clips.
const fn clip(
    track: &'static str,
    start: f64,
    seconds: f64,
    kind: &'static str,
    effect: Effect,
    rate: u32,
    format: Format,
) -> Clip {
    Clip { track, start, seconds, rate, kind, effect, format }
}

/// The clips. The last two are of the piece that is in no library file.
#[rustfmt::skip]
pub const CLIPS: [Clip; 18] = [
    clip("01-melody", 7.313, 5.0, "quiet", Effect::Quieter(-14.0), 8000, Format::Wav16),
    clip("04-bass", 9.871, 5.0, "noise10", Effect::White(10.0), 8000, Format::Wav16),
    clip("09-plucked", 12.457, 5.5, "noise5", Effect::White(5.0), 8000, Format::Wav16),
    clip("02-chords", 3.629, 5.5, "pink10", Effect::Pink(10.0), 8000, Format::Flac),
    clip("05-arpeggio", 11.083, 5.0, "telephone", Effect::Telephone, 8000, Format::Wav16),
    clip("07-speech", 4.211, 8.0, "telephone", Effect::Telephone, 8000, Format::WavAlaw),
    clip("10-band", 12.769, 8.0, "mp3-32k", Effect::None, 22050, Format::Mp3(32)),
    clip("03-drums", 14.947, 7.0, "vorbis-low", Effect::None, 16000, Format::Vorbis(-1)),
    clip("12-waltz", 12.271, 7.0, "aac-32k", Effect::None, 16000, Format::Aac(32)),
    clip("11-drone", 8.119, 7.0, "8bit", Effect::None, 8000, Format::WavU8),
    clip("06-sweeps", 6.733, 5.0, "overdriven", Effect::Overdrive(14.0), 8000, Format::Flac),
    clip("08-bells", 15.353, 6.0, "22k", Effect::None, 22050, Format::Vorbis(5)),
    clip("07-speech", 11.597, 7.0, "room", Effect::Room, 16000, Format::Vorbis(3)),
    clip("10-band", 3.389, 7.0, "room", Effect::Room, 32000, Format::Aac(64)),
    clip("10-band", 22.137, 8.0, "noise5", Effect::White(5.0), 44100, Format::Mp3(64)),
    clip("01-melody", 10.663, 8.0, "overlay", Effect::Overlay("08-bells", 7.907, 2.0), 16000, Format::Aac(48)),
    clip("absent", 5.323, 5.0, "clean", Effect::None, 8000, Format::Flac),
    clip("absent", 14.783, 7.0, "noise10", Effect::White(10.0), 16000, Format::Mp3(48)),
];
