//! `cargo xtask dist`: what is shipped, in one folder: the programs, their hashes, and what each is made of.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::steps::Steps;
use crate::{build, paths, sbom};

/// Programs that are shipped, and the packages that they are built from.
const PROGRAMS: [(&str, &str); 3] = [
    ("otter-server", "otter-server"),
    ("otter-agent", "otter-agent"),
    ("otter", "otter-cli"),
];

/// Options of `cargo xtask dist`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only says what the programs are made of, and builds none.
    #[arg(long)]
    only_sbom: bool,
}

/// Fills `target/dist`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    let folder = paths::target().join("dist");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    if !options.only_sbom {
        build::everything(&mut steps, true)?;
        for (program, _) in PROGRAMS {
            let from = paths::binaries(true).join(program);
            fs::copy(&from, folder.join(program))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    steps.run("what they are made of", || {
        let crates = sbom::Crates::of_workspace()?;
        for (program, package) in PROGRAMS {
            let text = crates.sbom(package)?;
            fs::write(folder.join(format!("{program}.cdx.json")), text)?;
        }
        Ok(())
    })?;
    fs::write(folder.join("SHA256SUMS"), sums(&folder)?)?;
    eprintln!("\n{}\n", steps.table());
    println!("{}", folder.canonicalize()?.display());
    Ok(())
}

/// Writes the hashes of a folder's files as `sha256sum` does, in the order of their names.
fn sums(folder: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort();
    let lines = names.iter().map(|name| {
        let hash = hex::encode(Sha256::digest(fs::read(folder.join(name))?));
        Ok(format!("{hash}  {}\n", name.to_string_lossy()))
    });
    lines.collect()
}
