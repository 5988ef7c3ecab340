//! Accounts: made by a link, changed, closed; never without an admin.

use otter_fleet::Person;
use otter_protocol::ProblemCode;
use otter_protocol::admin::{AccountPatch, NewAccount, NewApiKey, Role};

use crate::common::{World, ann, each_database, problem, refuses, refuses_field};

const PASSWORD: &str = "correct horse battery";
const DAY: i64 = 24 * 3600;

fn new(name: &str, role: Role) -> NewAccount {
    NewAccount {
        name: name.to_owned(),
        role,
    }
}

fn role(role: Role) -> AccountPatch {
    AccountPatch {
        role: Some(role),
        ..AccountPatch::default()
    }
}

fn closed(disabled: bool) -> AccountPatch {
    AccountPatch {
        disabled: Some(disabled),
        ..AccountPatch::default()
    }
}

async fn add(world: &World, name: &str, role: Role) -> Person {
    let added = world.fleet.add_person(&ann(), name, PASSWORD, role).await;
    added.unwrap()
}

each_database!(an_account_is_opened_by_a_link_that_works_once, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let (account, secret) = fleet
        .invite(&ann(), &new("Bob", Role::Operator))
        .await
        .unwrap();
    assert!(!account.has_password && account.link_expires_at.is_some());
    refuses(
        fleet.log_in("Bob", "", "::1").await,
        ProblemCode::Unauthenticated,
        "wrong",
    );
    refuses_field(fleet.use_link(&secret, "short").await, "password");
    refuses(
        fleet.use_link("otl_guess", PASSWORD).await,
        ProblemCode::Unauthenticated,
        "link",
    );
    assert_eq!(fleet.link_owner(&secret).await.unwrap().name, "Bob");
    let bob = fleet.use_link(&secret, PASSWORD).await.unwrap();
    assert_eq!((bob.id, bob.role), (account.id, Role::Operator));
    refuses(
        fleet.use_link(&secret, PASSWORD).await,
        ProblemCode::Unauthenticated,
        "link",
    );
    fleet.log_in("Bob", PASSWORD, "::1").await.unwrap();
    let accounts = fleet.accounts().await.unwrap();
    assert!(accounts[0].has_password && accounts[0].link_expires_at.is_none());
    assert_eq!(
        world.actions().await,
        ["person.add", "person.link", "person.password"]
    );
    let events = serde_json::to_string(&world.events("*").await).unwrap();
    assert!(!events.contains(&secret[4..]));
    let kept = world.texts("SELECT secret_hash FROM one_time_links").await;
    assert!(kept.is_empty(), "{kept:?}");
});

each_database!(a_link_lasts_a_day_and_only_the_newest_counts, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = add(world, "Bob", Role::Viewer).await;
    let (_, first) = fleet.make_link(&ann(), bob.id).await.unwrap();
    let (_, second) = fleet.make_link(&ann(), bob.id).await.unwrap();
    let over = ProblemCode::Unauthenticated;
    refuses(fleet.link_owner(&first).await, over, "link");
    fleet.link_owner(&second).await.unwrap();
    // Until it is used, the password of before is still his.
    fleet.log_in("Bob", PASSWORD, "::1").await.unwrap();
    world.pass_sec(DAY);
    refuses(fleet.link_owner(&second).await, over, "link");
    refuses(fleet.use_link(&second, PASSWORD).await, over, "link");

    let (_, third) = fleet.make_link(&ann(), bob.id).await.unwrap();
    fleet
        .change_account(&ann(), bob.id, &closed(true))
        .await
        .unwrap();
    refuses(fleet.use_link(&third, PASSWORD).await, over, "link");
    refuses(
        fleet.make_link(&ann(), bob.id).await,
        ProblemCode::Conflict,
        "closed",
    );
    refuses(
        fleet.make_link(&ann(), 99).await,
        ProblemCode::NotFound,
        "99",
    );
});

