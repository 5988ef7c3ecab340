//! Teams that sign for their models alone: what the server takes from them, what it tells devices, and what it warns of.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use otter_protocol::ProblemCode;
use otter_protocol::admin::TrustWarning;
use otter_protocol::release::{Release, ReleaseState};
use otter_trust::{
    DelegatedRole, Delegation, Document, RoleKeys, SecretKey, SignedArtifact, TargetsDocument,
};

use crate::common::devices::{MODEL, model};
use crate::common::metadata::{file, verify_as_device};
use crate::common::publisher::{Publisher, YEAR, draft, key, new_release, sign, targets_of};
use crate::common::{World, ann, each_database, refuses};

/// A team with one key.
struct Team {
    list: TargetsDocument,
    key: SecretKey,
}

fn role() -> DelegatedRole {
    DelegatedRole::new("team-a").unwrap()
}

impl Team {
    fn new() -> Self {
        Self {
            list: TargetsDocument::delegated(role()),
            key: key(111),
        }
    }

    fn signed(&self, world: &World, life: SignedDuration) -> Vec<u8> {
        let document = self.list.finish(world.now().to_jiff(), life).unwrap();
        sign(document, &[&self.key])
    }

    /// Sends the list, which becomes what the next one begins with.
    async fn send(&mut self, world: &World) -> Result<(), otter_fleet::Error> {
        let bytes = self.signed(world, YEAR);
        world.fleet.put_targets(&ann(), &bytes).await?;
        self.list = TargetsDocument::parse(&bytes).unwrap();
        Ok(())
    }

    /// Adds what it signs of a release, under this counter.
    fn add(&mut self, release: &Release, counter: u64) -> Vec<SignedArtifact> {
        self.list.know_counter(counter - 1).unwrap();
        let artifacts = targets_of(release, counter);
        for artifact in &artifacts {
            self.list.add(artifact).unwrap();
        }
        artifacts
    }
}

/// Gives models to the team, and sends the publishers' list; no models take everything back.
async fn delegate(
    world: &World,
    publisher: &mut Publisher,
    models: &[&str],
    seed: u8,
) -> Result<(), otter_fleet::Error> {
    let mut all = publisher.targets.delegations().unwrap();
    all.0.remove(&role());
    if !models.is_empty() {
        let delegation = Delegation {
            models: models.iter().map(ToString::to_string).collect(),
            keys: RoleKeys::new([key(seed).public()], 1),
        };
        all.0.insert(role(), delegation);
    }
    publisher.targets.set_delegations(&all).unwrap();
    publisher.send(&world.fleet).await
}

/// Makes a draft for these models.
async fn draft_for(world: &World, version: &str, models: &[&str]) -> Release {
    let stored = world.upload(version.as_bytes()).await;
    let mut new = new_release(version, stored.sha256);
    new.artifacts[0].models = models.iter().map(|name| model(name)).collect();
    world.fleet.create_release(&ann(), &new).await.unwrap()
}

async fn state(world: &World, release: &Release) -> ReleaseState {
    world.fleet.release(release.id).await.unwrap().release.state
}

each_database!(a_team_publishes_for_its_models, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let mut team = Team::new();
    let of_team = draft_for(world, "7.0", &["gateway", "esp32/v2"]).await;
    team.add(&of_team, 1);
    let nothing = team.send(world).await;
    refuses(
        nothing,
        ProblemCode::Conflict,
        "Nothing is delegated to team-a",
    );
    publisher.publish(world, "1.0.0").await;
    delegate(world, &mut publisher, &["gateway", "esp32/v2"], 111)
        .await
        .unwrap();

    // Everybody's counters are one row, so that a counter that was given is refused whoever gives it.
    let taken = team.send(world).await;
    refuses(taken, ProblemCode::Untrusted, "was given before");
    let mut team = Team::new();
    team.add(&of_team, 3);
    let skipped = team.send(world).await;
    refuses(skipped, ProblemCode::Untrusted, "release counter 3 skips 2");
    let mut team = Team::new();
    let signed = team.add(&of_team, 2);
    team.send(world).await.unwrap();
    assert_eq!(state(world, &of_team).await, ReleaseState::Published);
    verify_as_device(world, 1, 2).await;
    let list = file(world, "1.team-a.json").await;
    assert_eq!(
        TargetsDocument::parse(&list).unwrap().artifacts().unwrap(),
        signed
    );
    let timestamp: serde_json::Value =
        serde_json::from_slice(&file(world, "timestamp.json").await).unwrap();
    let version = &timestamp["signed"]["meta"]["snapshot.json"]["version"];
    let snapshot = file(world, &format!("{version}.snapshot.json")).await;
    let snapshot: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!(snapshot["signed"]["meta"]["team-a.json"]["version"], 1);

    // The publishers go on after it, and what the team does is in the log under its name.
    publisher.targets.know_counter(2).unwrap();
    publisher.publish(world, "1.1.0").await;
    let events = world.events("trust.targets").await;
    let subjects: Vec<_> = events.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(subjects, ["targets", "targets", "team-a", "targets"]);
    let after = events[1].after.as_ref().unwrap();
    assert_eq!(after["delegated"]["team-a"]["models"][0], "esp32/v2");
});

