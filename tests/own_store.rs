//! A store that is not the crate's own does what the crate's own do.

mod common;
#[path = "../examples/own_store/store.rs"]
mod store;

use common::{music, query, rate};
use earmark::store::conformance;
use earmark::{Config, Fingerprinter, Index, MatchConfig, TrackInfo, search};
use store::OwnStore;

fn empty() -> (tempfile::TempDir, OwnStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = OwnStore::open(&folder.path().join("music.redb"), Config::default()).unwrap();
    (folder, store)
}

#[test]
fn it_conforms() {
    let (_folder, store) = empty();
    let mut tracks = Vec::new();
    for (info, fingerprint) in conformance::recordings(&Config::default(), 24, 5) {
        tracks.push((store.add(&info, &fingerprint).unwrap(), info, fingerprint));
    }
    conformance::check(&store.snapshot().unwrap(), &tracks).unwrap();
}

#[test]
fn it_answers_as_an_index_does() {
    let (_folder, store) = empty();
    let index = Index::in_memory(Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    let mut fingerprinter = Fingerprinter::new(Config::default()).unwrap();
    for seed in 0..6 {
        let track = fingerprinter.fingerprint(&music(40.0, seed), rate(8000)).unwrap();
        let info = TrackInfo::named(format!("song {seed}"));
        store.add(&info, &track).unwrap();
        writer.add(info, &track).unwrap();
    }
    writer.commit().unwrap();
    let config = MatchConfig { max_false_alarms: 10.0, ..MatchConfig::default() };
    let snapshot = store.snapshot().unwrap();
    let mut found = 0;
    for seed in 0..8 {
        for from_s in [0.0, 11.3, 30.2] {
            let song = music(40.0, seed);
            let clip = query(&song[(from_s * 8000.0) as usize..][..5 * 8000]);
            let ours = search::search(&snapshot, &clip, &config).unwrap();
            assert_eq!(ours, index.search(&clip, &config).unwrap(), "{seed} from {from_s} s");
            found += usize::from(ours.iter().any(|m| m.name == format!("song {seed}")));
        }
    }
    assert_eq!(found, 18);
}
