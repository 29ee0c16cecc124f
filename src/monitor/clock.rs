//! The time of day in a stream.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// So many settings are remembered.
const REMEMBERED: usize = 64;

/// Times of day at some times of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(VecDeque<(f64, SystemTime)>);

impl Clock {
    /// It is `now` at a time of the stream.
    pub fn set(&mut self, stream_s: f64, now: SystemTime) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((stream_s, now));
    }

    /// The time of day at a time of the stream, by the last setting before it.
    pub fn at(&self, stream_s: f64) -> Option<SystemTime> {
        let before = self.0.iter().rev().find(|set| set.0 <= stream_s);
        let (set_s, time) = *before.or(self.0.front())?;
        let apart = Duration::try_from_secs_f64((stream_s - set_s).abs()).ok()?;
        if stream_s >= set_s { time.checked_add(apart) } else { time.checked_sub(apart) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_go_by_the_last_setting_before() {
        let mut clock = Clock::default();
        assert_eq!(clock.at(1.0), None);
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(43_200);
        clock.set(10.0, noon);
        // A break of a minute.
        clock.set(20.0, noon + Duration::from_secs(70));
        let at = |s: f64| clock.at(s).unwrap().duration_since(noon).map(|d| d.as_secs_f64());
        assert_eq!((at(15.0).unwrap(), at(21.0).unwrap()), (5.0, 71.0));
        assert_eq!(clock.at(4.0), Some(noon - Duration::from_secs(6)));
        (0..1000).for_each(|i| clock.set(f64::from(i), noon));
        assert_eq!(clock.0.len(), REMEMBERED);
    }
}
