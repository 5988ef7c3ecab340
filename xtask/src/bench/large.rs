//! A large fleet beside one of ten devices: what takes as long with both, and what a person waits for.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::median;
use crate::postgres::Postgres;
use crate::programs::{self, Fleet, Folder, Orders, Otter, Server, Setup};
use crate::steps::Steps;
use crate::{http, process};

/// Devices of the small fleet, and those of the large one that check in.
pub(super) const FEW: u32 = 10;
/// How often each figure is measured; its median counts.
const ROUNDS: usize = 5;
/// How many pages are asked for again: those that were slowest at first.
const SLOWEST: usize = 20;
/// How long one answer may take before that is an error.
const PATIENCE: Duration = Duration::from_secs(120);
/// The model of the devices that check in: the most common one of a seeded fleet.
const MODEL: &str = "rpi4";

/// Where a fleet is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// What its figures' names end with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "_postgres",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Figures by name, in the order in which they were measured.
pub(super) type Named = Vec<(String, f64)>;

/// Measures a small and a large fleet on a database.
pub(super) fn measure(steps: &mut Steps, devices: u32, database: Database) -> Result<Named> {
    let mut figures = Named::new();
    let mut note =
        |name: &str, value: f64| figures.push((format!("{name}{}", database.suffix()), value));
    let name = database.name();
    {
        let few = steps.run(&format!("{FEW} devices on {name}"), || {
            World::new("bench-few", database, 0).map(|(world, _)| world)
        })?;
        note("rollout_start_ms_at_10_devices", few.rollout_start_ms()?);
    }
    let (world, seed_s) = steps.run(&format!("{devices} devices on {name}"), || {
        World::new("bench-many", database, devices)
    })?;
    note("seed_s", seed_s);
    steps.run(&format!("pages and calls on {name}"), || {
        note("device_page_ms", world.device_page_ms(devices)?);
        note("overview_ms", world.median_ms(|| world.get("overview"))?);
        note("rollout_start_ms", world.rollout_start_ms()?);
        note("explain_ms", world.explain_ms(devices)?);
        note("preview_ms", world.preview_ms()?);
        note("server_rss_mib", world.server.peak_rss_mib()?);
        Ok(())
    })?;
    Ok(figures)
}

/// A server with devices and a release that none of them runs.
struct World {
    server: Server,
    release: i64,
    /// Tokens of devices of the release's model.
    tokens: Vec<String>,
    // Stopped after the server, which speaks with it.
    _postgres: Option<Postgres>,
    folder: Folder,
}

