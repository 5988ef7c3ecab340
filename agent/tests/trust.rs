//! A server that would like to put its own software on a device.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::device::Device;
use common::publisher::{Publisher, Release};
use common::server::{Artifacts, Server};
use jiff::SignedDuration;
use otter_protocol::check_in::Offer;
use otter_protocol::{AttemptState, Sha256Digest};

struct Case {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Case {
    async fn new() -> Self {
        let server = Server::start().await;
        let publisher = Publisher::new();
        server.fleet().files = publisher.files.clone();
        Self {
            device: Device::new(&server),
            server,
            publisher,
        }
    }

    fn release(&mut self, version: &str) -> Release {
        let tree = self.device.tree(version, false);
        let release = self.publisher.release(version, &tree);
        self.server.fleet().files = self.publisher.files.clone();
        release
    }

    /// Offers a release with a lie; returns how the attempt fails. Nothing may be fetched, and nothing change.
    async fn refused(&mut self, release: &Release, lie: impl FnOnce(&mut Offer)) -> String {
        self.device.start();
        let pid = self.device.answers_with("1.0.0").await;
        let attempt = self.server.offer(release);
        lie(self.server.fleet().offers.back_mut().unwrap());
        let end = self.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Failed);
        assert!(
            self.server.fleet().fetches.is_empty(),
            "something was fetched"
        );
        assert_eq!(self.device.answers_with("1.0.0").await, pid);
        assert_eq!(self.device.whole_version(), "1.0.0");
        end.message.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_is_refused() {
    let mut case = Case::new().await;
    case.publisher.targets_key = 66;
    let release = case.release("1.1.0");
    let message = case.refused(&release, |_| {}).await;
    assert!(
        message.contains("targets metadata carries 0 of the 1 signatures"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_is_refused() {
    let mut case = Case::new().await;
    let release = case.release("1.1.0");
    let other = Sha256Digest::of(b"the thief's own");
    let message = case
        .refused(&release, |offer| {
            offer.artifact.sha256 = other;
            offer.artifact.url = format!("/device/v1/artifacts/{other}");
        })
        .await;
    assert!(
        message.contains("is not in the signed targets"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_differs_from_what_was_signed_is_refused() {
    let mut case = Case::new().await;
    let release = case.release("1.1.0");
    let message = case
        .refused(&release, |offer| offer.artifact.size += 1)
        .await;
    assert!(
        message.starts_with("wrong software: the server offers a length of"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_metadata_is_a_freeze() {
    let mut case = Case::new().await;
    case.publisher.now -= SignedDuration::from_hours(24 * 30);
    let release = case.release("1.1.0");
    let message = case.refused(&release, |_| {}).await;
    assert!(message.starts_with("freeze: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_root_counts_and_the_servers_own_does_not() {
    let server = Server::start().await;
    let honest = Publisher::new();
    let mut device = Device::with(&server, "root_metadata = \"root.json\"");
    std::fs::write(device.path("root.json"), honest.root()).unwrap();
    // The thief's repository is in order, but for whose it is.
    let mut thief = Publisher::with_keys(100);
    let release = thief.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = thief.files.clone();
    device.start();
    let attempt = server.offer(&release);
    let end = server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Failed);
    let message = end.message.unwrap();
    assert!(
        message.contains("timestamp metadata carries 0 of the 1 signatures"),
        "{message}"
    );
    assert_eq!(device.whole_version(), "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_does_not_come_back() {
    let mut case = Case::new().await;
    let old = case.release("1.1.0");
    let new = case.release("1.2.0");
    case.device.start();
    let attempt = case.server.offer(&new);
    assert_eq!(
        case.server.end_of(attempt).await.state,
        AttemptState::Succeeded
    );
    let attempt = case.server.offer(&old);
    let end = case.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Failed);
    let message = end.message.unwrap();
    assert!(
        message.contains("release counter 1, lower than 2"),
        "{message}"
    );
    assert_eq!(case.device.whole_version(), "1.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_bundle_is_refused_before_the_service_stops() {
    let mut case = Case::new().await;
    let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..6].copy_from_slice(b"../../");
    header.as_mut_bytes()[6..9].copy_from_slice(b"out");
    header.set_size(4);
    header.set_mode(0o755);
    header.set_cksum();
    builder.append(&header, &b"evil"[..]).unwrap();
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    let release = case.publisher.release_bytes("1.1.0", bytes);
    case.server.fleet().files = case.publisher.files.clone();
    case.device.start();
    let pid = case.device.answers_with("1.0.0").await;
    let before = std::fs::read(case.device.path("out")).unwrap();
    let attempt = case.server.offer(&release);
    let end = case.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Failed);
    let message = end.message.unwrap();
    assert!(message.contains("../../out leads outside"), "{message}");
    assert_eq!(case.device.answers_with("1.0.0").await, pid);
    assert_eq!(std::fs::read(case.device.path("out")).unwrap(), before);
    assert_eq!(case.server.fleet().how, Artifacts::Whole);
}
