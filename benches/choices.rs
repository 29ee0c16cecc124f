//! The index beside the KD-tree: look-ups of the same clips among the same landmarks.
//!
//! (The choice of the hash function is measured in `peers/benches/hashes.rs`.)

mod common;
#[path = "common/library.rs"]
mod library;

use common::{audio, quick};
use criterion::{Criterion, criterion_group, criterion_main};
use earmark::{KdIndex, MatchConfig};
use library::Library;

/// The whole search differs little, for verification is common to both: a single candidate shows
/// the look-ups by themselves, or nearly.
fn lookup(c: &mut Criterion) {
    let library = Library::new();
    let hash = library.index().reader();
    let kd = KdIndex::new(hash.clone()).unwrap();
    assert_eq!(kd.len(), library.landmarks());
    for (name, candidates) in [("look up", 1), ("search", MatchConfig::default().candidates)] {
        let config = MatchConfig { candidates, ..Default::default() };
        let mut group = c.benchmark_group(name);
        group.throughput(audio(library.clips_s()));
        library.check(|query| hash.search(query, &config).unwrap());
        group.bench_function("index", |b| {
            b.iter(|| library.search(|query| hash.search(query, &config).unwrap()));
        });
        library.check(|query| kd.search(query, &config).unwrap());
        group.bench_function("KD-tree", |b| {
            b.iter(|| library.search(|query| kd.search(query, &config).unwrap()));
        });
    }
}

criterion_group! {
    name = choices;
    config = quick();
    targets = lookup
}
criterion_main!(choices);
