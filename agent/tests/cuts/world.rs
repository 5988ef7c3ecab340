//! A device, its disk and its server at one instant, and what must be true of them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use otter_agent::agent::{Agent, Parts};
use otter_agent::config::Config;
use otter_agent::disk::simulated::{FileSystem, Loss, Site, Tree};
use otter_agent::disk::{self, Disk, PUBLIC, SimulatedDisk};
use otter_agent::health::{HealthCheck, Patient};
use otter_agent::history::History;
use otter_agent::journal::Journal;
use otter_agent::life::Signs;
use otter_agent::machine::{Held, Machine};
use otter_protocol::{ArtifactKind, AttemptState, Sha256Digest};
use tokio::sync::Notify;

use super::server::{Memory, Server, Store};
use crate::common::MODEL;
use crate::common::publisher::Publisher;

const STATE: &str = "/state";
const DATA: &str = "/data/database";
const GRUB_ENV: &str = "/boot/grubenv";
const SLOT: usize = 32 << 10;
/// Longer than any update takes, in simulated time.
const TOO_LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// More restarts than any update needs, however often its power is cut.
const MOST_BOOTS: usize = 20;

/// What is tried: an artifact of a kind, which is healthy or not, on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    pub kind: ArtifactKind,
    /// Whether downloads are kept until they are unpacked.
    pub keeps: bool,
    pub is_healthy: bool,
    pub file_system: FileSystem,
}

impl Story {
    /// Every story.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let kinds = [
            (ArtifactKind::Bundle, true),
            (ArtifactKind::Bundle, false),
            (ArtifactKind::Image, false),
        ];
        for (kind, keeps) in kinds {
            for is_healthy in [true, false] {
                for file_system in [FileSystem::Ordered, FileSystem::Unordered] {
                    all.push(Self {
                        kind,
                        keeps,
                        is_healthy,
                        file_system,
                    });
                }
            }
        }
        all
    }
}

/// What stays the same in a story.
#[derive(Debug)]
pub struct Scene {
    pub story: Story,
    store: Arc<Store>,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A device and its server at one instant.
#[derive(Clone)]
pub struct World {
    pub tree: Tree,
    pub memory: Memory,
    /// The run of the system that goes on; `None` where it has to be started.
    boot: Option<u64>,
}

/// How a device is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The agent is killed, and the system goes on.
    Kill,
    /// The power is cut.
    Power(Loss),
}

/// What came of letting a device run until nothing is left to do.
pub struct Run {
    /// How everything stands at the end.
    pub end: World,
    /// How it stood before each disk operation, and at each restart.
    pub instants: Vec<World>,
    /// Every place of the source that asked for a sync or a rename.
    pub sites: BTreeSet<Site>,
}

impl World {
    fn of(disk: &SimulatedDisk, server: &Server) -> Self {
        Self {
            tree: disk.tree(),
            memory: server.memory().clone(),
            boot: None,
        }
    }

    /// Returns what is found when the device is cut off now and comes back.
    pub fn after(&self, cut: Cut) -> Self {
        let (tree, boot) = match cut {
            Cut::Kill => (self.tree.clone(), self.boot),
            Cut::Power(loss) => (self.tree.after_cut(loss), None),
        };
        Self {
            tree,
            memory: self.memory.clone(),
            boot,
        }
    }

    /// Returns a number that tells this world from others, but for what isn't synced.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.tree.hash_synced(&mut hasher);
        self.boot.is_some().hash(&mut hasher);
        format!("{:?}", self.memory).hash(&mut hasher);
        hasher.finish()
    }
}

fn image(version: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..SLOT - 5000).map(|n| (n % 251) as u8).collect();
    // Some blocks are the same in both versions, and some aren't.
    for place in [0, 9000, 20_000] {
        bytes[place..place + version.len()].copy_from_slice(version.as_bytes());
    }
    bytes
}

fn files(version: &str) -> Vec<(&'static str, String)> {
    vec![
        ("VERSION", version.to_owned()),
        ("bin/run", format!("run {version}").repeat(50)),
        ("same", "same".repeat(700)),
    ]
}

