//! `otter release permit-downgrade`: lets devices go back to a release.

use clap::Args;
use otter_trust::TargetsDocument;

use super::resolve;
use crate::api::Client;
use crate::signing::{Publisher, SigningArgs};
use crate::{Context, Failure};

/// Lets devices go back to a release from a newer one, or no longer.
#[derive(Debug, Args)]
pub struct PermitDowngrade {
    /// Its number, or its version.
    release: String,
    /// Takes the permission back.
    #[arg(long)]
    no_longer: bool,
    #[command(flatten)]
    signing: SigningArgs,
}

impl PermitDowngrade {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let release = resolve(client, &self.release).await?;
        let Some(counter) = release.release_counter else {
            return Err(Failure::Refused(format!(
                "release {} isn't published, so no device has a newer one instead of it",
                release.version
            )));
        };
        let publisher = Publisher::open(&self.signing.keys, &self.signing.how)?;
        let permitted = !self.no_longer;
        let edit = |targets: &mut TargetsDocument| permit(targets, counter, permitted);
        let (_, status) = publisher.change(client, edit).await?;
        context.output.value(&status, |output| {
            output.line(match permitted {
                true => format!(
                    "Signed: devices may go back to {} where a rollout allows downgrades.",
                    release.version
                ),
                false => format!(
                    "Signed: no device goes back to {} any more.",
                    release.version
                ),
            })
        })
    }
}

/// Changes the permission of every artifact of a release.
fn permit(targets: &mut TargetsDocument, counter: u64, permitted: bool) -> Result<(), Failure> {
    let signed = targets.artifacts()?;
    let of_release = signed
        .iter()
        .filter(|artifact| artifact.facts.release_counter == counter);
    for artifact in of_release {
        targets.permit_downgrade(&artifact.name(), permitted)?;
    }
    Ok(())
}
