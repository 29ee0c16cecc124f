use super::*;
use crate::Config;
use crate::spectrogram::{Spectrogram, Stft};
use crate::testing::{music, noise, rng};
use crate::units::{BinSteps, TimeSteps};
use proptest::prelude::*;

fn pick(samples: &[f32], config: &Config) -> Vec<Peak> {
    let mut stft = Stft::new(&config.stft).unwrap();
    let mut picker = PeakPicker::new(&config.peaks, &config.stft);
    let mut peaks = Vec::new();
    // Dirty state must not matter.
    stft.push(&noise(20_000, 77), |f| picker.push(f, |_| ()));
    stft.reset();
    picker.reset();
    stft.push(samples, |f| picker.push(f, |p| peaks.push(p)));
    picker.finish(|p| peaks.push(p));
    peaks
}

/// Every definition in the module's text, written down as it reads.
fn brute_force(samples: &[f32], config: &Config) -> Vec<Peak> {
    let s = Spectrogram::new(samples, &config.stft).unwrap();
    let mut phases = Vec::new();
    Stft::new(&config.stft).unwrap().push(samples, |frame| phases.push(frame.phases.to_vec()));
    let (frames, bins) = s.levels_db.dim();
    let (p, level) = (&config.peaks, |t: usize, b: usize| s.levels_db[(t, b)]);
    let octaves =
        |b: usize| ((config.stft.first_bin() + b) as f32 / config.stft.first_bin() as f32).log2();
    let mut found = Vec::new();
    for t in 1..frames.saturating_sub(1) {
        for b in 1..bins - 1 {
            let rows =
                t.saturating_sub(p.time_radius_frames)..=(t + p.time_radius_frames).min(frames - 1);
            let columns =
                b.saturating_sub(p.freq_radius_bins)..=(b + p.freq_radius_bins).min(bins - 1);
            let highest = rows.flat_map(|r| columns.clone().map(move |c| (r, c))).all(|(r, c)| {
                let earlier = r < t || (r == t && c < b);
                level(r, c) < level(t, b) || (level(r, c) == level(t, b) && !earlier)
            });
            let near = b.saturating_sub(p.contrast_radius_bins)
                ..(b + p.contrast_radius_bins + 1).min(bins);
            let n = near.len() as f32;
            let contrast = level(t, b) - near.map(|c| level(t, c)).sum::<f32>() / n;
            let loudest = (0..bins).map(|c| level(t, c)).fold(f32::MIN, f32::max);
            let audible = level(t, b) >= loudest - p.range_db;
            let ends = [
                t.saturating_sub(p.time_radius_frames),
                (t + p.time_radius_frames).min(frames - 1),
            ];
            let rises = ends.iter().any(|&end| level(t, b) - level(end, b) >= MIN_RISE_DB);
            if highest && audible && rises && contrast >= p.min_contrast_db {
                let band = (octaves(b) / octaves(bins) * p.bands as f32) as usize;
                found.push((t, b, band, contrast));
            }
        }
    }
    let refine = |a: f32, m: f32, z: f32| (0.5 * (z - a) / (2.0 * m - a - z)).clamp(-0.5, 0.5);
    found
        .iter()
        .enumerate()
        .map(|(i, &(t, b, band, contrast))| {
            let stronger = found.iter().enumerate().filter(|(j, o)| {
                o.2 == band
                    && o.0.abs_diff(t) <= p.rank_radius_frames
                    && (o.3 > contrast || (o.3 == contrast && *j < i))
            });
            let dt = refine(level(t - 1, b), level(t, b), level(t + 1, b));
            let db = refine(level(t, b - 1), level(t, b), level(t, b + 1));
            Peak {
                time: TimeSteps((t as f32 * 16.0 + (dt * 16.0).round()) as u32),
                bin: BinSteps(((b as f32 + db) * 16.0).round() as u16),
                contrast: (contrast * 4.0).min(255.0) as u8,
                rank: stronger.count().min(255) as u8,
                level: (255.0 + 2.0 * level(t, b)).round() as u8,
                // Half a turn for each bin to its frame's middle, and turns of its frequency in what
                // it is off that.
                phase: phases[t][b].wrapping_add_signed({
                    let bin = ((b as f32 + db) * 16.0).round() / 16.0;
                    let bin = bin + config.stft.first_bin() as f32;
                    let frames = (dt * 16.0).round() / 16.0;
                    let to_middle = (config.stft.first_bin() + b) as i32 * 128;
                    let turned = (bin / 2048.0 * 256.0 * frames * 256.0 + 0.5).floor();
                    (to_middle + turned as i32) as i8
                }),
            }
        })
        .filter(|peak| peak.rank < p.query_rank)
        .collect()
}

