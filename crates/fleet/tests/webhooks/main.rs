//! What webhooks are told, and in which order, on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

#[path = "../common/mod.rs"]
mod common;
mod hooks;
mod order;
mod receiver;
mod setup;
mod story;
#[allow(dead_code, reason = "not everything there is needed here")]
#[path = "../rollouts/world.rs"]
mod world;
