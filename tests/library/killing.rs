//! Runs that end in the middle: asked to, or killed between any two steps.

use crate::{Heard, Place, options, pruning};
use earmark::Error;
use std::fs;
use std::path::Path;

fn some(place: &Place) {
    for i in 0..10 {
        place.song(&format!("{i}.wav"), i);
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_run_that_is_asked_to_stop_keeps_what_is_done_and_the_next_goes_on() {
    let place = Place::empty();
    some(&place);
    let heard = Heard::default();
    heard.stop_after.set(4);
    let report = place.open().sync([&place.root], &options(), &heard).unwrap();
    assert!(report.cancelled && report.added >= 4 && report.left == 10 - report.added);
    assert_eq!(report.tracks, report.added);
    let first = report.added;
    let (report, _) = place.sync(&options());
    assert_eq!((report.skipped, report.added), (first, 10 - first));
    let whole = Place::empty();
    some(&whole);
    whole.sync(&options());
    assert_eq!(place.content(), whole.content());
}

#[test]
fn commits_come_by_number() {
    let place = Place::empty();
    some(&place);
    let mut options = options();
    options.commit_files = 3;
    let (_, heard) = place.sync(&options);
    assert_eq!(heard.commits.get(), 4, "after 3, 6, 9, and at the end");
}

/// A kill leaves the index of one commit with the list of files of that commit or the one before. Older
/// ones come from copies that someone restored.
#[test]
fn any_index_with_any_list_of_files_becomes_what_the_folder_is() {
    let place = Place::empty();
    let states: [fn(&Place); 4] = [
        |p| some(p),
        |p| {
            p.song("3.wav", 33);
            p.song("new.wav", 44);
            fs::remove_file(p.path("7.wav")).unwrap();
        },
        |p| fs::rename(p.path("1.wav"), p.path("renamed.wav")).unwrap(),
        |p| p.write("2.wav", b"no audio any more"),
    ];
    let saved = |i: usize| place.library.with_extension(format!("saved-{i}"));
    fs::create_dir(place.library.with_extension("saved-0")).unwrap();
    for (i, change) in states.iter().enumerate() {
        change(&place);
        place.sync(&pruning());
        copy(&place.library, &saved(i + 1));
    }
    let want = place.content();
    for index in 1..=4 {
        for list in 0..=4 {
            copy(&saved(index), &place.library);
            let to = place.library.join("files");
            if fs::copy(saved(list).join("files"), &to).is_err() {
                let _ = fs::remove_file(&to);
            }
            place.sync(&pruning());
            assert_eq!(place.content(), want, "index {index}, list {list}");
            let (report, _) = place.sync(&pruning());
            assert_eq!(report.skipped, report.found, "index {index}, list {list}");
        }
    }
}

#[test]
fn one_at_a_time_changes_a_library_and_others_read_it() {
    let place = Place::empty();
    some(&place);
    place.sync(&options());
    let library = place.open();
    let writer = library.index().writer().unwrap();
    for other in [&library, &place.open()] {
        let refused = other.sync([&place.root], &options(), &());
        assert!(matches!(refused, Err(Error::Locked { .. })));
        assert_eq!(other.identify(place.path("3.wav")).unwrap().len(), 1);
    }
    drop(writer);
    assert_eq!(library.sync([&place.root], &options(), &()).unwrap().skipped, 10);
}
