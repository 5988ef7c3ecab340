//! A small Debian with the agent in it, and images of its versions.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{paths, process};

const MIB: u64 = 1 << 20;
/// What the system is made of; the rest is what those need.
const PACKAGES: &str = "linux-image-cloud-amd64,initramfs-tools,zstd,systemd-sysv,udev,kmod";
/// What this machine needs no more once the packages are installed, the kernel's modules that its initial RAM disk has included.
const REMOVED: [&str; 9] = [
    "/usr/lib/modules/*/kernel",
    "/usr/lib/udev/hwdb.*",
    "/usr/lib/*/gconv",
    "/usr/lib/*/perl*",
    "/usr/share/perl*",
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/zoneinfo",
    "/var/lib/dpkg",
];
/// What the kernel needs before it sees its root, and after.
const MODULES: &str = "virtio_pci\nvirtio_blk\nvirtio_net\next4\n";

/// What distinguishes one version's system from another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// It starts and is healthy.
    Sound,
    /// Its first program is none, so that the kernel panics.
    Panics,
    /// It starts, and its service doesn't.
    Sick,
    /// It starts, and its agent doesn't.
    Mute,
    /// It is sound, and none of its files lies where it lay before.
    Moved,
}

/// An image that was made.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) version: String,
    pub(super) nature: Nature,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub(super) sha256: String,
    /// The bytes, unpacked.
    pub(super) path: PathBuf,
}

/// The system, which versions are made of.
pub(super) struct System {
    tree: PathBuf,
    length: u64,
}

impl System {
    /// Takes the tree that was made last, or makes it, and puts agent and service into it; the server listens on `port`.
    pub(super) fn make(agent: &Path, greeter: &Path, port: u16) -> Result<Self> {
        let kept = paths::target().join("vm-system");
        let tree = kept.join("root");
        let done = kept.join("done");
        if fs::read_to_string(&done).ok().as_deref() != Some(&recipe()) {
            if kept.exists() {
                fs::remove_dir_all(&kept)?;
            }
            fs::create_dir_all(&kept)?;
            bootstrap(&tree)?;
            fs::write(&done, recipe())?;
        }
        install(&tree, agent, greeter, port)?;
        let used = process::output(Command::new("du").args(["-sm", "--"]).arg(&tree))?;
        let used: u64 = used
            .split_ascii_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .context("du printed no number")?;
        // Somewhat more than its files, in whole steps, so that every version's image has one length.
        let length = (used + used / 8 + 16).next_multiple_of(16) * MIB;
        Ok(Self { tree, length })
    }

    /// How long every image is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Makes a version's image in a folder.
    pub(super) fn image(&self, version: &str, nature: Nature, into: &Path) -> Result<Image> {
        let put = |name: &str, text: &str| write(&self.tree.join(name), text, 0o644);
        put("opt/greeter/VERSION", &format!("{version}\n"))?;
        let broken = self.tree.join("opt/greeter/BROKEN");
        match nature {
            Nature::Sick => fs::write(&broken, "This release can't start.\n")?,
            _ if broken.exists() => fs::remove_file(&broken)?,
            _ => {}
        }
        let init = self.tree.join("usr/sbin/init");
        if fs::symlink_metadata(&init).is_ok() {
            fs::remove_file(&init)?;
        }
        match nature {
            Nature::Panics => write(&init, "#!/bin/sh\nexit 1\n", 0o755)?,
            _ => std::os::unix::fs::symlink("/lib/systemd/systemd", &init)?,
        }
        let drop_in = "etc/systemd/system/otter-agent.service.d/mute.conf";
        match nature {
            Nature::Mute => put(drop_in, "[Service]\nExecStart=\nExecStart=/bin/false\n")?,
            _ => put(drop_in, "")?,
        }
        let path = into.join(format!("{version}.img"));
        let made = self.write_image(&path, nature == Nature::Moved);
        made.with_context(|| format!("cannot make the image of {version}"))?;
        let sha256 = process::output(Command::new("sha256sum").arg(&path))?;
        let sha256 = sha256.split_ascii_whitespace().next().unwrap_or_default();
        Ok(Image {
            version: version.to_owned(),
            nature,
            sha256: sha256.to_owned(),
            path,
        })
    }

    /// A file system that nothing writes to, alike from version to version but for what differs.
    fn write_image(&self, path: &Path, moved: bool) -> Result<()> {
        const IDENTITY: &str = "6f747465-7200-4000-8000-000000000001";
        if path.exists() {
            fs::remove_file(path)?;
        }
        let blocks = if moved { "1024" } else { "4096" };
        let mut make = Command::new("mkfs.ext4");
        make.args([
            "-q",
            "-F",
            "-O",
            "^has_journal",
            "-m",
            "0",
            "-b",
            blocks,
            "-U",
            IDENTITY,
        ])
        .args(["-E", &format!("root_owner=0:0,hash_seed={IDENTITY}"), "-d"])
        .arg(&self.tree)
        .arg(path)
        .arg(format!("{}k", self.length / 1024))
        // 2026-01-01: the times of the file system itself.
        .env("E2FSPROGS_FAKE_TIME", "1767225600");
        process::output(&mut make).map(drop)
    }
}

