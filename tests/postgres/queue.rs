//! The list of files: what is put in is done once, whoever is killed.

use crate::common::server::Server;
use crate::common::{fingerprint, music, query, rate};
use earmark::library::FailureKind;
use earmark::postgres::{Finished, Lease, Queue, QueueFile, QueueProgress, Store};
use earmark::{Config, Fingerprint, Fingerprinter, MatchConfig, Tags};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A collection in a schema of its own.
pub fn named(server: &Server) -> (Store, String) {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let schema = format!("queue_{}", SCHEMAS.fetch_add(1, Relaxed));
    let store = Store::connect(&server.url()).unwrap().in_schema(&schema).unwrap();
    store.migrate(&Config::default()).unwrap();
    (store, schema)
}

fn store(server: &Server) -> Store {
    named(server).0
}

/// The names of all tracks.
pub fn tracks(server: &Server, schema: &str) -> Vec<String> {
    let statement = format!("SELECT name FROM {schema}.tracks WHERE removed_at IS NULL");
    let rows = server.client().query(&statement, &[]).unwrap();
    let mut names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    names.sort();
    names
}

fn files(count: usize) -> impl Iterator<Item = QueueFile> {
    (0..count).map(|i| QueueFile::new(format!("/music/{}/song {i}.mp3", i % 50), 1000, i as i64))
}

fn paths(leases: &[Lease]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = leases.iter().map(|lease| lease.path.clone()).collect();
    paths.sort();
    paths
}

/// What is in the list: waiting, leased, done, failed.
fn counts(queue: &Queue) -> [u64; 4] {
    let QueueProgress { waiting, leased, done, failed, .. } = queue.progress().unwrap();
    [waiting, leased, done, failed]
}

#[test]
fn files_are_put_in_once_and_again_when_they_change() {
    let Some(server) = Server::shared() else { return };
    let queue = Queue::open(&store(&server)).unwrap();
    let put = queue.put(files(1000)).unwrap();
    assert_eq!((put.new, put.changed), (1000, 0));
    // Twice in one go, and again.
    let put = queue.put(files(1000).chain(files(1010))).unwrap();
    assert_eq!((put.new, put.changed), (10, 0));
    assert_eq!(counts(&queue), [1010, 0, 0, 0]);

    // One that changes while it is worked on waits again, and the work is in vain.
    let own = queue.claim(1).unwrap().remove(0);
    let put = queue.put([QueueFile::new(&own.path, 1001, 0)]).unwrap();
    assert_eq!((put.new, put.changed), (0, 1));
    queue.fail(&own, FailureKind::Undecodable, "of the old file").unwrap();
    assert_eq!(counts(&queue), [1010, 0, 0, 0]);
}

#[cfg(unix)]
#[test]
fn any_path_comes_back_as_it_was() {
    use std::os::unix::ffi::OsStrExt;
    let Some(server) = Server::shared() else { return };
    let queue = Queue::open(&store(&server)).unwrap();
    let long = format!("/{}", "long/".repeat(3000));
    let injected = "/x'; DROP TABLE earmark.files; --\\.mp3";
    let names = [b"/a b\n.mp3".as_slice(), b"/\xff\\\xfe.mp3", b"/\\xff", injected.as_bytes()];
    let mut all: Vec<PathBuf> = names
        .into_iter()
        .chain([long.as_bytes()])
        .map(|bytes| std::ffi::OsStr::from_bytes(bytes).into())
        .collect();
    let put = queue.put(all.iter().map(|path| QueueFile::new(path, u64::MAX, i64::MIN))).unwrap();
    assert_eq!(put.new, 5);
    all.sort();
    let leases = queue.claim(10).unwrap();
    assert_eq!(paths(&leases), all);
    assert!(leases.iter().all(|lease| (lease.bytes, lease.tries) == (i64::MAX as u64, 1)));
    assert_eq!(
        queue.put(all.iter().map(|path| QueueFile::new(path, u64::MAX, i64::MIN))).unwrap().new,
        0
    );
}

/// Whoever may write into the table gets no worker to panic, to hang, or to take memory without a limit.
#[test]
fn what_others_write_into_the_list_does_no_harm() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let queue = Queue::open(&store).unwrap();
    queue.put(files(1)).unwrap();
    let mut client = server.client();
    let mut set = |what: &str| {
        let statement = format!("UPDATE {schema}.files SET {what} WHERE state <> 'done'");
        client.batch_execute(&statement).is_ok()
    };
    for refused in [
        "name = repeat('x', 2000000)",
        "path = convert_to(repeat('x', 2000000), 'UTF8')",
        "hash = ''",
        "state = 'other'",
        "state = 'failed'",
        "due = NULL",
        "due = 'infinity'",
        "failure = repeat('x', 200)",
        "reason = repeat('x', 20000)",
    ] {
        assert!(!set(refused), "{refused}");
    }
    assert!(set("name = '', path = '', bytes = -5, modified_ns = -1, tries = 2147483647"));
    assert!(queue.claim(5).unwrap().is_empty(), "tried too often");
    let failure = queue.failures(5).unwrap().remove(0);
    assert_eq!((failure.path.as_path(), failure.tries), (std::path::Path::new(""), 1_000_000_001));
    assert!(set(
        "state = 'waiting', due = 'epoch', tries = -2147483648, failure = 'x', reason = 'y'"
    ));
    let lease = queue.claim(5).unwrap().remove(0);
    assert_eq!((lease.bytes, lease.tries), (0, 0));
    // A worker who had a file that it does not know is told so, too.
    assert!(set("lease = NULL, worker = 7"));
    let finished = queue.finish(&[(lease, Tags::default(), print(1))]).unwrap();
    assert!(matches!(finished[..], [Finished::Lost]));
}

