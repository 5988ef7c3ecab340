//! The machine's disk: a boot loader, two slots of one size, and a file system for data.
//!
//! | partition | what |
//! |---|---|
//! | 1 | GRUB's core image, which the boot sector loads |
//! | 2 | GRUB's configuration and its environment block |
//! | 3, 4 | the slots `a` and `b` |
//! | 5 | data |

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::machine::Running;
use crate::{paths, process};

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Where partitions begin: after the table, at a whole MiB.
const CORE: u64 = MIB;
const BOOT: u64 = 2 * MIB;
const BOOT_LENGTH: u64 = 32 * MIB;
const SLOTS: u64 = BOOT + BOOT_LENGTH;
const DATA_LENGTH: u64 = 64 * MIB;
/// Where Debian's `grub-pc-bin` keeps GRUB for machines with a BIOS.
const GRUB: &str = "/usr/lib/grub/i386-pc";
/// What GRUB's script in docs/DEVICES.md and the machine's file systems need.
const MODULES: [&str; 13] = [
    "biosdisk",
    "part_gpt",
    "ext2",
    "normal",
    "configfile",
    "linux",
    "loadenv",
    "test",
    "echo",
    "serial",
    "terminal",
    "minicmd",
    "reboot",
];

/// Puts the disk together: the first system in slot `a`, nothing in slot `b`, and `data` as the data's first content.
pub(super) fn make(disk: &Path, image: &Path, data: &Path, scratch: &Path) -> Result<()> {
    let slot = fs::metadata(image)?.len();
    ensure!(slot.is_multiple_of(MIB), "an image has whole MiB");
    let after_slots = SLOTS + 2 * slot;
    let file = File::create(disk)?;
    file.set_len(after_slots + DATA_LENGTH + MIB)?;
    partition(disk, slot)?;
    put_boot_loader(disk, scratch)?;
    let boot = boot_file_system(scratch)?;
    let data = file_system(&scratch.join("data.img"), data, DATA_LENGTH)?;
    for (from, place) in [
        (boot.as_path(), BOOT),
        (image, SLOTS),
        (data.as_path(), after_slots),
    ] {
        put(disk, from, place)?;
    }
    Ok(())
}

/// SHA-256 of the bytes of the slot that a machine started from, in hexadecimal digits; `slot` is the length of one.
///
/// The machine mounts it read-only, so that here is what it reads there.
pub(super) fn slot_sha256(disk: &Path, running: &Running, slot: u64) -> Result<String> {
    let place = match (running.slot.as_str(), running.root.as_str()) {
        ("a", "/dev/vda3") => SLOTS,
        ("b", "/dev/vda4") => SLOTS + slot,
        (name, root) => bail!("GRUB chose slot {name}, and {root} is the root"),
    };
    let mut file = File::open(disk)?;
    file.seek(SeekFrom::Start(place))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; MIB as usize];
    for _ in 0..slot / MIB {
        file.read_exact(&mut buffer)?;
        hash.update(&buffer);
    }
    Ok(hex::encode(hash.finalize()))
}

fn partition(disk: &Path, slot: u64) -> Result<()> {
    let mut script = "label: gpt\n".to_owned();
    let mut add = |start: u64, length: u64, kind: &str, name: &str| {
        let (start, size) = (start / SECTOR, length / SECTOR);
        script.push_str(&format!(
            "start={start}, size={size}, type={kind}, name={name}\n"
        ));
    };
    // The type that says "a BIOS's boot loader is here", and the one of any Linux file system.
    let (core, linux) = (
        "21686148-6449-6E6F-744E-656564454649",
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    );
    add(CORE, MIB, core, "core");
    add(BOOT, BOOT_LENGTH, linux, "boot");
    add(SLOTS, slot, linux, "root-a");
    add(SLOTS + slot, slot, linux, "root-b");
    add(SLOTS + 2 * slot, DATA_LENGTH, linux, "data");
    let mut child = Command::new("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(disk)
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run sfdisk (Debian's package fdisk)")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes())?;
    }
    ensure!(child.wait()?.success(), "sfdisk failed");
    Ok(())
}

/// Puts GRUB where a BIOS looks for it, as `grub-install` does: its boot sector says where its core image begins, and the core
/// image's first sector where its rest is.
fn put_boot_loader(disk: &Path, scratch: &Path) -> Result<()> {
    let core = scratch.join("core.img");
    let mut make = Command::new("grub-mkimage");
    make.args([
        "--format=i386-pc",
        "--prefix=(hd0,gpt2)",
        "--directory",
        GRUB,
        "--output",
    ]);
    process::run(make.arg(&core).args(MODULES))?;
    let mut core = fs::read(core)?;
    let sectors = core.len().div_ceil(SECTOR as usize);
    ensure!(core.len() as u64 <= MIB, "GRUB's core image is too large");
    core.resize(sectors * SECTOR as usize, 0);
    let first = CORE / SECTOR;
    // include/grub/i386/pc/boot.h: the last twelve bytes of the first sector are start, length and segment of what follows it.
    replace(&mut core, 500, &(first + 1).to_le_bytes())?;
    replace(&mut core, 508, &u16::try_from(sectors - 1)?.to_le_bytes())?;
    let mut boot = fs::read(Path::new(GRUB).join("boot.img"))?;
    // The same file: where the boot sector finds the core image's first sector.
    replace(&mut boot, 0x5c, &first.to_le_bytes())?;
    // Up to the partition table, which is sfdisk's.
    boot.truncate(440);
    write_at(disk, 0, &boot)?;
    write_at(disk, CORE, &core)
}

fn replace(bytes: &mut [u8], place: usize, with: &[u8]) -> Result<()> {
    bytes
        .get_mut(place..place + with.len())
        .context("GRUB's image is too short")?
        .copy_from_slice(with);
    Ok(())
}

/// Makes the file system of GRUB's script, which is the one of docs/DEVICES.md, and its environment block.
fn boot_file_system(scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("boot");
    fs::create_dir_all(&folder)?;
    let script = paths::root().join("examples/grub/grub.cfg");
    let console = "serial --unit=0 --speed=115200\nterminal_output serial\n";
    let script =
        fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    let script = script.replace("panic=10", "panic=1 console=ttyS0 quiet loglevel=3");
    fs::write(folder.join("grub.cfg"), format!("{console}{script}"))?;
    let block = folder.join("grubenv");
    for arguments in [&["create"][..], &["set", "otter_slot=a"]] {
        process::run(Command::new("grub-editenv").arg(&block).args(arguments))?;
    }
    file_system(&scratch.join("boot.img"), &folder, BOOT_LENGTH)
}

/// Makes an ext4 file system with a folder's content, as `mkfs.ext4` makes it by itself.
fn file_system(image: &Path, content: &Path, length: u64) -> Result<PathBuf> {
    let mut make = Command::new("mkfs.ext4");
    make.args(["-q", "-F", "-E", "root_owner=0:0", "-d"])
        .arg(content);
    process::output(make.arg(image).arg(format!("{}k", length / 1024)))?;
    Ok(image.to_owned())
}

fn put(disk: &Path, from: &Path, place: u64) -> Result<()> {
    let mut into = File::options().write(true).open(disk)?;
    into.seek(SeekFrom::Start(place))?;
    std::io::copy(&mut File::open(from)?, &mut into)
        .with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn write_at(disk: &Path, place: u64, bytes: &[u8]) -> Result<()> {
    let mut into = File::options().write(true).open(disk)?;
    into.seek(SeekFrom::Start(place))?;
    Ok(into.write_all(bytes)?)
}
