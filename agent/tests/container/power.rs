//! The agent is killed at any instant, and the device always ends on one whole container.

use std::collections::BTreeSet;
use std::time::Duration;

use otter_agent::journal::Step;
use otter_protocol::AttemptState;

use super::device::{Device, NAME, running};
use super::docker::Docker;
use super::image::{Image, Mood};

const KILLS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_dozen_kills_at_random_moments_of_updates() {
    let docker = Docker::start().await;
    let mut device = Device::new(&docker).await;
    device.start();
    let first = Image::new("1.0.0", Mood::Fine);
    device.install("1.0.0", Image::archive(&[&first])).await;
    device.kill();
    // Every third release dies on its trial, so that kills meet rolling back, too.
    for number in 1..=40 {
        let version = format!("1.{number}.0");
        let mood = if number % 3 == 0 {
            Mood::Broken
        } else {
            Mood::Fine
        };
        device.offer(&version, Image::new(&version, mood).packed());
    }
    let mut waiting = device.server.fleet().offers.split_off(0).into_iter();

    // From a seed, so that a failure can be looked at again.
    let mut seed = 0x0773_5a5a_u64;
    let mut steps = BTreeSet::new();
    for kill in 0..KILLS {
        if device.server.fleet().offers.is_empty() {
            let offer = waiting.next().unwrap();
            device.server.fleet().offers.push_back(offer);
        }
        device.start();
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // An update takes two or three seconds here: the kills go all over it.
        tokio::time::sleep(Duration::from_millis((seed >> 33) % 2500)).await;
        device.kill();
        steps.extend(device.journal().attempt.map(|attempt| attempt.step));
        let containers = docker.containers();
        let up = containers.iter().filter(|container| container.is_running);
        assert!(up.count() <= 1, "after kill {kill}: {containers:?}");
        assert!(
            !containers.is_empty() && containers.len() <= 2,
            "after kill {kill}: {containers:?}"
        );
    }
    println!("the kills met {steps:?}");
    assert!(
        steps.len() >= 2,
        "the kills met these steps only: {steps:?}"
    );

    // What is under way comes to its end, and so does one more.
    device.start();
    let under_way = device.server.fleet().offers.front().cloned();
    if let Some(offer) = under_way {
        device.server.end_of(offer.attempt).await;
    }
    let last = Image::new("2.0.0", Mood::Fine);
    let attempt = device.offer("2.0.0", last.packed());
    let end = device.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    device.says("2.0.0").await;
    assert_eq!(docker.containers(), running(&last.id()));
    assert_eq!(
        docker.inspect(NAME, "{{.HostConfig.RestartPolicy.Name}}"),
        "on-failure"
    );

    // What the server counts is what the device counts, and of all the images two are left.
    super::eventually("every report to be delivered", || {
        device.journal().outbox.is_empty().then_some(())
    })
    .await;
    let counted = device.server.fleet().ended();
    let own = device.history();
    assert_eq!(counted.len(), own.len());
    for ended in own {
        assert_eq!(counted.get(&ended.offer.attempt), Some(&ended.outcome));
    }
    super::eventually("needless images to be removed", || {
        (docker.images().len() <= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_every_step_changes_nothing_about_the_end() {
    let docker = Docker::start().await;
    let mut device = Device::new(&docker).await;
    device.start();
    let first = Image::new("1.0.0", Mood::Fine);
    device.install("1.0.0", Image::archive(&[&first])).await;
    let mut runs = first.id();
    let steps = [
        (Step::Verifying, Mood::Fine),
        (Step::Stopping, Mood::Fine),
        (Step::Applying, Mood::Fine),
        (Step::Starting, Mood::Fine),
        (Step::HealthCheck, Mood::Fine),
        (Step::Committing, Mood::Fine),
        (Step::RollingBack, Mood::Broken),
        (Step::Applying, Mood::Broken),
    ];
    for (number, (step, mood)) in steps.into_iter().enumerate() {
        let version = format!("1.{}.0", number + 1);
        let image = Image::new(&version, mood);
        let attempt = device.offer(&version, image.packed());
        // A short step may be over before it is seen; then the kill meets what comes after it.
        super::eventually(&format!("{step} of {version}"), || {
            let Some(under_way) = device.journal().attempt else {
                return device.server.fleet().end_of(attempt).map(|_| ());
            };
            (under_way.offer.attempt == attempt && under_way.step >= step).then_some(())
        })
        .await;
        device.kill();
        device.start();
        let end = device.server.end_of(attempt).await;
        let (expected, says) = match mood {
            Mood::Fine => (AttemptState::Succeeded, image.id()),
            _ => (AttemptState::RolledBack, runs.clone()),
        };
        assert_eq!(end.state, expected, "{version}, {step}: {:?}", end.message);
        assert_eq!(docker.containers(), running(&says), "{version}, {step}");
        runs = says;
    }
}
