//! The writer is killed at any time: what was committed is there, and nothing else.

/// Ends the process at a step that the environment names.
pub(crate) fn step(_name: &str) {}