each_database!(a_team_signs_for_no_other_model, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    delegate(world, &mut publisher, &["gateway"], 111)
        .await
        .unwrap();
    for models in [&[MODEL][..], &["gateway", MODEL]] {
        let mut team = Team::new();
        let others = draft_for(world, &format!("1.{}", models.len()), models).await;
        team.add(&others, 1);
        let error = team.send(world).await;
        let words = format!("is signed by team-a for {MODEL}, which team-a was not given");
        refuses(error, ProblemCode::Untrusted, &words);
        assert_eq!(state(world, &others).await, ReleaseState::Draft);
    }
    let mut stranger = Team::new();
    stranger.key = key(112);
    let own = draft_for(world, "2.0", &["gateway"]).await;
    stranger.add(&own, 1);
    refuses(
        stranger.send(world).await,
        ProblemCode::Untrusted,
        "carries 0 of the 1 signatures",
    );
    assert_eq!(
        world.fleet.trust_metadata("1.team-a.json").await.unwrap(),
        None
    );
});

each_database!(keys_that_devices_must_not_trust_are_refused, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    let online = world.fleet.online_keys().await.unwrap();
    let snapshot = crate::common::publisher::public(&online.snapshot);
    for (key, words) in [
        (snapshot, "stolen server"),
        (publisher.targets_key.public(), "every model already"),
    ] {
        let mut all = publisher.targets.delegations().unwrap();
        let delegation = Delegation {
            models: BTreeSet::from([MODEL.to_owned()]),
            keys: RoleKeys::new([key], 1),
        };
        all.0.insert(role(), delegation);
        let before = publisher.targets.clone();
        publisher.targets.set_delegations(&all).unwrap();
        let error = publisher.send(&world.fleet).await;
        refuses(error, ProblemCode::Untrusted, words);
        publisher.targets = before;
    }
    // Nor does a root come that gives a team's key every model.
    delegate(world, &mut publisher, &["gateway"], 111)
        .await
        .unwrap();
    let mut root = publisher.root.next(world.now().to_jiff(), YEAR).unwrap();
    root.targets.keys.push(key(111).public());
    let bytes = sign(root.to_document().unwrap(), &[&publisher.root_key]);
    let error = world.fleet.put_root(&ann(), &bytes).await;
    refuses(error, ProblemCode::Untrusted, "every model already");
});

each_database!(what_is_taken_back_loses_nothing_unsaid, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    delegate(world, &mut publisher, &["gateway", "toaster"], 111)
        .await
        .unwrap();
    let mut team = Team::new();
    let (one, two) = (
        draft_for(world, "1", &["gateway"]).await,
        draft_for(world, "2", &["toaster"]).await,
    );
    team.add(&one, 1);
    team.send(world).await.unwrap();
    team.add(&two, 2);
    team.send(world).await.unwrap();

    let before = publisher.targets.clone();
    let lost = delegate(world, &mut publisher, &[], 0).await;
    refuses(
        lost,
        ProblemCode::Untrusted,
        "of release 1, which is published",
    );
    publisher.targets = before.clone();
    let narrower = delegate(world, &mut publisher, &["gateway"], 111).await;
    refuses(
        narrower,
        ProblemCode::Untrusted,
        "of release 2, which is published",
    );
    publisher.targets = before;
    world
        .fleet
        .withdraw_release(&ann(), two.id, "")
        .await
        .unwrap();
    delegate(world, &mut publisher, &["gateway"], 111)
        .await
        .unwrap();
    // Taken back with its releases, which the publishers sign from now on.
    let given = BTreeSet::from(["gateway".to_owned()]);
    let mut left = team.list.clone();
    assert_eq!(left.leave_only(&given).unwrap().len(), 1);
    publisher.targets.take_over(&left, true).unwrap();
    delegate(world, &mut publisher, &[], 0).await.unwrap();
    assert_eq!(state(world, &one).await, ReleaseState::Published);
    assert_eq!(world.fleet.trust_status().await.unwrap().delegated, []);
    // The file stays named, and may be asked for: devices have seen it.
    assert!(
        world
            .fleet
            .trust_metadata("2.team-a.json")
            .await
            .unwrap()
            .is_some()
    );
    let published = publisher.publish(world, "3").await;
    assert_eq!(published.release_counter, Some(3));
    let error = team.send(world).await;
    refuses(
        error,
        ProblemCode::Untrusted,
        "nothing is delegated to team-a",
    );
});

