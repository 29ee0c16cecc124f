//! Folders that several processes bring into one collection, some of which are killed.

use crate::common::server::Server;
use crate::common::{music, query, wav};
use crate::queue::{named, tracks};
use earmark::library::{Failure, FailureKind, Progress, SharedSync, SyncOptions, SyncReport};
use earmark::postgres::{Queue, QueueProgress, Store};
use earmark::{Error, MatchConfig};
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with so many songs.
fn folder(songs: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..songs {
        let path = folder.path().join(format!("{}/song {i}.wav", i % 3));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wav(&music(6.0, i as u64))).unwrap();
    }
    folder
}

fn names(folder: &Path, songs: usize) -> Vec<String> {
    let name = |i| format!("{}/{}/song {i}.wav", folder.display(), i % 3);
    let mut names: Vec<String> = (0..songs).map(name).collect();
    names.sort();
    names
}

fn options() -> SyncOptions {
    let mut options = SyncOptions::default();
    (options.workers, options.commit_files) = (2, 5);
    options
}

fn sync(store: &Store, folder: &Path, options: &SyncOptions) -> SyncReport {
    // However often its workers are killed here, no file is given up.
    let queue = Queue::open(store).unwrap().lease(Duration::from_secs(2)).most_tries(100);
    SharedSync::new(store).unwrap().queue(queue).run([folder], options, &()).unwrap()
}

#[derive(Default)]
struct Heard {
    failed: RefCell<Vec<Failure>>,
    shared: Cell<QueueProgress>,
    stop: Cell<bool>,
}

impl Progress for Heard {
    fn failed(&self, failure: &Failure) {
        self.failed.borrow_mut().push(failure.clone());
    }
    fn shared(&self, progress: &QueueProgress) {
        self.shared.set(*progress);
    }
    fn is_cancelled(&self) -> bool {
        self.stop.get()
    }
}

#[test]
fn two_workers_share_a_list_and_do_each_file_once() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let folder = folder(40);
    fs::write(folder.path().join("none.wav"), b"no audio").unwrap();
    let reports: Vec<SyncReport> = std::thread::scope(|scope| {
        let run = || scope.spawn(|| sync(&store, folder.path(), &options()));
        [run(), run(), run()].map(|thread| thread.join().unwrap()).into()
    });
    let sum = |of: fn(&SyncReport) -> u64| reports.iter().map(of).sum::<u64>();
    assert_eq!(sum(|report| report.added), 40, "{reports:?}");
    assert_eq!(sum(|report| report.failures.len() as u64), 1);
    assert!(reports.iter().all(|report| report.found == 41 && report.left == 0));
    assert!(reports.iter().all(|report| report.tracks == 40), "each waits for all");
    assert_eq!(tracks(&server, &schema), names(folder.path(), 40));
    let found = store.search(&query(&music(6.0, 17)), &MatchConfig::default()).unwrap();
    assert!(found[0].name.ends_with("/2/song 17.wav"));
    let failures = Queue::open(&store).unwrap().failures(10).unwrap();
    assert_eq!((failures.len(), failures[0].kind), (1, FailureKind::Undecodable));

    // Again, with one song that has changed, and a new one.
    fs::write(folder.path().join("1/song 1.wav"), wav(&music(7.0, 300))).unwrap();
    fs::write(folder.path().join("new.wav"), wav(&music(6.0, 400))).unwrap();
    let report = sync(&store, folder.path(), &options());
    assert_eq!((report.found, report.skipped, report.added), (42, 40, 2));
    assert_eq!(report.tracks, 41);
    let found = store.search(&query(&music(7.0, 300)), &MatchConfig::default()).unwrap();
    assert!(found[0].name.ends_with("/1/song 1.wav"));
    assert!(store.search(&query(&music(6.0, 1)), &MatchConfig::default()).unwrap().is_empty());
    // What failed is tried again on request only.
    let mut retry = options();
    retry.retry = true;
    assert!(report.failures.is_empty());
    assert_eq!(sync(&store, folder.path(), &retry).failures.len(), 1);
}

#[test]
fn what_is_not_possible_with_a_shared_list_is_refused() {
    let Some(server) = Server::shared() else { return };
    let (store, _) = named(&server);
    let mut verifying = options();
    verifying.verify_content = true;
    let sync = SharedSync::new(&store).unwrap();
    let refused = sync.run(["/nowhere"], &verifying, &()).unwrap_err();
    assert!(matches!(refused, Error::Config { field: "verify_content", .. }));
    let report = sync.run(["/nowhere"], &options(), &()).unwrap();
    assert_eq!(report.unavailable.len(), 1);
}

