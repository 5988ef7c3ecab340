//! How people come in, stay in, and are out again: sessions, passwords, second factors.

use std::time::{Duration, Instant};

use otter_fleet::{Person, SESSION_IDLE_SEC, SESSION_LIFE_SEC, StoredSession, VISIT_SEC};
use otter_protocol::admin::Role;
use otter_protocol::{ProblemCode, Timestamp};

use crate::common::{World, ann, each_database, refuses, refuses_field};

const PASSWORD: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";
const OTHER: &str = "another horse battery";

async fn bob(world: &World) -> Person {
    world
        .fleet
        .add_person(&ann(), "Bob", PASSWORD, Role::Viewer)
        .await
        .unwrap()
}

async fn open(world: &World, id: &str, person: Option<&Person>) {
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

async fn is_open(world: &World, id: &str) -> bool {
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

/// What an authenticator shows: RFC 6238 by another hand than the server's, from the secret that it was given.
fn authenticator(secret: &str, at: Timestamp) -> String {
    use by_hand::hmac_sha1;
    let bits: String = secret
        .bytes()
        .map(|letter| {
            let value = if letter.is_ascii_uppercase() {
                letter - b'A'
            } else {
                letter - b'2' + 26
            };
            format!("{value:05b}")
        })
        .collect();
    let key: Vec<u8> = (0..bits.len() / 8)
        .map(|n| u8::from_str_radix(&bits[n * 8..n * 8 + 8], 2).unwrap())
        .collect();
    let step = u64::try_from(at.0 / 30_000).unwrap();
    let digest = hmac_sha1(&key, &step.to_be_bytes());
    let offset = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap());
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

/// HMAC (RFC 2104) written out.
mod by_hand {
    use sha1::{Digest as _, Sha1};

    pub(super) fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut block = [0u8; 64];
        block[..key.len()].copy_from_slice(key);
        let pad = |with: u8| block.map(|byte| byte ^ with);
        let inner = Sha1::new().chain_update(pad(0x36)).chain_update(message);
        let outer = Sha1::new()
            .chain_update(pad(0x5c))
            .chain_update(inner.finalize());
        outer.finalize().to_vec()
    }
}

async fn with_second_factor(world: &World, person: &Person) -> (String, Vec<String>) {
    let offer = world.fleet.offer_second_factor(person).await.unwrap();
    let code = authenticator(&offer.secret, world.now());
    let codes = world.fleet.take_second_factor(person, &code, None).await;
    (offer.secret, codes.unwrap())
}

each_database!(a_second_factor_counts_once_its_code_was_shown, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = bob(world).await;
    open(world, "here", Some(&bob)).await;
    open(world, "there", Some(&bob)).await;
    refuses(
        fleet.take_second_factor(&bob, "000000", None).await,
        ProblemCode::Conflict,
        "begin",
    );
    let offer = fleet.offer_second_factor(&bob).await.unwrap();
    assert_eq!(offer.secret.len(), 32);
    let address = format!(
        "otpauth://totp/Otter:Bob?secret={}&issuer=Otter",
        offer.secret
    );
    assert_eq!(offer.address, address);
    let code = authenticator(&offer.secret, world.now());
    let wrong = authenticator(&offer.secret, world.now().plus_sec(3600));
    refuses_field(fleet.take_second_factor(&bob, &wrong, None).await, "code");
    assert!(
        !fleet
            .log_in("Bob", PASSWORD, "::1")
            .await
            .unwrap()
            .needs_code
    );

    let codes = fleet.take_second_factor(&bob, &code, Some("here")).await;
    assert_eq!(codes.unwrap().len(), 10);
    assert!(is_open(world, "here").await && !is_open(world, "there").await);
    assert!(
        fleet
            .log_in("Bob", PASSWORD, "::1")
            .await
            .unwrap()
            .needs_code
    );
    refuses(
        fleet.offer_second_factor(&bob).await,
        ProblemCode::Conflict,
        "already",
    );
    assert!(fleet.accounts().await.unwrap()[0].has_second_factor);
    let events = serde_json::to_string(&world.events("*").await).unwrap();
    assert!(!events.contains(&offer.secret));

    fleet.remove_second_factor(&ann(), bob.id).await.unwrap();
    assert!(
        !fleet
            .log_in("Bob", PASSWORD, "::1")
            .await
            .unwrap()
            .needs_code
    );
    assert_eq!(fleet.recovery_codes_left(&bob).await.unwrap(), None);
    assert_eq!(
        world.actions().await,
        [
            "person.add",
            "person.second_factor",
            "person.second_factor_removed"
        ]
    );
});

