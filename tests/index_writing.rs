//! Writing index files: one writer at a time, and nothing of the old file's surroundings is lost.

mod common;

use common::*;
use earmark::{Config, Error, HashIndex, IndexLock};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names of all that a folder holds, in order.
fn entries(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| name(e).into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_locked(path: &Path) -> bool {
    match IndexLock::acquire(path) {
        Ok(_) => false,
        Err(Error::Locked { path: named }) => named == path,
        Err(error) => panic!("{error}"),
    }
}

/// Set for a process that is to take a lock and keep it.
const HOLD: &str = "EARMARK_TEST_HOLD";

/// Not a test by itself: what the process of [`hold`] does.
#[test]
fn holder() {
    let Some(path) = std::env::var_os(HOLD) else { return };
    let _lock = IndexLock::acquire(PathBuf::from(path)).unwrap();
    println!("\nheld");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

/// Another process that holds the lock.
fn hold(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--nocapture"])
        .env(HOLD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line == "held"));
    child
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let lock = IndexLock::acquire(&path).unwrap();
    assert!(is_locked(&path));
    let message = IndexLock::acquire(&path).unwrap_err().to_string();
    assert!(message.contains(path.to_str().unwrap()) && message.contains("try again"), "{message}");
    // Another index in the same folder is another matter.
    assert!(!is_locked(&folder.path().join("index2")));
    // The lock outlives saving, and readers need none.
    index().save(&path).unwrap();
    assert!(is_locked(&path));
    HashIndex::open(&path).unwrap();
    drop(lock);
    assert!(!is_locked(&path));
    if cfg!(unix) {
        assert_eq!(entries(folder.path()), ["index"]);
    }
}

#[test]
fn a_killed_writer_leaves_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut child = hold(&path);
    assert!(is_locked(&path));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_locked(&path));
}

/// However the removal of the lock file by one falls between the steps of another.
#[test]
fn of_many_that_try_no_two_have_it() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let (inside, times) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        for _ in 0..300 {
            match IndexLock::acquire(&path) {
                Ok(_lock) => {
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    times.fetch_add(1, SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, SeqCst);
                }
                Err(Error::Locked { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    assert!(times.into_inner() > 0);
}

#[test]
fn what_cannot_be_saved_is_known_when_it_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| IndexLock::acquire(path).unwrap_err().to_string();
    let missing = folder.path().join("no folder").join("index");
    let said = message(&missing);
    assert!(said.starts_with("cannot write beside ") && said.contains("no folder"), "{said}");
    let said = message(folder.path());
    assert!(said.starts_with("cannot replace ") && said.contains("it is a folder"), "{said}");
    assert!(entries(folder.path()).is_empty());
}

#[test]
fn what_a_killed_run_left_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let [path, other] = ["index", "index2"].map(|name| folder.path().join(name));
    index().save(&path).unwrap();
    // Names of temporaries are not told: a running save shows them.
    let temporary = |path: &Path| {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let saving = scope.spawn(|| {
                let mut index = index();
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    index.save(path).unwrap();
                }
            });
            let found = loop {
                let seen = entries(folder.path());
                if let Some(name) = seen.into_iter().find(|name| name.starts_with(".earmark-")) {
                    break name;
                }
                assert!(!saving.is_finished());
            };
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            saving.join().unwrap();
            folder.path().join(found)
        })
    };
    let [ours, others] = [&path, &other].map(|path| temporary(path));
    for stale in [&ours, &others] {
        fs::write(stale, "half an index").unwrap();
    }
    // One that is being written.
    let living = ours.with_file_name({
        let name = ours.file_name().unwrap().to_str().unwrap();
        format!("{}living", &name[..name.len() - 6])
    });
    let writer = fs::File::create(&living).unwrap();
    writer.lock().unwrap();
    drop(IndexLock::acquire(&path).unwrap());
    assert!(!ours.exists() && others.exists() && living.exists());
    drop(writer);
    drop(IndexLock::acquire(&path).unwrap());
    assert!(others.exists() && !living.exists());
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn saving_keeps_the_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let new = folder.path().join("new");
        fs::write(&new, "").unwrap();
        index().save(&path).unwrap();
        assert_eq!(mode(&path), mode(&new), "as any new file");
        for kept in [0o600, 0o640, 0o664, 0o444] {
            fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
            index().save(&path).unwrap();
            assert_eq!(mode(&path), kept, "{kept:o}");
        }
    }

    #[test]
    fn saving_writes_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        symlink("middle", at("link")).unwrap();
        symlink("real/index", at("middle")).unwrap();
        // First the chain ends nowhere, then at a file.
        for _ in 0..2 {
            index().save(at("link")).unwrap();
            for link in ["link", "middle"] {
                assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
            }
            assert!(fs::symlink_metadata(at("real/index")).unwrap().is_file());
            assert_eq!(HashIndex::open(at("link")).unwrap().catalog().tracks().len(), 3);
        }
        assert_eq!(entries(&at("real")), ["index"]);
        // By whatever path, it is one index.
        let lock = IndexLock::acquire(at("link")).unwrap();
        assert!(is_locked(&at("real/index")) && is_locked(&at("middle")));
        drop(lock);
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        let said = index().save(at("a")).unwrap_err().to_string();
        assert!(said.starts_with("cannot replace ") && said.contains("circle"), "{said}");
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut index = HashIndex::new(Config::default()).unwrap();
        let said = index.save(&path).unwrap_err().to_string();
        assert!(said.contains("not a regular file"), "{said}");
        assert!(IndexLock::acquire(&path).is_err());
        assert_eq!(entries(folder.path()), ["socket"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let set_mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode));
        index().save(folder.path().join("index")).unwrap();
        set_mode(0o555).unwrap();
        // The kernel's files stand where not even root may make others.
        for folder in [folder.path(), Path::new("/proc")] {
            let root = fs::write(folder.join("probe"), "").is_ok();
            let locked = IndexLock::acquire(folder.join("index")).map(drop);
            assert_eq!(locked.is_ok(), root, "{}", folder.display());
            if let Err(error) = locked {
                assert!(error.to_string().starts_with("cannot write beside "), "{error}");
            }
        }
        set_mode(0o755).unwrap();
    }
}