#[test]
fn no_file_is_leased_to_two_workers() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    Queue::open(&store).unwrap().put(files(2000)).unwrap();
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let queue = Queue::open(&store).unwrap();
                loop {
                    let leases = queue.claim(37).unwrap();
                    if leases.is_empty() {
                        break;
                    }
                    all.lock().unwrap().extend(paths(&leases));
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    assert_eq!(all.len(), 2000);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 2000);
}

#[test]
fn leases_end_unless_they_are_renewed_and_tries_are_counted() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    let queue = || Queue::open(&store).unwrap();
    let (long, mut short) = (queue(), queue().lease(Duration::from_millis(1)));
    short.put(files(3)).unwrap();
    let first = short.claim(3).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // All of them have ended: one is renewed by the other worker, who takes it.
    let taken = long.claim(1).unwrap();
    assert_eq!(taken[0].tries, 2);
    short = short.lease(Duration::from_secs(600));
    assert_eq!(short.renew().unwrap(), 2, "those that nobody took");
    assert!(long.claim(3).unwrap().is_empty());
    assert_eq!(counts(&long), [0, 3, 0, 0]);
    assert_eq!(long.progress().unwrap().workers, 2);
    // What another one has now is not the first one's to end.
    let lost = first.iter().find(|lease| lease.path == taken[0].path).unwrap();
    short.fail(lost, FailureKind::Undecodable, "not mine").unwrap();
    assert_eq!(counts(&long), [0, 3, 0, 0]);
    // One that ends in order gives back what it has, untried.
    assert_eq!(short.release().unwrap(), 2);
    assert_eq!(long.renew().unwrap(), 1);
    let again = long.claim(3).unwrap();
    assert!(again.len() == 2 && again.iter().all(|lease| lease.tries == 1));
}

