//! The raw material of all fits: what is read in clips, and the places that a search weighs for them.

use crate::clips::{Maker, rate};
use crate::music::Music;
use crate::objective::DEFAULT_PROMISE;
use crate::ordered::in_order;
use crate::parts::Part;
use crate::plan::{Clip, Design, Source};
use crate::progress::Progress;
use crate::readings::{Counts, Reference};
use crate::rng::Rng;
use crate::spectral::Spectral;
use crate::text::{count, reason, shown};
use earmark::evidence::PlaceEvidence;
use earmark::evidence::quality::Traits;
use earmark::search::{Place, TrackFilter, weighed_places};
use earmark::{Calibration, Fingerprinter, MatchConfig, Query, TrackId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Tracks whose peaks are read where they do not belong.
const REFERENCES: usize = 16;
/// Of a track that shares sound with an indexed one, so many clips at least are answered by that one, and
/// one in so many: twenty times what is promised.
const FEWEST_SHARING: usize = 3;
const RAREST_SHARING: usize = 50;
/// A strength is a rival's if it differs by no more.
const EQUAL: f64 = 1e-9;

/// What the clips are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Of indexed tracks.
    Present,
    /// Of others.
    Absent,
    /// Of others that have a loop in common with an indexed one.
    Shared,
}

/// What holds a place down: see `Place::rival`.
#[derive(Clone, Copy, Debug)]
pub enum Rival {
    /// The place of this number.
    Place(usize),
    /// As strong as chance usually makes one: stronger ones explain other peaks of the clip.
    Usual,
    /// Nothing: no other track was found, or none that agrees with the clip.
    None,
}

/// A place that was weighed.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    pub evidence: PlaceEvidence,
    /// It is in the clip's own track.
    pub right: bool,
    pub rival: Rival,
    /// −log10 of its false alarms in that search.
    pub score: f64,
}

/// A clip and what was found for it.
pub struct Trial {
    pub group: Group,
    pub part: Part,
    pub kind: usize,
    pub length: usize,
    pub duration_s: f64,
    pub traits: Traits,
    pub hours: f64,
    /// The folder of the track that it is cut from: a maker, a series, a package.
    pub maker: String,
    /// Name of the track that it is cut from, and of the one whose place is best.
    pub names: [String; 2],
    /// The fewest false alarms first.
    pub spots: Vec<Spot>,
}

/// What all threads share.
pub struct Bench<'a> {
    music: &'a Music,
    design: &'a Design,
    maker: Maker<'a>,
    jobs: usize,
}

/// Clips of one source.
struct Item<'a> {
    group: Group,
    part: Part,
    source: &'a Source,
    /// Its samples, if it is no file.
    samples: Option<&'a [f32]>,
}

/// What each thread has for itself.
struct Hands {
    fingerprinter: Fingerprinter,
    spectral: Spectral,
}

impl<'a> Bench<'a> {
    pub fn new(music: &'a Music, design: &'a Design, jobs: usize) -> Self {
        let maker = Maker { design, others: music.others.clone() };
        Self { music, design, maker, jobs }
    }

