//! One update recorded, and the machine started from the disk as it was at each flush.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};

use super::log_writes::{self, Replay};
use super::machine::{Machine, Writes};
use super::system::Nature;
use super::world::World;
use crate::process;

/// Machines that run at the same time.
const MACHINES: usize = 2;

/// What came of the starts.
#[derive(Debug, Default)]
pub(super) struct Starts {
    flushes: usize,
    /// How often a machine was started.
    pub(super) starts: usize,
    /// How many of the starts were none of a whole version.
    pub(super) bad: usize,
    versions: BTreeMap<String, usize>,
}

impl fmt::Display for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} flushes in one update: {} starts",
            self.flushes, self.starts
        )?;
        for (version, count) in &self.versions {
            write!(f, ", {count} of {version}")?;
        }
        write!(f, ", {} bad", self.bad)
    }
}

/// Records an update that moves everything, then starts the machine from up to `most` of its flushes.
pub(super) fn play(world: &mut World, most: usize) -> Result<Starts> {
    world.cut()?;
    let base = world.folder.path("base.img");
    copy(&world.disk, &base)?;
    let log = world.folder.path("writes.log");
    record(world, &log)?;
    let flushes = log_writes::flushes(&log)?;
    ensure!(flushes > 0, "the update flushed nothing");
    let most = most.min(flushes);
    eprintln!("  {flushes} flushes; the machine is started from {most} of them");
    let starts = Mutex::new(Starts {
        flushes,
        ..Starts::default()
    });
    let chosen = |place: usize| spread(place, flushes, most);
    let replay = Mutex::new((Replay::open(&log, &base)?, 0));
    let world = &*world;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..MACHINES)
            .map(|number| {
                scope.spawn({
                    let (replay, starts, base) = (&replay, &starts, base.as_path());
                    move || worker(world, number, replay, starts, base, &chosen)
                })
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    starts.into_inner().context("a start broke off")
}

/// Tells whether `most` of `all` places, spread evenly with the last among them, include this one.
fn spread(place: usize, all: usize, most: usize) -> bool {
    (place + 1) * most / all > place * most / all
}

fn record(world: &mut World, log: &Path) -> Result<()> {
    fs::write(log, [])?;
    world.switch_on(Writes::Logged(log))?;
    world.machine()?.running()?;
    world.publish("2.0.0", Nature::Moved)?;
    let rollout = world.roll_out("2.0.0")?;
    let ended = world.end_of(rollout)?;
    ensure!(
        ended == "succeeded",
        "the recorded update {ended}:\n{}",
        world.story()
    );
    world.cut()
}

/// Takes one chosen flush after another, copies the disk as it was then, and starts it.
fn worker(
    world: &World,
    number: usize,
    replay: &Mutex<(Replay, usize)>,
    starts: &Mutex<Starts>,
    base: &Path,
    chosen: &(impl Fn(usize) -> bool + Sync),
) -> Result<()> {
    let disk = world.folder.path(&format!("flush-{number}.img"));
    loop {
        let place = {
            let mut replay = replay
                .lock()
                .map_err(|_| anyhow::anyhow!("a replay broke off"))?;
            loop {
                let place = replay.1;
                if !replay.0.advance()? {
                    return Ok(());
                }
                replay.1 += 1;
                if chosen(place) {
                    copy(base, &disk)?;
                    break place;
                }
            }
        };
        let logs = world.folder.path("logs");
        let mut machine = Machine::start(
            &disk,
            Writes::Kept,
            world.processor,
            &logs,
            &format!("flush-{number}"),
        )?;
        let version = machine
            .running()
            .and_then(|running| world.ensure_whole(&disk, &running));
        let mut starts = starts
            .lock()
            .map_err(|_| anyhow::anyhow!("a start broke off"))?;
        starts.starts += 1;
        match version {
            Ok(version) => *starts.versions.entry(version).or_default() += 1,
            Err(error) => {
                eprintln!("  bad: flush {place}: {error:#}");
                starts.bad += 1;
                let kept = world.folder.path(&format!("bad-{place}.img"));
                copy(&disk, &kept)?;
            }
        }
        drop(starts);
        machine.cut()?;
    }
}

/// Copies a disk with its holes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    process::run(
        command
            .args(["--sparse=always", "--reflink=auto", "--"])
            .arg(from)
            .arg(to),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_flushes_are_spread_and_include_the_last() {
        for (all, most) in [(7, 3), (200, 200), (1000, 200), (5, 1)] {
            let chosen: Vec<_> = (0..all).filter(|place| spread(*place, all, most)).collect();
            assert_eq!(chosen.len(), most);
            assert_eq!(chosen.last(), Some(&(all - 1)));
        }
    }
}
