//! The tracks: an index of most of them, and the files from which clips are cut.

use crate::Options;
use crate::audio_files;
use crate::clips;
use crate::in_memory::index_in_memory;
use crate::opening::open_audio;
use crate::ordered::in_order;
use crate::pairs::{self, Pair};
use crate::parts::{Part, Role, deal};
use crate::plan::{Design, Source};
use crate::rng::Rng;
use crate::sources;
use crate::text::{complain, count, reason};
use earmark::search::TrackFilter;
use earmark::tags::track_name;
use earmark::{Calibration, Config, Fingerprinter, Index, MatchConfig, TrackId};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

const FEWEST_TRACKS: usize = 60;
/// A held-out track of which a clean clip of ten seconds has so few false alarms holds a recording that
/// is indexed, too.
const SAME_RECORDING: f64 = 1e-6;
/// So many such clips are tried.
const PROBES: usize = 4;
const PROBE_S: f64 = 10.0;

pub struct Music {
    pub index: Index,
    /// Indexed tracks,
    pub present: Vec<Source>,
    /// and others.
    pub absent: Vec<Source>,
    pub loops: Vec<PathBuf>,
    pub bases: Vec<PathBuf>,
    /// Stretches of held-out tracks, to be mixed with clips.
    pub others: Vec<(String, Vec<f32>)>,
    pub pairs: Vec<Pair>,
    /// Held-out tracks that were left out, and the indexed ones that hold the same.
    pub left_out: Vec<(String, String)>,
    /// Indexed tracks that hold what another one holds.
    pub twins: HashSet<TrackId>,
    pub parts: HashMap<String, (Role, Part)>,
    /// Where each lies.
    pub paths: HashMap<String, PathBuf>,
    pub seed: u64,
}

impl Music {
    pub fn read(
        options: &Options,
        config: &Config,
        calibration: &Arc<Calibration>,
        jobs: usize,
    ) -> Result<Self, String> {
        let mut seen = HashSet::new();
        let mut files = audio_files::expand(&options.folders)?;
        files.retain(|file| seen.insert(track_name(file)));
        files.retain(|file| long_enough(file, options.shortest));
        let files = sources::without_copies(files);
        let files = if options.quick { some(files, options.seed) } else { files };
        if files.len() < FEWEST_TRACKS {
            let found = count(files.len(), "track");
            let shortest = options.shortest;
            return Err(format!("{found} of {shortest} s: it takes {FEWEST_TRACKS} at least"));
        }
        let dealt = deal(files.len(), options.seed);
        let parts = files.iter().map(|file| track_name(file)).zip(dealt.iter().copied()).collect();
        let of = |role: Role| -> Vec<PathBuf> {
            let with_role = files.iter().zip(&dealt).filter(|(_, dealt)| dealt.0 == role);
            with_role.map(|(file, _)| file.clone()).collect()
        };
        let indexed = of(Role::Indexed);
        let index = index_in_memory(config, &indexed, jobs)?;
        let present = sources::indexed(&index.reader(), indexed);
        let mut music = Self {
            index,
            present,
            absent: sources::held_out(of(Role::HeldOut)),
            loops: of(Role::Loop),
            bases: of(Role::Base),
            others: Vec::new(),
            pairs: Vec::new(),
            left_out: Vec::new(),
            twins: HashSet::new(),
            parts,
            paths: files.iter().map(|file| (track_name(file), file.clone())).collect(),
            seed: options.seed,
        };
        music.leave_out_known(calibration, jobs);
        let longest_s = crate::LENGTHS_S[crate::LENGTHS_S.len() - 1];
        music.others = sources::others(music.absent.iter(), longest_s, options.seed, jobs);
        Ok(music)
    }

