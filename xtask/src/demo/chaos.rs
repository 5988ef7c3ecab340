//! Server and agent are killed at random moments, again and again; in the end every device must be on a whole version, and
//! both sides must have counted alike.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::report::Report;
use super::rollout::{Order, Rollout, View, number, text};
use super::stage::{Content, SIMULATED, Stage};
use crate::programs::Gateway;
use crate::random::{Random, seed_of_now};

/// How long one rollout may take, with all its interruptions.
const ROLLOUT: Duration = Duration::from_secs(600);
/// How long it may take until nobody has anything to say any more.
const QUIET: Duration = Duration::from_secs(120);
/// How long a command is given again that broke off.
const TRIES: Duration = Duration::from_secs(120);
/// Shortest and longest time between two kills, in milliseconds.
const BETWEEN: (u64, u64) = (100, 3500);
/// One kill in so many is the server's: its periodic work stands still for its lease's time after each.
const SERVERS_PART: u64 = 5;

/// How many were killed.
#[derive(Debug, Default)]
struct Kills {
    server: u32,
    agent: u32,
}

/// Plays so many rollouts under kills, and adds to the report what must hold after them.
pub(super) fn play(
    stage: &Stage,
    rollouts: u32,
    seed: Option<u64>,
    report: &mut Report,
) -> Result<()> {
    let seed = seed.unwrap_or_else(seed_of_now);
    eprintln!("{rollouts} rollouts; repeat the random moments with --seed {seed}");
    let stop = AtomicBool::new(false);
    let (played, kills) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill(stage, Random::new(seed), &stop));
        let played = (1..=rollouts).try_for_each(|number| one(stage, number));
        stop.store(true, Ordering::Relaxed);
        (played, killer.join())
    });
    let kills = kills.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    played?;
    let bad = judge(stage, rollouts, report)?;
    report.check(
        kills.server > 0 && kills.agent > 0,
        format!(
            "kills: {} of the server, {} of the agent",
            kills.server, kills.agent
        ),
    );
    println!(
        "{rollouts} rollouts, {} kills, {bad} bad (seed {seed})",
        kills.server + kills.agent
    );
    Ok(())
}

/// Kills until it is told to stop.
fn kill(stage: &Stage, mut random: Random, stop: &AtomicBool) -> Result<Kills> {
    let mut kills = Kills::default();
    loop {
        let at = Instant::now() + Duration::from_millis(random.between(BETWEEN.0, BETWEEN.1));
        while Instant::now() < at {
            if stop.load(Ordering::Relaxed) {
                return Ok(kills);
            }
            sleep(Duration::from_millis(5));
        }
        if random.between(1, SERVERS_PART) == 1 {
            stage.crew().server.crash()?;
            kills.server += 1;
        } else {
            stage.crew().gateway.crash()?;
            kills.agent += 1;
        }
    }
}

/// Publishes the next release and rolls it out, giving each command again that broke off.
fn one(stage: &Stage, number: u32) -> Result<()> {
    let version = format!("1.{number}.0");
    again("the release's publication", || {
        let published = stage.publish(&version, "One more.", Content::ForAll);
        published.or_else(|error| is_published(stage, &version)?.then_some(()).ok_or(error))
    })?;
    let name = format!("{version} under kills");
    let order = Order {
        name: &name,
        version: &version,
        phases: &[
            "canary:5,min-finished=3",
            "early:25,min-finished=20",
            "everybody:100",
        ],
        gate: "max-failure=none,soak=0s",
    };
    let rollout = again("the rollout's creation", || {
        Rollout::create(&stage.otter, order)
            .or_else(|error| Rollout::named(&stage.api, &name)?.ok_or(error))
    })?;
    eprintln!("{name}:");
    let mut view = View::new();
    stage.wait_until("the rollout's end", ROLLOUT, || {
        let detail = rollout.detail(&stage.api)?;
        let is_over = text(&detail, "state") == "completed";
        view.show(&detail, is_over);
        Ok(is_over)
    })
}

