//! `otter trust show`: who signed what, until when.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use otter_protocol::Sha256Digest;
use otter_trust::{Document, Role, RoleKeys, Root, SigningStatus, TargetsDocument};
use serde_json::{Map, Value, json};

use super::rotate::ids;
use crate::api::Client;
use crate::{Context, Failure, Output, metadata};

/// Shows who signed what, and until when it counts.
#[derive(Debug, Args)]
pub struct Show {
    /// A metadata file; without one, what the server has.
    file: Option<PathBuf>,
    /// Root to judge the file's signatures by.
    #[arg(long, value_name = "root.json")]
    root: Option<PathBuf>,
    /// The publishers' own list, to judge a team's list by.
    #[arg(long, value_name = "targets.json")]
    targets: Option<PathBuf>,
}

/// Files that say whose signatures count.
#[derive(Debug, Default)]
pub(super) struct Judges {
    /// The root; for a root, the one before it.
    pub(super) root: Option<Vec<u8>>,
    targets: Option<Vec<u8>>,
}

impl Judges {
    /// Reads those that are named.
    pub(super) fn read(root: Option<&Path>, targets: Option<&Path>) -> Result<Self, Failure> {
        let read = |path: &Path| fs::read(path).map_err(Failure::file(path));
        Ok(Self {
            root: root.map(read).transpose()?,
            targets: targets.map(read).transpose()?,
        })
    }

    /// Has a root alone.
    pub(super) fn of_root(root: Option<&[u8]>) -> Self {
        let root = root.map(<[u8]>::to_vec);
        Self {
            root,
            targets: None,
        }
    }

    /// Returns whose signatures a document takes, and who says so; `None` where that file isn't here.
    pub(super) fn keys_of(
        &self,
        document: &Document,
    ) -> Result<Option<(String, RoleKeys)>, Failure> {
        let role = document.role()?;
        if role == Role::Root {
            let keys = Root::from_document(document)?.root;
            return Ok(Some(("the new root".to_owned(), keys)));
        }
        let Some(delegated) = document.delegated_role()? else {
            let root = self.root.as_deref().map(Root::parse).transpose()?;
            return Ok(root.map(|root| ("the root".to_owned(), root.role(role).clone())));
        };
        let Some(targets) = &self.targets else {
            return Ok(None);
        };
        let delegations = TargetsDocument::parse(targets)?.delegations()?;
        let keys = delegations.get(&delegated).map(|one| one.keys.clone());
        Ok(keys.map(|keys| (format!("the delegation to {delegated}"), keys)))
    }
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let judges = Judges::read(self.root.as_deref(), self.targets.as_deref())?;
        if let Some(path) = &self.file {
            let bytes = fs::read(path).map_err(Failure::file(path))?;
            return file(context, &bytes, &judges);
        }
        let client = context.client()?;
        let shown = on_server(&client).await?;
        if shown.is_empty() {
            return context.output.value(&json!([]), |output| {
                output.line("Nothing is trusted yet: set it up once with `otter trust init`.")
            });
        }
        context.output.value(&shown, |output| {
            shown.iter().try_for_each(|shown| lines(output, shown))
        })
    }
}

/// Fetches the newest of each role, and the first root for its fingerprint.
async fn on_server(client: &Client) -> Result<Vec<Value>, Failure> {
    let Some(newest) = metadata::newest(client).await? else {
        return Ok(Vec::new());
    };
    let judges = Judges {
        root: Some(newest.root.clone()),
        targets: newest.targets.clone(),
    };
    let mut shown = Vec::new();
    for bytes in newest.files() {
        shown.push(describe(bytes, &judges)?);
    }
    if let Some(Value::Object(root)) = shown.first_mut() {
        let first = Sha256Digest::of(&newest.first_root).to_string();
        root.insert("fingerprint".to_owned(), json!(first));
    }
    Ok(shown)
}

/// Shows a file, with its signatures as a root sees them: for a root, itself, and the one before it where given.
pub(super) fn file(context: &Context, bytes: &[u8], judges: &Judges) -> Result<(), Failure> {
    let shown = describe(bytes, judges)?;
    context.output.value(&shown, |output| lines(output, &shown))
}

