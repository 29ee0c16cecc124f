//! Each stage from file to match by itself, then all of them together.
//!
//! Throughput counts milliseconds of audio: "Kelem/s" reads as a multiple of real time, "Melem/s" as
//! thousands of it.

mod common;

use common::{audio, music, quick};
use criterion::{Criterion, criterion_group, criterion_main};
use earmark::bands::SubFingerprinter;
use earmark::config::StftConfig;
use earmark::evidence::missing::shortfall;
use earmark::evidence::peaks::LevelMap;
use earmark::evidence::quality::Traits;
use earmark::landmark::pair_all;
use earmark::peaks::{Peak, PeakPicker};
use earmark::spectrogram::{Frame, Stft};
use earmark::units::TimeSteps;
use earmark::{
    AudioReader, Calibration, Config, Fingerprinter, Index, MatchConfig, Resampler, SampleRate,
    TrackInfo,
};
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Length of the synthetic signal.
const SECONDS: f32 = 30.0;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

/// A file in memory.
struct File {
    bytes: Arc<[u8]>,
    extension: String,
}

impl File {
    fn read(path: &str) -> Self {
        let path = fixture(path);
        let extension = path.extension().unwrap().to_str().unwrap().into();
        Self { bytes: fs::read(&path).unwrap().into(), extension }
    }

    fn open(&self, stft: &StftConfig) -> AudioReader {
        AudioReader::from_bytes(Arc::clone(&self.bytes), Some(&self.extension), stft).unwrap()
    }

    /// Number of samples, and the sum of their squares so that none can be left out.
    fn decode(&self, stft: &StftConfig) -> (usize, f32) {
        let mut reader = self.open(stft);
        let (mut samples, mut power) = (0, 0.0);
        while let Some(block) = reader.next_block().unwrap() {
            samples += block.len();
            power += block.iter().map(|x| x * x).sum::<f32>();
        }
        assert!(reader.report().is_complete());
        (samples, power)
    }
}

/// Decoding and mixing to mono, at the file's own rate: nothing is resampled.
fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (codec, path, seconds) in [
        ("mp3", "library/10-band.mp3", 32.0),
        ("vorbis", "library/03-drums.ogg", 25.0),
        ("flac", "library/05-arpeggio.flac", 20.0),
        ("aac", "library/08-bells.m4a", 24.0),
    ] {
        let file = File::read(path);
        let own_rate = file.open(&StftConfig::default()).info().sample_rate;
        let stft = StftConfig { sample_rate: own_rate, ..Default::default() };
        let (samples, power) = file.decode(&stft);
        assert!((own_rate.seconds(samples as u64) - seconds).abs() < 0.1, "{path}: {samples}");
        assert!(power > 1.0, "{path} is silent");
        group.throughput(audio(seconds)).bench_function(codec, |b| b.iter(|| file.decode(&stft)));
    }
}

fn resample(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample to 8 kHz");
    for hz in [11_025, 22_050, 44_100, 48_000, 96_000] {
        let input = music(SECONDS, hz, 1);
        let mut resampler = Resampler::new(rate(hz), rate(8_000), 3_600.0);
        let mut out = Vec::with_capacity(SECONDS as usize * 8_000);
        let mut run = || {
            out.clear();
            resampler.push(&input, &mut out);
            resampler.finish(&mut out);
            black_box(&out).len()
        };
        assert_eq!(run(), SECONDS as usize * 8_000);
        group
            .throughput(audio(SECONDS.into()))
            .bench_function(format!("from {hz} Hz"), |b| b.iter(&mut run));
    }
}

