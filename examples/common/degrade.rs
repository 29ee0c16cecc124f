//! What happens to music between the loudspeaker and the listener.

use crate::codec::Codec;
use crate::noise::{Noise, add_at};
use crate::rng::Rng;
use crate::room::Room;
use crate::spectral::{RATE, Spectral, band, gain, power};
use earmark::{Resampler, SampleRate};

/// Ways in which clips are degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only louder or softer, which all others are, too.
    Clean,
    /// With noise so many dB below the music.
    Noise(Noise, i8),
    Room,
    Hall,
    /// From a room through a telephone.
    Phone,
    /// Turned up until it distorts, with too much treble or bass.
    Overdrive,
    /// With other music at the same level.
    Overlay,
    /// At another rate for a while.
    Resampled,
    Codec(Codec),
}

impl Kind {
    /// All that can be made without codecs, in the order of the report.
    pub fn without_codecs() -> Vec<Self> {
        let noises = Noise::ALL.into_iter();
        let noises = noises.flat_map(|noise| [10, 5, 0, -5].map(|db| Self::Noise(noise, db)));
        let others = [Self::Room, Self::Hall, Self::Phone, Self::Overdrive, Self::Overlay];
        [Self::Clean].into_iter().chain(noises).chain(others).chain([Self::Resampled]).collect()
    }

    pub fn name(self) -> String {
        match self {
            Self::Clean => "clean".into(),
            Self::Noise(noise, db) => format!("{} {db} dB", noise.name()).replace('-', "−"),
            Self::Room => "room".into(),
            Self::Hall => "hall".into(),
            Self::Phone => "phone".into(),
            Self::Overdrive => "overdrive".into(),
            Self::Overlay => "other music 0 dB".into(),
            Self::Resampled => "resampled".into(),
            Self::Codec(codec) => codec.name().into(),
        }
    }
}

/// A place in a track.
#[derive(Clone, Copy)]
pub struct Cut<'a> {
    /// The track.
    pub samples: &'a [f32],
    pub start: usize,
    pub len: usize,
}

impl Cut<'_> {
    fn dry(&self) -> Vec<f32> {
        self.samples[self.start..self.start + self.len].to_vec()
    }

    /// The clip as heard in a room, in which what came before still sounds.
    fn in_room(&self, room: Room, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
        let response = room.response(rng);
        let before = self.start.min(response.len());
        let heard = &self.samples[self.start - before..self.start + self.len];
        spectral.convolve(heard, &response).split_off(before)
    }
}

/// Degrades a clip. `other` is other music, at least as long.
pub fn degrade(
    kind: Kind,
    cut: Cut<'_>,
    other: &[f32],
    rng: &mut Rng,
    spectral: &mut Spectral,
) -> Result<Vec<f32>, String> {
    let mut out = match kind {
        Kind::Clean => cut.dry(),
        Kind::Noise(noise, db) => {
            let mut out = cut.dry();
            add_at(&mut out, &noise.make(cut.len, rng, spectral), f64::from(db));
            out
        }
        Kind::Room => {
            let room = Room::small(rng);
            noisy(cut.in_room(room, rng, spectral), 10.0, rng, spectral)
        }
        Kind::Hall => {
            let room = Room::hall(rng);
            noisy(cut.in_room(room, rng, spectral), 10.0, rng, spectral)
        }
        Kind::Phone => telephone(into_telephone(cut, rng, spectral), spectral),
        Kind::Overdrive => {
            let (drive_db, tilt_db) = (rng.between(6.0, 18.0), rng.between(-3.0, 3.0));
            tilt(&overdrive(&cut.dry(), drive_db), tilt_db, spectral)
        }
        Kind::Overlay => {
            let mut out = cut.dry();
            add_at(&mut out, &other[..cut.len], 0.0);
            out
        }
        Kind::Resampled => through(&cut.dry(), [11_025, 22_050][rng.below(2)]),
        Kind::Codec(Codec::Gsm) => Codec::Gsm.pass(&into_telephone(cut, rng, spectral))?,
        Kind::Codec(codec) => {
            let mut dry = cut.dry();
            set_peak(&mut dry, -1.0);
            codec.pass(&dry)?
        }
    };
    set_peak(&mut out, rng.between(-20.0, -1.0));
    Ok(out)
}

