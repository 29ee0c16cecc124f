//! Tracks in any number: a few pieces of music, and what comes of them at other tempos and pitches.
//!
//! A piece is three layers of [`music`]. It then has about 43 peaks and 85 landmarks a second, as many as
//! recorded music.

use crate::common::{Clip, in_parallel, music, rng};
use earmark::peaks::{Peak, STEPS};
use earmark::units::{BinSteps, TimeSteps};
use earmark::{Config, Fingerprint, Fingerprinter, Query, SampleRate};

/// Length of a piece.
pub const PIECE_S: f32 = 200.0;
const LAYERS: u64 = 3;
const CLIP_S: f32 = 5.0;
/// Clips of each kind, at most.
const CLIPS: u64 = 20;
/// SNR of every other clear clip, and of noisy ones.
const CLEAR_DB: f32 = 10.0;
const NOISY_DB: f32 = -10.0;
/// Seeds of absent music begin here.
const STRANGERS: u64 = 1 << 32;
/// Tempo and pitch of a moved piece, as ratios to its own.
const LEAST_RATIO: f64 = 0.8;
const MOST_RATIO: f64 = 1.25;
/// No ratio is nearer to 1 than this: a clip then goes with its piece alone.
const LEAST_CHANGE: f64 = 0.03;
/// What the 64 bits of a sub-fingerprint reach over, in octaves: 300 to 3,400 Hz.
const BANDS_OCTAVES: f64 = 3.502_5;

/// Pieces, and clips of 5 s.
pub struct Pieces {
    config: Config,
    fingerprints: Vec<Fingerprint>,
    /// As they are, or with noise at an SNR of 10 dB.
    pub clear: Vec<Clip>,
    /// With noise at an SNR of −10 dB.
    pub noisy: Vec<Clip>,
    /// Of no piece.
    pub absent: Vec<Query>,
}

impl Pieces {
    pub fn new(pieces: u64) -> Self {
        let rate = SampleRate::default();
        let config = Config::default();
        let made = in_parallel(0..pieces, |seed| {
            let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
            let piece = layered(PIECE_S, seed);
            let fingerprint = fingerprinter.fingerprint(&piece, rate).unwrap();
            let clips = (seed < CLIPS).then(|| {
                let samples = (CLIP_S * rate.hz() as f32) as usize;
                // Some odd sample.
                let start = 131_234 + 20_977 * seed as usize;
                let clip = &piece[start..start + samples];
                let mut with_noise = |snr_db: f32| {
                    let clip = noisy(clip, snr_db, seed);
                    let query = fingerprinter.query(&clip, rate).unwrap();
                    Clip { query, track: name(seed), start_s: rate.seconds(start as u64) }
                };
                let clear_db = if seed % 2 == 0 { f32::INFINITY } else { CLEAR_DB };
                (with_noise(clear_db), with_noise(NOISY_DB))
            });
            let stranger = layered(CLIP_S, STRANGERS + seed);
            (fingerprint, clips, fingerprinter.query(&stranger, rate).unwrap())
        });
        let mut pieces = Self {
            config: config.clone(),
            fingerprints: Vec::new(),
            clear: Vec::new(),
            noisy: Vec::new(),
            absent: Vec::new(),
        };
        for (fingerprint, clips, stranger) in made {
            pieces.fingerprints.push(fingerprint);
            if let Some((clear, noisy)) = clips {
                pieces.clear.push(clear);
                pieces.noisy.push(noisy);
                pieces.absent.push(stranger);
            }
        }
        pieces
    }

    /// Peaks and landmarks for each second of the pieces.
    pub fn density(&self) -> [f64; 2] {
        let sum = |of: fn(&Fingerprint) -> f64| self.fingerprints.iter().map(of).sum::<f64>();
        let duration_s = sum(Fingerprint::duration_s);
        [sum(|f| f.peaks().len() as f64), sum(|f| f.landmarks().len() as f64)]
            .map(|count| count / duration_s)
    }

    /// The fingerprint of any track: of a piece, or beyond these, of one that is moved.
    pub fn track(&self, number: u64) -> Fingerprint {
        let pieces = self.fingerprints.len() as u64;
        let piece = &self.fingerprints[(number % pieces) as usize];
        if number < pieces { piece.clone() } else { self.moved(piece, number) }
    }

    /// A piece at another tempo and another pitch.
    fn moved(&self, piece: &Fingerprint, seed: u64) -> Fingerprint {
        let mut random = rng(seed);
        let mut ratio = || {
            loop {
                let ratio = LEAST_RATIO + (MOST_RATIO - LEAST_RATIO) * f64::from(random());
                if (ratio - 1.0).abs() > LEAST_CHANGE {
                    return ratio;
                }
            }
        };
        // Times are multiplied, and frequencies.
        let (stretch, pitch) = (ratio(), ratio());
        let steps = f64::from(STEPS);
        let first = self.config.stft.first_bin() as f64 * steps;
        let end = self.config.stft.bins() as f64 * steps - 1.0;
        let peak = |peak: &Peak| {
            let bin = (f64::from(peak.bin.0) + first) * pitch - first;
            (0.0..end).contains(&bin).then(|| Peak {
                time: TimeSteps((f64::from(peak.time.0) * stretch) as u32),
                bin: BinSteps(bin as u16),
                phase: (256.0 * random()) as u8,
                ..*peak
            })
        };
        let peaks = piece.peaks().iter().filter_map(peak).collect();
        let words = piece.sub_fingerprints();
        let bits = (pitch.log2() / BANDS_OCTAVES * f64::from(u64::BITS)).round() as i32;
        let word = |i: usize| words[((i as f64 / stretch) as usize).min(words.len() - 1)];
        let words = (0..(words.len() as f64 * stretch) as usize)
            .map(|i| word(i).rotate_left(bits.rem_euclid(64) as u32))
            .collect();
        Fingerprint::from_parts(peaks, words, piece.duration_s() * stretch, &self.config)
    }
}

/// The name of a track.
pub fn name(number: u64) -> String {
    format!("track {number}")
}

/// Several voices of [`music`] at once.
fn layered(seconds: f32, seed: u64) -> Vec<f32> {
    let hz = SampleRate::default().hz();
    let mut sum = music(seconds, hz, LAYERS * seed);
    for layer in 1..LAYERS {
        for (sum, x) in sum.iter_mut().zip(music(seconds, hz, LAYERS * seed + layer)) {
            *sum += x;
        }
    }
    sum
}

/// Adds white noise. An SNR of infinity adds none.
fn noisy(clip: &[f32], snr_db: f32, seed: u64) -> Vec<f32> {
    let mut random = rng(STRANGERS + seed);
    let power = clip.iter().map(|x| x * x).sum::<f32>() / clip.len() as f32;
    // Numbers from −½ to ½ have a power of 1/12.
    let amplitude = (12.0 * power).sqrt() * 10f32.powf(-snr_db / 20.0);
    clip.iter().map(|x| x + amplitude * (random() - 0.5)).collect()
}
