//! Rooms: the sound itself, and its echo.

use crate::rng::Rng;
use crate::spectral::{RATE, gain};

/// A room as it is heard from one place.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Time in which the echo falls by 60 dB.
    pub rt60_s: f64,
    /// Energy of the sound itself over that of its echo.
    pub direct_db: f64,
}

impl Room {
    /// A living room, an office.
    pub fn small(rng: &mut Rng) -> Self {
        Self { rt60_s: rng.between(0.25, 0.8), direct_db: rng.between(-2.0, 6.0) }
    }

    /// A concert hall, a church.
    pub fn hall(rng: &mut Rng) -> Self {
        Self { rt60_s: rng.between(1.5, 3.0), direct_db: rng.between(-4.0, 3.0) }
    }

    /// The impulse response: 1, and after a moment noise that dies away.
    pub fn response(&self, rng: &mut Rng) -> Vec<f32> {
        let rate = f64::from(RATE);
        let decay = -(1000f64.ln()) / (self.rt60_s * rate);
        let first = (rng.between(0.002, 0.02) * rate) as usize;
        let mut echo: Vec<f64> = (0..(self.rt60_s * rate) as usize)
            .map(|i| if i < first { 0.0 } else { rng.normal() * (decay * i as f64).exp() })
            .collect();
        let energy: f64 = echo.iter().map(|x| x * x).sum();
        let scale = gain(-self.direct_db) / energy.max(1e-30).sqrt();
        echo.iter_mut().for_each(|x| *x *= scale);
        echo[0] = 1.0;
        echo.into_iter().map(|x| x as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_the_energy_and_the_decay_asked_for() {
        for (rt60_s, direct_db) in [(0.3, -2.0), (0.8, 6.0), (2.5, 0.0)] {
            let response = Room { rt60_s, direct_db }.response(&mut Rng::new(9));
            let energy = |part: &[f32]| part.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            let found = -10.0 * energy(&response[1..]).log10();
            assert_eq!(response[0], 1.0);
            assert!((found - direct_db).abs() < 0.1, "{found}");
            // By half of its time the echo has fallen by 30 dB.
            let n = response.len();
            let fallen =
                10.0 * (energy(&response[n / 4..n / 2]) / energy(&response[3 * n / 4..])).log10();
            assert!((fallen - 30.0).abs() < 1.5, "{fallen}");
        }
    }
}
