//! What the build and the tests need from outside, installed where it is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{paths, process, rust};

/// A Debian package, and how to see that it is there.
pub(crate) struct Package {
    /// Its name for apt-get.
    pub(crate) name: &'static str,
    /// Whether what it brings is on this machine, by whatever way it came.
    pub(crate) present: fn() -> bool,
}

/// The browser of the end-to-end tests.
pub(crate) const CHROMIUM: Package = Package {
    name: "chromium",
    present: || Path::new("/usr/bin/chromium").is_file(),
};
/// Letters for the browser: a bare machine has none.
pub(crate) const FONTS: Package = Package {
    name: "fonts-liberation",
    present: || Path::new("/usr/share/fonts/truetype").is_dir(),
};
/// The second database of the tests.
pub(crate) const POSTGRESQL: Package = Package {
    name: "postgresql",
    present: || crate::postgres::binaries().is_some(),
};
/// What the documents' command lines ask the server with.
pub(crate) const CURL: Package = Package {
    name: "curl",
    present: || process::in_path("curl"),
};
/// Node, for the end-to-end tests.
pub(crate) const NODE: Package = Package {
    name: "nodejs",
    present: || process::in_path("node"),
};
/// Node's package manager.
pub(crate) const NPM: Package = Package {
    name: "npm",
    present: || process::in_path("npm"),
};

/// GRUB's own view of its environment block.
pub(crate) const GRUB: Package = Package {
    name: "grub-common",
    present: || process::in_path("grub-editenv"),
};
/// U-Boot's environment, as Linux writes it.
pub(crate) const UBOOT_ENV: Package = Package {
    name: "libubootenv-tool",
    present: || process::in_path("fw_setenv"),
};
/// A broker for the agent's health checks.
pub(crate) const MOSQUITTO: Package = Package {
    name: "mosquitto",
    present: || Path::new("/usr/sbin/mosquitto").is_file() || process::in_path("mosquitto"),
};
/// What checks a systemd unit; nothing of it is started.
pub(crate) const SYSTEMD: Package = Package {
    name: "systemd",
    present: || process::in_path("systemd-analyze"),
};
/// What containers run on.
pub(crate) const DOCKER: Package = Package {
    name: "docker.io",
    present: || Path::new("/usr/sbin/dockerd").is_file() || process::in_path("dockerd"),
};
/// Where containers' images are pulled from.
pub(crate) const REGISTRY: Package = Package {
    name: "docker-registry",
    present: || process::in_path("docker-registry"),
};

/// What a virtual machine runs on.
pub(crate) const QEMU: Package = Package {
    name: "qemu-system-x86",
    present: || process::in_path("qemu-system-x86_64"),
};
/// GRUB for a machine with a BIOS.
pub(crate) const GRUB_PC: Package = Package {
    name: "grub-pc-bin",
    present: || Path::new("/usr/lib/grub/i386-pc/boot.img").is_file(),
};
/// What puts a system together from Debian's packages.
pub(crate) const MMDEBSTRAP: Package = Package {
    name: "mmdebstrap",
    present: || process::in_path("mmdebstrap"),
};
/// What divides disks.
pub(crate) const FDISK: Package = Package {
    name: "fdisk",
    present: || process::in_path("sfdisk"),
};
/// What packs images.
pub(crate) const ZSTD: Package = Package {
    name: "zstd",
    present: || process::in_path("zstd"),
};

/// `apt-get`, asking nothing.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--quiet", "--yes"]);
    command
}

/// Installs the Debian packages of `wanted` that are missing, as root or with sudo.
pub(crate) fn ensure_packages(wanted: &[Package]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|package| !(package.present)())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    ensure!(
        process::in_path("apt-get"),
        "missing here, and there is no apt-get to install it: {names}. Install it and run again"
    );
    eprintln!("  installing {names} with apt-get");
    let install = || {
        // One broken source among several fails the whole update, and need not matter here.
        if let Err(error) = process::run(as_root(apt_get())?.arg("update")) {
            eprintln!("  {error:#}; trying with the package lists as they are");
        }
        let mut command = as_root(apt_get())?;
        process::run(
            command
                .args(["install", "--no-install-recommends"])
                .args(&missing),
        )
    };
    install().with_context(|| {
        format!("cannot install {names}; try `apt-get update && apt-get install {names}` yourself")
    })?;
    let absent: Vec<&str> = wanted
        .iter()
        .filter(|package| !(package.present)())
        .map(|package| package.name)
        .collect();
    ensure!(
        absent.is_empty(),
        "installed {} but cannot find what it should bring",
        absent.join(" ")
    );
    Ok(())
}

/// The same command as root: as it is for root, through sudo for others.
fn as_root(command: Command) -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(command);
    }
    ensure!(
        process::in_path("sudo"),
        "this needs root, and there is no sudo"
    );
    let mut elevated = Command::new("sudo");
    elevated
        .args(["DEBIAN_FRONTEND=noninteractive"])
        .arg(command.get_program())
        .args(command.get_args());
    Ok(elevated)
}

/// The test runner, and the version that is built where there is none.
const NEXTEST: &str = "cargo-nextest@0.9.143";

/// Builds cargo-nextest into the target folder where it is not installed.
pub(crate) fn ensure_nextest() -> Result<()> {
    if process::in_path("cargo-nextest") || nextest_folder().join("bin/cargo-nextest").is_file() {
        return Ok(());
    }
    eprintln!("  building {NEXTEST} (some minutes, once)");
    // A test runner waits most of its time: what counts is that it is built soon.
    let mut command = rust::cargo();
    command.args(["install", "--locked", "--debug", "--no-default-features"]);
    command.args(["--features", "default-no-update", NEXTEST, "--root"]);
    command
        .arg(nextest_folder())
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    process::run(&mut command)
        .context("cannot build cargo-nextest; see https://nexte.st for ways to install it")
}

/// `cargo nextest`, wherever it is.
pub(crate) fn nextest() -> Command {
    let own = nextest_folder().join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([own]);
    let mut command = rust::cargo();
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command.arg("nextest");
    command
}

fn nextest_folder() -> PathBuf {
    paths::target().join("tools/nextest")
}