each_database!(a_code_counts_once, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = bob(world).await;
    let (secret, _) = with_second_factor(world, &bob).await;
    let used = authenticator(&secret, world.now());
    let check = async |code: &str| fleet.check_code(bob.id, code, world.now(), "::1").await;
    let refused = ProblemCode::Unauthenticated;
    refuses(check(&used).await, refused, "used already");
    world.pass_sec(30);
    refuses(check(&used).await, refused, "used already");
    let code = authenticator(&secret, world.now());
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    assert_eq!(check(&spaced).await.unwrap(), bob);
    refuses(check(&code).await, refused, "used already");
    // Another server knows of it, too.
    let other = world.another_server().await;
    let again = other.check_code(bob.id, &code, world.now(), "::2").await;
    refuses(again, refused, "used already");
});

each_database!(
    five_wrong_codes_are_enough_for_a_quarter_of_an_hour,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let bob = bob(world).await;
        let (secret, codes) = with_second_factor(world, &bob).await;
        for n in 0..5 {
            let wrong = authenticator(&secret, world.now().plus_sec(86_400 + n * 30));
            let address = format!("10.0.0.{n}");
            let tried = fleet.check_code(bob.id, &wrong, world.now(), &address);
            refuses(tried.await, ProblemCode::Unauthenticated, "wrong");
        }
        // Nor does a right password in between forgive them.
        fleet.log_in("Bob", PASSWORD, "::1").await.unwrap();
        let tried = fleet.check_code(bob.id, &codes[0], world.now(), "::1");
        refuses(tried.await, ProblemCode::TooManyRequests, "minutes");
        world.pass_sec(15 * 60);
        let tried = fleet.check_code(bob.id, &codes[0], world.now(), "::1");
        tried.await.unwrap();
    }
);

each_database!(a_recovery_code_stands_in_once, |database| {
    let world = &World::new(database).await;
    let fleet = &world.fleet;
    let bob = bob(world).await;
    let (_, codes) = with_second_factor(world, &bob).await;
    let kept = world.texts("SELECT code_hash FROM recovery_codes").await;
    assert!(kept.iter().all(|hash| hash.len() == 64), "{kept:?}");
    let check = async |code: &str| fleet.check_code(bob.id, code, world.now(), "::1").await;
    check(&codes[3].to_uppercase()).await.unwrap();
    refuses(check(&codes[3]).await, ProblemCode::Unauthenticated, "used");
    assert_eq!(fleet.recovery_codes_left(&bob).await.unwrap(), Some(9));
    let renewed = fleet.renew_recovery_codes(&bob).await.unwrap();
    refuses(
        check(&codes[4]).await,
        ProblemCode::Unauthenticated,
        "wrong",
    );
    check(&renewed[0]).await.unwrap();
    assert_eq!(world.events("person.recovery_code_used").await.len(), 2);
});

each_database!(
    a_new_password_ends_logins_that_wait_for_a_code,
    |database| {
        let world = &World::new(database).await;
        let fleet = &world.fleet;
        let bob = bob(world).await;
        let (_, codes) = with_second_factor(world, &bob).await;
        let since = world.now();
        world.pass_sec(1);
        fleet.set_password(&ann(), "Bob", OTHER).await.unwrap();
        let late = fleet.check_code(bob.id, &codes[0], since, "::1").await;
        refuses(late, ProblemCode::Unauthenticated, "wrong");
        fleet
            .check_code(bob.id, &codes[0], world.now(), "::1")
            .await
            .unwrap();
        // A link for a new password doesn't get around the second factor.
        let (_, link) = fleet.make_link(&ann(), bob.id).await.unwrap();
        fleet.use_link(&link, PASSWORD).await.unwrap();
        assert!(
            fleet
                .log_in("Bob", PASSWORD, "::1")
                .await
                .unwrap()
                .needs_code
        );
    }
);