/// Turns samples up or down until their highest is at so many dB of full scale.
fn set_peak(samples: &mut [f32], db: f64) {
    let peak = samples.iter().fold(1e-9f32, |peak, x| peak.max(x.abs()));
    let scale = (gain(db) / f64::from(peak)) as f32;
    samples.iter_mut().for_each(|x| *x *= scale);
}

/// With noise of any kind.
fn noisy(mut samples: Vec<f32>, snr_db: f64, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
    let noise = Noise::ALL[rng.below(Noise::ALL.len())];
    let noise = noise.make(samples.len(), rng, spectral);
    add_at(&mut samples, &noise, snr_db);
    samples
}

/// At another rate and back.
fn through(samples: &[f32], hz: u32) -> Vec<f32> {
    let rate = |hz| SampleRate::new(hz).expect("it is within the range");
    let convert = |samples: &[f32], from: u32, to: u32| {
        let mut out = Vec::new();
        let mut resampler = Resampler::new(rate(from), rate(to), 0.45 * from.min(to) as f32);
        resampler.push(samples, &mut out);
        resampler.finish(&mut out);
        out
    };
    let mut out = convert(&convert(samples, RATE, hz), hz, RATE);
    out.resize(samples.len(), 0.0);
    out
}

/// What a telephone in a noisy room sends: 300 to 3400 Hz of what it hears.
fn into_telephone(cut: Cut<'_>, rng: &mut Rng, spectral: &mut Spectral) -> Vec<f32> {
    let room = Room::small(rng);
    let heard = noisy(cut.in_room(room, rng, spectral), 8.0, rng, spectral);
    telephone_band(&heard, spectral)
}

fn telephone_band(samples: &[f32], spectral: &mut Spectral) -> Vec<f32> {
    let mut sent = spectral.filter(samples, band(300.0, 3400.0));
    set_peak(&mut sent, -3.0);
    sent
}

/// What a line leaves of it: 8 kHz, 8 bits on the µ-law scale.
fn telephone(mut line: Vec<f32>, spectral: &mut Spectral) -> Vec<f32> {
    // The rate comes first: each of its samples, which is every second one here, is quantised.
    line.iter_mut().skip(1).step_by(2).for_each(|x| *x = 0.0);
    line.iter_mut().step_by(2).for_each(|x| *x = 2.0 * mu_law(*x));
    spectral.filter(&line, |hz| if hz < 3600.0 { 1.0 } else { 0.0 })
}

/// A sample, from −1 to 1, as 8 bits of µ-law leave it.
fn mu_law(x: f32) -> f32 {
    const MU: f32 = 255.0;
    const LEVELS: f32 = 127.0;
    let compressed = (MU * x.abs().min(1.0)).ln_1p() / MU.ln_1p();
    let coded = (compressed * LEVELS).round() / LEVELS;
    ((coded * MU.ln_1p()).exp_m1() / MU).copysign(x)
}

/// An amplifier that cannot follow: so many dB above what it can give, on average.
fn overdrive(samples: &[f32], drive_db: f64) -> Vec<f32> {
    let drive = (gain(drive_db) / power(samples).max(1e-30).sqrt()) as f32;
    samples.iter().map(|x| (x * drive).tanh()).collect()
}

