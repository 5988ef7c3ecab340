//! Rebooting: the device restarts into the new version, or back into the old one.
//!
//! The system's run that is to end stands in the journal before the restart is asked for. Whoever reads the journal in
//! another run knows that the restart happened, and sees by what runs then which way the boot loader went.

use std::time::Duration;

use anyhow::Context;

use super::{Next, no_target};
use crate::agent::Agent;
use crate::install::Started;
use crate::journal::{Attempt, Step};
use crate::outbox;
use crate::service::Trial;

/// How long a restart waits for the last reports to be delivered.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(super) async fn handle(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Next> {
    let Some(target) = &attempt.target else {
        return Ok(no_target());
    };
    let argument = match agent.installer.start(target, Trial::OnTrial).await {
        Ok(Started::Running) => {
            agent.forget_restart()?;
            return Ok(Next::Step(Step::HealthCheck));
        }
        Ok(Started::ByRestart(argument)) => argument,
        Err(error) => return Ok(Next::RollBack(error.to_string())),
    };
    // The new version doesn't run. Where it was booted before, it didn't come up, or its trial was cut short: a boot loader
    // tries it once, and goes back by itself.
    let tries = agent.config.restart.tries;
    if attempt.restarting.is_none() && attempt.boots >= tries {
        return Ok(Next::RollBack(format!(
            "the new system was started {} times and did not come up to prove itself; the boot loader went back to the old one",
            attempt.boots
        )));
    }
    if let Err(error) = agent.installer.apply(target).await {
        return Ok(Next::RollBack(error.to_string()));
    }
    match agent.restart(argument).await? {
        Restart::Happened => {
            agent.forget_restart()?;
            Ok(Next::Step(Step::Rebooting))
        }
        Restart::Refused(why) => Ok(Next::RollBack(why)),
    }
}

/// What came of a restart.
#[derive(Debug)]
pub(super) enum Restart {
    /// This is another run of the system than the one that was to end.
    Happened,
    /// The device doesn't go down.
    Refused(String),
}

impl Agent {
    /// Restarts the device. Where it goes as it should this never returns, and the next run of the agent finds that it
    /// happened.
    pub(super) async fn restart(&self, argument: Option<&str>) -> anyhow::Result<Restart> {
        let now = self
            .machine
            .boot_id()
            .context("this run of the system can't be told from others")?;
        let before = self
            .journal
            .record()
            .attempt
            .and_then(|attempt| attempt.restarting);
        match before {
            Some(before) if before != now => return Ok(Restart::Happened),
            Some(_) => {}
            None => self.journal.change(|record| {
                if let Some(attempt) = &mut record.attempt {
                    attempt.restarting = Some(now);
                    attempt.boots = attempt.boots.saturating_add(1);
                }
                record.remark("the device restarts");
            })?,
        }
        // What isn't delivered now is after the restart.
        tokio::time::timeout(LAST_WORDS, outbox::is_empty(&self.journal))
            .await
            .ok();
        tracing::info!("the device restarts");
        let deadline = self.config.restart.deadline();
        let why = match self.machine.restart(argument).await {
            Ok(()) => {
                tokio::time::sleep(deadline).await;
                format!("it did not go down within {deadline:?}")
            }
            Err(error) => error.to_string(),
        };
        Ok(Restart::Refused(format!(
            "this device can't be restarted: {why}. Check `[restart]`"
        )))
    }

    /// Takes note that a restart is over.
    pub(super) fn forget_restart(&self) -> anyhow::Result<()> {
        self.journal
            .change(|record| {
                if let Some(attempt) = &mut record.attempt {
                    attempt.restarting = None;
                }
            })
            .context("the journal can't be written")
    }
}
