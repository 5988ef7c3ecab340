//! Compose, by a program in its place that keeps to compose's command line and talks to the real engine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use otter_protocol::AttemptState;

use super::device::Device;
use super::docker::Docker;
use super::image::{Image, Mood};

/// Writes down how it is called, and does with one container what compose does with all of a file.
const COMPOSE: &str = r#"#!/bin/sh
here=$(dirname "$2")
echo "$* with $OTTER_IMAGE" >> "$here/calls"
label=com.docker.compose.project=$4
case "$5" in
stop) docker ps --quiet --filter "label=$label" | xargs -r docker stop --time "$7" ;;
up)
  now=$(docker ps --all --no-trunc --filter "label=$label" --format '{{.Image}}')
  if [ "$now" != "$OTTER_IMAGE" ]; then
    docker ps --all --quiet --filter "label=$label" | xargs -r docker rm --force
    docker run --detach --name "$4_app_1" --label "$label" --label com.docker.compose.service=app \
      --network none --restart always --volume "$here/out:/out" --env OTTER_VERSION --env OTTER_DEVICE_ID "$OTTER_IMAGE"
  else
    docker ps --all --quiet --filter "label=$label" | xargs docker start
  fi ;;
down) docker ps --all --quiet --filter "label=$label" | xargs -r docker rm --force ;;
*) echo "compose knows no $5" >&2; exit 64 ;;
esac
"#;

#[tokio::test(flavor = "multi_thread")]
async fn compose_is_told_the_image_and_goes_back_where_a_container_keeps_dying() {
    let docker = Docker::start().await;
    let more = "compose = \"compose.yaml\"\ncompose_command = [\"./compose\"]";
    let mut device = Device::with(&docker, more).await;
    let program = device.path("compose");
    fs::write(&program, COMPOSE).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(
        device.path("compose.yaml"),
        "services: {app: {image: '${OTTER_IMAGE}'}}\n",
    )
    .unwrap();
    let good = Image::new("1.0.0", Mood::Fine);
    device.start();
    device.install("1.0.0", good.packed()).await;
    device.says("1.0.0").await;
    let calls = fs::read_to_string(device.path("calls")).unwrap();
    let file = device.path("compose.yaml");
    let file = file.display();
    let up = format!("-f {file} -p greeter up -d with {}\n", good.id());
    assert!(calls.starts_with(&up), "{calls}");
    let before = calls.len();

    // The file's own restart policy starts it again and again; that is no life.
    let broken = Image::new("1.1.0", Mood::Broken);
    let end = device.update("1.1.0", broken.packed()).await;
    assert_eq!(end.state, AttemptState::RolledBack);
    let message = end.message.unwrap();
    assert!(message.starts_with("`app`: the container "), "{message}");
    assert!(message.ends_with(": out of otters in 1.1.0"), "{message}");
    device.says("1.0.0").await;
    let calls = fs::read_to_string(device.path("calls")).unwrap();
    let (stop, good, broken) = (
        format!("-f {file} -p greeter stop --timeout 10 with"),
        good.id(),
        broken.id(),
    );
    let story = [
        format!("{stop} {good}\n"),
        format!("-f {file} -p greeter up -d with {broken}\n"),
        format!("{stop} {broken}\n"),
        up.clone(),
    ];
    assert_eq!(calls[before..], story.concat());
    let image = docker.inspect("greeter_app_1", "{{.Image}} {{.State.Running}}");
    assert_eq!(image, format!("{good} true"));

    device
        .install("1.2.0", Image::new("1.2.0", Mood::Fine).packed())
        .await;
    device.says("1.2.0").await;
}
