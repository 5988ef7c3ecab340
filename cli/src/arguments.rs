//! The command line as a whole.

use clap::Parser;
use url::Url;

use crate::api::{ApiKey, Client};
use crate::commands::Command;
use crate::{Failure, Output};

/// Stands over the options that every command has.
const GLOBAL: &str = "Options of every command";

/// Publishes, signs and rolls out releases with Otter.
#[derive(Debug, Parser)]
#[command(
    name = "otter",
    version,
    about = "Publishes, signs and rolls out releases with Otter",
    arg_required_else_help = true,
    after_help = "\
Exit codes:
  0  done
  1  refused: what was asked makes no sense there, or failed; the error says why
  2  the command line doesn't parse
  3  a rollout that was watched was aborted, rolled back, or paused by a breach
  4  the server can't be reached, or doesn't let this key in

A first release:
  otter key generate --role root --out root.key
  otter key generate --role targets --out targets.key
  otter trust init --root-key root.key --targets-key targets.key
  otter release publish --version 1.1.0 --model rpi4 --key targets.key ./folder
  otter rollout create --release 1.1.0 --name 'to 1.1.0' --phases 5,25,100 --watch"
)]
pub struct Arguments {
    /// Address of the server.
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = "OTTER_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub server: Url,
    /// API key; better in the environment than here, where other programs see it.
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = "OTTER_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub api_key: Option<ApiKey>,
    /// Prints JSON, for scripts.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// Address of the server.
    pub server: Url,
    /// Where results go.
    pub output: Output,
    api_key: Option<ApiKey>,
}

impl Context {
    /// Takes what is common to all commands.
    pub fn of(arguments: &Arguments) -> Self {
        Self {
            server: arguments.server.clone(),
            output: Output::new(arguments.json),
            api_key: arguments.api_key.clone(),
        }
    }

    /// Returns a client of the admin API.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.server, self.api_key.clone())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            for inner in command.get_subcommands() {
                assert!(inner.get_about().is_some(), "{}", inner.get_name());
                for argument in inner.get_arguments() {
                    assert!(argument.get_help().is_some(), "{argument:?}");
                }
                check(inner);
            }
        }
        check(&Arguments::command());
    }
}