impl World {
    /// Starts a server, fills its registry and lets some devices in; returns the seconds that filling took, too.
    fn new(folder: &str, database: Database, seeded: u32) -> Result<(Self, f64)> {
        let folder = Folder::fresh(folder)?;
        folder.take_programs(true)?;
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start()?),
        };
        let setup = Setup {
            port: process::free_port()?,
            check_in_sec: 3600,
            busy_check_in_sec: 3600,
        };
        let url = postgres.as_ref().map(Postgres::url);
        let server = Server::start_on(&folder, setup, programs::key()?, url.as_deref())?;
        let otter = Otter::new(&folder, server.api())?;
        otter.init_trust()?;
        let began = Instant::now();
        if seeded > 0 {
            let number = seeded.to_string();
            let filled = otter.json(&["simulate", "--seed-only", &number])?;
            let created = filled.get("created").and_then(Value::as_u64);
            ensure!(
                created == Some(seeded.into()),
                "{filled} of {seeded} devices were registered"
            );
        }
        let seed_s = began.elapsed().as_secs_f64();
        let token = otter.enrollment_token("the benchmark's devices")?;
        let orders = Orders {
            devices: FEW,
            fail: 0,
            models: &[MODEL],
            token: &token,
            step: "0s",
        };
        // They are only enrolled: their tokens then check in by other hands.
        drop(Fleet::start(&folder, &otter, orders)?);
        let file = folder.path("artifact");
        fs::write(&file, "a release for a benchmark")?;
        let release = otter.publish("2.0.0", "", "image", &[(MODEL, &file)])?;
        let release = release.get("id").and_then(Value::as_i64);
        let world = Self {
            server,
            release: release.context("the release has no number")?,
            tokens: programs::tokens(&folder)?,
            _postgres: postgres,
            folder,
        };
        Ok((world, seed_s))
    }

    /// From the order to roll out until a device of the audience is offered the release, in the median.
    fn rollout_start_ms(&self) -> Result<f64> {
        let mut times = Vec::new();
        for (round, token) in self.tokens.iter().take(ROUNDS).enumerate() {
            let spec = self.spec(&format!("start {round}"));
            let began = Instant::now();
            let rollout = self.post("rollouts", &spec, 201)?;
            self.wait_for_offer(token)?;
            times.push(ms(began));
            let id = rollout.get("id").and_then(Value::as_i64);
            let id = id.context("the rollout has no number")?;
            self.post(
                &format!("rollouts/{id}/abort"),
                &json!({"reason": "measured"}),
                200,
            )?;
        }
        ensure!(
            times.len() == ROUNDS,
            "only {} devices were let in",
            times.len()
        );
        Ok(median(&mut times))
    }

    fn wait_for_offer(&self, token: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            let body = json!({"version": "1.0.0"}).to_string();
            let answer = http::post(
                self.port(),
                "/device/v1/check-in",
                Some(token),
                &body,
                PATIENCE,
            )?;
            let reply: Value = serde_json::from_slice(&answer.body)?;
            match reply.get("decision").and_then(Value::as_str) {
                Some("install") => return Ok(()),
                Some(_) if began.elapsed() < PATIENCE => {}
                _ => bail!("a device that should be offered the release was told {reply}"),
            }
        }
    }

    /// The preview of a rollout in five phases to everybody.
    fn preview_ms(&self) -> Result<f64> {
        let phase = |share: u32| {
            let gate = json!({"min_finished": 30, "soak_sec": 3600, "max_failure_rate": 5});
            json!({"name": format!("{share} %"), "scope": {"kind": "share", "share": share}, "gate": gate})
        };
        let mut spec = self.spec("previewed");
        let phases = [1, 5, 10, 50, 100].map(phase);
        if let Some(fields) = spec.as_object_mut() {
            fields.insert("phases".to_owned(), json!(phases));
        }
        self.median_ms(|| self.post("rollouts/preview", &spec, 200))
    }

    /// The slowest of many pages: all filters alone and together, at both ends of the list. Each is asked for once, and the
    /// slowest again and again, so that their medians count.
    fn device_page_ms(&self, devices: u32) -> Result<f64> {
        let mut pages = Vec::new();
        for filter in page_filters(devices) {
            let path = format!("devices?{filter}");
            let began = Instant::now();
            self.get(&path)?;
            pages.push((ms(began), path));
        }
        pages.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut slowest = Vec::new();
        for (_, path) in pages.into_iter().take(SLOWEST) {
            slowest.push((self.median_ms(|| self.get(&path))?, path));
        }
        slowest.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (took, path) in slowest.iter().take(3) {
            eprintln!("  {took:>6.1} ms  {path}");
        }
        let worst = slowest.first().context("no page was asked for")?;
        Ok(worst.0)
    }

    /// A device with every rule of a rollout, which stays.
    fn explain_ms(&self, devices: u32) -> Result<f64> {
        self.post("rollouts", &self.spec("explained"), 201)?;
        let mut worst: f64 = 0.0;
        for number in [1, devices / 3 + 1, devices] {
            let path = format!("devices/sim-{number:04}");
            worst = worst.max(self.median_ms(|| self.get(&path))?);
        }
        Ok(worst)
    }

    fn spec(&self, name: &str) -> Value {
        let phase = |name: &str, share: u32| json!({"name": name, "scope": {"kind": "share", "share": share}});
        json!({
            "name": name,
            "release": self.release,
            "phases": [phase("all", 100)],
            "max_in_flight": 1000,
        })
    }

    fn median_ms(&self, mut call: impl FnMut() -> Result<Value>) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            call()?;
            times.push(ms(began));
        }
        Ok(median(&mut times))
    }

    fn port(&self) -> u16 {
        self.server.api().port()
    }

    fn get(&self, path: &str) -> Result<Value> {
        let path = format!("/api/v1/{path}");
        let answer = http::get(self.port(), &path, Some(self.server.api().key()), PATIENCE)?;
        read(&path, answer, 200)
    }

    fn post(&self, path: &str, body: &Value, status: u16) -> Result<Value> {
        let path = format!("/api/v1/{path}");
        let key = Some(self.server.api().key());
        let answer = http::post(self.port(), &path, key, &body.to_string(), PATIENCE)?;
        read(&path, answer, status)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A database of a million devices is nothing to keep; who looks into it after a failure finds the logs.
        let _ = fs::remove_dir_all(self.folder.path("server"));
    }
}

fn read(path: &str, answer: http::Answer, status: u16) -> Result<Value> {
    ensure!(
        answer.status == status,
        "{path} was answered with {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_slice(&answer.body).with_context(|| format!("{path} brought no JSON"))
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Every filter alone and together; ones that fit many, few and none; at the list's beginning and deep in it.
fn page_filters(devices: u32) -> Vec<String> {
    let parts = [
        vec![
            "",
            "search=sim-",
            "search=999",
            "search=9",
            "search=zzz",
            "search=m-12345",
        ],
        vec!["", "model=rpi4", "model=camera-2", "model=none"],
        vec!["", "version=1.0.0", "version=0.9.0", "version=none"],
        vec!["", "state=accepted", "state=pending"],
        vec!["", "group=general", "group=canary", "group=none"],
    ];
    let mut filters = vec![String::new()];
    for choices in parts {
        filters = filters
            .iter()
            .flat_map(|filter| {
                choices
                    .iter()
                    .map(move |choice| format!("{filter}&{choice}"))
            })
            .collect();
    }
    let deep = format!("cursor=sim-{:04}", u64::from(devices) * 9 / 10);
    filters
        .iter()
        .flat_map(|filter| [filter.clone(), format!("{filter}&{deep}")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_asked_for_by_every_filter_at_both_ends() {
        let filters = page_filters(1_000_000);
        assert_eq!(filters.len(), 6 * 4 * 4 * 3 * 4 * 2);
        let all =
            "&search=zzz&model=rpi4&version=1.0.0&state=accepted&group=general&cursor=sim-900000";
        assert!(filters.iter().any(|filter| filter == all), "{filters:?}");
        assert_eq!(Database::Postgres.suffix(), "_postgres");
    }
}
