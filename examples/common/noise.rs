//! What is heard besides the music.

use crate::rng::Rng;
use crate::spectral::{RATE, Spectral, band, gain, power};

/// Kinds of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Equal power at all frequencies.
    White,
    /// Equal power in all octaves.
    Pink,
    /// The rumble and hiss of passing cars.
    Traffic,
    /// Many people talking at once.
    Babble,
}

impl Noise {
    pub const ALL: [Self; 4] = [Self::White, Self::Pink, Self::Traffic, Self::Babble];

    pub fn name(self) -> &'static str {
        match self {
            Self::White => "white noise",
            Self::Pink => "pink noise",
            Self::Traffic => "traffic",
            Self::Babble => "babble",
        }
    }

    /// So many samples of it, at any level.
    pub fn make(self, len: usize, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
        match self {
            Self::White => white(len, rng),
            Self::Pink => spectral.filter(&white(len, rng), |hz| hz.max(20.0).powf(-0.5)),
            Self::Traffic => traffic(len, rng, spectral),
            Self::Babble => babble(len, rng, spectral),
        }
    }
}

/// Adds something so many dB below the samples' power (or above it, if negative).
pub fn add_at(samples: &mut [f32], other: &[f32], snr_db: f64) {
    let scale = (power(samples) / power(other).max(1e-30)).sqrt() * gain(-snr_db);
    samples.iter_mut().zip(other).for_each(|(x, y)| *x += (scale * f64::from(*y)) as f32);
}

fn white(len: usize, rng: &mut Rng) -> Vec<f32> {
    (0..len).map(|_| rng.normal() as f32).collect()
}

/// Engines below, tyres above; each car comes and goes in its own time.
fn traffic(len: usize, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
    let engines = spectral.filter(&white(len, rng), |hz| 1.0 / (1.0 + (hz / 120.0).powi(2)));
    let tyres = spectral.filter(&white(len, rng), |hz| 0.06 / (1.0 + (hz / 900.0 - 1.0).powi(2)));
    let (near, far) = (swell(len, 0.4, rng), swell(len, 0.9, rng));
    (0..len).map(|i| engines[i] * near[i] + tyres[i] * far[i]).collect()
}

/// A level that rises and falls about `rate_hz` times a second, between 0.2 and 1.
fn swell(len: usize, rate_hz: f64, rng: &mut Rng) -> Vec<f32> {
    glide(len, rate_hz, rng, |rng| rng.between(0.2, 1.0))
}

/// Voices of a crowd: one voice, many times, each time from elsewhere on.
fn babble(len: usize, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
    const VOICES: usize = 7;
    let voice = voice(len, rng, spectral);
    let mut crowd = vec![0.0; len];
    for _ in 0..VOICES {
        let (from, level) = (rng.below(len.max(1)), rng.between(0.5, 1.0) as f32);
        let turned = voice[from..].iter().chain(&voice[..from]);
        crowd.iter_mut().zip(turned).for_each(|(x, y)| *x += level * y);
    }
    crowd
}

/// Noise in the bands of formants and of hisses, which come and go as syllables do.
fn voice(len: usize, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
    let syllables =
        glide(len, 8.0, rng, |rng| if rng.unit() < 0.4 { 0.0 } else { rng.between(0.3, 1.0) });
    let mut voice = vec![0.0; len];
    let bands = [(200.0, 800.0, 1.0), (800.0, 2000.0, 0.5), (2000.0, 3500.0, 0.25)];
    for (low, high, level) in bands {
        let sound = spectral.filter(&white(len, rng), band(low, high));
        let vowel = glide(len, 5.0, rng, |rng| rng.between(0.1, 1.0));
        for (i, x) in voice.iter_mut().enumerate() {
            *x += level * sound[i] * vowel[i] * syllables[i];
        }
    }
    let hiss = spectral.filter(&white(len, rng), band(3500.0, 6500.0));
    let consonants = glide(len, 6.0, rng, |rng| if rng.unit() < 0.8 { 0.0 } else { 0.12 });
    voice.iter_mut().zip(hiss.iter().zip(&consonants)).for_each(|(x, (y, level))| *x += y * level);
    voice
}

/// A curve that passes smoothly through levels drawn `rate_hz` times a second.
fn glide(
    len: usize,
    rate_hz: f64,
    rng: &mut Rng,
    mut level: impl FnMut(&mut Rng) -> f64,
) -> Vec<f32> {
    let step = (f64::from(RATE) / rate_hz) as usize;
    let levels: Vec<f64> = (0..len / step + 2).map(|_| level(rng)).collect();
    let at = |i: usize| {
        let way = 0.5 - 0.5 * (std::f64::consts::PI * (i % step) as f64 / step as f64).cos();
        (levels[i / step] * (1.0 - way) + levels[i / step + 1] * way) as f32
    };
    (0..len).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::tone;

    #[test]
    fn what_is_added_has_the_level_asked_for() {
        let mut spectral = Spectral::default();
        let music = tone(440.0, 16_000);
        for (noise, snr_db) in Noise::ALL.into_iter().zip([10.0, 5.0, 0.0, -5.0]) {
            let added = noise.make(music.len(), &mut Rng::new(3), &mut spectral);
            let mut mixed = music.clone();
            add_at(&mut mixed, &added, snr_db);
            let rest: Vec<f32> = mixed.iter().zip(&music).map(|(x, y)| x - y).collect();
            let found = 10.0 * (power(&music) / power(&rest)).log10();
            assert!((found - snr_db).abs() < 0.1, "{noise:?}: {found}");
        }
    }

    #[test]
    fn each_noise_has_its_spectrum() {
        let mut spectral = Spectral::default();
        let mut share = |noise: Noise, low: f32, high: f32| {
            let samples = noise.make(64_000, &mut Rng::new(5), &mut spectral);
            power(&spectral.filter(&samples, band(low, high))) / power(&samples)
        };
        let ratio = share(Noise::Pink, 250.0, 500.0) / share(Noise::Pink, 2000.0, 4000.0);
        assert!((0.8..1.25).contains(&ratio), "pink: {ratio}");
        assert!((share(Noise::White, 1000.0, 5000.0) - 0.5).abs() < 0.06);
        assert!(share(Noise::Traffic, 1.0, 400.0) > 0.6);
        assert!(share(Noise::Babble, 200.0, 3500.0) > 0.8);
    }

    #[test]
    fn nothing_is_as_long_as_nothing() {
        for noise in Noise::ALL {
            assert!(noise.make(0, &mut Rng::new(0), &mut Spectral::default()).is_empty());
        }
    }
}
