//! A publisher, a server that can be made to cheat, and a device with a real agent.

#![allow(dead_code, reason = "every test file uses a part")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

pub mod artifacts;
pub mod device;
pub mod kills;
pub mod network;
mod pack;
pub mod publisher;
pub mod server;

use std::time::Duration;

pub const MODEL: &str = "otter-board";

/// How long anything here may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition; fails with what was waited for.
pub async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
