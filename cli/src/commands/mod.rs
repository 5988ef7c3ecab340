//! One file a command: its arguments, what it does, what it shows.

pub mod api_key;
pub mod audit;
pub mod bundle;
pub mod device;
pub mod enrollment_token;
pub mod group;
pub mod key;
pub mod release;
pub mod rollout;
pub mod simulate;
pub mod template;
pub mod trust;
pub mod webhook;

use clap::Subcommand;

use crate::{Arguments, Context, Failure};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes, lists, exports and shows the publishers' keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Sets up and changes whose signatures devices trust, and shows who signed what.
    #[command(subcommand)]
    Trust(trust::Trust),
    /// Publishes, signs, lists and withdraws releases.
    #[command(subcommand)]
    Release(release::Release),
    /// Packs folders for publishing.
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// Creates, watches and steers rollouts.
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Ways of going about a rollout, saved under a name.
    #[command(subcommand)]
    Template(template::Template),
    /// Lists devices, explains what holds them back, lets them in and out.
    #[command(subcommand)]
    Device(device::Device),
    /// Named sets of devices, and when their members may update.
    #[command(subcommand)]
    Group(group::Group),
    /// Makes and takes back the tokens that let devices in.
    #[command(subcommand)]
    EnrollmentToken(enrollment_token::EnrollmentToken),
    /// Makes and takes back the keys that programs call the server with.
    #[command(subcommand)]
    ApiKey(api_key::ApiKey),
    /// Tells other programs of rollouts and attempts.
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Reads and verifies the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Runs many simulated devices against the server's device API.
    ///
    /// Each enrolls with a key of its own, checks in, downloads the real artifact when it is offered one, reports every
    /// step and comes back on the new version. What they install is checked by its SHA-256 alone: unlike real agents,
    /// simulated devices don't verify the publishers' signatures. Ctrl-C ends the run and prints its summary.
    Simulate(simulate::Simulate),
}

/// Runs a command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let context = Context::of(&arguments);
    match arguments.command {
        Command::Key(command) => command.run(&context),
        Command::Trust(command) => command.run(&context).await,
        Command::Release(command) => command.run(&context).await,
        Command::Bundle(command) => command.run(&context),
        Command::Rollout(command) => command.run(&context).await,
        Command::Template(command) => command.run(&context).await,
        Command::Device(command) => command.run(&context).await,
        Command::Group(command) => command.run(&context).await,
        Command::EnrollmentToken(command) => command.run(&context).await,
        Command::ApiKey(command) => command.run(&context).await,
        Command::Webhook(command) => command.run(&context).await,
        Command::Audit(command) => command.run(&context).await,
        Command::Simulate(command) => command.run(&context).await,
    }
}
