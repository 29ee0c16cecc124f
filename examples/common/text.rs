//! How things are said to people, and what of outside text may reach their terminals.

use earmark::Error;
use std::io::{self, Write};
use std::path::Path;

/// What went wrong, to stand after the file's name.
pub fn reason(error: &Error) -> String {
    printable(&match error {
        Error::Io { action, source, .. } => format!("cannot {action} it: {source}"),
        other => other.to_string(),
    })
}

/// A number and its noun.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Outside text as it may be shown: characters that steer a terminal, end a line or turn the
/// direction of writing become escapes such as `\n` and `\u{1b}`.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Whether a character is for machines: controls, separators of lines, overrides of direction.
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path as text, with bytes that are not UTF-8 as `\xFF`.
pub fn lossless(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += chunk.valid();
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02X}"));
    }
    text
}

/// A path as it may be shown.
pub fn shown(path: &Path) -> String {
    printable(&lossless(path))
}

/// Says something on standard error. That nobody can hear it is no reason to stop.
pub fn complain(message: &str) {
    let mut err = io::stderr().lock();
    for line in message.split('\n') {
        let _ = writeln!(err, "{}", printable(line));
    }
}

/// Whether all that was printed could be written. A closed pipe is no failure: whoever reads it has
/// seen enough.
pub fn printed(result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {e}"))
        }
        _ => Ok(()),
    }
}
