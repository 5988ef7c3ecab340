//! The command lines of docs/API.md, as a reader would copy them, against a real server.

use std::path::Path;

use otter_server::config::Secret;
use tokio::process::Command;

use crate::common::{TestApp, TestDatabase};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/API.md");
/// Begins the section whose lines are run.
const SECTION: &str = "\n## Microcontrollers: the plain firmware API\n";

/// Returns the section's command lines, each with the lines that continue it.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let section = text.split(SECTION).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```bash\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let mut commands: Vec<String> = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.starts_with("curl ") {
            true => commands.push(line.to_owned()),
            false => {
                let last = commands.last_mut().unwrap();
                *last = format!("{last}\n{line}");
            }
        }
    }
    commands
}

#[tokio::test]
async fn the_documents_command_lines_run_as_they_stand() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |settings| {
        settings.api_key = Some(Secret::new("your-api-key"));
        settings.firmware_api_open_reads = Some(true);
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("firmware.bin"), [7; 5000]).unwrap();
    // The lines name the usual port: this server stands in for it.
    let port = app.address.port();
    let rc = format!(
        "connect-to = \"localhost:8080:127.0.0.1:{port}\"\nnoproxy = \"*\"\nsilent\nfail-with-body\n"
    );
    std::fs::write(folder.path().join(".curlrc"), rc).unwrap();
    let commands = commands();
    assert!(commands.len() >= 14, "{commands:#?}");
    for command in &commands {
        run(folder.path(), command).await;
    }
    let downloaded = std::fs::read(folder.path().join("downloaded.bin")).unwrap();
    assert_eq!(downloaded, [7; 5000]);
    let devices = app.fleet.devices_seen_last(None, 10).await.unwrap();
    let esp = devices
        .iter()
        .find(|device| device.id.as_str() == "esp32_001");
    assert_eq!(esp.unwrap().version.as_str(), "1.1.0");
}

async fn run(folder: &Path, command: &str) {
    let mut bash = Command::new("bash");
    bash.args(["-ec", command]).current_dir(folder);
    bash.env("CURL_HOME", folder).env("HOME", folder);
    let output = bash.output().await.unwrap();
    assert!(
        output.status.success(),
        "{command}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