    fn items(&self) -> Vec<Item<'a>> {
        let music = self.music;
        let item = |group, source: &'a Source| {
            let part = music.part(&source.name);
            Item { group, part, source, samples: None }
        };
        let present = music.present.iter().map(|source| item(Group::Present, source));
        let absent = music.absent.iter().map(|source| item(Group::Absent, source));
        let pairs = music.pairs.iter().map(|pair| Item {
            group: Group::Shared,
            part: pair.part,
            source: &pair.source,
            samples: Some(&pair.other),
        });
        present.chain(absent).chain(pairs).filter(|item| !item.source.clips.is_empty()).collect()
    }

    /// Makes the clips of some items and does `work` with each: given the item, its samples, the clip as a
    /// query and where it begins, in seconds.
    fn each<R: Send>(
        &self,
        wanted: impl Fn(&Item<'a>) -> bool,
        work: impl Fn(&mut Fingerprinter, &Item<'a>, &[f32], &[(Clip, Query, f64)]) -> Vec<R> + Sync,
    ) -> Result<Vec<R>, String> {
        let items: Vec<Item<'a>> = self.items().into_iter().filter(wanted).collect();
        let reader = self.music.index.reader();
        let config = reader.config();
        let start = || Hands {
            fingerprinter: Fingerprinter::new(config.clone()).expect("the index has checked it"),
            spectral: Spectral::default(),
        };
        let one = |hands: &mut Hands, item: &Item<'a>| {
            let decoded = match item.samples {
                Some(samples) => Ok(samples.to_vec()),
                None => self.maker.decode(item.source),
            }?;
            let mut made = Vec::new();
            for clip in &item.source.clips {
                let clip_made =
                    self.maker.make(&decoded, item.source, clip, &mut hands.spectral)?;
                let Some((samples, start_s)) = clip_made else { continue };
                // A clip in which there is nothing to look for is no clip.
                if let Ok(query) = hands.fingerprinter.query(&samples, rate()) {
                    made.push((clip.clone(), query, start_s));
                }
            }
            Ok(work(&mut hands.fingerprinter, item, &decoded, &made))
        };
        let mut progress = Progress::new(items.len());
        let mut all = Vec::new();
        let take = |item: &Item<'a>, results: Result<Vec<R>, String>| {
            match results {
                Ok(results) => {
                    let lengths = item.source.clips.iter().map(|c| self.design.lengths_s[c.length]);
                    progress.file_done(lengths.sum());
                    all.extend(results);
                }
                Err(why) => {
                    let (path, clips) =
                        (shown(&item.source.path), count(item.source.clips.len(), "clip"));
                    progress.say(&format!("warning: {path}: {clips} left out: {why}"));
                    progress.file_done(0.0);
                }
            }
            Ok::<(), String>(())
        };
        in_order(&items, self.jobs, start, one, take)?;
        if all.is_empty() { Err("no clip could be made".into()) } else { Ok(all) }
    }

    /// What is read under peaks in the clips that are fitted to, where they belong and elsewhere; and how
    /// many peaks tracks have in a second. With a calibration, its table tells where exactly they belong.
    pub fn readings(&self, known: Option<&Arc<Calibration>>) -> Result<(Counts, f64), String> {
        let fit = |item: &Item<'a>| item.group == Group::Present && item.part == Part::Fit;
        let hop_s = self.music.index.reader().config().stft.hop_s();
        let references = self.references()?;
        let read = self.each(fit, |fingerprinter, item, samples, made| {
            let Ok(track) = fingerprinter.fingerprint(samples, rate()) else { return Vec::new() };
            let read = made.iter().map(|(clip, query, start_s)| {
                let query = match known {
                    Some(known) => query.calibrated(Arc::clone(known)),
                    None => query.clone(),
                };
                let mut counts = Counts::default();
                counts.read_right(&query, track.peaks(), *start_s / hop_s, known.is_some());
                let mut rng = Rng::of(clip.seed, &[20]);
                counts.read_wrong(&query, &references, &item.source.name, &mut rng);
                counts
            });
            read.collect()
        })?;
        let peaks: usize = references.iter().map(|r| r.track.peaks().len()).sum();
        let seconds: f64 = references.iter().map(|r| r.track.duration_s()).sum();
        Ok((Counts::sum(read), peaks as f64 / seconds.max(1.0)))
    }

    /// Tracks of the part that is fitted to.
    fn references(&self) -> Result<Vec<Reference>, String> {
        let config = self.music.index.reader().config().clone();
        let mut fingerprinter = Fingerprinter::new(config).map_err(|e| reason(&e))?;
        let fit = self.music.present.iter().filter(|s| self.music.part(&s.name) == Part::Fit);
        let mut references = Vec::new();
        for source in fit.take(REFERENCES) {
            let samples = self.maker.decode(source)?;
            if let Ok(track) = fingerprinter.fingerprint(&samples, rate()) {
                references.push(Reference { name: source.name.clone(), track });
            }
        }
        Ok(references)
    }

    /// Looks the clips of some parts up. Those of indexed tracks are also looked up among all others, where
    /// they are clips of a track that is not indexed.
    pub fn search(&self, calibration: &Calibration, parts: &[Part]) -> Result<Vec<Trial>, String> {
        let matching = MatchConfig {
            calibration: Some(Arc::new(calibration.clone())),
            ..MatchConfig::default()
        };
        let reader = self.music.index.reader();
        let found = self.each(
            |item| parts.contains(&item.part),
            |_, item, _, made| {
                let look_up = |group, (clip, query, _): &(Clip, Query, f64)| {
                    let own = item.source.track.filter(|_| group == Group::Absent);
                    let filter = TrackFilter::Except(own.into_iter().collect());
                    let matching = MatchConfig { filter, ..matching.clone() };
                    let places = weighed_places(&reader, query, &matching);
                    places.map(|places| Trial {
                        group,
                        part: item.part,
                        kind: clip.kind,
                        length: clip.length,
                        duration_s: query.duration_s(),
                        traits: query.traits().copied().unwrap_or_default(),
                        hours: self.music.hours(),
                        maker: maker_of(&item.source.path),
                        names: [
                            item.source.name.clone(),
                            places.first().map(|p| p.name.clone()).unwrap_or_default(),
                        ],
                        spots: spots(&places, item.source.track),
                    })
                };
                let alone = item.source.track.is_some_and(|id| !self.music.twins.contains(&id));
                let among_others = made.iter().filter(|_| alone && item.group == Group::Present);
                let own = made.iter().map(|made| look_up(item.group, made));
                own.chain(among_others.map(|made| look_up(Group::Absent, made))).collect()
            },
        )?;
        found.into_iter().map(|trial| trial.map_err(|e| reason(&e))).collect()
    }
}

