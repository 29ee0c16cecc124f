//! The pieces. Each is composed from its own seed and never comes back to
//! what it has already played: pitches, lengths, onsets and timbres are all
//! drawn anew, as a player would never do anything twice quite alike.

use crate::synth::{Pcm, Resonator, Rng, Tone, bell, burst, drop, grain, note, pluck, sweep};

#[derive(Clone, Copy)]
pub enum Piece {
    Melody,
    Chords,
    Drums,
    Bass,
    Arpeggio,
    Sweeps,
    Speech,
    Bells,
    Plucked,
    Band,
    Drone,
    Waltz,
    March,
}

impl Piece {
    pub fn compose(self, rate: u32, channels: usize, seconds: f64, seed: u64) -> Pcm {
        let mut pcm = Pcm::silence(rate, channels, seconds);
        let mut rng = Rng::new(seed);
        let (out, rng) = (&mut pcm, &mut rng);
        match self {
            Piece::Melody => {
                melody(out, rng, 62.0, &MINOR, 1.0, 0.0);
                melody(out, rng, 45.3, &MINOR, 0.35, 0.0);
            }
            Piece::Chords => chords(out, rng, 57.0, 1.0),
            Piece::Drums => drums(out, rng, 104.0, 1.0),
            Piece::Bass => bass(out, rng, 38.0, 1.0),
            Piece::Arpeggio => arpeggio(out, rng, 55.4),
            Piece::Sweeps => sweeps(out, rng),
            Piece::Speech => speech(out, rng),
            Piece::Bells => bells(out, rng, 66.0),
            Piece::Plucked => plucked(out, rng, 52.0, 1.0),
            Piece::Band => {
                drums(out, rng, 118.0, 0.8);
                bass(out, rng, 33.0, 0.8);
                chords(out, rng, 60.0, 0.35);
                melody(out, rng, 69.0, &MAJOR, 0.8, 0.25);
            }
            Piece::Drone => drone(out, rng),
            Piece::Waltz => waltz(out, rng, 59.0),
            Piece::March => {
                drums(out, rng, 96.0, 0.5);
                plucked(out, rng, 50.6, 0.8);
                melody(out, rng, 64.4, &MAJOR, 0.7, 0.0);
            }
        }
        pcm.master();
        pcm
    }
}

const MAJOR: [f64; 7] = [0.0, 2.0, 4.0, 5.0, 7.0, 9.0, 11.0];
const MINOR: [f64; 7] = [0.0, 2.0, 3.0, 5.0, 7.0, 9.0, 10.0];

/// The pitch of a degree of a scale, a few cents off as players are.
fn degree(root: f64, scale: &[f64; 7], step: i32, rng: &mut Rng) -> f64 {
    let octave = f64::from(step.div_euclid(7)) * 12.0;
    note(root + octave + scale[step.rem_euclid(7) as usize] + rng.range(-0.09, 0.09))
}

/// A random walk over the degrees of a scale, with leaps now and then.
fn walk(step: &mut i32, low: i32, high: i32, rng: &mut Rng) -> i32 {
    *step += rng.pick(&[-4, -2, -2, -1, -1, 1, 1, 2, 2, 3, 5]);
    if !(low..=high).contains(step) {
        *step = low + rng.below((high - low) as usize + 1) as i32;
    }
    *step
}

fn length(pcm: &Pcm) -> f64 {
    pcm.len() as f64 / f64::from(pcm.rate)
}

