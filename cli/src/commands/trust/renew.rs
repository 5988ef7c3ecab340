//! `otter trust renew`: signs the list of artifacts anew.

use clap::Args;

use crate::api::Client;
use crate::signing::{Publisher, SigningArgs};
use crate::{Context, Failure};

/// Signs the list of artifacts anew as it is.
#[derive(Debug, Args)]
pub struct Renew {
    #[command(flatten)]
    signing: SigningArgs,
}

impl Renew {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let publisher = Publisher::open(&self.signing.keys, &self.signing.how)?;
        let ((), status) = publisher.change(client, |_| Ok(())).await?;
        context.output.value(&status, |output| {
            output.line(match (status.targets_version, status.targets_expires_at) {
                (Some(version), Some(expires)) => {
                    format!("The list is signed as version {version}, until {expires}.")
                }
                (Some(version), None) => format!("The list is signed as version {version}."),
                (None, _) => "The list is signed.".to_owned(),
            })
        })
    }
}
