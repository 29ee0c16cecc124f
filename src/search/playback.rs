//! How a clip is played: a change of coordinates between a track and a clip.

/// How a clip is played: its tempo and frequencies as multiples of the track's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Playback {
    pub tempo: f64,
    pub pitch: f64,
}

impl Playback {
    /// As the track is.
    pub const UNCHANGED: Self = Self { tempo: 1.0, pitch: 1.0 };
}

/// What is done to recordings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Speed,
    Tempo,
    Pitch,
}

/// Distance of rungs, as logarithms of ratios: 0.8 % for what changes the pitch, 2 % for the tempo.
const PITCH_RUNG: f64 = 0.008;
const TEMPO_RUNG: f64 = 0.02;

impl Change {
    pub const ALL: [Self; 3] = [Self::Speed, Self::Tempo, Self::Pitch];

    pub fn playback(self, log_ratio: f64) -> Playback {
        let ratio = log_ratio.exp();
        match self {
            Self::Speed => Playback { tempo: ratio, pitch: ratio },
            Self::Tempo => Playback { tempo: ratio, pitch: 1.0 },
            Self::Pitch => Playback { tempo: 1.0, pitch: ratio },
        }
    }

    /// Distance of rungs, as a logarithm of the ratio.
    pub fn rung(self) -> f64 {
        match self {
            Self::Speed | Self::Pitch => PITCH_RUNG,
            Self::Tempo => TEMPO_RUNG,
        }
    }
}