/// So many dB per octave, from 60 Hz on, about 1 kHz.
fn tilt(samples: &[f32], db_per_octave: f64, spectral: &mut Spectral) -> Vec<f32> {
    let octaves = |hz: f32| (f64::from(hz.max(60.0)) / 1000.0).log2();
    spectral.filter(samples, |hz| gain(db_per_octave * octaves(hz)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::tone;

    fn decibels(a: f64, b: f64) -> f64 {
        10.0 * (a / b).log10()
    }

    /// Power of all but the first and last quarter.
    fn middle_power(samples: &[f32]) -> f64 {
        power(&samples[samples.len() / 4..3 * samples.len() / 4])
    }

    #[test]
    fn all_kinds_keep_length_and_level_and_repeat_themselves() {
        let track: Vec<f32> = (0..60_000).map(|i| (i as f32 * i as f32 * 1e-5).sin()).collect();
        let other = tone(700.0, 20_000);
        let make = |kind, start| {
            let cut = Cut { samples: &track, start, len: 20_000 };
            degrade(kind, cut, &other, &mut Rng::new(4), &mut Spectral::default())
                .expect("no other program is needed")
        };
        for kind in Kind::without_codecs() {
            for start in [0, 1, 40_000] {
                let clip = make(kind, start);
                assert_eq!(clip.len(), 20_000, "{kind:?}");
                let peak = clip.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
                assert!((0.099..0.9).contains(&peak), "{kind:?}: {peak}");
            }
            assert_eq!(make(kind, 7), make(kind, 7), "{kind:?}");
        }
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<String> = Kind::without_codecs().into_iter().map(Kind::name).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_telephone_passes_its_band_only() {
        let mut spectral = Spectral::default();
        let through = |samples: &[f32], spectral: &mut Spectral| {
            let sent = telephone_band(samples, spectral);
            telephone(sent, spectral)
        };
        let speech = through(&tone(1000.0, 16_000), &mut spectral);
        let kept = spectral.filter(&speech, band(900.0, 1100.0));
        assert!(decibels(middle_power(&kept), middle_power(&speech)) > -0.1);
        let noise = Noise::White.make(32_000, &mut Rng::new(2), &mut spectral);
        let line = through(&noise, &mut spectral);
        let high = power(&spectral.filter(&line, band(4200.0, 7500.0)));
        let low = power(&spectral.filter(&line, band(20.0, 200.0)));
        let all = power(&line);
        assert!(decibels(high, all) < -60.0, "{}", decibels(high, all));
        assert!(decibels(low, all) < -30.0, "{}", decibels(low, all));
    }

    #[test]
    fn mu_law_errs_little() {
        assert_eq!(mu_law(0.0), 0.0);
        assert!((mu_law(1.0) - 1.0).abs() < 1e-5 && (mu_law(-2.0) + 1.0).abs() < 1e-5);
        let speech = tone(333.0, 16_000);
        let error: Vec<f32> = speech.iter().map(|x| mu_law(*x) - x).collect();
        let snr = decibels(power(&speech), power(&error));
        assert!((35.0..42.0).contains(&snr), "{snr}");
    }

    #[test]
    fn overdrive_clips_and_tilt_tilts() {
        let driven = overdrive(&tone(100.0, 16_000), 18.0);
        assert!(power(&driven) > 0.8 && driven.iter().all(|x| x.abs() <= 1.0));
        let mut spectral = Spectral::default();
        for (hz, db) in [(1000.0, 0.0), (2000.0, 3.0), (500.0, -3.0), (4000.0, 6.0)] {
            let samples = tone(hz, 16_000);
            let tilted = tilt(&samples, 3.0, &mut spectral);
            let change = decibels(middle_power(&tilted), middle_power(&samples));
            assert!((change - db).abs() < 0.1, "{hz} Hz: {change}");
        }
    }

    #[test]
    fn another_rate_leaves_what_it_can_carry() {
        for hz in [11_025, 22_050] {
            let samples = tone(3000.0, 16_000);
            let change = decibels(middle_power(&through(&samples, hz)), middle_power(&samples));
            assert!(change.abs() < 0.1, "{hz}: {change}");
        }
        assert!(middle_power(&through(&tone(7000.0, 16_000), 11_025)) < 1e-6);
    }
}