/// Gives a command again that broke off.
fn again<T>(what: &str, mut command: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + TRIES;
    loop {
        match command() {
            Err(error) if Instant::now() >= deadline => {
                return Err(error).context(format!("{what} never came through"));
            }
            Err(_) => sleep(Duration::from_millis(300)),
            done => return done,
        }
    }
}

fn is_published(stage: &Stage, version: &str) -> Result<bool> {
    let releases = stage.api.get("releases")?;
    let mut releases = releases.as_array().into_iter().flatten();
    Ok(releases.any(|one| text(one, "version") == version && text(one, "state") == "published"))
}

/// Judges every device and both counts; returns how many devices are not as they should be.
fn judge(stage: &Stage, rollouts: u32, report: &mut Report) -> Result<u64> {
    // What isn't so in time is the following lines' to tell.
    let _ = stage.wait_until("that everybody is at rest and counts alike", QUIET, || {
        let (simulated, gateway) = stage.succeeded()?;
        Ok(is_quiet(stage)?
            && simulated + gateway == succeeded(stage)?
            && differing(stage)?.is_empty())
    });
    let versions: Vec<String> = (0..=rollouts)
        .map(|number| format!("1.{number}.0"))
        .collect();
    let own = own_versions(stage)?;
    report.equal("devices", own.len(), SIMULATED as usize + 1);
    let broken = own
        .values()
        .filter(|version| !versions.contains(version))
        .count();
    report.equal("devices on no whole version", broken, 0);
    let differing = differing(stage)?;
    report.equal(
        "devices of which the server thinks otherwise",
        differing.len(),
        0,
    );
    for (id, (own, servers)) in &differing {
        eprintln!("  {id} runs {own}, the server says {servers}");
    }
    let gateway = own.get(Gateway::ID).cloned().unwrap_or_default();
    report.equal(
        "the sample program answers with",
        stage.pulse.version(),
        gateway,
    );
    let (simulated, gateway) = stage.succeeded()?;
    let servers = succeeded(stage)?;
    report.check(
        servers == simulated + gateway,
        format!(
            "attempts that succeeded: {servers} by the server's count, {} by the devices' own ({simulated} simulated, {gateway} real)",
            simulated + gateway
        ),
    );
    let miscounted = servers.abs_diff(simulated + gateway);
    Ok(broken as u64 + differing.len() as u64 + miscounted)
}

/// Tells whether no device is at an attempt or has something to say.
fn is_quiet(stage: &Stage) -> Result<bool> {
    let crew = stage.crew();
    let status = crew.gateway.status()?;
    let idle = crew.fleet.summary()?;
    let idle = idle.pointer("/states/idle").and_then(Value::as_u64);
    Ok(status.get("attempt").is_none_or(Value::is_null)
        && number(&status, "waiting_reports") == 0
        && idle == Some(SIMULATED.into()))
}

/// Attempts that succeeded, by the server's count over all rollouts.
fn succeeded(stage: &Stage) -> Result<u64> {
    let rollouts = stage.api.get("rollouts")?;
    let totals = rollouts.as_array().into_iter().flatten();
    Ok(totals
        .filter_map(|one| one.pointer("/total/succeeded")?.as_u64())
        .sum())
}

/// What every device runs by its own word.
fn own_versions(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let crew = stage.crew();
    let mut versions = crew.fleet.versions()?;
    let status = crew.gateway.status()?;
    versions.insert(Gateway::ID.to_owned(), text(&status, "version").to_owned());
    Ok(versions)
}

/// Devices whose own word and the server's differ: by id, their version and the server's.
fn differing(stage: &Stage) -> Result<BTreeMap<String, (String, String)>> {
    let page = stage.api.get("devices?limit=500")?;
    let items = page.get("items").and_then(Value::as_array);
    let servers: BTreeMap<&str, &str> = items
        .into_iter()
        .flatten()
        .map(|device| (text(device, "id"), text(device, "version")))
        .collect();
    Ok(own_versions(stage)?
        .into_iter()
        .filter_map(|(id, own)| {
            let known = servers.get(id.as_str()).copied().unwrap_or_default();
            (known != own).then(|| (id, (own, known.to_owned())))
        })
        .collect())
}
