//! The server over HTTP, as devices, programs and browsers meet it, on SQLite and on PostgreSQL.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;
mod process;
mod routes;
