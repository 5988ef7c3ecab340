//! `otter key`: makes, lists, exports and shows the publishers' keys.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use otter_trust::{KeyFile, Role, SecretKey};
use serde_json::json;

use crate::output::Table;
use crate::passphrase::PassphraseArgs;
use crate::{Context, Failure};

/// No key file is larger than this many bytes.
const LARGEST: u64 = 64 << 10;

/// Makes, lists, exports and shows the publishers' keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Makes an Ed25519 key in a file encrypted under a passphrase.
    Generate(Generate),
    /// Lists the key files in a folder, without opening them.
    List {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Prints a key's public half, for whoever sets up trust; or the key itself, for a variable in CI.
    Export(Export),
    /// Shows what a key file holds, without opening it.
    Show {
        /// The key file.
        file: PathBuf,
    },
}

/// The publishers' roles; the others are the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PublisherRole {
    /// Says whose signatures count. Keep it offline.
    Root,
    /// Signs releases.
    Targets,
}

impl From<PublisherRole> for Role {
    fn from(role: PublisherRole) -> Self {
        match role {
            PublisherRole::Root => Self::Root,
            PublisherRole::Targets => Self::Targets,
        }
    }
}

/// Makes a key.
#[derive(Debug, Args)]
pub struct Generate {
    /// What the key is for.
    #[arg(long)]
    role: PublisherRole,
    /// Where to write it; a file that is there is never replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Words to know it by.
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Prints a key.
#[derive(Debug, Args)]
pub struct Export {
    /// The key file.
    file: PathBuf,
    /// Prints the key itself, unencrypted: whoever reads it can sign. Give it to your CI's secrets, and nobody else.
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Key {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Generate(generate) => generate.run(context),
            Self::List { folder } => list(context, &folder),
            Self::Export(export) => export.run(context),
            Self::Show { file } => {
                let bytes = fs::read(&file).map_err(Failure::file(&file))?;
                show(context, &KeyFile::parse(&bytes)?)
            }
        }
    }
}

impl Generate {
    fn run(self, context: &Context) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(already_there(&self.out));
        }
        let passphrase = self.passphrase.choose()?;
        let key = SecretKey::generate()?;
        let file = KeyFile::seal(&key, self.role.into(), &passphrase, &self.comment)?;
        write_private(&self.out, &file.to_bytes()?)?;
        show(context, &file)?;
        context.output.note(format!(
            "{} is written. Keep a copy in a safe place: \
             without the file or its passphrase nobody can sign with it.",
            self.out.display()
        ));
        Ok(())
    }
}

impl Export {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let bytes = fs::read(&self.file).map_err(Failure::file(&self.file))?;
        let file = KeyFile::parse(&bytes)?;
        if self.secret {
            let text = self.passphrase.open(&self.file, file.role())?.to_text();
            context
                .output
                .note("Who reads this can sign. It is printed once; nothing keeps it.");
            return context
                .output
                .value(&*text, |output| output.line(text.as_str()));
        }
        let public = serde_json::to_string(file.public())
            .map_err(|error| Failure::Refused(format!("the key can't be written: {error}")))?;
        context
            .output
            .value(file.public(), |output| output.line(public))
    }
}

/// Lists what is a key file in a folder; other files are passed over.
fn list(context: &Context, folder: &Path) -> Result<(), Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Failure::file(folder))? {
        let path = entry.map_err(Failure::file(folder))?.path();
        let small = fs::metadata(&path).is_ok_and(|about| about.is_file() && about.len() < LARGEST);
        let file = fs::read(&path).ok().filter(|_| small);
        if let Some(file) = file.and_then(|bytes| KeyFile::parse(&bytes).ok()) {
            found.push((path, file));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let shown: Vec<_> = found
        .iter()
        .map(|(path, file)| {
            json!({
                "file": path, "role": file.role(), "key_id": file.public().key_id(), "comment": file.comment(),
            })
        })
        .collect();
    context.output.value(&shown, |output| {
        let mut table = Table::new(["file", "role", "key id", "comment"]);
        for (path, file) in &found {
            let role = file.role().to_string();
            let cells = [path.display().to_string(), role, file.public().key_id()];
            table.row(cells.into_iter().chain([file.comment().to_owned()]));
        }
        output.table(
            table,
            "No key file is here. Make one with `otter key generate`.",
        )
    })
}

fn show(context: &Context, file: &KeyFile) -> Result<(), Failure> {
    let public = hex::encode(file.public().as_bytes());
    let shown = json!({
        "role": file.role(), "key_id": file.public().key_id(), "public": public,
        "comment": file.comment(),
    });
    context.output.value(&shown, |output| {
        output.line(format!("role        {}", file.role()))?;
        output.line(format!("key id      {}", file.public().key_id()))?;
        output.line(format!("public key  {public}"))?;
        if file.comment().is_empty() {
            return Ok(());
        }
        output.line(format!("comment     {}", file.comment()))
    })
}

fn already_there(path: &Path) -> Failure {
    Failure::Refused(format!(
        "{} is there already and is not replaced: it may be the only copy of a key. Choose another name",
        path.display()
    ))
}

/// Writes a file that only its owner may read; never over another.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => already_there(path),
        _ => Failure::file(path)(error),
    })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(Failure::file(path))
}
