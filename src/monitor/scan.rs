//! A whole recording at once.

use super::lookup::{Clip, Found, Lookup};
use super::tracker::Tracker;
use super::{Event, Heard, MonitorConfig, complete, last, match_config};
use crate::config::Config;
#[cfg(feature = "decode")]
use crate::decode::AudioReader;
use crate::error::Result;
use crate::fingerprint::QueryStream;
use crate::search::MatchConfig;
use crate::spectrogram::Axes;
use crate::store::Store;
use crate::units::SampleRate;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// Windows that wait for their search or its result, for each thread.
const WAITING: usize = 4;

/// How a recording is scanned.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ScanConfig {
    /// As of a stream. Steps are as they are asked for, whatever the load.
    pub monitor: MonitorConfig,
    /// Threads that search. 0, the default: one for each core.
    pub jobs: usize,
}

/// What is heard in a recording, and when.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Timeline {
    /// The events, in the order of their beginnings.
    pub events: Vec<Heard>,
    /// Length of the recording, in seconds.
    pub duration_s: f64,
}

/// What is heard in a whole mono signal. What a [`Monitor`](super::Monitor) tells of it is put in order,
/// with what is known afterwards.
///
/// ```
/// use earmark::monitor::{ScanConfig, scan};
/// use earmark::{Config, Fingerprinter, Index, SampleRate, TrackInfo};
/// # let song: Vec<f32> = (0..240_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
/// let rate = SampleRate::new(8000)?;
/// let index = Index::in_memory(Config::default())?;
/// let track = Fingerprinter::new(Config::default())?.fingerprint(&song, rate)?;
/// let mut writer = index.writer()?;
/// writer.add(TrackInfo::named("song"), &track)?;
/// writer.commit()?;
///
/// let timeline = scan(&index.reader(), &song[80_000..], rate, &ScanConfig::default())?;
/// assert_eq!(timeline.events.len(), 1);
/// let heard = &timeline.events[0];
/// assert!((heard.reference_start_s - heard.start_s - 10.0).abs() < 0.1);
/// # Ok::<(), earmark::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for a `config` that is out of range, and those of the index.
pub fn scan<S: Store + Sync + ?Sized>(
    store: &S,
    samples: &[f32],
    rate: SampleRate,
    config: &ScanConfig,
) -> Result<Timeline> {
    let mut blocks = samples.chunks(1 << 14);
    scan_blocks(store, config, |take| {
        let block = blocks.next();
        block.into_iter().for_each(|block| take(block, rate));
        Ok(block.is_some())
    })
}

/// What is heard in all that a reader decodes. The reader knows afterwards what was lost of it.
///
/// # Errors
/// As [`scan`], and those of [`AudioReader::next_block`].
#[cfg(feature = "decode")]
pub fn scan_audio<S: Store + Sync + ?Sized>(
    store: &S,
    reader: &mut AudioReader,
    config: &ScanConfig,
) -> Result<Timeline> {
    let rate = reader.stft().sample_rate;
    scan_blocks(store, config, |take| {
        let block = reader.next_block()?;
        let more = block.is_some();
        block.into_iter().for_each(|block| take(block, rate));
        Ok(more)
    })
}

/// A window on its way.
struct Window {
    clip: Arc<Clip>,
    end: u64,
}

