//! Pairs of different pieces over the same loop: one is indexed, clips are cut from the other. What is
//! found for these clips is a false answer, and the likeliest that there is.

use crate::clips::{self, rate};
use crate::music::Music;
use crate::ordered::in_order;
use crate::parts::Part;
use crate::plan::{Clip, Design, Source};
use crate::rng::Rng;
use crate::spectral::{gain, power};
use crate::text::reason;
use earmark::tags::track_name;
use earmark::{Fingerprinter, TrackInfo, Writer};
use std::path::{Path, PathBuf};

/// Length of the pieces, and from which to which that of the loops is.
const PIECE_S: f64 = 40.0;
const LOOP_S: (f64, f64) = (2.0, 6.0);
/// Levels of a loop beside the pieces.
const LEVELS_DB: [f64; 3] = [-6.0, 0.0, 6.0];
/// Clips of each pair.
const CLIPS: usize = 9;

pub struct Pair {
    pub part: Part,
    /// The piece that is indexed, until it is,
    pub indexed: Vec<f32>,
    /// and the other one.
    pub other: Vec<f32>,
    /// The other one, as a source of clips.
    pub source: Source,
}

/// What a pair is made of.
struct Recipe {
    number: usize,
    part: Part,
    loop_of: PathBuf,
    base: PathBuf,
    other: PathBuf,
}

/// Mixes pairs, as far as tracks of all roles are there.
pub fn mix(music: &Music, pairs: usize, design: &Design, jobs: usize) -> Vec<Pair> {
    let of = |paths: &[PathBuf], part: Part| -> Vec<PathBuf> {
        paths.iter().filter(|path| music.part(&track_name(path)) == part).cloned().collect()
    };
    let absent: Vec<PathBuf> = music.absent.iter().map(|source| source.path.clone()).collect();
    let mut recipes = Vec::new();
    for (part, share) in [(Part::Fit, 0.5), (Part::Choose, 0.2), (Part::Report, 0.3)] {
        let [loops, bases, others] =
            [&music.loops, &music.bases, &absent].map(|paths| of(paths, part));
        if loops.is_empty() || bases.is_empty() || others.is_empty() {
            continue;
        }
        let mut rng = Rng::of(music.seed, &[11, part as u64]);
        for _ in 0..(pairs as f64 * share).round() as usize {
            let mut one = |paths: &[PathBuf]| paths[rng.below(paths.len())].clone();
            let (loop_of, base, other) = (one(&loops), one(&bases), one(&others));
            recipes.push(Recipe { number: recipes.len(), part, loop_of, base, other });
        }
    }
    let cells = design.cells();
    let mut made = Vec::new();
    let work = |(): &mut (), recipe: &Recipe| make(recipe, music.seed);
    let take = |recipe: &Recipe, pieces: Option<(Vec<f32>, Vec<f32>)>| {
        if let Some((indexed, other)) = pieces {
            let mut rng = Rng::of(music.seed, &[12, recipe.number as u64]);
            let clip = |_| {
                let cell = rng.below(cells);
                let (kind, length) = (cell / design.lengths_s.len(), cell % design.lengths_s.len());
                Clip { kind, length, seed: rng.next() }
            };
            let clips = (0..CLIPS).map(clip).collect();
            let source = Source {
                path: recipe.other.clone(),
                name: track_name(&recipe.other),
                track: None,
                duration_s: Some(PIECE_S),
                clips,
            };
            made.push(Pair { part: recipe.part, indexed, other, source });
        }
        Ok::<(), std::convert::Infallible>(())
    };
    let Ok(()) = in_order(&recipes, jobs, || (), work, take);
    made
}

/// Adds the piece of a pair that is to be indexed.
pub fn index(
    writer: &mut Writer,
    fingerprinter: &mut Fingerprinter,
    (number, pair): (usize, &Pair),
) -> Result<(), String> {
    let name = format!("pair {number}");
    // A piece in which there is nothing is no pair.
    if let Ok(fingerprint) = fingerprinter.fingerprint(&pair.indexed, rate()) {
        writer.add(TrackInfo::named(name), &fingerprint).map_err(|e| reason(&e))?;
    }
    Ok(())
}

/// Two pieces over one loop.
fn make(recipe: &Recipe, seed: u64) -> Option<(Vec<f32>, Vec<f32>)> {
    let mut rng = Rng::of(seed, &[13, recipe.number as u64]);
    let loop_s = rng.between(LOOP_S.0, LOOP_S.1);
    let mut stretch = |path: &Path, length_s: f64| {
        let track = clips::decode(path).ok()?;
        clips::loud_stretch(&track, length_s.min(track.len() as f64 / 16_000.0), &mut rng)
    };
    let repeated = stretch(&recipe.loop_of, loop_s)?;
    let pieces = [stretch(&recipe.base, PIECE_S)?, stretch(&recipe.other, PIECE_S)?];
    let level_db = LEVELS_DB[recipe.number % LEVELS_DB.len()];
    let [indexed, other] = pieces.map(|mut piece| {
        let scale = power(&piece).sqrt() / power(&repeated).max(1e-30).sqrt() * gain(level_db);
        // Each begins somewhere in the loop.
        let begin = rng.below(repeated.len());
        let loop_from_there = repeated.iter().cycle().skip(begin);
        piece
            .iter_mut()
            .zip(loop_from_there)
            .for_each(|(x, y)| *x += (scale * f64::from(*y)) as f32);
        piece
    });
    Some((indexed, other))
}