each_database!(a_team_withdraws_its_own, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    publisher.publish(world, "1.0.0").await;
    let others = publisher.targets.artifacts().unwrap().remove(0);
    delegate(world, &mut publisher, &["gateway"], 111)
        .await
        .unwrap();
    let mut team = Team::new();
    let own = draft_for(world, "2", &["gateway"]).await;
    let signed = team.add(&own, 2).remove(0);
    team.send(world).await.unwrap();

    let mut file: serde_json::Value = serde_json::from_slice(&team.signed(world, YEAR)).unwrap();
    file["signed"]["x-otter-withdrawn"][others.sha256.to_string()] = "spite".into();
    file["signatures"] = serde_json::json!([]);
    let spite = Document::parse(&serde_json::to_vec(&file).unwrap()).unwrap();
    let spite = sign(spite, &[&team.key]);
    let error = world.fleet.put_targets(&ann(), &spite).await;
    refuses(error, ProblemCode::Untrusted, "on a list that never had it");

    world
        .fleet
        .withdraw_release(&ann(), own.id, "")
        .await
        .unwrap();
    team.list.withdraw(&signed.name(), "it bites").unwrap();
    team.send(world).await.unwrap();
    // Not a second time, and never forgotten.
    team.list = TargetsDocument::parse(&team.signed(world, YEAR)).unwrap();
    let mut forgetful = TargetsDocument::delegated(role());
    while forgetful.version() < 3 {
        let next = forgetful.finish(world.now().to_jiff(), YEAR).unwrap();
        forgetful = TargetsDocument::parse(&next.to_bytes().unwrap()).unwrap();
    }
    let bytes = sign(
        forgetful.finish(world.now().to_jiff(), YEAR).unwrap(),
        &[&team.key],
    );
    let error = world.fleet.put_targets(&ann(), &bytes).await;
    refuses(error, ProblemCode::Untrusted, "was withdrawn");
});

each_database!(a_teams_list_is_warned_of, |database| {
    let world = &World::new(database).await;
    let mut publisher = Publisher::set_up(world).await;
    draft(world, "1.0.0").await;
    delegate(world, &mut publisher, &["gateway"], 111)
        .await
        .unwrap();
    let mut team = Team::new();
    let own = draft_for(world, "2", &["gateway"]).await;
    team.add(&own, 1);
    let bytes = team.signed(world, SignedDuration::from_hours(24 * 10));
    world.fleet.put_targets(&ann(), &bytes).await.unwrap();
    let status = world.fleet.trust_status().await.unwrap();
    let [delegated] = &status.delegated[..] else {
        panic!("one role")
    };
    assert_eq!(
        (delegated.role.as_str(), delegated.version),
        ("team-a", Some(1))
    );
    assert_eq!(delegated.models, ["gateway"]);
    let (role_name, at) = (delegated.role.clone(), delegated.expires_at.unwrap());
    let ends = TrustWarning::DelegatedEnds {
        role: role_name.clone(),
        at,
        is_over: false,
    };
    assert_eq!(world.fleet.trust_warnings().await.unwrap(), [ends]);
    // Other keys: what the old ones signed counts no more, until the team has signed anew.
    delegate(world, &mut publisher, &["gateway"], 112)
        .await
        .unwrap();
    assert_eq!(state(world, &own).await, ReleaseState::Published);
    let untrusted = TrustWarning::DelegatedUntrusted { role: role_name };
    assert_eq!(world.fleet.trust_warnings().await.unwrap(), [untrusted]);
    team.list = TargetsDocument::parse(&bytes).unwrap();
    team.key = key(112);
    team.send(world).await.unwrap();
    assert_eq!(world.fleet.trust_warnings().await.unwrap(), []);
});
