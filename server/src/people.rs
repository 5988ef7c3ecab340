//! `otter-server user`: accounts, made at the server's own machine.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use console::Term;
use otter_app::Site;
use otter_fleet::Actor;
use otter_protocol::admin::Role;
use otter_server::{Config, serve};
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Makes an account
    Add {
        /// The name to log in with
        name: String,
        /// What the person may do: viewer, operator, approver or admin
        #[arg(long, value_parser = role)]
        role: Role,
        /// File whose first line is the password; else standard input, or a prompt on a terminal
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Makes a link by which somebody chooses another password: it works once, for a day
    Link {
        /// The name to log in with
        name: String,
        /// Takes the second factor away, too, for somebody who has lost it and the recovery codes
        #[arg(long)]
        remove_second_factor: bool,
    },
}

pub(crate) async fn carry_out(command: UserCommand, config: &Config) -> anyhow::Result<()> {
    match command {
        UserCommand::Add {
            name,
            role,
            password_file,
        } => add(config, &name, role, password_file.as_deref()).await,
        UserCommand::Link {
            name,
            remove_second_factor,
        } => link(config, &name, remove_second_factor).await,
    }
}

async fn link(config: &Config, name: &str, remove_second_factor: bool) -> anyhow::Result<()> {
    let fleet = serve::open(config).await?;
    let accounts = fleet.accounts().await?;
    let account = accounts.iter().find(|account| account.name == name);
    let account = account.with_context(|| format!("nobody is named {name}"))?;
    if remove_second_factor {
        fleet
            .remove_second_factor(&Actor::Console, account.id)
            .await?;
    }
    let (_, secret) = fleet.make_link(&Actor::Console, account.id).await?;
    let site = Site::new(config.public_url(config.listen).as_str());
    println!("{}", site.welcome(&secret));
    Ok(())
}

async fn add(config: &Config, name: &str, role: Role, file: Option<&Path>) -> anyhow::Result<()> {
    let password = password(file)?;
    let fleet = serve::open(config).await?;
    let person = fleet
        .add_person(&Actor::Console, name, &password, role)
        .await?;
    println!(
        "{} may log in now, as {}.",
        person.name,
        person.role.as_str()
    );
    Ok(())
}

fn role(text: &str) -> Result<Role, String> {
    Role::named(text).ok_or_else(|| {
        let names = Role::ALL.map(Role::as_str).join(", ");
        format!("the roles are {names}")
    })
}

fn password(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        return first_line(&text);
    }
    if !io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::new());
        io::stdin()
            .lock()
            .read_line(&mut line)
            .context("cannot read the password from standard input")?;
        return first_line(&line);
    }
    let first = prompt("Password: ")?;
    if *first != *prompt("The same again: ")? {
        bail!("the two passwords differ; nothing was made");
    }
    Ok(first)
}

fn first_line(text: &str) -> anyhow::Result<Zeroizing<String>> {
    let line = text.lines().next().unwrap_or_default();
    ensure!(!line.is_empty(), "the password is empty; nothing was made");
    Ok(Zeroizing::new(line.to_owned()))
}

fn prompt(question: &str) -> anyhow::Result<Zeroizing<String>> {
    let term = Term::stderr();
    term.write_str(question)?;
    Ok(Zeroizing::new(term.read_secure_line()?))
}
