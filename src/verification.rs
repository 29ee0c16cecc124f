//! The second stage: are a reference's peaks where the clip's spectrogram has local maxima?
//!
//! Votes of landmarks find candidates, but a landmark survives only if both its peaks do, at the
//! exact place. This stage asks more gently. A [`LevelMap`] says of each cell of the clip's
//! spectrogram how prominent it is: the largest of nested neighbourhoods in which it is the maximum,
//! or failing that, the same of its best direct neighbour. Laid on the map at a candidate's
//! alignment, each of the reference's peaks reads one such level, and a table says how much more
//! likely that level is under a true alignment than by chance. The sum of these log-likelihood
//! ratios is the evidence.
//!
//! What chance would give is known from the map itself: for each bin, the levels that a peak would
//! read there at a random time. Mean, variance and skewness of the sum follow, and from these the
//! probability that chance reaches the evidence (a shifted gamma distribution).

use crate::peaks::{Peak, STEPS, greater, sliding_max};

/// Half-sizes, in frames and bins, of the nested neighbourhoods.
const NEIGHBOURHOODS: [(usize, usize); 8] =
    [(1, 1), (1, 2), (2, 3), (2, 5), (3, 8), (3, 12), (4, 18), (6, 25)];

/// Levels of a cell: 0 to 8, that of its best neighbour; 9 to 16, its own.
const CODES: usize = 2 * NEIGHBOURHOODS.len() + 1;
/// Classes of reference peaks by contrast: from 6 dB up, in steps of 4 dB.
const CLASSES: usize = 8;

/// Log-likelihood ratio, in nats, of reading a level (column) under a peak of a contrast class
/// (row): learnt from 300 clips with noise, reverberation, codecs and band limits, none of which is
/// part of the reported figures.
#[allow(clippy::approx_constant)] // One of them happens to look like π.
const LOG_LIKELIHOOD_RATIO: [[f32; CODES]; CLASSES] = [
    [
        -0.84, -0.65, -0.19, 0.26, 0.40, 1.24, 1.53, 1.30, 0.60, 0.25, 0.69, 1.74, 2.45, 3.60,
        3.90, 3.78, 3.46,
    ],
    [
        -0.92, -0.60, -0.28, 0.10, 0.51, 0.93, 1.37, 1.30, 1.26, -0.48, 0.85, 1.34, 1.96, 3.14,
        3.75, 3.97, 3.84,
    ],
    [
        -1.13, -1.31, -0.59, -0.36, 0.18, 0.62, 1.26, 1.54, 1.58, -0.20, 0.68, 1.07, 2.06, 2.78,
        3.77, 4.03, 4.09,
    ],
    [
        -1.28, -1.46, -0.85, -0.83, -0.02, 0.25, 1.26, 1.53, 1.82, -0.49, 0.84, 0.93, 1.92, 2.50,
        3.55, 3.99, 4.29,
    ],
    [
        -1.42, -1.85, -1.00, -1.07, -0.38, -0.11, 0.96, 1.50, 1.97, -0.58, 0.42, 0.78, 1.63, 2.26,
        3.42, 3.93, 4.47,
    ],
    [
        -1.52, -1.87, -1.20, -1.60, -0.37, -0.39, 0.59, 1.50, 2.06, -0.62, 0.36, 0.14, 1.17, 1.62,
        3.04, 3.78, 4.61,
    ],
    [
        -1.50, -2.27, -1.57, -2.49, -0.81, -0.51, 0.57, 1.32, 2.13, -1.81, 0.24, -1.60, 0.92, 1.15,
        2.71, 3.48, 4.50,
    ],
    [
        -1.58, -2.54, -1.43, -2.34, -0.96, -1.77, 0.05, 1.01, 2.09, -3.04, -0.05, -1.15, 1.00,
        0.61, 2.53, 3.47, 4.67,
    ],
];

/// How much each further peak adds to the variance of a sum of peaks beyond what independent ones
/// would: those of one note or one beat agree with each other by chance, too.
const OVERDISPERSION: f64 = 0.02;

fn class(peak: &Peak) -> usize {
    ((usize::from(peak.contrast) / 4).saturating_sub(6) / 4).min(CLASSES - 1)
}

/// How prominent each cell of a clip's spectrogram is, and what that says about chance.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelMap {
    frames: usize,
    bins: usize,
    /// One of [`CODES`] a cell, frame after frame.
    codes: Vec<u8>,
    chance: Vec<[Moments; CLASSES]>,
}

/// Cumulants of a random level's log-likelihood ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    mean: f32,
    variance: f32,
    third: f32,
}

