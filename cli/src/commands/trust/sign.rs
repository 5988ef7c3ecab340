//! `otter trust sign` and `publish`: several people, one after another, on a file that travels.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use console::Term;
use otter_protocol::admin::TrustStatus;
use otter_trust::{Document, Role, SigningStatus};
use tempfile::NamedTempFile;

use super::change::{lacking, missing};
use super::show::{self, Judges};
use crate::api::Client;
use crate::passphrase::PassphraseArgs;
use crate::{Context, Failure};

/// Signs a file that somebody began.
#[derive(Debug, Args)]
pub struct Sign {
    /// The file: a root or a list of artifacts. It is replaced by one with your signature, too.
    file: PathBuf,
    /// Your key: a file, or env:NAME for a variable that holds it.
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<PathBuf>,
    /// Root that devices trust now: tells whose signatures are still missing.
    #[arg(long, value_name = "root.json")]
    root: Option<PathBuf>,
    /// The publishers' own list (`/device/v1/trust/N.targets.json`): tells it of a team's list.
    #[arg(long, value_name = "targets.json")]
    targets: Option<PathBuf>,
    /// Another copy that somebody signed beside you; its signatures are taken over.
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// Signs without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Sends a file to the server.
#[derive(Debug, Args)]
pub struct Publish {
    /// The file: a root or a list of artifacts.
    file: PathBuf,
}

impl Sign {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut document = read(&self.file)?;
        for other in &self.with {
            document.merge(&read(other)?)?;
        }
        let role = publishers_role(&document)?;
        let judges = Judges::read(self.root.as_deref(), self.targets.as_deref())?;
        if !self.yes {
            show::file(context, &document.to_bytes()?, &judges)?;
            ask(&self.file)?;
        }
        for path in &self.keys {
            document.sign(&self.passphrase.open(path, role)?)?;
        }
        let bytes = document.to_bytes()?;
        replace(&self.file, &bytes)?;
        let missing = match role {
            Role::Root => missing(judges.root.as_deref(), &document)?,
            _ => match judges.keys_of(&document)? {
                Some((whose, keys)) => {
                    let status = SigningStatus::of(&keys, &document);
                    let lacking = (!status.is_complete()).then(|| lacking(&whose, &status));
                    lacking.into_iter().collect()
                }
                None => Vec::new(),
            },
        };
        if missing.is_empty() {
            context.output.note(format!(
                "{file} is signed. Send it with `otter trust publish {file}`.",
                file = self.file.display()
            ));
        } else {
            context.output.note(format!(
                "{} is signed, and needs more:\n{}",
                self.file.display(),
                missing.join("\n")
            ));
        }
        show::file(context, &bytes, &judges)
    }
}

impl Publish {
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let document = read(&self.file)?;
        let role = publishers_role(&document)?;
        let path = ["trust", role.as_str()];
        let _: TrustStatus = client.put_metadata(&path, document.to_bytes()?).await?;
        context
            .output
            .note(format!("{} is published.", self.file.display()));
        show::file(context, &document.to_bytes()?, &Judges::default())
    }
}

fn publishers_role(document: &Document) -> Result<Role, Failure> {
    match document.role()? {
        role @ (Role::Root | Role::Targets) => Ok(role),
        role => Err(Failure::Refused(format!(
            "this is {role} metadata, which the server signs by itself"
        ))),
    }
}

/// Reads a metadata file.
pub(super) fn read(path: &Path) -> Result<Document, Failure> {
    let bytes = fs::read(path).map_err(Failure::file(path))?;
    Ok(Document::parse(&bytes)?)
}

/// Replaces a file as a whole: it may be the only one with the others' signatures.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(Failure::file(path))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Failure::file(path))?;
    file.persist(path)
        .map_err(|error| Failure::file(path)(error.error))?;
    Ok(())
}

fn ask(path: &Path) -> Result<(), Failure> {
    let terminal = Term::stderr();
    if !terminal.is_term() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody can be asked whether to sign this. Look at it with `otter trust show`, then say --yes".to_owned(),
        ));
    }
    let answer = terminal
        .write_str(&format!("Sign {}? [y/N] ", path.display()))
        .and_then(|()| terminal.read_line())
        .map_err(Failure::file("the terminal"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::Refused("nothing was signed".to_owned()))
}
