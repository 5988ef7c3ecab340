//! What runs is what `current` leads to, whoever started it.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use super::name::from_name;
use super::*;
use crate::config::Config;
use crate::disk::{self, SimulatedDisk};

/// A service that anybody may start, and that runs what `current` leads to at that moment.
#[derive(Debug)]
struct Unit {
    disk: Arc<SimulatedDisk>,
    runs: Arc<Mutex<Option<PathBuf>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Unit {
    fn boot(&self) {
        *self.runs.lock().unwrap() = Some(self.disk.read_link(Path::new("/root/current")).unwrap());
    }
}

#[async_trait]
impl Service for Unit {
    async fn start(&self, _: Run, _: Trial) -> io::Result<()> {
        if self.runs.lock().unwrap().is_none() {
            self.boot();
        }
        Ok(())
    }

    fn trust(&self) {}

    async fn stop(&self, run: Option<Run>) -> io::Result<()> {
        *self.runs.lock().unwrap() = None;
        let version = run.map(|run| run.version.to_string());
        self.told.lock().unwrap().push(version.unwrap_or_default());
        Ok(())
    }

    fn outlives_agent(&self) -> bool {
        true
    }

    fn status(&self) -> Option<watch::Receiver<Status>> {
        None
    }
}

fn version(name: &str) -> Installed {
    from_name(name)
}

#[tokio::test]
async fn what_somebody_else_started_too_early_is_stopped_before_a_switch() {
    let disk = Arc::new(SimulatedDisk::default());
    for name in ["1-1.0.0", "2-2.0.0"] {
        let folder = Path::new("/root/versions").join(name);
        disk::make_dirs(disk.as_ref(), &folder).unwrap();
    }
    let runs = Arc::new(Mutex::new(None));
    let told = Arc::new(Mutex::new(Vec::new()));
    let unit = || Unit {
        disk: disk.clone(),
        runs: runs.clone(),
        told: told.clone(),
    };
    let text = "server = \"http://x\"\ndevice_id = \"d\"\nmodel = \"m\"\nstate_dir = \"/s\"\n[bundle]\nroot = \"/root\"\n";
    let config = Config::parse(text, Path::new("/")).unwrap();
    let installer = BundleInstaller::new(
        disk.clone(),
        config.bundle.as_ref().unwrap(),
        true,
        Some(Box::new(unit())),
        BTreeMap::new(),
    );
    let (old, new) = (version("1-1.0.0"), version("2-2.0.0"));
    let now = || runs.lock().unwrap().clone().unwrap();
    installer.apply(&old).await.unwrap();
    installer.start(&old, Trial::Trusted).await.unwrap();
    assert_eq!(now(), Path::new("versions/1-1.0.0"));

    // The device is restarted between the stop and the switch, and systemd starts the unit by itself.
    installer.stop().await.unwrap();
    unit().boot();
    installer.apply(&new).await.unwrap();
    installer.start(&new, Trial::OnTrial).await.unwrap();
    assert_eq!(now(), Path::new("versions/2-2.0.0"));

    // What points there already is no reason to stop anything.
    installer.apply(&new).await.unwrap();
    assert_eq!(now(), Path::new("versions/2-2.0.0"));
    installer.leave().await.unwrap();
    assert_eq!(now(), Path::new("versions/2-2.0.0"));

    installer.roll_back(Some(&new), Some(&old)).await.unwrap();
    installer.start(&old, Trial::Trusted).await.unwrap();
    assert_eq!(now(), Path::new("versions/1-1.0.0"));
    // Each stop is told of the version that ran.
    assert_eq!(*told.lock().unwrap(), ["", "1.0.0", "1.0.0", "2.0.0"]);
}
