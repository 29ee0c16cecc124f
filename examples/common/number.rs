//! Numbers from the command line.

use std::num::NonZeroUsize;

/// A number of threads, matches or the like from the command line.
pub fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    let number: usize = text.parse().map_err(|_| "it must be a whole number")?;
    NonZeroUsize::new(number).ok_or_else(|| "it must be at least 1".into())
}
