//! How things are said to people.

use earmark::Error;

/// What went wrong, to stand after the file's name.
pub fn reason(error: &Error) -> String {
    match error {
        Error::Io { action, source, .. } => format!("cannot {action} it: {source}"),
        other => other.to_string(),
    }
}

/// A number and its noun.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
