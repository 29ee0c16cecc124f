//! Signals for the unit tests.

/// A reproducible source of numbers in 0..1 (xorshift).
pub fn rng(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// White noise in −0.5..0.5.
pub fn noise(samples: usize, seed: u64) -> Vec<f32> {
    let mut random = rng(seed);
    (0..samples).map(|_| random() - 0.5).collect()
}

/// Something like music at 8 kHz: notes of a few harmonics that start at random moments, with a
/// little noise.
pub fn music(seconds: f32, seed: u64) -> Vec<f32> {
    let mut random = rng(seed);
    let n = (seconds * 8000.0) as usize;
    let mut out: Vec<f32> = noise(n, seed + 1).iter().map(|x| 0.002 * x).collect();
    let notes = (seconds * 8.0) as usize;
    for _ in 0..notes {
        let start = (random() * n as f32) as usize;
        let length = (1200.0 + 4000.0 * random()) as usize;
        let f0 = 110.0 * 2f32.powf((random() * 36.0).floor() / 12.0);
        for harmonic in 1..=6 {
            let f = f0 * harmonic as f32;
            if f > 3500.0 {
                break;
            }
            let amplitude = 0.1 * (0.3 + random()) / harmonic as f32;
            for (i, x) in out.iter_mut().skip(start).take(length).enumerate() {
                let t = i as f32 / 8000.0;
                let envelope = (t / 0.01).min(1.0) * (-3.0 * t).exp();
                *x += amplitude * envelope * (std::f32::consts::TAU * f * t).sin();
            }
        }
    }
    out
}
