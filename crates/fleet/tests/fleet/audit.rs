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

each_database!(a_signed_head_shows_that_the_end_was_cut_off, |database| {
    let world = busy_world(database).await;
    let signed = world.fleet.sign_audit_head().await.unwrap().unwrap();
    assert_eq!(world.fleet.sign_audit_head().await.unwrap(), None);
    world.pass_sec(25 * 3600);
    assert_eq!(
        world.fleet.sign_audit_head().await.unwrap(),
        None,
        "nothing was written since"
    );
    enroll(&world.fleet, "gw-9").await;
    let next = world.fleet.sign_audit_head().await.unwrap().unwrap();
    assert_eq!(next.public_key, signed.public_key);
    assert_eq!(
        world.fleet.audit_heads(0, 10).await.unwrap(),
        [signed.clone(), next.clone()]
    );
    assert_eq!(check(&world).await.signed_heads, 2);

    // Whoever can write may cut the end off and set the head back; not where heads were kept.
    let cut = signed.link.sequence;
    let connection = world.database().await;
    let cuts = [
        format!("DELETE FROM events WHERE sequence > {cut}"),
        format!(
            "UPDATE event_head SET sequence = {cut}, hash = '{}'",
            signed.link.hash
        ),
    ];
    for sql in cuts {
        connection.execute_unprepared(&sql).await.unwrap();
    }
    assert_eq!(check(&world).await.broken_at, Some(cut + 1));
    connection
        .execute_unprepared(&format!(
            "DELETE FROM event_signatures WHERE sequence > {cut}"
        ))
        .await
        .unwrap();
    let all_cut = check(&world).await;
    assert_eq!(
        all_cut.broken_at, None,
        "from within, nothing shows any more"
    );
    assert_ne!(all_cut.head, Some(next.link.hash));
    let export = world.fleet.export_audit(0).await.unwrap();
    let last = export.events.last().unwrap().link;
    assert!(last.sequence < next.link.sequence, "the kept head tells");
});

each_database!(a_head_that_the_server_did_not_sign_shows, |database| {
    let world = busy_world(database).await;
    world.fleet.sign_audit_head().await.unwrap().unwrap();
    let connection = world.database().await;
    connection
        .execute_unprepared("UPDATE event_signatures SET signed_at = signed_at + 1")
        .await
        .unwrap();
    assert!(check(&world).await.broken_at.is_some());
});

each_database!(
    what_is_let_go_of_leaves_a_chain_that_can_be_checked,
    |database| {
        let world = &World::with(database, |setup| setup.audit_keep_days = Some(30)).await;
        let fleet = &world.fleet;
        enroll(fleet, "gw-1").await;
        let border = fleet.sign_audit_head().await.unwrap().unwrap();
        let old = fleet.export_audit(0).await.unwrap();
        world.pass_sec(20 * 24 * 3600);
        enroll(fleet, "gw-2").await;
        fleet.retain_audit().await.unwrap();
        assert_eq!(check(world).await.begins_after, 0, "all is young enough");
        world.pass_sec(11 * 24 * 3600);
        fleet.sign_audit_head().await.unwrap().unwrap();
        fleet.retain_audit().await.unwrap();
        let kept = check(world).await;
        assert_eq!(
            (kept.broken_at, kept.begins_after),
            (None, border.link.sequence)
        );
        let export = fleet.export_audit(0).await.unwrap();
        assert_eq!(export.base, border.link);
        assert_eq!(export.base, old.events.last().unwrap().link);
        assert!(export.events[0].continues(export.base));
        assert_eq!(world.events("audit.retain").await.len(), 1);

        // Whoever takes more off the beginning has to say so in the chain.
        let first = export.events[0].link;
        let connection = world.database().await;
        let cuts = [
            format!("DELETE FROM events WHERE sequence = {}", first.sequence),
            format!(
                "UPDATE event_head SET base_sequence = {}, base_hash = '{}'",
                first.sequence, first.hash
            ),
        ];
        for sql in cuts {
            connection.execute_unprepared(&sql).await.unwrap();
        }
        assert_eq!(check(world).await.broken_at, Some(first.sequence + 1));
    }
);
