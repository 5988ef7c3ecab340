//! A device's days: what it asks for, what it keeps, and what it does when its disk or the net fails.

mod common;

use common::{FlakyStore, MODEL, Repository, artifact, later, refresh, start};
use otter_trust::{
    Limits, MemoryStore, Timestamp, TrustError, TrustStore as _, Verifier, trusted_now,
};

#[test]
fn asks_for_what_changed_and_nothing_else() {
    let mut repository = Repository::new();
    let mut device = repository.device();

    let idle = repository.source();
    let before = device.store().clone();
    refresh(&mut device, &idle, later(1)).unwrap();
    assert_eq!(idle.asked(), ["2.root.json", "timestamp.json"]);
    assert_eq!(*device.store(), before);

    repository.publish(later(13));
    let renewed = repository.source();
    let trusted = refresh(&mut device, &renewed, later(13)).unwrap();
    assert_eq!(renewed.asked(), ["2.root.json", "timestamp.json"]);
    assert_eq!((trusted.timestamp, trusted.snapshot), (2, 1));
    assert_eq!(trusted.expires, later(13 + 24));

    repository.release(b"release 2");
    repository.publish(later(14));
    let released = repository.source();
    let trusted = refresh(&mut device, &released, later(14)).unwrap();
    let all = [
        "2.root.json",
        "timestamp.json",
        "2.snapshot.json",
        "2.targets.json",
    ];
    assert_eq!(released.asked(), all);
    assert_eq!(
        (trusted.timestamp, trusted.snapshot, trusted.targets),
        (3, 2, 2)
    );
}

#[test]
fn goes_on_from_its_store_after_a_restart() {
    let repository = Repository::new();
    let device = repository.device();
    let store = device.store().clone();
    let mut device = Verifier::open(store, None).unwrap();
    let source = repository.source();
    refresh(&mut device, &source, later(1)).unwrap();
    assert_eq!(source.asked(), ["2.root.json", "timestamp.json"]);
    let name = artifact(1, b"release 1").name();
    common::judge(&mut device, &name, MODEL, 0, later(1)).unwrap();
}

#[test]
fn a_store_that_rotted_is_begun_anew_from_the_image() {
    let repository = Repository::new();
    let rotten = [
        "root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
    ];
    for (rotten, pinned_needed) in rotten.map(|name| (name, name == "root.json")) {
        for bytes in [&b""[..], b"{", b"{}", &[0xff; 64]] {
            let mut store = repository.device().store().clone();
            store.save(rotten, bytes).unwrap();
            assert_eq!(Verifier::open(store.clone(), None).is_err(), pinned_needed);
            let mut device = Verifier::open(store, Some(&repository.current_root)).unwrap();
            refresh(&mut device, &repository.source(), later(1)).unwrap();
        }
    }
}

