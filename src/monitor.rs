//! Listening: a stream in, a timeline out.
//!
//! A [`Monitor`] says what is playing now, and what played when: on a radio stream, at a microphone, in a
//! DJ set. [`scan`] does the same with a file, faster, and with what is known afterwards.
//!
//! ```
//! use earmark::monitor::{Event, Monitor, MonitorConfig};
//! use earmark::{Config, Fingerprinter, Index, SampleRate, TrackInfo};
//! # let song: Vec<f32> = (0..240_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
//! let rate = SampleRate::new(8000)?;
//! let index = Index::in_memory(Config::default())?;
//! let track = Fingerprinter::new(Config::default())?.fingerprint(&song, rate)?;
//! let mut writer = index.writer()?;
//! writer.add(TrackInfo::named("song"), &track)?;
//! writer.commit()?;
//!
//! let reader = index.reader();
//! let mut monitor = Monitor::new(&reader, MonitorConfig::default())?;
//! let mut events = Vec::new();
//! for block in [vec![0.0; 40_000], song[80_000..160_000].to_vec(), vec![0.0; 40_000]] {
//!     events.extend(monitor.push(&block, rate)?);
//! }
//! events.extend(monitor.finish()?);
//! let [Event::Started(_), Event::Ended(heard)] = &events[..] else { panic!("{events:?}") };
//! assert_eq!(heard.name, "song");
//! assert!((heard.start_s - 5.0).abs() < 0.3 && (heard.end_s - 15.0).abs() < 0.3);
//! assert!((heard.reference_start_s - (heard.start_s + 5.0)).abs() < 0.1);
//! # Ok::<(), earmark::Error>(())
//! ```
//!
//! # The promise
//! [`MonitorConfig::max_false_per_hour`] says how many events may be false in an hour of sound of which
//! nothing is in the index. Every event has a score by the same measure.

mod clock;
mod config;
mod event;
mod lookup;
mod past;
mod rivals;
mod run;
mod scan;
mod tracker;
mod trail;

pub use config::MonitorConfig;
pub use event::{Event, Heard};
#[cfg(feature = "decode")]
pub use scan::scan_audio;
pub use scan::{ScanConfig, Timeline, scan};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::QueryStream;
use crate::search::MatchConfig;
use crate::spectrogram::Axes;
use crate::store::Store;
use crate::units::SampleRate;
use clock::Clock;
use lookup::{Clip, Lookup};
use std::time::{Instant, SystemTime};
use tracker::Tracker;

/// What a search for the monitor gives at most,
const MOST_FOUND: usize = 8;
/// and how many of them chance may give.
const FOUND_BY_CHANCE: f64 = 1.0;

/// Listens to one stream. Bounded: it keeps a minute of the stream in some form, about 12 MB, for as long
/// as the stream runs. Nothing is analysed twice. Several monitors may listen on one index, in one
/// thread or many.
///
/// See the [module](self) for an example.
pub struct Monitor<'a, S: ?Sized> {
    store: &'a S,
    config: MonitorConfig,
    search: MatchConfig,
    stream: QueryStream,
    tracker: Tracker,
    /// Frames of the stream at which the next search is due.
    due: u64,
    step_s: f64,
    /// Share of real time that is spent, lately.
    load: f64,
    is_behind: bool,
    clock: Clock,
}