#[test]
fn what_is_gone_is_removed_on_request_and_only_below_what_can_be_read() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let (folder, other) = (folder(6), folder(3));
    let mut pruning = options();
    pruning.prune = true;
    let run = |roots: &[&Path], options: &SyncOptions| {
        SharedSync::new(&store).unwrap().run(roots, options, &()).unwrap()
    };
    assert_eq!(run(&[folder.path(), other.path()], &pruning).pruned, 0);
    fs::remove_file(folder.path().join("1/song 4.wav")).unwrap();
    fs::remove_file(other.path().join("0/song 0.wav")).unwrap();
    assert_eq!(run(&[folder.path()], &options()).pruned, 0);
    assert_eq!(tracks(&server, &schema).len(), 9);
    // What is gone elsewhere is not looked for.
    let report = run(&[folder.path()], &pruning);
    assert_eq!((report.pruned, report.tracks), (1, 8));
    let want = names(folder.path(), 6).into_iter().filter(|name| !name.contains("song 4"));
    let mut want: Vec<String> = want.chain(names(other.path(), 3)).collect();
    want.sort();
    assert_eq!(tracks(&server, &schema), want);
    assert!(store.search(&query(&music(6.0, 4)), &MatchConfig::default()).unwrap().is_empty());
    // A folder that is suddenly empty is not there for once; so is one that cannot be read.
    fs::rename(other.path().join("1"), folder.path().join("away")).unwrap();
    fs::rename(other.path().join("0"), folder.path().join("away 0")).unwrap();
    fs::rename(other.path().join("2"), folder.path().join("away 2")).unwrap();
    let report = run(&[other.path()], &pruning);
    assert_eq!((report.pruned, report.unavailable.len()), (0, 1));
    fs::remove_dir(other.path()).unwrap();
    let report = run(&[other.path()], &pruning);
    assert_eq!((report.pruned, report.unavailable.len(), report.tracks), (0, 1, 8));
    // One that comes again is new.
    fs::write(folder.path().join("1/song 4.wav"), wav(&music(6.0, 4))).unwrap();
    let report = run(&[folder.path().join("1").as_path()], &pruning);
    assert_eq!((report.added, report.pruned, report.tracks), (1, 0, 9));
}

#[test]
fn one_that_is_asked_to_stop_gives_back_what_it_has() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let folder = folder(12);
    let heard = Heard::default();
    heard.stop.set(true);
    let sync = SharedSync::new(&store).unwrap();
    let queue = Queue::open(&store).unwrap();
    let report = sync.run([folder.path()], &options(), &heard).unwrap();
    let progress = queue.progress().unwrap();
    assert!(report.cancelled && progress.leased == 0, "{report:?} {progress:?}");
    assert_eq!(progress.waiting + progress.done, 12);
    assert_eq!(tracks(&server, &schema).len() as u64, progress.done);
    // The next goes on with the list, without looking into the folder.
    heard.stop.set(false);
    let report = sync.run([] as [&Path; 0], &options(), &heard).unwrap();
    assert_eq!(report.added + progress.done, 12);
    assert_eq!(tracks(&server, &schema), names(folder.path(), 12));
    let told = heard.shared.get();
    assert_eq!((told.done, told.files(), told.is_ended()), (12, 12, true));
}

