//! A server whose every key was stolen, against a real agent: nothing wrong is installed, and the report names the attack.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::MODEL;
use common::device::Device;
use common::publisher::{Publisher, Release, TEAM_KEY, key};
use common::server::{Artifacts, Server};
use jiff::{SignedDuration, Timestamp};
use otter_protocol::{AttemptState, Sha256Digest};
use otter_trust::RoleKeys;

struct Case {
    server: Server,
    publisher: Publisher,
    device: Device,
}

impl Case {
    async fn new() -> Self {
        Self::with("").await
    }

    /// One whose device has more in its configuration.
    async fn with(more: &str) -> Self {
        let server = Server::start().await;
        let publisher = Publisher::new();
        server.fleet().files = publisher.files.clone();
        let mut device = Device::with(&server, more);
        device.start();
        device.answers_with("1.0.0").await;
        Self {
            server,
            publisher,
            device,
        }
    }

    fn release(&mut self, version: &str) -> Release {
        let tree = self.device.tree(version, false);
        let release = self.publisher.release(version, &tree);
        self.serve();
        release
    }

    /// Has the team sign a release for these models, as its key can whatever it was given.
    fn team_release(&mut self, version: &str, models: &[&str]) -> Release {
        let tree = self.device.tree(version, false);
        let release = self.publisher.team_release(version, &tree, models);
        self.serve();
        release
    }

    /// Lets the server have what the publisher has.
    fn serve(&self) {
        self.server.fleet().files = self.publisher.files.clone();
    }

    async fn installs(&mut self, release: &Release) {
        let attempt = self.server.offer(release);
        let end = self.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
        let version = &release.artifact.facts.version;
        assert_eq!(self.device.whole_version(), *version);
    }

