//! Files that fail, readers that hang, decoders that panic.

use crate::{Heard, Place, options, wav};
use earmark::library::{FailureKind, MediaRead, SyncOptions};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn bad_files_stop_nothing_and_are_tried_again_when_they_change_or_on_request() {
    let place = Place::empty();
    place.song("good.wav", 1);
    place.write("text.mp3", b"not audio at all");
    place.write("silent.wav", &wav(&vec![0.0; 30_000]));
    place.write("short.wav", &wav(&[0.1; 20]));
    place.write("empty.flac", b"");
    let (report, heard) = place.sync(&options());
    assert_eq!((report.added, report.failures.len()), (1, 4));
    let kinds = report.failures_by_kind();
    assert_eq!(kinds, [(FailureKind::Undecodable, 2), (FailureKind::Featureless, 2)]);
    assert_eq!(heard.failed.borrow().len(), 4);
    let silent = report.failures.iter().find(|f| f.path.ends_with("silent.wav")).unwrap();
    assert!((silent.decoded_s - 3.75).abs() < 1e-6 && silent.reason.contains("silence"));
    // Not again.
    let (report, _) = place.sync(&options());
    assert_eq!((report.skipped, report.skipped_failed, report.failures.len()), (5, 4, 0));
    // On request, all; after a change, that one.
    let mut retry = options();
    retry.retry = true;
    assert_eq!(place.sync(&retry).0.failures.len(), 4);
    place.song("text.mp3", 2);
    let (report, _) = place.sync(&options());
    assert_eq!((report.added, report.skipped_failed), (1, 3));
}

/// A file that does something when it is read beyond its middle.
struct Odd {
    file: File,
    at: u64,
    middle: u64,
    act: fn() -> io::Result<usize>,
}

impl Read for Odd {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.middle {
            return (self.act)();
        }
        let most = bytes.len().min(4096);
        let read = self.file.read(&mut bytes[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Odd {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

fn with_odd(name: &'static str, act: fn() -> io::Result<usize>) -> SyncOptions {
    let mut options = options();
    options.opener = Arc::new(move |path: &Path| {
        let file = File::open(path)?;
        if !path.ends_with(name) {
            return Ok(Box::new(file));
        }
        let middle = file.metadata()?.len() / 2;
        Ok(Box::new(Odd { file, at: 0, middle, act }) as Box<dyn MediaRead>)
    });
    options.stuck_after = Duration::from_secs(3);
    options
}

fn hang() -> io::Result<usize> {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

fn panic() -> io::Result<usize> {
    panic!("on purpose")
}

fn fail() -> io::Result<usize> {
    Err(io::Error::other("the disk is on fire"))
}

fn good_and_odd() -> Place {
    let place = Place::empty();
    for i in 0..12 {
        place.song(&format!("{i}.wav"), i);
    }
    place
}

/// With one reader and one worker, all others must still be done: the thread that hangs is replaced.
#[test]
fn a_file_that_hangs_is_given_up_and_the_others_are_done() {
    let place = good_and_odd();
    let mut options = with_odd("5.wav", hang);
    (options.readers, options.workers) = (1, 1);
    let (report, _) = place.sync(&options);
    assert_eq!((report.added, report.failures.len()), (11, 1));
    assert_eq!(report.failures[0].kind, FailureKind::Stuck);
    assert!(report.failures[0].path.ends_with("5.wav"));
    // It is not waited for again.
    assert_eq!(place.sync(&options).0.skipped, 12);
}

#[test]
fn a_file_larger_than_what_is_read_ahead_fails_in_the_same_ways() {
    let place = good_and_odd();
    place.write("5.wav", &wav(&crate::common::music_at(8000, 1200.0, 9)[..9_000_000]));
    let hangs = (hang as fn() -> _, FailureKind::Stuck);
    let panics = (panic as fn() -> _, FailureKind::Panicked);
    // With two workers, one helps the other to decode the file.
    for ((act, kind), workers) in [(hangs, 1), (panics, 1), (hangs, 2), (panics, 2)] {
        let mut options = with_odd("5.wav", act);
        (options.readers, options.workers, options.retry) = (1, workers, true);
        let heard = Heard::default();
        let library = earmark::library::LibraryOptions::default().memory_bytes(64_000_000);
        let library = library.open_or_create(&place.library).unwrap();
        let report = library.sync([&place.root], &options, &heard).unwrap();
        assert_eq!(report.added + report.skipped, 11);
        assert!(report.failures.len() <= 1, "{report}");
        if let [failure] = &report.failures[..] {
            assert!(failure.kind == kind || failure.kind == FailureKind::Unreadable, "{report}");
        }
    }
}

#[test]
fn a_reader_that_panics_fails_its_file_only() {
    let place = good_and_odd();
    let (report, _) = place.sync(&with_odd("5.wav", panic));
    assert_eq!((report.added, report.failures[0].kind), (11, FailureKind::Panicked));
}

/// What cannot be read says nothing about the content: a track stays, and it is tried again.
#[test]
fn a_track_whose_file_cannot_be_read_for_once_stays() {
    let place = good_and_odd();
    place.sync(&options());
    place.song("5.wav", 99);
    let (report, _) = place.sync(&with_odd("5.wav", fail));
    assert_eq!((report.failures.len(), report.tracks), (1, 12));
    assert_eq!(report.failures[0].kind, FailureKind::Unreadable);
    assert!(report.failures[0].reason.contains("the disk is on fire"));
    let (report, _) = place.sync(&options());
    assert_eq!((report.replaced, report.skipped), (1, 11));
}

#[test]
fn a_damaged_list_of_files_is_told_with_its_path() {
    let place = good_and_odd();
    place.sync(&options());
    let path = place.library.join("files");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = place.open().sync([&place.root], &options(), &()).unwrap_err().to_string();
    assert!(error.contains("files") && error.contains("damaged"), "{error}");
    // Without it, all is done again, and nothing is there twice.
    fs::remove_file(&path).unwrap();
    let (report, _) = place.sync(&options());
    assert_eq!((report.added, report.tracks), (12, 12));
}
