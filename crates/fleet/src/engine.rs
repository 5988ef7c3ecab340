//! Periodic work: rollouts go on by their gates, silence ends attempts, and what was gathered is written.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::fleet::Fleet;

mod evaluations;
mod gates;
mod silence;
mod waiting;

pub(crate) use evaluations::Evaluations;
pub(crate) use waiting::{WaitingCounts, takes_so_many};

/// How often the engine looks, where nothing wakes it before.
const TICK: Duration = Duration::from_secs(1);

/// How often gathered last-seen times are written.
const PRESENCE_EVERY: Duration = Duration::from_secs(10);

/// How often is looked whether it is time to count the fleet, and check-ins are written.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// How often others' changes are looked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// How often trust metadata and sessions are looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked for artifacts that nobody needs.
const GARBAGE_EVERY: Duration = Duration::from_secs(15 * 60);

/// How long a lease lasts that isn't renewed, in seconds.
const LEASE_SEC: u64 = 10;

impl Fleet {
    /// Runs periodic work until it is told to stop: gates, time-outs, last-seen times, samples, trust metadata, sessions.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(
            self.run_engine(&stop),
            self.run_follower(&stop),
            self.every(&stop, PRESENCE_EVERY, "presence", || self.write_presence()),
            self.every(&stop, SAMPLE_EVERY, "samples", || self.take_sample()),
            self.every(&stop, UPKEEP_EVERY, "upkeep", || self.keep_up()),
            self.every(&stop, GARBAGE_EVERY, "garbage", || self.collect_garbage()),
        );
        if let Err(error) = self.write_presence().await {
            tracing::error!(%error, "last-seen times could not be written before the end");
        }
        if let Err(error) = self.release_lease("engine").await {
            tracing::warn!(%error, "the engine's lease stays until it ends");
        }
    }

    async fn run_engine(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
                () = self.inner.engine_wake.notified() => {}
            }
            if let Err(error) = self.advance().await {
                tracing::error!(%error, "the engine could not go on; it tries again");
            }
        }
    }

    async fn run_follower(&self, stop: &CancellationToken) {
        let mut followed = loop {
            match self.follow_from_now().await {
                Ok(followed) => break followed,
                Err(error) => tracing::error!(%error, "changes can't be followed; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
            if let Err(error) = self.follow(&mut followed).await {
                tracing::error!(%error, "changes can't be followed; trying again");
            }
        }
    }

    async fn every<F: Future<Output = Result<()>>>(
        &self,
        stop: &CancellationToken,
        period: Duration,
        what: &str,
        work: impl Fn() -> F,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(period) => {}
            }
            if let Err(error) = work().await {
                tracing::error!(%error, what, "periodic work failed; it is tried again");
            }
        }
    }

    async fn keep_up(&self) -> Result<()> {
        self.renew_trust().await?;
        self.log_trust_warnings().await?;
        self.delete_expired_sessions().await?;
        self.look_after_audit().await?;
        Ok(())
    }

    /// Lets every live rollout go on as far as it may; one server at a time.
    pub async fn advance(&self) -> Result<()> {
        if !self.hold_lease("engine", LEASE_SEC).await? {
            return Ok(());
        }
        self.end_silent_attempts().await?;
        let live: Vec<_> = self
            .plan()
            .rollouts()
            .iter()
            .map(|planned| planned.rollout.id)
            .collect();
        for id in live {
            self.advance_rollout(id).await?;
        }
        Ok(())
    }
}
