//! `otter key`: makes and shows the publishers' keys.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use otter_trust::{KeyFile, Role, SecretKey};
use serde_json::json;

use crate::passphrase::PassphraseArgs;
use crate::{Context, Failure};

/// Makes and shows the publishers' keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Makes an Ed25519 key in a file encrypted under a passphrase.
    Generate(Generate),
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

impl Key {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Generate(generate) => generate.run(context),
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
