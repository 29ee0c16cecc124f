//! A collection in PostgreSQL. Without PostgreSQL, these tests say that they are left out.

#[path = "../common/mod.rs"]
mod common;

mod changing;
mod opening;
#[cfg(feature = "library")]
mod programs;
#[cfg(feature = "library")]
mod queue;
mod same;
mod shards;
#[cfg(feature = "library")]
mod sharing;