impl LevelMap {
    /// Maps a spectrogram given as rows of `bins` levels in dB. Rows in which `silent` holds have
    /// no level.
    #[must_use]
    pub fn new(levels_db: &[f32], bins: usize, silent: impl Fn(usize) -> bool) -> Self {
        let bins = bins.max(1);
        let frames = levels_db.len() / bins;
        let mut own = vec![0u8; frames * bins];
        let highest = box_max(levels_db, bins, 1, 1, f32::NEG_INFINITY, greater);
        for frame in (0..frames).filter(|&frame| !silent(frame)) {
            for bin in 0..bins {
                let at = frame * bins + bin;
                // Nearly all cells end here; the others grow their neighbourhoods.
                if levels_db[at] >= highest[at] {
                    own[at] = prominence(levels_db, bins, frame, bin);
                }
            }
        }
        let near = box_max(&own, bins, 1, 1, 0, u8::max);
        let levels = NEIGHBOURHOODS.len() as u8;
        let mut codes: Vec<u8> = (own.iter().zip(&near))
            .map(|(&own, &near)| if own > 0 { levels + own } else { near })
            .collect();
        for frame in (0..frames).filter(|&frame| silent(frame)) {
            codes[frame * bins..(frame + 1) * bins].fill(0);
        }
        let chance = chance(&codes, bins);
        Self { frames, bins, codes, chance }
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Weighs the evidence that a track's peaks (in the order of their frames) stand in the clip
    /// from `offset_steps` on: the time in the track, in 1/[`STEPS`] of a frame, at which the clip
    /// begins. Only the clip's frames within `frames` count.
    #[must_use]
    pub fn weigh(
        &self,
        peaks: &[Peak],
        offset_steps: i64,
        frames: std::ops::Range<usize>,
    ) -> Evidence {
        let mut evidence = Evidence::default();
        self.visit(peaks, offset_steps, frames, |_, llr, moments| {
            evidence.peaks += 1;
            evidence.sum += llr;
            evidence.mean += moments.mean;
            evidence.variance += moments.variance;
            evidence.third += moments.third;
        });
        evidence
    }

    /// The stretch of frames of the clip in which an alignment's evidence is found: where the sum of
    /// log-likelihood ratios grows most. `None` where it grows nowhere.
    #[must_use]
    pub fn extent(&self, peaks: &[Peak], offset_steps: i64) -> Option<std::ops::Range<usize>> {
        let (mut best, mut best_sum) = (None, 0.0);
        let (mut begin, mut sum) = (0, 0.0);
        self.visit(peaks, offset_steps, 0..self.frames, |frame, llr, _| {
            if sum <= 0.0 {
                (begin, sum) = (frame, 0.0);
            }
            sum += llr;
            if sum > best_sum {
                (best, best_sum) = (Some(begin..frame + 1), sum);
            }
        });
        best
    }

    /// Calls `each` with frame, log-likelihood ratio and chance of the level under each peak.
    fn visit(
        &self,
        peaks: &[Peak],
        offset_steps: i64,
        frames: std::ops::Range<usize>,
        mut each: impl FnMut(usize, f32, &Moments),
    ) {
        let steps = i64::from(STEPS);
        // Refined times may stand before their neighbour's by a frame.
        let begin = offset_steps + (frames.start as i64 - 1) * steps;
        let end = offset_steps + (frames.end as i64 + 1) * steps;
        let first = peaks.partition_point(|p| i64::from(p.time) < begin);
        for peak in peaks[first..].iter().take_while(|p| i64::from(p.time) < end) {
            let frame = (i64::from(peak.time) - offset_steps + steps / 2).div_euclid(steps);
            let bin = (usize::from(peak.bin) + STEPS as usize / 2) / STEPS as usize;
            let Ok(frame) = usize::try_from(frame) else { continue };
            if !frames.contains(&frame) || frame >= self.frames || bin >= self.bins {
                continue;
            }
            let code = usize::from(self.codes[frame * self.bins + bin]);
            let class = class(peak);
            each(frame, LOG_LIKELIHOOD_RATIO[class][code], &self.chance[bin][class]);
        }
    }
}

/// The evidence for one alignment, and what chance would give in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Number of the reference's peaks that fall on the clip.
    pub peaks: u32,
    /// Sum of their log-likelihood ratios in nats.
    pub sum: f32,
    mean: f32,
    variance: f32,
    third: f32,
}

impl Evidence {
    /// The evidence in standard deviations above what chance gives.
    #[must_use]
    pub fn deviations(&self) -> f64 {
        if self.variance <= 0.0 {
            return 0.0;
        }
        let spread = 1.0 + OVERDISPERSION * f64::from(self.peaks);
        f64::from(self.sum - self.mean) / (f64::from(self.variance) * spread).sqrt()
    }