/// Scans what `more` hands over, until it says that there is none.
fn scan_blocks<S: Store + Sync + ?Sized>(
    store: &S,
    config: &ScanConfig,
    mut more: impl FnMut(&mut dyn FnMut(&[f32], SampleRate)) -> Result<bool>,
) -> Result<Timeline> {
    config.monitor.validate()?;
    let search = match_config(&config.monitor);
    let lookup = Lookup::new(store, &search)?;
    let analysis = Config::clone(lookup.config());
    let mut stream = QueryStream::new(analysis.clone(), config.monitor.window_s)?;
    let axes = Axes::new(&analysis.stft);
    let step = ((config.monitor.step_s / axes.hop_s).round() as u64).max(1);
    let mut tracker = Tracker::new(config.monitor.clone(), axes);
    let jobs = match config.jobs {
        0 => thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let window_s = config.monitor.window_s;
    let mut events = Vec::new();
    thread::scope(|scope| {
        let mut searches = Searches::new(scope, &lookup, &search, jobs);
        let mut due = step;
        let mut waiting: VecDeque<(u64, Option<Window>)> = VecDeque::new();
        let mut next = 0;
        let mut is_last = false;
        while !is_last {
            let mut windows = Vec::new();
            let mut failed = None;
            let mut take = |samples: &[f32], rate: SampleRate| {
                let hop = analysis.stft.hop_samples as u64 * u64::from(rate.hz());
                let hop = hop / u64::from(analysis.stft.sample_rate.hz());
                for piece in samples.chunks((hop / 2).max(1) as usize) {
                    stream.push(piece, rate);
                    if stream.frames() >= due {
                        due = stream.frames() + step;
                        match last(&mut stream, window_s) {
                            Ok(clip) => windows.push((stream.frames(), clip)),
                            Err(e) => failed = Some(e),
                        }
                    }
                }
            };
            is_last = !more(&mut take)?;
            if let Some(e) = failed {
                return Err(e);
            }
            if is_last {
                windows.push((stream.frames(), last(&mut stream, window_s)?));
            }
            for (end, clip) in windows {
                let window =
                    clip.map(|clip| Window { clip: Arc::new(lookup.calibrated(clip)), end });
                if let Some(window) = &window {
                    searches.ask(next, &window.clip);
                    next += 1;
                }
                waiting.push_back((end, window));
            }
            let room = if is_last { 0 } else { WAITING * jobs };
            while waiting.len() > room {
                let Some((end, window)) = waiting.pop_front() else { break };
                let is_end = is_last && waiting.is_empty();
                events.extend(match window {
                    Some(window) => {
                        let found = searches.answer()?;
                        tracker.step(&lookup, &window.clip, window.end, &found, is_end)?
                    }
                    None => tracker.pass(end),
                });
            }
        }
        Ok(())
    })?;
    events.extend(tracker.finish(stream.end_s()));
    let heard = events.into_iter().filter_map(|event| match event {
        Event::Ended(heard) if !heard.withdrawn => Some(heard),
        _ => None,
    });
    let mut heard: Vec<Heard> = heard.collect();
    heard.iter_mut().try_for_each(|heard| complete(&lookup, heard))?;
    Ok(Timeline { events: in_hindsight(heard, &config.monitor), duration_s: stream.end_s() })
}

/// Puts events in order, and makes one of those that turned out to go on.
fn in_hindsight(mut events: Vec<Heard>, config: &MonitorConfig) -> Vec<Heard> {
    events.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let mut kept: Vec<Heard> = Vec::new();
    for event in events {
        let goes_on = |k: &&mut Heard| {
            let expected_s = k.reference_start_s + (event.start_s - k.start_s) * k.speed;
            k.track == event.track
                && event.start_s - k.end_s < 2.0 * config.patience_s
                && (expected_s - event.reference_start_s).abs() < 0.3
                && (k.speed - event.speed).abs() < 0.01
        };
        match kept.iter_mut().rev().find(goes_on) {
            Some(k) if event.end_s > k.end_s => {
                k.end_s = event.end_s;
                k.reference_end_s = event.reference_end_s;
                k.score = k.score.max(event.score);
            }
            Some(_) => {}
            None => kept.push(event),
        }
    }
    kept.retain(|event| event.length_s() >= config.least_s);
    kept
}

type Answer = (u64, Result<Vec<Found>>);

/// Searches on several threads, answered in the order in which they were asked for.
struct Searches {
    ask: mpsc::Sender<(u64, Arc<Clip>)>,
    answers: mpsc::Receiver<Answer>,
    early: BTreeMap<u64, Result<Vec<Found>>>,
    next: u64,
}

impl Searches {
    fn new<'scope, S: Store + Sync + ?Sized>(
        scope: &'scope thread::Scope<'scope, '_>,
        lookup: &'scope Lookup<'_, S>,
        config: &'scope MatchConfig,
        jobs: usize,
    ) -> Self {
        let (ask, asked) = mpsc::channel::<(u64, Arc<Clip>)>();
        let asked = Arc::new(Mutex::new(asked));
        let (answer, answers) = mpsc::channel();
        for _ in 0..jobs {
            let (asked, answer) = (Arc::clone(&asked), answer.clone());
            scope.spawn(move || {
                loop {
                    let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, clip)) = next else { break };
                    if answer.send((number, lookup.look_up(&clip, config))).is_err() {
                        break;
                    }
                }
            });
        }
        Self { ask, answers, early: BTreeMap::new(), next: 0 }
    }

    fn ask(&mut self, number: u64, clip: &Arc<Clip>) {
        // Fails only when all threads are gone, which the answer then tells.
        let _ = self.ask.send((number, Arc::clone(clip)));
    }

    fn answer(&mut self) -> Result<Vec<Found>> {
        loop {
            if let Some(answer) = self.early.remove(&self.next) {
                self.next += 1;
                return answer;
            }
            match self.answers.recv() {
                Ok((number, answer)) => self.early.insert(number, answer),
                // A thread panicked; the scope says so.
                Err(_) => return Ok(Vec::new()),
            };
        }
    }
}
