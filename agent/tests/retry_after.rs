//! A server that asks to be left alone is left alone, whatever it was asked for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::time::{Duration, Instant};

use common::device::Device;
use common::eventually;
use common::network::{Mischief, Network};
use common::publisher::Publisher;
use common::server::{Artifacts, Server};
use futures::future::join_all;
use otter_protocol::AttemptState;

/// Longer than any back-off of these devices.
const WAIT: u32 = 1;

fn assert_apart(what: &str, asked: &[Instant]) {
    for pair in asked.windows(2) {
        let wait = pair[1] - pair[0];
        assert!(
            wait >= Duration::from_secs(WAIT.into()),
            "{what} was asked for again after {wait:?}"
        );
    }
}

/// An update where the first two requests for something are refused, once with each status that means "later".
async fn refused_twice(what: &'static str) {
    let server = Server::start().await;
    let mut refusals = vec![503, 429];
    let network = Network::start(&server.address, move |asked| {
        let refusal = asked.is_for(what).then(|| refusals.pop()).flatten();
        refusal.map_or(Mischief::None, |status| {
            Mischief::Answer(status, Some(WAIT))
        })
    })
    .await;
    let mut device = Device::new(&server.at(&network.address));
    let mut publisher = Publisher::new();
    let release = publisher.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = publisher.files.clone();
    let attempt = server.offer(&release);
    device.start();
    let end = server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    let asked = network.asked();
    let times = asked.iter().filter(|asked| asked.is_for(what));
    let times: Vec<Instant> = times.map(|asked| asked.at).take(3).collect();
    assert_eq!(times.len(), 3, "{what}");
    assert_apart(what, &times);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_request_waits_as_long_as_it_is_told() {
    let kinds = [
        "/enroll",
        "/check-in",
        "/1.root.json",
        "/timestamp.json",
        "/artifacts/",
        "/reports",
    ];
    join_all(kinds.map(refused_twice)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolling_anew_in_the_middle_of_a_download_waits_too() {
    let server = Server::start().await;
    let mut enrollments = 0;
    let network = Network::start(&server.address, move |asked| {
        if !asked.is_for("/enroll") {
            return Mischief::None;
        }
        enrollments += 1;
        match enrollments {
            2 | 3 => Mischief::Answer(429, Some(WAIT)),
            _ => Mischief::None,
        }
    })
    .await;
    let mut device = Device::new(&server.at(&network.address));
    let mut publisher = Publisher::new();
    let release = publisher.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = publisher.files.clone();
    // So that the download is under way for as long as this takes.
    server.fleet().how = Artifacts::Refused;
    let attempt = server.offer(&release);
    device.start();
    let has_begun = || (!server.fleet().fetches.is_empty()).then_some(());
    eventually("the download to begin", has_begun).await;
    server.fleet().token = "otd_another".to_owned();
    let enrolls = || {
        let asked = network.asked();
        let times = asked.iter().filter(|asked| asked.is_for("/enroll"));
        let times: Vec<Instant> = times.map(|asked| asked.at).collect();
        (times.len() >= 4).then_some(times)
    };
    let times = eventually("the device to enroll anew", enrolls).await;
    assert_apart("/enroll", &times[1..4]);
    server.fleet().how = Artifacts::Whole;
    let end = server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
}
