//! The state machine, a file per state:
//! idle → checking → downloading → verifying → backing up → stopping → applying → starting → (rebooting) → health check →
//! committing, or rolling back.
//!
//! A step is in the journal before it is begun, so each can be the second try of itself. Before `stopping` an attempt that
//! goes wrong is given up and nothing has changed; from there on the old version is brought back. Until then, too, the
//! device's own policy may hold it back (`waiting`): the step stays what it is, and is begun once the policy lets it.

mod applying;
mod backing_up;
mod checking;
mod committing;
mod downloading;
mod health_check;
mod idle;
mod patience;
mod rebooting;
mod rolling_back;
mod starting;
mod stopping;
mod verifying;
mod waiting;

use anyhow::Context;
use otter_protocol::{AttemptState, Version};

use crate::agent::Agent;
use crate::history::Ended;
use crate::journal::{Attempt, Record, Step};

pub(crate) use patience::{CALLS, Patience};
pub(crate) use waiting::is_held;

/// What a state leads to.
#[derive(Debug)]
enum Next {
    /// The next step.
    Step(Step),
    /// The attempt ends before anything changed: `failed`.
    Fail(String),
    /// The attempt ends before anything changed: `cancelled`.
    Cancel(String),
    /// The new version doesn't stay; the text says why.
    RollBack(String),
    /// The device's own policy says not now: the same step again, once it may be.
    Wait,
    /// The attempt is over, and the state has seen to it.
    Done,
}

/// Takes one step. An error is the device's own trouble, its disk's above all: the same step is to be tried again.
pub(crate) async fn step(agent: &Agent) -> anyhow::Result<()> {
    let attempt = agent.journal.record().attempt;
    agent.observers.at(attempt.as_ref());
    let Some(attempt) = attempt else {
        return idle::handle(agent).await;
    };
    let patience = Patience::of(agent).with(attempt.step);
    agent.heart.promise(patience);
    if attempt.step.is_before_change()
        && !attempt.is_by_hand()
        && let Some(next) = waiting::hold(agent, &attempt).await?
    {
        return follow(agent, &attempt, next).await;
    }
    agent.heart.promise(patience);
    let next = match attempt.step {
        Step::Checking => checking::handle(agent, &attempt).await,
        Step::Downloading => downloading::handle(agent, &attempt).await,
        Step::Verifying => verifying::handle(agent, &attempt).await,
        Step::BackingUp => backing_up::handle(agent, &attempt).await,
        Step::Stopping => stopping::handle(agent, &attempt).await,
        Step::Applying => applying::handle(agent, &attempt).await,
        Step::Starting => starting::handle(agent, &attempt).await,
        Step::Rebooting => rebooting::handle(agent, &attempt).await,
        Step::HealthCheck => health_check::handle(agent, &attempt).await,
        Step::Committing => committing::handle(agent, &attempt).await,
        Step::RollingBack => rolling_back::handle(agent, &attempt).await,
    };
    // The last moment at which the policy can say no: from `stopping` on there is only forth or back.
    let next = match next? {
        Next::Step(Step::Stopping) if is_held(agent).await? => Next::Wait,
        next => next,
    };
    follow(agent, &attempt, next).await
}

async fn follow(agent: &Agent, attempt: &Attempt, next: Next) -> anyhow::Result<()> {
    let name = attempt.name();
    match next {
        Next::Wait | Next::Done => Ok(()),
        Next::Step(step) => {
            tracing::info!("{name}: {step}");
            begin(agent, |record| record.begin(step))
        }
        Next::RollBack(reason) => {
            tracing::warn!("{name}: the old version comes back: {reason}");
            let output = agent.installer.output().await;
            begin(agent, |record| {
                record.remark(format!("the old version comes back: {reason}"));
                for line in output {
                    record.remark(format!("the service: {line}"));
                }
                if let Some(attempt) = &mut record.attempt {
                    attempt.reason = Some(reason);
                }
                record.begin(Step::RollingBack);
            })
        }
        Next::Fail(message) => {
            tracing::warn!("{name} failed: {message}");
            give_up(agent, AttemptState::Failed, &message).await
        }
        Next::Cancel(message) => {
            tracing::info!("{name} is cancelled: {message}");
            give_up(agent, AttemptState::Cancelled, &message).await
        }
    }
}

fn begin(agent: &Agent, change: impl FnOnce(&mut Record)) -> anyhow::Result<()> {
    agent
        .journal
        .change(change)
        .context("the journal can't be written")
}

/// Ends an attempt that changed nothing.
async fn give_up(agent: &Agent, outcome: AttemptState, message: &str) -> anyhow::Result<()> {
    end(agent, outcome, Some(message), None, |_| {})?;
    // What was prepared for it is of no use any more; what can't be removed now is at the next start.
    if let Err(error) = tidy(agent).await {
        tracing::warn!("{error:#}");
    }
    Ok(())
}

/// Ends the attempt under way: remembers it, and in one write reports it and changes what is installed.
fn end(
    agent: &Agent,
    outcome: AttemptState,
    message: Option<&str>,
    version: Option<&Version>,
    change: impl FnOnce(&mut Record),
) -> anyhow::Result<()> {
    let mut next = agent.journal.record();
    let last = next.next_report(outcome, None, message, version);
    next.remark(match message {
        Some(message) => format!("{outcome}: {message}"),
        None => outcome.to_string(),
    });
    let (Some(attempt), Some(last)) = (&next.attempt, last) else {
        return Ok(());
    };
    let mut ended = Ended::new(attempt, Some(agent.version()), last.clone());
    let written = agent.journal.written_bytes();
    ended.written_bytes = Some(written.saturating_sub(attempt.written_before));
    // First the history, which takes the same attempt any number of times: a cut in between loses nothing.
    agent
        .history
        .add(ended.clone())
        .context("the history can't be written")?;
    let (is_by_hand, has_log) = (attempt.is_by_hand(), agent.keep_log(attempt, outcome));
    agent
        .journal
        .change(|record| {
            if !is_by_hand {
                record.queue(last);
            }
            if has_log {
                record.queue_log(ended.offer.attempt);
            }
            change(record);
            record.attempt = None;
        })
        .context("the journal can't be written")?;
    agent.observers.attempt_ended(&ended);
    Ok(())
}

/// A journal that was written by hand, or by an agent with a fault.
fn no_target() -> Next {
    Next::RollBack("the journal names no new version".to_owned())
}

/// Removes versions and back-ups that nothing needs.
async fn tidy(agent: &Agent) -> anyhow::Result<()> {
    let kept = crate::agent::kept(&agent.journal.record());
    agent.installer.clean(&kept).await?;
    agent.backups.clean().await?;
    Ok(())
}
