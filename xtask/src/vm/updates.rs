//! One update after another, each with a power cut at a random moment.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::machine::Writes;
use super::system::Nature;
use super::world::World;
use crate::random::Random;

/// What came of the updates.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    updates: u32,
    /// How often a machine was started after a cut.
    pub(super) starts: usize,
    /// How many of them did not end as they should.
    pub(super) bad: usize,
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} updates, each cut once: {} starts, {} bad",
            self.updates, self.starts, self.bad
        )
    }
}

/// Plays an update that nothing disturbs, to know how long one takes, and then so many that are cut.
pub(super) fn play(world: &mut World, updates: u32, random: &mut Random) -> Result<Cuts> {
    let began = Instant::now();
    update(world, 1, Nature::Sound, None)?;
    let usual = u64::try_from(began.elapsed().as_millis())?;
    let mut cuts = Cuts::default();
    for number in 1..=updates {
        let nature = match number {
            2 => Nature::Panics,
            4 => Nature::Sick,
            6 => Nature::Mute,
            _ => Nature::Sound,
        };
        // Those take longer: they start the new system up to three times, and the old one again.
        let span = if nature == Nature::Sound {
            usual
        } else {
            3 * usual
        };
        let moment = Duration::from_millis(random.between(0, span));
        cuts.updates += 1;
        cuts.starts += 1;
        if let Err(error) = update(world, number + 1, nature, Some(moment)) {
            eprintln!("  bad: {error:#}");
            cuts.bad += 1;
        }
    }
    Ok(cuts)
}

fn update(world: &mut World, number: u32, nature: Nature, cut: Option<Duration>) -> Result<()> {
    let version = format!("1.{number}.0");
    let before = world.version()?.unwrap_or_default();
    world.publish(&version, nature)?;
    let rollout = world.roll_out(&version)?;
    if let Some(moment) = cut {
        sleep(moment);
        world.cut()?;
        world.switch_on(Writes::Kept)?;
        let running = world.machine()?.running()?;
        world.ensure_whole(&world.disk, &running)?;
    }
    let ended = world.end_of(rollout)?;
    let (expected, runs) = match nature {
        Nature::Sound | Nature::Moved => ("succeeded", &version),
        Nature::Panics | Nature::Sick | Nature::Mute => ("rolled_back", &before),
    };
    ensure!(
        ended == expected,
        "{version} {ended}, not {expected}:\n{}",
        world.story()
    );
    world.wait("the report of what runs", |world| {
        Ok(world.version()?.as_deref() == Some(runs.as_str()))
    })?;
    // What the server was told is what the disk holds, when it is started once more.
    world.cut()?;
    world.switch_on(Writes::Kept)?;
    let running = world.machine()?.running()?;
    let found = world.ensure_whole(&world.disk, &running)?;
    ensure!(
        &found == runs,
        "the server was told {runs}, and {found} runs"
    );
    let moment = cut.map_or_else(String::new, |moment| {
        format!(", cut after {:.1} s", moment.as_secs_f64())
    });
    eprintln!(
        "  {version} ({nature:?}){moment}: {ended}, {found} runs in slot {}",
        running.slot
    );
    Ok(())
}
