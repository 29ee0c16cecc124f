//! Which of several copies is the best, and why.

use super::DuplicateCopy;
use std::cmp::{Ordering, Reverse};

/// Puts the best copy first.
pub(super) fn sort(copies: &mut [DuplicateCopy]) {
    copies.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(Ordering::Equal));
}

/// By which copies are compared: first what is best.
fn rank(copy: &DuplicateCopy) -> (bool, u64, bool, u32, u64, Reverse<u32>) {
    let quality = &copy.quality;
    // Lengths that differ by less than a tenth do not count.
    let length = (copy.track.duration_s.max(1.0).ln() / 1.1f64.ln()).round() as u64;
    let rate = (copy.bytes as f64 / copy.track.duration_s.max(0.1)) as u64;
    let lossless = quality.is_lossless();
    let id = Reverse(copy.track.id.0);
    (quality.is_complete(), length, lossless, quality.sample_rate_hz, rate, id)
}

/// Why the best copy is better than the second.
pub(super) fn why(best: &DuplicateCopy, second: &DuplicateCopy) -> String {
    let (a, b) = (rank(best), rank(second));
    if a.0 != b.0 {
        "nothing of it was lost in decoding".into()
    } else if a.1 != b.1 {
        format!(
            "it is longer: {:.1} s, not {:.1} s",
            best.track.duration_s, second.track.duration_s
        )
    } else if a.2 != b.2 {
        format!("it is lossless ({})", best.quality.codec)
    } else if a.3 != b.3 {
        let [x, y] = [best, second].map(|copy| copy.quality.sample_rate_hz);
        format!("it has a higher sample rate: {x} Hz, not {y} Hz")
    } else if a.4 != b.4 {
        format!("it has more bytes per second: {}, not {}", a.4, b.4)
    } else {
        "there is no difference; it was there first".into()
    }
}
