//! A collection in PostgreSQL. Without PostgreSQL, these tests say that they are left out.

#[path = "../common/mod.rs"]
mod common;

mod changing;
mod opening;
mod same;
