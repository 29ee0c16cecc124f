//! Windowed sincs by Kaiser's formulae (J. F. Kaiser, "Nonrecursive digital filter design using the
//! I0-sinh window function", 1974).

use std::f64::consts::PI;

/// The length, in samples, of a filter with this stopband attenuation (and, as it is symmetric,
/// passband ripple) whose slope is `transition` wide, as a fraction of the rate.
pub fn length(attenuation_db: f64, transition: f64) -> f64 {
    (attenuation_db - 7.95) / (2.285 * 2.0 * PI * transition)
}

/// The prototype at a time from its middle, in samples, where it ends at ± `half` and cuts off at
/// `cutoff` half-cycles per sample. Up to a factor.
pub fn windowed_sinc(attenuation_db: f64, time: f64, cutoff: f64, half: f64) -> f64 {
    let beta = 0.1102 * (attenuation_db - 8.7);
    sinc(cutoff * time) * window(beta, time / half)
}

/// sin(πx) / πx.
fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The window over −1 to 1, up to a factor: 0 outside.
fn window(beta: f64, x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel_i0(beta * (1.0 - x * x).sqrt()) }
}

/// The modified Bessel function of the first kind and order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-10 * sum {
        term *= 0.25 * x * x / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}
