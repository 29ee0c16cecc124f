//! What is compared.

use crate::audio::{Audio, RATE_HZ, decode};
use audiofp::Fingerprinter as _;
use audiofp::classical::{Wang, WangConfig};
use audiofp::dsp::resample::SincResampler;
use earmark::{AudioReader, Config, Fingerprinter, SampleRate};
use rusty_chromaprint::Configuration;
use std::error::Error;
use std::sync::Arc;

type Outcome = Result<usize, Box<dyn Error>>;

pub struct Contender {
    pub name: &'static str,
    pub what: &'static str,
    /// Returns the number of things found, which must not be 0.
    pub run: fn(&Audio) -> Outcome,
}

/// The first two start from a file, the others from its samples.
pub const CONTENDERS: [Contender; 5] = [
    Contender {
        name: "decode",
        what: "symphonia: file in memory, every packet decoded, nothing done with it (samples)",
        run: decode_only,
    },
    Contender {
        name: "earmark file",
        what: "earmark: file in memory to fingerprint, decoding included (landmarks)",
        run: earmark_file,
    },
    Contender {
        name: "earmark",
        what: "earmark: stereo samples to mono to 8 kHz to fingerprint (landmarks)",
        run: earmark_samples,
    },
    Contender {
        name: "audiofp",
        what: "audiofp 0.4.5, Wang: stereo samples to mono to 8 kHz to fingerprint (hashes)",
        run: audiofp_samples,
    },
    Contender {
        name: "chromaprint",
        what: "rusty-chromaprint 0.3.0, preset 2: stereo 16-bit samples to fingerprint (words)",
        run: chromaprint_samples,
    },
];

/// Whose times are divided by whose, by their places in [`CONTENDERS`].
pub const RATIOS: [(usize, usize); 4] = [(1, 0), (2, 0), (3, 2), (4, 2)];

fn decode_only(audio: &Audio) -> Outcome {
    let mut samples = 0;
    decode(Arc::clone(&audio.bytes), &audio.extension, |buffer| {
        samples += std::hint::black_box(buffer).frames();
    })?;
    Ok(samples)
}

fn earmark_file(audio: &Audio) -> Outcome {
    let config = Config::default();
    let bytes = Arc::clone(&audio.bytes);
    let mut reader = AudioReader::from_bytes(bytes, Some(&audio.extension), &config.stft)?;
    Ok(Fingerprinter::new(config)?.fingerprint_audio(&mut reader)?.landmarks().len())
}

fn earmark_samples(audio: &Audio) -> Outcome {
    let rate = SampleRate::new(RATE_HZ)?;
    let mut fingerprinter = Fingerprinter::new(Config::default())?;
    audio.mono_blocks(|block| fingerprinter.push(block, rate));
    Ok(fingerprinter.finish()?.landmarks().len())
}

/// As its `decode_to_mono_at` followed by `extract`, without the limits meant for hostile input.
fn audiofp_samples(audio: &Audio) -> Outcome {
    let mut mono = Vec::with_capacity(audio.stereo.len() / 2);
    audio.mono_blocks(|block| mono.extend_from_slice(block));
    let samples = SincResampler::new(RATE_HZ, 8_000).process(&mono);
    drop(mono);
    let config = WangConfig { max_input_samples: None, max_hashes: None, ..WangConfig::default() };
    Ok(Wang::new(config).extract(&samples, audiofp::SampleRate::HZ_8000)?.hashes.len())
}

fn chromaprint_samples(audio: &Audio) -> Outcome {
    let mut printer = rusty_chromaprint::Fingerprinter::new(&Configuration::preset_test2());
    printer.start(RATE_HZ, 2).map_err(|e| format!("{e:?}"))?;
    for block in audio.stereo_i16.chunks(2 * 4_096) {
        printer.consume(block);
    }
    printer.finish();
    Ok(printer.fingerprint().len())
}
