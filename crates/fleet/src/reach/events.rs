//! The events in reach: those of a device, release or rollout that is.

use otter_protocol::admin::{AuditEvent, AuditFilter, Page};
use otter_protocol::{DeviceId, ReleaseId, RolloutId};

use super::Reach;
use crate::error::{Error, Result};

impl Reach {
    /// Lists the events of a subject in reach, the newest first; where anything is out of reach, the filter must name one.
    pub async fn audit_events(&self, filter: &AuditFilter) -> Result<Page<AuditEvent>> {
        if !self.scope.is_everything() {
            let subject = filter.subject.as_deref().unwrap_or_default();
            let is_known = match filter.subject_kind.as_deref() {
                Some("device") => match DeviceId::new(subject) {
                    Ok(id) => self.reaches(&id).await?,
                    Err(_) => false,
                },
                Some("release") => {
                    let releases = self.releases().await?;
                    subject
                        .parse()
                        .is_ok_and(|id| releases.iter().any(|one| one.id == ReleaseId(id)))
                }
                Some("rollout") => match subject.parse() {
                    Ok(id) => self.reaches_rollout(RolloutId(id)).await?,
                    Err(_) => false,
                },
                _ => return Err(self.unnamed()),
            };
            if !is_known {
                return Err(Error::not_found(format!(
                    "{} `{subject}`",
                    filter.subject_kind.as_deref().unwrap_or_default()
                )));
            }
        }
        self.fleet.audit_events(filter).await
    }

    fn unnamed(&self) -> Error {
        let detail = format!(
            "The key reaches {} only: it reads what happened to one device, release or rollout. Give `subject_kind` and `subject`.",
            self.scope
        );
        Error::invalid("subject", detail)
    }
}
