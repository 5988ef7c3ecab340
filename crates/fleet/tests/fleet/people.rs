//! Accounts, log-ins, sessions and keys for programs.

use otter_fleet::{Fleet, StoredSession};
use otter_protocol::ProblemCode;
use otter_protocol::admin::{NewApiKey, Role};

use crate::common::{World, ann, each_database, problem, refuses, refuses_field};

const PASSWORD: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";

fn session(id: &str, user_id: Option<i64>, world: &World) -> StoredSession {
    let expires_at = world.now().plus_sec(60);
    StoredSession {
        id: id.to_owned(),
        user_id,
        data: "{}".to_owned(),
        expires_at,
        address: Some("192.0.2.7".to_owned()),
        agent: Some("a browser".to_owned()),
    }
}

fn key(name: &str, role: Role) -> NewApiKey {
    NewApiKey {
        name: name.to_owned(),
        role,
        expires_at: None,
        scope: Default::default(),
    }
}

async fn try_to_log_in(fleet: &Fleet, name: &str, password: &str, address: &str) -> ProblemCode {
    problem(fleet.log_in(name, password, address).await).code
}

each_database!(a_person_logs_in_with_his_password_only, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let person = fleet
        .add_person(&ann(), "Bob", PASSWORD, Role::Operator)
        .await
        .unwrap();
    let in_now = fleet.log_in("Bob", PASSWORD, "::1").await.unwrap();
    assert_eq!((&in_now.person, in_now.needs_code), (&person, false));
    assert_eq!(fleet.person(person.id).await.unwrap(), Some(person));
    assert_eq!(fleet.person(99).await.unwrap(), None);
    let wrong = problem(fleet.log_in("Bob", WRONG, "::1").await);
    let unknown = problem(fleet.log_in("Eve", WRONG, "::1").await);
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code, ProblemCode::Unauthenticated);

    refuses(
        fleet
            .add_person(&ann(), "Bob", PASSWORD, Role::Viewer)
            .await,
        ProblemCode::AlreadyExists,
        "Bob",
    );
    refuses_field(
        fleet.add_person(&ann(), "Cid", "short", Role::Viewer).await,
        "password",
    );
    refuses_field(
        fleet
            .add_person(&ann(), " Cid", PASSWORD, Role::Viewer)
            .await,
        "name",
    );
    assert_eq!(world.actions().await, ["person.add"]);
    assert!(
        !serde_json::to_string(&world.events("*").await)
            .unwrap()
            .contains("argon2")
    );
});

each_database!(
    ten_failures_are_enough_for_a_quarter_of_an_hour,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        fleet
            .add_person(&ann(), "Bob", PASSWORD, Role::Viewer)
            .await
            .unwrap();
        for n in 0..10 {
            let code = try_to_log_in(fleet, "Bob", WRONG, &format!("10.0.0.{n}")).await;
            assert_eq!(code, ProblemCode::Unauthenticated);
        }
        // Not even with the right password, else the answer would tell which one it is.
        assert_eq!(
            try_to_log_in(fleet, "Bob", PASSWORD, "10.0.1.1").await,
            ProblemCode::TooManyRequests
        );
        world.pass_sec(15 * 60);
        fleet.log_in("Bob", PASSWORD, "10.0.1.1").await.unwrap();

        for n in 0..10 {
            let code = try_to_log_in(fleet, &format!("nobody {n}"), WRONG, "10.0.2.2").await;
            assert_eq!(code, ProblemCode::Unauthenticated);
        }
        assert_eq!(
            try_to_log_in(fleet, "Bob", PASSWORD, "10.0.2.2").await,
            ProblemCode::TooManyRequests
        );
        fleet.log_in("Bob", PASSWORD, "10.0.1.1").await.unwrap();
    }
);

each_database!(a_new_password_ends_sessions, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = fleet
        .add_person(&ann(), "Bob", PASSWORD, Role::Viewer)
        .await
        .unwrap();
    let (of_bob, of_nobody) = (
        session("s1", Some(bob.id), world),
        session("s2", None, world),
    );
    for session in [&of_bob, &of_nobody] {
        assert!(fleet.create_session(session).await.unwrap());
    }
    fleet
        .set_password(&ann(), "Bob", "another horse battery")
        .await
        .unwrap();
    assert_eq!(fleet.load_session("s1").await.unwrap(), None);
    assert_eq!(fleet.load_session("s2").await.unwrap(), Some(of_nobody));
    // A request that was under way doesn't bring it back.
    fleet.save_session(&of_bob).await.unwrap();
    assert_eq!(fleet.load_session("s1").await.unwrap(), None);
    assert_eq!(
        try_to_log_in(fleet, "Bob", PASSWORD, "::1").await,
        ProblemCode::Unauthenticated
    );
    fleet
        .log_in("Bob", "another horse battery", "::1")
        .await
        .unwrap();
    refuses(
        fleet.set_password(&ann(), "Eve", PASSWORD).await,
        ProblemCode::NotFound,
        "Eve",
    );
    assert_eq!(world.actions().await, ["person.add", "person.password"]);
});

