//! Changes the device's key and token.

use std::time::Duration;

use anyhow::Context;

use crate::agent::Agent;
use crate::clock;
use crate::identity::Which;
use crate::net::{NetError, Token};

impl Agent {
    /// Changes the device's key and token; the former ones count no more. Cut at any point, it can be asked for again: the
    /// device takes part with the one pair or the other.
    pub async fn rotate(&self) -> anyhow::Result<()> {
        let request = self
            .identity
            .rotation(&self.config.device_id)
            .context("the device's keys can't be used")?;
        let reply = self.client.rotate(&request).await;
        if reply.as_ref().is_err_and(NetError::is_unauthenticated) {
            // Perhaps the change was made and its answer lost: enrolling finds out which key counts.
            self.client.set_token(None);
            self.try_enroll().await?;
            anyhow::ensure!(
                self.client.has_token(),
                "the server doesn't take this device's token any more, and an operator has to accept its key"
            );
        } else {
            let token = Token::new(reply.context("changing the key")?.device_token);
            self.identity
                .settle(Which::Next, &token)
                .context("the new key and token can't be kept")?;
            self.client.set_token(Some(token));
        }
        self.identity
            .note_change(clock::now())
            .context("the time of the change can't be noted")?;
        tracing::info!("the device has a new key and a new token");
        Ok(())
    }

    /// Changes key and token where the configuration says that it is time; what keeps the device from it is tried again.
    pub(crate) async fn rotate_when_due(&self) {
        let Some(days) = self.config.rotate_key_days else {
            return;
        };
        let now = clock::now();
        let due = Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60);
        let outcome = match self.identity.changed_at() {
            Ok(Some(since)) => {
                if !clock::was_set(now) || now.sec_since(since) < due.as_secs() {
                    return;
                }
                self.rotate().await
            }
            // From now on it is counted.
            Ok(None) if clock::was_set(now) => self.identity.note_change(now).map_err(Into::into),
            Ok(None) => return,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::warn!("the device's key is not changed yet: {error:#}");
        }
    }
}
