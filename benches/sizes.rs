//! An index of 1,000 tracks of 200 s, or of other sizes: building, opening, searching, changing, merging.
//!
//! `EARMARK_BENCH_TRACKS=1000,10000,100000` says which sizes: 100,000 tracks take 8 GB of the temporary
//! folder, up to 6 more for merging, and half an hour. `EARMARK_BENCH_FIGURES=docs/sizes` puts the figures
//! into `docs/sizes.tsv`, beside those of other sizes that are there, and draws all as `docs/sizes.svg`.
//!
//! Searches and opening are measured in processor time. What is done once, or waits for the disk, is timed by
//! hand.

#[path = "common/chart.rs"]
mod chart;
#[path = "common/clock.rs"]
mod clock;
mod common;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/pieces.rs"]
mod pieces;

use chart::Panel;
use clock::{memory_bytes, process_time, thread_time};
use common::{in_parallel, quick};
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use earmark::store::{Merging, OpenOptions, TrackEntry};
use earmark::{Config, Index, MatchConfig, Query, TrackInfo};
use figures::Figures;
use pieces::{Pieces, name};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, thread};

const PIECES: u64 = 100;
/// Fingerprints that are in memory at once.
const AT_ONCE: u64 = 200;
/// How often a track is added, and one removed.
const CHANGES: u64 = 20;
/// Tracks of an index that is taken in,
const OTHERS: u64 = 1_000;
/// and how many of these are, one after the other.
const TIMES: u64 = 8;
/// Set in the process whose memory is measured: the index that it opens.
const OPENS: &str = "EARMARK_BENCH_OPENS";

const PANELS: [Panel; 2] = [
    Panel {
        title: "Processor time, ms",
        decades: [-2, 3],
        lines: &[
            ("absent_ms", "search, absent clips", "#b2182b"),
            ("noisy_ms", "search, noisy clips", "#d6604d"),
            ("clear_ms", "search, clear clips", "#f4a582"),
            ("add_cpu_ms", "add and commit", "#2166ac"),
            ("remove_cpu_ms", "remove and commit", "#4393c3"),
            ("open_ms", "open", "#1b7837"),
        ],
    },
    Panel {
        title: "Size, MB",
        decades: [1, 4],
        lines: &[
            ("index_mb", "index", "#2166ac"),
            ("memory_mb", "memory besides the page cache", "#b2182b"),
        ],
    },
];

fn main() {
    if let Some(path) = env::var_os(OPENS) {
        return search_in_index(Path::new(&path));
    }
    let sizes = env::var("EARMARK_BENCH_TRACKS").unwrap_or_else(|_| "1000".into());
    let sizes = sizes.split(',').map(|size| size.trim().parse::<u64>());
    let sizes: Vec<u64> =
        sizes.collect::<Result<_, _>>().expect("numbers, with commas between them");
    let out = env::var_os("EARMARK_BENCH_FIGURES").map(PathBuf::from);
    let tsv = out.as_ref().map(|out| out.with_extension("tsv"));
    let mut figures = tsv.as_ref().map_or_else(Figures::default, |path| Figures::read(path));
    let mut criterion = quick().configure_from_args();
    let pieces = Pieces::new(PIECES);
    let [peaks, landmarks] = pieces.density();
    println!("{PIECES} pieces: {peaks:.1} peaks and {landmarks:.1} landmarks a second");
    for size in sizes {
        measure(&mut criterion, &pieces, size, &mut figures);
        if let Some(tsv) = &tsv {
            figures.write(tsv);
        }
    }
    criterion.final_summary();
    println!("\n{}", figures.table());
    if let Some(out) = out {
        std::fs::write(out.with_extension("svg"), chart::svg(&figures, [3, 5], &PANELS)).unwrap();
    }
}

