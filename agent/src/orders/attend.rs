//! Sees an order through: places it, and tells how it gets on until it ends.

use std::time::Duration;

use otter_protocol::AttemptState;
use uuid::Uuid;

use super::{Begun, Order, Outcome};
use crate::agent::Agent;
use crate::journal::{Attempt, Origin, Step};
use crate::net::backoff::Backoff;
use crate::{outbox, states};

/// How long a command waits for the last reports to be delivered.
const LAST_DELIVERY: Duration = Duration::from_secs(30);

impl Agent {
    /// Works until an order is carried out, as far as the device's own policy lets it now, and delivers what there is to say;
    /// `say` hears how it gets on. The service runs on.
    pub async fn carry_out(
        &self,
        order: Order,
        mut say: impl FnMut(&str),
    ) -> anyhow::Result<Outcome> {
        // An embedder's agent may be given one after another.
        self.orders.close(false);
        let work = async {
            self.boot().await?;
            let mut backoff = Backoff::new(self.config.retry);
            let steps = async {
                while !self.orders.are_closed() {
                    self.step_or_wait(&mut backoff).await;
                }
            };
            tokio::pin!(steps);
            let outcome = tokio::select! {
                biased;
                outcome = self.attend(order, &mut say) => outcome?,
                () = &mut steps => anyhow::bail!("the agent was stopped"),
            };
            // What is held would be waited for; anything else comes to the end of its step.
            if outcome != Outcome::Held {
                self.orders.close(true);
                steps.await;
            }
            self.observers.at(None);
            if tokio::time::timeout(LAST_DELIVERY, outbox::is_empty(&self.journal))
                .await
                .is_err()
            {
                say("some reports are not delivered yet; the next run goes on with them");
            }
            Ok(outcome)
        };
        tokio::select! {
            result = work => result,
            () = self.deliver() => anyhow::bail!("reports can't be delivered any more"),
            () = self.count_crashes() => anyhow::bail!("the service can't be watched any more"),
        }
    }

    /// Sees an order through while something else takes the agent's steps.
    pub(crate) async fn attend(
        &self,
        order: Order,
        mut say: impl FnMut(&str),
    ) -> anyhow::Result<Outcome> {
        if order == Order::Update {
            self.want_again(&mut say)?;
        }
        let under_way = self.journal.record().attempt;
        if let Some(attempt) = under_way.filter(|_| !matches!(order, Order::RollBack { .. })) {
            say(&format!(
                "{} to {} is under way",
                attempt.name(),
                attempt.offer.version
            ));
            return self.follow(attempt.offer.attempt_uuid, say).await;
        }
        let begun = self.orders.place(order).await?;
        match begun {
            Begun::Attempt(uuid) => self.follow(uuid, say).await,
            Begun::Nothing(reasons) => {
                say("there is nothing to install now");
                reasons.iter().for_each(|reason| say(reason));
                Ok(Outcome::Nothing)
            }
            Begun::Pending(fingerprint) => {
                say(&format!(
                    "an operator has to accept this device's key {fingerprint}; then try again"
                ));
                Ok(Outcome::Pending)
            }
            Begun::Refused(why) => Ok(Outcome::Refused(why)),
        }
    }

    /// Returns what an order came to whose command is told to stop.
    pub fn interrupted(&self) -> Outcome {
        let attempt = self.journal.record().attempt;
        match attempt {
            Some(attempt) if attempt.restarting.is_some() => Outcome::Restarts,
            Some(_) => {
                Outcome::Refused("stopped; the next agent goes on with what was begun".into())
            }
            None => Outcome::Refused("stopped".into()),
        }
    }

    /// Tells how an attempt gets on, until it ends or waits for what may take long.
    async fn follow(&self, uuid: Uuid, mut say: impl FnMut(&str)) -> anyhow::Result<Outcome> {
        let mut changes = self.journal.changes();
        let mut told = Told::default();
        loop {
            changes.borrow_and_update();
            let record = self.journal.record();
            let ours = |attempt: &Attempt| attempt.offer.attempt_uuid == uuid;
            let Some(attempt) = record.attempt.filter(ours) else {
                return self.ended(uuid, say);
            };
            told.tell(&attempt, &mut say);
            if states::is_held(self).await? {
                let held = self.journal.record().attempt.and_then(|it| it.held);
                let words = held.map(|held| held.words).unwrap_or_default();
                say(&format!(
                    "this device's own policy holds it back: it {words}. The agent goes on with it by itself"
                ));
                return Ok(Outcome::Held);
            }
            changes.changed().await?;
        }
    }

    fn ended(&self, uuid: Uuid, mut say: impl FnMut(&str)) -> anyhow::Result<Outcome> {
        let all = self.history.load()?;
        let ended = all.iter().find(|one| one.offer.attempt_uuid == uuid);
        let Some(ended) = ended else {
            anyhow::bail!("nobody knows how it ended: `otter-agent history` has forgotten it");
        };
        let version = &ended.offer.version;
        if ended.outcome == AttemptState::Succeeded {
            say(&format!("{version} runs and is healthy"));
            return Ok(Outcome::Succeeded);
        }
        let why = ended.message.as_deref().unwrap_or("nobody said why");
        say(&format!(
            "{version} is not installed ({}): {why}",
            ended.outcome
        ));
        Ok(Outcome::NotInstalled)
    }
}

/// What was told of an attempt.
#[derive(Default)]
struct Told {
    step: Option<Step>,
    restart: bool,
}

impl Told {
    fn tell(&mut self, attempt: &Attempt, mut say: impl FnMut(&str)) {
        let (name, version) = (attempt.name(), &attempt.offer.version);
        if self.step.is_none() && attempt.origin == Origin::Offered {
            say(&format!("{name}: the server offers {version}"));
        }
        if self.step.replace(attempt.step) != Some(attempt.step) {
            say(&format!("{name}: {}", attempt.step));
        }
        if attempt.restarting.is_some() && !self.restart {
            self.restart = true;
            say(RESTARTS);
        }
    }
}

/// Said before the device restarts.
pub(super) const RESTARTS: &str = "the device restarts, and the agent goes on with it then";