/// A singing line, with slides, vibrato and breaths.
fn melody(pcm: &mut Pcm, rng: &mut Rng, root: f64, scale: &[f64; 7], gain: f64, place: f64) {
    let (mut at, mut step) = (0.05, 4);
    while at < length(pcm) {
        let lasts = rng.pick(&[0.11, 0.15, 0.2, 0.26, 0.33, 0.45]) * rng.range(0.9, 1.12);
        let tone = Tone {
            harmonics: 9 + rng.below(5),
            tilt: rng.range(0.5, 1.1),
            decay: rng.range(0.5, 2.5),
            vibrato: (rng.range(4.8, 6.4), rng.range(10.0, 45.0)),
            glide: rng.range(-1.5, 1.0),
            shimmer: 0.5,
            ..Tone::default()
        };
        let pitch = degree(root, scale, walk(&mut step, -4, 12, rng), rng);
        let voice = tone.play(pcm.rate, pitch, lasts * rng.range(0.7, 1.0), rng);
        pcm.put(&voice, at, gain * rng.range(0.3, 0.55), place);
        at += lasts + if rng.chance(0.08) { rng.range(0.1, 0.3) } else { 0.0 };
    }
}

/// Chords whose notes enter one after another and are struck again apart.
fn chords(pcm: &mut Pcm, rng: &mut Rng, root: f64, gain: f64) {
    let mut at = 0.0;
    while at < length(pcm) {
        let lasts = rng.range(0.5, 1.6);
        let first = rng.below(9) as i32 - 3;
        let shape = rng.pick(&[[0, 2, 4, 7], [0, 2, 4, 6], [0, 3, 4, 8], [0, 4, 6, 9]]);
        for interval in shape {
            let mut from = rng.range(0.0, 0.12);
            let place = rng.range(-1.0, 1.0);
            while from < lasts {
                let held = rng.range(0.25, 0.9).min(lasts - from + 0.1);
                let tone = Tone {
                    harmonics: 12,
                    tilt: rng.range(0.5, 1.2),
                    attack: rng.range(0.02, 0.12),
                    release: 0.15,
                    decay: rng.range(0.4, 2.0),
                    vibrato: (rng.range(0.8, 5.0), rng.range(4.0, 14.0)),
                    shimmer: 0.8,
                    ..Tone::default()
                };
                let pitch = degree(root, &MAJOR, first + interval, rng);
                let voice = tone.play(pcm.rate, pitch, held, rng);
                pcm.put(&voice, at + from, gain * rng.range(0.15, 0.3), place);
                from += held;
            }
        }
        at += lasts;
    }
}

/// A kit: every bar has another pattern, every hit another sound.
fn drums(pcm: &mut Pcm, rng: &mut Rng, tempo: f64, gain: f64) {
    let rate = pcm.rate;
    let sixteenth = 15.0 / tempo;
    let mut at = 0.02;
    let mut slot = 0;
    while at < length(pcm) {
        let when = at + rng.range(-0.012, 0.012);
        let beat = slot % 4 == 0;
        if rng.chance(if slot % 8 == 0 { 0.9 } else { 0.18 }) {
            let voice = drop(rate, rng.range(140.0, 260.0), rng.range(44.0, 62.0), 28.0, 9.0);
            pcm.put(&voice, when, gain, 0.0);
            pcm.put_low(&voice, when, gain * 0.5);
        }
        if rng.chance(if slot % 8 == 4 { 0.9 } else { 0.1 }) {
            let body = drop(rate, rng.range(260.0, 420.0), rng.range(160.0, 220.0), 40.0, 18.0);
            let rattle = burst(rate, rng.range(1300.0, 3100.0), 1400.0, rng.range(12.0, 26.0), rng);
            pcm.put(&body, when, gain * 0.6, -0.1);
            pcm.put(&rattle, when, gain * rng.range(0.25, 0.5), -0.1);
        }
        if rng.chance(if slot % 2 == 0 { 0.8 } else { 0.4 }) {
            let hat = burst(rate, rng.range(2400.0, 8000.0), 1800.0, rng.range(18.0, 70.0), rng);
            pcm.put(&hat, when, gain * rng.range(0.12, 0.3), 0.5);
        }
        if rng.chance(if beat { 0.15 } else { 0.3 }) {
            let low = rng.range(150.0, 420.0);
            let tom = drop(rate, low * rng.range(1.2, 1.8), low, 20.0, rng.range(8.0, 16.0));
            pcm.put(&tom, when, gain * rng.range(0.3, 0.6), rng.range(-0.8, 0.8));
        }
        if rng.chance(0.35) {
            // A block or a cowbell: two partials out of tune with each other.
            let base = rng.range(500.0, 1900.0);
            for ratio in [1.0, rng.range(1.35, 1.75)] {
                let hit =
                    drop(rate, base * ratio * 1.02, base * ratio, 60.0, rng.range(14.0, 40.0));
                pcm.put(&hit, when, gain * rng.range(0.2, 0.4), -0.6);
            }
        }
        slot += 1;
        at += sixteenth;
    }
}