fn analyse(c: &mut Criterion) {
    let config = Config::default();
    let samples = music(SECONDS, 8_000, 2);
    let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
    let fingerprint = fingerprinter.fingerprint(&samples, rate(8_000)).unwrap();
    let query = fingerprinter.query(&samples, rate(8_000)).unwrap();

    let mut stft = Stft::new(&config.stft).unwrap();
    let mut rows: Vec<(Vec<f32>, Vec<u8>, f32)> = Vec::new();
    stft.push(&samples, |frame| {
        rows.push((frame.levels_db.to_vec(), frame.phases.to_vec(), frame.power_db))
    });
    stft.reset();
    let frames = (samples.len() - config.stft.window_samples) / config.stft.hop_samples + 1;
    assert_eq!(rows.len(), frames);

    let mut group = c.benchmark_group("analyse");
    group.throughput(audio(SECONDS.into()));
    let mut transform = || {
        let mut frames = 0;
        stft.push(&samples, |frame| {
            black_box(frame);
            frames += 1;
        });
        stft.reset();
        frames
    };
    assert_eq!(transform(), frames);
    group.bench_function("stft", |b| b.iter(&mut transform));

    let mut picker = PeakPicker::new(&config.peaks, &config.stft);
    let mut pick = || {
        let mut peaks: Vec<Peak> = Vec::new();
        for (levels_db, phases, power_db) in &rows {
            let frame = Frame { levels_db, phases, power_db: *power_db };
            picker.push(frame, |peak| peaks.push(peak));
        }
        picker.finish(|peak| peaks.push(peak));
        peaks
    };
    assert_eq!(pick(), query.peaks());
    group.bench_function("peaks", |b| b.iter(&mut pick));

    let fan_out = config.landmarks.reference_fan_out;
    let pair = || pair_all(fingerprint.peaks(), &config.landmarks, fan_out);
    assert_eq!(pair(), fingerprint.landmarks());
    group.bench_function("pair", |b| b.iter(pair));

    let mut maker = SubFingerprinter::new(&config.stft);
    let mut summarise = || {
        let mut words = Vec::new();
        rows.iter().for_each(|(levels_db, ..)| maker.push(levels_db, |word| words.push(word)));
        maker.finish(|word| words.push(word));
        words
    };
    assert_eq!(summarise(), fingerprint.sub_fingerprints());
    group.bench_function("bands", |b| b.iter(&mut summarise));
}

/// What a search makes of a clip of 5 s: once for it all, and once for each place that it looks at.
fn judge(c: &mut Criterion) {
    let config = Config::default();
    let (bins, hop) = (config.stft.bins(), config.stft.hop_samples);
    let song = music(SECONDS, 8_000, 2);
    let clip = &song[300 * hop..][..40_000];
    let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
    let track = fingerprinter.fingerprint(&song, rate(8_000)).unwrap();
    let query = fingerprinter.query(clip, rate(8_000)).unwrap();
    let mut levels_db = Vec::new();
    let mut stft = Stft::new(&config.stft).unwrap();
    stft.push(clip, |frame| levels_db.extend_from_slice(frame.levels_db));

    let mut group = c.benchmark_group("judge");
    let map = || LevelMap::new(&levels_db, &config.stft, |_| false);
    assert_eq!(map().frames(), levels_db.len() / bins);
    group.bench_function("map a clip", |b| b.iter(map));
    let quality = Calibration::default().quality;
    let clear = || Traits::new(&levels_db, bins, |_| false, query.peaks()).clarity(&quality);
    assert!((clear() / query.clarity() - 1.0).abs() < 1e-3);
    group.bench_function("clarity of a clip", |b| b.iter(clear));

    let frames = 0..query.levels().frames();
    let offset = TimeSteps::from_frames(300);
    let verify = || query.levels().weigh(track.peaks(), offset, frames.clone()).deviations();
    assert!(verify() > 10.0);
    group.bench_function("verify a place", |b| b.iter(verify));
    let words = track.sub_fingerprints();
    let agree = || query.bands().deviations(words, offset, (1.0, 1.0), frames.clone(), 0.1);
    assert!(agree() > 2.0);
    group.bench_function("agreement at a place", |b| b.iter(agree));
    let cohere = || query.phases().deviations(track.peaks(), offset, frames.clone());
    assert!(cohere() > 5.0);
    group.bench_function("coherence at a place", |b| b.iter(cohere));
    let first_bin = config.stft.first_bin();
    let miss = || shortfall(query.levels(), track.peaks(), offset, frames.clone(), first_bin);
    assert!(miss() < 0.05);
    group.bench_function("shortfall at a place", |b| b.iter(miss));
}