/// Says what a file says, and who signed it.
fn describe(bytes: &[u8], judges: &Judges) -> Result<Value, Failure> {
    let document = Document::parse(bytes)?;
    let role = document.role()?;
    let (signed_by, threshold) = match judges.keys_of(&document)? {
        Some((_, keys)) => {
            let status = SigningStatus::of(&keys, &document);
            (status.valid, Some(status.threshold))
        }
        None => (document.signers().map(str::to_owned).collect(), None),
    };
    let name = match document.delegated_role()? {
        Some(delegated) => delegated.to_string(),
        None => role.to_string(),
    };
    let mut more = Map::new();
    match role {
        Role::Root => {
            more.insert("roles".to_owned(), roles(&Root::from_document(&document)?));
        }
        Role::Targets => {
            let list = TargetsDocument::parse(bytes)?;
            more.insert("artifacts".to_owned(), artifacts(&list)?);
            more.insert("withdrawn".to_owned(), json!(list.withdrawn()?));
            more.insert("delegated".to_owned(), delegated(&list)?);
        }
        Role::Snapshot | Role::Timestamp => {}
    }
    let mut shown = json!({
        "role": name, "version": document.version()?, "expires": document.expires()?.to_string(),
        "signed_by": signed_by, "threshold": threshold,
    });
    if let Some(shown) = shown.as_object_mut() {
        shown.append(&mut more);
    }
    Ok(shown)
}

fn roles(root: &Root) -> Value {
    let of = |role: Role| {
        let keys = root.role(role);
        (
            role.to_string(),
            json!({ "keys": ids(keys), "threshold": keys.threshold }),
        )
    };
    Value::Object(Role::ALL.into_iter().map(of).collect())
}

fn delegated(targets: &TargetsDocument) -> Result<Value, Failure> {
    let all = targets.delegations()?.0.into_iter().map(|(role, one)| {
        let facts = json!({ "models": one.models, "keys": ids(&one.keys), "threshold": one.keys.threshold });
        (role.to_string(), facts)
    });
    Ok(Value::Object(all.collect()))
}

fn artifacts(targets: &TargetsDocument) -> Result<Value, Failure> {
    let signed = targets.artifacts()?;
    Ok(signed
        .iter()
        .map(|artifact| {
            json!({
                "name": artifact.name(), "version": artifact.facts.version, "models": artifact.facts.models,
                "release_counter": artifact.facts.release_counter, "length": artifact.length,
                "downgrade_permitted": artifact.facts.downgrade_permitted,
            })
        })
        .collect())
}

fn lines(output: Output, shown: &Value) -> Result<(), Failure> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let list = |value: &Value| {
        let items = value.as_array().into_iter().flatten();
        items.map(text).collect::<Vec<_>>().join(", ")
    };
    let role = text(&shown["role"]);
    output.line(format!(
        "{role:<9}  version {}, until {}",
        shown["version"],
        text(&shown["expires"])
    ))?;
    let needed = match shown["threshold"].as_u64() {
        Some(threshold) => format!(" ({threshold} needed)"),
        None => String::new(),
    };
    match list(&shown["signed_by"]) {
        nobody if nobody.is_empty() => {
            output.line(format!("           signed by nobody yet{needed}"))?
        }
        signers => output.line(format!("           signed by {signers}{needed}"))?,
    }
    if let Some(fingerprint) = shown["fingerprint"].as_str() {
        output.line(format!("           fingerprint {fingerprint}"))?;
    }
    for (role, keys) in shown["roles"].as_object().into_iter().flatten() {
        output.line(format!(
            "           {role}: {} of {}",
            keys["threshold"],
            list(&keys["keys"])
        ))?;
    }
    for (role, facts) in shown["delegated"].as_object().into_iter().flatten() {
        output.line(format!(
            "           {role} signs for {}: {} of {}",
            list(&facts["models"]),
            facts["threshold"],
            list(&facts["keys"])
        ))?;
    }
    for artifact in shown["artifacts"].as_array().into_iter().flatten() {
        let downgrade = match artifact["downgrade_permitted"].as_bool() {
            Some(true) => ", devices may go back to it",
            _ => "",
        };
        output.line(format!(
            "           {} for {}: {}{downgrade}",
            text(&artifact["version"]),
            list(&artifact["models"]),
            text(&artifact["name"]),
        ))?;
    }
    for (sha256, reason) in shown["withdrawn"].as_object().into_iter().flatten() {
        output.line(format!("           withdrawn {sha256} {}", text(reason)).trim_end())?;
    }
    Ok(())
}