impl Scene {
    /// Signs what a story needs, and returns the world that it begins in.
    pub fn new(story: Story) -> (Self, World) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files("2.0.0") {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut publisher = Publisher::new();
        let release = match story.kind {
            ArtifactKind::Image => publisher.release_of(story.kind, "2.0.0", image("2.0.0")),
            _ => publisher.release("2.0.0", folder.path()),
        };
        let store = Store {
            artifacts: [(
                release.artifact.sha256.to_string(),
                release.bytes.clone().into(),
            )]
            .into(),
            files: publisher.files.clone(),
        };
        let scene = Self {
            story,
            store: Arc::new(store),
            old: image("1.0.0"),
            new: image("2.0.0"),
        };
        let disk = SimulatedDisk::new(story.file_system);
        scene.furnish(&disk, publisher.root());
        let memory = Memory {
            offer: release.offer(1),
            ended: None,
            sequence: 0,
            keys: Vec::new(),
            version: String::new(),
            words: None,
            complaints: Vec::new(),
        };
        let world = World {
            tree: disk.tree(),
            memory,
            boot: None,
        };
        (scene, world)
    }

    /// Lays out a disk as a device comes with it.
    fn furnish(&self, disk: &SimulatedDisk, root: &[u8]) {
        let write = |path: &str, bytes: &[u8]| {
            let path = Path::new(path);
            disk::make_dirs(disk, path.parent().unwrap()).unwrap();
            disk::write_whole(disk, path, bytes, PUBLIC).unwrap();
        };
        for folder in [STATE, "/proc", "/dev"] {
            disk::make_dirs(disk, Path::new(folder)).unwrap();
        }
        write("/etc/root.json", root);
        write(DATA, b"by 1.0.0");
        write("/data/other", b"other");
        for (name, text) in files("1.0.0") {
            write(&format!("/usr/share/app/{name}"), text.as_bytes());
        }
        write(GRUB_ENV, &grub_env("otter_slot=a\n"));
        for (slot, content) in [("a", &self.old), ("b", &vec![7; SLOT])] {
            let path = PathBuf::from(format!("/dev/{slot}"));
            disk.make_slot(&path, SLOT);
            let mut device = disk.open_slot(&path).unwrap();
            device.write_at(0, content).unwrap();
        }
        if self.story.kind == ArtifactKind::Image {
            // The slot that is free holds another version yet.
            let sha256 = Sha256Digest::of(&[7; SLOT]);
            let record = format!(
                "{{\"version\":\"0.9.0\",\"release_counter\":0,\"content\":{{\"length\":{SLOT},\"sha256\":\"{sha256}\"}}}}"
            );
            write(&format!("{STATE}/slots/b.json"), record.as_bytes());
        }
        disk.settle();
    }

    fn config(&self) -> Config {
        let installer = match self.story.kind {
            ArtifactKind::Image => {
                "[image]\nslots = [{name = \"a\", device = \"/dev/a\"}, {name = \"b\", device = \"/dev/b\"}]\n\
                 boot = {flow = \"grub\", env = \"/boot/grubenv\"}\ninitial_version = \"1.0.0\"\nsync_every_bytes = 8192"
            }
            _ => {
                "[bundle]\nroot = \"/app\"\ninitial = \"/usr/share/app\"\ninitial_version = \"1.0.0\""
            }
        };
        let keep = if self.story.keeps { "always" } else { "never" };
        let text = format!(
            "server = \"http://simulated\"\ndevice_id = \"device-1\"\nmodel = \"{MODEL}\"\nstate_dir = \"{STATE}\"\n\
             enrollment_token = \"ote_x\"\nroot_metadata = \"/etc/root.json\"\n{installer}\n\
             [backup]\npaths = [\"/data\"]\n[restart]\ntries = 6\n[download]\nkeep = \"{keep}\"\n[health]\nsettle_sec = 0\n"
        );
        Config::parse(&text, Path::new("/")).unwrap()
    }