    /// Offers a release, which must fail with these words and change nothing.
    async fn refuses(&mut self, release: &Release, words: &str) {
        let before = self.device.whole_version();
        let attempt = self.server.offer(release);
        let end = self.server.end_of(attempt).await;
        let message = end.message.unwrap_or_default();
        assert_eq!(end.state, AttemptState::Failed, "{message}");
        assert!(message.contains(words), "{message}");
        assert_eq!(self.device.whole_version(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_to_metadata_of_yesterday() {
    let mut case = Case::new().await;
    let first = case.release("1.1.0");
    let yesterday = case.publisher.files.clone();
    let second = case.release("1.2.0");
    case.installs(&second).await;
    case.server.fleet().files = yesterday;
    case.refuses(&first, "rollback: timestamp version").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn freeze_behind_a_timestamp_of_the_far_future() {
    let mut case = Case::new().await;
    case.publisher.now -= SignedDuration::from_hours(24 * 30);
    let release = case.release("1.1.0");
    case.publisher
        .forge_timestamp(|signed| signed["expires"] = "9999-01-01T00:00:00Z".into());
    case.serve();
    case.refuses(&release, "freeze: snapshot metadata expired")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mix_and_match_of_two_days() {
    let mut case = Case::new().await;
    let first = case.release("1.1.0");
    let names: Vec<_> = case.publisher.files.keys().cloned().collect();
    let newest = |names: &[String]| {
        let snapshots = names.iter().filter(|name| name.ends_with(".snapshot.json"));
        snapshots.max().unwrap().clone()
    };
    let old = case.publisher.files[&newest(&names)].clone();
    case.release("1.2.0");
    let names: Vec<_> = case.publisher.files.keys().cloned().collect();
    case.publisher.files.insert(newest(&names), old);
    case.serve();
    case.refuses(&first, "mix-and-match").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_metadata_is_not_read_to_its_end() {
    let mut case = Case::new().await;
    let release = case.release("1.1.0");
    case.server.fleet().endless_file = Some("timestamp.json".to_owned());
    case.refuses(&release, "endless data: timestamp.json").await;
    case.server.fleet().endless_file = None;
    case.installs(&release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_artifact_and_one_of_another_length() {
    for (how, words) in [
        (Artifacts::Endless, "endless data: the server sends more"),
        (Artifacts::Longer, "wrong software: the server announces"),
        (Artifacts::Other, "wrong software: "),
    ] {
        let mut case = Case::new().await;
        let release = case.release("1.1.0");
        case.server.fleet().how = how;
        case.refuses(&release, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn right_digest_with_a_wrong_length() {
    let mut case = Case::new().await;
    let mut release = case.release("1.1.0");
    release.artifact.length -= 1;
    case.refuses(&release, "wrong software: the server offers a length of")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fast_forward_over_a_root_that_nobody_saw() {
    let mut case = Case::new().await;
    let release = case.release("1.1.0");
    case.publisher.rotate(&[1], |_| {});
    case.publisher.rotate(&[1], |_| {});
    let third = case.publisher.files["3.root.json"].clone();
    case.serve();
    case.server
        .fleet()
        .files
        .insert("2.root.json".to_owned(), third);
    case.refuses(&release, "fast-forward: root version 3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_signed_by_too_few() {
    for signers in [&[66][..], &[3, 4], &[]] {
        let mut case = Case::new().await;
        let release = case.release("1.1.0");
        case.publisher.rotate(signers, |root| {
            root.root = RoleKeys::new([key(66).public()], 1);
            root.targets = RoleKeys::new([key(67).public()], 1);
        });
        case.serve();
        case.refuses(&release, "root metadata carries 0 of the 1 signatures")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_signed_by_old_and_new_is_followed() {
    let mut case = Case::new().await;
    let first = case.release("1.1.0");
    case.installs(&first).await;
    case.publisher.rotate(&[1, 66], |root| {
        root.root = RoleKeys::new([key(66).public()], 1);
        root.targets = RoleKeys::new([key(67).public()], 1);
    });
    // The old key's signature is worth nothing now.
    case.serve();
    case.refuses(&first, "targets metadata carries 0 of the 1 signatures")
        .await;
    (case.publisher.targets_key, case.publisher.honest_key) = (67, 67);
    let second = case.release("1.2.0");
    case.installs(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn software_for_another_model() {
    let mut case = Case::new().await;
    case.publisher.model = "toaster".to_owned();
    let release = case.release("1.1.0");
    case.refuses(&release, "is signed for toaster, not for")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_release_counter_needs_a_signed_permission() {
    let mut case = Case::new().await;
    let first = case.release("1.1.0");
    let second = case.release("1.2.0");
    case.installs(&second).await;
    case.refuses(&first, "release counter 1, lower than 2")
        .await;
    case.publisher.permit_downgrade(&first);
    case.serve();
    case.installs(&first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_is_not_installed_whatever_the_server_says() {
    let mut case = Case::new().await;
    let release = case.release("1.1.0");
    case.publisher.withdraw(&release, "it bites");
    case.serve();
    case.refuses(&release, "was withdrawn by its publishers (it bites)")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_key_that_signs_for_a_model_it_was_not_given() {
    let mut case = Case::new().await;
    case.publisher.delegate(&["toaster"], TEAM_KEY);
    let release = case.team_release("1.1.0", &[MODEL]);
    case.refuses(&release, "wrong software: ").await;
    case.publisher.delegate(&[MODEL], TEAM_KEY);
    let both = case.team_release("1.2.0", &[MODEL, "toaster"]);
    case.refuses(&both, "for toaster, which team-a was not given")
        .await;
    // What it was given it signs, and the publishers' own list goes on beside it.
    let third = case.team_release("1.3.0", &[MODEL]);
    case.installs(&third).await;
    let fourth = case.release("1.4.0");
    case.installs(&fourth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_that_was_taken_back() {
    let mut case = Case::new().await;
    case.publisher.delegate(&[MODEL], TEAM_KEY);
    let first = case.team_release("1.1.0", &[MODEL]);
    case.installs(&first).await;
    let given = case.team_release("1.2.0", &[MODEL]);
    let before = case.publisher.files.clone();
    case.publisher.delegate(&[], TEAM_KEY);
    case.serve();
    case.refuses(&given, "is not in the signed targets").await;
    let signed_after = case.team_release("1.3.0", &[MODEL]);
    case.refuses(&signed_after, "is not in the signed targets")
        .await;
    case.server.fleet().files = before;
    case.refuses(&given, "rollback: ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_list_with_a_lower_release_counter_and_one_that_has_ended() {
    let mut case = Case::new().await;
    case.publisher.delegate(&[MODEL], TEAM_KEY);
    let first = case.team_release("1.1.0", &[MODEL]);
    let second = case.team_release("1.2.0", &[MODEL]);
    case.installs(&second).await;
    case.refuses(&first, "release counter 1, lower than 2")
        .await;
    let tree = case.device.tree("1.3.0", false);
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    let third = case
        .publisher
        .team_release_until("1.3.0", &tree, &[MODEL], yesterday);
    case.serve();
    case.refuses(&third, "freeze: targets metadata expired")
        .await;
    // The publishers' own list doesn't wait for the team's.
    let fourth = case.release("1.4.0");
    case.installs(&fourth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_list_that_others_signed() {
    let mut case = Case::new().await;
    case.publisher.delegate(&[MODEL], 91);
    let release = case.team_release("1.1.0", &[MODEL]);
    case.refuses(&release, "carries 0 of the 1 signatures")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extraneous_dependencies_are_neither_fetched_nor_installed() {
    let mut case = Case::new().await;
    let wanted = case.release("1.2.0");
    // "First this one": what nobody signed, and what somebody signed for other devices.
    let mut thief = Publisher::with_keys(100);
    let unsigned = thief.release("1.1.0", &case.device.tree("1.1.0", false));
    case.publisher.model = "toaster".to_owned();
    let of_others = case.release("1.1.1");
    for (extra, words) in [
        (&unsigned, "is not in the signed targets"),
        (&of_others, "is signed for toaster, not for"),
    ] {
        case.refuses(extra, words).await;
    }
    assert!(case.server.fleet().fetches.is_empty());
    // The right release, and beside it whatever else it is said to need.
    let more = [&unsigned, &of_others].map(|extra| {
        let name = extra.artifact.sha256.to_string();
        let mut fleet = case.server.fleet();
        fleet.artifacts.insert(name.clone(), extra.bytes.clone());
        serde_json::json!({"sha256": name, "url": format!("/device/v1/artifacts/{name}"), "install": "first"})
    });
    let words = ["requires", "dependencies", "artifacts"];
    let also = words.map(|word| (word.to_owned(), serde_json::json!(more)));
    case.server.fleet().also = Some(serde_json::Map::from_iter(also));
    case.installs(&wanted).await;
    let fleet = case.server.fleet();
    assert_eq!(fleet.served, wanted.bytes.len());
    assert_eq!(fleet.fetches.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_retrieval_is_ended_and_named() {
    let mut case = Case::new().await;
    case.device.stop().await;
    case.device.edit(
        "[download]",
        "[download]\nmin_bytes_per_sec = 1000000000\nmin_speed_over_sec = 0.05",
    );
    case.device.start();
    case.device.answers_with("1.0.0").await;
    let release = case.release("1.1.0");
    case.server.fleet().how = Artifacts::Slow(40);
    case.refuses(&release, "slow retrieval: only").await;
    case.server.fleet().how = Artifacts::Whole;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_root_with_another_fingerprint_is_not_trusted() {
    let server = Server::start().await;
    let publisher = Publisher::new();
    server.fleet().files = publisher.files.clone();
    let expected = Sha256Digest::of(publisher.root());
    let mut thief = Publisher::with_keys(100);
    let mut device = Device::with(&server, &format!("root_fingerprint = \"{expected}\""));
    let release = thief.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = thief.files.clone();
    device.start();
    for words in [
        "but `root_fingerprint` says",
        "is not in the signed targets",
    ] {
        let attempt = server.offer(&release);
        let end = server.end_of(attempt).await;
        let message = end.message.unwrap_or_default();
        assert_eq!(end.state, AttemptState::Failed, "{message}");
        assert!(message.contains(words), "{message}");
        // From now on the rightful server answers.
        server.fleet().files = publisher.files.clone();
    }
    assert_eq!(device.whole_version(), "1.0.0");
}
