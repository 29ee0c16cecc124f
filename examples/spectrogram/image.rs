//! A spectrogram as a grey image.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use earmark::spectrogram::Spectrogram;

/// The image is no larger than this; where there is more to show, the loudest is shown.
const MAX_COLUMNS: usize = 1200;
const MAX_ROWS: usize = 300;
/// The loudest is this grey, so that dots can be seen on it, silence is white;
const DARKEST: f32 = 72.0;
/// and there are so many greys, which keeps the image small.
const GREYS: f32 = 24.0;
/// What is white lies this far below what is darkest,
const RANGE_DB: f32 = 50.0;
/// and what lies between is paler than in proportion.
const GAMMA: f32 = 1.5;

/// The lower and upper edge of a spectrogram.
pub fn band_hz(spectrogram: &Spectrogram) -> (f64, f64) {
    let (first, width) = (spectrogram.axes.first_bin_hz, spectrogram.axes.bin_hz);
    let low_hz = f64::from(first - width / 2.0);
    (low_hz, low_hz + spectrogram.levels_db.ncols() as f64 * f64::from(width))
}

/// A `data:` address of the image: time to the right, logarithm of frequency upwards.
pub fn data_url(spectrogram: &Spectrogram) -> Result<String, String> {
    let (frames, bins) = spectrogram.levels_db.dim();
    let (columns, rows) = (frames.min(MAX_COLUMNS), bins.min(MAX_ROWS));
    let (low_hz, high_hz) = band_hz(spectrogram);
    let bin_at = |edge: usize| {
        let hz = low_hz * (high_hz / low_hz).powf(edge as f64 / rows as f64);
        (hz - low_hz) / f64::from(spectrogram.axes.bin_hz)
    };
    let mut sorted: Vec<f32> = spectrogram.levels_db.iter().copied().collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let loudest_db = sorted[(sorted.len() - 1) * 999 / 1000];

    let mut pixels = Vec::with_capacity(columns * rows);
    for row in (0..rows).rev() {
        let low_bin = (bin_at(row) as usize).min(bins - 1);
        let of_row = low_bin..(bin_at(row + 1) as usize).clamp(low_bin + 1, bins);
        for column in 0..columns {
            let frames = column * frames / columns..(column + 1) * frames / columns;
            let cells = frames.flat_map(|f| of_row.clone().map(move |b| (f, b)));
            let level_db =
                cells.map(|at| spectrogram.levels_db[at]).fold(f32::NEG_INFINITY, f32::max);
            let loudness = ((level_db - loudest_db) / RANGE_DB + 1.0).clamp(0.0, 1.0).powf(GAMMA);
            let step = (loudness * (GREYS - 1.0)).round() / (GREYS - 1.0);
            pixels.push((255.0 - step * (255.0 - DARKEST)) as u8);
        }
    }
    let png = png(columns, rows, &pixels).map_err(|e| format!("cannot make the image: {e}"))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

fn png(columns: usize, rows: usize, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    // With few greys, rows are smallest as they are.
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}
