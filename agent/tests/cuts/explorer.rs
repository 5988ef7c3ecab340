//! Goes through every way in which an update can be cut.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use otter_agent::disk::simulated::{Dice, Loss, Site};

use super::world::{Cut, Run, Scene, Story, World};

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// Of every so many worlds after a first cut, one is cut again at every operation of its recovery.
    pub second_every: usize,
    /// So many times the power is cut three times, at random.
    pub third: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Disk operations of an update that isn't cut.
    pub operations: usize,
    /// Worlds after a cut, each different from the others, in which the device was started again.
    pub states: usize,
    /// What went wrong, with the way there.
    pub bad: Vec<String>,
    /// Places that asked for a sync or a rename.
    pub sites: BTreeSet<Site>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.states += other.states;
        self.bad.extend(other.bad);
        self.sites.extend(other.sites);
    }
}

/// Every cut that is tried at each instant.
fn cuts(world: &World, seed: u64) -> Vec<Cut> {
    let losses: &[Loss] = if world.tree.has_anything_to_lose() {
        &[Loss::All, Loss::Nothing, Loss::Bytes, Loss::Torn(seed)]
    } else {
        &[Loss::All]
    };
    let power = losses.iter().map(|loss| Cut::Power(*loss));
    [Cut::Kill].into_iter().chain(power).collect()
}

/// Lets devices run: with a clock of its own, which goes as fast as it can.
struct Runner<'a> {
    scene: &'a Scene,
    runtime: tokio::runtime::Runtime,
    removed: Option<Site>,
    tally: Tally,
}

impl<'a> Runner<'a> {
    fn new(scene: &'a Scene, removed: Option<Site>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        Self {
            scene,
            runtime,
            removed,
            tally: Tally::default(),
        }
    }

    /// Runs a world to its end and judges that; what is wrong is noted with the way there.
    fn run(&mut self, world: &World, keep: bool, way: impl Fn() -> String) -> Option<Run> {
        self.tally.states += 1;
        let run = self
            .runtime
            .block_on(self.scene.run(world, keep, self.removed));
        let judged = run.and_then(|run| self.scene.judge(&run.end).map(|()| run));
        match judged {
            Ok(run) => {
                self.tally.sites.extend(run.sites.iter().copied());
                Some(run)
            }
            Err(why) => {
                let story = self.scene.story;
                self.tally.bad.push(format!("{story:?}, {}: {why}", way()));
                None
            }
        }
    }
}

/// A world after a first cut, and how it came about.
type First = (usize, Cut, World);

fn first_cuts(run: &Run) -> Vec<First> {
    let mut seen = HashSet::new();
    let mut firsts = Vec::new();
    for (place, instant) in run.instants.iter().enumerate() {
        for cut in cuts(instant, place as u64) {
            let world = instant.after(cut);
            // What a killed agent leaves differs in what isn't synced, too.
            if cut == Cut::Kill || seen.insert(world.fingerprint()) {
                firsts.push((place, cut, world));
            }
        }
    }
    firsts
}

/// Returns every place that asks for a sync or a rename in a story that isn't cut.
pub fn sites(story: Story) -> BTreeSet<Site> {
    let (scene, begin) = Scene::new(story);
    let mut runner = Runner::new(&scene, None);
    runner.run(&begin, false, || "uncut".to_owned());
    runner.tally.sites
}

/// Returns the instants of a story that isn't cut at which something is to be lost, and how many agents that begin there bring
/// all of it to the disk.
pub fn beginnings(story: Story) -> (usize, usize) {
    let (scene, begin) = Scene::new(story);
    let mut runner = Runner::new(&scene, None);
    let Some(run) = runner.run(&begin, true, || "uncut".to_owned()) else {
        return (0, 0);
    };
    let at_risk = run.instants.iter();
    let at_risk = at_risk.filter(|instant| instant.tree.has_anything_to_lose());
    let at_risk: Vec<&World> = at_risk.collect();
    let settled = at_risk.iter().filter(|world| scene.begins_settled(world));
    (at_risk.len(), settled.count())
}

/// Goes through a story; `removed` is a place of the source that does nothing any more, and then the first bad end is enough.
pub fn explore(story: Story, depth: Depth, removed: Option<Site>) -> Tally {
    let (scene, begin) = Scene::new(story);
    let mut runner = Runner::new(&scene, removed);
    let Some(uncut) = runner.run(&begin, true, || "uncut".to_owned()) else {
        return runner.tally;
    };
    let firsts = first_cuts(&uncut);
    runner.tally.operations = uncut.instants.len();
    let total = Mutex::new(std::mem::take(&mut runner.tally));
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut runner = Runner::new(&scene, removed);
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let is_enough = removed.is_some() && !total.lock().unwrap().bad.is_empty();
                    if is_enough || place >= firsts.len() + depth.third {
                        break;
                    }
                    match firsts.get(place) {
                        Some(first) => {
                            let again = place.is_multiple_of(depth.second_every);
                            second_cuts(&mut runner, first, again);
                        }
                        None => three_cuts(&mut runner, &firsts, place),
                    }
                    total.lock().unwrap().add(std::mem::take(&mut runner.tally));
                }
            });
        }
    });
    total.into_inner().unwrap()
}

/// Starts a device after a first cut; where it is to be, cuts the power at every operation of its recovery again.
fn second_cuts(runner: &mut Runner<'_>, (place, cut, world): &First, again: bool) {
    let way = format!("{cut:?} before operation {place}");
    let Some(run) = runner.run(world, again, || way.clone()) else {
        return;
    };
    let mut seen = HashSet::from([world.fingerprint()]);
    for (second, instant) in run.instants.iter().enumerate() {
        // Every kind of cut comes to every operation, in turn over the first cuts.
        let cuts = cuts(instant, (place * 1000 + second) as u64);
        let Some(cut) = cuts.get((place + second) % cuts.len()) else {
            continue;
        };
        let world = instant.after(*cut);
        if again && seen.insert(world.fingerprint()) {
            runner.run(&world, false, || {
                format!("{way}, then {cut:?} before {second}")
            });
        }
    }
}

fn three_cuts(runner: &mut Runner<'_>, firsts: &[First], seed: usize) {
    let mut dice = Dice::new(seed as u64);
    let Some((place, cut, world)) = firsts.get(dice.roll(firsts.len())) else {
        return;
    };
    let mut way = format!("{cut:?} before operation {place}");
    let mut world = world.clone();
    for _ in 0..2 {
        let Some(run) = runner.run(&world, true, || way.clone()) else {
            return;
        };
        let place = dice.roll(run.instants.len());
        let Some(instant) = run.instants.get(place) else {
            return;
        };
        let cuts = cuts(instant, dice.roll(usize::MAX) as u64);
        let Some(cut) = cuts.get(dice.roll(cuts.len())) else {
            return;
        };
        world = instant.after(*cut);
        way = format!("{way}, then {cut:?} before {place}");
    }
    runner.run(&world, false, || way.clone());
}
