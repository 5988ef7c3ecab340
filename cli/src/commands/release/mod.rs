//! `otter release`: publishes, signs, lists and withdraws releases.

mod compare;
mod downgrade;
mod publish;
pub mod sign;
mod withdraw;

use clap::{Args, Subcommand};
use otter_protocol::admin::ReleaseDetail;
use otter_protocol::release;

use crate::api::Client;
use crate::output::Table;
use crate::text::{ago, now, size};
use crate::{Context, Failure, Output};

/// Publishes, signs, lists and withdraws releases.
#[derive(Debug, Subcommand)]
pub enum Release {
    /// Uploads a file or folder, signs it and publishes it as a release.
    ///
    /// Everything is hashed and signed on this machine; the server gets the bytes and the signature. A folder is packed
    /// as a bundle first. What broke off goes on when the same command is given again: nothing is uploaded twice.
    Publish(Box<publish::Publish>),
    /// Signs a release that was uploaded in the dashboard, and so publishes it.
    ///
    /// Shows what will be signed, and asks. What is shown comes from the server: give --sha256 with the digest that your
    /// own build printed, so that other bytes are refused.
    Sign(sign::Sign),
    /// Lists releases, the newest first.
    List(List),
    /// Shows a release.
    Show {
        /// Its number, or its version.
        release: String,
    },
    /// Takes a release back: no device gets it any more.
    ///
    /// With a key its signature is taken back too, so that not even a stolen server can offer it again.
    Withdraw(withdraw::Withdraw),
    /// Signs a permission: devices may go back to this release from a newer one.
    ///
    /// Without it a device refuses every release that is older than what it has, whatever the server says. It asks for
    /// nothing by itself: a rollout that allows downgrades does.
    PermitDowngrade(downgrade::PermitDowngrade),
    /// Compares releases by what became of the attempts at them, on each model.
    ///
    /// Rates come with their 95 % Wilson intervals; two releases differ for certain where Newcombe's 95 % interval of
    /// their difference leaves out zero.
    Compare(compare::Compare),
    /// Names for each model the published release that does best, and the numbers that this rests on.
    Recommended(compare::Recommended),
}

/// Which releases to list.
#[derive(Debug, Args)]
pub struct List {
    /// Most releases.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

impl Release {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        match self {
            Self::Publish(publish) => publish.run(context, &client).await,
            Self::Sign(sign) => sign.run(context, &client).await,
            Self::List(list) => {
                let query = [("limit", list.limit)];
                let releases = client.get_with(&["releases"], &query).await?;
                show_list(context.output, &releases)
            }
            Self::Show { release } => {
                let id = resolve(&client, &release).await?.id.to_string();
                let detail: ReleaseDetail = client.get(&["releases", &id]).await?;
                context
                    .output
                    .value(&detail, |output| show_detail(output, &detail))
            }
            Self::Withdraw(withdraw) => withdraw.run(context, &client).await,
            Self::PermitDowngrade(permit) => permit.run(context, &client).await,
            Self::Compare(compare) => compare.run(context, &client).await,
            Self::Recommended(recommended) => recommended.run(context, &client).await,
        }
    }
}

/// Most releases that are looked through for a version.
const LOOKED_THROUGH: u32 = 500;

/// Finds a release by its version, or by its number, written `12` or `#12`.
///
/// A version goes first, so that a release called `12` can be named; `#12` is always a number.
pub(crate) async fn resolve(client: &Client, named: &str) -> Result<release::Release, Failure> {
    let releases = list(client).await?;
    let number = named.strip_prefix('#').unwrap_or(named).parse::<i64>().ok();
    let mut of_version = releases
        .iter()
        .filter(|release| release.version.as_str() == named);
    if let Some(first) = of_version.next() {
        return match of_version.next() {
            None => Ok(first.clone()),
            Some(second) => Err(Failure::Refused(format!(
                "releases {} and {} both have version {named}, for different models. \
                 Name one by its number, as #{}",
                second.id, first.id, first.id
            ))),
        };
    }
    if let Some(number) = number {
        let number = number.to_string();
        let detail: ReleaseDetail = client.get(&["releases", &number]).await?;
        return Ok(detail.release);
    }
    Err(Failure::Refused(format!(
        "the server has no release {named}. `otter release list` shows those that it has"
    )))
}

/// Returns the newest releases.
async fn list(client: &Client) -> Result<Vec<release::Release>, Failure> {
    let query = [("limit", LOOKED_THROUGH)];
    client.get_with(&["releases"], &query).await
}

fn show_list(output: Output, releases: &Vec<release::Release>) -> Result<(), Failure> {
    output.value(releases, |output| {
        let mut table = Table::new(["id", "version", "state", "models", "kind", "size", "made"]);
        for release in releases {
            let kinds: Vec<&str> = release.artifacts.iter().map(|a| a.kind.as_str()).collect();
            let bytes = release.artifacts.iter().map(|a| a.size).sum();
            table.row([
                release.id.to_string(),
                release.version.to_string(),
                release.state.as_str().to_owned(),
                models(release),
                kinds.join(", "),
                size(bytes),
                ago(release.created_at, now()),
            ]);
        }
        output.table(table, "No releases. Make one with `otter release publish`.")
    })
}

fn show_detail(output: Output, detail: &ReleaseDetail) -> Result<(), Failure> {
    show_release(output, &detail.release)?;
    output.line(format!("devices on it  {}", detail.devices_on_it))?;
    for summary in &detail.rollouts {
        let rollout = &summary.rollout;
        let (id, name, state) = (rollout.id, &rollout.spec.name, rollout.state);
        output.line(format!("rollout        {id} {name} ({state})"))?;
    }
    Ok(())
}

/// Shows what a release is: everything that its signature covers.
fn show_release(output: Output, release: &release::Release) -> Result<(), Failure> {
    output.line(format!("release        {}", release.id))?;
    output.line(format!("version        {}", release.version))?;
    output.line(format!("state          {}", release.state.as_str()))?;
    if let Some(version) = &release.min_version {
        output.line(format!("min version    {version}"))?;
    }
    if let Some(version) = &release.min_bootloader_version {
        output.line(format!("min bootloader {version}"))?;
    }
    if release.required {
        output.line("required       yes")?;
    }
    for artifact in &release.artifacts {
        let models: Vec<&str> = artifact.models.iter().map(|model| model.as_str()).collect();
        output.line(format!(
            "artifact       {} for {}, {} ({} bytes)\n               sha256 {}",
            artifact.kind,
            models.join(", "),
            size(artifact.size),
            artifact.size,
            artifact.sha256
        ))?;
    }
    for line in release.notes.lines() {
        output.line(format!("notes          {line}"))?;
    }
    Ok(())
}

fn models(release: &release::Release) -> String {
    let models = release.models();
    let models: Vec<&str> = models.iter().map(|model| model.as_str()).collect();
    models.join(", ")
}