    /// Lets a device run until nothing is left to do; `removed` is a place of the source that does nothing any more.
    pub async fn run(
        &self,
        world: &World,
        keep: bool,
        removed: Option<Site>,
    ) -> Result<Run, String> {
        let server = Server::new(self.store.clone(), world.memory.clone());
        let disk = SimulatedDisk::from(world.tree.clone());
        let instants = Arc::new(Mutex::new(Vec::new()));
        let mut goes_on = world.boot;
        for _ in 0..MOST_BOOTS {
            let boot = match goes_on.take() {
                Some(boot) => boot,
                None => {
                    self.boot_loader(&disk)?;
                    BOOTS.fetch_add(1, Ordering::Relaxed)
                }
            };
            if let Some(site) = removed {
                disk.take_away(site);
            }
            if keep {
                let (instants, server) = (instants.clone(), server.clone());
                disk.observe(move |tree| {
                    let instant = World {
                        tree: tree.clone(),
                        memory: server.memory().clone(),
                        boot: Some(boot),
                    };
                    lock(&instants).push(instant);
                });
            }
            let machine = Arc::new(SimulatedMachine::new(boot));
            let agent = self.agent(&disk, &server, &machine)?;
            tokio::select! {
                biased;
                () = machine.restarted.notified() => {
                    lock(&instants).push(World::of(&disk, &server));
                    continue;
                }
                checked = tokio::time::timeout(TOO_LONG, agent.check()) => {
                    checked.map_err(|_| "the agent never comes to an end".to_owned())?
                        .map_err(|error| format!("{error:#}"))?;
                }
            }
            let end = World::of(&disk, &server);
            let mut instants = std::mem::take(&mut *lock(&instants));
            instants.push(end.clone());
            return Ok(Run {
                end,
                instants,
                sites: disk.sites(),
            });
        }
        Err("the device restarts again and again".to_owned())
    }

    fn agent(
        &self,
        disk: &SimulatedDisk,
        server: &Server,
        machine: &Arc<SimulatedMachine>,
    ) -> Result<Agent, String> {
        let check = NewData {
            disk: disk.clone(),
            is_healthy: self.story.is_healthy,
        };
        let parts = Parts {
            disk: Arc::new(disk.clone()),
            machine: machine.clone(),
            transport: Arc::new(server.clone()),
            installer: None,
            checks: vec![Arc::new(check)],
            observer: None,
            signs: Signs::default(),
        };
        Agent::open(self.config(), parts).map_err(|error| format!("{error:#}"))
    }

