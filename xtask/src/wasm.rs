//! The dashboard's wasm: compiled, bound to JavaScript, and made small for releases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::{npm, paths, process, rust};

/// What the wasm may use: all that rustc's default for the target does, which every browser since 2022 knows.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Compiles otter-hydrate for the browser; returns the wasm's path.
///
/// The profile is the native one with other numbers, rather than one of its own: a profile of its own has its own folder,
/// and every proc macro and build script would be built a second time.
pub(crate) fn compile(release: bool) -> Result<PathBuf> {
    let (profile, opt_level, folder) = if release {
        ("release", "z", "release")
    } else {
        ("dev", "s", "debug")
    };
    let mut command = rust::cargo();
    command.args([
        "build",
        "--package",
        "otter-hydrate",
        "--target",
        rust::WASM,
        "--profile",
        profile,
    ]);
    let mut set = |key: &str, value: &str| {
        command
            .arg("--config")
            .arg(format!("profile.{profile}.{key}={value}"));
    };
    set("opt-level", &format!("\"{opt_level}\""));
    set("panic", "\"abort\"");
    set("debug", "false");
    // Without its sections wasm-bindgen can't tell what the wasm needs; it removes them itself.
    set("strip", "\"none\"");
    if release {
        set("lto", "\"fat\"");
        set("codegen-units", "1");
        // Artifacts are hashed in the browser: a tenth faster for two hundred bytes.
        set("package.sha2.opt-level", "3");
    } else {
        // Our own crates change all the time: optimising them takes four times as long as the rest of their build.
        set("package.otter-app.opt-level", "0");
        set("package.otter-hydrate.opt-level", "0");
    }
    process::run(&mut command)?;
    Ok(paths::target()
        .join(rust::WASM)
        .join(folder)
        .join("otter_hydrate.wasm"))
}

/// Writes `otter.js`, `otter_bg.wasm` and their snippets for `wasm` into `folder`.
pub(crate) fn bind(wasm: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    // The names of functions are two thirds of the file; a panic tells its file and line without them.
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .out_name("otter")
        .remove_producers_section(true)
        .remove_name_section(true);
    bindgen
        .web(true)?
        .generate(folder)
        .context("wasm-bindgen failed")
}

/// Shrinks `otter_bg.wasm` in `folder`; false where there is no wasm-opt.
pub(crate) fn optimise(folder: &Path) -> Result<bool> {
    let Some(program) = npm::wasm_opt() else {
        return Ok(false);
    };
    let (wasm, small) = (folder.join("otter_bg.wasm"), folder.join("small.wasm"));
    process::run(
        Command::new(program)
            .arg("-Oz")
            .args(FEATURES)
            .arg(&wasm)
            .arg("-o")
            .arg(&small),
    )?;
    fs::rename(&small, &wasm).context("cannot replace the wasm by its small form")?;
    Ok(true)
}
