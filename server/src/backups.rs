//! Back-ups, at the server's own machine.

use std::path::Path;

use anyhow::{Context as _, bail};
use otter_server::{Config, serve};

/// Writes a back-up; the server may serve meanwhile.
pub(crate) async fn back_up(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let manifest = otter_fleet::back_up(&config.fleet, folder)
        .await
        .context("nothing usable was backed up")?;
    println!(
        "Backed up into {}: the database as of {} and {} artifacts with {} bytes. Keys are in it: keep it as you keep them.",
        folder.display(),
        manifest.made_at,
        manifest.artifacts,
        manifest.artifact_bytes
    );
    Ok(())
}

/// Puts a back-up where the fleet is to be, and checks what is there then.
pub(crate) async fn restore(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let manifest = otter_fleet::restore(&config.fleet, folder)
        .await
        .context("nothing was restored")?;
    let fleet = serve::open(config).await?;
    let check = fleet.verify_audit().await?;
    if let Some(event) = check.broken_at {
        bail!(
            "restored, but the audit log's chain is broken at event {event}: somebody changed what was backed up"
        );
    }
    println!(
        "Restored the fleet as of {}, made by otter-server {}: {} artifacts, and an audit log whose chain holds. \
         What happened since is not in it.",
        manifest.made_at, manifest.server, manifest.artifacts
    );
    Ok(())
}
