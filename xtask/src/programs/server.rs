//! `otter-server` on SQLite, and its admin API.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::Folder;
use crate::http;
use crate::process::{self, Background};

/// How long the server may take to be ready, the schema included.
const START: Duration = Duration::from_secs(60);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the API may be away before that counts: a server that was killed is started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the server is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// Seconds between two check-ins of an idle device.
    pub(crate) check_in_sec: u32,
    /// Seconds between two check-ins of a device that updates.
    pub(crate) busy_check_in_sec: u32,
}

/// A server that runs.
pub(crate) struct Server {
    command: Command,
    log: std::path::PathBuf,
    process: Background,
    api: Api,
}

/// The admin API of a server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    port: u16,
    key: String,
}

/// Fails where somebody listens on a port already, saying what to do.
pub(crate) fn ensure_free(port: u16) -> Result<()> {
    let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
        return Ok(());
    };
    bail!(
        "cannot listen on 127.0.0.1:{port}: {error}.\n\
         If another program does, stop it, or take another port: cargo xtask demo --port {}",
        port.wrapping_add(1).max(1024)
    )
}

impl Server {
    /// Makes the account of an admin, then starts the server and waits until it is healthy.
    pub(crate) fn start(
        folder: &Folder,
        setup: Setup,
        key: String,
        admin: Option<(&str, &str)>,
    ) -> Result<Self> {
        if let Some((name, password)) = admin {
            add_admin(folder, setup, name, password)?;
        }
        Self::run(folder, setup, key, command(folder, setup))
    }

    fn run(folder: &Folder, setup: Setup, key: String, mut command: Command) -> Result<Self> {
        command.env("OTA_API_KEY", &key);
        let log = folder.log("otter-server");
        let process = Background::start("otter-server", &mut command, &log)?;
        let api = Api {
            port: setup.port,
            key,
        };
        let mut server = Self {
            command,
            log,
            process,
            api,
        };
        let api = server.api.clone();
        server
            .process
            .wait_until("answered", START, || api.is_healthy())?;
        Ok(server)
    }

    /// Starts the server on another database, where one is named, and waits until it is healthy.
    pub(crate) fn start_on(
        folder: &Folder,
        setup: Setup,
        key: String,
        database: Option<&str>,
    ) -> Result<Self> {
        let mut command = command(folder, setup);
        if let Some(url) = database {
            command.env("DATABASE_URL", url);
        }
        Self::run(folder, setup, key, command)
    }

    /// The most memory that the server has held at once, in MiB.
    pub(crate) fn peak_rss_mib(&self) -> Result<f64> {
        Ok(self.process.peak_memory()? as f64 / f64::from(1 << 20))
    }

    /// Kills the server with SIGKILL and starts it again at once; doesn't wait until it is healthy.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait();
        self.process = Background::start("otter-server", &mut self.command, &self.log)?;
        Ok(())
    }

    /// The admin API.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Fails with its last words where it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        self.process.ensure_alive()
    }
}

fn command(folder: &Folder, setup: Setup) -> Command {
    let mut command = Command::new(folder.program("otter-server"));
    command.current_dir(folder.root());
    // What this terminal's environment says about another server must not reach this one.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTTER_") || text == "DATABASE_URL" || text == "OTA_API_KEY" {
            command.env_remove(&name);
        }
    }
    command
        .env("OTTER_LISTEN", format!("127.0.0.1:{}", setup.port))
        .env("OTTER_DATA_DIR", folder.path("server"))
        // A measurement asks as fast as it can for few devices: counted, but never too many.
        .env("OTTER_DEVICE_REQUESTS_PER_MIN", u32::MAX.to_string())
        .env("OTTER_ENROLLMENTS_PER_MIN", u32::MAX.to_string())
        .env(
            "OTTER_CHECK_IN_INTERVAL_SEC",
            setup.check_in_sec.to_string(),
        )
        .env(
            "OTTER_BUSY_CHECK_IN_INTERVAL_SEC",
            setup.busy_check_in_sec.to_string(),
        );
    command
}

fn add_admin(folder: &Folder, setup: Setup, name: &str, password: &str) -> Result<()> {
    let file = folder.path("password");
    super::otter::write_private(&file, password)?;
    let mut add = command(folder, setup);
    add.args(["user", "add", name, "--role", "admin", "--password-file"])
        .arg(&file);
    process::output(&mut add).map(drop)
}

impl Api {
    /// The server's address.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The API key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The server's port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Asks for a path under `/api/v1/`; waits for a server that restarts.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let path = format!("/api/v1/{path}");
        let deadline = Instant::now() + PATIENCE;
        let answer = loop {
            match http::get(self.port, &path, Some(&self.key), ANSWER) {
                Ok(answer) => break answer,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        ensure!(
            answer.status == 200,
            "GET {path} was answered with {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        serde_json::from_slice(&answer.body).with_context(|| format!("GET {path} brought no JSON"))
    }

    fn is_healthy(&self) -> bool {
        http::get(self.port, "/health", None, ANSWER).is_ok_and(|answer| answer.status == 200)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_a_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ensure_free(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        assert!(error.contains("--port"), "{error}");
    }
}
