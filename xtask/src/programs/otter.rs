//! The command line, with its keys.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Api, Folder, secret};
use crate::process;

/// The command line as a publisher has it set up.
#[derive(Debug, Clone)]
pub(crate) struct Otter {
    program: PathBuf,
    folder: PathBuf,
    server: String,
    key: String,
}

impl Otter {
    /// Sets up the command line for a server, with a passphrase for its keys.
    pub(crate) fn new(folder: &Folder, api: &Api) -> Result<Self> {
        let keys = folder.make("publisher")?;
        write_private(&keys.join("passphrase"), &secret::key()?)?;
        Ok(Self {
            program: folder.program("otter"),
            folder: keys,
            server: api.address(),
            key: api.key().to_owned(),
        })
    }

    /// Makes the publisher's keys and the fleet's root, as the first lines of the manual say.
    pub(crate) fn init_trust(&self) -> Result<()> {
        for role in ["root", "targets"] {
            let out = format!("{role}.key");
            self.json(&[
                "key",
                "generate",
                "--role",
                role,
                "--out",
                &out,
                "--passphrase-file",
                "passphrase",
            ])?;
        }
        self.json(&[
            "trust",
            "init",
            "--root-key",
            "root.key",
            "--targets-key",
            "targets.key",
            "--passphrase-file",
            "passphrase",
            "--out",
            "root.json",
        ])
        .map(drop)
    }

    /// Where the fleet's root is.
    pub(crate) fn root_metadata(&self) -> PathBuf {
        self.folder.join("root.json")
    }

    /// Makes an enrollment token.
    pub(crate) fn enrollment_token(&self, name: &str) -> Result<String> {
        let made = self.json(&["enrollment-token", "create", "--name", name])?;
        let token = made.get("secret").and_then(Value::as_str);
        token
            .map(str::to_owned)
            .context("no enrollment token was made")
    }

    /// Publishes and signs a release; `artifacts` are models and what fits them.
    pub(crate) fn publish(
        &self,
        version: &str,
        notes: &str,
        kind: &str,
        artifacts: &[(&str, &Path)],
    ) -> Result<Value> {
        let artifacts: Vec<String> = artifacts
            .iter()
            .map(|(model, path)| format!("{model}={}", path.display()))
            .collect();
        let mut arguments = vec![
            "release",
            "publish",
            "--version",
            version,
            "--notes",
            notes,
            "--kind",
            kind,
            "--key",
            "targets.key",
            "--passphrase-file",
            "passphrase",
        ];
        for artifact in &artifacts {
            arguments.extend(["--artifact", artifact]);
        }
        self.json(&arguments)
    }

    /// Runs a command with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = process::output(self.command(arguments).arg("--json"))?;
        serde_json::from_str(&output)
            .with_context(|| format!("otter {} printed no JSON", arguments.join(" ")))
    }

    /// Runs a command and returns what a person would read.
    pub(crate) fn text(&self, arguments: &[&str]) -> Result<String> {
        process::output(&mut self.command(arguments))
    }

    /// A command that is set up for the server.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("OTTER_SERVER", &self.server)
            .env("OTTER_API_KEY", &self.key)
            .env_remove("OTTER_PASSPHRASE")
            .env_remove("OTTER_ENROLLMENT_TOKEN");
        command
    }
}

/// Writes a secret that only this user can read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{text}"))
        .with_context(|| format!("cannot write {}", path.display()))
}
