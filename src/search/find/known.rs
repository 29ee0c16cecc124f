//! A place that is known: all its evidence is weighed, and nothing is looked up.

use super::{Finder, checked, with_names};
use crate::error::{Error, Result};
use crate::fingerprint::Query;
use crate::search::alignment::{Alignment, first_bin};
use crate::search::candidates::Scope;
use crate::search::config::MatchConfig;
use crate::search::findings::Findings;
use crate::search::places::excerpt_under;
use crate::search::playback::Playback;
use crate::search::strength::verify;
use crate::search::tuning;
use crate::store::Store;
use crate::units::{TimeSteps, TrackId};
use std::ops::Range;

/// As [`find`](super::find), at one place only, of which all evidence is weighed.
pub(in crate::search) fn find_at(
    store: &(impl Store + ?Sized),
    query: &Query,
    track: TrackId,
    offset_s: f64,
    config: &MatchConfig,
) -> Result<Findings> {
    let offset = TimeSteps::from_seconds(offset_s, store.config()?.stft.hop_s());
    find_placed(store, query, track, (offset, 1.0), config)
}

/// As [`find`](super::find), at one place only: the clip begins at a time of the track, from its first
/// frame on, and is played at a multiple of its speed. What is not played at the track's own speed is
/// judged as if `config.speed` had been searched.
pub(crate) fn find_placed(
    store: &(impl Store + ?Sized),
    query: &Query,
    track: TrackId,
    (offset, speed): (TimeSteps<f64>, f64),
    config: &MatchConfig,
) -> Result<Findings> {
    checked(store, query, config)?;
    let first = store.first_look(&[], 0, &[track])?;
    let blocks = first.blocks.into_iter().next().unwrap_or_default();
    if blocks.is_empty() {
        return Err(Error::NoSuchTrack { id: track });
    }
    let query = &query.calibrated(config.calibration_for(&first.totals)?);
    let scope = Scope::all(&first.totals);
    let finder = Finder { store, totals: &first.totals, scope, query, config };
    with_names(store, finder.find_placed(&blocks, offset.round(), speed)?)
}

impl<S: Store + ?Sized> Finder<'_, S> {
    fn find_placed(&self, blocks: &Range<u32>, offset: TimeSteps, speed: f64) -> Result<Findings> {
        let Self { store, totals, query, .. } = self;
        let frames = query.levels().frames();
        let under = (frames as f64 * speed.clamp(1.0, 2.0)).ceil() as usize;
        let excerpt = excerpt_under(*store, totals, blocks, offset, under)?;
        let (mut verified, mut tuned) = (Vec::new(), Vec::new());
        if let Some(excerpt) = excerpt {
            let pivot = TimeSteps(TimeSteps::from_frames(frames as i64).0 / 2);
            let playback = Playback { tempo: speed, pitch: speed };
            let alignment = Alignment { excerpt, offset, votes: 0, pivot, playback };
            if playback == Playback::UNCHANGED {
                verified.push(self.with_all_evidence(verify(query, alignment)));
            } else {
                let first_bin = first_bin(&totals.config);
                let alignment = tuning::settle(query, alignment, first_bin);
                tuned.push((self.weigh_tuned(alignment), true));
            }
        }
        Ok(self.findings(&verified, self.usual_places(), tuned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fingerprint::Fingerprinter;
    use crate::search::{SpeedRange, decide, search};
    use crate::store::Index;
    use crate::tags::TrackInfo;
    use crate::testing::music;
    use crate::units::SampleRate;

    /// A place is worth what a search that finds it says, at the track's own speed and at others; a place
    /// beside it is worth nothing.
    #[test]
    fn a_known_place_is_worth_what_a_search_says() {
        let config = Config::default();
        let mut fingerprinter = Fingerprinter::new(config.clone()).unwrap();
        let index = Index::in_memory(config.clone()).unwrap();
        let mut writer = index.writer().unwrap();
        let songs = [music(60.0, 1), music(60.0, 2)];
        let rate = SampleRate::default();
        for (i, song) in songs.iter().enumerate() {
            let track = fingerprinter.fingerprint(song, rate).unwrap();
            writer.add(TrackInfo::named(i.to_string()), &track).unwrap();
        }
        writer.commit().unwrap();
        let reader = index.reader();
        // From 20 s on, as it is and as if it were played faster.
        let piece = &songs[1][160_000..280_000];
        for rate_hz in [8000, 8240] {
            let query = fingerprinter.query(piece, SampleRate::new(rate_hz).unwrap()).unwrap();
            let speed = SpeedRange::percent(5.0).unwrap();
            let matching =
                MatchConfig { speed, max_false_alarms: f64::INFINITY, ..MatchConfig::default() };
            let found = search(&reader, &query, &matching).unwrap().swap_remove(0);
            assert!((found.speed - f64::from(rate_hz) / 8000.0).abs() < 1e-3, "{found:?}");
            let at = |offset_s: f64| {
                let first_frame_s = (found.speed - 1.0) * config.stft.window_s() / 2.0;
                let offset_s = offset_s + first_frame_s;
                let offset = TimeSteps::from_seconds(offset_s, config.stft.hop_s());
                let place = (offset, found.speed);
                let placed = find_placed(&reader, &query, found.track, place, &matching).unwrap();
                decide(&[placed], &matching).unwrap().first().map_or(1e9, |m| m.false_alarms)
            };
            let (there, beside) = (at(found.offset_s), at(found.offset_s + 7.0));
            let decades = (there / found.false_alarms).log10();
            assert!(decades.abs() < 1.0, "{there:e} {:e}", found.false_alarms);
            assert!(there < 1e-6 && beside > 1e-3, "{there:e} {beside:e}");
        }
    }
}
