//! The index and the KD-tree: building, searching, storing. The library is an hour of music.
//!
//! Building counts landmarks, searching counts milliseconds of the clips: "Kelem/s" then reads as a
//! multiple of real time, "Melem/s" as thousands of it.

mod common;
#[path = "common/library.rs"]
mod library;

use common::{audio, music, quick};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use earmark::{Config, Fingerprinter, Index, KdIndex, MatchConfig, Query, SampleRate, SpeedRange};
use library::{Library, fill};

fn build(c: &mut Criterion) {
    let library = Library::new();
    let index = library.index().reader();
    let landmarks = library.landmarks();
    let mut group = c.benchmark_group("build");
    group.throughput(Throughput::Elements(landmarks as u64));

    assert_eq!(index.len() as usize, library.fingerprints.len());
    library.check(|query| index.search(query, &MatchConfig::default()).unwrap());
    group.bench_function("index in memory", |b| b.iter(|| library.index()));

    assert_eq!(KdIndex::new(index.clone()).unwrap().len(), landmarks);
    group.bench_function("KD-tree", |b| b.iter(|| KdIndex::new(index.clone()).unwrap()));
}

/// The tree against the number of its points.
fn points(c: &mut Criterion) {
    let library = Library::new();
    let config = MatchConfig::default();
    let mut group = c.benchmark_group("kd by points");
    for share in [8, 4, 2, 1] {
        let tracks = library.fingerprints.len() / share;
        let index = Index::in_memory(Config::default()).unwrap();
        fill(&index, &library.fingerprints[..tracks]);
        let reader = index.reader();
        let tree = KdIndex::new(reader.clone()).unwrap();
        assert_eq!(tree.store().len() as usize, tracks);
        group.throughput(Throughput::Elements(tree.len() as u64));
        group.bench_function(format!("build, {} points", tree.len()), |b| {
            b.iter(|| KdIndex::new(reader.clone()).unwrap());
        });
        group.throughput(audio(library.clips_s()));
        group.bench_function(format!("search, {} points", tree.len()), |b| {
            b.iter(|| library.search(|query| tree.search(query, &config).unwrap()));
        });
    }
}

fn search(c: &mut Criterion) {
    let library = Library::new();
    let hash = library.index().reader();
    let kd = KdIndex::new(hash.clone()).unwrap();
    let config = MatchConfig::default();
    let mut group = c.benchmark_group("search");
    group.throughput(audio(library.clips_s()));

    library.check(|query| hash.search(query, &config).unwrap());
    group.bench_function("hash", |b| {
        b.iter(|| library.search(|query| hash.search(query, &config).unwrap()));
    });
    library.check(|query| kd.search(query, &config).unwrap());
    group.bench_function("kd", |b| {
        b.iter(|| library.search(|query| kd.search(query, &config).unwrap()));
    });
}

/// Clips of tracks that are in the index are found at once; those of others climb the whole ladder.
fn speed(c: &mut Criterion) {
    let library = Library::new();
    let index = library.index();
    let rate = SampleRate::default();
    let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
    let mut stranger =
        |seed: u64| fingerprinter.query(&music(8.0, rate.hz(), 5_000 + seed), rate).unwrap();
    let strangers: Vec<Query> = (0..3).map(&mut stranger).collect();
    let strangers_s = strangers.iter().map(Query::duration_s).sum();
    let mut group = c.benchmark_group("speed");
    for percent in [0.0, 2.0, 5.0, 10.0, 25.0] {
        let speed = SpeedRange::percent(percent).unwrap();
        let config = MatchConfig { speed, ..MatchConfig::default() };
        let search = |query: &Query| index.search(query, &config).unwrap();
        library.check(search);
        group.throughput(audio(library.clips_s()));
        group
            .bench_function(format!("present, {percent} %"), |b| b.iter(|| library.search(search)));
        assert!(strangers.iter().all(|query| search(query).is_empty()));
        group.throughput(audio(strangers_s));
        group.bench_function(format!("absent, {percent} %"), |b| {
            b.iter(|| strangers.iter().map(|query| search(query).len()).sum::<usize>());
        });
    }
}

fn store(c: &mut Criterion) {
    let library = Library::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = Index::create(&path, Config::default()).unwrap();
    fill(&index, &library.fingerprints);
    library.check(|query| index.search(query, &MatchConfig::default()).unwrap());
    let mut group = c.benchmark_group("store");
    group.bench_function("open", |b| b.iter(|| Index::open(&path).unwrap()));
    group.throughput(Throughput::Bytes(index.reader().stats().bytes));
    group.bench_function("verify", |b| {
        b.iter(|| assert_eq!(Index::open(&path).unwrap().reader().verify(), []));
    });
    let made = folder.path().join("made");
    group.bench_function("add and commit", |b| {
        b.iter_batched(
            || {
                let _ = std::fs::remove_dir_all(&made);
                Index::create(&made, Config::default()).unwrap()
            },
            |index| fill(&index, &library.fingerprints),
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = indexes;
    config = quick();
    targets = build, points, search, speed, store
}
criterion_main!(indexes);
