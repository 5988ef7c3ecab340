//! Whole agents under a clock that jumps.

mod parts;

use std::io;
use std::time::Duration;

use otter_protocol::AttemptState;
use tokio::time::Instant;

use super::*;
use crate::disk::SimulatedDisk;
use crate::history::Ended;
use crate::journal::Step;
use crate::testing;
use parts::{DAY, HOUR, Hanging, INTERVAL, agent};

#[tokio::test(start_paused = true)]
async fn days_of_waiting_starve_nobody() {
    let (agent, dog, diary) = agent(None, &Hanging::at(None));
    let begun = Instant::now();
    agent.run(tokio::time::sleep(3 * DAY)).await.unwrap();
    let (last, longest) = dog.meals();
    assert!(last - begun >= 3 * DAY - INTERVAL);
    assert!(
        longest <= INTERVAL + Duration::from_millis(10),
        "{longest:?}"
    );
    assert!(dog.is_dismissed());
    assert_eq!(diary.story(), ["booted", "idle", "stopping"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_all_day_starves_nobody() {
    let (agent, dog, diary) = agent(Some(Step::Downloading), &Hanging::at(None));
    agent.run(tokio::time::sleep(DAY)).await.unwrap();
    let (last, longest) = dog.meals();
    assert!(last.elapsed() <= INTERVAL);
    assert!(
        longest <= INTERVAL + Duration::from_millis(10),
        "{longest:?}"
    );
    assert_eq!(diary.story(), ["booted", "downloading", "stopping"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_starves_the_watchdog() {
    let table = [
        (None, "recover"),
        (None, "start"),
        (None, "check-in"),
        (Some(Step::Checking), "1.root.json"),
        (Some(Step::Downloading), "artifacts/x"),
        (Some(Step::Verifying), "prepare"),
        (Some(Step::Stopping), "stop"),
        (Some(Step::Applying), "apply"),
        (Some(Step::Starting), "start"),
        (Some(Step::Committing), "commit"),
        (Some(Step::RollingBack), "roll_back"),
    ];
    for (step, what) in table {
        let hanging = Hanging::at(what);
        let (agent, dog, _) = agent(step, &hanging);
        let begun = Instant::now();
        let run = tokio::time::timeout(DAY, agent.run(std::future::pending()));
        assert!(run.await.is_err());
        let (last, longest) = dog.meals();
        let fed = last - begun;
        assert!(fed < 2 * HOUR, "{step:?}, {what}: fed for {fed:?}");
        assert!(fed > Duration::from_secs(60), "{step:?}, {what}: {fed:?}");
        assert!(longest <= INTERVAL + Duration::from_millis(10));
        assert!(!dog.is_dismissed(), "nothing stopped in order");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_gets_on_again_is_fed_again() {
    let hanging = Hanging::at("apply");
    let (agent, dog, diary) = agent(Some(Step::Applying), &hanging);
    let free = hanging.0.clone();
    let stop = async move {
        tokio::time::sleep(6 * HOUR).await;
        free.send_replace(None);
        tokio::time::sleep(6 * HOUR).await;
    };
    agent.run(stop).await.unwrap();
    let (last, longest) = dog.meals();
    assert!(longest > 4 * HOUR, "{longest:?}");
    assert!(last.elapsed() <= INTERVAL);
    let story = [
        "booted",
        "applying",
        "starting",
        "health check",
        "committing",
        "succeeded",
        "idle",
        "stopping",
    ];
    assert_eq!(diary.story(), story);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_while_it_stops_starves_too() {
    let hanging = Hanging::at("stop");
    let (agent, dog, _) = agent(None, &hanging);
    let run = tokio::time::timeout(DAY, agent.run(tokio::time::sleep(HOUR)));
    assert!(run.await.is_err());
    assert!(dog.meals().0.elapsed() > 20 * HOUR);
    assert!(!dog.is_dismissed());
}

#[tokio::test(start_paused = true)]
async fn a_promise_stands_until_it_is_over() {
    let heart = Heart::default();
    heart.promise(Duration::from_secs(100));
    heart.promise(Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(99)).await;
    assert!(heart.is_alive());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!heart.is_alive());
}

#[tokio::test(start_paused = true)]
async fn every_operation_of_a_beating_disk_is_a_sign() {
    let heart = Heart::default();
    let disk = BeatingDisk::new(Arc::new(SimulatedDisk::default()), heart.clone());
    let path = Path::new("/x");
    tokio::time::advance(HOUR).await;
    assert!(!heart.is_alive());
    let mut file = disk.write_new(path, 0o644).unwrap();
    tokio::time::advance(HOUR).await;
    file.write_all(b"otter").unwrap();
    assert!(heart.is_alive());
    tokio::time::advance(HOUR).await;
    assert!(!heart.is_alive());
    file.sync().unwrap();
    assert!(heart.is_alive());
    let mut read = disk.open(path).unwrap();
    tokio::time::advance(HOUR).await;
    let mut text = String::new();
    io::Read::read_to_string(&mut read, &mut text).unwrap();
    assert!(heart.is_alive() && text == "otter");
}

#[test]
fn a_lamp_remembers_the_last_result_over_a_restart() {
    let outcomes = [
        (vec![], false),
        (vec![AttemptState::Succeeded], false),
        (vec![AttemptState::Failed], true),
        (vec![AttemptState::Failed, AttemptState::Succeeded], false),
        (
            vec![AttemptState::RolledBack, AttemptState::Cancelled],
            true,
        ),
    ];
    for (outcomes, expected) in outcomes {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::default());
        let history = History::new(disk.clone(), Path::new("/"), 10);
        for (number, outcome) in outcomes.iter().enumerate() {
            let mut attempt = testing::attempt(Step::Checking);
            attempt.offer.attempt_uuid = uuid::Uuid::from_u128(number as u128);
            let mut record = crate::journal::Record {
                attempt: Some(attempt.clone()),
                ..Default::default()
            };
            record.report(*outcome, None, None, None);
            let last = record.outbox.pop().unwrap();
            history.add(Ended::new(&attempt, None, last)).unwrap();
        }
        assert_eq!(has_failed(&disk, Path::new("/")), expected, "{outcomes:?}");
    }
}
