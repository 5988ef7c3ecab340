//! Somebody stands at the device: updates it now, takes it back, and brings it forth again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::device::Device;
use common::eventually;
use common::publisher::Publisher;
use common::server::Server;
use otter_agent::journal::Step;
use otter_protocol::{AttemptId, AttemptState};

struct Bench {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Bench {
    /// A device with 1.0.0 that checks in once an hour.
    async fn new() -> Self {
        let server = Server::start().await;
        let device = Device::new(&server);
        for key in ["min", "max"] {
            device.edit(
                &format!("{key}_interval_sec = 0.05"),
                &format!("{key}_interval_sec = 3600"),
            );
        }
        Self {
            server,
            publisher: Publisher::new(),
            device,
        }
    }

    /// Starts the agent, and waits until it has checked in.
    async fn start(&mut self) {
        let before = self.server.fleet().check_ins.len();
        self.device.start();
        let has_checked_in = || (self.server.fleet().check_ins.len() > before).then_some(());
        eventually("a check-in", has_checked_in).await;
    }

    fn offer(&mut self, version: &str, is_broken: bool) -> AttemptId {
        let tree = self.device.tree(version, is_broken);
        let release = self.publisher.release(version, &tree);
        self.server.fleet().files = self.publisher.files.clone();
        self.server.offer(&release)
    }

    /// Runs a command, which must come to this exit status, and returns what it printed.
    async fn run(&self, arguments: &[&str], status: i32) -> String {
        let output = tokio::task::block_in_place(|| self.device.run(arguments));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let what = format!("{arguments:?}: {out}{err}{}", self.device.log());
        assert_eq!(output.status.code(), Some(status), "{what}");
        out + &err
    }

    fn installed(&self) -> String {
        self.device.journal().installed.unwrap().version.to_string()
    }

    /// One that went from 1.0.0 to 1.1.0, with its agent running.
    async fn on_the_second() -> Self {
        let mut bench = Self::new().await;
        bench.start().await;
        bench.offer("1.1.0", false);
        bench.run(&["update"], 0).await;
        bench.device.answers_with("1.1.0").await;
        bench
    }

