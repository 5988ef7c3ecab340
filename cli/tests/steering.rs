//! What people do to rollouts and groups from the command line is what the server is asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod common;

use common::{House, lock, write};
use serde_json::{Value, json};

async fn publish(house: &House, version: &str) {
    write(house.path("app/run"), version);
    let publish = ["release", "publish", "--key", "targets.key", "--version"];
    let publish = [&publish[..], &[version, "--model", "rpi4", "app"]].concat();
    house.otter(&publish).await.ok();
}

async fn house() -> House {
    let house = House::with_trust().await;
    publish(&house, "1.1.0").await;
    house
}

async fn create(house: &House, more: &[&str]) -> Value {
    let create = ["rollout", "create", "--release", "1.1.0", "--name", "n"];
    let ran = house
        .otter(&[&create[..], more, &["--json"]].concat())
        .await;
    ran.json()
}

fn steered(house: &House) -> Vec<(usize, String, Value)> {
    std::mem::take(&mut lock(&house.world).steered)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_asks_for_itself_with_its_reason() {
    let house = house().await;
    create(&house, &["--phases", "5,100"]).await;
    for verb in [
        "start",
        "approve",
        "pause",
        "resume",
        "approve-gate",
        "skip-gate",
        "roll-back",
        "retry-failed",
    ] {
        let said = house.otter(&["rollout", verb, "1", "--reason", "because"]);
        let said = said.await.ok();
        assert!(said.contains("because"), "{said}");
        let asked = (1, verb.to_owned(), json!({"reason": "because"}));
        assert_eq!(steered(&house), [asked]);
    }
    let abort = ["rollout", "abort", "1", "--reason", "why", "--under-way"];
    house.otter(&[&abort[..], &["finish"]].concat()).await.ok();
    let body = json!({"reason": "why", "under_way": "finish"});
    assert_eq!(steered(&house), [(1, "abort".to_owned(), body)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_is_not_skipped_without_a_reason() {
    let house = house().await;
    create(&house, &["--phases", "5,100"]).await;
    for reason in [&[][..], &["--reason", " "]] {
        let skip = [&["rollout", "skip-gate", "1"][..], reason].concat();
        let error = house.otter(&skip).await.fails(2);
        assert!(error.contains("--reason"), "{error}");
    }
    assert_eq!(steered(&house), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_and_templates_are_asked_for_by_the_address() {
    let house = house().await;
    let draft = create(&house, &["--phases", "5,100", "--draft"]).await;
    assert_eq!(draft["state"], "draft");
    let rings = create(&house, &["--template", "rings", "--priority", "3"]).await;
    assert_eq!(rings["phases"][0]["name"], "rings");
    assert_eq!(
        (&rings["priority"], &rings["state"]),
        (&json!(3), &json!("running"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_go_to_the_halves_of_one_split() {
    let house = house().await;
    publish(&house, "1.2.0").await;
    let ab = [
        "rollout", "ab", "--a", "1.1.0", "--b", "1.2.0", "--salt", "trial",
    ];
    let ab = [&ab[..], &["--phases", "10,100"]].concat();
    let said = house.otter(&ab).await.ok();
    assert!(said.contains("--rollouts 1,2"), "{said}");
    let rollouts = lock(&house.world).rollouts.clone();
    let part = |rollout: &Value| {
        let audience = &rollout["audience"];
        (
            audience["salt"].clone(),
            audience["from"].clone(),
            audience["until"].clone(),
        )
    };
    assert_eq!(
        part(&rollouts[0]),
        (json!("trial"), json!(0.0), json!(50.0))
    );
    assert_eq!(
        part(&rollouts[1]),
        (json!("trial"), json!(50.0), json!(100.0))
    );
    let releases = rollouts.iter().map(|rollout| rollout["release"].clone());
    assert_eq!(releases.collect::<Vec<_>>(), [json!(1), json!(2)]);
    let verbs = steered(&house).into_iter().map(|(id, verb, _)| (id, verb));
    let start = || "start".to_owned();
    assert_eq!(verbs.collect::<Vec<_>>(), [(1, start()), (2, start())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_half_begins_without_the_other() {
    let house = house().await;
    publish(&house, "1.2.0").await;
    lock(&house.world).refuses_release = Some(2);
    let ab = [
        "rollout", "ab", "--a", "1.1.0", "--b", "1.2.0", "--salt", "trial",
    ];
    let error = house
        .otter(&[&ab[..], &["--phases", "100"]].concat())
        .await
        .fails(1);
    assert!(error.contains("withdrawn"), "{error}");
    let asked = steered(&house);
    assert_eq!(
        (asked.len(), asked[0].0, asked[0].1.as_str()),
        (1, 1, "abort")
    );
    assert_eq!(lock(&house.world).rollouts[0]["state"], "aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_its_window_and_keeps_the_rest() {
    let house = House::new().await;
    let put = ["group", "put", "night", "--selector", "site=lab"];
    house.otter(&put).await.ok();
    let put = ["group", "put", "night", "--window"];
    let window = "mon-fri 22:00-04:00 Europe/Helsinki";
    let said = house.otter(&[&put[..], &[window]].concat()).await.ok();
    assert!(said.contains("22:00-04:00 Europe/Helsinki"), "{said}");
    let groups = lock(&house.world).groups.clone();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["selector"], "site=lab");
    assert_eq!(groups[0]["window"]["zone"], "Europe/Helsinki");
    let listed = house.otter(&["group", "list"]).await.ok();
    assert!(
        listed.contains("night  site=lab  mon+tue+wed+thu+fri"),
        "{listed}"
    );
    let error = house.otter(&["group", "show", "day"]).await.fails(1);
    assert!(error.contains("no group day"), "{error}");
}
