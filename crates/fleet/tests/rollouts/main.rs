//! Rollouts from their start to their end, on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod circumstances;
#[path = "../common/mod.rs"]
mod common;
mod comparison;
mod limits;
mod lives;
mod many;
mod memory;
mod presence;
mod preview;
mod steering;
mod story;
mod ways;
mod world;
