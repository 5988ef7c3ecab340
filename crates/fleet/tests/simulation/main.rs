//! Whole fleets over days, on a clock that a test moves: devices that fail, fall silent, come late and lie, engines that are
//! killed, servers that race each other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

#[path = "../common/mod.rs"]
mod common;

mod device;
mod engines;
mod fleet;
mod large;
mod random;