impl<'a, S: Store + ?Sized> Monitor<'a, S> {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`Error::Config`] for a `config` that is out of range, [`Error::NoCalibration`] where nothing was fitted
    /// for the analysis, and those of the store.
    pub fn new(store: &'a S, config: MonitorConfig) -> Result<Self> {
        config.validate()?;
        let (totals, search) = (store.totals()?, match_config(&config));
        // Before anything is heard.
        search.calibration_for(&totals)?;
        let analysis = Config::clone(&totals.config);
        let stream = QueryStream::new(analysis.clone(), config.window_s)?;
        let mut monitor = Self {
            store,
            search,
            tracker: Tracker::new(config.clone(), Axes::new(&analysis.stft)),
            stream,
            due: 0,
            step_s: config.step_s,
            load: 0.0,
            is_behind: false,
            clock: Clock::default(),
            config,
        };
        monitor.due = monitor.step_frames();
        Ok(monitor)
    }

    /// Says which time of day it is at the next sample. Events then have it, too. Say it again after a
    /// break in the stream.
    pub fn set_clock(&mut self, now: SystemTime) {
        self.clock.set(self.stream.end_s(), now);
    }

    /// Time in the stream up to which it was listened to, in seconds.
    #[must_use]
    pub fn now_s(&self) -> f64 {
        self.stream.end_s()
    }

    /// Seconds between searches, which may have grown with the load.
    #[must_use]
    pub fn step_s(&self) -> f64 {
        self.step_s
    }

    /// Takes the next mono samples of the stream, at any rate, any number at a time, and tells what they
    /// bring. However they are cut, the events are the same, unless the load decides the steps
    /// ([`MonitorConfig::max_load`]).
    ///
    /// # Errors
    /// Those of the index.
    pub fn push(&mut self, samples: &[f32], rate: SampleRate) -> Result<Vec<Event>> {
        let stft = &self.stream.config().stft;
        // So few at a time that no more than a frame comes of them: a search is due at a certain frame.
        let hop = stft.hop_samples as u64 * u64::from(rate.hz()) / u64::from(stft.sample_rate.hz());
        let piece = (hop / 2).max(1) as usize;
        let mut events = Vec::new();
        for piece in samples.chunks(piece) {
            self.stream.push(piece, rate);
            if self.stream.frames() >= self.due {
                self.listen(&mut events, false)?;
            }
        }
        Ok(events)
    }

    /// Ends the stream, and with it all events. The next push begins another one.
    ///
    /// # Errors
    /// Those of the index.
    pub fn finish(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        self.listen(&mut events, true)?;
        let ended = self.tracker.finish(self.stream.end_s());
        events.extend(self.named(ended)?);
        self.stream.reset();
        let axes = Axes::new(&self.stream.config().stft);
        self.tracker = Tracker::new(self.config.clone(), axes);
        self.due = self.step_frames();
        self.clock = Clock::default();
        Ok(events)
    }

    fn step_frames(&self) -> u64 {
        ((self.step_s / self.stream.config().stft.hop_s()).round() as u64).max(1)
    }

    /// Looks at the last window.
    fn listen(&mut self, events: &mut Vec<Event>, is_last: bool) -> Result<()> {
        let begun = Instant::now();
        let end = self.stream.frames();
        let new = match last(&mut self.stream, self.config.window_s)? {
            Some(clip) => {
                let lookup = Lookup::new(self.store, &self.search)?;
                let clip = lookup.calibrated(clip);
                let found = lookup.look_up(&clip, &self.search)?;
                self.tracker.step(&lookup, &clip, end, &found, is_last)?
            }
            None => self.tracker.pass(end),
        };
        events.extend(self.named(new)?);
        self.follow_load(begun.elapsed().as_secs_f64(), events);
        self.due = end + self.step_frames();
        Ok(())
    }

    /// Makes steps longer where searches take too much of the time, and shorter where they do not.
    fn follow_load(&mut self, spent_s: f64, events: &mut Vec<Event>) {
        let (least_s, most_s) = (self.config.step_s, self.config.window_s - 0.5);
        // About the last four searches.
        self.load += 0.25 * (spent_s / self.step_s - self.load);
        let asked = self.step_s * self.load / self.config.max_load;
        if self.load > self.config.max_load || asked < 0.5 * self.step_s {
            self.step_s = asked.clamp(least_s, most_s.max(least_s));
        }
        let behind = self.load > 1.0 && self.step_s >= most_s;
        if behind && !self.is_behind {
            events.push(Event::Behind { load: self.load });
        }
        self.is_behind = behind;
    }

    /// Adds names and times of day.
    fn named(&self, mut events: Vec<Event>) -> Result<Vec<Event>> {
        for event in &mut events {
            if let Event::Started(heard) | Event::Updated(heard) | Event::Ended(heard) = event {
                complete(&Lookup::new(self.store, &self.search)?, heard)?;
                heard.started_at = self.clock.at(heard.start_s);
                heard.ended_at = self.clock.at(heard.end_s);
            }
        }
        Ok(events)
    }
}

fn match_config(config: &MonitorConfig) -> MatchConfig {
    MatchConfig {
        max_matches: MOST_FOUND,
        max_false_alarms: FOUND_BY_CHANCE,
        speed: config.speed,
        calibration: config.calibration.clone(),
        ..MatchConfig::default()
    }
}

/// The last window of a stream. `None` if there is nothing to look up in it.
fn last(stream: &mut QueryStream, window_s: f64) -> Result<Option<Clip>> {
    match stream.last(window_s) {
        Ok(query) => Ok(Some(Clip { begin_s: stream.end_s() - query.duration_s(), query })),
        Err(Error::TooShort { .. } | Error::Silent { .. } | Error::Featureless { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Adds what the index knows of a track.
fn complete(lookup: &Lookup<'_, impl Store + ?Sized>, heard: &mut Heard) -> Result<()> {
    if let Some(track) = lookup.track(heard.track)? {
        heard.name = track.name;
        heard.reference_end_s = heard.reference_end_s.min(track.duration_s);
    }
    Ok(())
}
