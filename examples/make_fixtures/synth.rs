//! Sound from nothing: a seeded generator of random numbers, a block of
//! samples to place voices in, and the voices themselves.

use std::f64::consts::TAU;

/// SplitMix64: small, and the same on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x00EA_12AA_4BAD_CAFE)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in -1..1: one sample of white noise.
    pub fn noise(&mut self) -> f64 {
        self.range(-1.0, 1.0)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// Samples in -1..1, one vector per channel, all of the same length.
///
/// Six channels are in the WAV order: front left, front right, centre, low
/// frequencies, rear left, rear right.
#[derive(Clone)]
pub struct Pcm {
    pub rate: u32,
    pub channels: Vec<Vec<f64>>,
}

impl Pcm {
    pub fn silence(rate: u32, channels: usize, seconds: f64) -> Self {
        let len = (seconds * f64::from(rate)).round() as usize;
        Pcm { rate, channels: vec![vec![0.0; len]; channels] }
    }

    pub fn mono(rate: u32, samples: Vec<f64>) -> Self {
        Pcm { rate, channels: vec![samples] }
    }

    pub fn len(&self) -> usize {
        self.channels[0].len()
    }

    /// The mean of the channels.
    pub fn mixdown(&self) -> Vec<f64> {
        let scale = 1.0 / self.channels.len() as f64;
        (0..self.len()).map(|i| self.channels.iter().map(|c| c[i]).sum::<f64>() * scale).collect()
    }

    /// Adds a voice. `place` walks round the room: -1 left, 0 centre, 1
    /// right, and with six channels -2 rear left and 2 rear right.
    pub fn put(&mut self, voice: &[f64], at: f64, gain: f64, place: f64) {
        let (order, span): (&[usize], f64) = match self.channels.len() {
            1 => (&[0], 0.0),
            2 => (&[0, 1], 1.0),
            _ => (&[4, 0, 2, 1, 5], 2.0),
        };
        if order.len() == 1 {
            return self.put_in(0, voice, at, gain);
        }
        let steps = (order.len() - 1) as f64;
        let position = (place.clamp(-span, span) + span) / (2.0 * span) * steps;
        let first = (position as usize).min(order.len() - 2);
        let angle = (position - first as f64) * TAU / 4.0;
        self.put_in(order[first], voice, at, gain * angle.cos());
        self.put_in(order[first + 1], voice, at, gain * angle.sin());
    }

    /// Adds a voice to the low-frequency channel, if there is one.
    pub fn put_low(&mut self, voice: &[f64], at: f64, gain: f64) {
        if self.channels.len() == 6 {
            self.put_in(3, voice, at, gain);
        }
    }

    fn put_in(&mut self, channel: usize, voice: &[f64], at: f64, gain: f64) {
        if gain.abs() < 1e-6 {
            return;
        }
        let start = (at * f64::from(self.rate)).max(0.0) as usize;
        let target = self.channels[channel].iter_mut().skip(start);
        target.zip(voice).for_each(|(t, v)| *t += gain * v);
    }

    /// Finishes a piece: soft limiting, short fades, a peak of -3 dB.
    pub fn master(&mut self) {
        let mut sizes: Vec<f64> = self.channels.iter().flatten().map(|x| x.abs()).collect();
        let high = sizes.len() * 995 / 1000;
        let (_, loud, _) = sizes.select_nth_unstable_by(high, f64::total_cmp);
        let drive = 0.8 / loud.max(1e-9);
        let (fade_in, fade_out) = (f64::from(self.rate) * 0.02, f64::from(self.rate) * 0.25);
        for channel in &mut self.channels {
            let len = channel.len();
            for (i, x) in channel.iter_mut().enumerate() {
                let edge = (i as f64 / fade_in).min((len - i) as f64 / fade_out).min(1.0);
                *x = (*x * drive).tanh() * edge;
            }
        }
        self.set_peak(0.707);
    }

    pub fn set_peak(&mut self, peak: f64) {
        let now = self.channels.iter().flatten().fold(0.0f64, |m, x| m.max(x.abs()));
        let scale = peak / now.max(1e-12);
        self.channels.iter_mut().flatten().for_each(|x| *x *= scale);
    }

    /// Rounds to so many bits, which makes lossless files smaller.
    pub fn coarsen(&mut self, bits: u32) {
        let steps = f64::from(1u32 << (bits - 1));
        self.channels.iter_mut().flatten().for_each(|x| *x = (*x * steps).round() / steps);
    }
}

/// The frequency of a MIDI note, fractions allowed.
pub fn note(midi: f64) -> f64 {
    440.0 * 2f64.powf((midi - 69.0) / 12.0)
}

/// A sum of harmonics that age, waver and glide.
pub struct Tone {
    pub harmonics: usize,
    /// Harmonic `k` starts at `k` to the power of minus this.
    pub tilt: f64,
    pub attack: f64,
    pub release: f64,
    /// Nepers per second lost by the fundamental; the others lose more.
    pub decay: f64,
    /// Hertz and cents.
    pub vibrato: (f64, f64),
    /// Semitones away from the pitch at which the note begins.
    pub glide: f64,
    /// How much each harmonic swells on its own, 0..1.
    pub shimmer: f64,
}

impl Default for Tone {
    fn default() -> Self {
        Tone {
            harmonics: 10,
            tilt: 1.0,
            attack: 0.015,
            release: 0.06,
            decay: 1.0,
            vibrato: (5.5, 0.0),
            glide: 0.0,
            shimmer: 0.2,
        }
    }
}

impl Tone {
    pub fn play(&self, rate: u32, freq: f64, seconds: f64, rng: &mut Rng) -> Vec<f64> {
        const BLOCK: usize = 16;
        let rate = f64::from(rate);
        let count = ((0.45 * rate / (freq * 1.06)) as usize).clamp(1, self.harmonics);
        let swell: Vec<_> =
            (0..count).map(|_| (rng.range(1.5, 6.0), rng.range(0.0, TAU))).collect();
        let mut levels = vec![0.0; count];
        let mut phase = rng.range(0.0, TAU);
        let len = ((seconds + self.release) * rate) as usize;
        let mut out = Vec::with_capacity(len);
        for i in 0..len {
            let t = i as f64 / rate;
            if i % BLOCK == 0 {
                for (k, level) in levels.iter_mut().enumerate() {
                    let n = (k + 1) as f64;
                    let (hertz, start) = swell[k];
                    let waver = 1.0 + self.shimmer * (TAU * hertz * t + start).sin();
                    let age = (-self.decay * (1.0 + 0.25 * k as f64) * t).exp();
                    *level = n.powf(-self.tilt) * waver * age;
                }
            }
            let onset = (t / 0.25).min(1.0);
            let cents = self.vibrato.1 * onset * (TAU * self.vibrato.0 * t).sin();
            let semitones = self.glide * (-t / 0.04).exp() + cents / 100.0;
            phase += TAU * freq * 2f64.powf(semitones / 12.0) / rate;
            // sin(k x) from the two before it.
            let twice = 2.0 * phase.cos();
            let (mut before, mut now, mut sum) = (0.0, phase.sin(), 0.0);
            for level in &levels {
                sum += level * now;
                (before, now) = (now, twice * now - before);
            }
            let fade = ((seconds + self.release - t) / self.release).clamp(0.0, 1.0);
            out.push(sum * (t / self.attack).min(1.0) * fade);
        }
        out
    }
}

/// A two-pole resonance whose frequency may be moved at any time.
#[derive(Clone, Default)]
pub struct Resonator {
    a: f64,
    b: f64,
    c: f64,
    last: (f64, f64),
}

impl Resonator {
    /// Unity gain at zero frequency, as formant synthesisers have it.
    pub fn tune(&mut self, rate: f64, freq: f64, width: f64) {
        let radius = (-TAU / 2.0 * width / rate).exp();
        self.c = -radius * radius;
        self.b = 2.0 * radius * (TAU * freq / rate).cos();
        self.a = 1.0 - self.b - self.c;
    }

    /// Roughly unity gain at the resonance.
    pub fn tune_peak(&mut self, rate: f64, freq: f64, width: f64) {
        self.tune(rate, freq, width);
        self.a = (1.0 + self.c) * (TAU * freq / rate).sin().abs();
    }

    pub fn next(&mut self, input: f64) -> f64 {
        let out = self.a * input + self.b * self.last.0 + self.c * self.last.1;
        self.last = (out, self.last.0);
        out
    }
}

/// Noise through a resonance that moves from one frequency to another.
pub fn sweep(rate: u32, from: f64, to: f64, seconds: f64, width: f64, rng: &mut Rng) -> Vec<f64> {
    let fs = f64::from(rate);
    let len = (seconds * fs) as usize;
    let mut pair = [Resonator::default(), Resonator::default()];
    let curve = rng.range(0.6, 1.7);
    (0..len)
        .map(|i| {
            let part = i as f64 / len as f64;
            if i % 16 == 0 {
                let freq = (from * (to / from).powf(part.powf(curve))).min(0.45 * fs);
                pair.iter_mut().for_each(|r| r.tune_peak(fs, freq, width));
            }
            let filtered = pair.iter_mut().fold(rng.noise(), |x, r| r.next(x));
            filtered * (TAU / 2.0 * part).sin().sqrt() * (fs / width).sqrt() * 0.5
        })
        .collect()
}

/// A burst of coloured noise, dying away at so many nepers a second.
pub fn burst(rate: u32, freq: f64, width: f64, decay: f64, rng: &mut Rng) -> Vec<f64> {
    let fs = f64::from(rate);
    let mut resonator = Resonator::default();
    resonator.tune_peak(fs, freq.min(0.45 * fs), width);
    let gain = (fs / width).sqrt().min(8.0);
    let len = (6.0 / decay * fs) as usize;
    let fade = |i: usize| (-decay * i as f64 / fs).exp();
    (0..len).map(|i| resonator.next(rng.noise()) * fade(i) * gain).collect()
}

/// A sine that falls from one pitch to another: a kick or a tom.
pub fn drop(rate: u32, from: f64, to: f64, fall: f64, decay: f64) -> Vec<f64> {
    let fs = f64::from(rate);
    let mut phase = 0.0;
    (0..(6.0 / decay * fs) as usize)
        .map(|i| {
            let t = i as f64 / fs;
            phase += TAU * (to + (from - to) * (-t * fall).exp()) / fs;
            f64::sin(phase) * (-decay * t).exp() * (t / 0.001).min(1.0)
        })
        .collect()
}

/// A plucked string after Karplus and Strong, tuned by an all-pass.
pub fn pluck(rate: u32, freq: f64, seconds: f64, bright: f64, rng: &mut Rng) -> Vec<f64> {
    let fs = f64::from(rate);
    let period = fs / freq - 0.5;
    let len = (period as usize).max(2);
    let rest = period - len as f64;
    let tuning = (1.0 - rest) / (1.0 + rest);
    // The pick: noise, dulled, and combed by where the string is struck.
    let mut dull = 0.0;
    let noise: Vec<f64> = (0..len)
        .map(|_| {
            dull += bright * (rng.noise() - dull);
            dull
        })
        .collect();
    let place = ((len as f64 * rng.range(0.1, 0.4)) as usize).max(1);
    let mut line: Vec<f64> = (0..len).map(|i| noise[i] - noise[(i + len - place) % len]).collect();
    let loss = 0.001f64.powf(1.0 / (freq * seconds.max(0.1) * 1.6));
    let (mut last, mut passed) = ((0.0, 0.0), 0.0);
    let total = (seconds * fs) as usize;
    (0..total)
        .map(|i| {
            let out = line[i % len];
            let damped = loss * 0.5 * (out + last.0);
            passed = tuning * (damped - passed) + last.1;
            last = (out, damped);
            line[i % len] = passed;
            out * ((total - i) as f64 / (0.03 * fs)).min(1.0)
        })
        .collect()
}

/// A bell: one sine bending another, less and less, with two partials above.
pub fn bell(rate: u32, freq: f64, seconds: f64, rng: &mut Rng) -> Vec<f64> {
    let fs = f64::from(rate);
    let ratio = rng.pick(&[1.41, 2.76, 3.5, 0.71, 2.4]) * rng.range(0.995, 1.005);
    let depth = rng.range(1.0, 3.5);
    let decay = 5.0 / seconds;
    let partials: Vec<_> = [2.76, 5.4]
        .iter()
        .map(|p| (p * freq * rng.range(0.99, 1.01), rng.range(0.15, 0.4)))
        .filter(|(f, _)| *f < 0.45 * fs)
        .collect();
    (0..(seconds * fs) as usize)
        .map(|i| {
            let t = i as f64 / fs;
            let bend = depth * (-2.0 * decay * t).exp() * (TAU * freq * ratio * t).sin();
            let mut out = (TAU * freq * t + bend).sin() * (-decay * t).exp();
            for (k, (partial, level)) in partials.iter().enumerate() {
                let age = (-decay * (2.0 + k as f64) * t).exp();
                out += level * age * (TAU * partial * t).sin();
            }
            out * (t / 0.002).min(1.0)
        })
        .collect()
}

/// A sine gliding from one frequency to another under a round envelope.
pub fn grain(rate: u32, from: f64, to: f64, seconds: f64) -> Vec<f64> {
    let fs = f64::from(rate);
    let len = (seconds * fs) as usize;
    let mut phase = 0.0;
    (0..len)
        .map(|i| {
            let part = i as f64 / len as f64;
            phase += TAU * from * (to / from).powf(part) / fs;
            f64::sin(phase) * (TAU / 2.0 * part).sin().powi(2)
        })
        .collect()
}