fn bass(pcm: &mut Pcm, rng: &mut Rng, root: f64, gain: f64) {
    let (mut at, mut step) = (0.03, 2);
    while at < length(pcm) {
        let lasts = rng.pick(&[0.12, 0.16, 0.24, 0.32, 0.42]) * rng.range(0.93, 1.08);
        let tone = Tone {
            harmonics: 30,
            tilt: rng.range(0.45, 0.9),
            attack: 0.005,
            release: 0.03,
            decay: rng.range(0.6, 1.6),
            glide: if rng.chance(0.3) { rng.range(-3.0, 3.0) } else { 0.0 },
            shimmer: 0.5,
            vibrato: (5.0, rng.range(0.0, 20.0)),
        };
        let pitch = degree(root, &MINOR, walk(&mut step, 0, 13, rng), rng);
        let voice = tone.play(pcm.rate, pitch, lasts * rng.range(0.6, 0.95), rng);
        pcm.put(&voice, at, gain * rng.range(0.4, 0.6), 0.0);
        if rng.chance(0.5) {
            let slap = burst(pcm.rate, rng.range(600.0, 3000.0), 300.0, 60.0, rng);
            pcm.put(&slap, at, gain * rng.range(0.1, 0.4), 0.0);
        }
        at += lasts;
    }
}

fn arpeggio(pcm: &mut Pcm, rng: &mut Rng, root: f64) {
    let (mut at, mut first, mut change) = (0.0, 0, 0.0);
    while at < length(pcm) {
        if at >= change {
            first = rng.below(7) as i32 - 2;
            change = at + rng.range(0.7, 1.5);
        }
        let tone = Tone {
            harmonics: 10,
            tilt: rng.range(0.8, 1.5),
            attack: 0.004,
            release: 0.15,
            decay: rng.range(3.0, 7.0),
            ..Tone::default()
        };
        let step = first + rng.pick(&[0, 2, 4, 6, 7, 9, 11, 14, 16]);
        let pitch = degree(root, &MINOR, step, rng);
        let voice = tone.play(pcm.rate, pitch, rng.range(0.12, 0.35), rng);
        pcm.put(&voice, at, rng.range(0.3, 0.6), rng.range(-0.7, 0.7));
        at += rng.range(0.085, 0.14);
    }
}

/// Noise that whooshes up and down, with chirps among it.
fn sweeps(pcm: &mut Pcm, rng: &mut Rng) {
    let mut at = 0.0;
    while at < length(pcm) {
        let (from, to) = (rng.range(5.3, 8.1).exp(), rng.range(5.3, 8.1).exp());
        let lasts = rng.range(0.15, 0.7);
        let voice = sweep(pcm.rate, from, to, lasts, rng.range(20.0, 120.0), rng);
        pcm.put(&voice, at, rng.range(0.3, 0.6), 0.0);
        for _ in 0..2 {
            let low = rng.range(5.3, 8.0).exp();
            let chirp = grain(pcm.rate, low, low * rng.range(0.6, 1.6), rng.range(0.05, 0.2));
            pcm.put(&chirp, at + rng.range(0.0, 0.2), rng.range(0.2, 0.5), 0.0);
        }
        at += rng.range(0.08, 0.24);
    }
}

