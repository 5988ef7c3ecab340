//! The device's own policy holds back what the server allows, says why, and lets it go on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::fs;
use std::time::Instant;

use common::device::Device;
use common::publisher::{Publisher, Release};
use common::server::{Artifacts, Server};
use common::{PATIENCE, eventually};
use jiff::ToSpan;
use otter_protocol::check_in::CheckIn;
use otter_protocol::{AttemptId, AttemptReport, AttemptState};

struct Fleet {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Fleet {
    /// A fleet of one device with this policy, which looks often.
    async fn with(policy: &str) -> Self {
        let server = Server::start().await;
        let policy = format!(
            "[policy]\npower_supply = \"power\"\nlook_interval_sec = 0.05\nreport_interval_sec = 0.3\n{policy}\n"
        );
        Self {
            device: Device::with(&server, &policy),
            server,
            publisher: Publisher::new(),
        }
    }

    fn publish(&mut self, version: &str) -> Release {
        let tree = self.device.tree(version, false);
        let release = self.publisher.release(version, &tree);
        self.server.fleet().files = self.publisher.files.clone();
        release
    }

    /// Puts so much charge into the device's battery, which isn't being charged.
    fn charge(&self, percent: u8) {
        let battery = self.device.path("power/BAT0");
        fs::create_dir_all(&battery).unwrap();
        fs::write(battery.join("type"), "Battery\n").unwrap();
        fs::write(battery.join("status"), "Discharging\n").unwrap();
        fs::write(battery.join("capacity.new"), format!("{percent}\n")).unwrap();
        fs::rename(battery.join("capacity.new"), battery.join("capacity")).unwrap();
    }

    /// Returns the reports on an attempt that begin so.
    fn saying(&self, attempt: AttemptId, words: &str) -> Vec<AttemptReport> {
        let fleet = self.server.fleet();
        let reports = fleet.reports.iter();
        let ours = reports.filter(|(id, _)| *id == attempt).map(|(_, r)| r);
        ours.filter(|report| {
            report
                .message
                .as_deref()
                .is_some_and(|m| m.starts_with(words))
        })
        .cloned()
        .collect()
    }

    /// Waits until the server was told so, that many times.
    async fn hears(&self, attempt: AttemptId, words: &str, times: usize) -> AttemptReport {
        let what = format!("{times} reports that begin with `{words}`");
        let heard = || {
            let reports = self.saying(attempt, words);
            (reports.len() >= times).then(|| reports.last().cloned().unwrap())
        };
        eventually(&what, heard).await
    }

    /// Waits for a check-in.
    async fn checks_in(&self, what: &str, is_it: impl Fn(&CheckIn) -> bool) -> CheckIn {
        let last = || self.server.fleet().check_ins.last().cloned();
        eventually(what, || last().filter(&is_it)).await
    }

    fn status(&self) -> serde_json::Value {
        let status = self.device.run(&["status", "--json"]);
        serde_json::from_slice(&status.stdout).unwrap()
    }
}

const LOW: &str = "waits for the battery: 12 %, needs 30 %";
const RELEASED: &str = "was held back by the device's own policy from ";

#[tokio::test(flavor = "multi_thread")]
async fn a_low_battery_holds_an_update_until_it_is_charged() {
    let mut fleet = Fleet::with("min_battery_percent = 30").await;
    fleet.charge(12);
    let release = fleet.publish("1.1.0");
    let attempt = fleet.server.offer(&release);
    fleet.device.start();
    fleet.device.answers_with("1.0.0").await;
    // Told at once and again and again, so that nobody takes it for silence; as what the server takes from a device.
    let told = fleet.hears(attempt, LOW, 3).await;
    assert_eq!(
        (told.state, told.progress),
        (AttemptState::Downloading, Some(0))
    );
    let check_in = fleet
        .checks_in("a check-in within the attempt", |c| {
            c.attempt == Some(attempt)
        })
        .await;
    assert_eq!(check_in.conditions.battery_percent, Some(12));
    assert_eq!(check_in.conditions.on_mains, Some(false));
    let status = fleet.status();
    assert_eq!(status["waits_for"][0], LOW);
    assert_eq!(status["attempt"]["held"]["words"], LOW);
    assert_eq!(status["attempt"]["held"]["rules"][0], "battery");
    let text = String::from_utf8(fleet.device.run(&["status"]).stdout).unwrap();
    assert!(
        text.contains("checking since") && text.contains(LOW),
        "{text}"
    );

    // A restart of the agent changes nothing, and `check` doesn't wait for the battery.
    fleet.device.kill();
    let began = Instant::now();
    let check = tokio::task::block_in_place(|| fleet.device.run(&["check"]));
    let words = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(5), "{words}");
    assert!(words.contains("own policy holds it back"), "{words}");
    assert!(began.elapsed() < PATIENCE);
    assert!(fleet.device.journal().attempt.unwrap().held.is_some());
    let so_far = fleet.saying(attempt, LOW).len();
    fleet.device.start();
    fleet.hears(attempt, LOW, so_far + 2).await;
    assert!(fleet.server.fleet().fetches.is_empty());
    assert_eq!(fleet.device.whole_version(), "1.0.0");

