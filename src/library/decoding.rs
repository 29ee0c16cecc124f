//! Makes a fingerprint of a file that was opened.

use super::ledger::Quality;
use super::pipeline::{Failed, Job, Shared, Slot};
use super::reading::Audio;
use super::report::FailureKind;
use crate::decode::{AudioReader, DecodeReport};
use crate::error::Error;
use crate::fingerprint::{Fingerprint, Fingerprinter};
use crate::tags::Tags;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file of which so much was decoded is a long one.
const LONG_S: f64 = 60.0;
/// What a thread that decodes ahead takes, and two more: see [`AudioReader::set_threads`].
const RUN_BYTES: u64 = 4_000_000;

/// What was made of a file.
pub(super) struct Taken {
    pub tags: Tags,
    pub fingerprint: Fingerprint,
    pub quality: Quality,
    pub report: DecodeReport,
    pub hash: Option<u128>,
    pub took: Duration,
}

/// Decodes and fingerprints a file; gives nothing once it is to stop.
pub(super) fn take(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    job: &Job,
    audio: Audio,
    fingerprinter: &mut Option<Fingerprinter>,
) -> Result<Option<Taken>, Failed> {
    let begun = Instant::now();
    let mut hash = None;
    let mut decoded_s = 0.0;
    let made = catch_unwind(AssertUnwindSafe(|| {
        let own = match fingerprinter {
            Some(own) => own,
            None => fingerprinter.insert(Fingerprinter::new(shared.setup.config.clone())?),
        };
        make(shared, slot, job, audio, own, &mut hash, &mut decoded_s)
    }));
    let made = made.unwrap_or_else(|_| {
        // What it left half-done is of no use.
        *fingerprinter = None;
        Err(Trouble::Panic)
    });
    match made {
        Ok(Some(mut taken)) => {
            taken.took = begun.elapsed();
            taken.hash = hash;
            Ok(Some(taken))
        }
        Ok(None) => Ok(None),
        Err(Trouble::Error(trouble)) => {
            let (error, report) = *trouble;
            let reason = match (&error, report) {
                (Error::Io { action, source, .. }, _) => format!("cannot {action} it: {source}"),
                (_, Some(report)) if !report.is_complete() => format!("{error} ({report})"),
                _ => error.to_string(),
            };
            Err(Failed { kind: kind_of(&error), reason, decoded_s, hash })
        }
        Err(Trouble::Panic) => {
            let reason = "the decoder panicked".into();
            Err(Failed { kind: FailureKind::Panicked, reason, decoded_s, hash })
        }
    }
}

enum Trouble {
    Error(Box<(Error, Option<DecodeReport>)>),
    Panic,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(Box::new((error, None)))
    }
}

fn make(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    job: &Job,
    audio: Audio,
    fingerprinter: &mut Fingerprinter,
    hash: &mut Option<u128>,
    decoded_s: &mut f64,
) -> Result<Option<Taken>, Trouble> {
    let stft = fingerprinter.config().stft.clone();
    let extension = job.path.extension().and_then(|extension| extension.to_str());
    let (opened, hashing) = match audio {
        Audio::Whole(bytes, known) => {
            *hash = Some(known);
            (AudioReader::from_reader(Cursor::new(bytes), extension, &stft), None)
        }
        Audio::Stream(hashing) => {
            let opened = AudioReader::from_reader(hashing.buffered(slot), extension, &stft);
            (opened, Some(hashing))
        }
    };
    let mut reader = opened?;
    fingerprinter.reset();
    let Some(read) = push_all(shared, slot, &mut reader, fingerprinter) else { return Ok(None) };
    let report = reader.report();
    *decoded_s = report.decoded_s;
    let made = read.and_then(|()| fingerprinter.finish());
    slot.beat(shared);
    if let Some(mut hashing) = hashing {
        let all = hashing.finish(|| slot.beat(shared)).map_err(Error::Read)?;
        let Some(all) = all else { return Ok(None) };
        *hash = Some(all);
    }
    let fingerprint =
        made.map_err(|error| Trouble::Error(Box::new((error, Some(report.clone())))))?;
    let info = reader.info();
    let quality = Quality {
        codec: info.codec.clone(),
        sample_rate_hz: info.sample_rate.hz(),
        channels: u16::try_from(info.channels).unwrap_or(u16::MAX),
        lost_packets: report.lost_packets,
        missing_s: report.missing_s,
        truncated: report.truncated,
    };
    let tags = info.tags.clone();
    Ok(Some(Taken { tags, fingerprint, quality, report, hash: None, took: Duration::ZERO }))
}

/// Decodes all of a file into a fingerprinter; gives nothing once it is to stop.
///
/// While workers have nothing to do, they help to decode a long file.
fn push_all(
    shared: &Arc<Shared>,
    slot: &Slot,
    reader: &mut AudioReader,
    fingerprinter: &mut Fingerprinter,
) -> Option<Result<(), Error>> {
    let rate = fingerprinter.config().stft.sample_rate;
    // As much memory as is for files that were read ahead.
    let most_runs = usize::try_from(shared.setup.ahead_bytes / RUN_BYTES).unwrap_or(usize::MAX);
    let most_threads = AudioReader::MAX_THREADS.min(most_runs.saturating_sub(2));
    let (mut samples, mut threads) = (0, 1);
    while slot.beat(shared) {
        if rate.seconds(samples) >= LONG_S && threads < most_threads && slot.borrow_worker(shared) {
            threads += 1;
            reader.set_threads(threads);
        }
        match reader.next_block() {
            Ok(Some(block)) => {
                samples += block.len() as u64;
                fingerprinter.push(block, rate);
            }
            Ok(None) => return Some(Ok(())),
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

fn kind_of(error: &Error) -> FailureKind {
    match error {
        Error::Io { .. } | Error::Read(_) => FailureKind::Unreadable,
        Error::TooShort { .. } | Error::Silent { .. } | Error::Featureless { .. } => {
            FailureKind::Featureless
        }
        Error::UnknownFormat { .. }
        | Error::ExcessiveHeader { .. }
        | Error::UnsupportedCodec { .. }
        | Error::OpusFeatureOff
        | Error::NoAudioTrack
        | Error::Undecodable { .. }
        | Error::SampleRate { .. } => FailureKind::Undecodable,
        _ => FailureKind::Other,
    }
}
