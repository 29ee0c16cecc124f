//! A collection in PostgreSQL. Without PostgreSQL, these tests say that they are left out.

#[path = "../common/mod.rs"]
mod common;

#[global_allocator]
static ALLOCATOR: common::Refusing = common::Refusing;

mod changing;
mod damage;
mod faults;
mod opening;
#[cfg(feature = "library")]
mod programs;
#[cfg(feature = "library")]
mod queue;
mod same;
mod shards;
#[cfg(feature = "library")]
mod sharing;