    /// Does what a boot loader does, and fails where what it starts isn't a whole version.
    fn boot_loader(&self, disk: &SimulatedDisk) -> Result<(), String> {
        if self.story.kind != ArtifactKind::Image {
            return self.whole_bundle(disk);
        }
        let bytes = read(disk, GRUB_ENV).ok_or("GRUB has no environment")?;
        if bytes.len() != 1024 {
            return Err(format!("GRUB's environment has {} bytes", bytes.len()));
        }
        let text = String::from_utf8_lossy(&bytes);
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix('=')
                    .map(str::to_owned)
            })
        };
        let committed = value("otter_slot").ok_or("GRUB knows no slot")?;
        let slot = value("otter_try").unwrap_or_else(|| committed.clone());
        // A restart of the machine is on the medium; so is what GRUB writes.
        disk.settle();
        let env = grub_env(&format!("otter_slot={committed}\n"));
        disk::write_whole(disk, Path::new(GRUB_ENV), &env, PUBLIC).map_err(|e| e.to_string())?;
        let line = format!("quiet otter.slot={slot}\n");
        disk::write_whole(disk, Path::new("/proc/cmdline"), line.as_bytes(), PUBLIC)
            .map_err(|e| e.to_string())?;
        disk.settle();
        self.records(disk)?;
        self.whole_slot(disk, &slot).map(|_| ())
    }

    /// Fails where the agent's record of a slot says what isn't so.
    fn records(&self, disk: &SimulatedDisk) -> Result<(), String> {
        for slot in ["a", "b"] {
            let Some(record) = read(disk, &format!("{STATE}/slots/{slot}.json")) else {
                continue;
            };
            let record: serde_json::Value =
                serde_json::from_slice(&record).map_err(|error| error.to_string())?;
            let length = record["content"]["length"].as_u64().unwrap_or_default();
            let bytes = slot_bytes(disk, slot, length as usize)?;
            let digest = Sha256Digest::of(&bytes).to_string();
            if record["content"]["sha256"] != digest {
                return Err(format!("the record of slot {slot} is a lie"));
            }
        }
        Ok(())
    }

    /// Returns the version that a slot holds whole.
    fn whole_slot(&self, disk: &SimulatedDisk, slot: &str) -> Result<&'static str, String> {
        let bytes = slot_bytes(disk, slot, self.old.len())?;
        if bytes == self.old {
            Ok("1.0.0")
        } else if bytes == self.new {
            Ok("2.0.0")
        } else {
            Err(format!(
                "slot {slot} is started, and holds no whole version"
            ))
        }
    }

    /// Fails unless `current` names a whole version, or nothing was ever installed.
    fn whole_bundle(&self, disk: &SimulatedDisk) -> Result<(), String> {
        if disk.kind(Path::new("/app/current")).is_err() {
            let was_there = disk.list(Path::new("/app/versions")).unwrap_or_default();
            let was_there = was_there
                .iter()
                .any(|name| !name.to_string_lossy().starts_with('.'));
            return match read(disk, "/state/history.json") {
                Some(_) if was_there => Err("there is no current version any more".to_owned()),
                _ => Ok(()),
            };
        }
        bundle_version(disk).map(|_| ())
    }

    /// Fails where the end isn't the one that an uncut run comes to.
    pub fn judge(&self, end: &World) -> Result<(), String> {
        if let Some(complaint) = end.memory.complaints.first() {
            return Err(complaint.clone());
        }
        let disk = SimulatedDisk::from(end.tree.clone());
        let (outcome, version, data) = if self.story.is_healthy {
            (AttemptState::Succeeded, "2.0.0", "by 2.0.0")
        } else {
            let data = "by 1.0.0, and again by 1.0.0";
            (AttemptState::RolledBack, "1.0.0", data)
        };
        let equal = |what: &str, is: &str, should: &str| {
            let words = end.memory.words.as_deref().unwrap_or_default();
            let text = format!("{what} is {is}, not {should} ({words})");
            if is == should { Ok(()) } else { Err(text) }
        };
        let record =
            Journal::look(&disk, Path::new(STATE)).map_err(|error| error.to_string())??;
        let installed = record
            .installed
            .map(|installed| installed.version.to_string());
        equal(
            "the journal's version",
            &installed.unwrap_or_default(),
            version,
        )?;
        equal(
            "the journal's attempt",
            &format!("{:?}", record.attempt),
            "None",
        )?;
        equal("what waits", &format!("{:?}", record.outbox), "[]")?;
        equal("what runs", &self.running(&disk)?, version)?;
        let ended = format!("{:?}", end.memory.ended);
        equal(
            "the server's outcome",
            &ended,
            &format!("{:?}", Some(outcome)),
        )?;
        let history = History::new(Arc::new(disk.clone()), Path::new(STATE), 100);
        let outcomes: Vec<AttemptState> = history
            .load()
            .map_err(|error| error.to_string())?
            .iter()
            .map(|ended| ended.outcome)
            .collect();
        equal(
            "the history",
            &format!("{outcomes:?}"),
            &format!("{:?}", [outcome]),
        )?;
        let found = read(&disk, DATA).unwrap_or_default();
        equal("the data", &String::from_utf8_lossy(&found), data)?;
        let names = disk.list(Path::new("/data")).map_err(|e| e.to_string())?;
        equal(
            "the data's folder",
            &format!("{names:?}"),
            "[\"database\", \"other\"]",
        )?;
        match read(&disk, "/state/journal.broken.json") {
            Some(_) => Err("the journal was lost once".to_owned()),
            None => Ok(()),
        }
    }

    fn running(&self, disk: &SimulatedDisk) -> Result<String, String> {
        if self.story.kind != ArtifactKind::Image {
            return bundle_version(disk);
        }
        let line = read(disk, "/proc/cmdline").unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let slot = line.trim().rsplit('=').next().unwrap_or_default();
        // It must be the committed one, too: the next restart must not go elsewhere.
        let env = read(disk, GRUB_ENV).unwrap_or_default();
        if env != grub_env(&format!("otter_slot={slot}\n")) {
            return Err(format!(
                "slot {slot} runs, but {}",
                String::from_utf8_lossy(&env)
            ));
        }
        self.whole_slot(disk, slot).map(str::to_owned)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn grub_env(lines: &str) -> Vec<u8> {
    let mut bytes = format!("# GRUB Environment Block\n{lines}").into_bytes();
    bytes.resize(1024, b'#');
    bytes
}

fn read(disk: &SimulatedDisk, path: &str) -> Option<Vec<u8>> {
    disk::read(disk, Path::new(path), 1 << 20).ok().flatten()
}

fn slot_bytes(disk: &SimulatedDisk, slot: &str, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    disk.open_slot(&PathBuf::from(format!("/dev/{slot}")))
        .and_then(|mut slot| slot.read_at(0, &mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Returns the version that `current` names; fails where it isn't whole.
fn bundle_version(disk: &SimulatedDisk) -> Result<String, String> {
    let version = read(disk, "/app/current/VERSION").unwrap_or_default();
    let version = String::from_utf8_lossy(&version).into_owned();
    for (name, text) in files(&version) {
        let is = read(disk, &format!("/app/current/{name}"));
        if is != Some(text.into_bytes()) {
            return Err(format!(
                "{name} of the current version `{version}` is not whole"
            ));
        }
    }
    match disk.list(Path::new("/app/current")) {
        Ok(names) if names == ["VERSION", "bin", "same"] => Ok(version),
        names => Err(format!("the current version has {names:?}")),
    }
}

/// The new version: it writes to its data, as versions do, and is healthy or not.
#[derive(Debug)]
struct NewData {
    disk: SimulatedDisk,
    is_healthy: bool,
}

#[async_trait]
impl HealthCheck for NewData {
    async fn prove(&self, patient: &Patient) -> Result<(), String> {
        let version = patient.version.as_str();
        let disk = &self.disk;
        let write = |data: String| {
            disk::write_whole(disk, Path::new(DATA), data.as_bytes(), PUBLIC)
                .map_err(|error| error.to_string())
        };
        if version == "1.0.0" {
            // It finds what it left, and goes on with it.
            let found = read(disk, DATA).unwrap_or_default();
            if found == b"by 1.0.0" || found == b"by 1.0.0, and again by 1.0.0" {
                return write("by 1.0.0, and again by 1.0.0".to_owned());
            }
            return Err(format!("the data is {}", String::from_utf8_lossy(&found)));
        }
        write(format!("by {version}"))?;
        if self.is_healthy {
            return Ok(());
        }
        disk::write_whole(disk, Path::new("/data/new"), b"new", PUBLIC)
            .map_err(|error| error.to_string())?;
        Err("sick".to_owned())
    }
}

/// A machine that can be restarted: each run of the system is one of its own.
#[derive(Debug)]
struct SimulatedMachine {
    boot_id: u64,
    restarted: Notify,
}

/// Counts the systems that were started.
static BOOTS: AtomicU64 = AtomicU64::new(0);

impl SimulatedMachine {
    fn new(boot_id: u64) -> Self {
        Self {
            boot_id,
            restarted: Notify::new(),
        }
    }
}

#[async_trait]
impl Machine for SimulatedMachine {
    fn take(&self, _: &Path) -> anyhow::Result<Held> {
        Ok(Box::new(()))
    }

    fn boot_id(&self) -> std::io::Result<String> {
        Ok(self.boot_id.to_string())
    }

    async fn restart(&self, _: Option<&str>) -> std::io::Result<()> {
        self.restarted.notify_one();
        std::future::pending().await
    }
}
