//! The example client for MicroPython, as a device with it lives.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::esp::{list, roll_out, try_upload};
use crate::common::{TestApp, micropython, on_each_database};

const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/micropython/otter_client.py"
);
const MODEL: &str = "esp32-mpy";
/// What the client's exit status asks for a restart by.
const RESTART: i32 = 10;

/// A board, with what lies on its flash.
struct Board {
    flash: TempDir,
    url: String,
}

impl Board {
    fn new(app: &TestApp) -> Self {
        let flash = tempfile::tempdir().unwrap();
        std::fs::write(flash.path().join("app_a.py"), program("1.0.0", "True")).unwrap();
        Self {
            flash,
            url: format!("http://{}", app.address),
        }
    }

    /// Starts it once; returns the exit status and what its program said.
    async fn start(&self) -> (i32, String) {
        let mut command = Command::new(micropython());
        command.arg(CLIENT).args([&self.url, "board 1", MODEL]);
        let output = command.arg(self.flash.path()).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        (
            output.status.code().unwrap_or(-1),
            format!("{said}{errors}"),
        )
    }

    fn state(&self) -> Value {
        let text = std::fs::read(self.flash.path().join("state.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

/// A program that says its version, with a test that comes to `works`; larger than a few chunks.
fn program(version: &str, works: &str) -> String {
    let filling = "# filling\n".repeat(2000);
    format!(
        "{filling}def self_test():\n    return {works}\n\ndef main():\n    print('hello from {version}')\n"
    )
}

async fn publish(app: &TestApp, version: &str, program: &str) {
    let key = app.operator().secret.unwrap();
    let query = format!("version={version}&device_model={MODEL}");
    try_upload(app, &key, &query, program.as_bytes())
        .await
        .expect_status(200);
    roll_out(app, version, json!({"device_model": MODEL})).await;
}

async fn last_word(app: &TestApp, version: &str) -> Value {
    let path = format!("/api/admin/update-status?device_id=board%201&firmware_version={version}");
    list(app, &path).await["updates"][0].clone()
}

on_each_database! {
    async fn a_board_updates_and_goes_back(app: TestApp) {
        let board = Board::new(&app);
        let (status, said) = board.start().await;
        assert!(status == 0 && said.contains("hello from 1.0.0"), "{status}: {said}");

        publish(&app, "1.1.0", &program("1.1.0", "True")).await;
        let (status, said) = board.start().await;
        assert!(status == RESTART && said.contains("hello from 1.0.0"), "{status}: {said}");
        assert_eq!(last_word(&app, "1.1.0").await["status"], "installing");
        let (status, said) = board.start().await;
        assert!(status == 0 && said.contains("hello from 1.1.0"), "{status}: {said}");
        assert_eq!(last_word(&app, "1.1.0").await["status"], "success");

        // One whose test fails, one that ends the interpreter before it comes so far: both are given up.
        let cases = [("1.2.0", program("1.2.0", "False"), 1), ("1.3.0", "raise SystemExit(3)\n".to_owned(), 2)];
        for (version, program, starts) in cases {
            publish(&app, version, &program).await;
            assert_eq!(board.start().await.0, RESTART);
            let mut said = String::new();
            for _ in 0..starts {
                said = board.start().await.1;
            }
            assert!(said.contains("hello from 1.1.0"), "{version}: {said}");
            let word = last_word(&app, version).await;
            assert_eq!(word["status"], "rolled_back", "{word}");
            assert!(word["error_message"].is_string(), "{word}");
        }
        assert_eq!(board.state()["version"], "1.1.0");
        let device: Value = app.viewer().get("/api/v1/devices/board%201").await.expect(200);
        assert_eq!(device["version"], "1.1.0");
    }
}

on_each_database! {
    async fn bytes_with_another_checksum_are_never_tried(app: TestApp) {
        let board = Board::new(&app);
        publish(&app, "1.1.0", &program("1.1.0", "True")).await;
        let stored = app.stored_files();
        falsify(&stored[0]);
        let (status, said) = board.start().await;
        assert_eq!(status, 0, "{said}");
        let word = last_word(&app, "1.1.0").await;
        assert_eq!((&word["status"], &word["error_message"]), (&json!("failed"), &json!("the checksum differs")));
        let (_, said) = board.start().await;
        assert!(said.contains("hello from 1.0.0"), "{said}");
    }
}

/// Changes one byte of a file, and not its length.
fn falsify(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
