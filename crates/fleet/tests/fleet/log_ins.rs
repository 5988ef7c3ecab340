//! How people come in, stay in, and are out again: sessions and passwords.

use std::time::{Duration, Instant};

use otter_fleet::{Person, SESSION_IDLE_SEC, SESSION_LIFE_SEC, StoredSession, VISIT_SEC};
use otter_protocol::ProblemCode;
use otter_protocol::admin::Role;

use crate::common::{World, ann, each_database, refuses, refuses_field};

pub(crate) const PASSWORD: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";
pub(crate) const OTHER: &str = "another horse battery";

pub(crate) async fn bob(world: &World) -> Person {
    world
        .fleet
        .add_person(&ann(), "Bob", PASSWORD, Role::Viewer)
        .await
        .unwrap()
}

pub(crate) async fn open(world: &World, id: &str, person: Option<&Person>) {
    let session = StoredSession {
        id: id.to_owned(),
        user_id: person.map(|person| person.id),
        data: "{}".to_owned(),
        expires_at: world.now().plus_sec(365 * 24 * 3600),
        address: Some("192.0.2.7".to_owned()),
        agent: Some("x".repeat(1000)),
    };
    assert!(world.fleet.create_session(&session).await.unwrap());
}

pub(crate) async fn is_open(world: &World, id: &str) -> bool {
    world.fleet.load_session(id).await.unwrap().is_some()
}

fn sec(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap()
}

each_database!(a_session_ends_when_it_is_not_used, |database| {
    let world = &World::new(database).await;
    let bob = bob(world).await;
    open(world, "used", Some(&bob)).await;
    open(world, "left", Some(&bob)).await;
    world.pass_sec(sec(SESSION_IDLE_SEC) - 1);
    assert!(is_open(world, "used").await);
    world.pass_sec(1);
    assert!(is_open(world, "used").await);
    assert!(!is_open(world, "left").await);
    assert_eq!(world.fleet.delete_expired_sessions().await.unwrap(), 1);
    let sessions = world.fleet.sessions_of(bob.id, Some("used")).await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].current && sessions[0].agent.as_ref().unwrap().len() == 200);
});

each_database!(a_session_ends_however_much_it_is_used, |database| {
    let world = &World::new(database).await;
    let bob = bob(world).await;
    let begun = world.now();
    open(world, "s1", Some(&bob)).await;
    let hour = 3600;
    while world.now().sec_since(begun) + hour < SESSION_LIFE_SEC {
        world.pass_sec(sec(hour));
        let session = world.fleet.load_session("s1").await.unwrap().unwrap();
        // Nor does writing it make it longer.
        world.fleet.save_session(&session).await.unwrap();
    }
    world.pass_sec(sec(hour));
    assert!(!is_open(world, "s1").await);
});

each_database!(a_visit_without_a_login_is_short, |database| {
    let world = &World::new(database).await;
    open(world, "s1", None).await;
    world.pass_sec(sec(VISIT_SEC) - 1);
    assert!(is_open(world, "s1").await);
    world.pass_sec(1);
    assert!(!is_open(world, "s1").await);
});

each_database!(people_see_where_they_are_in_and_end_it, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = bob(world).await;
    let eve = fleet
        .add_person(&ann(), "Eve", PASSWORD, Role::Viewer)
        .await
        .unwrap();
    open(world, "here", Some(&bob)).await;
    world.pass_sec(1);
    open(world, "there", Some(&bob)).await;
    open(world, "eves", Some(&eve)).await;
    let sessions = fleet.sessions_of(bob.id, Some("here")).await.unwrap();
    let current: Vec<bool> = sessions.iter().map(|one| one.current).collect();
    assert_eq!(current, [false, true], "the latest first");
    let eves = fleet.sessions_of(eve.id, None).await.unwrap();
    refuses(
        fleet.end_session_of(&ann(), &bob, &eves[0].id).await,
        ProblemCode::NotFound,
        "session",
    );
    fleet
        .end_session_of(&ann(), &bob, &sessions[0].id)
        .await
        .unwrap();
    assert!(is_open(world, "here").await && !is_open(world, "there").await);
    open(world, "elsewhere", Some(&bob)).await;
    let ended = fleet.end_sessions_of(&ann(), &bob, Some("here")).await;
    assert_eq!(ended.unwrap(), 1);
    assert!(is_open(world, "here").await);
    assert_eq!(fleet.end_sessions_of(&ann(), &bob, None).await.unwrap(), 1);
    assert!(!is_open(world, "here").await && is_open(world, "eves").await);
});

each_database!(a_password_is_changed_by_who_knows_it, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = bob(world).await;
    open(world, "s1", Some(&bob)).await;
    let change = async |current, new| fleet.change_password(&bob, current, new, "::1").await;
    refuses_field(change(WRONG, OTHER).await, "current");
    refuses_field(change(PASSWORD, PASSWORD).await, "password");
    refuses_field(change(PASSWORD, "qwerty123456").await, "password");
    assert!(is_open(world, "s1").await);
    change(PASSWORD, OTHER).await.unwrap();
    assert!(!is_open(world, "s1").await);
    fleet.log_in("Bob", OTHER, "::1").await.unwrap();
    // The first counts, too: the address is not forgiven for what went well since.
    for _ in 0..9 {
        refuses_field(change(WRONG, PASSWORD).await, "current");
    }
    refuses(
        change(OTHER, PASSWORD).await,
        ProblemCode::TooManyRequests,
        "minutes",
    );
});

each_database!(passwords_count_as_they_were_typed, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let long = format!(" Ä{}", "long words ".repeat(40));
    fleet
        .add_person(&ann(), "Bob", &long, Role::Viewer)
        .await
        .unwrap();
    fleet.log_in("Bob", &long, "::1").await.unwrap();
    for other in [long.trim(), &long.to_lowercase(), &long[..long.len() - 1]] {
        refuses(
            fleet.log_in("Bob", other, "::1").await,
            ProblemCode::Unauthenticated,
            "wrong",
        );
    }
});

each_database!(an_unknown_name_takes_as_long_as_a_known_one, |database| {
    let world = &World::new(database).await;
    bob(world).await;
    world
        .fleet
        .invite(
            &ann(),
            &otter_protocol::admin::NewAccount {
                name: "Cid".to_owned(),
                role: Role::Viewer,
            },
        )
        .await
        .unwrap();
    let time = async |name: &'static str| {
        let mut times = Vec::new();
        for n in 0..5 {
            let begin = Instant::now();
            let result = world
                .fleet
                .log_in(name, WRONG, &format!("{name} {n}"))
                .await;
            assert!(result.is_err());
            times.push(begin.elapsed());
        }
        times.sort();
        times[0]
    };
    let known = time("Bob").await;
    for name in ["Nobody", "Cid"] {
        let unknown = time(name).await;
        // Without the work of a hash it would be a hundredth.
        assert!(unknown > known / 4, "{name}: {unknown:?}, Bob: {known:?}");
        assert!(
            unknown < known * 4 + Duration::from_millis(50),
            "{unknown:?} {known:?}"
        );
    }
});

each_database!(a_login_is_an_event_and_is_remembered, |database| {
    let world = &World::new(database).await;
    let bob = bob(world).await;
    world.fleet.note_log_in(&bob, "192.0.2.7").await.unwrap();
    let account = &world.fleet.accounts().await.unwrap()[0];
    assert_eq!(account.last_login_at, Some(world.now()));
    let event = &world.events("person.log_in").await[0];
    assert_eq!(event.actor, "user:Bob");
    assert_eq!(event.after.as_ref().unwrap()["address"], "192.0.2.7");
});
