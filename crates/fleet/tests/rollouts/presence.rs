//! What a server knows of devices before it is written: that they are there, and that their clocks are wrong.

use otter_fleet::Fleet;
use otter_protocol::check_in::{CheckIn, CheckInReply};
use tokio_util::sync::CancellationToken;

use crate::common::{World, each_database};
use crate::world::{TestDevice, enroll_many};

const YEAR: i64 = 365 * 86_400;

async fn online(fleet: &Fleet) -> u64 {
    fleet.overview().await.unwrap().online
}

/// Writes what was gathered, as a server does at its end.
async fn write(fleet: &Fleet) {
    let stop = CancellationToken::new();
    stop.cancel();
    fleet.run(stop).await;
}

/// Checks in with a clock that is so many seconds ahead.
async fn with_clock(world: &World, device: &TestDevice, ahead: Option<i64>) -> CheckInReply {
    let at = ahead.map(|sec| otter_protocol::Timestamp(world.now().0 + sec * 1000));
    let known = world.fleet.device_by_token(&device.token).await.unwrap();
    let check_in = CheckIn {
        version: device.version.clone(),
        at,
        ..CheckIn::default()
    };
    world.fleet.check_in(&known, check_in).await.unwrap()
}

async fn clock_of(fleet: &Fleet, device: &TestDevice) -> Option<i64> {
    fleet.device(&device.id).await.unwrap().clock_off_sec
}

each_database!(a_device_is_online_as_soon_as_it_is_seen, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 3).await;
    assert_eq!(online(&world.fleet).await, 0);
    devices[0].check_in(&world.fleet).await;
    devices[1].check_in(&world.fleet).await;
    assert_eq!(online(&world.fleet).await, 2);
    write(&world.fleet).await;
    assert_eq!(online(&world.fleet).await, 2);

    world.pass_sec(601);
    assert_eq!(online(&world.fleet).await, 0);
    devices[1].check_in(&world.fleet).await;
    devices[2].check_in(&world.fleet).await;
    devices[2].check_in(&world.fleet).await;
    assert_eq!(online(&world.fleet).await, 2);
    write(&world.fleet).await;
    assert_eq!(online(&world.fleet).await, 2);
});

each_database!(a_clock_that_is_off_is_told_and_kept, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    let device = &mut devices[0];
    device.check_in(&world.fleet).await;
    for right in [0, 600, -600] {
        let reply = with_clock(world, device, Some(right)).await;
        assert_eq!(reply.clock_off_sec, None, "{right}");
    }
    assert_eq!(clock_of(&world.fleet, device).await, None);

    let reply = with_clock(world, device, Some(-YEAR)).await;
    assert_eq!(
        (reply.clock_off_sec, reply.server_time),
        (Some(-YEAR), world.now())
    );
    // Seen before it is written, and by other servers after.
    assert_eq!(clock_of(&world.fleet, device).await, Some(-YEAR));
    write(&world.fleet).await;
    let other = world.another_server().await;
    assert_eq!(clock_of(&other, device).await, Some(-YEAR));

    // A device that says nothing of its clock has it still.
    with_clock(world, device, None).await;
    write(&world.fleet).await;
    assert_eq!(clock_of(&other, device).await, Some(-YEAR));

    assert_eq!(with_clock(world, device, Some(2)).await.clock_off_sec, None);
    assert_eq!(clock_of(&world.fleet, device).await, None);
    write(&world.fleet).await;
    assert_eq!(clock_of(&other, device).await, None);
});

each_database!(a_clock_that_stays_off_costs_no_statement, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 1).await;
    devices[0].check_in(&world.fleet).await;
    with_clock(world, &devices[0], Some(YEAR)).await;
    let before = world.fleet.database_statements();
    for drift in 0..100 {
        let reply = with_clock(world, &devices[0], Some(YEAR + drift)).await;
        assert_eq!(reply.clock_off_sec, Some(YEAR + drift));
    }
    assert_eq!(world.fleet.database_statements(), before);
});