/// Measures everything at one size.
fn measure(criterion: &mut Criterion, pieces: &Pieces, tracks: u64, figures: &mut Figures) {
    let mut note = |key: &str, value: f64| {
        println!("{tracks} tracks: {key} {value:.2}");
        figures.set(tracks, key, value);
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let (took, processor) = build(&path, pieces, 0..tracks);
    let index = Index::open(&path).unwrap();
    let stats = index.reader().stats();
    assert_eq!(stats.tracks, tracks);
    note("hours", stats.duration_s / 3600.0);
    note("index_mb", stats.bytes as f64 / 1e6);
    note("bytes_per_s", stats.bytes as f64 / stats.duration_s);
    note("segments", stats.segments.len() as f64);
    note("build_per_s", tracks as f64 / took.as_secs_f64());
    note("build_real_time", stats.duration_s / took.as_secs_f64());
    note("build_cpu_ms", ms(processor) / tracks as f64);

    let mut group = criterion.benchmark_group(format!("{tracks} tracks"));
    let open = || {
        assert_eq!(Index::open(&path).unwrap().reader().len(), tracks);
    };
    if let Some([median, _]) = sample(&mut group, "open", open) {
        note("open_ms", median);
    }
    check(&index, pieces);
    let clear: Vec<&Query> = pieces.clear.iter().map(|clip| &clip.query).collect();
    let noisy: Vec<&Query> = pieces.noisy.iter().map(|clip| &clip.query).collect();
    let absent: Vec<&Query> = pieces.absent.iter().collect();
    for (kind, queries) in [("clear", clear), ("noisy", noisy), ("absent", absent)] {
        let reader = index.reader();
        let mut queries = queries.iter().cycle();
        let search = || {
            let query = queries.next().expect("there are clips");
            std::hint::black_box(reader.search(query, &MatchConfig::default()).unwrap());
        };
        if let Some([median, slow]) = sample(&mut group, &format!("search, {kind}"), search) {
            note(&format!("{kind}_ms"), median);
            note(&format!("{kind}_slow_ms"), slow);
        }
    }
    group.finish();
    for (key, value) in in_new_process(&path) {
        note(&key, value);
    }

    let [add, remove] = change(&index, pieces, tracks);
    note("add_ms", add[0]);
    note("add_cpu_ms", add[1]);
    note("remove_ms", remove[0]);
    note("remove_cpu_ms", remove[1]);
    let mut writer = index.writer().unwrap();
    let begun = Instant::now();
    writer.compact().unwrap();
    note("compact_s", begun.elapsed().as_secs_f64());
    note("compact_segments", index.reader().stats().segments.len() as f64);

    let mut processor = Duration::ZERO;
    for time in 0..TIMES {
        let beyond = tracks + CHANGES + time * OTHERS;
        let path = folder.path().join(format!("other {time}"));
        build(&path, pieces, beyond..beyond + OTHERS);
        let other = Index::open(path).unwrap().reader();
        let none = |entry: TrackEntry| panic!("{} is there", entry.name);
        let begun = (Instant::now(), process_time());
        assert_eq!(writer.add_all(&other, none).unwrap(), OTHERS);
        writer.commit().unwrap();
        if time == 0 {
            note("merge_per_s", OTHERS as f64 / begun.0.elapsed().as_secs_f64());
            note("merge_cpu_ms", ms(process_time() - begun.1) / OTHERS as f64);
        }
        // All merges that are due count, whenever they are done.
        writer.finish_merges().unwrap();
        processor += process_time() - begun.1;
    }
    note("merges_cpu_ms", ms(processor) / (TIMES * OTHERS) as f64);
}

/// Makes an index of tracks. Gives the time it takes, and processor time, with all merges; without that of making
/// the tracks.
fn build(path: &Path, pieces: &Pieces, tracks: std::ops::Range<u64>) -> (Duration, Duration) {
    // What went on in the background while tracks are made would not be counted.
    let options = OpenOptions::new().merging(Merging::OnCommit);
    let index = options.create(path, Config::default()).unwrap();
    let mut took = [Duration::ZERO; 2];
    let mut timed = |work: &mut dyn FnMut()| {
        let begun = (Instant::now(), process_time());
        work();
        took = [took[0] + begun.0.elapsed(), took[1] + (process_time() - begun.1)];
    };
    let mut writer = index.writer().unwrap();
    for first in tracks.clone().step_by(AT_ONCE as usize) {
        let some = first..tracks.end.min(first + AT_ONCE);
        let made = in_parallel(some.clone(), |number| pieces.track(number));
        timed(&mut || {
            for (number, fingerprint) in some.clone().zip(&made) {
                writer.add(TrackInfo::named(name(number)), fingerprint).unwrap();
            }
        });
    }
    timed(&mut || writer.commit().unwrap());
    (took[0], took[1])
}

/// Asserts that clear clips are found, most noisy ones, and no absent ones.
fn check(index: &Index, pieces: &Pieces) {
    let reader = index.reader();
    let search = |query: &Query| reader.search(query, &MatchConfig::default()).unwrap();
    assert!(pieces.clear.iter().all(|clip| clip.is_found(&search(&clip.query))));
    let noisy = pieces.noisy.iter().filter(|clip| clip.is_found(&search(&clip.query))).count();
    println!("{} tracks: {noisy} of {} noisy clips are found", reader.len(), pieces.noisy.len());
    assert!(2 * noisy > pieces.noisy.len());
    assert!(pieces.absent.iter().all(|query| search(query).is_empty()));
}

/// Lets criterion measure processor time. Gives the median of all that was done, and what 90 % of it are
/// within, in milliseconds; nothing where the benchmark is filtered out.
fn sample(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut routine: impl FnMut(),
) -> Option<[f64; 2]> {
    let mut all = Vec::new();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let one = |_| {
                let begun = thread_time();
                routine();
                let took = thread_time() - begun;
                all.push(took);
                took
            };
            (0..times).map(one).sum()
        });
    });
    all.sort_unstable();
    let at = |share: f64| ms(all[(share * (all.len() - 1) as f64) as usize]);
    (!all.is_empty()).then(|| [at(0.5), at(0.9)])
}