    fleet.charge(31);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    fleet.hears(attempt, RELEASED, 1).await;
    fleet.device.answers_with("1.1.0").await;
    let sequences: Vec<u32> = {
        let fleet = fleet.server.fleet();
        fleet.reports.iter().map(|(_, r)| r.sequence).collect()
    };
    assert!(sequences.is_sorted(), "{sequences:?}");
    let states = fleet.server.fleet().states(attempt);
    assert!(states.is_sorted(), "{states:?}");
    assert!(fleet.device.log().contains(LOW));
    assert_eq!(fleet.status()["waits_for"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_battery_that_runs_down_within_a_download_stops_it_there() {
    let mut fleet = Fleet::with("min_battery_percent = 30").await;
    fleet.charge(80);
    let release = fleet.publish("1.1.0");
    fleet.server.fleet().how = Artifacts::Slow(100);
    let attempt = fleet.server.offer(&release);
    fleet.device.start();
    let begun = || (fleet.server.fleet().served > 64 << 10).then_some(());
    eventually("the download to be under way", begun).await;
    fleet.charge(12);
    let told = fleet.hears(attempt, LOW, 1).await;
    assert_eq!(told.state, AttemptState::Downloading);
    assert_eq!(fleet.server.fleet().fetches.len(), 1);
    fleet.server.fleet().how = Artifacts::Whole;
    fleet.charge(30);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let fetches = fleet.server.fleet().fetches.clone();
    assert_eq!(fetches.len(), 2);
    assert!(fetches[1].from > 0, "what was there was fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_holds_all_but_what_is_signed_as_required() {
    // Open in three days, for a minute.
    let then = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC) + 3.days();
    let day = then.strftime("%A").to_string();
    let policy = format!(
        "[policy.windows]\nzone = \"UTC\"\nspan = [{{ days = [\"{}\"], from = \"12:00\", until = \"12:01\" }}]",
        day.to_lowercase()
    );
    let mut fleet = Fleet::with(&policy).await;
    let closed = format!("waits for its window: it comes on {day} at 12:00 (UTC)");
    let release = fleet.publish("1.1.0");
    let attempt = fleet.server.offer(&release);
    fleet.device.start();
    fleet.hears(attempt, &closed, 1).await;
    // An attempt that waits can be taken back.
    fleet.server.fleet().cancel = true;
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Cancelled);

    // A server that calls it required without its publishers is not believed.
    let mut offer = release.offer(2);
    offer.required = true;
    fleet.server.fleet().offers.push_back(offer);
    let told = fleet.hears(AttemptId(2), &closed, 1).await;
    assert_eq!(told.state, AttemptState::Downloading);
    assert!(fleet.server.fleet().fetches.is_empty());
    fleet.server.fleet().cancel = true;
    let end = fleet.server.end_of(AttemptId(2)).await;
    assert_eq!(end.state, AttemptState::Cancelled);

    fleet.publisher.required = true;
    let release = fleet.publish("1.2.0");
    let attempt = fleet.server.offer(&release);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    assert!(fleet.saying(attempt, "waits").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_time_between_check_ins_outlives_the_agent() {
    const LEAST_MS: i64 = 3000;
    let mut fleet = Fleet::with("").await;
    let config = fleet.device.path("otter-agent.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text
        .replace("min_interval_sec = 0.05", "min_interval_sec = 3")
        .replace("max_interval_sec = 0.05", "max_interval_sec = 3");
    fs::write(&config, text).unwrap();
    fleet.device.start();
    let noted = || fleet.device.journal().checked_in_at;
    eventually("the first check-in", || {
        let is_there = fleet.device.state().join("journal.json").exists();
        is_there.then(noted).flatten()
    })
    .await;
    fleet.device.kill();
    assert_eq!(fleet.server.fleet().check_ins.len(), 1);
    // The service is there at once all the same.
    fleet.device.start();
    fleet.device.answers_with("1.0.0").await;
    let second = || fleet.server.fleet().check_ins.get(1).cloned();
    eventually("the second check-in", second).await;
    let times: Vec<i64> = {
        let fleet = fleet.server.fleet();
        fleet.check_ins.iter().map(|c| c.at.unwrap().0).collect()
    };
    assert!(times[1] - times[0] >= LEAST_MS, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_are_counted_told_and_hold_updates_back() {
    let mut fleet = Fleet::with("max_crashes = 0").await;
    fleet.device.start();
    let (_, mut pid) = eventually("the service", || fleet.device.answers()).await;
    let calm = fleet
        .checks_in("the service to be called healthy", |c| {
            c.conditions.is_healthy == Some(true)
        })
        .await;
    assert_eq!(calm.conditions.crashes_since_boot, Some(0));
    assert!(calm.conditions.free_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(calm.conditions.is_metered, None);
    kill(pid);
    let crashed = |c: &CheckIn| c.conditions.crashes_since_boot.is_some_and(|n| n > 0);
    let told = || {
        let last = fleet.server.fleet().check_ins.last().cloned();
        if let Some((_, next)) = fleet.device.answers().filter(|(_, next)| *next != pid) {
            // One that is up again before anybody looked is killed again.
            pid = next;
            if !last.as_ref().is_some_and(crashed) {
                kill(pid);
            }
        }
        last.filter(crashed)
    };
    let told = eventually("a crash to be told", told).await;
    assert_eq!(told.conditions.is_healthy, Some(false));
    let release = fleet.publish("1.1.0");
    let attempt = fleet.server.offer(&release);
    fleet
        .hears(attempt, "waits for the service to run stably: ", 1)
        .await;
    assert!(fleet.server.fleet().fetches.is_empty());

    // The count outlives the agent, and a boot counts once.
    let before = fleet.status();
    assert_eq!(before["counters"]["boots"], 1);
    let crashes = before["counters"]["crashes"].as_u64().unwrap();
    assert!(crashes > 0);
    fleet.device.kill();
    let check_ins = fleet.server.fleet().check_ins.len();
    fleet.device.start();
    let again = || fleet.server.fleet().check_ins.get(check_ins).cloned();
    let again = eventually("a check-in after the restart", again).await;
    assert!(u64::from(again.conditions.crashes_since_boot.unwrap()) >= crashes);
    assert_eq!(fleet.status()["counters"]["boots"], 1);
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_moment_to_wait_is_before_the_service_stops() {
    let mut fleet = Fleet::with("min_battery_percent = 30").await;
    // Backing up takes all the charge there is, the first time.
    let (capacity, drained) = (
        fleet.device.path("power/BAT0/capacity"),
        fleet.device.path("drained"),
    );
    let drain = format!(
        "test -f {0} || {{ echo 12 > {1} && touch {0}; }}",
        drained.display(),
        capacity.display()
    );
    let config = fleet.device.path("otter-agent.toml");
    let text = fs::read_to_string(&config).unwrap()
        + &format!("[backup]\nbefore = [\"/bin/sh\", \"-c\", \"{drain}\"]\n");
    fs::write(&config, text).unwrap();
    fleet.charge(80);
    fleet.device.start();
    let pid = fleet.device.answers_with("1.0.0").await;
    let release = fleet.publish("1.1.0");
    let attempt = fleet.server.offer(&release);
    let told = fleet.hears(attempt, LOW, 2).await;
    assert_eq!(
        (told.state, told.progress),
        (AttemptState::Downloaded, Some(100))
    );
    assert_eq!(fleet.device.answers(), Some(("1.0.0".to_owned(), pid)));
    fleet.charge(80);
    let end = fleet.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
}