fn maker_of(path: &Path) -> String {
    path.parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Tracks that are not indexed, of whose clips several are answered by one and the same track: these two
/// have recorded sound in common. Chance would not choose the same track so often.
pub fn sharing(trials: &[Trial]) -> BTreeSet<String> {
    let mut clips: BTreeMap<&str, usize> = BTreeMap::new();
    let mut answered: BTreeMap<[&str; 2], usize> = BTreeMap::new();
    for trial in trials.iter().filter(|t| t.group == Group::Absent) {
        let [from, to] = trial.names.each_ref().map(String::as_str);
        *clips.entry(from).or_default() += 1;
        if trial.spots.first().is_some_and(|spot| spot.score >= -DEFAULT_PROMISE.log10()) {
            *answered.entry([from, to]).or_default() += 1;
        }
    }
    let many = |from: &str, n: usize| n >= FEWEST_SHARING && n * RAREST_SHARING >= clips[from];
    let sharing = answered.into_iter().filter(|([from, _], n)| many(from, *n));
    sharing.map(|([from, _], _)| from.to_owned()).collect()
}

/// What the fits need of places.
fn spots(places: &[Place], own: Option<TrackId>) -> Vec<Spot> {
    let spot = |place: &Place| Spot {
        evidence: place.evidence,
        right: Some(place.track) == own,
        rival: rival(place, places),
        score: place.score,
    };
    places.iter().map(spot).collect()
}

fn rival(place: &Place, places: &[Place]) -> Rival {
    let is_rival =
        |other: &Place| other.track != place.track && (other.strength - place.rival).abs() <= EQUAL;
    match places.iter().position(is_rival) {
        Some(i) => Rival::Place(i),
        None if place.rival > 0.0 => Rival::Usual,
        None => Rival::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_that_share_sound_are_told_by_repeated_answers() {
        let trial = |from: &str, to: &str, score: f64| Trial {
            group: Group::Absent,
            part: Part::Fit,
            kind: 0,
            length: 0,
            duration_s: 5.0,
            traits: Traits::default(),
            hours: 9.0,
            maker: String::new(),
            names: [from.into(), to.into()],
            spots: vec![Spot {
                evidence: PlaceEvidence::default(),
                right: false,
                rival: Rival::None,
                score,
            }],
        };
        let clips = |from: &str, answered: &[&str], others: usize| {
            let answered = answered.iter().map(|to| trial(from, to, 3.5)).collect::<Vec<_>>();
            answered.into_iter().chain((0..others).map(|_| trial(from, "x", 2.5))).collect()
        };
        let trials: Vec<Vec<Trial>> = vec![
            clips("often by one", &["x", "x", "x"], 40),
            clips("too rarely", &["x", "x", "x"], 400),
            clips("by two", &["x", "x", "y"], 40),
        ];
        let found = sharing(&trials.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["often by one"]);
    }
}