#[test]
fn what_an_earlier_agent_kept_in_one_file_is_still_the_floor() {
    let mut repository = Repository::new();
    let old = repository.source();
    repository.release(b"release 2");
    repository.publish(later(1));
    let online = repository.online.as_ref().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let chain = serde_json::json!({
        "timestamp": text(&online.timestamp), "snapshot": text(&online.snapshot),
        "targets": text(&repository.current_targets),
    });
    let mut store = MemoryStore::default();
    store.save("root.json", &repository.current_root).unwrap();
    store
        .save("chain.json", chain.to_string().as_bytes())
        .unwrap();
    let mut device = Verifier::open(store, None).unwrap();
    let error = refresh(&mut device, &old, later(2)).unwrap_err();
    assert!(matches!(error, TrustError::Rollback { .. }), "{error}");
    let source = repository.source();
    refresh(&mut device, &source, later(2)).unwrap();
    assert_eq!(source.asked(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn of_pinned_and_stored_root_the_newer_counts() {
    let mut repository = Repository::new();
    let first = repository.current_root.clone();
    let old_device = repository.device();
    repository.rotate(&[], |_| {});
    let new_device = repository.device();

    let store = old_device.store().clone();
    let updated = Verifier::open(store, Some(&repository.current_root)).unwrap();
    assert_eq!(updated.root_version(), 2);
    let store = new_device.store().clone();
    let not_set_back = Verifier::open(store, Some(&first)).unwrap();
    assert_eq!(not_set_back.root_version(), 2);
}

#[test]
fn a_full_disk_keeps_what_was_trusted() {
    let mut repository = Repository::new();
    let store = FlakyStore::default();
    let mut device = Verifier::open(store, Some(&repository.current_root)).unwrap();
    refresh(&mut device, &repository.source(), start()).unwrap();
    assert_eq!(
        *device.store().saves.borrow(),
        [
            "root.json",
            "timestamp.json",
            "snapshot.json",
            "targets.json"
        ]
    );

    repository.release(b"release 2");
    repository.rotate(&[], |_| {});
    repository.publish(later(1));
    let full = FlakyStore {
        inner: device.store().inner.clone(),
        broken: true,
        ..FlakyStore::default()
    };
    let mut device = Verifier::open(full, None).unwrap();
    let error = refresh(&mut device, &repository.source(), later(2)).unwrap_err();
    assert!(matches!(error, TrustError::Store { .. }), "{error}");
    assert_eq!(device.root_version(), 1);

    let store = device.store().inner.clone();
    let mut device = Verifier::open(store, None).unwrap();
    let trusted = refresh(&mut device, &repository.source(), later(2)).unwrap();
    assert_eq!((trusted.root, trusted.targets), (2, 2));
}

#[test]
fn roots_are_kept_step_by_step_even_where_what_follows_fails() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    for _ in 0..3 {
        repository.rotate(&[], |_| {});
    }
    let source = repository.source().without("timestamp.json");
    let error = refresh(&mut device, &source, later(1)).unwrap_err();
    assert!(matches!(error, TrustError::Missing { .. }), "{error}");
    let device = Verifier::open(device.store().clone(), None).unwrap();
    assert_eq!(device.root_version(), 4);
}

#[test]
fn an_expired_root_on_the_way_does_not_stop_a_device_that_was_away() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    repository.rotate(&[], |root| root.expires = later(2));
    repository.rotate(&[], |_| {});
    repository.publish(later(100));
    refresh(&mut device, &repository.source(), later(100)).unwrap();
    assert_eq!(device.root_version(), 3);
}

#[test]
fn root_rotations_are_bounded_and_gone_on_with() {
    let mut repository = Repository::new();
    let limits = Limits {
        root_rotations: 3,
        ..Limits::default()
    };
    let root = repository.current_root.clone();
    let mut device = Verifier::open_with(MemoryStore::default(), Some(&root), limits).unwrap();
    for _ in 0..5 {
        repository.rotate(&[], |_| {});
    }
    let error = refresh(&mut device, &repository.source(), start()).unwrap_err();
    assert!(
        matches!(error, TrustError::EndlessRoots { limit: 3 }),
        "{error}"
    );
    assert_eq!(device.root_version(), 4);
    let trusted = refresh(&mut device, &repository.source(), start()).unwrap();
    assert_eq!(trusted.root, 6);
    repository.rotate(&[], |_| {});
    repository.rotate(&[], |_| {});
    repository.rotate(&[], |_| {});
    let trusted = refresh(&mut device, &repository.source(), start()).unwrap();
    assert_eq!(trusted.root, 9);
}

#[test]
fn the_latest_clock_is_the_one_to_trust() {
    let [early, middle, late] = [
        "2029-01-01T00:00:00Z",
        "2030-01-01T00:00:00Z",
        "2031-01-01T00:00:00Z",
    ]
    .map(|time| time.parse::<Timestamp>().unwrap());
    assert_eq!(trusted_now(early, Some(middle), late), late);
    assert_eq!(trusted_now(late, Some(early), middle), late);
    assert_eq!(trusted_now(early, Some(late), middle), late);
    assert_eq!(trusted_now(middle, None, early), middle);
}
