//! The example of an embedder, as it stands in `examples/`, takes a release and sends a bad one back.

#![allow(clippy::unwrap_used, reason = "only tests stand here")]

mod common;
#[path = "../examples/embedded.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a program of its own, of which a part is used here"
)]
mod embedded;

use common::device::Device;
use common::publisher::Publisher;
use common::server::Server;
use otter_agent::config::Config;
use otter_protocol::{ArtifactKind, AttemptState};

#[tokio::test(flavor = "multi_thread")]
async fn an_embedders_own_installer_and_check_decide() {
    let server = Server::start().await;
    let device = Device::bare(&server, "", |_| "[health]\nsettle_sec = 0.05\n".to_owned());
    // Embedders build on what a file may say, but for the installer.
    let config = Config::load(&device.path("otter-agent.toml")).unwrap();
    let folder = device.path("schedules");
    let agent = embedded::thermostat(config, &folder).unwrap();
    let mut publisher = Publisher::new();
    let current = || std::fs::read_to_string(folder.join("current")).unwrap();
    let table = [
        ("1.0.0", "07:00 21\n23:00 16\n", AttemptState::Succeeded),
        ("1.1.0", "07:00 42\n", AttemptState::RolledBack),
        ("1.2.0", "07:00 20.5\n", AttemptState::Succeeded),
    ];
    let mut stays = "";
    for (version, schedule, state) in table {
        let kind = ArtifactKind::Module;
        let release = publisher.release_of(kind, version, schedule.as_bytes().to_vec());
        server.fleet().files = publisher.files.clone();
        let attempt = server.offer(&release);
        agent.check().await.unwrap();
        let end = server.fleet().end_of(attempt).unwrap();
        assert_eq!(end.state, state, "{:?}", end.message);
        if state == AttemptState::Succeeded {
            stays = schedule;
        } else {
            let message = end.message.unwrap();
            assert!(message.contains("42 degrees make a sauna"), "{message}");
        }
        assert_eq!(current(), stays);
    }
}