    /// Leaves out held-out tracks that hold a recording which is indexed: what is found for their clips is
    /// right. (Tracks that share sounds stay.) Finds the indexed tracks of which that is true, too.
    fn leave_out_known(&mut self, calibration: &Arc<Calibration>, jobs: usize) {
        let absent = self.absent.iter().map(|source| &source.path);
        let not_indexed = absent.chain(&self.loops).chain(&self.bases);
        let indexed = self.present.iter().map(|source| (source.path.clone(), source.track));
        let paths: Vec<(PathBuf, Option<TrackId>)> =
            not_indexed.map(|path| (path.clone(), None)).chain(indexed).collect();
        let index = self.index.reader();
        let start =
            || Fingerprinter::new(index.config().clone()).expect("the index has checked it");
        let work = |fingerprinter: &mut Fingerprinter, (path, own): &(PathBuf, Option<TrackId>)| {
            let matching = MatchConfig {
                max_matches: 1,
                max_false_alarms: SAME_RECORDING,
                calibration: Some(Arc::clone(calibration)),
                filter: TrackFilter::Except(own.iter().copied().collect()),
                ..MatchConfig::default()
            };
            let track = clips::decode(path).ok()?;
            let len = clips::samples(PROBE_S);
            let room = track.len().saturating_sub(len);
            (0..PROBES).find_map(|i| {
                let start = room * (2 * i + 1) / (2 * PROBES);
                let clip = track.get(start..start + len)?;
                let query = fingerprinter.query(clip, clips::rate()).ok()?;
                let found = index.search(&query, &matching).ok()?;
                found.into_iter().next().map(|m| m.name)
            })
        };
        let mut known: HashMap<PathBuf, String> = HashMap::new();
        let mut twins = HashSet::new();
        let take = |(path, own): &(PathBuf, Option<TrackId>), found: Option<String>| {
            match own {
                Some(track) => twins.extend(found.map(|_| *track)),
                None => known.extend(found.map(|name| (path.clone(), name))),
            }
            Ok::<(), std::convert::Infallible>(())
        };
        let Ok(()) = in_order(&paths, jobs, start, work, take);
        for (path, of) in &known {
            complain(&format!("note: {} is left out: it holds what is in {of}", track_name(path)));
        }
        self.absent.retain(|source| !known.contains_key(&source.path));
        self.loops.retain(|path| !known.contains_key(path));
        self.bases.retain(|path| !known.contains_key(path));
        self.twins = twins;
        self.left_out = known.into_iter().map(|(path, of)| (track_name(&path), of)).collect();
        self.left_out.sort();
    }

    /// Mixes pairs of pieces over one loop each, and indexes one of each pair.
    pub fn mix_pairs(&mut self, pairs: usize, design: &Design, jobs: usize) -> Result<(), String> {
        self.pairs = pairs::mix(self, pairs, design, jobs);
        let mut fingerprinter =
            Fingerprinter::new(self.index.reader().config().clone()).map_err(|e| reason(&e))?;
        let mut writer = self.index.writer().map_err(|e| reason(&e))?;
        for pair in self.pairs.iter().enumerate() {
            pairs::index(&mut writer, &mut fingerprinter, pair)?;
        }
        writer.commit().map_err(|e| reason(&e))?;
        Ok(())
    }

    /// The part of a track.
    pub fn part(&self, name: &str) -> Part {
        self.parts.get(name).map_or(Part::Fit, |dealt| dealt.1)
    }

    /// Hours of the index.
    pub fn hours(&self) -> f64 {
        self.index.reader().duration_s() / 3600.0
    }
}

/// As many tracks as are needed at least.
fn some(mut files: Vec<PathBuf>, seed: u64) -> Vec<PathBuf> {
    Rng::of(seed, &[14]).shuffle(&mut files);
    files.truncate(FEWEST_TRACKS);
    files.sort();
    files
}

/// Whether a file says that it is so long; those that say nothing are taken.
fn long_enough(file: &std::path::Path, shortest_s: f64) -> bool {
    let opened = open_audio(file, &clips::analysis());
    opened.is_ok_and(|reader| reader.info().declared_duration_s.is_none_or(|s| s >= shortest_s))
}
