//! Agents that are killed at random moments: from a seed, so that a failure can be looked at again.

use std::collections::BTreeSet;
use std::time::Duration;

use otter_agent::journal::{Record, Step};

use super::device::Device;
use super::eventually;
use super::server::Server;

/// Least kills of a test.
const LEAST: u32 = 10;
/// Steps that they must meet.
const STEPS: usize = 2;

/// Kills, and the steps that they met.
pub struct Kills {
    seed: u64,
    longest: Duration,
    done: u32,
    steps: BTreeSet<Step>,
}

impl Kills {
    /// Kills that come at most so long after an update began: it should take about that.
    pub fn within(longest: Duration, seed: u64) -> Self {
        Self {
            seed,
            longest,
            done: 0,
            steps: BTreeSet::new(),
        }
    }

    /// Tells whether there are more; on a busy machine it takes more of them to meet different steps.
    pub fn are_left(&self) -> bool {
        self.done < LEAST || self.steps.len() < STEPS && self.done < 3 * LEAST
    }

    /// Starts the agent, kills it in the update that it is offered, and returns what its journal says then.
    pub async fn kill(&mut self, device: &mut Device, server: &Server) -> Record {
        device.start();
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let is_busy = || {
            let is_over = server.fleet().offers.is_empty();
            (is_over || device.journal().attempt.is_some()).then_some(())
        };
        eventually("something to be under way", is_busy).await;
        let longest = u64::try_from(self.longest.as_millis()).unwrap();
        tokio::time::sleep(Duration::from_millis((self.seed >> 33) % longest)).await;
        device.kill();
        let record = device.journal();
        let step = record.attempt.as_ref().map(|attempt| attempt.step);
        println!("kill {} met {step:?}", self.done);
        self.done += 1;
        self.steps.extend(step);
        record
    }

    /// Lets the agent come to the end of what was offered; fails where the kills were of no use.
    pub async fn end(self, device: &mut Device, server: &Server) {
        let steps = self.steps;
        assert!(
            steps.len() >= STEPS,
            "the kills met these steps only: {steps:?}"
        );
        device.start();
        eventually("what was offered to end", || {
            server.fleet().offers.is_empty().then_some(())
        })
        .await;
    }
}

/// Waits until every report is delivered; fails unless the server counts what the device counts.
pub async fn all_is_told(device: &Device, server: &Server) {
    eventually("every report to be delivered", || {
        device.journal().outbox.is_empty().then_some(())
    })
    .await;
    let counted = server.fleet().ended();
    let own = device.history();
    assert_eq!(counted.len(), own.len());
    for ended in own {
        assert_eq!(counted.get(&ended.offer.attempt), Some(&ended.outcome));
    }
}
