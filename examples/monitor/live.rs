//! A stream, told of as it goes.

use crate::input::Piece;
use crate::interruption::Interruption;
use crate::label::clock;
use crate::text::{complain, printed, reason};
use crate::{Format, Options, formats, print};
use earmark::Reader;
use earmark::monitor::{Event, Heard, Monitor, MonitorConfig, Timeline};
use std::collections::BTreeMap;
use std::io::{self, Result, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

/// So often is looked whether the user wants an end.
const GLANCE: Duration = Duration::from_millis(100);
/// An event may turn out to have begun so long ago.
const LOOK_BACK_S: f64 = 66.0;

/// Listens until the stream ends or the user does.
///
/// # Errors
/// Standard output cannot be written to.
pub fn listen(
    options: &Options,
    reader: &Reader,
    config: MonitorConfig,
    pieces: &Receiver<Piece>,
    interruption: &Interruption,
) -> std::result::Result<ExitCode, String> {
    let mut monitor = Monitor::new(reader, config).map_err(|e| reason(&e))?;
    let mut teller = Teller::new(options.format, reader);
    let mut out = io::stdout();
    if options.format == Format::Tsv {
        printed(formats::tsv_header(&mut out))?;
    }
    monitor.set_clock(SystemTime::now());
    let (mut trouble, mut interrupted) = (false, false);
    loop {
        if interruption.asked().load(Ordering::Relaxed) {
            interrupted = true;
            break;
        }
        match pieces.recv_timeout(GLANCE) {
            Ok(Piece::Samples(samples, rate)) => {
                let events = monitor.push(&samples, rate).map_err(|e| reason(&e))?;
                if events.is_empty() && options.format != Format::Tsv {
                    continue;
                }
                match teller.tell(&mut out, events, monitor.now_s()) {
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(ExitCode::SUCCESS);
                    }
                    told => printed(told)?,
                }
            }
            Ok(Piece::Trouble(what)) => {
                trouble = true;
                complain(&format!("warning: at {}: {what}", clock(monitor.now_s())));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let now_s = monitor.now_s();
    let events = monitor.finish().map_err(|e| reason(&e))?;
    printed(teller.tell(&mut out, events, f64::INFINITY))?;
    if !matches!(options.format, Format::Table | Format::Tsv) {
        let mut timeline = Timeline::default();
        (timeline.events, timeline.duration_s) = (teller.done, now_s);
        printed(print(options, reader, &timeline))?;
    }
    let heard = now_s > 0.0;
    Ok(match (interrupted, heard) {
        (true, _) => ExitCode::from(interruption.exit_code()),
        (false, true) => ExitCode::from(u8::from(trouble)),
        (false, false) => ExitCode::from(1),
    })
}

/// Tells of events, each format in its way.
struct Teller<'a> {
    format: Format,
    reader: &'a Reader,
    /// When the events that go on began.
    open: BTreeMap<u64, f64>,
    /// Events that ended but are not told of yet, in the order of their beginnings.
    ended: Vec<Heard>,
    /// All that ended, for formats that come at the end.
    done: Vec<Heard>,
}

impl<'a> Teller<'a> {
    fn new(format: Format, reader: &'a Reader) -> Self {
        Self { format, reader, open: BTreeMap::new(), ended: Vec::new(), done: Vec::new() }
    }

    fn tell(&mut self, out: &mut dyn Write, events: Vec<Event>, now_s: f64) -> Result<()> {
        for event in events {
            if self.format == Format::Table {
                self.say(out, &event)?;
            }
            match event {
                Event::Started(heard) => {
                    self.open.insert(heard.number, heard.start_s);
                }
                Event::Ended(heard) => {
                    self.open.remove(&heard.number);
                    if !heard.withdrawn && self.format != Format::Table {
                        let at = self.ended.partition_point(|e| e.start_s <= heard.start_s);
                        self.ended.insert(at, heard);
                    }
                }
                Event::Behind { load } => complain(&format!(
                    "warning: a second of the stream takes {load:.1} s: give a larger --step"
                )),
                _ => {}
            }
        }
        // None that is still to come began before.
        let open_s = self.open.values().copied().fold(f64::INFINITY, f64::min);
        let settled_s = open_s.min(now_s - LOOK_BACK_S);
        let settled = self.ended.partition_point(|event| event.start_s <= settled_s);
        for heard in self.ended.drain(..settled) {
            if self.format == Format::Tsv {
                formats::tsv(out, &heard)?;
            } else {
                self.done.push(heard);
            }
        }
        out.flush()
    }

    fn say(&self, out: &mut dyn Write, event: &Event) -> Result<()> {
        let (what, heard) = match event {
            Event::Started(heard) => ("started", heard),
            Event::Updated(heard) => ("goes on", heard),
            Event::Ended(heard) if heard.withdrawn => ("was not", heard),
            Event::Ended(heard) => ("ended", heard),
            _ => return Ok(()),
        };
        writeln!(out, "{what:>8}  {}", formats::line(heard, self.reader))
    }
}
