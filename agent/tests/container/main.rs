//! Containers are updated through a real engine: they stay where they are healthy, and leave where they are not.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests stand here"
)]

#[path = "../common/mod.rs"]
mod common;
mod compose;
mod device;
mod docker;
mod image;
mod power;
mod registry;

use common::eventually;
use device::{Device, NAME, running};
use docker::{Container, Docker};
use image::{Image, Mood};
use otter_protocol::AttemptState;
use registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_installed_and_what_nothing_needs_is_removed() {
    let docker = Docker::start().await;
    let mut device = Device::new(&docker).await;
    let image = |version| Image::new(version, Mood::Fine);
    let (one, two, three) = (image("1.0.0"), image("1.1.0"), image("1.2.0"));
    device.start();
    // Nothing was installed before.
    device.install("1.0.0", Image::archive(&[&one])).await;
    device.says("1.0.0").await;
    assert_eq!(docker.containers(), running(&one.id()));
    assert_eq!(
        docker.inspect(NAME, "{{index .Config.Labels \"of\"}}"),
        "a test"
    );
    let policy =
        "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(docker.inspect(NAME, policy), "on-failure 3");

    device.install("1.1.0", two.packed()).await;
    device.says("1.1.0").await;
    assert_eq!(docker.containers(), running(&two.id()));
    assert_eq!(device.journal().installed.unwrap().name, two.id());

    device.install("1.2.0", three.zipped()).await;
    assert_eq!(docker.containers(), running(&three.id()));
    // The version before is kept, those before that are not.
    let mut kept = vec![two.id(), three.id()];
    kept.sort();
    eventually("old images to be removed", || {
        (docker.images() == kept).then_some(())
    })
    .await;

    // The container runs on without the agent, and the next agent takes it over as it is.
    let since = |docker: &Docker| docker.inspect(NAME, "{{.Id}} {{.State.StartedAt}}");
    let before = since(&docker);
    device.stop().await;
    assert!(docker.containers()[0].is_running);
    let check_ins = device.server.fleet().check_ins.len();
    device.start();
    eventually("a check-in", || {
        (device.server.fleet().check_ins.len() > check_ins).then_some(())
    })
    .await;
    assert_eq!(since(&docker), before);
    assert_eq!(docker.inspect(NAME, policy), "on-failure 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_or_ails_is_rolled_back_with_its_own_words() {
    let docker = Docker::start().await;
    let mut device = Device::new(&docker).await;
    let good = Image::new("1.0.0", Mood::Fine);
    device.start();
    device.install("1.0.0", Image::archive(&[&good])).await;
    let id = docker.inspect(NAME, "{{.Id}}");

    let broken = Image::new("1.1.0", Mood::Broken);
    let end = device.update("1.1.0", Image::archive(&[&broken])).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let message = end.message.unwrap();
    assert!(
        message.starts_with("the container exited with status 3"),
        "{message}"
    );
    assert!(message.ends_with(": out of otters in 1.1.0"), "{message}");
    device.says("1.0.0").await;
    assert_eq!(docker.containers(), running(&good.id()));
    assert_eq!(
        docker.inspect(NAME, "{{.Id}}"),
        id,
        "it is the same container as before"
    );
    assert_eq!(
        docker.inspect(NAME, "{{.HostConfig.RestartPolicy.Name}}"),
        "on-failure"
    );

    let sick = Image::new("1.2.0", Mood::Sick);
    // The trial must last until the image's own health check has spoken.
    let never =
        "command = [\"/bin/sh\", \"-c\", \"test {version} != 1.2.0\"]\ninterval_sec = 0.05\n";
    device
        .reconfigure(&format!("[[health.check]]\nkind = \"command\"\n{never}"))
        .await;
    let end = device.update("1.2.0", sick.packed()).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let message = end.message.unwrap();
    let words = "the container's own health check says that it is unhealthy: no fish in 1.2.0";
    assert!(message.starts_with(words), "{message}");
    assert_eq!(docker.inspect(NAME, "{{.Id}}"), id);
    eventually("failed images to be removed", || {
        (docker.images() == [good.id()]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_container_is_kept_until_the_new_one_is_to_stay() {
    let docker = Docker::start().await;
    let mut device = Device::new(&docker).await;
    let (old, new) = (
        Image::new("1.0.0", Mood::Fine),
        Image::new("1.1.0", Mood::Fine),
    );
    device.start();
    device.install("1.0.0", Image::archive(&[&old])).await;
    let gate = device.path("gate");
    std::fs::write(&gate, "").unwrap();
    let opens = format!(
        "command = [\"test\", \"-e\", \"{}\"]\ninterval_sec = 0.05\n",
        gate.display()
    );
    device
        .reconfigure(&format!("[[health.check]]\nkind = \"command\"\n{opens}"))
        .await;
    device.says("1.0.0").await;
    std::fs::remove_file(&gate).unwrap();

    let attempt = device.offer("1.1.0", Image::archive(&[&new]));
    device.says("1.1.0").await;
    let mut both = running(&new.id());
    both.push(Container {
        name: "greeter-old-1".to_owned(),
        image: old.id(),
        is_running: false,
    });
    // The program may say so before the engine knows that it runs.
    eventually("the new container beside the old one", || {
        (docker.containers() == both).then_some(())
    })
    .await;
    // On trial nobody but the agent starts it.
    for name in [NAME, "greeter-old-1"] {
        assert_eq!(
            docker.inspect(name, "{{.HostConfig.RestartPolicy.Name}}"),
            "no"
        );
    }
    std::fs::write(&gate, "").unwrap();
    let end = device.server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    assert_eq!(docker.containers(), running(&new.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_by_digest_and_refused_by_tag() {
    let (docker, registry) = (Docker::start().await, Registry::start().await);
    let mut device = Device::new(&docker).await;
    let image = Image::new("1.0.0", Mood::Fine);
    let line = registry.push(&image).await;
    device.start();
    device.install("1.0.0", line.clone().into_bytes()).await;
    device.says("1.0.0").await;
    assert_eq!(docker.containers(), running(&image.id()));
    // What the agent didn't bring isn't its to remove.
    let foreign = Image::new("0.0.1", Mood::Fine);
    docker.load(&foreign);

    let tag = line.split('@').next().unwrap().to_owned() + ":latest";
    let end = device.update("1.1.0", tag.into_bytes()).await;
    assert_eq!(end.state, AttemptState::Failed);
    assert!(end.message.unwrap().contains("name it by digest"));
    let nowhere = registry.name(&image::digest(b"nothing"));
    let end = device.update("1.2.0", nowhere.into_bytes()).await;
    assert_eq!(end.state, AttemptState::Failed);
    let message = end.message.unwrap();
    assert!(
        message.contains("pulling 127.0.0.1:") && message.contains("not found"),
        "{message}"
    );
    let two = Image::archive(&[
        &Image::new("1.3.0", Mood::Fine),
        &Image::new("1.3.1", Mood::Fine),
    ]);
    let end = device.update("1.3.0", two).await;
    assert_eq!(end.state, AttemptState::Failed);
    assert!(end.message.unwrap().contains("holds 2 images"));
    assert_eq!(docker.containers(), running(&image.id()));

    for (version, is_last) in [("2.0.0", false), ("2.1.0", true)] {
        let line = registry.push(&Image::new(version, Mood::Fine)).await;
        device.install(version, line.into_bytes()).await;
        let images = docker.images();
        assert!(images.contains(&foreign.id()), "{images:?}");
        if is_last {
            eventually("old images to be removed", || {
                (docker.images().len() == 3).then_some(())
            })
            .await;
            assert!(!docker.images().contains(&image.id()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_its_engine_checks_in_and_starts_what_should_run_when_it_is_back() {
    let mut docker = Docker::start().await;
    let mut device = Device::new(&docker).await;
    let image = Image::new("1.0.0", Mood::Fine);
    device.start();
    device.install("1.0.0", Image::archive(&[&image])).await;
    device.stop().await;
    docker.go();
    let before = device.server.fleet().check_ins.len();
    device.start();
    let check_in = eventually("a check-in", || {
        device.server.fleet().check_ins.get(before).cloned()
    })
    .await;
    assert_eq!(check_in.version, "1.0.0".into());
    assert!(device.log().contains("is away"), "{}", device.log());
    docker.come().await;
    let is_back = || (docker.containers() == running(&image.id())).then_some(());
    eventually("the container", is_back).await;
    device
        .install("1.1.0", Image::archive(&[&Image::new("1.1.0", Mood::Fine)]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_with_the_device_comes_back() {
    let docker = Docker::start().await;
    let mut device = Device::with(
        &docker,
        "create = \"container.json\"\ninitial_version = \"0.9.0\"",
    )
    .await;
    std::fs::write(
        device.path("container.json"),
        "{\"HostConfig\": {\"NetworkMode\": \"none\"}}",
    )
    .unwrap();
    let image = Image::new("0.9.0", Mood::Fine);
    docker.load(&image);
    let (out, id) = (device.path("out"), image.id());
    let by_hand = format!(
        "run --detach --name {NAME} --network none --volume {}:/out --env OTTER_VERSION=0.9.0 \
         --env OTTER_DEVICE_ID=device-1 {id}",
        out.display()
    );
    let by_hand: Vec<&str> = by_hand.split(' ').collect();
    let id = docker.command(&by_hand).unwrap();
    device.start();
    let end = device
        .update(
            "1.0.0",
            Image::archive(&[&Image::new("1.0.0", Mood::Broken)]),
        )
        .await;
    assert_eq!(end.state, AttemptState::RolledBack);
    assert!(
        !end.message.as_ref().unwrap().contains("not healthy"),
        "{:?}",
        end.message
    );
    assert_eq!(docker.inspect(NAME, "{{.Id}}"), id.trim());
    assert_eq!(docker.inspect(NAME, "{{.State.Running}}"), "true");
    let installed = device.journal().installed.unwrap();
    assert_eq!(
        (installed.version, installed.release_counter),
        ("0.9.0".into(), 0)
    );
    eventually("the failed image to be removed", || {
        (docker.images() == [image.id()]).then_some(())
    })
    .await;
}
