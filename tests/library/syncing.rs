//! Files that come, change, move and go.

use crate::common::music_at;
use crate::{Heard, Place, options, pruning, wav};
use earmark::library::SyncReport;
use std::fs;

/// added, replaced, moved, copied, touched, pruned, gone, skipped; and how many were decoded.
fn counts(report: &SyncReport, heard: &Heard) -> ([u64; 8], usize) {
    let r = report;
    let counts = [r.added, r.replaced, r.moved, r.copied, r.touched, r.pruned, r.gone, r.skipped];
    assert_eq!(heard.done.get(), r.done());
    assert_eq!(heard.plan.get().files, r.done() + r.failures.len() as u64 + r.left);
    (counts, heard.decoded.borrow().len())
}

/// Each step does something to the folder; what the next sync does follows from the rules in the
/// documentation of the module, written down here by hand.
#[test]
fn each_change_is_taken_up_as_the_rules_say() {
    type Step = (&'static str, fn(&Place), bool, [u64; 8], usize, &'static [&'static str]);
    let steps: [Step; 13] = [
        ("nothing", |_| {}, false, [0; 8], 0, &[]),
        (
            "three new ones",
            |p| {
                p.song("a.wav", 1);
                p.song("sub/b.wav", 2);
                p.song("c.WAV", 3);
                p.write("notes.txt", b"not audio");
                p.write(".hidden.wav", &wav(&[]));
            },
            false,
            [3, 0, 0, 0, 0, 0, 0, 0],
            3,
            &["a.wav", "c.WAV", "sub/b.wav"],
        ),
        (
            "nothing new",
            |_| {},
            true,
            [0, 0, 0, 0, 0, 0, 0, 3],
            0,
            &["a.wav", "c.WAV", "sub/b.wav"],
        ),
        (
            "one changed",
            |p| p.song("a.wav", 4),
            false,
            [0, 1, 0, 0, 0, 0, 0, 2],
            1,
            &["a.wav", "c.WAV", "sub/b.wav"],
        ),
        (
            "one touched",
            |p| p.touch("a.wav"),
            false,
            [0, 0, 0, 0, 1, 0, 0, 2],
            0,
            &["a.wav", "c.WAV", "sub/b.wav"],
        ),
        (
            "one renamed, one moved to another folder",
            |p| {
                fs::rename(p.path("a.wav"), p.path("z.wav")).unwrap();
                fs::rename(p.path("sub/b.wav"), p.path("b.wav")).unwrap();
            },
            false,
            [0, 0, 2, 0, 0, 0, 0, 1],
            0,
            &["b.wav", "c.WAV", "z.wav"],
        ),
        (
            "one copied",
            |p| {
                fs::copy(p.path("z.wav"), p.path("copy.wav")).unwrap();
                p.touch("copy.wav");
            },
            false,
            [0, 0, 0, 1, 0, 0, 0, 3],
            0,
            &["b.wav", "c.WAV", "z.wav"],
        ),
        (
            "the first of two copies gone, kept",
            |p| fs::remove_file(p.path("z.wav")).unwrap(),
            false,
            [0, 0, 0, 0, 0, 0, 1, 3],
            0,
            &["b.wav", "c.WAV", "z.wav"],
        ),
        (
            "and pruned: the copy stands for both",
            |_| {},
            true,
            [0, 0, 0, 0, 0, 1, 0, 3],
            0,
            &["b.wav", "c.WAV", "copy.wav"],
        ),
        (
            "another gone",
            |p| fs::remove_file(p.path("b.wav")).unwrap(),
            true,
            [0, 0, 0, 0, 0, 1, 0, 2],
            0,
            &["c.WAV", "copy.wav"],
        ),
        (
            "two that change places: one is decoded again, for its content was known until the other changed",
            |p| {
                fs::rename(p.path("c.WAV"), p.path("tmp")).unwrap();
                fs::rename(p.path("copy.wav"), p.path("c.WAV")).unwrap();
                fs::rename(p.path("tmp"), p.path("copy.wav")).unwrap();
                p.touch("c.WAV");
                p.touch("copy.wav");
            },
            true,
            [1, 0, 0, 1, 0, 0, 0, 0],
            1,
            &["c.WAV", "copy.wav"],
        ),
        (
            "a track whose file is no audio any more",
            |p| p.write("c.WAV", b"no audio at all, but text"),
            true,
            [0, 0, 0, 0, 0, 0, 0, 1],
            1,
            &["copy.wav"],
        ),
        ("which is not tried again", |_| {}, true, [0, 0, 0, 0, 0, 0, 0, 2], 0, &["copy.wav"]),
    ];
    let place = Place::empty();
    for (what, change, prune, expected, decoded, names) in steps {
        change(&place);
        let options = if prune { pruning() } else { options() };
        let (report, heard) = place.sync(&options);
        let found = counts(&report, &heard);
        if what.starts_with("two that change") {
            // Which of the two comes first is chance; either way one is decoded.
            assert_eq!(report.done(), 2, "{what}: {report}");
            assert!(found.1 <= 1, "{what}: {report}");
        } else {
            assert_eq!(found, (expected, decoded), "{what}: {report}");
        }
        assert_eq!(place.names(), names, "{what}");
        // Whatever came before, the library is what one made of the folder at once would be.
        let mut content = place.content();
        content.retain(|name, print| print.is_some() && place.path(name).exists());
        let fresh = Place::empty();
        for name in content.keys() {
            fresh.write(name, &fs::read(place.path(name)).unwrap());
        }
        fresh.sync(&crate::options());
        assert_eq!(content, fresh.content(), "{what}");
    }
}

#[test]
fn a_change_with_the_same_size_and_time_is_noticed_where_the_time_is_young_or_content_is_compared()
{
    let place = Place::empty();
    place.song("a.wav", 1);
    place.sync(&options());
    // As old as before, and as long.
    let old = fs::metadata(place.path("a.wav")).unwrap().modified().unwrap();
    let change = |seed| {
        fs::write(place.path("a.wav"), wav(&crate::common::music(6.0, seed))).unwrap();
        let file = fs::File::options().write(true).open(place.path("a.wav")).unwrap();
        file.set_modified(old).unwrap();
    };
    change(2);
    assert_eq!(place.sync(&options()).0.skipped, 1, "that is what size and time say");
    let mut careful = options();
    careful.verify_content = true;
    assert_eq!(place.sync(&careful).0.replaced, 1);
    assert_eq!(place.sync(&careful).0.touched, 1);
    // Young: written now, read at once, and written again with the same time.
    let now = std::time::SystemTime::now();
    let set = |seed| {
        fs::write(place.path("b.wav"), wav(&crate::common::music(6.0, seed))).unwrap();
        let file = fs::File::options().write(true).open(place.path("b.wav")).unwrap();
        file.set_modified(now).unwrap();
    };
    set(5);
    assert_eq!(place.sync(&options()).0.added, 1);
    set(6);
    assert_eq!(place.sync(&options()).0.replaced, 1);
}

#[test]
fn nothing_is_pruned_below_a_root_that_is_gone_or_empty() {
    let place = Place::empty();
    place.song("a.wav", 1);
    place.song("b.wav", 2);
    place.sync(&options());
    let away = place.root.with_extension("away");
    fs::rename(&place.root, &away).unwrap();
    let (report, _) = place.sync(&pruning());
    assert_eq!((report.pruned, report.tracks, report.unavailable.len()), (0, 2, 1));
    // The folder that a disk is mounted on, without the disk.
    fs::create_dir(&place.root).unwrap();
    let (report, _) = place.sync(&pruning());
    assert_eq!((report.pruned, report.tracks, report.unavailable.len()), (0, 2, 1));
    // Of several roots, only that one.
    let other = place.root.with_extension("other");
    fs::create_dir(&other).unwrap();
    fs::copy(away.join("a.wav"), other.join("c.wav")).unwrap();
    let library = place.open();
    let report = library.sync([&place.root, &other], &pruning(), &()).unwrap();
    assert_eq!((report.copied, report.moved, report.pruned, report.tracks), (1, 0, 0, 2));
    // It is back.
    fs::remove_dir(&place.root).unwrap();
    fs::rename(&away, &place.root).unwrap();
    let heard = Heard::default();
    let report = library.sync([&place.root], &pruning(), &heard).unwrap();
    assert_eq!((report.skipped, report.unavailable.len()), (2, 0));
    assert!(heard.decoded.borrow().is_empty());
}

#[cfg(unix)]
#[test]
fn a_file_with_several_names_is_taken_once() {
    let place = Place::empty();
    place.song("a.wav", 1);
    fs::hard_link(place.path("a.wav"), place.path("b.wav")).unwrap();
    std::os::unix::fs::symlink(place.path("a.wav"), place.path("c.wav")).unwrap();
    std::os::unix::fs::symlink(&place.root, place.path("round")).unwrap();
    let (report, heard) = place.sync(&options());
    assert_eq!((report.found, report.added, heard.noted.borrow().len()), (1, 1, 2));
    let library = place.open();
    let twice = [&place.root, &place.path("a.wav"), &place.root];
    let report = library.sync(twice, &options(), &()).unwrap();
    assert_eq!((report.found, report.skipped), (1, 1));
    // A link that is left, when the first name goes, is the same file.
    fs::remove_file(place.path("a.wav")).unwrap();
    fs::remove_file(place.path("c.wav")).unwrap();
    let (report, heard) = place.sync(&pruning());
    assert_eq!((report.moved, heard.decoded.borrow().len()), (1, 0));
    assert_eq!(place.names(), ["b.wav"]);
}

#[test]
fn what_is_taken_out_stays_out_until_it_is_asked_for() {
    let place = Place::empty();
    place.song("a.wav", 1);
    place.song("sub/b.wav", 2);
    place.sync(&options());
    let removed = place.open().remove([place.path("sub")]).unwrap();
    assert_eq!(removed.len(), 1);
    assert!(place.path("sub/b.wav").exists());
    let (report, _) = place.sync(&pruning());
    assert_eq!((report.skipped, report.tracks), (2, 1));
    let stats = place.open().stats().unwrap();
    assert_eq!((stats.tracks, stats.files, stats.removed, stats.failed), (1, 1, 1, 0));
    let mut again = options();
    again.retry = true;
    assert_eq!(place.sync(&again).0.added, 1);
    assert_eq!(place.names(), ["a.wav", "sub/b.wav"]);
}

#[test]
fn tracks_are_listed_by_what_they_hold() {
    let place = Place::empty();
    place.song("Abba/Waterloo.wav", 1);
    place.song("Queen/Bijou.wav", 2);
    place.sync(&options());
    let library = place.open();
    let count = |text: &str| library.tracks(text).unwrap().len();
    assert_eq!([count(""), count("waterLOO"), count("queen"), count("zappa")], [2, 1, 1, 0]);
    let id = library.track_of(place.path("Queen/Bijou.wav")).unwrap().unwrap();
    assert_eq!(library.tracks("bijou").unwrap()[0].id, id);
}

#[test]
fn the_report_says_the_same_in_json() {
    let place = Place::empty();
    place.song("a.wav", 1);
    place.write("b.wav", b"nothing");
    let (report, _) = place.sync(&options());
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((json["added"].as_u64(), json["failed"].as_u64()), (Some(1), Some(1)));
    assert_eq!(json["failures"][0]["kind"], "undecodable");
    assert_eq!(json["failures_by_kind"]["undecodable"], 1);
    assert!((json["audio_s"].as_f64().unwrap() - 6.0).abs() < 1e-6);
    let text = report.to_string();
    assert!(
        text.contains("1 added, 1 failed") && text.contains("b.wav: not an audio file"),
        "{text}"
    );
}

/// A file that is longer than a minute is decoded by several workers where they are idle.
#[test]
fn a_long_file_has_the_same_fingerprint_whatever_the_workers() {
    let place = Place::empty();
    place.write("long.wav", &wav(&music_at(8000, 150.0, 3)));
    let mut fingerprinter = earmark::Fingerprinter::new(earmark::Config::default()).unwrap();
    let want = fingerprinter.fingerprint_file(place.path("long.wav")).unwrap().value;
    for workers in [1, 2, 5] {
        let mut options = options();
        options.workers = workers;
        let _ = std::fs::remove_dir_all(&place.library);
        place.sync(&options);
        let made = place.content().remove("long.wav").unwrap().unwrap();
        assert_eq!(made, want.to_bytes().unwrap(), "{workers} workers");
    }
}
