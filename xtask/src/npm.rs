//! npm: the end-to-end tests' packages, and binaryen for small wasm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{paths, process, site};

/// The binaryen whose `wasm-opt` shrinks the wasm of a release.
const BINARYEN: &str = "binaryen@132.0.0";

/// Installs exactly what `folder/package-lock.json` names, unless that is what is installed.
pub(crate) fn ensure_packages(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("no package-lock.json in {}", folder.display()))?;
    let installed = folder.join("node_modules/.otter-lock");
    let key = site::hash(&[&lock]);
    if fs::read_to_string(&installed).is_ok_and(|text| text == key) {
        return Ok(());
    }
    eprintln!("  installing npm packages of {}", folder.display());
    process::run(
        npm()
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )
    .context("npm ci failed; is the network there?")?;
    fs::write(installed, key).context("cannot note which packages are installed")
}

/// The `wasm-opt` of npm's binaryen, installed into the target folder; none where npm is missing or has no network.
pub(crate) fn wasm_opt() -> Option<PathBuf> {
    let folder = paths::target().join("tools/binaryen");
    let program = folder.join("node_modules/.bin/wasm-opt");
    if program.is_file() {
        return Some(program);
    }
    if !process::in_path("npm") {
        eprintln!(
            "  npm is not installed: skipping wasm-opt, the dashboard's wasm will be somewhat larger"
        );
        return None;
    }
    eprintln!("  installing {BINARYEN} with npm");
    let install = fs::create_dir_all(&folder)
        .map_err(anyhow::Error::from)
        .and_then(|()| {
            process::run(
                npm()
                    .args([
                        "install",
                        "--no-audit",
                        "--no-fund",
                        "--no-save",
                        "--prefix",
                    ])
                    .arg(&folder)
                    .arg(BINARYEN),
            )
        });
    match install {
        Ok(()) if program.is_file() => Some(program),
        Ok(()) => None,
        Err(error) => {
            eprintln!(
                "  {error:#}: skipping wasm-opt, the dashboard's wasm will be somewhat larger"
            );
            None
        }
    }
}

/// npm without its chatter.
pub(crate) fn npm() -> Command {
    let mut command = Command::new("npm");
    command
        .args(["--loglevel", "error"])
        .env("NPM_CONFIG_UPDATE_NOTIFIER", "false");
    command
}