each_database!(
    a_role_counts_at_once_and_a_closed_account_is_out,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let bob = add(world, "Bob", Role::Viewer).await;
        let session = otter_fleet::StoredSession {
            id: "s1".to_owned(),
            user_id: Some(bob.id),
            data: "{}".to_owned(),
            expires_at: world.now().plus_sec(3600),
            address: None,
            agent: None,
        };
        fleet.create_session(&session).await.unwrap();
        let change = async |patch: &AccountPatch| fleet.change_account(&ann(), bob.id, patch).await;
        assert_eq!(
            change(&role(Role::Approver)).await.unwrap().role,
            Role::Approver
        );
        let now = fleet.person(bob.id).await.unwrap().unwrap();
        assert_eq!(now.role, Role::Approver);
        assert!(fleet.load_session("s1").await.unwrap().is_some());

        let account = change(&closed(true)).await.unwrap();
        assert_eq!(account.disabled_at, Some(world.now()));
        assert_eq!(fleet.person(bob.id).await.unwrap(), None);
        assert_eq!(fleet.load_session("s1").await.unwrap(), None);
        let wrong = problem(fleet.log_in("Bob", PASSWORD, "::1").await);
        let unknown = problem(fleet.log_in("Eve", PASSWORD, "::1").await);
        assert_eq!(wrong, unknown, "nothing tells that there is an account");

        change(&closed(false)).await.unwrap();
        fleet.log_in("Bob", PASSWORD, "::1").await.unwrap();
        // What changes nothing is no event.
        change(&AccountPatch::default()).await.unwrap();
        let events = world.events("person.change").await;
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].before.as_ref().unwrap()["role"], "viewer");
        assert_eq!(events[0].after.as_ref().unwrap()["role"], "approver");
    }
);

each_database!(the_last_admin_stays_one, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let ada = add(world, "Ada", Role::Admin).await;
    // Neither counts: one has not come in yet, the other is out.
    let (eve, _) = fleet
        .invite(&ann(), &new("Eve", Role::Admin))
        .await
        .unwrap();
    let cid = add(world, "Cid", Role::Admin).await;
    let change = async |id, patch: AccountPatch| fleet.change_account(&ann(), id, &patch).await;
    change(cid.id, closed(true)).await.unwrap();
    for patch in [role(Role::Approver), closed(true)] {
        refuses(
            change(ada.id, patch).await,
            ProblemCode::Conflict,
            "last admin",
        );
    }
    change(eve.id, role(Role::Viewer)).await.unwrap();
    change(cid.id, closed(false)).await.unwrap();
    change(ada.id, closed(true)).await.unwrap();
    refuses(
        change(cid.id, closed(true)).await,
        ProblemCode::Conflict,
        "last admin",
    );
});

each_database!(two_admins_can_not_close_each_other, |database| {
    let world = &World::new(database).await;
    let (ada, bob) = (
        add(world, "Ada", Role::Admin).await,
        add(world, "Bob", Role::Admin).await,
    );
    let other = world.another_server().await;
    let (patch, actor) = (closed(true), ann());
    let (one, two) = tokio::join!(
        world.fleet.change_account(&actor, ada.id, &patch),
        other.change_account(&actor, bob.id, &patch),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
});

each_database!(a_key_tells_when_it_was_used_last, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let new = NewApiKey {
        name: "ci".to_owned(),
        role: Role::Viewer,
        expires_at: None,
        scope: Default::default(),
    };
    let made = fleet.create_api_key(&ann(), &new).await.unwrap();
    assert_eq!(made.made.last_used_at, None);
    let last = async || fleet.api_keys().await.unwrap()[0].last_used_at;
    let first = world.now();
    fleet.api_caller(&made.secret).await.unwrap();
    assert_eq!(last().await, Some(first));
    world.pass_sec(59);
    fleet.api_caller(&made.secret).await.unwrap();
    assert_eq!(last().await, Some(first), "not every use is a write");
    world.pass_sec(1);
    fleet.api_caller(&made.secret).await.unwrap();
    assert_eq!(last().await, Some(world.now()));
});
