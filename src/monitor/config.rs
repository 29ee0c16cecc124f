//! How a stream is listened to.

use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::search::SpeedRange;
use crate::units::TrackId;
use std::sync::Arc;

/// How a stream is listened to. The defaults suit radio.
///
/// ```
/// use earmark::SpeedRange;
/// use earmark::monitor::MonitorConfig;
/// let mut config = MonitorConfig::default();
/// config.speed = SpeedRange::percent(5.0)?; // songs are often played faster
/// config.patience_s = 20.0;
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MonitorConfig {
    /// False events that are allowed in an hour of sound of which nothing is in the index. Default 0.001:
    /// one in a thousand hours. More events are found, and sooner, the more are allowed.
    pub max_false_per_hour: f64,
    /// How much faster or slower than the track a track may be played. Default [`SpeedRange::OFF`]. It
    /// takes several times as long to look for other speeds.
    pub speed: SpeedRange,
    /// A track that is not heard for less than so many seconds, and then goes on as if it had not stopped,
    /// was interrupted: that is one event. Events end as much later. 1 to 120. Default 10 s.
    pub patience_s: f64,
    /// So often, in seconds, the index is searched. An event is reported half a step later on average; a
    /// search costs the same however often it is done. 0.25 to half a second less than
    /// [`window_s`](Self::window_s). Default 2 s.
    pub step_s: f64,
    /// Seconds of the stream that are looked up. Longer ones find fainter music in one search; shorter ones
    /// cost less. 3 to 20. Default 6 s.
    pub window_s: f64,
    /// Events that turn out to be shorter than this are not reported. An event that has started was longer
    /// by then. Default 0 s.
    pub least_s: f64,
    /// An [`Updated`](super::Event::Updated) is wanted so often, in seconds, for each event that goes on.
    /// Default none.
    pub update_s: Option<f64>,
    /// Tracks that are not to be reported. They are followed all the same, so that nothing else is found
    /// in their place. Default none.
    pub ignored: Vec<TrackId>,
    /// Share of real time that searches may take. If they take more, steps grow up to a whole window. If that
    /// is not enough, [`Behind`](super::Event::Behind) says so. Nothing is left out. Default 0.8. Infinity
    /// lets steps be as they are: events then depend on nothing but the samples.
    pub max_load: f64,
    /// The calibration that searches go by. Default none: that of the index, or else the one built in for its
    /// analysis.
    pub calibration: Option<Arc<Calibration>>,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            max_false_per_hour: 0.001,
            speed: SpeedRange::OFF,
            patience_s: 10.0,
            step_s: 2.0,
            window_s: 6.0,
            least_s: 0.0,
            update_s: None,
            ignored: Vec::new(),
            max_load: 0.8,
            calibration: None,
        }
    }
}

impl MonitorConfig {
    /// Checks the ranges; every monitor does.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let within = |field, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let expected = format!("{least} to {most}");
            Err(Error::Config { field, value: value.to_string(), expected })
        };
        within("monitor.max_false_per_hour", self.max_false_per_hour, 1e-12, 1e6)?;
        within("monitor.patience_s", self.patience_s, 1.0, 120.0)?;
        within("monitor.window_s", self.window_s, 3.0, 20.0)?;
        within("monitor.step_s", self.step_s, 0.25, self.window_s - 0.5)?;
        within("monitor.least_s", self.least_s, 0.0, 3600.0)?;
        within("monitor.update_s", self.update_s.unwrap_or(1.0), 0.1, f64::MAX)?;
        within("monitor.max_load", self.max_load, 1e-3, f64::INFINITY)
    }
}
