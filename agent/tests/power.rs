//! The agent is killed at any instant, and the device always ends on a whole version.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::time::Duration;

use common::device::Device;
use common::eventually;
use common::kills::all_is_told;
use common::publisher::Publisher;
use common::server::{Artifacts, Server};
use otter_protocol::AttemptState;

const KILLS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_at_random_moments_of_updates() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    let mut publisher = Publisher::new();
    // Every release is offered in turn, so that each kill finds an update under way.
    let mut attempts = Vec::new();
    for number in 1..=200 {
        let version = format!("1.{number}.0");
        let release = publisher.release(&version, &device.tree(&version, false));
        attempts.push(server.offer(&release));
    }
    let waiting = server.fleet().offers.split_off(0);
    server.fleet().files = publisher.files.clone();
    server.fleet().how = Artifacts::Slow(2);
    let mut waiting = waiting.into_iter();

    // From a seed, so that a failure can be looked at again.
    let mut seed = 0x0773_5a5a_u64;
    let mut steps = std::collections::BTreeSet::new();
    for kill in 0..KILLS {
        if server.fleet().offers.is_empty() {
            server.fleet().offers.push_back(waiting.next().unwrap());
        }
        if kill == KILLS / 2 {
            // The second half of them meets bundles that are unpacked as they come.
            let config = device.path("otter-agent.toml");
            let text = std::fs::read_to_string(&config).unwrap();
            std::fs::write(&config, text.replace("\"always\"", "\"never\"")).unwrap();
        }
        device.start();
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // An update takes about a second here: the kills go all over it.
        tokio::time::sleep(Duration::from_millis((seed >> 33) % 1200)).await;
        device.kill();
        let record = device.journal();
        if device.path("root/current").exists() {
            device.whole_version();
        }
        assert!(
            !device.path("state/journal.broken.json").exists(),
            "after kill {kill} the journal is lost"
        );
        if let Some(attempt) = record.attempt {
            steps.insert(attempt.step);
        }
        assert!(
            device.services().len() <= 1,
            "after kill {kill}: {:?}",
            device.services()
        );
    }
    println!("the kills met {steps:?}");
    assert!(
        steps.len() >= 2,
        "the kills met these steps only: {steps:?}"
    );

    if server.fleet().offers.is_empty() {
        server.fleet().offers.push_back(waiting.next().unwrap());
    }
    let last = server.fleet().offers.front().unwrap().clone();
    device.start();
    let end = server.end_of(last.attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    device.answers_with(last.version.as_str()).await;
    assert_eq!(device.services().len(), 1);
    assert_eq!(device.whole_version(), last.version.as_str());

    all_is_told(&device, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_outlive_the_network_and_the_agent_in_their_order() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    let mut publisher = Publisher::new();
    let release = publisher.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = publisher.files.clone();
    server.fleet().reports_are_down = true;
    let attempt = server.offer(&release);
    device.start();
    device.answers_with("1.1.0").await;
    eventually("the attempt to end", || {
        device.journal().attempt.is_none().then_some(())
    })
    .await;
    device.kill();
    assert!(server.fleet().reports.is_empty());
    server.fleet().reports_are_down = false;
    device.start();
    let end = server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded);
    let sequences: Vec<u32> = {
        let fleet = server.fleet();
        fleet
            .reports
            .iter()
            .map(|(_, report)| report.sequence)
            .collect()
    };
    assert!(sequences.is_sorted() && sequences[0] == 1, "{sequences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_offered_again_is_not_begun_again() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    let mut publisher = Publisher::new();
    let release = publisher.release("1.1.0", &device.tree("1.1.0", true));
    server.fleet().files = publisher.files.clone();
    let attempt = server.offer(&release);
    let offer = server.fleet().offers.front().unwrap().clone();
    device.start();
    let first = server.end_of(attempt).await;
    // As a server does that was restored from a backup.
    server.fleet().reports.clear();
    server.fleet().offers.push_back(offer);
    let second = server.end_of(attempt).await;
    assert_eq!(second.state, AttemptState::RolledBack);
    assert_eq!(second.message, first.message);
    assert!(second.sequence > first.sequence);
    assert_eq!(server.fleet().fetches.len(), 1);
    assert_eq!(device.history().len(), 1);
}
