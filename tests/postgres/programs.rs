//! The program `library`, on several machines that share one list of files.

#[path = "../examples/running.rs"]
#[expect(dead_code, reason = "these tests use a part")]
mod running;

use crate::common::server::{PASSWORD, Server};
use crate::common::{music, wav};
use crate::queue::tracks;
use running::{example, run, wait};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command of the program on a server's collection; the password comes from a variable.
fn library(server: &Server, command: &str) -> Command {
    let url = format!("postgres://tester@127.0.0.1:{}/postgres", server.port());
    let mut library = example("library");
    library.env("PGPASSWORD", PASSWORD).args([command, "--store", &url]);
    library
}

#[test]
fn programs_share_a_list_and_one_that_is_killed_leaves_its_files_to_the_others() {
    let Some(server) = Server::start(&["fsync=off"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    for i in 0..30 {
        let song = wav(&music(6.0, 500 + i));
        std::fs::write(folder.path().join(format!("{i}.wav")), song).unwrap();
    }
    std::fs::write(folder.path().join("broken.mp3"), b"nothing").unwrap();
    let sync = || {
        let mut sync = library(&server, "sync");
        sync.args(["--jobs", "2", "--lease", "2", "--commit", "4"]).arg(folder.path());
        sync
    };
    let mut slow = sync();
    let mut killed =
        slow.args(["--delay", "200"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let leased = || {
        let (_, out, _) = run(library(&server, "progress").args(["--format", "json"]));
        let told: Option<serde_json::Value> = serde_json::from_str(&out).ok();
        told.and_then(|told| told["leased"].as_u64()).unwrap_or(0)
    };
    let begun = Instant::now();
    while leased() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    let other = sync().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    // Some files failed, whoever had them.
    let code = wait(other);
    assert!(code <= 1, "{code}");
    let (_, out, err) = run(&mut sync());
    assert!(out.contains("all machines: 31 of 31 files, 1 failed, 0 workers"), "{out}{err}");
    assert!(out.contains("the library holds 30 tracks"), "{out}");
    let there = tracks(&server, "earmark");
    assert_eq!(there.len(), 30);
    assert!(there.windows(2).all(|two| two[0] != two[1]), "{there:?}");
    let (code, out, _) = run(&mut library(&server, "progress"));
    assert_eq!(code, 1);
    assert!(out.contains("31 of 31 files, 1 failed") && out.contains("broken.mp3: "), "{out}");

    // Searched beside a server that is not there.
    let gone = "postgres://me:hidden@127.0.0.1:1/music";
    let find = |options: &[&str]| {
        let clip = folder.path().join("7.wav");
        let mut find = example("postgres");
        run(find.args(["match", &server.url()]).arg(clip).args(["--also", gone]).args(options))
    };
    let (code, out, err) = find(&["--partial"]);
    assert!(code == 0 && out.contains("7.wav\" at "), "{out}{err}");
    assert!(err.starts_with("not searched: server 2: PostgreSQL: cannot connect"), "{err}");
    let (code, out, err) = find(&[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("error: shard server 2: PostgreSQL: cannot connect"), "{err}");
    assert!(!err.contains("hidden"), "{err}");
}

#[test]
fn what_does_not_go_with_a_store_is_told_and_no_password_is() {
    let mut sync = example("library");
    let url = "postgres://me:hidden@127.0.0.1:1/music";
    let (code, out, err) = run(sync.args(["sync", "--store", url, "--verify", "Music"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--verify"), "{err}");
    let (code, _, err) = run(example("library").args(["sync", "--store", url, "Music"]));
    assert_eq!(code, 2);
    assert!(err.contains("PostgreSQL: cannot connect") && !err.contains("hidden"), "{err}");
    let (code, _, err) = run(example("library").args(["sync"]));
    assert_eq!(code, 2);
    assert!(err.contains("<LIBRARY>") && err.contains("--store"), "{err}");
}
