//! Asks the server to let the device take part.

use std::time::Duration;

use anyhow::Context;
use otter_protocol::Sha256Digest;
use otter_protocol::check_in::EnrollReply;

use crate::agent::Agent;
use crate::identity::{Applicant, Which};
use crate::net::Token;
use crate::states::CALLS;
use crate::trust::Distrust;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrollment {
    /// The device takes part.
    Enrolled,
    /// An operator has to accept the device's key first.
    Pending {
        /// What the operator sees of the key.
        fingerprint: Sha256Digest,
        /// When to ask again.
        retry_after: Duration,
    },
}

impl Agent {
    /// Asks once, unless the device takes part already.
    pub async fn try_enroll(&self) -> anyhow::Result<Enrollment> {
        if self.client.has_token() {
            return Ok(Enrollment::Enrolled);
        }
        let candidates = self.identity.candidates();
        let mut answer = Enrollment::Enrolled;
        for which in candidates.context("the device's keys can't be read")? {
            answer = self.enroll_with(which).await?;
            if answer == Enrollment::Enrolled {
                break;
            }
        }
        Ok(answer)
    }

    async fn enroll_with(&self, which: Which) -> anyhow::Result<Enrollment> {
        let applicant = Applicant {
            id: &self.config.device_id,
            model: &self.config.model,
            version: self.version(),
            metadata: &self.config.metadata,
            enrollment_token: self
                .config
                .enrollment_token()
                .context("the enrollment token can't be read")?,
        };
        let request = self
            .identity
            .request(applicant, which)
            .context("the device's key can't be used")?;
        match self.client.enroll(&request).await.context("enrolling")? {
            EnrollReply::Accepted { device_token } => {
                let token = Token::new(device_token);
                self.identity
                    .settle(which, &token)
                    .context("the device's token can't be kept")?;
                self.client.set_token(Some(token));
                tracing::info!("the device is enrolled as {}", self.config.device_id);
                self.pin_root().await.map_err(Distrust::into_error)?;
                Ok(Enrollment::Enrolled)
            }
            EnrollReply::Pending {
                fingerprint,
                retry_after_sec,
            } => Ok(Enrollment::Pending {
                fingerprint,
                retry_after: self.config.check_in.interval(retry_after_sec),
            }),
        }
    }

    /// Asks until the device takes part, which it then does, or somebody at the device wants something else; fails where the
    /// server can't be asked or says no.
    pub(crate) async fn enroll(&self) -> anyhow::Result<bool> {
        loop {
            match self.try_enroll().await? {
                Enrollment::Enrolled => return Ok(true),
                Enrollment::Pending {
                    fingerprint,
                    retry_after,
                } => {
                    tracing::info!(
                        "an operator has to accept this device's key {fingerprint}; asking again in {retry_after:.1?}"
                    );
                    let wait = tokio::time::timeout(retry_after, self.orders.any());
                    if self.heart.rest(wait).await.is_ok() {
                        return Ok(false);
                    }
                    self.heart.promise(CALLS);
                }
            }
        }
    }
}
