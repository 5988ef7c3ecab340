//! Back-ups of a server that serves, and what goes on from them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use otter_protocol::check_in::Instruction;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;

use super::program::{Place, Serving, text};
use crate::common::{Publisher, TestApp, TestDatabase, TestDevice, eventually};

fn arguments<'a>(database: &'a str, data: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["--database-url", database, "--data-dir", data];
    all.extend(rest);
    all
}

/// Devices poll and enroll while it is backed up; what is restored has whole updates, and they go on with their tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_goes_on_from_a_back_up_that_was_made_under_load() {
    let app = Arc::new(TestApp::start(TestDatabase::sqlite()).await);
    let mut publisher = Publisher::new(&app).await;
    let device = TestDevice::enroll(&app, "before").await;
    publisher.roll_out(&app, "2.0.0", b"two").await;
    let offer = device.offer().await;
    let (stop, enrolled) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let load: Vec<_> = (0..4)
        .map(|worker| {
            let (app, stop, enrolled) = (app.clone(), stop.clone(), enrolled.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let device = TestDevice::enroll(&app, &format!("load-{worker}-{number}")).await;
                    device.check_in().await;
                    enrolled.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually("some load", async || {
        (enrolled.load(Ordering::Relaxed) > 20).then_some(())
    })
    .await;

    let place = Arc::new(Place::new());
    let config = app.fleet.config();
    let otter_fleet::ArtifactPlace::Folder(artifacts) = &config.artifacts else {
        panic!("the artifacts lie in {}", config.artifacts);
    };
    let data = artifacts.parent().unwrap().to_str().unwrap();
    let (url, data) = (config.database_url.clone(), data.to_owned());
    let run = async |database: &str, data: &str, rest: &[&str]| {
        let mut command = place.command(&arguments(database, data, rest));
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    };
    let output = run(&url, &data, &["backup", "saved"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let during = enrolled.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.unwrap();
    }
    assert!(during > 20);
    let mode = |name: &str| {
        let path = place.path().join("saved").join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(
        (mode(""), mode("otter.db"), mode("manifest.json")),
        (0o700, 0o600, 0o600)
    );

    // Never over something that is there.
    let refused = run(&url, &data, &["backup", "saved"]).await;
    assert!(text(&refused.stderr).contains("nothing is overwritten"));
    let refused = run(&url, &data, &["restore", "saved"]).await;
    assert!(text(&refused.stderr).contains("nothing is overwritten"));

    let restored = TestDatabase::sqlite();
    let new_data = restored.folder.path().join("data");
    let new_data = new_data.to_str().unwrap();
    let output = run(&restored.url, new_data, &["restore", "saved"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("whose chain holds"));

    let again = TestApp::start(restored).await;
    let mut device = device;
    device.http.url = format!("http://{}", again.address);
    assert!(
        matches!(device.check_in().await.instruction, Instruction::Install(same) if same.attempt == offer.attempt)
    );
    assert_eq!(device.http.get(&offer.artifact.url).await.body, "two");
    device.version = "2.0.0".to_owned();
    device
        .report(&offer, otter_protocol::AttemptState::Succeeded, None)
        .await;
    let check = again.fleet.verify_audit().await.unwrap();
    assert_eq!(check.broken_at, None);
    publisher.publish(&again, "3.0.0", b"three").await;
}

#[tokio::test]
async fn what_was_changed_or_broken_off_is_not_restored() {
    let place = Place::new();
    assert!(place.run(&["migrate"]).status.success());
    assert!(place.run(&["backup", "saved"]).status.success());
    let restore = |data: &str| place.run(&["restore", "saved", "--data-dir", data]);
    let database = place.path().join("saved/otter.db");
    let good = fs::read(&database).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&database, bad).unwrap();
    let output = restore("one");
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("isn't what was backed up"),
        "{}",
        text(&output.stderr)
    );
    fs::write(&database, good).unwrap();
    let manifest = place.path().join("saved/manifest.json");
    let text_of = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    let output = restore("two");
    assert!(
        text(&output.stderr).contains("is no back-up"),
        "{}",
        text(&output.stderr)
    );
    fs::write(&manifest, text_of).unwrap();
    assert!(restore("three").status.success());
    let other = place.run(&[
        "backup",
        "elsewhere",
        "--database-url",
        "postgres://db/otter",
    ]);
    assert!(
        text(&other.stderr).contains("pg_dump"),
        "{}",
        text(&other.stderr)
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let place = Place::new();
    assert!(place.run(&["migrate"]).status.success());
    let url = format!("sqlite://{}", place.path().join("data/otter.db").display());
    let database = Database::connect(&url).await.unwrap();
    database
        .execute_unprepared(
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)",
        )
        .await
        .unwrap();
    for arguments in [&[][..], &["migrate"]] {
        let output = place.run(arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success());
        assert!(
            said.contains("newer than this otter-server") && said.contains("m9999_future"),
            "{said}"
        );
    }
}

/// Several that start at once on an empty database: one brings the schema up, the others wait, and all serve.
#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_once() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let place = Place::new();
    let start = |data: &'static str| {
        let mut command = place.command(&["--data-dir", data, "--log", "info"]);
        command.env("DATABASE_URL", &database.url);
        command
    };
    let started: Vec<_> = ["a", "b", "c"]
        .map(|data| {
            let mut command = start(data);
            tokio::task::spawn_blocking(move || Serving::start(&mut command))
        })
        .into();
    let mut servers = Vec::new();
    for one in started {
        servers.push(one.await.unwrap());
    }
    let connection = Database::connect(&database.url).await.unwrap();
    let steps = connection
        .query_all_raw(sea_orm::Statement::from_string(
            sea_orm::DatabaseBackend::Postgres,
            "SELECT version FROM seaql_migrations",
        ))
        .await
        .unwrap();
    assert!(steps.len() >= 10);
    for server in &servers {
        let health = reqwest::get(format!("{}/health", server.url))
            .await
            .unwrap();
        assert_eq!(
            health.json::<serde_json::Value>().await.unwrap(),
            json!({"status": "healthy"})
        );
    }
}