#[test]
fn a_file_that_cannot_be_read_is_tried_again_and_its_failure_is_kept() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let folder = folder(6);
    let mut options = options();
    let tries = Arc::new(std::sync::Mutex::new(Vec::<PathBuf>::new()));
    let of_opener = Arc::clone(&tries);
    options.opener = Arc::new(move |path: &Path| {
        let mut tries = of_opener.lock().unwrap();
        tries.push(path.into());
        let before = tries.iter().filter(|tried| *tried == path).count();
        let name = path.file_name().unwrap();
        // One cannot be read at first, another never.
        match name == "song 3.wav" && before < 3 || name == "song 4.wav" {
            true => Err(std::io::Error::other("the cable is cut")),
            false => Ok(Box::new(File::open(path)?)),
        }
    });
    let queue = Queue::open(&store).unwrap().retry_after(Duration::from_millis(1)).most_tries(4);
    let heard = Heard::default();
    let sync = SharedSync::new(&store).unwrap().queue(queue.clone());
    let report = sync.run([folder.path()], &options, &heard).unwrap();
    assert_eq!((report.added, report.failures.len()), (5, 1));
    assert_eq!(heard.failed.borrow().len(), 1);
    let tried = |name: &str| tries.lock().unwrap().iter().filter(|p| p.ends_with(name)).count();
    assert_eq!(["song 2.wav", "song 3.wav", "song 4.wav"].map(tried), [1, 3, 4]);
    assert_eq!(tracks(&server, &schema).len(), 5);
    let failure = queue.failures(10).unwrap().remove(0);
    assert_eq!((failure.kind, failure.tries), (FailureKind::Unreadable, 4));
    assert!(failure.reason.contains("the cable is cut"), "{}", failure.reason);
}

#[test]
fn a_server_that_is_killed_and_comes_back_ends_no_sync() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, schema) = named(&server);
    let folder = folder(40);
    let (mut slow, queue) = (options(), Queue::open(&store).unwrap());
    slow.opener = Arc::new(|path: &Path| {
        std::thread::sleep(Duration::from_millis(50));
        Ok(Box::new(File::open(path)?))
    });
    let reports: Vec<SyncReport> = std::thread::scope(|scope| {
        let run = || scope.spawn(|| sync(&store, folder.path(), &slow));
        let threads = [run(), run()];
        for tracks in [1, 15] {
            let begun = Instant::now();
            while queue.progress().unwrap().done < tracks {
                assert!(begun.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(5));
            }
            server.end("KILL");
            server.begin();
        }
        threads.map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(tracks(&server, &schema), names(folder.path(), 40), "{reports:?}");
    let progress = queue.progress().unwrap();
    assert_eq!((progress.done, progress.failed), (40, 0), "{reports:?}");
}

/// A worker in a process of its own, which reads slowly. It is this test program.
fn worker(server: &Server, schema: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sharing::a_worker_of_the_test_below", "--ignored"])
        .env("EARMARK_TEST_URL", server.url())
        .env("EARMARK_TEST_SCHEMA", schema)
        .env("EARMARK_TEST_FOLDER", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "run by the test below, in processes that it kills"]
fn a_worker_of_the_test_below() {
    let Ok(url) = std::env::var("EARMARK_TEST_URL") else { return };
    let told = |name: &str| std::env::var(format!("EARMARK_TEST_{name}")).unwrap();
    let store = Store::connect(&url).unwrap().in_schema(&told("SCHEMA")).unwrap();
    let mut options = options();
    options.opener = Arc::new(|path: &Path| {
        std::thread::sleep(Duration::from_millis(40));
        Ok(Box::new(File::open(path)?))
    });
    sync(&store, Path::new(&told("FOLDER")), &options);
}

#[test]
fn files_of_killed_workers_are_done_by_others_and_no_track_is_there_twice() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let folder = folder(60);
    let queue = Queue::open(&store).unwrap();
    let mut left_behind = 0;
    for round in 0..6u64 {
        let mut workers = [(); 2].map(|()| worker(&server, &schema, folder.path()));
        // They are killed somewhere in the middle of reading, decoding or adding.
        let begun = Instant::now();
        while queue.progress().unwrap().leased == 0 && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(70 * round));
        for worker in &mut workers {
            worker.kill().unwrap();
            worker.wait().unwrap();
        }
        let progress = queue.progress().unwrap();
        left_behind += progress.leased;
        assert_eq!(progress.files(), 60);
        // What was killed in the middle of adding is not there.
        let done = |progress: &QueueProgress| progress.done;
        let there = tracks(&server, &schema);
        assert!(
            (done(&progress)..=done(&queue.progress().unwrap())).contains(&(there.len() as u64))
        );
    }
    assert!(left_behind > 0, "nothing was killed in the middle");
    let report = sync(&store, folder.path(), &options());
    assert_eq!(report.tracks, 60, "{report:?}");
    assert_eq!(tracks(&server, &schema), names(folder.path(), 60));
    let progress = queue.progress().unwrap();
    assert_eq!((progress.done, progress.failed), (60, 0), "{progress:?}");
    let found = store.search(&query(&music(6.0, 33)), &MatchConfig::default()).unwrap();
    assert_eq!(found.len(), 1);
}
