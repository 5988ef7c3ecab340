//! What a program is made of, as CycloneDX 1.6 has it (<https://cyclonedx.org/docs/1.6/json/>): the crates that are linked into
//! it, from Cargo's own resolution of Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::{paths, process, rust};

/// The workspace's crates and all that they need.
pub(crate) struct Crates {
    metadata: Value,
    /// SHA-256 of a crate's file, by name and version.
    checksums: BTreeMap<(String, String), String>,
}

impl Crates {
    /// Asks Cargo, for this machine's kind, without changing Cargo.lock.
    pub(crate) fn of_workspace() -> Result<Self> {
        let mut command = rust::cargo();
        command.args(["metadata", "--format-version", "1", "--locked"]);
        let host =
            process::output(std::process::Command::new("rustc").args(["--print", "host-tuple"]))?;
        command.args(["--filter-platform", host.trim()]);
        let metadata = serde_json::from_str(&process::output(&mut command)?)
            .context("cargo metadata is no JSON")?;
        let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
        Ok(Self {
            metadata,
            checksums: checksums(&lock),
        })
    }

    /// Describes the program that a package of the workspace builds.
    pub(crate) fn sbom(&self, package: &str) -> Result<String> {
        let packages = by(part(&self.metadata, "/packages"), "id");
        let nodes = by(part(&self.metadata, "/resolve/nodes"), "id");
        let root = packages
            .values()
            .find(|one| one["name"] == package && one["source"].is_null())
            .with_context(|| format!("the workspace has no {package}"))?;
        let root_id = text(&root["id"]);
        let mut linked = BTreeSet::new();
        let mut waiting = vec![root_id];
        while let Some(id) = waiting.pop() {
            if linked.insert(id) {
                waiting.extend(nodes.get(id).map(|node| needs(node)).unwrap_or_default());
            }
        }
        let name = |id: &str| {
            packages
                .get(id)
                .map(|one| reference(one))
                .unwrap_or_default()
        };
        let components: Vec<Value> = linked
            .iter()
            .filter(|id| **id != root_id)
            .filter_map(|id| packages.get(id))
            .map(|one| self.component(one, "library"))
            .collect();
        let dependencies: Vec<Value> = linked
            .iter()
            .map(|id| {
                let needed = nodes.get(id).map(|node| needs(node)).unwrap_or_default();
                let needed: BTreeSet<String> = needed.into_iter().map(name).collect();
                json!({ "ref": name(id), "dependsOn": needed })
            })
            .collect();
        let bom = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "component": self.component(root, "application") },
            "components": components,
            "dependencies": dependencies,
        });
        Ok(serde_json::to_string_pretty(&bom)? + "\n")
    }

    fn component(&self, package: &Value, kind: &str) -> Value {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let mut component = Map::new();
        let mut say = |key: &str, value: Value| drop(component.insert(key.to_owned(), value));
        say("type", json!(kind));
        say("bom-ref", json!(reference(package)));
        say("name", json!(name));
        say("version", json!(version));
        if !package["source"].is_null() {
            say("purl", json!(reference(package)));
        }
        if let Some(license) = package["license"].as_str() {
            // Before SPDX expressions a slash said it.
            let expression = license.replace(" / ", "/").replace('/', " OR ");
            say("licenses", json!([{ "expression": expression }]));
        }
        if let Some(repository) = package["repository"].as_str() {
            let repository = json!([{ "type": "vcs", "url": repository }]);
            say("externalReferences", repository);
        }
        let key = (name.to_owned(), version.to_owned());
        if let Some(checksum) = self.checksums.get(&key) {
            say("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
        }
        component.into()
    }
}

fn part<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// Returns a list's objects by a field.
fn by<'a>(list: &'a Value, field: &str) -> BTreeMap<&'a str, &'a Value> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|one| (text(&one[field]), one)).collect()
}

/// Returns what is linked into a crate: neither what builds it nor what tests it.
fn needs(node: &Value) -> Vec<&str> {
    let all = node["deps"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let linked = all.iter().filter(|one| {
        let kinds = one["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    });
    linked.map(|one| text(&one["pkg"])).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Names a crate as <https://github.com/package-url/purl-spec> does.
fn reference(package: &Value) -> String {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// Reads the hashes out of Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for block in lock.split("[[package]]") {
        let field = |name: &str| {
            let begin = format!("{name} = \"");
            let line = block.lines().find_map(|line| line.strip_prefix(&begin))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            found.insert((name, version), checksum);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sbom_names_what_is_linked_and_not_what_only_builds_or_tests() {
        let crates = Crates::of_workspace().unwrap();
        let agent: Value = serde_json::from_str(&crates.sbom("otter-agent").unwrap()).unwrap();
        assert_eq!(agent["bomFormat"], "CycloneDX");
        assert_eq!(agent["metadata"]["component"]["name"], "otter-agent");
        let components = by(&agent["components"], "name");
        for linked in ["reqwest", "rustls", "otter-protocol"] {
            assert!(components.contains_key(linked), "{linked}");
        }
        for other in ["proptest", "sea-orm", "leptos"] {
            assert!(!components.contains_key(other), "{other}");
        }
        let rustls = components["rustls"];
        assert_eq!(text(&rustls["hashes"][0]["content"]).len(), 64);
        assert!(text(&rustls["purl"]).starts_with("pkg:cargo/rustls@0.23."));
        assert_eq!(
            rustls["licenses"][0]["expression"],
            "Apache-2.0 OR ISC OR MIT"
        );
        // Every reference leads somewhere.
        // By name alone two versions would be one.
        let by_reference = by(&agent["components"], "bom-ref");
        let mut known: BTreeSet<&str> = by_reference.keys().copied().collect();
        known.insert(text(&agent["metadata"]["component"]["bom-ref"]));
        for dependency in agent["dependencies"].as_array().unwrap() {
            let needed = dependency["dependsOn"].as_array().unwrap();
            for one in needed.iter().chain([&dependency["ref"]]) {
                assert!(known.contains(text(one)), "{one}");
            }
        }
        assert!(crates.sbom("nothing").is_err());
    }
}
