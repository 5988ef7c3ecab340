//! Passphrases of key files: from a file, the environment, or a prompt that doesn't echo.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use console::Term;
use otter_trust::{KeyFile, PublicKey, Role, SecretKey, TrustError};
use zeroize::Zeroizing;

use crate::Failure;

/// The variable that may hold a passphrase.
const VARIABLE: &str = "OTTER_PASSPHRASE";

/// Stands before the name of a variable that holds a key, where a file is expected.
const KEY_IN_VARIABLE: &str = "env:";

/// How many times a prompt asks for a passphrase that opens a key.
const TRIES: u32 = 3;

/// Where passphrases come from.
#[derive(Debug, Clone, Default, Args)]
pub struct PassphraseArgs {
    /// File whose first line is the passphrase; else OTTER_PASSPHRASE, else a prompt.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// Returns the passphrase for a key to be made; a prompt asks twice.
    pub fn choose(&self) -> Result<Zeroizing<String>, Failure> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let first = prompt("Passphrase for the new key: ")?;
        if *first != *prompt("The same again: ")? {
            return Err(Failure::Refused(
                "the two passphrases differ. Nothing was made; try again".to_owned(),
            ));
        }
        Ok(first)
    }

    /// Opens a key for a role: a key file, or `env:NAME` for a variable that holds it as `otter key export --secret` wrote it.
    pub fn open(&self, path: &Path, role: Role) -> Result<SecretKey, Failure> {
        if let Some(name) = variable(path) {
            return from_variable(name);
        }
        let file = read_key_file(path, role)?;
        if let Some(given) = self.given()? {
            return file.open(&given).map_err(|error| about(path, error));
        }
        for _ in 1..TRIES {
            match file.open(&prompt(&question(path))?) {
                Err(TrustError::WrongPassphrase) => {}
                other => return other.map_err(|error| about(path, error)),
            }
        }
        file.open(&prompt(&question(path))?)
            .map_err(|error| about(path, error))
    }

    /// Returns what needs no prompt, where there is something.
    fn given(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(path) = &self.passphrase_file {
            let text = Zeroizing::new(fs::read_to_string(path).map_err(Failure::file(path))?);
            let line = text.lines().next().unwrap_or_default();
            return Ok(Some(Zeroizing::new(line.to_owned())));
        }
        Ok(std::env::var(VARIABLE).ok().map(Zeroizing::new))
    }
}

/// Returns the variable that a key is in, where it is in one.
fn variable(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(KEY_IN_VARIABLE)
}

fn from_variable(name: &str) -> Result<SecretKey, Failure> {
    let text = std::env::var(name).map(Zeroizing::new).map_err(|_| {
        Failure::Refused(format!(
            "the variable {name} holds no key. Set it to what `otter key export --secret` prints"
        ))
    })?;
    SecretKey::from_text(&text)
        .map_err(|error| Failure::Refused(format!("the variable {name}: {error}")))
}

/// Returns whether a file holds only somebody's public key.
pub fn is_public(path: &Path) -> Result<bool, Failure> {
    if variable(path).is_some() {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(Failure::file(path))?;
    Ok(serde_json::from_slice::<PublicKey>(&bytes).is_ok())
}

/// Reads the public half of a key for a role: from a key file, `env:NAME`, or an exported public key.
pub fn read_public(path: &Path, role: Role) -> Result<PublicKey, Failure> {
    if let Some(name) = variable(path) {
        return Ok(from_variable(name)?.public());
    }
    let bytes = fs::read(path).map_err(Failure::file(path))?;
    match serde_json::from_slice(&bytes) {
        Ok(public) => Ok(public),
        Err(_) => Ok(*read_key_file(path, role)?.public()),
    }
}

/// Reads a key file; refuses one that was made for another role.
pub fn read_key_file(path: &Path, role: Role) -> Result<KeyFile, Failure> {
    let bytes = fs::read(path).map_err(Failure::file(path))?;
    let file = KeyFile::parse(&bytes).map_err(|error| about(path, error))?;
    if file.role() == role {
        return Ok(file);
    }
    Err(Failure::Refused(format!(
        "{} is a {} key, and a {role} key is needed here. Name the right file, \
         or make one with `otter key generate --role {role}`",
        path.display(),
        file.role()
    )))
}

fn about(path: &Path, error: TrustError) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}

fn question(path: &Path) -> String {
    format!("Passphrase of {}: ", path.display())
}

fn prompt(question: &str) -> Result<Zeroizing<String>, Failure> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(Failure::Usage(format!(
            "a passphrase is needed and nobody can be asked for it. \
             Set {VARIABLE}, or name a file with --passphrase-file"
        )));
    }
    terminal
        .write_str(question)
        .and_then(|()| terminal.read_secure_line())
        .map(Zeroizing::new)
        .map_err(Failure::file("the terminal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(folder: &Path, text: &str) -> PassphraseArgs {
        let path = folder.join("passphrase");
        fs::write(&path, text).unwrap();
        PassphraseArgs {
            passphrase_file: Some(path),
        }
    }

    #[test]
    fn a_public_key_is_read_from_each_form_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed(&[1; 32]);
        let sealed = KeyFile::seal(&key, Role::Root, "otters hold hands", "").unwrap();
        let (file, exported) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&file, sealed.to_bytes().unwrap()).unwrap();
        fs::write(&exported, serde_json::to_vec(&key.public()).unwrap()).unwrap();
        for (path, public) in [(&file, false), (&exported, true)] {
            assert_eq!(read_public(path, Role::Root).unwrap(), key.public());
            assert_eq!(is_public(path).unwrap(), public);
        }
        assert!(read_public(&file, Role::Targets).is_err());
        let nowhere = Path::new("env:OTTER_TEST_NO_SUCH_KEY");
        let error = read_public(nowhere, Role::Root).unwrap_err().to_string();
        assert!(
            error.contains("OTTER_TEST_NO_SUCH_KEY holds no key"),
            "{error}"
        );
    }

    #[test]
    fn the_first_line_of_a_file_opens_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::generate().unwrap();
        let sealed = KeyFile::seal(&key, Role::Targets, "otters hold hands", "").unwrap();
        let path = folder.path().join("targets.key");
        fs::write(&path, sealed.to_bytes().unwrap()).unwrap();

        let right = passphrase(folder.path(), "otters hold hands\nand more\n");
        let opened = right.open(&path, Role::Targets).unwrap();
        assert_eq!(opened.public(), key.public());

        let wrong_role = right.open(&path, Role::Root).unwrap_err().to_string();
        assert!(wrong_role.contains("a root key is needed"), "{wrong_role}");

        let wrong = passphrase(folder.path(), "otters hold grudges");
        let error = wrong.open(&path, Role::Targets).unwrap_err();
        assert!(error.to_string().contains("wrong passphrase"), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}
