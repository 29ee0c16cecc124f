//! Runs the example programs, with a limit on their time.

use earmark::Index;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const COLUMNS: &str = "query\trank\ttrack\treference_start_s\tquery_start_s\tquery_end_s\tspeed\tvotes\tscore\tsame_as";

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program that `cargo test` built beside this test.
pub fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing: run `cargo build --examples` first", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

pub fn run(command: &mut Command) -> (i32, String, String) {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let code = wait(command.spawn().unwrap());
    (code, content(out), content(err))
}

/// Waits until a program ends, but not for ever.
pub fn wait(mut child: Child) -> i32 {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"));
        }
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("it hangs");
}

pub fn content(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub fn run_with_input(command: &mut Command, input: &str) -> (i32, String, String) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    run(command.stdin(file))
}

/// Writes samples at 8 kHz.
pub fn write_wav(path: &Path, samples: &[f32]) {
    let bytes = 2 * samples.len() as u32;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000u32.to_le_bytes());
    wav.extend(16_000u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|x| ((32_000.0 * x) as i16).to_le_bytes()));
    fs::write(path, wav).unwrap();
}

/// A folder with two recordings in it, one of them in a folder below.
pub fn small_library() -> TempDir {
    let folder = TempDir::new().unwrap();
    let below = folder.path().join("library/b");
    fs::create_dir_all(&below).unwrap();
    fs::copy(fixture("library/01-melody.wav"), folder.path().join("library/a.wav")).unwrap();
    fs::copy(fixture("library/05-arpeggio.flac"), below.join("c.flac")).unwrap();
    fs::write(folder.path().join("library/notes.txt"), "no audio").unwrap();
    folder
}

pub fn index_of(folder: &TempDir) -> PathBuf {
    let index = folder.path().join("index");
    let mut command = example("fingerprint");
    let (code, _, stderr) = run(command.current_dir(folder.path()).args(["index", "./library/"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    index
}

/// Names of the tracks of an index, in its order.
pub fn names_in(index: &Path) -> Vec<String> {
    let reader = Index::open(index).unwrap().reader();
    reader.tracks().map(|track| track.unwrap().name).collect()
}

pub fn rows(tsv: &str) -> Vec<Vec<&str>> {
    let mut lines = tsv.lines();
    assert_eq!(lines.next(), Some(COLUMNS));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 10), "{tsv}");
    rows
}