/// All stages from samples on.
fn fingerprint(c: &mut Criterion) {
    let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
    let mut group = c.benchmark_group("fingerprint");
    group.throughput(audio(SECONDS.into()));
    for hz in [8_000, 44_100] {
        let samples = music(SECONDS, hz, 3);
        let found = fingerprinter.fingerprint(&samples, rate(hz)).unwrap();
        assert!((found.duration_s() - f64::from(SECONDS)).abs() < 1e-6);
        assert!(found.landmarks().len() > 30 * SECONDS as usize);
        group.bench_function(format!("{hz} Hz mono"), |b| {
            b.iter(|| fingerprinter.fingerprint(&samples, rate(hz)).unwrap());
        });
    }

    let (left, right) = (music(SECONDS, 44_100, 4), music(SECONDS, 44_100, 5));
    let stereo: Vec<f32> = left.iter().zip(&right).flat_map(|(&l, &r)| [l, r]).collect();
    let mono: Vec<f32> = left.iter().zip(&right).map(|(l, r)| 0.5 * (l + r)).collect();
    let want = fingerprinter.fingerprint(&mono, rate(44_100)).unwrap();
    let mut block = Vec::with_capacity(4_096);
    let mut mix_and_print = || {
        for piece in stereo.chunks(2 * 4_096) {
            block.clear();
            block.extend(piece.chunks_exact(2).map(|both| 0.5 * (both[0] + both[1])));
            fingerprinter.push(&block, rate(44_100));
        }
        fingerprinter.finish().unwrap()
    };
    assert_eq!(mix_and_print(), want);
    group.bench_function("44100 Hz stereo", |b| b.iter(&mut mix_and_print));
}

/// What the search needs of a clip, which is more than a reference keeps.
fn query(c: &mut Criterion) {
    let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
    let mut group = c.benchmark_group("query");
    for seconds in [5, 10] {
        let clip = music(seconds as f32, 8_000, 6);
        let query = fingerprinter.query(&clip, rate(8_000)).unwrap();
        let fingerprint = fingerprinter.fingerprint(&clip, rate(8_000)).unwrap();
        assert!(query.landmarks().len() > fingerprint.landmarks().len());
        group.throughput(audio(seconds.into())).bench_function(format!("{seconds} s"), |b| {
            b.iter(|| fingerprinter.query(&clip, rate(8_000)).unwrap());
        });
    }
}

/// From a file to its fingerprint, and from a clip's file to its match in the library.
fn file(c: &mut Criterion) {
    let config = Config::default();
    let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
    let mut group = c.benchmark_group("file");

    let track = File::read("library/10-band.mp3");
    let mut print = || fingerprinter.fingerprint_audio(&mut track.open(&config.stft)).unwrap();
    assert!((print().duration_s() - 32.0).abs() < 0.1);
    group.throughput(audio(32.0)).bench_function("mp3 to fingerprint", |b| b.iter(&mut print));

    let index = Index::in_memory(config.clone()).unwrap();
    let mut writer = index.writer().unwrap();
    for entry in fs::read_dir(fixture("library")).unwrap() {
        let path = entry.unwrap().path();
        let mut reader = AudioReader::open(&path, &config.stft).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let fingerprint = fingerprinter.fingerprint_audio(&mut reader).unwrap();
        writer.add(TrackInfo::named(name), &fingerprint).unwrap();
    }
    writer.commit().unwrap();
    let clip = File::read("clips/10-band_at_12.769s_mp3-32k.mp3");
    let mut identify = || {
        let query = fingerprinter.query_audio(&mut clip.open(&config.stft)).unwrap();
        index.search(&query, &MatchConfig::default()).unwrap()
    };
    let found = identify();
    assert_eq!(found[0].name, "10-band.mp3");
    assert!((found[0].offset_s - 12.769).abs() < 0.1, "{found:?}");
    group.throughput(audio(8.0)).bench_function("mp3 to match", |b| b.iter(&mut identify));
}

criterion_group! {
    name = stages;
    config = quick();
    targets = decode, resample, analyse, fingerprint, query, judge, file
}
criterion_main!(stages);
