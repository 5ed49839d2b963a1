//! The log of a match: which events it trusts, when it reads the journal, and how long it lives.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;

use super::{DrivenMatch, Harness, events_to_the_end};
use crate::{
    domain::Sequence,
    journal::suite::facts::{failed_kept, finished, match_id, started, trouble, uploaded},
    watch::log::{Log, LogRead, Registry},
};

/// A log, a replica that writes its match, and a replica that reads it: the reader lacks the match
/// in its memory, so it reads the store.
async fn scene() -> (Arc<Log>, DrivenMatch, Harness) {
    let writer = Harness::new();
    let reader = writer.replica();
    let m = writer.admit(0).await;
    (Registry::default().open(m.id()), m, reader)
}

/// The sequences of the entries of a log.
fn sequences(log: &Log) -> Vec<u64> {
    let entry = |after| match log.look(Sequence(after), None) {
        LogRead::Entry(entry) => entry.recorded.sequence.0,
        LogRead::Progress(..) | LogRead::Nothing | LogRead::Erased => panic!("no entry"),
    };
    (0..log.reached().0).map(entry).collect()
}

#[tokio::test]
async fn a_log_that_was_never_read_trusts_no_event() {
    let (log, mut m, reader) = scene().await;
    log.push(m.events[0].clone());
    log.push(m.append(uploaded()).await);
    assert_eq!(log.reached(), Sequence::ZERO);
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!(sequences(&log), [1, 2]);
}

#[tokio::test]
async fn a_complete_log_grows_by_the_events_of_the_tail_and_is_not_read_again() {
    let (log, mut m, reader) = scene().await;
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!(reader.journal.reads(), 1);
    for event in events_to_the_end(0) {
        log.push(m.append(event).await);
        log.refresh(&*reader.reader).await.unwrap();
    }
    assert_eq!((sequences(&log), reader.journal.reads()), (vec![1, 2, 3, 4], 1));
}

#[tokio::test]
async fn an_event_that_the_tail_repeats_is_added_once() {
    let (log, mut m, reader) = scene().await;
    log.refresh(&*reader.reader).await.unwrap();
    let second = m.append(uploaded()).await;
    for repeated in [&second, &second, &m.events[0]] {
        log.push(repeated.clone());
    }
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!((sequences(&log), reader.journal.reads()), (vec![1, 2], 1));
}

#[tokio::test]
async fn an_event_after_a_gap_is_not_shown_before_the_journal_is_read_again() {
    let (log, mut m, reader) = scene().await;
    log.refresh(&*reader.reader).await.unwrap();
    m.append(uploaded()).await;
    log.push(m.append(started("a")).await);
    assert_eq!(sequences(&log), [1]);
    log.push(m.append(finished()).await);
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!((sequences(&log), reader.journal.reads()), (vec![1, 2, 3, 4], 2));
}

#[tokio::test]
async fn an_event_that_arrives_during_the_read_is_kept_once() {
    let (log, mut m, reader) = scene().await;
    let mut reading = Box::pin(log.refresh(&*reader.reader));
    assert!((&mut reading).now_or_never().is_none(), "the read is in flight");
    log.push(m.events[0].clone());
    log.push(m.append(uploaded()).await);
    reading.await.unwrap();
    assert_eq!((sequences(&log), reader.journal.reads()), (vec![1, 2], 1));
}

#[tokio::test]
async fn a_gap_that_shows_during_the_read_makes_the_log_read_once_more() {
    let (log, mut m, reader) = scene().await;
    let mut reading = Box::pin(log.refresh(&*reader.reader));
    assert!((&mut reading).now_or_never().is_none(), "the read is in flight");
    m.append(uploaded()).await;
    log.push(m.append(started("a")).await);
    reading.await.unwrap();
    assert_eq!((sequences(&log), reader.journal.reads()), (vec![1, 2, 3], 2));
}

#[tokio::test]
async fn a_watcher_that_leaves_during_its_read_leaves_the_read_to_the_next() {
    let (log, _m, reader) = scene().await;
    assert!(log.refresh(&*reader.reader).now_or_never().is_none(), "the read is cut off");
    assert_eq!(log.reached(), Sequence::ZERO);
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!(sequences(&log), [1]);
}

#[tokio::test]
async fn a_failed_read_is_repeated_by_the_next_watcher() {
    let (log, _m, reader) = scene().await;
    reader.faults.is_failing.store(true, Ordering::Relaxed);
    log.refresh(&*reader.reader).await.unwrap_err();
    reader.faults.is_failing.store(false, Ordering::Relaxed);
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!(sequences(&log), [1]);
}

#[tokio::test]
async fn watchers_that_arrive_together_read_the_journal_once() {
    let (log, _m, reader) = scene().await;
    let refresh = || log.refresh(&*reader.reader);
    let read = tokio::join!(refresh(), refresh(), refresh());
    assert!(read.0.and(read.1).and(read.2).is_ok());
    assert_eq!((sequences(&log), reader.journal.reads()), (vec![1], 1));
}

#[tokio::test]
async fn a_log_whose_events_have_vanished_is_erased() {
    let (log, mut m, reader) = scene().await;
    log.refresh(&*reader.reader).await.unwrap();
    log.push(m.append(failed_kept(Duration::ZERO)).await);
    reader.retain().await;
    log.distrust();
    log.refresh(&*reader.reader).await.unwrap();
    assert!(matches!(log.look(Sequence::ZERO, None), LogRead::Erased));
    assert!(log.latest().is_none());
}

#[tokio::test]
async fn a_log_of_a_match_that_does_not_exist_is_empty_and_not_erased() {
    let (_, _m, reader) = scene().await;
    let log = Registry::default().open(match_id(0, 99));
    log.refresh(&*reader.reader).await.unwrap();
    assert_eq!(log.reached(), Sequence::ZERO);
    assert!(matches!(log.look(Sequence::ZERO, None), LogRead::Nothing));
}

#[tokio::test]
async fn each_entry_has_the_match_as_it_was_after_its_event() {
    let (log, mut m, reader) = scene().await;
    m.append(trouble()).await;
    m.append(uploaded()).await;
    log.refresh(&*reader.reader).await.unwrap();
    for sequence in (1..=3).map(Sequence) {
        assert_eq!(log.snapshot(sequence).unwrap().sequence, sequence);
    }
    assert!(log.snapshot(Sequence(2)).unwrap().trouble.is_some());
    assert!(log.snapshot(Sequence(3)).unwrap().trouble.is_none());
    assert!(log.snapshot(Sequence::ZERO).is_none() && log.snapshot(Sequence(4)).is_none());
}

#[test]
fn a_log_is_shared_by_its_watchers_and_dropped_with_the_last_one() {
    let (registry, id) = (Registry::default(), match_id(0, 0));
    let (first, second) = (registry.open(id), registry.open(id));
    assert!(Arc::ptr_eq(&first, &second));
    drop(first);
    assert!(registry.live(id).is_some());
    drop(second);
    assert!(registry.live(id).is_none());
    assert_eq!(registry.watched(), 0);
}