#[test]
fn agrees_with_brute_force() {
    for (seed, radius) in [(1, 3), (2, 1), (3, 7)] {
        let mut config = Config::default();
        config.peaks.time_radius_frames = radius;
        config.peaks.freq_radius_bins = 4 * radius;
        config.peaks.rank_radius_frames = 5 * radius;
        for samples in [music(4.0, seed), noise(16_000, seed), noise(2048 + 256 * radius, seed)] {
            assert_eq!(pick(&samples, &config), brute_force(&samples, &config));
        }
    }
}

#[test]
fn silence_constants_and_dither_have_no_peaks() {
    let config = Config::default();
    let mut random = rng(4);
    let mut triangular = || ((random() - random()) / 32768.0 * 32768.0).round() / 32768.0;
    let dither: Vec<f32> = (0..40_000).map(|_| triangular()).collect();
    for samples in [vec![0.0; 40_000], vec![0.5; 40_000], dither, vec![1.0], vec![]] {
        assert_eq!(pick(&samples, &config), []);
    }
}

#[test]
fn a_click_in_a_tone_is_found_where_it_is() {
    let config = Config::default();
    let axes = Axes::new(&config.stft);
    let mut samples: Vec<f32> = noise(24_000, 8).iter().map(|x| x * 1e-3).collect();
    for i in 0..1600 {
        let t = i as f32 / 8000.0;
        // A Gaussian burst around 1.5 s at 1,234 Hz.
        let envelope = (-((t - 0.1) / 0.03).powi(2)).exp();
        samples[11_200 + i] += envelope * (std::f32::consts::TAU * 1234.0 * t).sin();
    }
    let peaks = pick(&samples, &config);
    let loudest = peaks.iter().max_by_key(|p| p.contrast).unwrap();
    assert!((loudest.time_s(&axes) - 1.5).abs() < 0.004, "{}", loudest.time_s(&axes));
    assert!((loudest.frequency_hz(&axes) - 1234.0).abs() < 0.6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gain_changes_no_peak(gain_db in -40f32..0.0, seed in 0u64..50) {
        let config = Config::default();
        // A bed of noise keeps the quiet passages above `silence_db` at the lowest gain.
        let mut loud = music(3.0, seed);
        loud.iter_mut().zip(noise(24_000, seed)).for_each(|(x, n)| *x += 0.1 * n);
        let gain = 10f32.powf(gain_db / 20.0);
        let quiet: Vec<f32> = loud.iter().map(|x| x * gain).collect();
        let (loud, quiet) = (pick(&loud, &config), pick(&quiet, &config));
        // Rounding may move a peak by one step or swap two ranks, no more.
        prop_assert!(loud.len().abs_diff(quiet.len()) <= 1 + loud.len() / 200);
        let kept = loud.iter().filter(|l| {
            quiet.iter().any(|q| {
                let (late, high) = (q.time.abs_diff(l.time), q.bin.abs_diff(l.bin));
                late <= TimeSteps(1) && high <= BinSteps(1)
            })
        });
        prop_assert!(kept.count() * 200 >= loud.len() * 199);
    }
}
