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
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// A file of which so much was decoded is a long one.
const LONG_S: f64 = 60.0;
/// So many blocks of it, of at most 64 kB, wait to be analysed.
const BLOCKS_WAITING: usize = 8;

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
/// While a worker has nothing to do, the blocks of a long file go to another thread, which analyses them as
/// they come: in the same order, so that the fingerprint is the same.
fn push_all(
    shared: &Arc<Shared>,
    slot: &Slot,
    reader: &mut AudioReader,
    fingerprinter: &mut Fingerprinter,
) -> Option<Result<(), Error>> {
    let rate = fingerprinter.config().stft.sample_rate;
    let mut samples = 0;
    while rate.seconds(samples) < LONG_S || !slot.borrow_worker(shared) {
        if !slot.beat(shared) {
            return None;
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
    thread::scope(|scope| {
        let (blocks, to_analyse) = sync_channel::<Vec<f32>>(BLOCKS_WAITING);
        let analyse = move || to_analyse.iter().for_each(|block| fingerprinter.push(&block, rate));
        let analyser = thread::Builder::new().name("earmark analyser".into());
        if let Err(error) = analyser.spawn_scoped(scope, analyse) {
            return Some(Err(Error::Read(error)));
        }
        loop {
            if !slot.beat(shared) {
                return None;
            }
            match reader.next_block() {
                // It ends before the blocks do only if it panics, which the scope passes on.
                Ok(Some(block)) if blocks.send(block.to_vec()).is_err() => return None,
                Ok(Some(_)) => {}
                Ok(None) => return Some(Ok(())),
                Err(error) => return Some(Err(error)),
            }
        }
    })
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
