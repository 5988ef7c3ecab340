//! Downloads that are cut, stalled, refused and lied about.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::device::Device;
use common::eventually;
use common::publisher::{Publisher, Release};
use common::server::{Artifacts, Server};
use otter_protocol::{AttemptId, AttemptReport, AttemptState};

/// A device that runs 1.0.0, and release 1.1.0 on offer by a server that answers so.
struct Case {
    server: Server,
    device: Device,
    release: Release,
    attempt: AttemptId,
}

impl Case {
    async fn new(how: Artifacts) -> Self {
        Self::configured(how, |_| {}).await
    }

    /// The same with another configuration.
    async fn configured(how: Artifacts, configure: impl FnOnce(&Device)) -> Self {
        let server = Server::start().await;
        let mut device = Device::new(&server);
        configure(&device);
        device.start();
        device.answers_with("1.0.0").await;
        let mut publisher = Publisher::new();
        let release = publisher.release("1.1.0", &device.tree("1.1.0", false));
        server.fleet().files = publisher.files.clone();
        server.fleet().how = how;
        let attempt = server.offer(&release);
        Self {
            server,
            device,
            release,
            attempt,
        }
    }

    async fn end(&self) -> AttemptReport {
        self.server.end_of(self.attempt).await
    }

    /// Waits until bytes were fetched.
    async fn has_begun(&self, bytes: usize) {
        eventually("the download to begin", || {
            (self.server.fleet().served >= bytes).then_some(())
        })
        .await;
    }

    fn downloads(&self) -> Vec<String> {
        std::fs::read_dir(self.device.state().join("downloads"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_goes_on_where_it_was() {
    let case = Case::new(Artifacts::Cut(100_000, 2)).await;
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let fleet = case.server.fleet();
    let begins: Vec<usize> = fleet.fetches.iter().map(|fetch| fetch.from).collect();
    assert_eq!(begins.len(), 3, "{begins:?}");
    assert!(
        begins[0] == 0 && begins[1] > 0 && begins[2] > begins[1],
        "{begins:?}"
    );
    // What was sent but lost with the connection is sent again, and nothing else.
    let lost = fleet.served - case.release.bytes.len();
    assert!(lost < 100_000, "{lost} bytes were fetched twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_goes_on_with_what_it_has() {
    let mut case = Case::new(Artifacts::Slow(20)).await;
    case.has_begun(100_000).await;
    case.device.kill();
    case.server.fleet().how = Artifacts::Whole;
    case.device.start();
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let fleet = case.server.fleet();
    assert_eq!(fleet.fetches.len(), 2);
    assert!(fleet.fetches[1].from >= 50_000, "{:?}", fleet.fetches);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_rotted_is_fetched_anew() {
    let mut case = Case::new(Artifacts::Slow(20)).await;
    case.has_begun(100_000).await;
    case.device.kill();
    let part = case
        .device
        .state()
        .join("downloads")
        .join(&case.downloads()[0]);
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    case.server.fleet().how = Artifacts::Whole;
    case.device.start();
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let begins: Vec<usize> = case.server.fleet().fetches.iter().map(|f| f.from).collect();
    assert_eq!(begins.len(), 3);
    assert_eq!(begins[2], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_called_otherwise_now_is_fetched_from_its_beginning() {
    let case = Case::new(Artifacts::Cut(100_000, 2)).await;
    case.server.fleet().etag = "-renamed".to_owned();
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let fetches = case.server.fleet().fetches.clone();
    let begins: Vec<usize> = fetches.iter().map(|fetch| fetch.from).collect();
    assert_eq!(begins, [0, 0, 0]);
    for fetch in &fetches[1..] {
        assert!(fetch.wanted.is_some_and(|from| from > 0), "{fetches:?}");
    }
    assert_eq!(case.device.whole_version(), "1.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_takes_no_more_than_its_share_of_the_line() {
    const PER_SEC: usize = 150_000;
    let limit = format!("max_bytes_per_sec = {PER_SEC}\n[retry]");
    let case = Case::configured(Artifacts::Whole, |device| device.edit("[retry]", &limit)).await;
    let is_there = || {
        let fleet = case.server.fleet();
        let states = fleet.states(case.attempt);
        states.contains(&AttemptState::Downloaded).then_some(())
    };
    eventually("the download to be over", is_there).await;
    let fleet = case.server.fleet();
    let least = case.release.bytes.len() as f64 / PER_SEC as f64;
    let took = fleet.fetches[0].at.elapsed().as_secs_f64();
    assert!(took >= least, "{took} s for what takes {least} s at least");
    // The stall timeout is a second: waiting for its share is no silence.
    assert_eq!(fleet.fetches.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_asked_again() {
    let case = Case::new(Artifacts::Stall(50_000)).await;
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    assert_eq!(case.server.fleet().fetches.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let case = Case::new(Artifacts::Busy).await;
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let fleet = case.server.fleet();
    let wait = fleet.fetches[1].at - fleet.fetches[0].at;
    assert!(wait.as_secs_f64() >= 1.0, "{wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_not_signed_are_refused_and_not_kept() {
    let cases = [
        (Artifacts::Other, "wrong software: r1/"),
        (Artifacts::Longer, "wrong software: the server announces"),
        (
            Artifacts::Endless,
            "endless data: the server sends more than",
        ),
        (
            Artifacts::Missing,
            "the artifact can't be fetched: the server answered 404",
        ),
    ];
    for (how, words) in cases {
        let case = Case::new(how).await;
        let pid = case.device.answers_with("1.0.0").await;
        let end = case.end().await;
        assert_eq!(end.state, AttemptState::Failed, "{how:?}");
        let message = end.message.unwrap();
        assert!(message.starts_with(words), "{how:?}: {message}");
        assert!(
            case.downloads().is_empty(),
            "{how:?}: {:?}",
            case.downloads()
        );
        let sent = case.server.fleet().served;
        assert!(
            sent < 10 * case.release.bytes.len(),
            "{how:?}: took {sent} bytes"
        );
        assert_eq!(case.device.answers_with("1.0.0").await, pid, "{how:?}");
        assert_eq!(case.device.whole_version(), "1.0.0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_given_up_when_the_server_takes_it_back() {
    let case = Case::new(Artifacts::Slow(50)).await;
    case.has_begun(50_000).await;
    case.server.fleet().cancel = true;
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Cancelled);
    assert!(case.server.fleet().served < case.release.bytes.len());
    assert!(case.device.journal().attempt.is_none());
    assert_eq!(case.device.whole_version(), "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_now_and_then() {
    let case = Case::new(Artifacts::Slow(60)).await;
    let end = case.end().await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let fleet = case.server.fleet();
    let progress: Vec<u8> = fleet
        .reports
        .iter()
        .filter(|(_, report)| report.state == AttemptState::Downloading)
        .filter_map(|(_, report)| report.progress)
        .collect();
    // The download takes two to three seconds, and is told of at most once in each.
    assert!((2..=6).contains(&progress.len()), "{progress:?}");
    assert!(
        progress.is_sorted() && progress.iter().any(|p| (1..100).contains(p)),
        "{progress:?}"
    );
}