    /// −log10 of the probability that a random alignment reaches this evidence.
    #[must_use]
    pub fn significance(&self) -> f64 {
        let skewness = f64::from(self.third) / f64::from(self.variance.max(1e-6)).powf(1.5);
        -log10_tail(self.deviations(), skewness)
    }
}

/// log10 of the probability that a gamma distribution, shifted and scaled to mean 0, deviation 1 and
/// the given skewness, exceeds `z`; 0 below the mean.
fn log10_tail(z: f64, skewness: f64) -> f64 {
    // A skewness this low is a normal distribution, and keeps the numbers small.
    let shape = 4.0 / skewness.max(0.05).powi(2);
    let x = shape + z * shape.sqrt();
    if z <= 1.0 || x <= shape + 1.0 {
        return 0.0;
    }
    // Lentz's continued fraction of the upper incomplete gamma function (Press et al., "Numerical
    // Recipes", section 6.2), in logarithms.
    let mut b = x + 1.0 - shape;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..500 {
        let a = -f64::from(i) * (f64::from(i) - shape);
        b += 2.0;
        d = 1.0 / nonzero(a * d + b);
        c = nonzero(b + a / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-9 {
            break;
        }
    }
    let ln = shape * x.ln() - x - libm::lgamma(shape) + h.ln();
    ln.min(0.0) / std::f64::consts::LN_10
}

fn nonzero(x: f64) -> f64 {
    if x.abs() < 1e-300 { 1e-300 } else { x }
}

/// Number of nested neighbourhoods in which a cell is the one maximum.
fn prominence(levels_db: &[f32], bins: usize, frame: usize, bin: usize) -> u8 {
    let frames = levels_db.len() / bins;
    let level = levels_db[frame * bins + bin];
    let alone = |&(dt, df): &(usize, usize)| {
        let columns = bin.saturating_sub(df)..(bin + df + 1).min(bins);
        let rivals: usize = (frame.saturating_sub(dt)..(frame + dt + 1).min(frames))
            .map(|row| &levels_db[row * bins..][columns.clone()])
            .map(|row| row.iter().filter(|&&x| x >= level).count())
            .sum();
        rivals == 1
    };
    NEIGHBOURHOODS.iter().take_while(|n| alone(n)).count() as u8
}

/// Cumulants, for each bin and class, of the log-likelihood ratio at a random frame.
fn chance(codes: &[u8], bins: usize) -> Vec<[Moments; CLASSES]> {
    let mut counts = vec![[0u32; CODES]; bins];
    for row in codes.chunks_exact(bins) {
        for (counts, &code) in counts.iter_mut().zip(row) {
            counts[usize::from(code)] += 1;
        }
    }
    let frames = (codes.len() / bins).max(1) as f32;
    let moments = |counts: &[u32; CODES], ratios: &[f32; CODES]| {
        let mut raw = [0.0f32; 3];
        for (&count, &ratio) in counts.iter().zip(ratios) {
            let share = count as f32 / frames;
            raw[0] += share * ratio;
            raw[1] += share * ratio * ratio;
            raw[2] += share * ratio * ratio * ratio;
        }
        let [mean, second, third] = raw;
        Moments {
            mean,
            variance: second - mean * mean,
            third: third - 3.0 * mean * second + 2.0 * mean * mean * mean,
        }
    };
    let of_bin = |counts| LOG_LIKELIHOOD_RATIO.each_ref().map(|ratios| moments(counts, ratios));
    counts.iter().map(of_bin).collect()
}

/// The maximum over ± `df` columns and ± `dt` rows of each cell.
fn box_max<T: Copy>(
    cells: &[T],
    columns: usize,
    dt: usize,
    df: usize,
    least: T,
    max: impl Fn(T, T) -> T + Copy,
) -> Vec<T> {
    let rows = cells.len() / columns;
    let mut wide = vec![least; cells.len()];
    let mut scratch = vec![least; columns + 2 * df];
    for (row, out) in cells.chunks_exact(columns).zip(wide.chunks_exact_mut(columns)) {
        sliding_max(row, df, least, max, &mut scratch, out);
    }
    let mut out = wide.clone();
    for row in 0..rows {
        for other in row.saturating_sub(dt)..(row + dt + 1).min(rows) {
            let source = &wide[other * columns..][..columns];
            for (o, &x) in out[row * columns..][..columns].iter_mut().zip(source) {
                *o = max(*o, x);
            }
        }
    }
    out
}
