//! Opening what a user names without waiting for ever: it may be a pipe, a socket or a device.

use earmark::config::StftConfig;
use earmark::{AudioReader, Error};
use std::fs::{self, File, FileType};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// So long is waited for someone to write into a pipe.
const WRITER_WAIT: Duration = Duration::from_secs(5);

/// What something is that is neither a file nor a folder.
#[cfg(unix)]
pub fn special(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        kind if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        _ => None,
    }
}

/// What something is that is neither a file nor a folder.
#[cfg(not(unix))]
pub fn special(kind: FileType) -> Option<&'static str> {
    (!kind.is_file() && !kind.is_dir()).then_some("not a regular file")
}

/// Opens a file, or a pipe that someone writes into.
///
/// # Errors
/// Those of the system; it is a socket or a device, or a pipe without a writer.
pub fn open(path: &Path) -> io::Result<File> {
    match special(fs::metadata(path)?.file_type()) {
        None => File::open(path),
        Some("a named pipe") => open_pipe(path),
        Some(what) => Err(io::Error::other(format!("it is {what}"))),
    }
}

/// Opening a pipe waits for its writer, so another thread does it.
fn open_pipe(path: &Path) -> io::Result<File> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_path_buf();
    // Nobody receives it any more if it took too long.
    thread::spawn(move || sender.send(File::open(path)));
    let nobody = |_| Err(io::Error::other("it is a named pipe, and nothing writes into it"));
    receiver.recv_timeout(WRITER_WAIT).unwrap_or_else(nobody)
}

/// Opens an audio file, or audio that comes through a pipe.
///
/// # Errors
/// Those of [`AudioReader::open`], and of [`open`] as [`Error::Io`].
pub fn open_audio(path: &Path, stft: &StftConfig) -> earmark::Result<AudioReader> {
    if !fs::metadata(path).is_ok_and(|data| special(data.file_type()).is_some()) {
        return AudioReader::open(path, stft);
    }
    let failed = |source| Error::Io { action: "open", path: path.into(), source };
    let extension = path.extension().and_then(|extension| extension.to_str());
    AudioReader::from_reader(open(path).map_err(failed)?, extension, stft)
}
