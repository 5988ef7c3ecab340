//! `otter trust verify`: walks a server as a device would.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use otter_protocol::Sha256Digest;
use otter_trust::Timestamp;
use serde_json::json;
use url::Url;

use crate::api::Client;
use crate::text::printable;
use crate::{Context, Failure, metadata};

/// Walks a server as a device would.
#[derive(Debug, Args)]
pub struct Verify {
    /// Address of the server; no key is needed.
    url: Url,
    /// Root to begin with, as devices have it in their image; without one, the server's first root is taken as they take
    /// it at enrollment, and its fingerprint is shown to compare.
    #[arg(long, value_name = "root.json")]
    root: Option<PathBuf>,
}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(&self.url, None)?;
        let root = self.root.as_ref();
        let pinned = root
            .map(|path| fs::read(path).map_err(Failure::file(path)))
            .transpose()?;
        let first = match pinned {
            Some(bytes) => bytes,
            None => metadata::first_root(&client).await?,
        };
        let (trusted, lists) = metadata::walk(&client, &first, Timestamp::now()).await?;
        let mut artifacts = Vec::new();
        for list in &lists {
            let by = list.role().map(|role| format!(", signed by {role}"));
            let signed = list.artifacts()?.into_iter();
            artifacts.extend(signed.map(|artifact| (artifact, by.clone().unwrap_or_default())));
        }
        let fingerprint = Sha256Digest::of(&first);
        let shown = json!({
            "root_fingerprint": fingerprint.to_string(), "root": trusted.root, "timestamp": trusted.timestamp,
            "snapshot": trusted.snapshot, "targets": trusted.targets, "expires": trusted.expires.to_string(),
            "artifacts": artifacts.iter().map(|(artifact, _)| artifact.name()).collect::<Vec<_>>(),
        });
        context.output.value(&shown, |output| {
            output.line(format!("begun from root  {fingerprint}"))?;
            output.line(format!(
                "trusted          root {}, targets {}, snapshot {}, timestamp {}",
                trusted.root, trusted.targets, trusted.snapshot, trusted.timestamp
            ))?;
            output.line(format!("until            {}", trusted.expires))?;
            for (artifact, by) in &artifacts {
                output.line(printable(&format!(
                    "may be installed {} for {}{by}",
                    artifact.facts.version,
                    artifact.facts.models.join(", ")
                )))?;
            }
            Ok(())
        })
    }
}