/// Someone talking in no language: pulses of a voice through a mouth that
/// moves, with hisses and pops between the syllables.
fn speech(pcm: &mut Pcm, rng: &mut Rng) {
    const VOWELS: [[f64; 4]; 9] = [
        [280.0, 2250.0, 2890.0, 3500.0],
        [400.0, 1920.0, 2560.0, 3500.0],
        [550.0, 1770.0, 2490.0, 3450.0],
        [690.0, 1660.0, 2490.0, 3400.0],
        [710.0, 1100.0, 2540.0, 3350.0],
        [590.0, 880.0, 2540.0, 3300.0],
        [450.0, 1030.0, 2380.0, 3300.0],
        [310.0, 870.0, 2250.0, 3250.0],
        [500.0, 1500.0, 1700.0, 3300.0],
    ];
    const WIDTHS: [f64; 4] = [60.0, 80.0, 110.0, 160.0];
    let fs = f64::from(pcm.rate);
    let mut mouth = vec![Resonator::default(); 4];
    let (mut now, mut phase, mut at) = (VOWELS[4], 0.0, 0.1);
    while at < length(pcm) {
        let (mut pitch, slope) = (rng.range(125.0, 215.0), rng.range(0.93, 1.0));
        for _ in 0..3 + rng.below(6) {
            if rng.chance(0.45) {
                let hiss = rng.range(1800.0, 6000.0);
                let voice = burst(pcm.rate, hiss, 900.0, rng.range(25.0, 120.0), rng);
                pcm.put(&voice, at, rng.range(0.05, 0.2), 0.0);
                at += rng.range(0.03, 0.08);
            }
            let target: Vec<f64> =
                rng.pick(&VOWELS).iter().map(|f| f * rng.range(0.93, 1.09)).collect();
            let len = (rng.range(0.09, 0.24) * fs) as usize;
            let (loud, bend) = (rng.range(0.5, 1.0), rng.range(0.88, 1.15));
            let mut voice = Vec::with_capacity(len);
            for i in 0..len {
                let part = i as f64 / len as f64;
                if i % 16 == 0 {
                    for (k, formant) in mouth.iter_mut().enumerate() {
                        now[k] += (target[k] - now[k]) * (16.0 / (0.035 * fs));
                        formant.tune(fs, now[k].min(0.45 * fs), WIDTHS[k]);
                    }
                }
                phase += pitch * bend.powf(part) * rng.range(0.995, 1.005) / fs;
                phase %= 1.0;
                // The slope of the flow: opening slowly, shutting at once.
                let flow = if phase < 0.6 { phase * 0.7 } else { (phase - 1.0) * 0.8 };
                let source = flow + rng.noise() * 0.015;
                let open = (part / 0.15).min((1.0 - part) / 0.2).min(1.0);
                voice.push(mouth.iter_mut().fold(source * open, |x, r| r.next(x)) * loud);
            }
            pcm.put(&voice, at, 0.5, 0.0);
            at += len as f64 / fs;
            pitch *= slope * rng.range(0.95, 1.06);
        }
        at += rng.range(0.08, 0.4);
    }
}

fn bells(pcm: &mut Pcm, rng: &mut Rng, root: f64) {
    let (mut at, mut step) = (0.05, 0);
    while at < length(pcm) {
        for _ in 0..1 + rng.below(2) {
            let pitch = degree(root, &MAJOR, walk(&mut step, -7, 11, rng), rng);
            let voice = bell(pcm.rate, pitch, rng.range(0.5, 1.8), rng);
            pcm.put(&voice, at + rng.range(0.0, 0.05), rng.range(0.2, 0.5), rng.range(-0.9, 0.9));
        }
        at += rng.pick(&[0.11, 0.16, 0.22, 0.31, 0.4]) * rng.range(0.9, 1.1);
    }
}