/// What the kept tree was made of, to know when it must be made anew.
fn recipe() -> String {
    format!("{PACKAGES}\n{REMOVED:?}\n{MODULES}")
}

/// Puts the packages of this machine's own Debian into a folder.
fn bootstrap(tree: &Path) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no release; the machine is made of Debian's packages")?;
    let mut command = Command::new("mmdebstrap");
    command.args(["--mode=root", "--variant=minbase", "--quiet"]);
    command.arg(format!("--include={PACKAGES}"));
    for setting in download_settings()? {
        command.arg(format!("--aptopt={setting}"));
    }
    command.arg(format!(
        "--essential-hook=mkdir -p \"$1/etc/initramfs-tools/conf.d\" && \
         echo MODULES=list > \"$1/etc/initramfs-tools/conf.d/otter\" && \
         printf '{}' > \"$1/etc/initramfs-tools/modules\"",
        MODULES.replace('\n', "\\n")
    ));
    let removed: Vec<String> = REMOVED.iter().map(|path| format!("\"$1\"{path}")).collect();
    command.arg(format!("--customize-hook=rm -r {}", removed.join(" ")));
    // mmdebstrap reads a file by itself where no name is given; the machine's own sources are what works here.
    command.arg(suite).arg(tree).args(sources()?);
    process::run(&mut command).context("cannot put the system together")
}

/// How this machine gets packages: its proxies and the like.
fn download_settings() -> Result<Vec<String>> {
    let dump = process::output(Command::new("apt-config").args(["dump", "Acquire"]))?;
    let is_value = |line: &&str| !line.ends_with("\"\";");
    Ok(dump.lines().filter(is_value).map(str::to_owned).collect())
}

/// The files that say where this machine gets packages from.
fn sources() -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in entries {
            found.push(entry?.path());
        }
    }
    let is_source = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        matches!(ending, Some("list" | "sources")) && path.is_file()
    };
    found.retain(is_source);
    found.sort();
    Ok(found)
}

/// Puts agent, service and configuration into the tree; all of it is replaced each time.
fn install(tree: &Path, agent: &Path, greeter: &Path, port: u16) -> Result<()> {
    copy(agent, &tree.join("usr/bin/otter-agent"))?;
    copy(greeter, &tree.join("opt/greeter/greeter"))?;
    let read = |name: &str| fs::read_to_string(paths::root().join("agent").join(name));
    let unit = read("otter-agent.service")?;
    // Nobody waits ten minutes here.
    let timer = read("otter-agent-trial.timer")?.replace("=10min", "=60s");
    let trial = read("otter-agent-trial.service")?;
    let settings = include_str!("system/otter-agent.toml").replace("@PORT@", &port.to_string());
    let files = [
        (
            "etc/systemd/system/otter-agent.service",
            unit.as_str(),
            0o644,
        ),
        ("etc/otter/otter-agent.toml", settings.as_str(), 0o644),
        (
            "etc/systemd/system/greeter.service",
            include_str!("system/greeter.service"),
            0o644,
        ),
        (
            "etc/systemd/system/tell.service",
            include_str!("system/tell.service"),
            0o644,
        ),
        ("usr/local/sbin/tell", include_str!("system/tell"), 0o755),
        (
            "etc/systemd/network/wired.network",
            include_str!("system/wired.network"),
            0o644,
        ),
        ("etc/fstab", include_str!("system/fstab"), 0o644),
        (
            "etc/systemd/system/otter-agent-trial.timer",
            timer.as_str(),
            0o644,
        ),
        (
            "etc/systemd/system/otter-agent-trial.service",
            trial.as_str(),
            0o644,
        ),
        ("etc/hostname", "machine\n", 0o644),
        (
            "etc/machine-id",
            "0000000000000000000000006f747465\n",
            0o444,
        ),
    ];
    for (name, text, mode) in files {
        write(&tree.join(name), text, mode)?;
    }
    for folder in ["var/lib/otter-agent", "boot/grub"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    let wants = tree.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    for unit in ["otter-agent", "greeter", "tell"] {
        link(
            &format!("/etc/systemd/system/{unit}.service"),
            &wants.join(format!("{unit}.service")),
        )?;
    }
    // Nobody logs in there, and a login prompt would hang up on who tells.
    link(
        "/dev/null",
        &tree.join("etc/systemd/system/serial-getty@ttyS0.service"),
    )?;
    let early = tree.join("etc/systemd/system/sysinit.target.wants");
    fs::create_dir_all(&early)?;
    link(
        "/etc/systemd/system/otter-agent-trial.timer",
        &early.join("otter-agent-trial.timer"),
    )?;
    link(
        "/lib/systemd/system/systemd-networkd.service",
        &wants.join("systemd-networkd.service"),
    )
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let _ = fs::remove_file(to);
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn link(target: &str, at: &Path) -> Result<()> {
    let _ = fs::remove_file(at);
    Ok(std::os::unix::fs::symlink(target, at)?)
}
