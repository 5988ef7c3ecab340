//! Second factors: an authenticator's codes and recovery codes, each once.

use otter_fleet::Person;
use otter_protocol::{ProblemCode, Timestamp};

use crate::common::{World, ann, each_database, refuses, refuses_field};
use crate::log_ins::{OTHER, PASSWORD, bob, is_open, open};

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
