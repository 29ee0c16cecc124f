//! Each stage from samples to fingerprint once, for `.ci/instructions` to count instructions.
//!
//! Every stage is a function of its own, the name of which begins with `stage_`. Run without
//! Valgrind, this shows nothing.

mod common;

use common::music;
use earmark::bands::SubFingerprinter;
use earmark::landmark::{Landmark, pair_all};
use earmark::peaks::{Peak, PeakPicker};
use earmark::spectrogram::{Frame, Stft};
use earmark::{Config, Fingerprint, Fingerprinter, Query, QueryStream, Resampler, SampleRate};
use std::hint::black_box;

/// Length of the signal.
const SECONDS: f32 = 10.0;
/// Samples that are handed over at a time, about as many as a decoder does.
const BLOCK_SAMPLES: usize = 1_152;

type Rows = Vec<(Vec<f32>, Vec<u8>, f32)>;

#[inline(never)]
fn stage_resample(resampler: &mut Resampler, input: &[f32], out: &mut Vec<f32>) {
    input.chunks(BLOCK_SAMPLES).for_each(|block| resampler.push(block, out));
    resampler.finish(out);
}

#[inline(never)]
fn stage_transform(stft: &mut Stft, samples: &[f32]) {
    stft.push(samples, |frame| {
        black_box(frame);
    });
}

#[inline(never)]
fn stage_pick(picker: &mut PeakPicker, rows: &Rows, peaks: &mut Vec<Peak>) {
    for (levels_db, phases, power_db) in rows {
        picker.push(Frame { levels_db, phases, power_db: *power_db }, |peak| peaks.push(peak));
    }
    picker.finish(|peak| peaks.push(peak));
}

#[inline(never)]
fn stage_bands(maker: &mut SubFingerprinter, rows: &Rows, words: &mut Vec<u64>) {
    rows.iter().for_each(|(levels_db, ..)| maker.push(levels_db, |word| words.push(word)));
    maker.finish(|word| words.push(word));
}

#[inline(never)]
fn stage_pair(peaks: &[Peak], config: &Config) -> Vec<Landmark> {
    pair_all(peaks, &config.landmarks, config.landmarks.reference_fan_out)
}

#[inline(never)]
fn stage_fingerprint(
    fingerprinter: &mut Fingerprinter,
    input: &[f32],
    rate: SampleRate,
) -> Fingerprint {
    input.chunks(BLOCK_SAMPLES).for_each(|block| fingerprinter.push(block, rate));
    fingerprinter.finish().unwrap()
}

#[inline(never)]
fn stage_query(fingerprinter: &mut Fingerprinter, input: &[f32], rate: SampleRate) -> Query {
    fingerprinter.query(input, rate).unwrap()
}

#[inline(never)]
fn stage_stream(stream: &mut QueryStream, input: &[f32], rate: SampleRate) {
    input.chunks(BLOCK_SAMPLES).for_each(|block| stream.push(block, rate));
}

/// As long a query as that of [`stage_query`].
#[inline(never)]
fn stage_last(stream: &mut QueryStream) -> Query {
    stream.last(SECONDS.into()).unwrap()
}

fn main() {
    let config = Config::default();
    let (from, to) = (SampleRate::new(44_100).unwrap(), config.stft.sample_rate);
    let input = music(SECONDS, from.hz(), 1);

    let mut samples = Vec::with_capacity(input.len());
    stage_resample(&mut Resampler::new(from, to, config.stft.max_hz), &input, &mut samples);

    let mut stft = Stft::new(&config.stft).unwrap();
    let mut rows = Rows::new();
    stft.push(&samples, |frame| {
        rows.push((frame.levels_db.to_vec(), frame.phases.to_vec(), frame.power_db))
    });
    stft.reset();
    stage_transform(&mut stft, &samples);

    let mut peaks = Vec::with_capacity(10_000);
    stage_pick(&mut PeakPicker::new(&config.peaks, &config.stft), &rows, &mut peaks);

    let mut words = Vec::with_capacity(1_000);
    stage_bands(&mut SubFingerprinter::new(&config.stft), &rows, &mut words);

    let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
    fingerprinter.fingerprint(&input, from).unwrap(); // plans the resampler
    let fingerprint = stage_fingerprint(&mut fingerprinter, &input, from);
    assert_eq!(stage_pair(fingerprint.peaks(), &config), fingerprint.landmarks());
    assert_eq!(words, fingerprint.sub_fingerprints());
    assert_eq!(stage_query(&mut fingerprinter, &input, from).peaks(), peaks);

    let mut stream = QueryStream::new(config, SECONDS.into()).unwrap();
    stream.push(&input, from); // plans the resampler
    stage_stream(&mut stream, &input, from);
    let query = stage_last(&mut stream);
    assert!((query.duration_s() - f64::from(SECONDS)).abs() < 0.1);
}
