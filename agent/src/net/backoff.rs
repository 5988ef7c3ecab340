//! Times between tries: exponential with full jitter, so that a fleet that lost its server together comes back apart.

use std::time::Duration;

use rand::RngExt;

use crate::config::RetryPolicy;

/// Counts failures in a row.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    policy: RetryPolicy,
    failures: u32,
}

impl Backoff {
    /// Begins with no failure.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns how long to wait: never less than the server asks for.
    pub fn failed(&mut self, retry_after: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let part = rand::rng().random::<f64>();
        match retry_after {
            None => self.policy.ceiling(self.failures).mul_f64(part),
            Some(wait) => wait.saturating_add(self.policy.ceiling(1).mul_f64(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_full_and_bounded() {
        let policy = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(8));
        let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
        for _ in 0..500 {
            let mut backoff = Backoff::new(policy);
            assert!(backoff.failed(None) <= Duration::from_secs(1));
            for _ in 0..9 {
                backoff.failed(None);
            }
            let wait = backoff.failed(None);
            least = least.min(wait);
            most = most.max(wait);
        }
        assert!(least < Duration::from_secs(1) && most > Duration::from_secs(7));
        assert!(most <= Duration::from_secs(8));
    }

    #[test]
    fn the_server_is_left_alone_as_long_as_it_asks() {
        let policy = RetryPolicy::new(Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(policy);
        let wait = backoff.failed(Some(Duration::from_secs(60)));
        assert!(wait >= Duration::from_secs(60) && wait < Duration::from_secs(61));
    }
}
