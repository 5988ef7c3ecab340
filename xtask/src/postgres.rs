//! A PostgreSQL of our own for the tests: in a temporary folder, on a free port, gone at the end.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::process::{self, Background, Scratch};

/// Settings of a database that nobody will miss: fast, and unsafe on purpose.
const SETTINGS: [&str; 7] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=64MB",
    "listen_addresses=127.0.0.1",
    "timezone=UTC",
];

/// How long the server may take to answer.
const START: Duration = Duration::from_secs(60);

/// A running PostgreSQL; dropping it stops it and deletes its data.
pub(crate) struct Postgres {
    // Stopped before its folder goes: fields are dropped in this order.
    _server: Background,
    _folder: Scratch,
    port: u16,
}

impl Postgres {
    /// Starts one.
    pub(crate) fn start() -> Result<Self> {
        let programs =
            binaries().context("PostgreSQL is not installed: `apt-get install postgresql`")?;
        let folder = Scratch::new("postgres")?;
        let data = folder.path().join("data");
        let owner = Owner::of_servers()?;
        owner.give(folder.path())?;

        let mut initdb = owner.command(&programs.join("initdb"), folder.path());
        initdb.arg("--pgdata").arg(&data);
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        process::run(initdb.stdout(Stdio::null())).context("cannot make a PostgreSQL database")?;

        let port = process::free_port()?;
        let mut server = owner.command(&programs.join("postgres"), folder.path());
        server
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .arg("-p")
            .arg(port.to_string());
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        // SIGINT is PostgreSQL's fast shutdown: SIGTERM would wait for its clients.
        let mut server = Background::start("PostgreSQL", &mut server, &folder.path().join("log"))?
            .stopped_by(Signal::INT);
        server.wait_until("accepted connections", START, || accepts(&programs, port))?;
        Ok(Self {
            _server: server,
            _folder: folder,
            port,
        })
    }

    /// The address for its superuser, who needs no password.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

/// The folder of PostgreSQL's server programs: Debian's newest, or wherever `initdb` is in `PATH`.
pub(crate) fn binaries() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql")
        .ok()
        .and_then(|versions| {
            versions
                .flatten()
                .map(|entry| entry.path().join("bin"))
                .filter(|folder| {
                    folder.join("initdb").is_file() && folder.join("postgres").is_file()
                })
                .max_by_key(|folder| version(folder))
        });
    debian.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
    })
}

/// The number in `/usr/lib/postgresql/<number>/bin`.
fn version(folder: &Path) -> u32 {
    let number = folder
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    number.and_then(|name| name.parse().ok()).unwrap_or(0)
}

fn accepts(programs: &Path, port: u16) -> bool {
    let port = port.to_string();
    let mut command = Command::new(programs.join("pg_isready"));
    command
        .args(["--quiet", "--host=127.0.0.1", "--port", &port])
        .status()
        .is_ok_and(|status| status.success())
}

/// The user that PostgreSQL runs as: it refuses root.
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn of_servers() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let id = |flag: &str| -> Result<u32> {
            let text = process::output(Command::new("id").args([flag, "postgres"]))?;
            text.parse()
                .with_context(|| format!("`id` answered `{text}`"))
        };
        let ids = id("-u").and_then(|user| Ok((user, id("-g")?)));
        Ok(Self(Some(ids.context(
            "PostgreSQL does not run as root, and there is no user `postgres`",
        )?)))
    }

    fn give(&self, folder: &Path) -> Result<()> {
        if let Self(Some((user, group))) = self {
            std::os::unix::fs::chown(folder, Some(*user), Some(*group))?;
        }
        ensure!(folder.is_dir(), "{} is gone", folder.display());
        Ok(())
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder);
        if let Self(Some((user, group))) = self {
            command.uid(*user).gid(*group);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_wins_by_number() {
        assert!(
            version(Path::new("/usr/lib/postgresql/15/bin"))
                > version(Path::new("/usr/lib/postgresql/9/bin"))
        );
        assert_eq!(version(Path::new("/usr/bin")), 0);
    }

    #[test]
    fn it_answers_while_held_and_leaves_nothing_behind() {
        let database = Postgres::start().unwrap();
        let (port, folder) = (database.port, database._folder.path().to_owned());
        assert!(accepts(&binaries().unwrap(), port));
        assert!(database.url().ends_with(&format!(":{port}/postgres")));
        drop(database);
        assert!(!folder.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
