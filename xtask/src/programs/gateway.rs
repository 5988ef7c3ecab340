//! A real device on this machine: `otter-agent`, which keeps the sample program running from bundles.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;

use super::{Folder, Otter};
use crate::http;
use crate::process::{self, Background};

/// How long the sample program may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// A device with an agent that runs.
pub(crate) struct Gateway {
    command: Command,
    config: PathBuf,
    program: PathBuf,
    log: PathBuf,
    process: Background,
}

impl Gateway {
    /// The device's id.
    pub(crate) const ID: &str = "gateway-1";
    /// Its model.
    pub(crate) const MODEL: &str = "gateway";

    /// Writes the device's configuration, starts its agent and waits until the sample program answers on `port`.
    pub(crate) fn start(
        folder: &Folder,
        otter: &Otter,
        server: &str,
        token: &str,
        port: u16,
    ) -> Result<Self> {
        let config = folder.make("gateway")?.join("otter-agent.toml");
        super::otter::write_private(&folder.path("gateway/enrollment-token"), token)?;
        let initial = bundle(folder, "1.0.0", false)?;
        let (root, initial) = (otter.root_metadata(), initial.display().to_string());
        fs::write(
            &config,
            settings(server, &root.display().to_string(), &initial, port),
        )
        .with_context(|| format!("cannot write {}", config.display()))?;
        let program = folder.program("otter-agent");
        let mut command = Command::new(&program);
        command.arg("--config").arg(&config).arg("run");
        let log = folder.log("otter-agent");
        let process = Background::start("otter-agent", &mut command, &log)?;
        let mut gateway = Self {
            command,
            config,
            program,
            log,
            process,
        };
        let what = "kept the sample program running";
        gateway.process.wait_until(what, START, || {
            greeting(port, Duration::from_secs(1)).as_deref() == Some("1.0.0")
        })?;
        Ok(gateway)
    }

    /// Kills the agent with SIGKILL and starts it again at once; the sample program isn't touched.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait();
        self.process = Background::start("otter-agent", &mut self.command, &self.log)?;
        Ok(())
    }

    /// How the agent stands, by its own word.
    pub(crate) fn status(&self) -> Result<Value> {
        self.ask("status")
    }

    /// Attempts that ended in `state` by the agent's own count.
    pub(crate) fn ended(&self, state: &str) -> Result<u64> {
        let history = self.ask("history")?;
        let ended = history
            .as_array()
            .context("the agent's history is no list")?;
        let so = ended
            .iter()
            .filter(|one| one.get("outcome").and_then(Value::as_str) == Some(state));
        Ok(so.count() as u64)
    }

    /// Fails with its last words where it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        self.process.ensure_alive()
    }

    fn ask(&self, what: &str) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(&self.config)
            .args([what, "--json"]);
        let output = process::output(&mut command)?;
        serde_json::from_str(&output).with_context(|| format!("otter-agent {what} printed no JSON"))
    }
}

/// Puts a version of the sample program into a folder; a broken one exits at its start.
pub(crate) fn bundle(folder: &Folder, version: &str, is_broken: bool) -> Result<PathBuf> {
    let into = folder.make(&format!("bundles/greeter-{version}"))?;
    fs::copy(folder.program("greeter"), into.join("greeter"))
        .context("cannot put the sample program into its bundle")?;
    fs::write(into.join("VERSION"), format!("{version}\n"))?;
    if is_broken {
        fs::write(into.join("BROKEN"), "This release can't start.\n")?;
    }
    Ok(into)
}

/// The version in the sample program's answer, where it answers.
pub(crate) fn greeting(port: u16, limit: Duration) -> Option<String> {
    let answer = http::get(port, "/", None, limit).ok()?;
    let text = String::from_utf8(answer.body).ok()?;
    let version = text.trim().strip_prefix("hello from greeter ")?;
    (answer.status == 200).then(|| version.to_owned())
}

/// The agent's configuration. A quoted Rust text is a TOML text, too, for what stands in paths and addresses.
fn settings(server: &str, root: &str, initial: &str, port: u16) -> String {
    format!(
        r#"server = {server:?}
device_id = {id:?}
model = {model:?}
state_dir = "state"
enrollment_token_file = "enrollment-token"
root_metadata = {root:?}

[metadata]
location = "laboratory"

[retry]
max_sec = 5

[bundle]
root = "greeter"
initial = {initial:?}
initial_version = "1.0.0"

[bundle.service]
command = ["./greeter", "--listen", "127.0.0.1:{port}"]
stop_grace_sec = 2
restart_min_sec = 0.2

[health]
deadline_sec = 20
settle_sec = 1

[[health.check]]
kind = "http"
url = "http://127.0.0.1:{port}/"
contains = "greeter {{version}}"
interval_sec = 0.2
timeout_sec = 1
"#,
        id = Gateway::ID,
        model = Gateway::MODEL,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_what_it_was_given() {
        let text = settings("http://127.0.0.1:1", "/root.json", "/a \"b\"", 8090);
        assert!(text.contains("server = \"http://127.0.0.1:1\"\n"));
        assert!(text.contains("initial = \"/a \\\"b\\\"\"\n"));
        assert!(text.contains("contains = \"greeter {version}\""));
        assert!(text.contains("\"127.0.0.1:8090\""));
    }
}
