//! `otter release withdraw`: takes a release back.

use std::path::PathBuf;

use clap::Args;
use otter_protocol::admin::WithReason;
use otter_protocol::release::Release;
use otter_trust::TargetsDocument;

use super::resolve;
use crate::api::Client;
use crate::signing::{Publisher, SigningHow};
use crate::{Context, Failure};

/// Takes a release back.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// Its number, or its version.
    release: String,
    /// Why, for the audit log; with a key it is signed too, and devices say it.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Targets key, to take the signature back too; several where the root asks for several signatures.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    how: SigningHow,
}

impl Withdraw {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let publisher = match self.keys.as_slice() {
            [] => None,
            keys => Some(Publisher::open(keys, &self.how)?),
        };
        let id = resolve(client, &self.release).await?.id.to_string();
        let body = WithReason {
            reason: self.reason.clone(),
        };
        let withdrawn: Release = client.post(&["releases", &id, "withdraw"], &body).await?;
        let mut signatures = 0;
        if let (Some(publisher), Some(counter)) = (&publisher, withdrawn.release_counter) {
            let edit = |targets: &mut TargetsDocument| unsign(targets, counter, &self.reason);
            signatures = publisher.change(client, edit).await?.0;
        }
        context.output.value(&withdrawn, |output| {
            output.line(format!(
                "Release {} ({}) is withdrawn.",
                withdrawn.id, withdrawn.version
            ))?;
            if publisher.is_some() {
                output.line(format!("Signatures taken back: {signatures}."))?;
            }
            Ok(())
        })
    }
}

/// Takes the release's artifacts off the signed list and onto that of what was withdrawn; returns how many there were.
fn unsign(targets: &mut TargetsDocument, counter: u64, reason: &str) -> Result<usize, Failure> {
    let signed = targets.artifacts()?;
    let of_release: Vec<_> = signed
        .iter()
        .filter(|artifact| artifact.facts.release_counter == counter)
        .collect();
    for artifact in &of_release {
        targets.withdraw(&artifact.name(), reason)?;
    }
    Ok(of_release.len())
}
