//! How long each step may take before its next sign of life.

use std::time::Duration;

use crate::agent::Agent;
use crate::journal::Step;

/// How long it may take to ask the server a few things, with all its timeouts.
pub(crate) const CALLS: Duration = Duration::from_secs(10 * 60);
/// What a step does beside that which has a time of its own.
const REST: Duration = Duration::from_secs(60);

/// The times that others set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For one call of the installer.
    pub(crate) installer: Duration,
    /// For the program that is run before a back-up.
    pub(crate) backup: Duration,
    /// For all health checks.
    pub(crate) health: Duration,
    /// For a restart of the device.
    pub(crate) restart: Duration,
}

impl Patience {
    pub(crate) fn of(agent: &Agent) -> Self {
        Self {
            installer: agent.installer.patience(),
            backup: agent.config.backup.timeout(),
            health: agent.config.health.deadline(),
            restart: agent.config.restart.deadline(),
        }
    }

    /// Returns within which time the next sign comes from a step.
    pub(crate) fn with(&self, step: Step) -> Duration {
        let calls = |count| self.installer.saturating_mul(count);
        REST + match step {
            Step::Checking => CALLS,
            Step::Downloading | Step::Verifying | Step::Applying | Step::Starting => calls(1),
            Step::BackingUp => calls(1) + self.backup,
            // What is stopped is backed up once more.
            Step::Stopping => calls(1),
            Step::Rebooting => calls(2) + self.restart,
            Step::HealthCheck => self.health,
            Step::Committing => calls(3),
            // Stopped, exchanged, started, proven, tidied; and restarted between.
            Step::RollingBack => calls(4) + self.health + self.restart,
        }
    }

    /// Returns within which time the agent boots: what was put back half is put back whole, and what should run is started.
    pub(crate) fn with_boot(&self) -> Duration {
        REST + self.installer.saturating_mul(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_the_times_that_its_parts_have() {
        let sec = Duration::from_secs;
        let patience = Patience {
            installer: sec(1),
            backup: sec(10),
            health: sec(100),
            restart: sec(1000),
        };
        let table = [
            (Step::Checking, 600),
            (Step::Downloading, 1),
            (Step::Verifying, 1),
            (Step::BackingUp, 11),
            (Step::Stopping, 1),
            (Step::Applying, 1),
            (Step::Starting, 1),
            (Step::Rebooting, 1002),
            (Step::HealthCheck, 100),
            (Step::Committing, 3),
            (Step::RollingBack, 1104),
        ];
        for (step, expected) in table {
            assert_eq!(patience.with(step), REST + sec(expected), "{step}");
        }
        assert_eq!(patience.with_boot(), REST + sec(3));
    }
}
