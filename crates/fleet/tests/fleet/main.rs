//! The registry, releases, trust, people and the audit log, on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod accounts;
mod audit;
#[path = "../common/mod.rs"]
mod common;
mod delegations;
mod devices;
mod enrollment;
mod find;
mod garbage;
mod import;
mod keys;
mod log_ins;
mod people;
mod releases;
mod roots;
mod samples;
mod search;
mod second_factors;
mod trust;
