//! The audit log's chain: whatever is changed behind the server's back shows.

use otter_protocol::ProblemCode;
use otter_protocol::admin::{AuditFilter, ChainCheck, Role};
use sea_orm::ConnectionTrait;

use crate::common::devices::enroll;
use crate::common::{World, ann, each_database, refuses};

/// Makes a log of more than ten events.
async fn busy_world(database: &crate::common::TestDatabase) -> World {
    let world = World::new(database).await;
    for n in 0..3 {
        enroll(&world.fleet, &format!("gw-{n}")).await;
    }
    world
        .fleet
        .add_person(&ann(), "Bob", "correct horse battery", Role::Viewer)
        .await
        .unwrap();
    world
}

async fn check(world: &World) -> ChainCheck {
    world.fleet.verify_audit().await.unwrap()
}

each_database!(an_untouched_log_holds, |database| {
    let world = busy_world(database).await;
    let events = world.events("*").await;
    let found = check(&world).await;
    assert_eq!((found.events, found.broken_at), (events.len() as u64, None));
    assert_eq!(found.head, events.last().map(|event| event.hash));
    assert!(events.len() > 10);
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event.sequence, place as i64 + 1);
    }
});

each_database!(every_kind_of_tampering_shows, |database| {
    let tamperings = [
        ("UPDATE events SET actor = 'user:eve' WHERE sequence = 7", 7),
        ("UPDATE events SET at = at + 1 WHERE sequence = 7", 7),
        ("UPDATE events SET after_json = NULL WHERE sequence = 8", 8),
        (
            "UPDATE events SET hash = (SELECT hash FROM events WHERE sequence = 2) WHERE sequence = 9",
            9,
        ),
        ("DELETE FROM events WHERE sequence = 6", 6),
        ("DELETE FROM events WHERE sequence > 8", 9),
    ];
    let world = busy_world(database).await;
    let connection = world.database().await;
    connection
        .execute_unprepared("CREATE TABLE events_before AS SELECT * FROM events")
        .await
        .unwrap();
    for (tampering, broken_at) in tamperings {
        connection.execute_unprepared(tampering).await.unwrap();
        assert_eq!(
            check(&world).await.broken_at,
            Some(broken_at),
            "{tampering}"
        );
        connection
            .execute_unprepared("DELETE FROM events")
            .await
            .unwrap();
        connection
            .execute_unprepared("INSERT INTO events SELECT * FROM events_before")
            .await
            .unwrap();
        assert_eq!(check(&world).await.broken_at, None);
    }
});

each_database!(two_servers_write_one_chain, |database| {
    let world = busy_world(database).await;
    let other = world.another_server().await;
    let before = check(&world).await.events;
    let writers = (0..20_usize).map(|n| {
        let fleet = if n.is_multiple_of(2) {
            world.fleet.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            let group = otter_protocol::group::Group {
                name: otter_protocol::GroupName::new(format!("group {n}")).unwrap(),
                description: String::new(),
                selector: None,
                window: None,
            };
            fleet.put_group(&ann(), &group).await.unwrap();
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let after = check(&world).await;
    assert_eq!((after.events, after.broken_at), (before + 20, None));
});

each_database!(events_are_found_by_what_they_say, |database| {
    let world = busy_world(database).await;
    let find = async |filter: AuditFilter| world.fleet.audit_events(&filter).await.unwrap().items;
    let by_actor = find(AuditFilter {
        actor: Some("device:gw-1".into()),
        ..AuditFilter::default()
    })
    .await;
    assert_eq!(by_actor.len(), 1);
    let by_action = find(AuditFilter {
        action: Some("enrollment_token.*".into()),
        ..AuditFilter::default()
    })
    .await;
    assert_eq!(by_action.len(), 3);
    let of_subject = AuditFilter {
        subject_kind: Some("device".into()),
        subject: Some("gw-2".into()),
        ..AuditFilter::default()
    };
    assert_eq!(find(of_subject).await.len(), 1);

    let mut filter = AuditFilter {
        limit: Some(4),
        ..AuditFilter::default()
    };
    let (mut pages, mut seen) = (0, Vec::new());
    loop {
        let page = world.fleet.audit_events(&filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|event| event.sequence));
        pages += 1;
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    let all = check(&world).await.events as i64;
    assert_eq!(seen, (1..=all).rev().collect::<Vec<_>>());
    assert_eq!(pages, (all as usize).div_ceil(4));
    let nonsense = AuditFilter {
        cursor: Some("x".into()),
        ..AuditFilter::default()
    };
    refuses(
        world.fleet.audit_events(&nonsense).await,
        ProblemCode::InvalidRequest,
        "cursor",
    );
});
