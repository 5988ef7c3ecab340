//! Webhooks are made, changed and taken away; secrets stay secret.

use otter_protocol::ProblemCode;
use otter_protocol::admin::{NewWebhook, WebhookPatch};
use serde_json::json;

use crate::common::{World, ann, each_database, refuses, refuses_field};
use crate::receiver::{hook, listen, take_all, take_once};
use crate::world::roll_out;

each_database!(secrets_sign_for_a_day_after_they_were_changed, |database| {
    let world = &World::new(database).await;
    let made = world.fleet.create_webhook(&ann(), &hook(&["*"])).await;
    let made = made.unwrap();
    assert!(made.secret.starts_with("otw_") && made.secret.len() == 47);
    let secrets = || async {
        world
            .fleet
            .ping_webhook(&ann(), made.made.id)
            .await
            .unwrap();
        let due = take_once(&world.fleet, 200).await.remove(0);
        assert!(!format!("{due:?}").contains("otw_"));
        let exposed = due.secrets.iter().map(|secret| secret.expose().to_owned());
        assert!(!format!("{:?}", due.secrets).contains("otw_"));
        exposed.collect::<Vec<_>>()
    };
    assert_eq!(secrets().await, std::slice::from_ref(&made.secret));
    let rotated = world.fleet.rotate_webhook(&ann(), made.made.id).await;
    let rotated = rotated.unwrap();
    assert_ne!(rotated.secret, made.secret);
    assert_eq!(
        rotated.made.former_secret_until,
        Some(world.now().plus_sec(24 * 3600))
    );
    let both = [rotated.secret.clone(), made.secret.clone()];
    assert_eq!(secrets().await, both);
    world.pass_sec(24 * 3600 - 1);
    assert_eq!(secrets().await, both);
    world.pass_sec(1);
    assert_eq!(secrets().await, std::slice::from_ref(&rotated.secret));
    let listed = world.fleet.webhooks().await.unwrap();
    assert_eq!(listed[0].former_secret_until, None);
    for event in world.events("webhook.*").await {
        let text = serde_json::to_string(&event).unwrap();
        assert!(
            !text.contains("otw_") && !text.contains("token-1"),
            "{text}"
        );
    }
    let texts = world.texts("SELECT after_json FROM events WHERE action = 'webhook.create'");
    assert!(texts.await[0].contains("https://example.org"));
});

each_database!(every_change_is_on_record, |database| {
    let world = &World::new(database).await;
    let id = listen(world, &["rollout.*"]).await;
    let patch = WebhookPatch {
        url: Some("http://example.org:8080/x".to_owned()),
        enabled: Some(false),
        ..WebhookPatch::default()
    };
    let changed = world.fleet.change_webhook(&ann(), id, &patch).await;
    let changed = changed.unwrap().spec;
    assert_eq!(changed.url, "http://example.org:8080/x");
    assert_eq!((changed.name.as_str(), changed.enabled), ("chat", false));
    // What changes nothing is no change.
    world
        .fleet
        .change_webhook(&ann(), id, &patch)
        .await
        .unwrap();
    let ping = world.fleet.ping_webhook(&ann(), id).await;
    refuses(ping, ProblemCode::Conflict, "turn it on");
    world.fleet.delete_webhook(&ann(), id).await.unwrap();
    let events = world.events("webhook.*").await;
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions,
        ["webhook.create", "webhook.update", "webhook.delete"]
    );
    assert!(world.fleet.webhooks().await.unwrap().is_empty());
    let gone = world.fleet.delete_webhook(&ann(), id).await;
    refuses(gone, ProblemCode::NotFound, "webhook");
    let gone = world
        .fleet
        .webhook_deliveries(id, &Default::default())
        .await;
    refuses(gone, ProblemCode::NotFound, "webhook");
    let gone = world.fleet.redeliver(&ann(), 77).await;
    refuses(gone, ProblemCode::NotFound, "delivery 77");
});

each_database!(bad_input_names_its_field, |database| {
    let world = &World::new(database).await;
    let good = hook(&["*"]);
    let with = |change: &dyn Fn(&mut NewWebhook)| {
        let mut new = good.clone();
        change(&mut new);
        new
    };
    let cases = [
        (with(&|new| new.name = String::new()), "name"),
        (with(&|new| new.name = "x".repeat(101)), "name"),
        (with(&|new| new.url = "chat".to_owned()), "url"),
        (with(&|new| new.url = "http://10.0.0.1/".to_owned()), "url"),
        (with(&|new| new.url = "http://[fd00::1]/".to_owned()), "url"),
        (with(&|new| new.events = vec![]), "events"),
        (with(&|new| new.events = vec!["*".to_owned(); 51]), "events"),
        (
            with(&|new| new.events[0] = "rollout".to_owned()),
            "events[0]",
        ),
        (
            with(&|new| new.events.push("device.*".to_owned())),
            "events[1]",
        ),
        (
            with(&|new| new.events.push("rollout.draft".to_owned())),
            "events[1]",
        ),
    ];
    for (new, field) in cases {
        refuses_field(world.fleet.create_webhook(&ann(), &new).await, field);
    }
    let id = listen(world, &["*"]).await;
    let patch: WebhookPatch = serde_json::from_value(json!({"events": ["x"]})).unwrap();
    refuses_field(
        world.fleet.change_webhook(&ann(), id, &patch).await,
        "events[0]",
    );
    let filter = serde_json::from_value(json!({"cursor": "x"})).unwrap();
    refuses_field(world.fleet.webhook_deliveries(id, &filter).await, "cursor");
    assert_eq!(world.events("webhook.*").await.len(), 1);
});

each_database!(there_is_an_end_to_webhooks, |database| {
    let world = &World::new(database).await;
    for _ in 0..100 {
        listen(world, &["attempt.failed"]).await;
    }
    let one_more = world.fleet.create_webhook(&ann(), &hook(&["*"])).await;
    refuses(one_more, ProblemCode::Conflict, "100");
});

each_database!(
    a_webhook_hears_what_it_asked_for_while_it_is_on,
    |database| {
        let world = &World::new(database).await;
        let id = listen(world, &["rollout.paused", "attempt.*"]).await;
        roll_out(world, json!({})).await;
        assert!(take_all(&world.fleet).await.is_empty());
        let everything = WebhookPatch {
            events: Some(vec!["rollout.created".to_owned()]),
            ..WebhookPatch::default()
        };
        world
            .fleet
            .change_webhook(&ann(), id, &everything)
            .await
            .unwrap();
        let release = world.fleet.plan().rollouts()[0].release.id;
        let spec = crate::world::spec(release, json!({}));
        world
            .fleet
            .create_rollout(&ann(), &spec, false)
            .await
            .unwrap();
        // Off, it is told nothing, and what waits is kept.
        let turn = |enabled| {
            let patch = WebhookPatch {
                enabled: Some(enabled),
                ..WebhookPatch::default()
            };
            async move {
                world
                    .fleet
                    .change_webhook(&ann(), id, &patch)
                    .await
                    .unwrap()
            }
        };
        turn(false).await;
        world
            .fleet
            .create_rollout(&ann(), &spec, false)
            .await
            .unwrap();
        assert!(take_all(&world.fleet).await.is_empty());
        turn(true).await;
        assert_eq!(take_all(&world.fleet).await.len(), 1);
    }
);