    /// Waits until the device goes back, and has come to a step.
    async fn goes_back_at(&self, step: Step) {
        let at = || {
            let attempt = self.device.journal().attempt?;
            (attempt.is_by_hand() && attempt.step >= step).then_some(())
        };
        eventually("the way back", at).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_updates_goes_back_and_forth_when_it_is_told_to() {
    let mut bench = Bench::new().await;
    bench.start().await;
    let said = bench.run(&["update"], 0).await;
    assert!(said.contains("there is nothing to install now"), "{said}");
    let said = bench.run(&["rollback"], 1).await;
    assert!(said.contains("no former version is kept"), "{said}");

    let attempt = bench.offer("1.1.0", false);
    let said = bench.run(&["update"], 0).await;
    assert!(
        said.contains("attempt 1: the server offers 1.1.0"),
        "{said}"
    );
    assert!(said.contains("attempt 1: health check"), "{said}");
    assert!(said.contains("1.1.0 runs and is healthy"), "{said}");
    bench.device.answers_with("1.1.0").await;
    let end = bench.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded);

    let reports = bench.server.fleet().reports.len();
    let said = bench.run(&["rollback", "--reason", "it hums"], 0).await;
    assert!(said.contains("1.0.0 runs and is healthy"), "{said}");
    bench.device.answers_with("1.0.0").await;
    assert_eq!(bench.device.whole_version(), "1.0.0");
    assert_eq!(bench.device.services().len(), 1);
    let said = bench.run(&["rollback"], 1).await;
    assert!(said.contains("no former version is kept"), "{said}");
    let text = bench.run(&["status"], 0).await;
    assert!(text.contains("taken back        1.1.0 since"), "{text}");
    let text = bench.run(&["history"], 0).await;
    let line = "the way back by hand from 1.1.0 to 1.0.0, succeeded";
    assert!(text.contains(line), "{text}");
    assert_eq!(
        bench.server.fleet().reports.len(),
        reports,
        "no server knows of it"
    );

    // The same release doesn't come again by itself, required or not, and the server hears why.
    let attempt = bench.offer_again("1.1.0", 2);
    let said = bench.run(&["check"], 5).await;
    assert!(said.contains("took it back from this version"), "{said}");
    let told = || {
        let fleet = bench.server.fleet();
        let check_in = fleet.check_ins.last()?;
        assert_eq!(check_in.version, "1.0.0".into());
        let metadata = check_in.metadata.clone()?;
        let (_, report) = fleet.reports.iter().find(|(id, _)| *id == attempt)?;
        Some((metadata, report.message.clone()?))
    };
    let (metadata, message) = eventually("the server to hear why", told).await;
    let taken_back = &metadata["taken_back"];
    assert!(taken_back.starts_with("1.1.0 at ") && taken_back.ends_with(": it hums"));
    assert!(message.ends_with(": it hums"), "{message}");
    bench.device.answers_with("1.0.0").await;

    let said = bench.run(&["update"], 0).await;
    assert!(said.contains("may come again"), "{said}");
    assert_eq!(
        bench.server.end_of(attempt).await.state,
        AttemptState::Succeeded
    );
    bench.device.answers_with("1.1.0").await;
}

impl Bench {
    /// Offers a release once more that was published before.
    fn offer_again(&mut self, version: &str, number: i32) -> AttemptId {
        let mut fleet = self.server.fleet();
        let ended = self.device.history();
        let before = ended
            .iter()
            .find(|ended| ended.offer.version == version.into() && ended.offer.attempt.0 > 0);
        let mut offer = before.unwrap().offer.clone();
        offer.attempt = AttemptId(number);
        offer.attempt_uuid = uuid::Uuid::from_u128(u128::from(number.unsigned_abs()) << 64);
        offer.required = true;
        fleet.offers.push_back(offer);
        AttemptId(number)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_release_comes_after_one_that_was_taken_back() {
    let mut bench = Bench::on_the_second().await;
    bench.run(&["rollback"], 0).await;
    let attempt = bench.offer("1.2.0", false);
    bench.run(&["check"], 0).await;
    assert_eq!(
        bench.server.end_of(attempt).await.state,
        AttemptState::Succeeded
    );
    let journal = bench.device.journal();
    assert_eq!(journal.taken_back, None);
    assert_eq!(journal.previous.unwrap().version, "1.0.0".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_is_killed_goes_on() {
    let mut bench = Bench::on_the_second().await;
    // Long enough to be seen and killed in it.
    bench.device.edit("settle_sec = 0.2", "settle_sec = 2");
    bench.device.stop().await;
    bench.device.start();
    bench.device.answers_with("1.1.0").await;
    for step in [Step::Stopping, Step::HealthCheck] {
        let said = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let asked = scope.spawn(|| bench.device.run(&["rollback"]));
                tokio::runtime::Handle::current().block_on(bench.goes_back_at(step));
                let pid = bench.device.pid().unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                asked.join().unwrap()
            })
        });
        assert_eq!(said.status.code(), Some(1));
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            said.contains("the agent stopped before it was done"),
            "{said}"
        );
        bench.device.kill();
        assert_eq!(
            bench.installed(),
            "1.1.0",
            "nothing is done before it is proven"
        );
        bench.device.start();
        if step == Step::Stopping {
            bench.goes_back_at(Step::HealthCheck).await;
            bench.device.kill();
            bench.device.start();
        }
        let back = || (bench.installed() == "1.0.0").then_some(());
        eventually("the former version", back).await;
        bench.device.answers_with("1.0.0").await;
        assert_eq!(bench.device.services().len(), 1);
        if step == Step::Stopping {
            bench.offer_again("1.1.0", 2);
            bench.run(&["update"], 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_version_that_is_sick_or_gone_takes_no_place() {
    let bench = Bench::on_the_second().await;
    let former = bench.device.journal().previous.unwrap().name;
    let former = bench.device.path("root/versions").join(former);
    std::fs::write(former.join("BROKEN"), "").unwrap();
    let reports = bench.server.fleet().reports.len();
    let said = bench.run(&["rollback"], 4).await;
    assert!(said.contains("out of otters in 1.0.0"), "{said}");
    bench.device.answers_with("1.1.0").await;
    assert_eq!(bench.installed(), "1.1.0");
    assert_eq!(bench.device.journal().taken_back, None);
    assert_eq!(bench.server.fleet().reports.len(), reports);

    std::fs::remove_dir_all(&former).unwrap();
    let said = bench.run(&["rollback"], 1).await;
    assert!(said.contains("is not there any more"), "{said}");
    bench.device.answers_with("1.1.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_that_runs_the_commands_do_the_work() {
    let mut bench = Bench::new().await;
    bench.offer("1.1.0", false);
    let said = bench.run(&["update"], 0).await;
    assert!(said.contains("1.1.0 runs and is healthy"), "{said}");
    bench.device.answers_with("1.1.0").await;
    bench.offer("1.2.0", true);
    let said = bench.run(&["update"], 4).await;
    assert!(
        said.contains("1.2.0 is not installed (rolled_back)"),
        "{said}"
    );
    bench.run(&["rollback"], 0).await;
    bench.device.answers_with("1.0.0").await;
    assert_eq!(bench.device.services().len(), 1);
    let socket = bench.device.state().join("agent.sock");
    assert!(!socket.exists(), "only what runs on takes orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_fetched_makes_way_for_the_way_back() {
    let mut bench = Bench::on_the_second().await;
    let attempt = bench.offer("1.2.0", false);
    bench.server.fleet().how = common::server::Artifacts::Refused;
    let said = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let updates = scope.spawn(|| bench.device.run(&["update"]));
            let fetches = || {
                let attempt = bench.device.journal().attempt?;
                (attempt.step == Step::Downloading).then_some(())
            };
            tokio::runtime::Handle::current().block_on(eventually("a download", fetches));
            let back = bench.device.run(&["rollback"]);
            assert!(back.status.success(), "{back:?}");
            updates.join().unwrap()
        })
    });
    assert_eq!(said.status.code(), Some(4));
    let end = bench.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Cancelled);
    assert!(end.message.unwrap().contains("somebody at the device"));
    assert_eq!(bench.installed(), "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_agents_own_user_may_give_orders() {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new().await;
    bench.start().await;
    let socket = bench.device.state().join("agent.sock");
    let mode = || Some(std::fs::metadata(&socket).ok()?.permissions().mode() & 0o777);
    assert_eq!(eventually("the socket", mode).await, 0o600);
    bench.device.kill();
    assert!(socket.exists(), "who is killed leaves it");
    let said = bench.run(&["update"], 0).await;
    assert!(said.contains("there is nothing to install now"), "{said}");
    bench.device.start();
    let connect = || std::os::unix::net::UnixStream::connect(&socket).ok();
    eventually("an agent to take orders", connect).await;
    bench.run(&["update"], 0).await;
    bench.device.stop().await;
    assert!(!socket.exists());
}
