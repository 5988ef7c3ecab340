//! Passphrases of key files: from a file, the environment, or a prompt that doesn't echo.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use console::Term;
use otter_trust::{KeyFile, Role, SecretKey, TrustError};
use zeroize::Zeroizing;

use crate::Failure;

/// The variable that may hold a passphrase.
const VARIABLE: &str = "OTTER_PASSPHRASE";

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

    /// Opens a key file for a role.
    pub fn open(&self, path: &Path, role: Role) -> Result<SecretKey, Failure> {
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
