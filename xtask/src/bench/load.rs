//! The load's program: built beside the others, run once for each measurement.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{self, Background};
use crate::programs::Folder;
use crate::{http, paths, rust};

/// How long the bare handler may take to be ready.
const START: Duration = Duration::from_secs(10);

/// Builds the load's program.
pub(super) fn build() -> Result<()> {
    process::run(rust::cargo().args(["build", "--release", "--package", "otter-load"]))
}

/// Fails where the load's program was never built, saying what to do.
pub(super) fn ensure_built() -> Result<()> {
    ensure!(
        program().is_file(),
        "{} is not there: run `cargo xtask bench` without --no-build once",
        program().display()
    );
    Ok(())
}

fn program() -> PathBuf {
    paths::binaries(true).join("otter-load")
}

/// A bare handler that runs.
pub(super) struct Bare {
    port: u16,
    _process: Background,
}

impl Bare {
    /// Starts the handler and waits until it answers.
    pub(super) fn start(folder: &Folder) -> Result<Self> {
        let port = process::free_port()?;
        let mut command = Command::new(program());
        command.args(["bare", "--listen", &format!("127.0.0.1:{port}")]);
        let mut process = Background::start("otter-load", &mut command, &folder.log("bare"))?;
        process.wait_until("answered", START, || {
            http::get(port, "/", None, START).is_ok()
        })?;
        Ok(Self {
            port,
            _process: process,
        })
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// Measures with the devices of a folder.
#[derive(Debug)]
pub(super) struct Load {
    devices: PathBuf,
    seconds: u32,
}

impl Load {
    /// Measures each time for so many seconds.
    pub(super) fn new(folder: &Folder, seconds: u32) -> Self {
        Self {
            devices: folder.path("simulated"),
            seconds,
        }
    }

    /// Check-ins a second over so many connections.
    pub(super) fn check_ins(&self, port: u16, connections: u32) -> Result<f64> {
        self.measure("check-ins", port, connections, &[], "answers_per_s")
    }

    /// MiB a second of an artifact over so many connections.
    pub(super) fn download(&self, port: u16, connections: u32, sha256: &str) -> Result<f64> {
        self.measure(
            "download",
            port,
            connections,
            &["--sha256", sha256],
            "mib_per_s",
        )
    }

    fn measure(
        &self,
        what: &str,
        port: u16,
        connections: u32,
        more: &[&str],
        figure: &str,
    ) -> Result<f64> {
        let mut command = Command::new(program());
        command
            .arg(what)
            .args(["--server", &format!("127.0.0.1:{port}")])
            .args(["--connections", &connections.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(more)
            .arg("--devices")
            .arg(&self.devices);
        let output = process::output(&mut command)?;
        let result: Value = serde_json::from_str(&output).context("the load printed no JSON")?;
        result
            .get(figure)
            .and_then(Value::as_f64)
            .with_context(|| format!("the load measured no {figure}"))
    }
}

/// Writes a file that doesn't compress, always the same.
pub(super) fn write_noise(path: &Path, mib: usize) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mib * (1 << 20) / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.flush().context("cannot write the artifact")
}
