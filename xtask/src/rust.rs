//! Cargo as a child, and the wasm32 target of the toolchain it uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{paths, process, tools};

/// The dashboard's target.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Debian's suite that has `rust-src` of the pinned version.
const RUST_SRC_SOURCE: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie-backports main\n";

/// A cargo command in the repository's root, without the variables that `cargo run` sets: some build scripts watch them.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO"
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// Makes sure that the toolchain can build for [`WASM`], installing what is missing.
pub(crate) fn ensure_wasm_target() -> Result<()> {
    if has_wasm_std()? {
        return Ok(());
    }
    if process::in_path("rustup") {
        eprintln!("  installing Rust's {WASM} target with rustup");
        let added = process::status(
            Command::new("rustup")
                .args(["target", "add", WASM])
                .current_dir(paths::root()),
        )?;
        if added.success() && has_wasm_std()? {
            return Ok(());
        }
    }
    eprintln!(
        "  cannot install the {WASM} target with rustup; building its standard library from Debian's rust-src instead"
    );
    build_wasm_std().context(format!(
        "the {WASM} target is missing: run `rustup target add {WASM}`, or install your distribution's package of it"
    ))?;
    ensure!(
        has_wasm_std()?,
        "the {WASM} target is still missing after building its standard library"
    );
    Ok(())
}

fn rustc() -> Command {
    let mut command = Command::new("rustc");
    command.current_dir(paths::root());
    command
}

fn wasm_libdir() -> Result<PathBuf> {
    process::output(rustc().args(["--print", "target-libdir", "--target", WASM])).map(PathBuf::from)
}

fn has_wasm_std() -> Result<bool> {
    let Ok(entries) = fs::read_dir(wasm_libdir()?) else {
        return Ok(false);
    };
    Ok(entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    }))
}

/// Builds std for wasm32 from Debian's package of its source, into the toolchain's own folder.
fn build_wasm_std() -> Result<()> {
    let scratch = process::Scratch::new("rust-src")?;
    let sysroot = PathBuf::from(process::output(rustc().args(["--print", "sysroot"]))?);
    let source = sysroot.join("lib/rustlib/src/rust/library");
    if !source.is_dir() {
        let unpacked = unpack_rust_src(scratch.path())?;
        copy_tree(&unpacked, &source)?;
    }
    let krate = scratch.path().join("empty");
    fs::create_dir_all(krate.join("src"))?;
    fs::write(krate.join("src/lib.rs"), "")?;
    fs::write(
        krate.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n",
    )?;
    process::run(
        cargo()
            .args([
                "build",
                "-Zbuild-std=std,panic_abort",
                "--release",
                "--target",
                WASM,
                "--target-dir",
            ])
            .arg(krate.join("target"))
            .arg("--manifest-path")
            .arg(krate.join("Cargo.toml"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes"),
    )?;
    let libraries = wasm_libdir()?;
    fs::create_dir_all(&libraries)?;
    for entry in fs::read_dir(krate.join("target").join(WASM).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path
            .extension()
            .is_some_and(|extension| extension == "rlib")
            && !name.to_string_lossy().starts_with("libempty-")
        {
            fs::copy(&path, libraries.join(name))?;
        }
    }
    Ok(())
}

/// Downloads and unpacks Debian's `rust-src` of exactly the toolchain's version; returns its `library` folder.
fn unpack_rust_src(scratch: &Path) -> Result<PathBuf> {
    ensure!(
        process::in_path("apt-get") && process::in_path("dpkg"),
        "this is not Debian or Ubuntu: there is no apt-get"
    );
    let version = rust_version()?;
    let lists = scratch.join("lists");
    fs::create_dir_all(lists.join("partial"))?;
    fs::write(scratch.join("sources.list"), RUST_SRC_SOURCE)?;
    let apt = |arguments: &[&str]| {
        let mut command = tools::apt_get();
        command.current_dir(scratch).arg("-o").arg(format!(
            "Dir::Etc::sourcelist={}",
            scratch.join("sources.list").display()
        ));
        command.args([
            "-o",
            "Dir::Etc::sourceparts=-",
            "-o",
            "APT::Sandbox::User=root",
            "-o",
        ]);
        command
            .arg(format!("Dir::State::lists={}", lists.display()))
            .args(arguments);
        process::run(&mut command)
    };
    apt(&["update"])?;
    apt(&["download", &format!("rust-src={version}*")])?;
    let package = fs::read_dir(scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    let tree = scratch.join("tree");
    process::run(Command::new("dpkg").arg("-x").arg(&package).arg(&tree))?;
    let library = tree.join(format!("usr/src/rustc-{version}/library"));
    if library.is_dir() {
        return Ok(library);
    }
    bail!("Debian's rust-src has no folder usr/src/rustc-{version}/library")
}

fn rust_version() -> Result<String> {
    let line = process::output(rustc().arg("--version"))?;
    line.split_whitespace()
        .nth(1)
        .map(str::to_owned)
        .with_context(|| format!("cannot read a version from `{line}`"))
}

/// Copies a folder with everything in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // Links are followed: Debian's package has some.
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target)
                .with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}
