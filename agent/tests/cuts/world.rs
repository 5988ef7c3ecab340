//! A device, its disk and its server at one instant, and how it runs on from there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otter_agent::agent::{Agent, Parts};
use otter_agent::config::Config;
use otter_agent::disk::simulated::{FileSystem, Loss, Site, Tree};
use otter_agent::disk::{self, Disk, PUBLIC, SimulatedDisk};
use otter_agent::life::Signs;
use otter_protocol::{ArtifactKind, Sha256Digest};

use super::judge::grub_env;
use super::parts::{NewData, SimulatedMachine};
use super::server::{Memory, Server, Store};
use crate::common::MODEL;
use crate::common::publisher::Publisher;

pub const STATE: &str = "/state";
pub const DATA: &str = "/data/database";
/// Data that the old version only reads.
pub const SETTINGS: &str = "/data/deep/settings";
pub const GRUB_ENV: &str = "/boot/grubenv";
const SLOT: usize = 32 << 10;
/// Longer than any update takes, in simulated time.
const TOO_LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// More restarts than any update needs, however often its power is cut.
const MOST_BOOTS: usize = 20;

/// Counts the systems that were started.
static BOOTS: AtomicU64 = AtomicU64::new(0);

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
    pub old: Vec<u8>,
    pub new: Vec<u8>,
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

pub fn files(version: &str) -> Vec<(&'static str, String)> {
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
        write(SETTINGS, b"for 1.0.0");
        for (name, text) in files("1.0.0") {
            write(&format!("/usr/share/app/{name}"), text.as_bytes());
        }
        let env = grub_env("otter_slot=a\n");
        disk::make_dirs(disk, Path::new("/boot")).unwrap();
        // Written in place, as a slot is.
        disk.make_slot(Path::new(GRUB_ENV), env.len());
        let mut block = disk.open_slot(Path::new(GRUB_ENV)).unwrap();
        block.write_at(0, &env).unwrap();
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

    /// Tells whether an agent that begins where another was killed brings to the disk what that one left.
    pub fn begins_settled(&self, killed: &World) -> bool {
        let server = Server::new(self.store.clone(), killed.memory.clone());
        let disk = SimulatedDisk::from(killed.tree.clone());
        let machine = Arc::new(SimulatedMachine::new(0));
        let agent = self.agent(&disk, &server, &machine);
        agent.is_ok() && !disk.tree().has_anything_to_lose()
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
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
