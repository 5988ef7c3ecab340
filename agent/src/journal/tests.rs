use otter_protocol::AttemptState;

use super::record::MOST_REPORTS;
use super::*;
use crate::disk::SimulatedDisk;
use crate::testing;

fn journal() -> (SimulatedDisk, Journal) {
    let disk = SimulatedDisk::default();
    disk.make_dir(Path::new("/s")).unwrap();
    let journal = Journal::open(Arc::new(disk.clone()), Path::new("/s")).unwrap();
    (disk, journal)
}

#[test]
fn what_was_changed_is_there_after_a_restart() {
    let (disk, journal) = journal();
    journal
        .change(|record| {
            record.attempt = Some(testing::attempt(Step::Checking));
            record.begin(Step::Downloading);
            record.begin(Step::Verifying);
        })
        .unwrap();
    let again = Journal::open(Arc::new(disk), Path::new("/s")).unwrap();
    assert_eq!(again.record(), journal.record());
    let sequences: Vec<u32> = again
        .record()
        .outbox
        .iter()
        .map(|w| w.report.sequence)
        .collect();
    assert_eq!(sequences, [1, 2]);
}

#[test]
fn a_change_that_does_not_reach_the_disk_did_not_happen() {
    let (disk, journal) = journal();
    disk.set_full(true);
    let begin = |record: &mut Record| record.attempt = Some(testing::attempt(Step::Checking));
    assert!(journal.change(begin).is_err());
    assert_eq!(journal.record().attempt, None);
    disk.set_full(false);
    journal.change(begin).unwrap();
    assert!(journal.record().attempt.is_some());
}

#[test]
fn nonsense_is_put_aside_and_newer_formats_are_not_touched() {
    let (disk, _) = journal();
    let path = Path::new("/s/journal.json");
    disk::write_whole(&disk, path, b"{\"outbox\":", PUBLIC).unwrap();
    let journal = Journal::open(Arc::new(disk.clone()), Path::new("/s")).unwrap();
    assert_eq!(journal.record(), Record::default());
    assert!(disk.kind(Path::new("/s/journal.broken.json")).is_ok());

    disk::write_whole(&disk, path, b"{\"format\":2}", PUBLIC).unwrap();
    let newer = Journal::open(Arc::new(disk.clone()), Path::new("/s"));
    assert!(matches!(newer, Err(JournalError::Newer { found: 2, .. })));
    assert!(disk.kind(path).is_ok());
}

#[test]
fn progress_replaces_progress_and_numbers_only_rise() {
    let mut record = Record {
        attempt: Some(testing::attempt(Step::Downloading)),
        ..Record::default()
    };
    for percent in [10, 20, 30] {
        record.report(AttemptState::Downloading, Some(percent), None, None);
    }
    assert_eq!(record.outbox.len(), 1);
    let sent = record.outbox[0].clone();
    assert_eq!(sent.report.sequence, 3);
    record.report(AttemptState::Downloading, Some(40), None, None);
    record.report(AttemptState::Downloaded, None, None, None);
    record.settle(&sent);
    let left: Vec<u32> = record.outbox.iter().map(|w| w.report.sequence).collect();
    assert_eq!(left, [4, 5]);
}

#[test]
fn a_full_outbox_keeps_how_attempts_ended() {
    let mut record = Record {
        attempt: Some(testing::attempt(Step::Downloading)),
        ..Record::default()
    };
    record.report(AttemptState::Failed, None, Some("x"), None);
    let states = [AttemptState::Downloaded, AttemptState::Installing];
    for state in states.into_iter().cycle().take(MOST_REPORTS) {
        record.report(state, None, None, None);
    }
    assert_eq!(record.outbox.len(), MOST_REPORTS);
    assert_eq!(record.outbox[0].report.state, AttemptState::Failed);
}

#[test]
fn what_is_noted_is_on_the_disk_when_that_is_worth_it_or_with_the_next_change() {
    let (disk, journal) = journal();
    let on_disk = || {
        let again = Journal::open(Arc::new(disk.clone()), Path::new("/s")).unwrap();
        again.record().counters.crashes
    };
    let note = |crashes: u32, is_worth: bool| {
        let change = |record: &mut Record| record.counters.crashes = crashes;
        journal.note(change, |_, _| is_worth).unwrap();
        assert_eq!(journal.record().counters.crashes, crashes);
    };
    note(1, false);
    assert_eq!(on_disk(), 0);
    note(2, true);
    assert_eq!(on_disk(), 2);
    note(3, false);
    // A change that changes nothing is no reason to write.
    journal.change(|_| {}).unwrap();
    assert_eq!(on_disk(), 2);
    journal
        .change(|record| record.attempt = Some(testing::attempt(Step::Checking)))
        .unwrap();
    assert_eq!(on_disk(), 3);
    disk.set_full(true);
    let failed = journal.note(|record| record.counters.crashes = 4, |_, _| true);
    assert!(failed.is_err());
    assert_eq!((journal.record().counters.crashes, on_disk()), (4, 3));
}

#[test]
fn what_is_said_anew_of_a_state_replaces_it_and_keeps_its_words() {
    let mut record = Record {
        attempt: Some(testing::attempt(Step::Checking)),
        ..Record::default()
    };
    let (loading, loaded) = (AttemptState::Downloading, AttemptState::Downloaded);
    record.report(loading, Some(0), Some("waits"), None);
    record.report(loading, Some(0), Some("waited"), None);
    record.report(loading, Some(5), None, None);
    record.report(loaded, Some(100), Some("waits"), None);
    record.report(loaded, Some(100), None, None);
    record.report(AttemptState::Failed, None, Some("no"), None);
    record.report(AttemptState::Failed, None, Some("no"), None);
    let left: Vec<_> = record
        .outbox
        .iter()
        .map(|w| {
            (
                w.report.sequence,
                w.report.progress,
                w.report.message.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        left,
        [
            (3, Some(5), Some("waited")),
            (5, Some(100), Some("waits")),
            (6, None, Some("no")),
            (7, None, Some("no")),
        ]
    );
}