/// Adds a track and removes another, again and again; each is committed. Gives the medians of the time that
/// takes, and of the processor time, in milliseconds.
fn change(index: &Index, pieces: &Pieces, tracks: u64) -> [[f64; 2]; 2] {
    let mut took = [const { [const { Vec::new() }; 2] }; 2];
    for i in 0..CHANGES {
        let fingerprint = pieces.track(tracks + i);
        let begun = (Instant::now(), process_time());
        let mut writer = index.writer().unwrap();
        writer.add(TrackInfo::named(name(tracks + i)), &fingerprint).unwrap();
        writer.commit().unwrap();
        drop(writer);
        took[0][0].push(begun.0.elapsed());
        took[0][1].push(process_time() - begun.1);

        let begun = (Instant::now(), process_time());
        let mut writer = index.writer().unwrap();
        let old = writer.find(&name(i * tracks / CHANGES)).unwrap().expect("it was added");
        writer.remove(old).unwrap();
        writer.commit().unwrap();
        drop(writer);
        took[1][0].push(begun.0.elapsed());
        took[1][1].push(process_time() - begun.1);
    }
    assert_eq!(index.reader().len(), tracks);
    took.map(|of| {
        of.map(|mut took| {
            took.sort_unstable();
            ms(took[took.len() / 2])
        })
    })
}

/// What a process takes that opens an index and searches it, as measures and their values.
fn in_new_process(path: &Path) -> Vec<(String, f64)> {
    let this = env::current_exe().unwrap();
    let output = Command::new(this).env(OPENS, path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figure = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.into(), value.parse().unwrap()))
    };
    String::from_utf8(output.stdout).unwrap().lines().filter_map(figure).collect()
}

/// What that process does. It prints its memory, where the system tells that.
fn search_in_index(path: &Path) {
    static MOST: AtomicU64 = AtomicU64::new(0);
    // Few pieces, for they are in memory, too.
    let pieces = Pieces::new(4);
    let Some(before) = memory_bytes() else { return };
    // It ends with the process.
    thread::spawn(|| {
        loop {
            MOST.fetch_max(memory_bytes().unwrap_or(0), Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
    });
    let reader = Index::open(path).unwrap().reader();
    let clips = pieces.clear.iter().chain(&pieces.noisy).map(|clip| &clip.query);
    for query in clips.chain(&pieces.absent) {
        reader.search(query, &MatchConfig::default()).unwrap();
    }
    let most = MOST.load(Relaxed).max(before);
    println!("memory_before_mb {}\nmemory_mb {}", before as f64 / 1e6, most as f64 / 1e6);
}

fn ms(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}
