//! The agent inside a program of one's own: a thermostat whose schedules come over the air, as artifacts of the kind `module`.
//!
//! `cargo run -p otter-agent --example embedded -- otter-agent.toml`, with a configuration that has no installer's section.

use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use async_trait::async_trait;
use otter_agent::agent::{Agent, Parts};
use otter_agent::config::Config;
use otter_agent::disk::{self, Disk, PUBLIC};
use otter_agent::health::{HealthCheck, Patient};
use otter_agent::install::{Downloads, InstallError, Installer, Started};
use otter_agent::journal::{Installed, Signed};
use otter_agent::service::Trial;
use otter_protocol::ArtifactKind;

type Done<T> = Result<T, InstallError>;

/// Schedules lie side by side in a folder, and the link `current` points to one: the switch is one instant.
#[derive(Debug)]
struct Schedules(Arc<dyn Disk>, PathBuf);

fn unkept(cause: io::Error) -> InstallError {
    let what = "the schedule can't be kept".to_owned();
    InstallError::Disk { what, cause }
}

/// Every call may be the second one: the program is killed at any instant, and the agent calls again.
#[async_trait]
impl Installer for Schedules {
    fn kind(&self) -> ArtifactKind {
        ArtifactKind::Module
    }
    async fn recover(&self, believed: Option<&Installed>) -> Done<Option<Installed>> {
        // What the journal says is made so.
        self.roll_back(None, believed).await?;
        Ok(believed.cloned())
    }
    async fn prepare(&self, signed: &Signed, from: &Downloads, _: &[Installed]) -> Done<Installed> {
        println!("{}: verifying", signed.version());
        let bytes = fs::read(from.verified(signed).await?).map_err(unkept)?;
        let new = Installed {
            version: signed.version(),
            release_counter: signed.facts.release_counter,
            name: signed.sha256.to_string(),
        };
        disk::make_dirs(self.0.as_ref(), &self.1).map_err(unkept)?;
        disk::write_whole(self.0.as_ref(), &self.folder(&new), &bytes, PUBLIC).map_err(unkept)?;
        Ok(new)
    }
    async fn stop(&self) -> Done<()> {
        Ok(())
    }
    async fn apply(&self, new: &Installed) -> Done<()> {
        println!("{}: applying", new.version);
        let (disk, link) = (self.0.as_ref(), self.1.join("current"));
        disk::switch_link(disk, Path::new(&new.name), &link).map_err(unkept)
    }
    async fn start(&self, _: &Installed, _: Trial) -> Done<Started> {
        // The heating reads `current` every minute. `ByRestart` is for what needs a restart of the device.
        Ok(Started::Running)
    }
    async fn commit(&self, new: &Installed) -> Done<()> {
        println!("{}: stays", new.version);
        Ok(())
    }
    async fn roll_back(&self, _: Option<&Installed>, old: Option<&Installed>) -> Done<()> {
        let link = self.1.join("current");
        match old {
            Some(old) => self.apply(old).await,
            None => disk::remove_if_there(self.0.as_ref(), &link).map_err(unkept),
        }
    }
    async fn clean(&self, keep: &[Installed]) -> Done<()> {
        let names = disk::optional(self.0.list(&self.1)).map_err(unkept)?;
        for name in names.unwrap_or_default() {
            if name != "current" && keep.iter().all(|kept| name != *kept.name) {
                self.0.remove(&self.1.join(name)).map_err(unkept)?;
            }
        }
        Ok(())
    }
    fn folder(&self, version: &Installed) -> PathBuf {
        self.1.join(&version.name)
    }
}

/// What a schedule must prove to stay.
#[async_trait]
impl HealthCheck for Schedules {
    async fn prove(&self, patient: &Patient) -> Result<(), String> {
        let text = fs::read_to_string(&patient.folder).map_err(|error| error.to_string())?;
        let degrees = |line: &str| line.split_once(' ')?.1.parse().ok();
        match text.lines().filter_map(degrees).fold(0.0, f32::max) {
            hottest if hottest > 25.0 => Err(format!("{hottest} degrees make a sauna")),
            _ => Ok(()),
        }
    }
}

/// Makes the agent, with an installer and a check of our own.
pub fn thermostat(config: Config, folder: &Path) -> anyhow::Result<Agent> {
    let mut parts = Parts::of_this_machine(&config)?;
    let schedules = Arc::new(Schedules(parts.disk.clone(), folder.to_owned()));
    parts.installer = Some(schedules.clone());
    parts.checks.push(schedules);
    Agent::open(config, parts)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = env::args_os().nth(1).unwrap_or("otter-agent.toml".into());
    let folder = path::absolute("schedules")?;
    let agent = thermostat(Config::load(Path::new(&file))?, &folder)?;
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    agent.run(stop).await
}