fn plucked(pcm: &mut Pcm, rng: &mut Rng, root: f64, gain: f64) {
    let (mut at, mut step) = (0.04, 3);
    while at < length(pcm) {
        let strum = if rng.chance(0.2) { 3 } else { 1 };
        for i in 0..strum {
            let pitch = degree(root, &MAJOR, walk(&mut step, -2, 15, rng), rng);
            let voice = pluck(pcm.rate, pitch, rng.range(0.4, 1.1), rng.range(0.35, 0.9), rng);
            let when = at + f64::from(i) * rng.range(0.012, 0.03);
            pcm.put(&voice, when, gain * rng.range(0.4, 0.8), rng.range(-0.4, 0.4));
        }
        at += rng.pick(&[0.1, 0.14, 0.19, 0.25, 0.36]) * rng.range(0.92, 1.1);
    }
}

/// Slow waves that cross, each made of partials that come, move and go.
fn drone(pcm: &mut Pcm, rng: &mut Rng) {
    let total = length(pcm);
    for voice in 0..22 {
        // Each partial has its own region to roam.
        let (low, high) = if voice < 4 { (4.6, 5.6) } else { (5.2, 8.0) };
        let mut at = -rng.range(0.0, 0.6);
        let mut freq: f64 = rng.range(low, high);
        while at < total {
            let lasts = if voice < 4 { rng.range(0.9, 2.2) } else { rng.range(0.25, 0.9) };
            let next = (freq + rng.range(-0.09, 0.09)).clamp(low, high);
            let swell = grain(pcm.rate, freq.exp(), next.exp(), lasts);
            pcm.put(&swell, at.max(0.0), rng.range(0.1, 0.5) * (6.6 - freq / 2.0) / 3.0, 0.0);
            freq = if rng.chance(0.5) { rng.range(low, high) } else { next };
            at += lasts * rng.range(0.6, 1.3);
        }
    }
}

/// Three in a bar: a low note and two chords, a tune above, and percussion,
/// spread round the listener.
fn waltz(pcm: &mut Pcm, rng: &mut Rng, root: f64) {
    let rate = pcm.rate;
    let (mut at, mut step) = (0.05, 7);
    while at < length(pcm) {
        let beat = rng.range(0.33, 0.4);
        let first = rng.below(7) as i32 - 3;
        let low = degree(root - 24.0, &MAJOR, first, rng);
        let string = Tone { harmonics: 24, tilt: 0.8, decay: 2.0, ..Tone::default() };
        pcm.put(&string.play(rate, low, beat * 0.9, rng), at, 0.5, 0.0);
        pcm.put_low(&drop(rate, 120.0, rng.range(45.0, 60.0), 30.0, 9.0), at, 0.5);
        for stroke in 1..3 {
            let when = at + beat * f64::from(stroke) + rng.range(-0.015, 0.015);
            for interval in [0, 2, rng.pick(&[4, 5, 6])] {
                let pitch = degree(root, &MAJOR, first + interval, rng);
                let reed = Tone { tilt: 0.7, decay: rng.range(3.0, 6.0), ..Tone::default() };
                pcm.put(&reed.play(rate, pitch, 0.18, rng), when, 0.2, 1.0);
            }
            let brush = burst(rate, rng.range(2000.0, 5000.0), 1500.0, 25.0, rng);
            pcm.put(&brush, when, rng.range(0.1, 0.25), if stroke == 1 { -2.0 } else { 2.0 });
        }
        // The tune takes its own time over the bar.
        let (mut from, end) = (rng.range(-0.02, 0.03), beat * 3.0);
        while from < end - 0.08 {
            let lasts = rng.range(0.12, 0.5).min(end - from);
            let pitch = degree(root, &MAJOR, walk(&mut step, 3, 15, rng), rng);
            let tone = Tone {
                tilt: rng.range(0.6, 1.1),
                vibrato: (5.8, rng.range(10.0, 35.0)),
                glide: rng.range(-0.8, 0.8),
                shimmer: 0.4,
                ..Tone::default()
            };
            let voice = tone.play(rate, pitch, lasts * 0.9, rng);
            pcm.put(&voice, at + from, rng.range(0.3, 0.5), -1.0);
            from += lasts;
        }
        at += end;
    }
}
