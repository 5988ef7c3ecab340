//! Waiting: the device's own policy says "not now" to an attempt that the server allows. It stays where it is, the server is
//! told why, and the policy is asked again until it lets the attempt go on.

use std::time::Duration;

use anyhow::Context;
use otter_protocol::AttemptState;

use super::Next;
use crate::agent::Agent;
use crate::clock;
use crate::journal::{Attempt, Record, Step};
use crate::policy::{News, Verdict, news};

/// Waits as long as the policy holds an attempt back; `None` when it may go on.
pub(super) async fn hold(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Option<Next>> {
    let taken_back = agent.cancelled(attempt);
    tokio::pin!(taken_back);
    // Somebody at the device may want by now what was held.
    let mut changes = agent.journal.changes();
    loop {
        changes.borrow_and_update();
        let verdict = look(agent, attempt).await?;
        if verdict.allows() {
            return Ok(None);
        }
        tokio::select! {
            () = agent.heart.sleep(pause(agent, &verdict)) => {}
            Ok(()) = changes.changed() => {}
            reason = &mut taken_back => return Ok(Some(Next::Cancel(reason))),
        }
    }
}

/// Tells whether the policy holds back the attempt under way, which is noted and told where that is news.
pub(crate) async fn is_held(agent: &Agent) -> anyhow::Result<bool> {
    match agent.journal.record().attempt {
        Some(attempt) if attempt.step.is_before_change() && !attempt.is_by_hand() => {
            Ok(!look(agent, &attempt).await?.allows())
        }
        _ => Ok(false),
    }
}

/// Returns once the policy holds an attempt back that it let begin.
pub(super) async fn forbidden(agent: &Agent, attempt: &Attempt) {
    let mut verdict = agent.verdict_on(attempt).await;
    while verdict.allows() {
        tokio::time::sleep(pause(agent, &verdict)).await;
        verdict = agent.verdict_on(attempt).await;
    }
}

/// Returns how long the policy needs not be asked again.
fn pause(agent: &Agent, verdict: &Verdict) -> Duration {
    let longest = agent.config.policy.look_interval();
    let change = verdict.changes_at().map(|at| {
        let ms = at.0.saturating_sub(clock::now().0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0).saturating_add(1))
    });
    change.map_or(longest, |change| change.min(longest))
}

/// Judges an attempt, and notes and tells what is new.
async fn look(agent: &Agent, attempt: &Attempt) -> anyhow::Result<Verdict> {
    let verdict = agent.verdict_on(attempt).await;
    let record = agent.journal.record();
    let held = record.attempt.as_ref().and_then(|it| it.held.as_ref());
    let interval = agent.config.policy.report_interval();
    let (id, step) = (attempt.offer.attempt, attempt.step);
    let (words, held) = match news(held, &verdict, clock::now(), interval) {
        News::None => return Ok(verdict),
        News::Held(held) => {
            tracing::warn!("attempt {id}, {step}, {}", held.words);
            (held.words.clone(), Some(held))
        }
        News::Released(words) => {
            tracing::info!("attempt {id}, {step}, {words}");
            (words, None)
        }
    };
    agent
        .journal
        .change(|record| {
            tell(record, step, &words);
            if let Some(attempt) = &mut record.attempt {
                attempt.held = held;
            }
        })
        .context("the journal can't be written")?;
    Ok(verdict)
}

/// Tells the server how an attempt waits: in the state that it is in, as states never go backwards. Before the download that
/// is `downloading` with nothing done, as `offered` is the server's to say.
fn tell(record: &mut Record, step: Step, words: &str) {
    let (state, progress) = match step {
        Step::Checking => (AttemptState::Downloading, Some(0)),
        Step::Downloading => (AttemptState::Downloading, None),
        _ => (AttemptState::Downloaded, Some(100)),
    };
    record.remark(words);
    record.report(state, progress, Some(words), None);
}