each_database!(sessions_are_kept_until_they_end, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let first = session("s1", None, world);
    assert!(fleet.create_session(&first).await.unwrap());
    assert!(!fleet.create_session(&first).await.unwrap());
    let changed = StoredSession {
        user_id: Some(7),
        data: "{\"a\":1}".to_owned(),
        ..first
    };
    fleet.save_session(&changed).await.unwrap();
    assert_eq!(fleet.load_session("s1").await.unwrap(), Some(changed));
    let second = session("s2", None, world);
    fleet.save_session(&second).await.unwrap();
    assert_eq!(
        fleet.load_session("s2").await.unwrap(),
        Some(second.clone())
    );

    let ids = world.texts("SELECT id FROM sessions").await;
    assert!(
        ids.len() == 2 && ids.iter().all(|id| id.len() == 64),
        "ids are kept hashed: {ids:?}"
    );

    fleet.delete_session("s2").await.unwrap();
    assert_eq!(fleet.load_session("s2").await.unwrap(), None);
    world.pass_sec(60);
    assert_eq!(fleet.load_session("s1").await.unwrap(), None);
    assert_eq!(fleet.delete_expired_sessions().await.unwrap(), 1);
});

each_database!(
    the_first_account_is_made_by_a_link_that_works_once,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        assert!(!fleet.has_people().await.unwrap());
        let old = fleet.setup_secret().await.unwrap().unwrap();
        let link = fleet.setup_secret().await.unwrap().unwrap();
        for secret in [old.as_str(), "guess"] {
            refuses(
                fleet.set_up(secret, "Ann", PASSWORD).await,
                ProblemCode::Unauthenticated,
                "link",
            );
        }
        let admin = fleet.set_up(&link, "Ann", PASSWORD).await.unwrap();
        assert_eq!(admin.role, Role::Admin);
        refuses(
            fleet.set_up(&link, "Eve", PASSWORD).await,
            ProblemCode::Unauthenticated,
            "link",
        );
        assert_eq!(fleet.setup_secret().await.unwrap(), None);
        assert!(fleet.has_people().await.unwrap());
    }
);

each_database!(a_key_counts_until_it_is_revoked_or_ends, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let lasting = fleet
        .create_api_key(&ann(), &key("ci", Role::Operator))
        .await
        .unwrap();
    assert!(lasting.secret.starts_with("otk_"));
    let short = NewApiKey {
        expires_at: Some(world.now().plus_sec(60)),
        ..key("short", Role::Viewer)
    };
    let short = fleet.create_api_key(&ann(), &short).await.unwrap();
    let caller = fleet.api_caller(&lasting.secret).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("ci", Role::Operator));
    fleet.api_caller(&short.secret).await.unwrap();

    world.pass_sec(60);
    refuses(
        fleet.api_caller(&short.secret).await,
        ProblemCode::Unauthenticated,
        "key",
    );
    fleet.revoke_api_key(&ann(), lasting.made.id).await.unwrap();
    refuses(
        fleet.api_caller(&lasting.secret).await,
        ProblemCode::Unauthenticated,
        "key",
    );
    refuses(
        fleet.api_caller("otk_guess").await,
        ProblemCode::Unauthenticated,
        "key",
    );
    refuses(
        fleet.revoke_api_key(&ann(), 99).await,
        ProblemCode::NotFound,
        "99",
    );

    let names: Vec<String> = fleet
        .api_keys()
        .await
        .unwrap()
        .into_iter()
        .map(|key| key.spec.name)
        .collect();
    assert_eq!(names, ["short", "ci"]);
    assert_eq!(
        world.actions().await,
        ["api_key.create", "api_key.create", "api_key.revoke"]
    );
    assert!(
        !serde_json::to_string(&world.events("*").await)
            .unwrap()
            .contains(&lasting.secret[4..])
    );
    let ended = NewApiKey {
        expires_at: Some(world.now()),
        ..key("ended", Role::Viewer)
    };
    refuses_field(fleet.create_api_key(&ann(), &ended).await, "expires_at");
});

each_database!(the_setups_key_is_the_one_that_it_names_now, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    for _ in 0..2 {
        fleet
            .ensure_api_key("setup", "a secret of the setup")
            .await
            .unwrap();
    }
    assert_eq!(
        fleet
            .api_caller("a secret of the setup")
            .await
            .unwrap()
            .role,
        Role::Admin
    );
    fleet
        .ensure_api_key("setup", "another secret")
        .await
        .unwrap();
    refuses(
        fleet.api_caller("a secret of the setup").await,
        ProblemCode::Unauthenticated,
        "key",
    );
    fleet.api_caller("another secret").await.unwrap();
    fleet
        .ensure_api_key("setup", "a secret of the setup")
        .await
        .unwrap();
    fleet.api_caller("a secret of the setup").await.unwrap();
    refuses(
        fleet.api_caller("another secret").await,
        ProblemCode::Unauthenticated,
        "key",
    );
    assert_eq!(fleet.api_keys().await.unwrap().len(), 2);
});
