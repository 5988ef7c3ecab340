//! `otter trust renew`: signs the list of artifacts anew.

use clap::Args;
use otter_trust::DelegatedRole;

use crate::api::Client;
use crate::signing::{Publisher, SigningArgs};
use crate::{Context, Failure};

/// Signs the list of artifacts anew as it is: the publishers' own, or the team's whose key it is.
#[derive(Debug, Args)]
pub struct Renew {
    #[command(flatten)]
    signing: SigningArgs,
}

impl Renew {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let publisher = Publisher::open(&self.signing.keys, &self.signing.how)?;
        let (role, status) = publisher
            .change(client, |targets| Ok(targets.role().cloned()))
            .await?;
        let of_role = |role: &DelegatedRole| {
            let mut all = status.delegated.iter();
            all.find(|one| one.role == role.as_str())
        };
        let (version, expires) = match &role {
            None => (status.targets_version, status.targets_expires_at),
            Some(role) => of_role(role).map_or((None, None), |one| (one.version, one.expires_at)),
        };
        context.output.value(&status, |output| {
            output.line(match (version, expires) {
                (Some(version), Some(expires)) => {
                    format!("The list is signed as version {version}, until {expires}.")
                }
                (Some(version), None) => format!("The list is signed as version {version}."),
                (None, _) => "The list is signed.".to_owned(),
            })
        })
    }
}
