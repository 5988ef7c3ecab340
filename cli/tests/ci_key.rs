//! Keys where nobody types a passphrase, and what one key may permit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use common::{House, lock, write};

const PUBLISH: [&str; 6] = [
    "release",
    "publish",
    "--model",
    "rpi4",
    "--version",
    "1.0.0",
];

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_variable_signs_in_ci() {
    let house = House::with_trust().await;
    let secret = house
        .otter(&["key", "export", "--secret", "targets.key"])
        .await
        .ok();
    write(house.path("app/run"), "#!/bin/sh\n");
    let publish = with(&PUBLISH, &["--key", "env:TARGETS_KEY", "app"]);
    let error = house.otter(&publish).await.fails(1);
    assert!(error.contains("TARGETS_KEY holds no key"), "{error}");
    let ran = |text: String| {
        let mut command = house.command(&publish);
        command
            .env("TARGETS_KEY", text)
            .env_remove("OTTER_PASSPHRASE");
        async move { command.output().await.unwrap() }
    };
    let broken = ran(secret[..20].to_owned()).await;
    let error = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(
        !broken.status.success() && !error.contains(&secret[..20]),
        "{error}"
    );
    let done = ran(secret.clone()).await;
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(lock(&house.world).publishing.signed().len(), 1);

    let permit = [
        "release",
        "permit-downgrade",
        "1.0.0",
        "--key",
        "targets.key",
    ];
    house.otter(&permit).await.ok();
    assert!(
        lock(&house.world).publishing.signed()[0]
            .facts
            .downgrade_permitted
    );
    house.otter(&with(&permit, &["--no-longer"])).await.ok();
    assert!(
        !lock(&house.world).publishing.signed()[0]
            .facts
            .downgrade_permitted
    );
}
