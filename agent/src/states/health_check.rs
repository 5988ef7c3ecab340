//! Health check: the new version must prove itself before the deadline.

use super::{Next, no_target};
use crate::agent::Agent;
use crate::health;
use crate::journal::{Attempt, Installed, Step};

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = &attempt.target else {
        return Ok(no_target());
    };
    Ok(match agent.prove(target).await {
        Ok(()) => Next::Step(Step::Committing),
        Err(why) => Next::RollBack(why),
    })
}

impl Agent {
    /// Returns when a version has proven itself healthy; the error says what is wrong with it.
    pub(super) async fn prove(&self, version: &Installed) -> Result<(), String> {
        let patient = health::Patient {
            version: version.version.clone(),
            folder: self.installer.folder(version),
            service: self.installer.service(),
        };
        let proof = health::prove(&self.config.health, &self.checks, &patient).await;
        self.senses.proved(proof.is_ok());
        proof
    }
}
