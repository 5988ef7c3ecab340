//! The one-time link with which the first account is made.
//!
//! It is a secret, so it goes to the person at the terminal, or into a file that only the server's own user reads; never
//! into a log.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use otter_fleet::Fleet;
use url::Url;

/// Shows the link where there is no account yet, and removes what an earlier start left.
pub async fn show(fleet: &Fleet, public_url: &Url, data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join("setup-link");
    let Some(secret) = fleet.setup_secret().await? else {
        return Ok(remove(&path)?);
    };
    let mut link = public_url.clone();
    link.set_path("/setup");
    link.query_pairs_mut().append_pair("secret", &secret);
    let mut out = io::stdout();
    if out.is_terminal() {
        writeln!(
            out,
            "\n  Nobody has an account yet. Make the first one here:\n\n    {link}\n"
        )?;
        remove(&path)?;
    } else {
        write(&path, link.as_str())?;
        tracing::info!(
            file = %path.display(),
            "nobody has an account yet: the file holds the link with which the first one is made"
        );
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file that only its owner reads, from its first byte on.
fn write(path: &PathBuf, link: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    remove(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{link}")
}