#[test]
fn a_file_whose_workers_all_end_is_given_up_and_failures_are_kept() {
    let Some(server) = Server::shared() else { return };
    let store = store(&server);
    let queue = Queue::open(&store).unwrap().lease(Duration::from_millis(1)).most_tries(3);
    queue.put(files(1)).unwrap();
    for tries in 1..=3 {
        let leases = queue.claim(5).unwrap();
        assert_eq!((leases.len(), leases[0].tries), (1, tries));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(queue.claim(5).unwrap().is_empty());
    assert_eq!(counts(&queue), [0, 0, 0, 1]);
    let failure = &queue.failures(10).unwrap()[0];
    assert_eq!(failure.kind, FailureKind::Other);
    assert!(failure.reason.starts_with("given up: 3 workers"), "{}", failure.reason);

    // What cannot be read is tried again, but not for ever; what cannot be decoded is not.
    let queue = queue.lease(Duration::from_secs(60)).retry_after(Duration::ZERO);
    assert_eq!(queue.retry_failed().unwrap(), 1);
    for tries in 1..=3 {
        let lease = queue.claim(5).unwrap().remove(0);
        assert_eq!(lease.tries, tries);
        queue.fail(&lease, FailureKind::Unreadable, "the cable is cut").unwrap();
    }
    queue.put([QueueFile::new("/a.mp3", 1, 1)]).unwrap();
    let lease = queue.claim(5).unwrap().remove(0);
    let reason = format!("no \0 audio {}", "é".repeat(5000));
    queue.fail(&lease, FailureKind::Undecodable, &reason).unwrap();
    let failures = queue.failures(10).unwrap();
    let told: Vec<_> = failures.iter().map(|f| (f.kind, f.tries)).collect();
    assert_eq!(told, [(FailureKind::Undecodable, 1), (FailureKind::Unreadable, 3)]);
    assert!(
        failures[0].reason.starts_with("no \u{fffd} audio éé")
            && failures[1].reason == "the cable is cut"
    );
    assert_eq!(queue.failures(1).unwrap().len(), 1);
    // With a pause, it waits.
    queue.retry_failed().unwrap();
    let queue = queue.retry_after(Duration::from_secs(600));
    for lease in queue.claim(5).unwrap() {
        queue.fail(&lease, FailureKind::Unreadable, "later").unwrap();
    }
    assert!(queue.claim(5).unwrap().is_empty());
    let progress = queue.progress().unwrap();
    assert_eq!((progress.waiting, progress.tried, progress.is_ended()), (2, 2, false));
}

/// Prints how long it takes, on a server that writes everything to its disk.
#[test]
fn a_hundred_thousand_paths_are_put_in_by_several_at_once() {
    let Some(server) = Server::start(&[]) else { return };
    let store = store(&server);
    let queue = Queue::open(&store).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(queue.put(files(100_000)).unwrap().new, 100_000);
    println!("100,000 new paths: {:.2} s", begun.elapsed().as_secs_f64());
    let begun = std::time::Instant::now();
    assert_eq!(queue.put(files(100_000)).unwrap(), Default::default());
    println!("100,000 known paths: {:.2} s", begun.elapsed().as_secs_f64());
    let begun = std::time::Instant::now();
    let leases = queue.claim(500).unwrap();
    println!("claiming 500: {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    assert_eq!(leases.len(), 500);
    let begun = std::time::Instant::now();
    assert_eq!(counts(&queue), [99_500, 500, 0, 0]);
    println!("progress: {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    // Two machines with the same new files, and changes.
    let more = || files(150_000).map(|file| QueueFile::new(file.path, 2000, 0));
    let put: Vec<_> = std::thread::scope(|scope| {
        let put = || scope.spawn(|| Queue::open(&store).unwrap().put(more()).unwrap());
        [put(), put()].map(|thread| thread.join().unwrap()).into()
    });
    let sum = |of: fn(&earmark::postgres::QueuePut) -> u64| put.iter().map(of).sum::<u64>();
    assert_eq!((sum(|put| put.new), sum(|put| put.changed)), (50_000, 100_000));
}

fn print(seed: u64) -> Fingerprint {
    fingerprint(&music(6.0, seed))
}

#[test]
fn tracks_are_there_exactly_where_their_files_are_done() {
    let Some(server) = Server::shared() else { return };
    let (store, schema) = named(&server);
    let queue = Queue::open(&store).unwrap();
    queue.put((0..5).map(|i| QueueFile::new(format!("/{i}.mp3"), 1, 1))).unwrap();
    let mut leases = queue.claim(5).unwrap();
    leases.sort_by(|a, b| a.path.cmp(&b.path));
    // One has changed meanwhile, and is the same worker's again.
    queue.put([QueueFile::new("/1.mp3", 2, 2)]).unwrap();
    leases.push(queue.claim(5).unwrap().remove(0));
    let tags = |i: usize| Tags { title: Some(format!("title {i}")), ..Tags::default() };
    let mut made: Vec<(Lease, Tags, Fingerprint)> = leases
        .into_iter()
        .enumerate()
        .map(|(i, lease)| (lease, tags(i), print(i as u64)))
        .collect();
    // What the store does not take.
    made[2].1.title = Some("x".repeat(2_000_000));
    let other = made.pop().unwrap();
    let finished = queue.finish(&made).unwrap();
    let told: Vec<&str> = finished
        .iter()
        .map(|finished| match finished {
            Finished::Track(_) => "track",
            Finished::Lost => "lost",
            Finished::Failed(_) => "failed",
            _ => "?",
        })
        .collect();
    assert_eq!(told, ["track", "lost", "failed", "track", "track"]);
    assert_eq!(tracks(&server, &schema), ["/0.mp3", "/3.mp3", "/4.mp3"]);
    assert_eq!(counts(&queue), [0, 1, 3, 1]);
    // As after a connection that was lost in the moment of the commit.
    assert!(queue.finish(&made).unwrap().iter().all(|finished| matches!(finished, Finished::Lost)));
    let wrong =
        Fingerprinter::new(Config::compact()).unwrap().fingerprint(&music(6.0, 1), rate(8000));
    assert!(queue.finish(&[(other.0.clone(), tags(1), wrong.unwrap())]).is_err());
    assert!(matches!(
        queue.finish(std::slice::from_ref(&other)).unwrap()[..],
        [Finished::Track(_)]
    ));
    assert_eq!(counts(&queue), [0, 0, 4, 1]);
    assert!(queue.is_ended().unwrap());
    // A track of a file that has changed takes the place of the old one.
    queue.put([QueueFile::new("/3.mp3", 2, 2)]).unwrap();
    let lease = queue.claim(5).unwrap().remove(0);
    queue.finish(&[(lease, tags(77), print(77))]).unwrap();
    assert_eq!(tracks(&server, &schema), ["/0.mp3", "/1.mp3", "/3.mp3", "/4.mp3"]);
    let clip = query(&music(6.0, 77));
    let found = store.search(&clip, &MatchConfig::default()).unwrap();
    assert_eq!(found[0].tags.title.as_deref(), Some("title 77"));
    assert!(store.search(&query(&music(6.0, 3)), &MatchConfig::default()).unwrap().is_empty());
}
