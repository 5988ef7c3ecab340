//! What may become part of Otter, by `deny.toml`: licences, sources and bans are read from Cargo's own resolution of
//! Cargo.lock, so that they are checked on every machine. Advisories need a tool and a database of their own.

mod licence;

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{paths, process, rust};

/// As much of `deny.toml` as is checked here.
#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    sources: Sources,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    /// SPDX names.
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    /// Addresses of indexes.
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    name: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Absent where only a file says it, which nobody has read then.
    license: Option<String>,
    /// Absent for the workspace's own.
    source: Option<String>,
}

/// Checks every package that Cargo.lock names.
pub(super) fn policy() -> Result<()> {
    let text =
        fs::read_to_string(paths::root().join("deny.toml")).context("cannot read deny.toml")?;
    let policy: Policy = toml::from_str(&text).context("deny.toml doesn't say what it should")?;
    let mut command = rust::cargo();
    command.args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Metadata = serde_json::from_str(&process::output(&mut command)?)
        .context("cargo metadata is no JSON")?;
    let faults: Vec<String> = metadata
        .packages
        .iter()
        .filter_map(|package| policy.fault(package))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    bail!("deny.toml doesn't allow\n    {}", faults.join("\n    "))
}

impl Policy {
    /// Says what is wrong with a package.
    fn fault(&self, package: &Package) -> Option<String> {
        let Package { name, version, .. } = package;
        let source = package.source.as_deref()?;
        let is_allowed = |index: &String| source.strip_prefix("registry+") == Some(index);
        if self.bans.deny.iter().any(|banned| banned.name == *name) {
            return Some(format!("{name} {version}: it is banned"));
        }
        if !self.sources.allow_registry.iter().any(is_allowed) {
            return Some(format!("{name} {version}: it comes from {source}"));
        }
        let Some(license) = &package.license else {
            return Some(format!("{name} {version}: it names no licence"));
        };
        let is_allowed = |name: &str| self.licenses.allow.iter().any(|one| one == name);
        match licence::allows(license, &is_allowed) {
            Some(true) => None,
            Some(false) => Some(format!("{name} {version}: its licence is {license}")),
            None => Some(format!(
                "{name} {version}: `{license}` is no SPDX expression"
            )),
        }
    }
}

/// Looks the packages up among known vulnerabilities (RustSec's, which cargo-audit reads, too), where both cargo-deny and that
/// database can be had; says loudly where not.
pub(super) fn advisories() -> Result<()> {
    if !process::in_path("cargo-deny") {
        skipped("cargo-deny isn't installed; `cargo install --locked cargo-deny` brings it");
        return Ok(());
    }
    if let Err(error) = process::run(rust::cargo().args(["deny", "fetch", "db"])) {
        skipped(&format!("their database can't be fetched: {error:#}"));
        return Ok(());
    }
    process::run(rust::cargo().args(["deny", "check", "--disable-fetch", "advisories"]))
}

fn skipped(why: &str) {
    let line = "!".repeat(100);
    eprintln!(
        "{line}\n!! SKIPPED: nothing was looked up among known vulnerabilities: {why}\n{line}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let text = fs::read_to_string(paths::root().join("deny.toml")).unwrap();
        toml::from_str(&text).unwrap()
    }

    fn package(name: &str, license: Option<&str>, source: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
        }
    }

    const INDEX: Option<&str> = Some("registry+https://github.com/rust-lang/crates.io-index");

    #[test]
    fn what_is_here_is_allowed() {
        super::policy().unwrap();
    }

    #[test]
    fn licences_sources_and_bans_each_have_their_say() {
        let policy = policy();
        let fault = |package: &Package| policy.fault(package).unwrap_or_default();
        assert_eq!(
            fault(&package("serde", Some("MIT OR Apache-2.0"), INDEX)),
            ""
        );
        assert_eq!(fault(&package("otter-own", None, None)), "", "our own");
        for (bad, says) in [
            (package("openssl", Some("Apache-2.0"), INDEX), "banned"),
            (
                package("x", Some("GPL-3.0-only"), INDEX),
                "its licence is GPL-3.0-only",
            ),
            (
                package("x", Some("MIT AND GPL-3.0-only"), INDEX),
                "its licence",
            ),
            (package("x", None, INDEX), "no licence"),
            (package("x", Some("MIT OR ("), INDEX), "no SPDX expression"),
            (
                package("x", Some("MIT"), Some("git+https://example.org/x#1")),
                "comes from",
            ),
            (
                package("x", Some("MIT"), Some("registry+https://example.org/index")),
                "comes from",
            ),
        ] {
            assert!(fault(&bad).contains(says), "{says}: {}", fault(&bad));
        }
    }
}
