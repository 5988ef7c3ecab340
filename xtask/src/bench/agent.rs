//! What an agent needs of a device's memory while it installs an image of a gibibyte, and of its disk for itself.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::load;
use crate::process::{self, Background};
use crate::programs::{Folder, Otter};

const MODEL: &str = "bench-agent";
const IMAGE_MIB: usize = 1024;
/// How long the device may take, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);
const MIB: f64 = 1_048_576.0;

/// The boot loader of a device that is never restarted.
const BOOT: &str = "case $1 in current) echo a;; *) exit 0;; esac";

/// Figures, by name: the most memory that was resident, and the length of the program, both in MiB.
pub(super) fn measure(folder: &Folder, otter: &Otter, server: &str) -> Result<Vec<(String, f64)>> {
    let device = folder.make("device")?;
    let image = device.join("image");
    load::write_noise(&image, IMAGE_MIB)?;
    otter.publish("3.0.0", "", "image", &[(MODEL, &image)])?;
    fs::remove_file(&image)?;
    for slot in ["a", "b"] {
        File::create(device.join(slot))?.set_len((IMAGE_MIB as u64) << 20)?;
    }
    let token = otter.enrollment_token("the benchmark's agent")?;
    let config = device.join("otter-agent.toml");
    let root = otter.root_metadata();
    fs::write(&config, settings(server, &token, &root))?;
    let program = folder.program("otter-agent");
    let agent = |orders: &str| {
        let mut command = Command::new(&program);
        command.arg("--config").arg(&config).arg(orders);
        command
    };
    // Before the rollout begins: one that is for nobody is completed at once.
    process::output(&mut agent("enroll"))?;
    otter.json(&[
        "rollout",
        "create",
        "--release",
        "3.0.0",
        "--name",
        "image",
        "--phases",
        "100",
    ])?;
    let mut agent = Background::start("otter-agent", &mut agent("run"), &folder.log("agent"))?;
    agent.wait_until("written the image", PATIENCE, || {
        step(&program, &config).as_deref() == Some("rebooting")
    })?;
    let resident = agent.peak_memory()?;
    drop(agent);
    fs::remove_dir_all(&device)?;
    let length = fs::metadata(&program)
        .with_context(|| format!("cannot see {}", program.display()))?
        .len();
    Ok(vec![
        ("agent_rss_mib".to_owned(), resident as f64 / MIB),
        ("agent_binary_mib".to_owned(), length as f64 / MIB),
    ])
}

/// Where the agent's attempt is, by its own word.
fn step(program: &Path, config: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(config)
        .args(["status", "--json"]);
    let status: Value = serde_json::from_str(&process::output(&mut command).ok()?).ok()?;
    let step = status.pointer("/attempt/step")?.as_str()?;
    Some(step.to_owned())
}

/// A quoted Rust text is a TOML text, too, for what stands in paths and addresses.
fn settings(server: &str, token: &str, root: &Path) -> String {
    let root = root.display().to_string();
    format!(
        r#"server = {server:?}
device_id = "bench-agent-1"
model = {MODEL:?}
state_dir = "state"
enrollment_token = {token:?}
root_metadata = {root:?}

[image]
slots = [{{ name = "a", device = "a" }}, {{ name = "b", device = "b" }}]
boot = {{ flow = "command", command = ["/bin/sh", "-c", {BOOT:?}, "boot"] }}
initial_version = "1.0.0"

[restart]
command = ["true"]
"#
    )
}
