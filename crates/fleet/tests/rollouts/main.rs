//! Rollouts from their start to their end, on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

#[path = "../common/mod.rs"]
mod common;
mod memory;
mod steering;
mod story;
mod world;
