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
    for _ in 0..MOST_REPORTS {
        record.report(AttemptState::Downloaded, None, None, None);
    }
    assert_eq!(record.outbox.len(), MOST_REPORTS);
    assert_eq!(record.outbox[0].report.state, AttemptState::Failed);
}
