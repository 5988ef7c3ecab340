//! `otter release sign`: signs what somebody uploaded in the dashboard.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use console::Term;
use otter_protocol::Sha256Digest;
use otter_protocol::admin::{NewArtifact, NewRelease, ReleaseDetail};
use otter_protocol::release::{Release, ReleaseState};
use serde_json::json;

use super::{resolve, show_release};
use crate::api::Client;
use crate::signing::{Begun, Publisher, SigningArgs, add_release};
use crate::{Context, Failure};

/// Signs a release that was uploaded in the dashboard, and so publishes it.
#[derive(Debug, Args)]
pub struct Sign {
    /// Its number, or its version.
    release: String,
    /// Digest that an artifact may have; several for several. Any other is refused.
    #[arg(long = "sha256", value_name = "HEX", num_args = 1..)]
    expected: Vec<Sha256Digest>,
    /// Signs without asking.
    #[arg(long)]
    yes: bool,
    /// Writes the signed list to a file instead, for others to sign with `otter trust sign` where it takes several.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signing: SigningArgs,
}

impl Sign {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let release = resolve(client, &self.release).await?;
        self.check(&release)?;
        show_release(context.output, &release)?;
        if !self.yes {
            ask(&release)?;
        }
        let publisher = Publisher::open(&self.signing.keys, &self.signing.how)?;
        let new = as_new(&release);
        if let Some(out) = &self.out {
            let begun = publisher.begin(client, |list| {
                add_release(&mut list.targets, &new, &release.artifacts)
            });
            return hand_on(context, &begun.await?, out);
        }
        publisher
            .sign_release(client, &new, &release.artifacts)
            .await?;

        let id = release.id.to_string();
        let signed: ReleaseDetail = client.get(&["releases", &id]).await?;
        context.output.value(&signed.release, |output| {
            output.line(format!(
                "Signed: the release is {}.",
                signed.release.state.as_str()
            ))
        })
    }

    fn check(&self, release: &Release) -> Result<(), Failure> {
        if release.state != ReleaseState::Draft {
            return Err(Failure::Refused(format!(
                "release {} is {} and needs no signature",
                release.id,
                release.state.as_str()
            )));
        }
        let other = release
            .artifacts
            .iter()
            .find(|artifact| !self.expected.contains(&artifact.sha256));
        match other {
            Some(artifact) if !self.expected.is_empty() => Err(Failure::Refused(format!(
                "the server has other bytes than you expect: {} is none of the given digests. \
                 Nothing was signed. Find out who uploaded them",
                artifact.sha256
            ))),
            _ => Ok(()),
        }
    }
}

/// Writes a list for others to sign.
pub fn hand_on(context: &Context, begun: &Begun, out: &Path) -> Result<(), Failure> {
    if out.exists() {
        return Err(Failure::Refused(format!(
            "{} is there already. Name another file with --out, or move it away",
            out.display()
        )));
    }
    fs::write(out, begun.document.to_bytes()?).map_err(Failure::file(out))?;
    let status = &begun.status;
    let shown = json!({ "signed_by": status.valid, "missing": status.missing, "threshold": status.threshold });
    context.output.value(&shown, |output| {
        output.line(format!(
            "{file} is written, with {} of {} signatures. Have others run `otter trust sign {file} --key THEIR.key`, \
             and send it with `otter trust publish {file}`.",
            status.valid.len(),
            status.threshold,
            file = out.display()
        ))
    })
}

fn ask(release: &Release) -> Result<(), Failure> {
    let terminal = Term::stderr();
    if !terminal.is_term() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody can be asked whether to sign this. Say --yes, best with --sha256".to_owned(),
        ));
    }
    let question = format!(
        "Sign {} for every device of these models? [y/N] ",
        release.version
    );
    let answer = terminal
        .write_str(&question)
        .and_then(|()| terminal.read_line())
        .map_err(Failure::file("the terminal"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::Refused("nothing was signed".to_owned()))
}

fn as_new(release: &Release) -> NewRelease {
    let artifacts = release.artifacts.iter().map(|artifact| NewArtifact {
        sha256: artifact.sha256,
        kind: artifact.kind,
        models: artifact.models.clone(),
    });
    NewRelease {
        version: release.version.clone(),
        notes: release.notes.clone(),
        min_version: release.min_version.clone(),
        min_bootloader_version: release.min_bootloader_version.clone(),
        required: release.required,
        artifacts: artifacts.collect(),
    }
}
