//! Tracks and times as people read them.

use crate::text::printable;
use earmark::Tags;

/// "title – artist", as far as the track is tagged, else its name; fit to be shown.
pub fn label(name: &str, tags: &Tags) -> String {
    printable(&match (&tags.title, &tags.artist) {
        (Some(title), Some(artist)) => format!("{title} – {artist}"),
        (Some(title), None) => title.clone(),
        _ => name.into(),
    })
}

/// A time as in `1:02.3`.
pub fn clock(seconds: f64) -> String {
    let tenths = (seconds.abs() * 10.0).round() as u64;
    let sign = if seconds < 0.0 && tenths > 0 { "-" } else { "" };
    format!("{sign}{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}
