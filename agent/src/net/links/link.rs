//! One of several connections: when it comes first, and what it cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::NetError;
use super::super::backoff::Backoff;
use super::super::transport::Transport;
use crate::config::{LinkConfig, Money, RetryPolicy};

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: LinkConfig,
    pub(super) transport: Box<dyn Transport>,
    /// What it cost before this run.
    cost_before: Money,
    bytes: AtomicU64,
    rest: Mutex<Rest>,
}

/// Until when others come first, and how often in a row that was so.
#[derive(Debug)]
struct Rest {
    until: Option<Instant>,
    backoff: Backoff,
}

impl Link {
    /// Takes a link that works, as far as is known.
    pub(super) fn new(
        config: LinkConfig,
        transport: Box<dyn Transport>,
        cost_before: Money,
        retry: RetryPolicy,
    ) -> Self {
        Self {
            config,
            transport,
            cost_before,
            bytes: AtomicU64::new(0),
            rest: Mutex::new(Rest {
                until: None,
                backoff: Backoff::new(retry),
            }),
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether it may come first again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.rest().until.is_none_or(|until| until <= now)
    }

    /// Notes that it brought an answer.
    pub(super) fn worked(&self) {
        let mut rest = self.rest();
        rest.until = None;
        rest.backoff.succeeded();
    }

    /// Lets others come first for a while, longer each time.
    pub(super) fn failed(&self, error: &NetError) {
        let mut rest = self.rest();
        let wait: Duration = rest.backoff.failed(None);
        rest.until = Some(Instant::now() + wait);
        let name = &self.config.name;
        tracing::info!("link `{name}`: {error}; others come first for {wait:.1?}");
    }

    /// Counts bytes.
    pub(super) fn carried(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns what it cost so far, where it has a price.
    pub(super) fn cost(&self) -> Option<Money> {
        let price = self.config.price_per_mib?;
        let bytes = self.bytes.load(Ordering::Relaxed);
        Some(self.cost_before.plus(Money::for_bytes(price, bytes)))
    }
}
